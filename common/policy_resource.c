#include "policy_internal.h"

#include <string.h>

/* arn : partition : service : region : account : resource */
enum { ARN, PARTITION, SERVICE, REGION, ACCOUNT, NAME, PARTS };

static const struct bytes prefixes[] = {
	[RESOURCE_ANY] = {(const uint8_t *)"", 0},
	[RESOURCE_CLIENT] = {(const uint8_t *)"client/", 7},
	[RESOURCE_TOPIC] = {(const uint8_t *)"topic/", 6},
	[RESOURCE_TOPICFILTER] = {(const uint8_t *)"topicfilter/", 12},
};

/* The resource part may hold further colons; the last part found runs to the end. */
static size_t split(const char *arn, struct bytes parts[PARTS])
{
	size_t n = 0;
	for (const char *colon; n < NAME && (colon = strchr(arn, ':')); arn = colon + 1)
		parts[n++] = bytes_of(arn, (size_t)(colon - arn));
	parts[n++] = bytes_str(arn);
	return n;
}

/* "*", "arn:aws:iot:eu-west-1:*": a last '*' stands for all parts that are not written. */
static bool fill_up(struct bytes parts[PARTS], size_t n)
{
	if (n < PARTS && (parts[n - 1].n == 0 || parts[n - 1].p[parts[n - 1].n - 1] != '*'))
		return false;
	for (; n < PARTS; n++)
		parts[n] = bytes_str("*");
	return true;
}

static outcome fixed_part(struct bytes part, const char *text, const char *place, bool *matches,
			  struct fault *f)
{
	struct policy_glob g = {0};
	outcome result = policy_glob_compile(part, false, place, &g, f);
	if (result.ok)
		*matches = policy_glob_match(&g, bytes_str(text), NULL);
	policy_glob_free(&g);
	return result;
}

/* A name that spells its type is matched without it from now on. */
static void take_type(struct policy_resource *r)
{
	if (r->name.count == 0 || r->name.tokens[0].kind != TOKEN_TEXT)
		return;
	struct bytes *text = &r->name.tokens[0].text;
	for (enum resource_type t = RESOURCE_CLIENT; t <= RESOURCE_TOPICFILTER; t++) {
		struct bytes prefix = prefixes[t];
		if (text->n < prefix.n || memcmp(text->p, prefix.p, prefix.n))
			continue;
		*text = bytes_of(text->p + prefix.n, text->n - prefix.n);
		r->type = t;
		return;
	}
}

outcome policy_resource_compile(const char *arn, bool variables, const char *place,
				struct policy_resource *out, struct fault *f)
{
	struct policy_resource r = {0};
	struct bytes parts[PARTS];
	bool is_arn = false, is_iot = false;
	if (!fill_up(parts, split(arn, parts)))
		return refuse(f, REASON_POLICY_SYNTAX, "%s: an ARN has six parts or ends with '*': \"%.64s\"",
			      place, arn);
	outcome result = fixed_part(parts[ARN], "arn", place, &is_arn, f);
	if (result.ok && !is_arn)
		return refuse(f, REASON_POLICY_SYNTAX, "%s: neither an ARN nor '*': \"%.64s\"", place, arn);
	if (result.ok)
		result = fixed_part(parts[SERVICE], "iot", place, &is_iot, f);
	if (result.ok)
		result = policy_glob_compile(parts[REGION], false, place, &r.region, f);
	if (result.ok)
		result = policy_glob_compile(parts[ACCOUNT], false, place, &r.account, f);
	if (result.ok)
		result = policy_glob_compile(parts[NAME], variables, place, &r.name, f);
	if (!result.ok) {
		policy_resource_free(&r);
		return result;
	}
	r.never = !is_iot;
	take_type(&r);
	*out = r;
	return DONE;
}

void policy_resource_free(struct policy_resource *r)
{
	policy_glob_free(&r->region);
	policy_glob_free(&r->account);
	policy_glob_free(&r->name);
}

/* "<type>/<target>": most resources spell their type, and so most questions never need it. */
static struct bytes full_name(struct policy_question *q)
{
	if (q->full.n == 0) {
		struct bytes prefix = prefixes[q->type];
		memcpy(q->room, prefix.p, prefix.n);
		memcpy(q->room + prefix.n, q->target.p, q->target.n);
		q->full = bytes_of(q->room, prefix.n + q->target.n);
	}
	return q->full;
}

bool policy_resource_match(const struct policy_resource *r, struct policy_question *q)
{
	if (r->never || (r->type != RESOURCE_ANY && r->type != q->type) || (r->name.variables & ~q->resolved))
		return false;
	if (q->who->region && !policy_glob_match(&r->region, bytes_str(q->who->region), NULL))
		return false;
	if (q->who->account && !policy_glob_match(&r->account, bytes_str(q->who->account), NULL))
		return false;
	return policy_glob_match(&r->name, r->type == RESOURCE_ANY ? full_name(q) : q->target, q->who);
}

bool policy_resource_is_reserved(const struct policy_resource *r)
{
	const struct policy_token *first = r->name.count ? &r->name.tokens[0] : NULL;
	return r->type != RESOURCE_ANY && first && first->kind == TOKEN_TEXT && first->text.n &&
	       first->text.p[0] == '$';
}
