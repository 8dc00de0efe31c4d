#include "store_internal.h"
#include "store_policy.h"

#include "common/policy/policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Brokers have numbers for twice as many, services' included. */
enum { NAMED_MAX = 32768 };

static const char service_prefix[] = "service/";

/* ---- rows ---- */

static outcome read_text(struct query *q, struct buf *out, bool *found, struct fault *f)
{
	outcome o = query_row(q, found, f);
	out->n = 0;
	if (o.ok && *found) {
		buf_str(out, column_text(q));
		buf_byte(out, 0);
		query_end(q);
	}
	return o.ok && out->failed ? refuse(f, REASON_NO_MEMORY, "no memory for a policy") : o;
}

/* With a NUL behind it; "" where there is none. */
outcome policy_document(struct conn *c, const char *name, struct buf *out, bool *found, struct fault *f)
{
	static const char sql[] = "SELECT document FROM policies WHERE name = ?";
	struct query q = query_start(c, sql);
	query_text(&q, name);
	return read_text(&q, out, found, f);
}

static outcome read_shipped(struct conn *c, const char *name, struct buf *out, bool *found, struct fault *f)
{
	static const char sql[] = "SELECT shipped FROM policies WHERE name = ? AND shipped IS NOT NULL";
	struct query q = query_start(c, sql);
	query_text(&q, name);
	return read_text(&q, out, found, f);
}

static outcome write_document(struct conn *c, const char *name, const char *document, struct fault *f)
{
	static const char sql[] = "INSERT INTO policies (name, document) VALUES (?, ?) "
				  "ON CONFLICT DO UPDATE SET document = excluded.document";
	struct query q = query_start(c, sql);
	query_text(&q, name);
	query_text(&q, document);
	return query_run(&q, f);
}

static outcome write_shipped(struct conn *c, const char *name, const char *document, struct fault *f)
{
	static const char sql[] = "UPDATE policies SET shipped = ? WHERE name = ? AND shipped IS NOT ?1";
	struct query q = query_start(c, sql);
	query_text(&q, document);
	query_text(&q, name);
	return query_run(&q, f);
}

/* ---- one change ---- */

static outcome log_policy(struct change_op *c, const char *kind, const char *name, const char *document,
			  struct fault *f)
{
	struct writer *w = &c->op.store->writer;
	struct buf detail = {0};
	if (document)
		detail_text(&detail, "document", document);
	struct log_new e = {.kind = kind,
			    .actor = c->actor,
			    .request_id = c->request_id,
			    .thing = name,
			    .reason = c->reason,
			    .detail = detail_end(&detail)};
	outcome o = log_append(w, &e, f);
	buf_free(&detail);
	c->count++;
	c->op.seq = w->head.seq;
	return o.ok ? feed_note_policy(w, name, document, f) : o;
}

/* What an admin has set stays in force over the gateway's start. */
static outcome is_kept(struct conn *c, const char *name, const char *document, bool *kept, struct fault *f)
{
	struct buf shipped = {0};
	bool found;
	outcome o = read_shipped(c, name, &shipped, &found, f);
	*kept = o.ok && found && strcmp((const char *)shipped.p, document) != 0;
	buf_free(&shipped);
	return o;
}

outcome policy_put(struct change_op *c, const char *name, const char *document, enum policy_origin origin,
		   struct fault *f)
{
	struct conn *conn = &c->op.store->writer.conn;
	struct buf old = {0};
	bool found, kept = false;
	outcome o = policy_document(conn, name, &old, &found, f);
	bool same = o.ok && found && !strcmp((const char *)old.p, document);
	if (o.ok && found && origin == POLICY_SHIPPED)
		o = is_kept(conn, name, (const char *)old.p, &kept, f);
	buf_free(&old);
	if (o.ok && !same && !kept)
		o = write_document(conn, name, document, f);
	if (o.ok && !same && !kept)
		o = log_policy(c, "policy-set", name, document, f);
	return o.ok && origin != POLICY_EDITED ? write_shipped(conn, name, document, f) : o;
}

/* What is so already was made so by the newest entry. */
static outcome answer_old(struct change_op *c, const char *name, struct fault *f)
{
	static const char sql[] =
		"SELECT time_ms, reason, actor, seq FROM log WHERE kind = 'policy-set' AND thing = ? "
		"ORDER BY seq DESC LIMIT 1";
	struct query q = query_start(&c->op.store->writer.conn, sql);
	bool row;
	query_text(&q, name);
	outcome o = query_row(&q, &row, f);
	c->answer.already = true;
	if (!o.ok || !row)
		return o;
	c->answer.recorded_at_ms = column_int(&q);
	column_string(&q, c->answer.reason, sizeof c->answer.reason);
	column_string(&q, c->answer.actor, sizeof c->answer.actor);
	c->op.seq = column_int(&q);
	query_end(&q);
	return DONE;
}

static void begin(struct change_op *c)
{
	c->count = 0;
	c->answer = (struct store_changed){0};
}

/* ---- set ---- */

struct policy_op {
	struct change_op change;
	const char *document;
};

static bool is_services(const char *name)
{
	return !strncmp(name, service_prefix, sizeof service_prefix - 1);
}

/* A service's policy comes and goes with it. */
static outcome may_set(struct policy_op *p, struct fault *f)
{
	static const char sql[] = "SELECT count(*), sum(name = ?) FROM policies";
	struct query q = query_start(&p->change.op.store->writer.conn, sql);
	bool row;
	query_text(&q, p->change.name);
	outcome o = query_row(&q, &row, f);
	if (!o.ok || !row)
		return o;
	int64_t count = column_int(&q), known = column_int(&q);
	query_end(&q);
	if (!known && is_services(p->change.name))
		return op_refuse(&p->change.op, REASON_NOT_FOUND,
				 "there is no service of this name; mooringctl service add registers one");
	if (!known && count >= NAMED_MAX)
		return op_refuse(&p->change.op, REASON_CONFLICT,
				 "there are %d policies, and no room for another", NAMED_MAX);
	return DONE;
}

static outcome run_policy_set(struct op *op, struct conn *c, struct fault *f)
{
	struct policy_op *p = (struct policy_op *)op;
	(void)c;
	begin(&p->change);
	outcome o = may_set(p, f);
	if (!o.ok || op->refused)
		return o;
	o = policy_put(&p->change, p->change.name, p->document, POLICY_EDITED, f);
	return o.ok && !p->change.count ? answer_old(&p->change, p->change.name, f) : o;
}

static outcome run_policy_ship(struct op *op, struct conn *c, struct fault *f)
{
	struct policy_op *p = (struct policy_op *)op;
	(void)c;
	begin(&p->change);
	return policy_put(&p->change, p->change.name, p->document, POLICY_SHIPPED, f);
}

/* AWS: the pattern of a policy's name. */
static bool is_given_name(const char *name)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+=,.@-";
	size_t n = strlen(name);
	return n >= 1 && n < STORE_POLICY_NAME_SIZE && strspn(name, allowed) == n;
}

static void set(struct policy_op *p, const char *document)
{
	p->document = op_text(&p->change.op, document);
	if (strlen(p->document) > POLICY_BYTES_MAX)
		op_refuse(&p->change.op, REASON_POLICY_SYNTAX, "a policy document of more than %d bytes",
			  POLICY_BYTES_MAX);
	else if (!is_services(p->change.name) && !is_given_name(p->change.name))
		op_refuse(&p->change.op, REASON_BAD_FIELD,
			  "a policy's name has 1 to %d characters of A-Z a-z 0-9 _ + = , . @ -; "
			  "\"service/NAME\" is "
			  "that of a service",
			  STORE_POLICY_NAME_SIZE - 1);
	if (p->change.op.refused)
		op_finish(&p->change.op);
	else
		op_write(&p->change.op);
}

void store_policy_set(struct store *s, const struct store_caller *who, const char *name, const char *document,
		      store_changed_done *done, void *arg)
{
	set((struct policy_op *)change_new(s, sizeof(struct policy_op), who, name, "", run_policy_set, done,
					   arg),
	    document);
}

void store_policy_ship(struct store *s, const struct store_caller *who, const char *document,
		       store_changed_done *done, void *arg)
{
	set((struct policy_op *)change_new(s, sizeof(struct policy_op), who, "default", "", run_policy_ship,
					   done, arg),
	    document);
}

/* ---- reset ---- */

static outcome refuse_unknown(struct op *op)
{
	return op_refuse(op, REASON_NOT_FOUND,
			 "there is no policy of this name; mooringctl policy list shows them");
}

static outcome run_policy_reset(struct op *op, struct conn *c, struct fault *f)
{
	struct change_op *x = (struct change_op *)op;
	struct buf document = {0};
	bool found, shipped = false;
	begin(x);
	outcome o = policy_document(c, x->name, &document, &found, f);
	if (o.ok && !found)
		o = refuse_unknown(op);
	else if (o.ok)
		o = read_shipped(c, x->name, &document, &shipped, f);
	if (o.ok && found && !shipped)
		o = op_refuse(
			op, REASON_CONFLICT,
			"this policy was made by an admin, and there is nothing to reset it to; `policy set` "
			"changes it, `policy delete` ends it");
	if (o.ok && shipped)
		o = policy_put(x, x->name, (const char *)document.p, POLICY_EDITED, f);
	if (o.ok && shipped && !x->count)
		o = answer_old(x, x->name, f);
	buf_free(&document);
	return o;
}

void store_policy_reset(struct store *s, const struct store_caller *who, const char *name,
			store_changed_done *done, void *arg)
{
	op_write(&change_new(s, sizeof(struct change_op), who, name, "reset", run_policy_reset, done, arg)
			  ->op);
}

/* ---- delete ---- */

static outcome delete_row(struct conn *c, const char *name, struct fault *f)
{
	static const char sql[] = "DELETE FROM policies WHERE name = ?";
	struct query q = query_start(c, sql);
	query_text(&q, name);
	return query_run(&q, f);
}

static outcome is_attached(struct conn *c, const char *name, char thing[THING_NAME_SIZE], bool *attached,
			   struct fault *f)
{
	static const char sql[] = "SELECT thing FROM devices WHERE policy <> '' AND policy = ? LIMIT 1";
	struct query q = query_start(c, sql);
	query_text(&q, name);
	outcome o = query_row(&q, attached, f);
	if (o.ok && *attached) {
		column_string(&q, thing, THING_NAME_SIZE);
		query_end(&q);
	}
	return o;
}

static outcome run_policy_delete(struct op *op, struct conn *c, struct fault *f)
{
	struct change_op *x = (struct change_op *)op;
	struct buf document = {0};
	char thing[THING_NAME_SIZE];
	bool found, shipped = false, attached = false;
	begin(x);
	outcome o = policy_document(c, x->name, &document, &found, f);
	if (o.ok)
		o = read_shipped(c, x->name, &document, &shipped, f);
	if (o.ok)
		o = is_attached(c, x->name, thing, &attached, f);
	buf_free(&document);
	if (!o.ok)
		return o;
	if (!found)
		return refuse_unknown(op);
	if (shipped)
		return op_refuse(
			op, REASON_CONFLICT,
			"the default policy stays, and a service's ends with its service; `policy reset` "
			"undoes edits");
	if (attached)
		return op_refuse(op, REASON_CONFLICT,
				 "it is attached to %s: detach it from every thing first", thing);
	o = delete_row(c, x->name, f);
	return o.ok ? log_policy(x, "policy-deleted", x->name, NULL, f) : o;
}

void store_policy_delete(struct store *s, const struct store_caller *who, const char *name,
			 store_changed_done *done, void *arg)
{
	op_write(&change_new(s, sizeof(struct change_op), who, name, "", run_policy_delete, done, arg)->op);
}
