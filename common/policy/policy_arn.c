/* ARNs with wildcards: arn:partition:service:region:account:resource. */
#include "policy_internal.h"

#include <string.h>

enum { ARN, PARTITION, SERVICE, REGION, ACCOUNT, NAME, PARTS };

static const struct bytes prefixes[RESOURCES] = {
	[RESOURCE_ANY] = {(const uint8_t *)"", 0},
	[RESOURCE_CLIENT] = {(const uint8_t *)"client/", 7},
	[RESOURCE_TOPIC] = {(const uint8_t *)"topic/", 6},
	[RESOURCE_TOPICFILTER] = {(const uint8_t *)"topicfilter/", 12},
};

struct bytes policy_arn_prefix(enum policy_resource resource)
{
	return prefixes[resource];
}

/* The resource part may hold further colons: the last part found runs to the end. */
static size_t split(struct bytes arn, struct bytes parts[PARTS])
{
	size_t n = 0;
	while (n < NAME) {
		const uint8_t *colon = arn.n ? memchr(arn.p, ':', arn.n) : NULL;
		if (!colon)
			break;
		parts[n] = bytes_of(arn.p, (size_t)(colon - arn.p));
		arn = bytes_of(colon + 1, arn.n - parts[n].n - 1);
		n++;
	}
	parts[n++] = arn;
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

static outcome check_form(const struct bytes parts[PARTS], const char *place, struct fault *f)
{
	for (size_t i = ARN; i < NAME; i++)
		if (memmem(parts[i].p, parts[i].n, "${", 2))
			return policy_refuse(f, place,
					     "a variable stands before the resource's name; write '*' there");
	return DONE;
}

/* A part that only two answers matter of: is it this word? Leaves no tokens behind. */
static outcome part_is(struct policy_builder *b, struct bytes part, const char *word, const char *place,
		       bool *is, struct fault *f)
{
	struct policy_glob g;
	size_t tokens = b->tokens.n, text = b->text.n;
	outcome o = policy_glob_compile(b, part, true, place, &g, f);
	if (o.ok)
		o = policy_builder_check(b, f);
	*is = o.ok && policy_glob_match(policy_builder_texts(b), g, NULL, bytes_str(word));
	b->tokens.n = tokens;
	b->text.n = text;
	return o;
}

/* A name that spells its type is matched without it from now on. */
static void take_type(struct policy_builder *b, struct policy_arn *arn)
{
	if (arn->name.count == 0 || b->tokens.failed || b->text.failed)
		return;
	struct policy_token *first = (struct policy_token *)(void *)b->tokens.p + arn->name.first;
	if (first->kind != TOKEN_TEXT)
		return;
	const uint8_t *text = b->text.p + first->at;
	for (enum policy_resource r = RESOURCE_CLIENT; r < RESOURCES; r++) {
		size_t n = prefixes[r].n;
		if (first->n < n || memcmp(text, prefixes[r].p, n) != 0)
			continue;
		first->at += (uint32_t)n;
		first->n = (uint16_t)(first->n - n);
		arn->resource = (uint8_t)r;
		arn->reserved = first->n && text[n] == '$';
		arn->name.first += first->n == 0;
		arn->name.count -= first->n == 0;
		return;
	}
}

outcome policy_arn_compile(struct policy_builder *b, struct bytes source, const char *place,
			   struct policy_arn *out, struct fault *f)
{
	struct bytes parts[PARTS];
	bool is_arn = false, is_iot = false;
	*out = (struct policy_arn){.resource = RESOURCE_ANY};
	if (!fill_up(parts, split(source, parts)))
		return policy_refuse(
			f, place,
			"\"%.*s\" is no ARN: six parts between colons, or a '*' at the end; write "
			"\"arn:aws:iot:*:*:topic/...\"",
			(int)(source.n < 48 ? source.n : 48), source.p);
	outcome o = check_form(parts, place, f);
	if (o.ok)
		o = part_is(b, parts[ARN], "arn", place, &is_arn, f);
	if (o.ok && !is_arn)
		return policy_refuse(f, place,
				     "\"%.*s\" is no ARN; write \"arn:aws:iot:*:*:topic/...\" or \"*\"",
				     (int)(source.n < 48 ? source.n : 48), source.p);
	if (o.ok)
		o = part_is(b, parts[SERVICE], "iot", place, &is_iot, f);
	if (o.ok)
		o = policy_glob_compile(b, parts[REGION], true, place, &out->region, f);
	if (o.ok)
		o = policy_glob_compile(b, parts[ACCOUNT], true, place, &out->account, f);
	if (o.ok)
		o = policy_glob_compile(b, parts[NAME], true, place, &out->name, f);
	out->foreign = !is_iot;
	if (o.ok)
		take_type(b, out);
	return o;
}
