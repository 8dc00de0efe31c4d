#include "writer.h"

#include "lookup.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/thread.h"

#include <stdlib.h>

/* A batch of records is a change of a thousand rows: more in one transaction would only delay the answers. */
enum { GROUP_MAX = 64 };

static const char sql_begin[] = "BEGIN IMMEDIATE";
static const char sql_commit[] = "COMMIT";
static const char sql_savepoint[] = "SAVEPOINT op";
static const char sql_release[] = "RELEASE op";

struct writer {
	struct records records;
	void (*committed)(void *arg);
	void *arg;
	pthread_t thread;
	bool started;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t wake;
	struct change *first, **last;
	bool stopping;
	bool healthy;
	struct fault fault;
};

outcome writer_open(const struct writer_options *o, struct writer **out, struct fault *f)
{
	struct writer *w = calloc(1, sizeof *w);
	*out = NULL;
	if (!w)
		return refuse(f, REASON_NO_MEMORY, "no memory for the writer");
	outcome r = records_open(o->path, &w->records, f);
	if (!r.ok) {
		free(w);
		return r;
	}
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->wake, NULL);
	w->last = &w->first;
	w->healthy = true;
	w->committed = o->committed;
	w->arg = o->arg;
	*out = w;
	return DONE;
}

/* Waits for work; NULL when there is none left and the writer is to end. */
static struct change *take_group(struct writer *w)
{
	pthread_mutex_lock(&w->lock);
	while (!w->first && !w->stopping)
		pthread_cond_wait(&w->wake, &w->lock);
	struct change *group = w->first, **end = &w->first;
	for (size_t n = 0; *end && n < GROUP_MAX; n++)
		end = &(*end)->next;
	w->first = *end;
	if (!w->first)
		w->last = &w->first;
	*end = NULL;
	pthread_mutex_unlock(&w->lock);
	return group;
}

/* Its own refusal is undone and told; what the database refuses is the whole group's. */
static outcome run_change(struct writer *w, struct change *c, struct fault *f)
{
	outcome o = query_exec(&w->records.conn, sql_savepoint, f);
	if (!o.ok)
		return o;
	c->ok = c->run(c, &w->records, &c->fault).ok;
	if (!c->ok && (c->fault.reason == REASON_DISK_FULL || c->fault.reason == REASON_STORE_UNAVAILABLE)) {
		*f = c->fault;
		return (outcome){false};
	}
	if (!c->ok) {
		lookup_forget(&w->records);
		o = db_exec(w->records.conn.db, "ROLLBACK TO op", f);
	}
	return o.ok ? query_exec(&w->records.conn, sql_release, f) : o;
}

static outcome run_group(struct writer *w, struct change *group, struct fault *f)
{
	outcome o = query_exec(&w->records.conn, sql_begin, f);
	for (struct change *c = group; o.ok && c; c = c->next)
		o = run_change(w, c, f);
	if (o.ok)
		o = query_exec(&w->records.conn, sql_commit, f);
	if (!o.ok)
		lookup_forget(&w->records);
	if (!o.ok && !sqlite3_get_autocommit(w->records.conn.db))
		sqlite3_exec(w->records.conn.db, "ROLLBACK", NULL, NULL, NULL);
	return o;
}

static void note_health(struct writer *w, outcome o, const struct fault *f)
{
	pthread_mutex_lock(&w->lock);
	bool changed = w->healthy != o.ok;
	w->healthy = o.ok;
	if (!o.ok)
		w->fault = *f;
	pthread_mutex_unlock(&w->lock);
	if (changed && o.ok)
		log_line(LOG_LEVEL_INFO, NULL, "device records can be written again");
	else if (changed)
		log_fault(LOG_LEVEL_ERROR, NULL, f, "device records cannot be written");
}

static void call_done(void *arg)
{
	struct change *c = arg;
	c->done(c);
}

static void answer_group(struct change *group)
{
	while (group) {
		struct change *next = group->next;
		loop_post(group->loop, call_done, group);
		group = next;
	}
}

static void *run(void *arg)
{
	struct writer *w = arg;
	struct change *group;
	struct fault f = {0};
	while ((group = take_group(w))) {
		outcome o = run_group(w, group, &f);
		note_health(w, o, &f);
		for (struct change *c = group; !o.ok && c; c = c->next) {
			c->ok = false;
			c->fault = f;
		}
		if (o.ok && w->committed)
			w->committed(w->arg);
		answer_group(group);
	}
	return NULL;
}

outcome writer_start(struct writer *w, struct fault *f)
{
	outcome o = thread_start(&w->thread, "writer", run, w, f);
	w->started = o.ok;
	return o;
}

void writer_submit(struct writer *w, struct change *c)
{
	c->next = NULL;
	c->ok = false;
	c->fault = (struct fault){0};
	pthread_mutex_lock(&w->lock);
	*w->last = c;
	w->last = &c->next;
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->lock);
}

bool writer_healthy(struct writer *w, struct fault *f)
{
	pthread_mutex_lock(&w->lock);
	bool healthy = w->healthy;
	*f = w->fault;
	pthread_mutex_unlock(&w->lock);
	return healthy;
}

static outcome run_probe(struct change *c, struct records *r, struct fault *f)
{
	static const char sql[] =
		"INSERT INTO probe(one, time) VALUES(1, ?1) ON CONFLICT(one) DO UPDATE SET time = ?1";
	struct query q = query_start(&r->conn, sql);
	(void)c;
	query_int(&q, clock_wall_s());
	return query_run(&q, f);
}

void writer_probe(struct writer *w, struct change *c)
{
	c->run = run_probe;
	writer_submit(w, c);
}

void writer_stop(struct writer *w)
{
	if (!w)
		return;
	pthread_mutex_lock(&w->lock);
	w->stopping = true;
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->lock);
	if (w->started)
		pthread_join(w->thread, NULL);
	records_close(&w->records);
	pthread_mutex_destroy(&w->lock);
	pthread_cond_destroy(&w->wake);
	free(w);
}
