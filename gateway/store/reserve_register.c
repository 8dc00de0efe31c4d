#include "reserve_internal.h"

#include <string.h>

/* A chain's receipt, held against the copy of the register and against what other receipts have said: the register tells
 * everybody the same. */

struct row {
	bool there;
	int64_t time;
	uint8_t object[SHA256_SIZE], head[SHA256_SIZE];
};

static outcome find_entry(struct decision *x, int64_t programme, int64_t index, struct row *out,
			  struct fault *f)
{
	static const char sql[] =
		"SELECT time, object, head FROM register_entries WHERE programme_id = ? AND idx = ?";
	struct query q = query_start(&x->w->conn, sql);
	query_int(&q, programme);
	query_int(&q, index);
	outcome o = query_row(&q, &out->there, f);
	if (!o.ok || !out->there)
		return o;
	out->time = column_int(&q);
	column_copy(&q, out->object, SHA256_SIZE);
	column_copy(&q, out->head, SHA256_SIZE);
	query_end(&q);
	return DONE;
}

/* What it is in contradiction with: the register's word of the copy, or another receipt. */
static outcome refuse_history(struct decision *x, const char *name, struct bytes known, struct fault *f)
{
	static const char rule[] = "the register says something else here than what it has said before";
	struct buf detail = {0};
	detail_text(&detail, "rule", rule);
	detail_base64url(&detail, "receipt", x->r->in.chain->receipt);
	detail_base64url(&detail, name, known);
	outcome o = reserve_alarm(x, REASON_REGISTER_HISTORY, detail_end(&detail), f);
	buf_free(&detail);
	return o.ok ? reserve_refuse(x, REASON_REGISTER_HISTORY, rule, f) : o;
}

static outcome refuse_against_copy(struct decision *x, struct fault *f)
{
	static const char sql[] = "SELECT word FROM programmes WHERE id = ?";
	struct query q = query_start(&x->w->conn, sql);
	uint8_t room[PROVENANCE_OBJECT_MAX];
	bool row;
	query_int(&q, x->r->in.chain->programme);
	outcome o = query_row(&q, &row, f);
	if (!o.ok || !row)
		return o.ok ? refuse(f, REASON_INTERNAL, "a programme is gone") : o;
	struct bytes word = column_bytes(&q, room, sizeof room);
	query_end(&q);
	return refuse_history(x, "register_word", word, f);
}

static outcome check_other_receipt(struct decision *x, int64_t index, struct fault *f)
{
	static const char sql[] =
		"SELECT head, receipt FROM register_heads WHERE programme_id = ? AND idx = ?";
	const struct store_chain *c = x->r->in.chain;
	struct query q = query_start(&x->w->conn, sql);
	uint8_t head[SHA256_SIZE], room[PROVENANCE_OBJECT_MAX];
	bool row;
	query_int(&q, c->programme);
	query_int(&q, index);
	outcome o = query_row(&q, &row, f);
	x->receipt_is_ahead = o.ok && !row;
	if (!o.ok || !row)
		return o;
	column_copy(&q, head, SHA256_SIZE);
	struct bytes other = column_bytes(&q, room, sizeof room);
	query_end(&q);
	return memcmp(head, c->head, SHA256_SIZE) ? refuse_history(x, "other_receipt", other, f) : DONE;
}

static outcome check_entry(struct decision *x, size_t i, const struct row *known, struct fault *f)
{
	const struct store_chain *c = x->r->in.chain;
	const struct store_statement *s = &c->statements[i];
	bool last = i + 1 == c->receipt_count;
	if (known->time != s->time || memcmp(known->object, s->sha256, SHA256_SIZE) ||
	    (last && memcmp(known->head, c->head, SHA256_SIZE)))
		return refuse_against_copy(x, f);
	return DONE;
}

/* The copy has no gap, and a receipt's places rise: after the first that is not there, none is. */
outcome reserve_check_register(struct decision *x, struct fault *f)
{
	const struct store_chain *c = x->r->in.chain;
	outcome o = DONE;
	for (size_t i = 0; o.ok && !x->settled && i < c->receipt_count; i++) {
		struct row known;
		o = find_entry(x, c->programme, c->statements[i].index, &known, f);
		if (o.ok && !known.there)
			return check_other_receipt(x, c->statements[c->receipt_count - 1].index, f);
		if (o.ok)
			o = check_entry(x, i, &known, f);
	}
	return o;
}

outcome reserve_write_register(struct decision *x, struct fault *f)
{
	static const char sql[] = "INSERT INTO register_heads VALUES (?, ?, ?, ?)";
	const struct store_chain *c = x->r->in.chain;
	struct query q;
	if (!x->receipt_is_ahead)
		return DONE;
	q = query_start(&x->w->conn, sql);
	query_int(&q, c->programme);
	query_int(&q, c->statements[c->receipt_count - 1].index);
	query_blob(&q, c->head, SHA256_SIZE);
	query_blob(&q, c->receipt.p, c->receipt.n);
	return query_run(&q, f);
}
