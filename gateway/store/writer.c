#include "store_internal.h"

#include "common/log.h"

#include <stdlib.h>
#include <string.h>

enum { GATHER_LULL_MS = 10, GATHER_MS = 30, GATHER_ENOUGH = 32 };
enum { SUPERSEDE_LOOK_S = 60 }; /* at least this often, so that a clock that was set is noticed */

static const char sql_begin[] = "BEGIN IMMEDIATE";
static const char sql_commit[] = "COMMIT";

static outcome begin(struct writer *w, struct fault *f)
{
	w->now_ms = clock_wall_ms();
	w->record_count = 0;
	w->changes = sqlite3_total_changes64(w->conn.db);
	return query_exec(&w->conn, sql_begin, f);
}

/* What SQLite has not rolled back by itself, and what the writer holds of it in memory. */
static void roll_back(struct writer *w)
{
	if (!sqlite3_get_autocommit(w->conn.db))
		sqlite3_exec(w->conn.db, "ROLLBACK", NULL, NULL, NULL);
	w->head = w->durable;
	feed_records_free(w->records, w->record_count);
	w->records = NULL;
	w->record_count = w->record_room = 0;
}

/* Hands the transaction's records over. Without memory nothing is said: a feed sees the gap and reads it from
 * the log. */
static void publish(struct store *s, int64_t first, int64_t durable_at_us)
{
	struct writer *w = &s->writer;
	struct store_commit *c = s->notify ? calloc(1, sizeof *c) : NULL;
	if (!c) {
		feed_records_free(w->records, w->record_count);
	} else {
		*c = (struct store_commit){.refs = 1,
					   .epoch = w->head.epoch,
					   .first = first,
					   .last = w->head.seq,
					   .durable_at_us = durable_at_us,
					   .records = w->records,
					   .count = w->record_count};
		memcpy(c->head, w->head.hash, SHA256_SIZE);
		s->notify(c, s->notify_arg);
		store_commit_release(c);
	}
	w->records = NULL;
	w->record_count = w->record_room = 0;
}

static outcome commit(struct store *s, struct op *const *ops, size_t count, struct fault *f)
{
	struct writer *w = &s->writer;
	int64_t started_us = clock_monotonic_us();
	outcome o = query_exec(&w->conn, sql_commit, f);
	if (!o.ok)
		return o;
	int64_t durable_at_us = clock_monotonic_us(), first = w->durable.seq + 1;
	w->durable = w->head;
	atomic_store(&s->last_seq, w->head.seq);
	if (s->ballast.spent)
		atomic_store(&s->writable, false);
	else if (sqlite3_total_changes64(w->conn.db) != w->changes) /* nothing written proves nothing */
		atomic_store(&s->writable, true);
	atomic_fetch_add(&s->commits, 1);
	atomic_fetch_add(&s->operations, count);
	atomic_fetch_add(&s->commit_us, (uint64_t)(durable_at_us - started_us));
	for (size_t i = 0; i < count; i++) {
		ops[i]->time_ms = w->now_ms;
		ops[i]->durable_at_us = durable_at_us;
	}
	if (w->head.seq >= first)
		publish(s, first, durable_at_us);
	return DONE;
}

static void fail(struct op *op, const struct fault *f)
{
	op->failed = true;
	op->fault = *f;
	atomic_fetch_add(&op->store->failures, 1);
}

/* Operations of one transaction: taken from the queue until it is empty or the group is full. */
struct group {
	struct op *ops[STORE_BATCH_MAX];
	size_t count;
	struct op *culprit; /* the one whose own statements failed */
};

static struct op *group_next(struct store *s, struct group *g, size_t i)
{
	if (i == g->count && g->count < STORE_BATCH_MAX && (g->ops[i] = queue_take(&s->writes)))
		g->count++;
	return i < g->count ? g->ops[i] : NULL;
}

static void fail_for_room(struct op *op)
{
	struct fault f;
	refuse(&f, REASON_DISK_FULL, "the disk is full; what is left of it is for changes of standing");
	fail(op, &f);
}

static outcome run_group(struct store *s, struct group *g, struct fault *f)
{
	struct op *op;
	outcome o = begin(&s->writer, f);
	g->culprit = NULL;
	for (size_t i = 0; o.ok && (op = group_next(s, g, i)); i++) {
		if (s->ballast.spent && !op->urgent && !op->failed)
			fail_for_room(op);
		if (op->failed)
			continue;
		op->refused = false;
		op->seq = 0;
		o = op->run(op, &s->writer.conn, f);
		if (!o.ok)
			g->culprit = op;
	}
	return o.ok ? commit(s, g->ops, g->count, f) : o;
}

/* The disk is full or the database is gone: all wait for the same thing to end. */
static void fail_group(struct store *s, struct group *g, const struct fault *f)
{
	if (atomic_exchange(&s->writable, false))
		log_fault(LOG_LEVEL_ERROR, NULL, f,
			  "the store cannot write; every further operation tries again");
	while (group_next(s, g, g->count))
		;
	for (size_t i = 0; i < g->count; i++)
		if (!g->ops[i]->failed)
			fail(g->ops[i], f);
}

/* What is wrong with one operation does not fail its neighbours: they run again without it. */
static void write_group(struct store *s)
{
	struct group g = {.count = 0};
	struct fault f = {0};
	ballast_restore(s);
	while (!run_group(s, &g, &f).ok) {
		roll_back(&s->writer);
		if (f.reason == REASON_DISK_FULL && ballast_spend(s))
			continue; /* those that may use it, once more */
		if (!g.culprit || f.reason == REASON_DISK_FULL) {
			fail_group(s, &g, &f);
			break;
		}
		log_fault(LOG_LEVEL_ERROR, NULL, &f, "an operation of the store failed");
		fail(g.culprit, &f);
	}
	s->writer.last_group = g.count;
	for (size_t i = 0; i < g.count; i++)
		op_finish(g.ops[i]);
}

/* ---- what ends by time ---- */

void writer_supersede_within(struct writer *w, int64_t in_s)
{
	int64_t capped = in_s < 0 ? 0 : in_s < SUPERSEDE_LOOK_S ? in_s : SUPERSEDE_LOOK_S;
	int64_t at = clock_monotonic_ms() + capped * 1000;
	if (at < w->supersede_next_ms || !w->supersede_next_ms)
		w->supersede_next_ms = at;
}

static outcome run_supersede(struct op *op, struct conn *c, struct fault *f)
{
	struct writer *w = &op->store->writer;
	int64_t next_s;
	(void)c;
	outcome o = supersede_due(w, &next_s, f);
	if (o.ok)
		writer_supersede_within(w, next_s - w->now_ms / 1000);
	return o;
}

static void look_for_superseded(struct store *s)
{
	struct writer *w = &s->writer;
	if (clock_monotonic_ms() < w->supersede_next_ms)
		return;
	w->supersede_next_ms = 0;
	writer_supersede_within(w, SUPERSEDE_LOOK_S); /* also where the look itself fails */
	struct op *op = op_new(s, sizeof *op, run_supersede, NULL);
	op->urgent = true;
	op_write(op);
}

/* A commit costs the same for one and for many. Where the last one was shared, the next waits for company; a
 * caller alone never does. */
static void gather(struct store *s)
{
	if (s->writer.last_group > 1 || queue_length(&s->writes) > 1)
		queue_gather(&s->writes, GATHER_ENOUGH, GATHER_LULL_MS, clock_monotonic_ms() + GATHER_MS);
}

static int64_t next_look_ms(const struct store *s)
{
	int64_t probe_ms = probe_next_ms(s);
	return s->writer.supersede_next_ms < probe_ms ? s->writer.supersede_next_ms : probe_ms;
}

void *writer_main(void *arg)
{
	struct store *s = arg;
	while (queue_wait(&s->writes, next_look_ms(s))) {
		look_for_superseded(s);
		probe_look(s);
		gather(s);
		if (queue_length(&s->writes))
			write_group(s);
	}
	return NULL;
}
