#include "chain_check.h"

#include <string.h>

/* What is found out of a statement on the way. */
struct finding {
	const struct stage_statement *s;
	const struct line_record *line;
	const struct work_order *order;
	bool registered;
};

struct checking {
	const struct chain *chain;
	const struct chain_rules *rules;
	const struct chain_world *world;
	struct chain_shown *shown;
	uint8_t dev[DEV_SIZE];
	struct finding of[STAGES_MAX];
};

/* Counted from 1, as people count. */
static outcome refuse_statement(const struct checking *c, size_t i, enum reason reason, const char *rule,
				struct fault *f)
{
	const struct stage_statement *s = c->of[i].s;
	return refuse(f, reason, "statement %zu (stage %lld, batch %s): %s", i + 1, (long long)s->stage,
		      s->batch, rule);
}

/* ---- what the chain itself shows ---- */

static outcome check_device(struct checking *c, size_t i, struct fault *f)
{
	if (memcmp(c->of[i].s->dev, c->dev, DEV_SIZE) != 0)
		return refuse_statement(c, i, REASON_CHAIN_DEVICE, "it is of another device", f);
	return DONE;
}

static outcome check_programme(struct checking *c, size_t i, struct fault *f)
{
	if (memcmp(c->of[i].s->programme, c->rules->programme, PROGRAMME_ID_SIZE) != 0)
		return refuse_statement(c, i, REASON_CHAIN_PROGRAMME, "it is of another programme", f);
	return DONE;
}

static outcome check_link(struct checking *c, size_t i, struct fault *f)
{
	uint8_t start[SHA256_SIZE];
	const uint8_t *before = start;
	if (i)
		before = c->of[i - 1].s->object.sha256;
	else
		provenance_start(c->rules->programme, c->dev, start);
	if (memcmp(c->of[i].s->previous, before, SHA256_SIZE) != 0)
		return refuse_statement(c, i, REASON_CHAIN_BROKEN, "it does not name the one before", f);
	if (i && c->of[i].s->stage <= c->of[i - 1].s->stage)
		return refuse_statement(c, i, REASON_CHAIN_BROKEN, "its stage is not above the one before",
					f);
	return DONE;
}

/* ---- lines and orders ---- */

static outcome check_signature(const struct checking *c, size_t i, struct fault *f)
{
	struct fault own = {0};
	if (provenance_verify(&c->of[i].s->object, c->of[i].line->key, &own).ok)
		return DONE;
	return refuse_statement(c, i, own.reason, own.text, f);
}

static outcome check_line(struct checking *c, size_t i, struct fault *f)
{
	struct finding *of = &c->of[i];
	of->line = c->world->line(c->world->arg, of->s->object.key_id);
	if (!of->line)
		return refuse_statement(c, i, REASON_LINE_UNKNOWN, "no line is known by its key id", f);
	if (!line_record_may_do(of->line, of->s->stage))
		return refuse_statement(c, i, REASON_LINE_STAGE, "its line's record does not have this stage",
					f);
	return check_signature(c, i, f);
}

/* A first stage follows no line, and every other one of those that its order names. */
static bool route_holds(const struct checking *c, size_t i)
{
	const struct work_order *order = c->of[i].order;
	if (i == 0)
		return order->previous_count == 0;
	for (size_t k = 0; k < order->previous_count; k++)
		if (!memcmp(order->previous[k], c->of[i - 1].s->object.key_id, KEY_ID_SIZE))
			return true;
	return false;
}

static outcome check_order(struct checking *c, size_t i, struct fault *f)
{
	struct finding *of = &c->of[i];
	of->order = c->world->order(c->world->arg, of->s->object.key_id, of->s->batch, of->s->stage);
	if (!of->order)
		return refuse_statement(c, i, REASON_ORDER_MISSING,
					"no work order for this line, batch and stage", f);
	if (of->s->seq > of->order->quota)
		return refuse_statement(c, i, REASON_ORDER_QUOTA,
					"its sequence number is above the work order's quota", f);
	if (!route_holds(c, i))
		return refuse_statement(c, i, REASON_ORDER_ROUTE,
					"the work order does not let it follow the line before", f);
	return DONE;
}

/* ---- the register's times ---- */

static outcome check_receipt_names_chain(const struct checking *c, const struct receipt *r, struct fault *f)
{
	if (memcmp(r->programme, c->rules->programme, PROGRAMME_ID_SIZE) != 0)
		return refuse(f, REASON_RECEIPT_MISMATCH, "the receipt is of another programme");
	if (r->count > c->chain->count ||
	    memcmp(r->statement, c->of[r->count - 1].s->object.sha256, SHA256_SIZE) != 0)
		return refuse(f, REASON_RECEIPT_MISMATCH, "the receipt is not for this chain's statements");
	return DONE;
}

static void take_times(struct checking *c)
{
	const struct receipt *r = &c->chain->receipt;
	size_t i = 0;
	for (; c->chain->has_receipt && i < r->count; i++) {
		c->shown->times[i] = r->at[i].time;
		c->of[i].registered = true;
	}
	for (; c->world->registered && i < c->chain->count; i++)
		c->of[i].registered =
			c->world->registered(c->world->arg, c->of[i].s->object.sha256, &c->shown->times[i]);
}

static outcome check_receipt_signature(const struct checking *c, const struct receipt *r, struct fault *f)
{
	struct fault own = {0};
	if (!c->world->register_key)
		return refuse(f, REASON_RECEIPT_SIGNATURE,
			      "there is a receipt, and no register's key is known");
	if (!provenance_verify(&r->object, c->world->register_key, &own).ok)
		return refuse(f, REASON_RECEIPT_SIGNATURE, "receipt: %s", own.text);
	return DONE;
}

/* Of the whole chain, in its first statement's turn. */
static outcome check_receipt(struct checking *c, size_t i, struct fault *f)
{
	const struct receipt *r = &c->chain->receipt;
	outcome o = DONE;
	if (i)
		return DONE;
	if (c->chain->has_receipt)
		o = check_receipt_signature(c, r, f);
	if (o.ok && c->chain->has_receipt)
		o = check_receipt_names_chain(c, r, f);
	if (o.ok)
		take_times(c);
	return o;
}

static outcome check_revoked(struct checking *c, size_t i, struct fault *f)
{
	const struct finding *of = &c->of[i];
	if (of->line->state != LINE_REVOKED)
		return DONE;
	if (!of->registered)
		return refuse_statement(c, i, REASON_LINE_REVOKED,
					"its line is revoked, and the register has no time of it", f);
	if (c->shown->times[i] >= of->line->revoked_from)
		return refuse_statement(c, i, REASON_LINE_REVOKED,
					"its line is revoked from before the register had it", f);
	return DONE;
}

static outcome check_registered(struct checking *c, size_t i, struct fault *f)
{
	if (!c->of[i].registered)
		return refuse_statement(c, i, REASON_CHAIN_UNREGISTERED, "it is not registered", f);
	if (i && c->shown->times[i] < c->shown->times[i - 1])
		return refuse_statement(c, i, REASON_CHAIN_UNREGISTERED,
					"it was registered before the statement that it follows", f);
	return DONE;
}

static bool is_within(int64_t t, int64_t from, int64_t to)
{
	return from <= t && t <= to;
}

static outcome check_validity(struct checking *c, size_t i, struct fault *f)
{
	const struct line_record *line = c->of[i].line;
	const struct work_order *order = c->of[i].order;
	int64_t t = c->shown->times[i];
	if (line->state == LINE_SUSPENDED)
		return refuse_statement(c, i, REASON_LINE_SUSPENDED, "its line is suspended", f);
	if (!is_within(t, line->not_before, line->not_after))
		return refuse_statement(c, i, REASON_LINE_TIME, "registered outside its line's validity", f);
	if (!is_within(t, order->not_before, order->not_after + order->register_within_s))
		return refuse_statement(c, i, REASON_ORDER_TIME, "registered outside its work order's time",
					f);
	return DONE;
}

/* ---- the whole ---- */

static outcome check_countersignature(const struct checking *c, struct fault *f)
{
	const struct stage_statement *last = c->of[c->chain->count - 1].s;
	uint8_t digest[SHA256_SIZE];
	stage_countersigned(last, last->object.key_id, c->chain->nonce, digest);
	return stage_countersignature_verify(digest, c->chain->countersignature, c->of[0].s->rot_key,
					     c->rules->allow_test_keys, f);
}

static bool begins_as(const struct chain *c, const struct chain_variant *v)
{
	for (size_t i = 0; i < c->count; i++)
		if (i >= v->count || c->statements[i].stage != v->stages[i])
			return false;
	return true;
}

static outcome check_stages(const struct checking *c, struct fault *f)
{
	const struct chain_variant *longer = NULL;
	size_t last = c->chain->count - 1;
	for (size_t i = 0; i < c->rules->variant_count; i++) {
		const struct chain_variant *v = &c->rules->variants[i];
		if (!begins_as(c->chain, v))
			continue;
		if (v->count == c->chain->count) {
			c->shown->variant = v;
			return DONE;
		}
		longer = v;
	}
	if (longer)
		return refuse_statement(c, last, REASON_CHAIN_DIVERTED,
					"the chain ends here: the device left it early", f);
	return refuse_statement(c, last, REASON_CHAIN_STAGES,
				"the stages up to here are none that a device has", f);
}

/* Each over all statements before the next. */
static outcome (*const passes[])(struct checking *c, size_t i, struct fault *f) = {
	check_device,  check_programme, check_link,	  check_line,	  check_order,
	check_receipt, check_revoked,	check_registered, check_validity,
};
enum { PASSES = sizeof passes / sizeof *passes };

/* Pass `from` refused statement `end`: how many before it hold in what was not asked yet. */
static size_t count_honest(struct checking *c, size_t from, size_t end)
{
	for (size_t i = 0; i < end; i++)
		for (size_t p = from; p < PASSES; p++)
			if (!passes[p](c, i, NULL).ok)
				return i;
	return end;
}

static outcome check_statements(struct checking *c, struct fault *f)
{
	for (size_t p = 0; p < PASSES; p++) {
		for (size_t i = 0; i < c->chain->count; i++) {
			outcome o = passes[p](c, i, f);
			if (o.ok)
				continue;
			c->shown->honest = count_honest(c, p, i);
			return o;
		}
	}
	c->shown->honest = c->chain->count;
	return DONE;
}

outcome chain_check(const struct chain *chain, const uint8_t instance_id[INSTANCE_ID_SIZE],
		    const struct chain_rules *rules, const struct chain_world *world,
		    struct chain_shown *shown, struct fault *f)
{
	struct checking c = {.chain = chain, .rules = rules, .world = world, .shown = shown};
	*shown = (struct chain_shown){0};
	provenance_dev(rules->programme, instance_id, c.dev);
	for (size_t i = 0; i < chain->count; i++)
		c.of[i].s = &chain->statements[i];
	outcome o = check_statements(&c, f);
	if (o.ok)
		o = check_countersignature(&c, f);
	return o.ok ? check_stages(&c, f) : o;
}
