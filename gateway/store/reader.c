#include "store_internal.h"

#include <string.h>

/* Opened without the right to write, so that no query can change anything whatever it says. */
static outcome open_reader(const char *path, struct conn *out, struct fault *f)
{
	enum { BUSY_MS = 5000, FLAGS = SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX };
	memset(out, 0, sizeof *out);
	outcome o = DONE;
	if (sqlite3_open_v2(path, &out->db, FLAGS, NULL) != SQLITE_OK)
		o = db_fault(out->db, f, path);
	else
		sqlite3_busy_timeout(out->db, BUSY_MS);
	if (o.ok)
		o = db_exec(out->db, "PRAGMA query_only=ON; PRAGMA trusted_schema=OFF", f);
	if (!o.ok)
		conn_close(out);
	return o;
}

/* One transaction, so that an answer of several statements is of one moment. */
static outcome run_query(struct conn *c, struct op *op, struct fault *f)
{
	outcome o = db_exec(c->db, "BEGIN", f);
	if (!o.ok)
		return o;
	o = op->run(op, c, f);
	sqlite3_exec(c->db, o.ok ? "COMMIT" : "ROLLBACK", NULL, NULL, NULL);
	return o;
}

static void answer_query(struct store *s, struct conn *c, struct op *op)
{
	struct fault f = {0};
	outcome o = c->db ? DONE : open_reader(s->path, c, &f);
	if (o.ok)
		o = run_query(c, op, &f);
	if (!o.ok) {
		op->failed = true;
		op->fault = f;
	}
	op_finish(op);
}

void *reader_main(void *arg)
{
	struct store *s = arg;
	struct conn c = {0};
	while (queue_wait(&s->reads, 0)) {
		struct op *op = queue_take(&s->reads);
		if (op)
			answer_query(s, &c, op);
	}
	conn_close(&c);
	return NULL;
}
