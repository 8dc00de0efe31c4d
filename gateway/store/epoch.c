#include "store_internal.h"

static outcome write_epoch(struct conn *c, int64_t *epoch, struct fault *f)
{
	static const char sql[] = "UPDATE meta SET epoch = max(epoch + 1, unixepoch()) RETURNING epoch";
	struct query q = query_start(c, sql);
	bool row;
	outcome o = query_row(&q, &row, f);
	if (!o.ok || !row)
		return o.ok ? refuse(f, REASON_STORE_UNAVAILABLE, "the store has no epoch") : o;
	*epoch = column_int(&q);
	/* Of a statement that returns rows, the change is made with the first. */
	query_end(&q);
	return DONE;
}

static outcome run_epoch_raise(struct op *op, struct conn *c, struct fault *f)
{
	struct change_op *x = (struct change_op *)op;
	struct writer *w = &op->store->writer;
	struct buf detail = {0};
	outcome o = write_epoch(c, &w->head.epoch, f);
	if (!o.ok)
		return o;
	detail_int(&detail, "epoch", w->head.epoch);
	struct log_new e = {.kind = "epoch-raised",
			    .actor = x->actor,
			    .request_id = x->request_id,
			    .reason = x->reason,
			    .detail = detail_end(&detail)};
	o = log_append(w, &e, f);
	buf_free(&detail);
	op->seq = w->head.seq;
	x->answer.feeds_anew = true;
	return o;
}

void store_epoch_raise(struct store *s, const struct store_caller *who, const char *reason,
		       store_changed_done *done, void *arg)
{
	op_write(&change_new(s, sizeof(struct change_op), who, "", reason, run_epoch_raise, done, arg)->op);
}
