#include "store_internal.h"

#include <inttypes.h>
#include <string.h>

/* The copy of the register: it grows, and never becomes another one. */

struct push_op {
	struct change_op change;
	struct store_register_push in;
	struct register_entry *entries;
	struct register_head head;
};

/* Where the copy stands while entries are put to it. */
struct pushing {
	struct push_op *p;
	struct conn *c;
	int64_t size;
	int64_t time; /* of the newest entry */
	uint8_t head[SHA256_SIZE];
	struct buf alarm; /* detail of the alarm that is due; empty: none */
};

static outcome load_end(struct pushing *x, struct fault *f)
{
	static const char sql[] = "SELECT idx, time, head FROM register_entries WHERE programme_id = ? ORDER "
				  "BY idx DESC LIMIT 1";
	struct query q = query_start(x->c, sql);
	bool row;
	query_int(&q, x->p->in.programme);
	outcome o = query_row(&q, &row, f);
	register_start(x->p->in.programme_id, x->head);
	if (!o.ok || !row)
		return o;
	x->size = column_int(&q);
	x->time = column_int(&q);
	column_copy(&q, x->head, SHA256_SIZE);
	query_end(&q);
	return DONE;
}

/* ---- another history ---- */

static outcome load_word(struct pushing *x, uint8_t room[PROVENANCE_OBJECT_MAX], struct bytes *word,
			 struct fault *f)
{
	static const char sql[] = "SELECT word FROM programmes WHERE id = ?";
	struct query q = query_start(x->c, sql);
	bool row;
	query_int(&q, x->p->in.programme);
	outcome o = query_row(&q, &row, f);
	*word = bytes_of(room, 0);
	if (!o.ok || !row)
		return o;
	*word = column_bytes(&q, room, PROVENANCE_OBJECT_MAX);
	query_end(&q);
	return DONE;
}

/* Both words of the register, or its word and a receipt, are kept: whoever has its key can see that it has said both. */
static outcome refuse_history(struct pushing *x, int64_t index, struct bytes receipt, const char *rule,
			      struct fault *f)
{
	struct push_op *p = x->p;
	uint8_t room[PROVENANCE_OBJECT_MAX];
	struct bytes word;
	outcome o = load_word(x, room, &word, f);
	if (!o.ok)
		return o;
	detail_text(&x->alarm, "rule", rule);
	detail_int(&x->alarm, "index", index);
	detail_base64url(&x->alarm, "word_pushed", p->in.word);
	if (receipt.n)
		detail_base64url(&x->alarm, "receipt", receipt);
	else
		detail_base64url(&x->alarm, "word_known", word);
	return op_refuse(&p->change.op, REASON_REGISTER_HISTORY, "entry %" PRId64 ": %s", index, rule);
}

static outcome log_alarm(struct pushing *x, struct fault *f)
{
	struct push_op *p = x->p;
	struct log_new e = {
		.kind = "alarm",
		.actor = p->change.actor,
		.request_id = p->change.request_id,
		.reason = reason_code(REASON_REGISTER_HISTORY),
		.detail = detail_end(&x->alarm),
	};
	return x->alarm.n ? log_append(&p->change.op.store->writer, &e, f) : DONE;
}

/* ---- entries that are here already ---- */

static outcome check_known(struct pushing *x, const struct register_entry *e, struct fault *f)
{
	static const char sql[] = "SELECT 1 FROM register_entries WHERE programme_id = ? AND idx = ? AND "
				  "time = ? AND object = ?";
	struct query q = query_start(x->c, sql);
	int64_t same;
	query_int(&q, x->p->in.programme);
	query_int(&q, e->index);
	query_int(&q, e->time);
	query_blob(&q, e->object, SHA256_SIZE);
	outcome o = query_number(&q, 0, &same, f);
	return o.ok && !same ? refuse_history(x, e->index, (struct bytes){0},
					      "this is another entry than was pushed before", f)
			     : o;
}

static outcome check_known_head(struct pushing *x, struct fault *f)
{
	static const char sql[] =
		"SELECT 1 FROM register_entries WHERE programme_id = ? AND idx = ? AND head = ?";
	static const char newest[] = "SELECT word_time FROM programmes WHERE id = ?";
	const struct register_head *h = &x->p->head;
	struct query q = query_start(x->c, sql);
	int64_t same, word_time = 0;
	query_int(&q, x->p->in.programme);
	query_int(&q, h->size);
	query_blob(&q, h->head, SHA256_SIZE);
	outcome o = query_number(&q, 0, &same, f);
	if (o.ok && !same)
		return refuse_history(x, h->size, (struct bytes){0},
				      "the register's word is of another history", f);
	if (!o.ok || h->size == x->size)
		return o;
	q = query_start(x->c, newest);
	query_int(&q, x->p->in.programme);
	o = query_number(&q, 0, &word_time, f);
	return o.ok && h->time > word_time ? refuse_history(x, h->size, (struct bytes){0},
							    "the register is shorter than it was before", f)
					   : o;
}

/* ---- what is new ---- */

/* A receipt that was seen before its entry came. */
static outcome check_seen(struct pushing *x, const struct register_entry *e, struct fault *f)
{
	static const char sql[] =
		"SELECT receipt FROM register_heads WHERE programme_id = ? AND idx = ? AND head <> ?";
	struct query q = query_start(x->c, sql);
	uint8_t room[PROVENANCE_OBJECT_MAX];
	bool row;
	query_int(&q, x->p->in.programme);
	query_int(&q, e->index);
	query_blob(&q, x->head, SHA256_SIZE);
	outcome o = query_row(&q, &row, f);
	if (!o.ok || !row)
		return o;
	struct bytes receipt = column_bytes(&q, room, sizeof room);
	query_end(&q);
	return refuse_history(x, e->index, receipt, "a receipt was given for another history", f);
}

static outcome write_entry(struct pushing *x, const struct register_entry *e, struct fault *f)
{
	static const char sql[] = "INSERT INTO register_entries VALUES (?, ?, ?, ?, ?)";
	struct query q = query_start(x->c, sql);
	query_int(&q, x->p->in.programme);
	query_int(&q, e->index);
	query_int(&q, e->time);
	query_blob(&q, e->object, SHA256_SIZE);
	query_blob(&q, x->head, SHA256_SIZE);
	return query_run(&q, f);
}

static outcome add_entry(struct pushing *x, const struct register_entry *e, struct fault *f)
{
	uint8_t head[SHA256_SIZE];
	struct op *op = &x->p->change.op;
	if (e->time < x->time)
		return op_refuse(op, REASON_BAD_FIELD, "entry %" PRId64 ": times of a register never fall",
				 e->index);
	register_next(x->head, e, head);
	memcpy(x->head, head, SHA256_SIZE);
	outcome o = check_seen(x, e, f);
	if (o.ok && !op->refused)
		o = write_entry(x, e, f);
	x->size = e->index;
	x->time = e->time;
	x->p->change.count++;
	return o;
}

static outcome keep_word(struct pushing *x, struct fault *f)
{
	static const char word[] =
		"UPDATE programmes SET word = ?, word_time = ?2 WHERE id = ? AND word_time <= ?2";
	static const char seen[] = "DELETE FROM register_heads WHERE programme_id = ? AND idx <= ?";
	struct query q = query_start(x->c, word);
	query_blob(&q, x->p->in.word.p, x->p->in.word.n);
	query_int(&q, x->p->head.time);
	query_int(&q, x->p->in.programme);
	outcome o = query_run(&q, f);
	if (!o.ok)
		return o;
	q = query_start(x->c, seen);
	query_int(&q, x->p->in.programme);
	query_int(&q, x->size);
	return query_run(&q, f);
}

static outcome finish(struct pushing *x, struct fault *f)
{
	const struct register_head *h = &x->p->head;
	if (h->size < x->size)
		return check_known_head(x, f);
	if (memcmp(h->head, x->head, SHA256_SIZE))
		return refuse_history(x, h->size, (struct bytes){0},
				      "the entries do not lead to the register's word", f);
	return keep_word(x, f);
}

static outcome put_all(struct pushing *x, struct fault *f)
{
	struct op *op = &x->p->change.op;
	outcome o = DONE;
	if (x->p->entries[0].index > x->size + 1)
		return op_refuse(op, REASON_CONFLICT,
				 "the copy ends at entry %" PRId64 ", and these begin at %" PRId64, x->size,
				 x->p->entries[0].index);
	for (size_t i = 0; o.ok && !op->refused && i < x->p->in.count; i++) {
		const struct register_entry *e = &x->p->entries[i];
		o = e->index <= x->size ? check_known(x, e, f) : add_entry(x, e, f);
	}
	return o.ok && !op->refused ? finish(x, f) : o;
}

/* What is refused is taken back, and its alarm stays. */
static outcome take_back(struct pushing *x, struct fault *f)
{
	static const char back[] = "ROLLBACK TO pushed";
	outcome o = query_exec(x->c, back, f);
	x->p->change.count = 0;
	return o.ok ? log_alarm(x, f) : o;
}

static outcome run_push(struct op *op, struct conn *c, struct fault *f)
{
	static const char savepoint[] = "SAVEPOINT pushed", release[] = "RELEASE pushed";
	struct push_op *p = (struct push_op *)op;
	struct pushing x = {.p = p, .c = c};
	p->change.count = 0;
	outcome o = query_exec(c, savepoint, f);
	if (o.ok)
		o = load_end(&x, f);
	if (o.ok)
		o = put_all(&x, f);
	if (o.ok && op->refused)
		o = take_back(&x, f);
	if (o.ok)
		o = query_exec(c, release, f);
	buf_free(&x.alarm);
	op->seq = op->store->writer.head.seq;
	return o;
}

void store_register_push(struct store *s, const struct store_caller *who,
			 const struct store_register_push *push, store_changed_done *done, void *arg)
{
	struct push_op *p = (struct push_op *)change_new(s, sizeof *p, who, "", "", run_push, done, arg);
	p->change.op.urgent = false;
	p->in = *push;
	p->in.word = op_bytes(&p->change.op, push->word);
	p->head = *push->head;
	p->entries = op_alloc(&p->change.op, push->count * sizeof *p->entries);
	memcpy(p->entries, push->entries, push->count * sizeof *p->entries);
	op_write(&p->change.op);
}
