#include "store_internal.h"

#include <stdlib.h>
#include <string.h>

static outcome load_epoch(struct writer *w, struct fault *f)
{
	static const char sql[] = "SELECT epoch FROM meta";
	struct query q = query_start(&w->conn, sql);
	bool row;
	outcome o = query_row(&q, &row, f);
	if (o.ok && !row)
		return refuse(f, REASON_STORE_UNAVAILABLE, "the store has no epoch");
	if (o.ok)
		w->head.epoch = column_int(&q);
	query_end(&q);
	return o;
}

/* No checkpoint on the writer's connection but the one of checkpoint.c; a cache that holds the hot index
 * pages. */
static outcome tune(struct store *s, struct fault *f)
{
	outcome o = db_exec(s->writer.conn.db, "PRAGMA cache_size=-65536; PRAGMA temp_store=MEMORY", f);
	if (o.ok)
		checkpoint_watch(s);
	return o;
}

static outcome open_writer(struct store *s, struct fault *f)
{
	struct writer *w = &s->writer;
	outcome o = db_open(s->path, store_schema, STORE_SCHEMA_VERSION, &w->conn.db, f);
	if (o.ok)
		o = tune(s, f);
	if (o.ok)
		o = load_epoch(w, f);
	if (o.ok)
		o = log_load_head(&w->conn, &w->head.seq, w->head.hash, f);
	if (!o.ok)
		return o;
	w->durable = w->head;
	w->supersede_next_ms = 1; /* look at once */
	atomic_store(&s->last_seq, w->head.seq);
	atomic_store(&s->writable, true);
	return DONE;
}

static outcome start_thread(struct store *s, const char *name, void *(*run)(void *), struct fault *f)
{
	outcome o = thread_start(&s->threads[s->thread_count], name, run, s, f);
	s->thread_count += o.ok;
	return o;
}

static outcome start_threads(struct store *s, struct fault *f)
{
	outcome o = start_thread(s, "store-writer", writer_main, f);
	if (o.ok)
		o = start_thread(s, "store-wal", checkpoint_main, f);
	for (unsigned i = 0; o.ok && i < STORE_READERS; i++)
		o = start_thread(s, "store-reader", reader_main, f);
	return o;
}

outcome store_open(const struct store_options *options, struct store **out, struct fault *f)
{
	struct store *s = calloc(1, sizeof *s);
	char *path = strdup(options->path);
	if (!s || !path) {
		free(s);
		free(path);
		return refuse(f, REASON_NO_MEMORY, "no memory for the store");
	}
	s->path = path;
	s->options = *options;
	s->options.path = path;
	queue_init(&s->writes);
	queue_init(&s->reads);
	pthread_mutex_init(&s->checkpoint_lock, NULL);
	pthread_cond_init(&s->checkpoint_wanted, NULL);
	outcome o = open_writer(s, f);
	if (o.ok)
		o = ballast_open(s, f);
	if (o.ok)
		o = start_threads(s, f);
	if (o.ok)
		*out = s;
	else
		store_close(s);
	return o;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	queue_close(&s->writes);
	queue_close(&s->reads);
	checkpoint_close(s);
	for (unsigned i = 0; i < s->thread_count; i++)
		pthread_join(s->threads[i], NULL);
	conn_close(&s->writer.conn);
	ballast_close(s);
	free(s->path);
	free(s);
}

void store_subscribe(struct store *s, void (*notify)(struct store_commit *c, void *arg), void *arg)
{
	s->notify = notify;
	s->notify_arg = arg;
}

void store_stats(struct store *s, struct store_stats *out)
{
	*out = (struct store_stats){
		.writable = atomic_load(&s->writable),
		.queued = queue_length(&s->writes),
		.commits = atomic_load(&s->commits),
		.operations = atomic_load(&s->operations),
		.failures = atomic_load(&s->failures),
		.refusals_dropped = atomic_load(&s->refusals_dropped),
		.commit_us = atomic_load(&s->commit_us),
		.last_seq = atomic_load(&s->last_seq),
	};
}
