#include "store_internal.h"

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
	outcome o = c->db ? DONE : db_open_reader(s->path, &c->db, &f);
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
