#include "store_internal.h"

/*
 * Where a commit has failed, what was wrong may end without anybody asking for anything: until it has, a row of no
 * meaning is written now and then. It is the writer's last work of a turn, and what fails to write fails at once.
 */
enum { PROBE_INTERVAL_MS = 1000 };

static outcome run_probe(struct op *op, struct conn *c, struct fault *f)
{
	static const char sql[] =
		"INSERT INTO probe VALUES (1, ?) ON CONFLICT DO UPDATE SET time_ms = excluded.time_ms";
	struct query q = query_start(c, sql);
	query_int(&q, op->store->writer.now_ms);
	return query_run(&q, f);
}

int64_t probe_next_ms(const struct store *s)
{
	return atomic_load(&s->writable) ? INT64_MAX : s->writer.probe_next_ms;
}

void probe_look(struct store *s)
{
	int64_t now_ms = clock_monotonic_ms();
	if (atomic_load(&s->writable) || now_ms < s->writer.probe_next_ms)
		return;
	s->writer.probe_next_ms = now_ms + PROBE_INTERVAL_MS;
	ballast_restore(s);
	/* Without room for the ballast, what is left of the disk is for changes of standing alone. */
	if (!s->ballast.spent)
		op_write(op_new(s, sizeof(struct op), run_probe, NULL));
}
