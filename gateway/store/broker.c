/* Brokers: those that changes wait for, and those that an operator has revoked. */
#include "store_internal.h"

#include <stdio.h>
#include <string.h>

static struct log_new entry(const struct change_op *c, const char *kind)
{
	return (struct log_new){.kind = kind,
				.actor = c->actor,
				.request_id = c->request_id,
				.thing = c->name,
				.reason = c->reason};
}

/* ---- known ones ---- */

static outcome change_broker(struct op *op, struct conn *c, const char *sql, const char *kind,
			     struct fault *f)
{
	struct change_op *b = (struct change_op *)op;
	struct writer *w = &op->store->writer;
	struct query q = query_start(c, sql);
	query_text(&q, b->name);
	outcome o = query_run(&q, f);
	if (!o.ok || !(b->count = sqlite3_changes(c->db)))
		return o;
	struct log_new e = entry(b, kind);
	o = log_append(w, &e, f);
	op->seq = w->head.seq;
	return o;
}

struct broker_op {
	struct change_op change;
	bool whole; /* the name, not a key */
	uint8_t spki_sha256[SHA256_SIZE];
};

static outcome is_revoked(struct conn *c, const struct broker_op *b, bool *revoked, struct fault *f)
{
	static const char sql[] = "SELECT 1 FROM revoked_brokers WHERE spki_sha256 = ? OR "
				  "(name = ? AND length(spki_sha256) = 0) LIMIT 1";
	struct query q = query_start(c, sql);
	query_blob(&q, b->spki_sha256, SHA256_SIZE);
	query_text(&q, b->change.name);
	outcome o = query_row(&q, revoked, f);
	query_end(&q);
	return o;
}

static outcome run_broker_add(struct op *op, struct conn *c, struct fault *f)
{
	static const char sql[] = "INSERT OR IGNORE INTO brokers VALUES (?)";
	struct broker_op *b = (struct broker_op *)op;
	bool revoked;
	outcome o = is_revoked(c, b, &revoked, f);
	if (!o.ok)
		return o;
	if (revoked)
		return op_refuse(op, REASON_BROKER_REVOKED,
				 "broker %s or the key of its certificate is revoked", b->change.name);
	return change_broker(op, c, sql, "broker-added", f);
}

void store_broker_add(struct store *s, const struct store_caller *who, const char *name,
		      const uint8_t spki_sha256[SHA256_SIZE], store_changed_done *done, void *arg)
{
	struct broker_op *b =
		(struct broker_op *)change_new(s, sizeof *b, who, name, "", run_broker_add, done, arg);
	memcpy(b->spki_sha256, spki_sha256, SHA256_SIZE);
	op_write(&b->change.op);
}

static outcome run_broker_remove(struct op *op, struct conn *c, struct fault *f)
{
	static const char sql[] = "DELETE FROM brokers WHERE name = ?";
	outcome o = change_broker(op, c, sql, "broker-removed", f);
	if (o.ok && ((struct change_op *)op)->count == 0)
		return op_refuse(op, REASON_NOT_FOUND,
				 "there is no broker of this name; mooringctl brokers lists them");
	return o;
}

void store_broker_remove(struct store *s, const struct store_caller *who, const char *name,
			 store_changed_done *done, void *arg)
{
	op_write(&change_new(s, sizeof(struct change_op), who, name, "", run_broker_remove, done, arg)->op);
}

struct brokers_op {
	struct op op;
	struct page page;
	void (*done)(const char *const *names, size_t count, const struct fault *f, void *arg);
	void *arg;
};

static void read_name(struct op *op, struct query *q, void *into)
{
	*(const char **)into = op_text(op, column_text(q));
}

static outcome run_brokers(struct op *op, struct conn *c, struct fault *f)
{
	static const char sql[] = "SELECT name FROM brokers ORDER BY name LIMIT 500";
	struct brokers_op *b = (struct brokers_op *)op;
	struct query q = query_start(c, sql);
	b->page = page_new(op, sizeof(const char *));
	return page_fill(&b->page, &q, read_name, f);
}

static void answer_brokers(struct op *op, const struct fault *f)
{
	struct brokers_op *b = (struct brokers_op *)op;
	b->done(f ? NULL : b->page.rows, f ? 0 : b->page.count, f, b->arg);
}

void store_brokers(struct store *s,
		   void (*done)(const char *const *names, size_t count, const struct fault *f, void *arg),
		   void *arg)
{
	struct brokers_op *b = op_new(s, sizeof *b, run_brokers, answer_brokers);
	b->done = done;
	b->arg = arg;
	op_read(&b->op);
}

/* ---- revoked ones ---- */

static size_t spki_length(const struct broker_op *b)
{
	return b->whole ? 0 : SHA256_SIZE;
}

/* The entry that revoked it, where there is one. */
static outcome find_revocation(struct conn *c, struct broker_op *b, struct fault *f)
{
	static const char sql[] =
		"SELECT seq, revoked_at_ms, reason, actor FROM revoked_brokers WHERE name = ? "
		"AND spki_sha256 = ?";
	struct store_changed *answer = &b->change.answer;
	struct query q = query_start(c, sql);
	query_text(&q, b->change.name);
	query_blob(&q, b->spki_sha256, spki_length(b));
	outcome o = query_row(&q, &answer->already, f);
	if (!o.ok || !answer->already)
		return o;
	b->change.op.seq = column_int(&q);
	answer->recorded_at_ms = column_int(&q);
	snprintf(answer->reason, sizeof answer->reason, "%s", column_text(&q));
	snprintf(answer->actor, sizeof answer->actor, "%s", column_text(&q));
	query_end(&q);
	return DONE;
}

static outcome log_revocation(struct broker_op *b, struct fault *f)
{
	struct writer *w = &b->change.op.store->writer;
	struct buf detail = {0};
	struct log_new e = entry(&b->change, "broker-revoked");
	if (!b->whole) {
		detail_hex(&detail, "spki_sha256", b->spki_sha256, SHA256_SIZE);
		e.detail = detail_end(&detail);
	}
	outcome o = log_append(w, &e, f);
	buf_free(&detail);
	b->change.op.seq = w->head.seq;
	return o;
}

static outcome write_revocation(struct conn *c, const struct broker_op *b, int64_t now_ms, struct fault *f)
{
	static const char sql[] = "INSERT INTO revoked_brokers VALUES (?, ?, ?, ?, ?, ?)";
	struct query q = query_start(c, sql);
	query_text(&q, b->change.name);
	query_blob(&q, b->spki_sha256, spki_length(b));
	query_int(&q, now_ms);
	query_int(&q, b->change.op.seq);
	query_text(&q, b->change.reason);
	query_text(&q, b->change.actor);
	return query_run(&q, f);
}

/* Nothing waits for a name that will never have a feed. */
static outcome forget_broker(struct conn *c, struct broker_op *b, struct fault *f)
{
	static const char sql[] = "DELETE FROM brokers WHERE name = ?";
	struct query q = query_start(c, sql);
	query_text(&q, b->change.name);
	outcome o = query_run(&q, f);
	b->change.count = o.ok ? sqlite3_changes(c->db) : 0;
	return o;
}

static outcome run_broker_revoke(struct op *op, struct conn *c, struct fault *f)
{
	struct broker_op *b = (struct broker_op *)op;
	b->change.count = 0;
	outcome o = find_revocation(c, b, f);
	if (!o.ok || b->change.answer.already)
		return o;
	o = log_revocation(b, f);
	if (o.ok)
		o = write_revocation(c, b, op->store->writer.now_ms, f);
	return o.ok && b->whole ? forget_broker(c, b, f) : o;
}

void store_broker_revoke(struct store *s, const struct store_caller *who, const char *name,
			 const uint8_t *spki_sha256, const char *reason, store_changed_done *done, void *arg)
{
	struct broker_op *b =
		(struct broker_op *)change_new(s, sizeof *b, who, name, reason, run_broker_revoke, done, arg);
	b->whole = !spki_sha256;
	if (spki_sha256)
		memcpy(b->spki_sha256, spki_sha256, SHA256_SIZE);
	op_write(&b->change.op);
}

struct revoked_op {
	struct op op;
	struct page page;
	void (*done)(const struct store_revoked_broker *revoked, size_t count, const struct fault *f,
		     void *arg);
	void *arg;
};

static void read_revoked(struct op *op, struct query *q, void *into)
{
	struct store_revoked_broker *out = into;
	out->name = op_text(op, column_text(q));
	struct bytes spki = column_blob(q);
	out->whole = spki.n == 0;
	if (spki.n == SHA256_SIZE)
		memcpy(out->spki_sha256, spki.p, SHA256_SIZE);
	out->revoked_at_ms = column_int(q);
	out->reason = op_text(op, column_text(q));
	out->actor = op_text(op, column_text(q));
}

static outcome run_revoked(struct op *op, struct conn *c, struct fault *f)
{
	static const char sql[] =
		"SELECT name, spki_sha256, revoked_at_ms, reason, actor FROM revoked_brokers "
		"ORDER BY name, spki_sha256 LIMIT 500";
	struct revoked_op *r = (struct revoked_op *)op;
	struct query q = query_start(c, sql);
	r->page = page_new(op, sizeof(struct store_revoked_broker));
	return page_fill(&r->page, &q, read_revoked, f);
}

static void answer_revoked(struct op *op, const struct fault *f)
{
	struct revoked_op *r = (struct revoked_op *)op;
	r->done(f ? NULL : r->page.rows, f ? 0 : r->page.count, f, r->arg);
}

void store_brokers_revoked(struct store *s,
			   void (*done)(const struct store_revoked_broker *revoked, size_t count,
					const struct fault *f, void *arg),
			   void *arg)
{
	struct revoked_op *r = op_new(s, sizeof *r, run_revoked, answer_revoked);
	r->done = done;
	r->arg = arg;
	op_read(&r->op);
}
