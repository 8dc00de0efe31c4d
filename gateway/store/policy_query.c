/* Policies and things, as operators look at them. */
#include "store_internal.h"
#include "store_policy.h"

#include <string.h>

#define LISTED_POLICY                                                                                        \
	"p.name, p.document, p.shipped IS NOT NULL, p.shipped IS NOT NULL AND p.shipped <> p.document, "     \
	"(SELECT count(*) FROM devices d WHERE d.policy <> '' AND d.policy = p.name) FROM policies p "

static void read_policy(struct op *op, struct query *q, void *into)
{
	struct store_policy *out = into;
	out->name = op_text(op, column_text(q));
	out->document = op_text(op, column_text(q));
	out->shipped = column_int(q);
	out->edited = column_int(q);
	out->devices = column_int(q);
}

/* ---- a list ---- */

struct policies_op {
	struct op op;
	const char *after;
	size_t limit;
	struct page page;
	void (*done)(const struct store_policy *policies, size_t count, const struct fault *f, void *arg);
	void *arg;
};

static outcome run_policies(struct op *op, struct conn *c, struct fault *f)
{
	static const char sql[] = "SELECT " LISTED_POLICY "WHERE p.name > ? ORDER BY p.name LIMIT ?";
	struct policies_op *x = (struct policies_op *)op;
	struct query q = query_start(c, sql);
	query_text(&q, x->after);
	query_int(&q, (int64_t)x->limit);
	x->page = page_new(op, sizeof(struct store_policy));
	return page_fill(&x->page, &q, read_policy, f);
}

static void answer_policies(struct op *op, const struct fault *f)
{
	struct policies_op *x = (struct policies_op *)op;
	x->done(f ? NULL : x->page.rows, f ? 0 : x->page.count, f, x->arg);
}

void store_policies(struct store *s, const char *after, size_t limit,
		    void (*done)(const struct store_policy *policies, size_t count, const struct fault *f,
				 void *arg),
		    void *arg)
{
	struct policies_op *x = op_new(s, sizeof *x, run_policies, answer_policies);
	x->after = op_text(&x->op, after);
	x->limit = page_limit(limit);
	x->done = done;
	x->arg = arg;
	op_read(&x->op);
}

/* ---- one ---- */

struct policy_op {
	struct op op;
	const char *name;
	struct store_policy out;
	void (*done)(const struct store_policy *policy, const struct fault *f, void *arg);
	void *arg;
};

static void read_name(struct op *op, struct query *q, void *into)
{
	*(const char **)into = op_text(op, column_text(q));
}

static outcome read_things(struct policy_op *x, struct conn *c, struct fault *f)
{
	static const char sql[] =
		"SELECT thing FROM devices WHERE policy <> '' AND policy = ? ORDER BY thing LIMIT 500";
	struct page page = page_new(&x->op, sizeof(const char *));
	struct query q = query_start(c, sql);
	query_text(&q, x->name);
	outcome o = page_fill(&page, &q, read_name, f);
	x->out.things = page.rows;
	x->out.thing_count = page.count;
	return o;
}

static outcome run_policy(struct op *op, struct conn *c, struct fault *f)
{
	static const char sql[] = "SELECT " LISTED_POLICY "WHERE p.name = ?";
	struct policy_op *x = (struct policy_op *)op;
	struct query q = query_start(c, sql);
	bool row;
	query_text(&q, x->name);
	outcome o = query_row(&q, &row, f);
	if (o.ok && !row)
		return op_refuse(op, REASON_NOT_FOUND,
				 "there is no policy of this name; mooringctl policy list shows them");
	if (!o.ok)
		return o;
	read_policy(op, &q, &x->out);
	query_end(&q);
	return read_things(x, c, f);
}

static void answer_policy(struct op *op, const struct fault *f)
{
	struct policy_op *x = (struct policy_op *)op;
	x->done(f ? NULL : &x->out, f, x->arg);
}

void store_policy(struct store *s, const char *name,
		  void (*done)(const struct store_policy *policy, const struct fault *f, void *arg),
		  void *arg)
{
	struct policy_op *x = op_new(s, sizeof *x, run_policy, answer_policy);
	x->name = op_text(&x->op, name);
	x->done = done;
	x->arg = arg;
	op_read(&x->op);
}

/* ---- a thing ---- */

struct thing_op {
	struct op op;
	const char *name;
	struct store_thing out;
	void (*done)(const struct store_thing *thing, const struct fault *f, void *arg);
	void *arg;
};

static outcome run_thing(struct op *op, struct conn *c, struct fault *f)
{
	static const char sql[] =
		"SELECT thing_type, attributes, policy, detached, (SELECT count(*) FROM certificates c WHERE "
		"c.device_id = d.id AND c.state < 2 AND c.not_after > unixepoch()) FROM devices d WHERE "
		"thing = ?";
	struct thing_op *x = (struct thing_op *)op;
	struct query q = query_start(c, sql);
	bool row;
	query_text(&q, x->name);
	outcome o = query_row(&q, &row, f);
	if (o.ok && !row)
		return op_refuse(op, REASON_NOT_FOUND,
				 "there is no thing of this name; mooringctl devices lists them");
	if (!o.ok)
		return o;
	x->out = (struct store_thing){.name = x->name};
	x->out.type = op_text(op, column_text(&q));
	const char *attributes = column_text(&q);
	x->out.attributes = op_text(op, *attributes ? attributes : "{}");
	x->out.policy = op_text(op, column_text(&q));
	x->out.attached = !column_int(&q);
	x->out.certificates = column_int(&q);
	query_end(&q);
	return DONE;
}

static void answer_thing(struct op *op, const struct fault *f)
{
	struct thing_op *x = (struct thing_op *)op;
	x->done(f ? NULL : &x->out, f, x->arg);
}

void store_thing(struct store *s, const char *thing,
		 void (*done)(const struct store_thing *thing, const struct fault *f, void *arg), void *arg)
{
	struct thing_op *x = op_new(s, sizeof *x, run_thing, answer_thing);
	x->name = op_text(&x->op, thing);
	x->done = done;
	x->arg = arg;
	op_read(&x->op);
}
