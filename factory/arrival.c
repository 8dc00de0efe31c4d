#include "arrival.h"

#include <string.h>

/* The device, the programme, and the place in the chain of each statement; and its signature, where the line's record
 * is at hand. */
static outcome check_statement(const struct stage_statement *s, int64_t stage_before,
			       const struct work_order *order, const struct trust *trust, struct arrival *out,
			       struct fault *f)
{
	if (memcmp(s->dev, out->dev, sizeof out->dev) != 0)
		return refuse(f, REASON_CHAIN_DEVICE, "stage %lld: the statement is about another device",
			      (long long)s->stage);
	if (memcmp(s->programme, order->programme, PROGRAMME_ID_SIZE) != 0)
		return refuse(f, REASON_CHAIN_PROGRAMME, "stage %lld: the statement is for another programme",
			      (long long)s->stage);
	if (memcmp(s->previous, out->previous, SHA256_SIZE) != 0 || s->stage <= stage_before)
		return refuse(f, REASON_CHAIN_BROKEN, "stage %lld does not follow stage %lld of the chain",
			      (long long)s->stage, (long long)stage_before);
	memcpy(out->previous, s->object.sha256, SHA256_SIZE);
	const struct line_record *line = trust_find(trust, s->object.key_id);
	if (!line) {
		out->unverified++;
		return DONE;
	}
	if (line->state == LINE_REVOKED)
		return refuse(f, REASON_LINE_REVOKED, "stage %lld was done at %s, a line that is revoked",
			      (long long)s->stage, line->site);
	return provenance_verify(&s->object, line->key, f);
}

static outcome check_countersignature(const struct chain *c, const struct stage_statement *last,
				      const uint8_t rot_key[P256_POINT_SIZE], struct fault *f)
{
	uint8_t digest[SHA256_SIZE];
	if (memcmp(c->statements[0].rot_key, rot_key, P256_POINT_SIZE) != 0)
		return refuse(f, REASON_ROT_KEY, "the chain begins with the key of another Root of Trust");
	stage_countersigned(last, last->object.key_id, c->nonce, digest);
	return stage_countersignature_verify(digest, c->countersignature, rot_key, false, f);
}

static bool is_allowed_before(const struct work_order *order, const uint8_t line[KEY_ID_SIZE])
{
	for (size_t i = 0; i < order->previous_count; i++)
		if (!memcmp(order->previous[i], line, KEY_ID_SIZE))
			return true;
	return false;
}

static void look_for_order(const struct chain *c, const struct work_order *order, struct arrival *out)
{
	for (size_t i = 0; i < c->count; i++) {
		const struct stage_statement *s = &c->statements[i];
		if (s->stage != order->stage || strcmp(s->batch, order->batch) != 0 ||
		    memcmp(s->object.key_id, order->line, KEY_ID_SIZE) != 0)
			continue;
		out->there_already = true;
		out->seq = s->seq;
	}
}

static outcome check_route(const struct work_order *order, const struct stage_statement *last,
			   const struct arrival *out, struct fault *f)
{
	char line[HEX_SIZE(KEY_ID_SIZE)] = "";
	if (last)
		hex_encode(bytes_of(last->object.key_id, KEY_ID_SIZE), line);
	if (out->there_already || (!last && !order->previous_count))
		return DONE;
	if (!last)
		return refuse(f, REASON_ORDER_ROUTE,
			      "the device has been at no line, and the order is for devices that come from "
			      "another");
	if (last->stage >= order->stage)
		return refuse(f, REASON_CHAIN_BROKEN,
			      "the device has had stage %lld, at line %s: stage %lld is over",
			      (long long)last->stage, line, (long long)order->stage);
	if (!order->previous_count)
		return refuse(
			f, REASON_ORDER_ROUTE,
			"the device has a chain, and the order is for a first stage, where chains begin");
	if (!is_allowed_before(order, last->object.key_id))
		return refuse(f, REASON_ORDER_ROUTE,
			      "the device comes from stage %lld at line %s, which the order does not name",
			      (long long)last->stage, line);
	return DONE;
}

outcome arrival_check(struct bytes chain, const struct work_order *order,
		      const uint8_t instance_id[INSTANCE_ID_SIZE], const uint8_t rot_key[P256_POINT_SIZE],
		      const struct trust *trust, struct arrival *out, struct fault *f)
{
	struct chain c = {0};
	*out = (struct arrival){0};
	provenance_dev(order->programme, instance_id, out->dev);
	provenance_start(order->programme, out->dev, out->previous);
	if (!chain.n)
		return check_route(order, NULL, out, f);
	outcome r = chain_take_apart(chain, &out->parts, f);
	if (r.ok)
		r = chain_read(chain, &c, f);
	int64_t before = 0;
	for (size_t i = 0; r.ok && i < c.count; i++) {
		r = check_statement(&c.statements[i], before, order, trust, out, f);
		before = c.statements[i].stage;
	}
	const struct stage_statement *last = r.ok ? &c.statements[c.count - 1] : NULL;
	if (r.ok)
		r = check_countersignature(&c, last, rot_key, f);
	if (r.ok && c.count == STAGES_MAX && last->stage < order->stage)
		r = refuse(f, REASON_CHAIN_STAGES, "a chain has at most %d stages", STAGES_MAX);
	if (r.ok)
		look_for_order(&c, order, out);
	return r.ok ? check_route(order, last, out, f) : r;
}
