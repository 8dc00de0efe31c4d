/* Matching, in one file so that the compiler can make one loop of it: it runs for every message. */
#include "policy_internal.h"

#include <string.h>
#include <strings.h>

enum { SEARCHED_PLAINLY = 1 };

/* ---- globs ---- */

/* '?' is one character, not one byte: the bytes of one UTF-8 sequence. */
static size_t character(struct bytes s, size_t at)
{
	size_t n = 1;
	while (at + n < s.n && (s.p[at + n] & 0xc0) == 0x80)
		n++;
	return n;
}

static inline struct bytes literal(struct policy_texts t, const struct policy_token *token,
				   const struct bytes *values)
{
	if (token->kind == TOKEN_VARIABLE)
		return values[token->key];
	return (struct bytes){t.text + token->at, token->n};
}

/* The texts of a policy begin alike and end differently: the last eight bytes are looked at first. */
static inline bool same(const uint8_t *a, const uint8_t *b, size_t n)
{
	uint64_t a_end, b_end;
	if (n >= sizeof a_end) {
		memcpy(&a_end, a + n - sizeof a_end, sizeof a_end);
		memcpy(&b_end, b + n - sizeof b_end, sizeof b_end);
		if (a_end != b_end)
			return false;
	}
	return !memcmp(a, b, n);
}

/* Bytes of `subject` at `at` that the token takes; false where it does not match there. */
static inline bool token_match(struct policy_texts t, const struct policy_token *token,
			       const struct bytes *values, struct bytes subject, size_t at, size_t *n)
{
	if (token->kind == TOKEN_ONE) {
		*n = at < subject.n ? character(subject, at) : 0;
		return at < subject.n;
	}
	struct bytes text = literal(t, token, values);
	*n = text.n;
	return text.p && subject.n - at >= text.n && same(subject.p + at, text.p, text.n);
}

/* Where `text` stands next; NULL: nowhere. memmem prepares a table first, which is more than the search. */
static const uint8_t *find(const uint8_t *from, const uint8_t *end, struct bytes text)
{
	while (text.p && (size_t)(end - from) >= text.n) {
		from = memchr(from, *text.p, (size_t)(end - from) - text.n + 1);
		if (!from || same(from, text.p, text.n))
			return from;
		from++;
	}
	return NULL;
}

/* Where a '*' before `token` may end, from *at on: where the text after it stands next, or at any character
 * where no text follows. */
static bool star_end(struct policy_texts t, const struct policy_token *token, const struct bytes *values,
		     struct bytes subject, size_t *at)
{
	if (token->kind == TOKEN_ONE)
		return *at < subject.n;
	const uint8_t *found = find(subject.p + *at, subject.p + subject.n, literal(t, token, values));
	*at = found ? (size_t)(found - subject.p) : subject.n;
	return found;
}

/* From the first '*' on. After a mismatch only the last one is tried with more: what an earlier one could
 * take, this one can. */
static bool match_stars(struct policy_texts t, const struct policy_token *token,
			const struct policy_token *end, const struct bytes *values, struct bytes subject,
			size_t at)
{
	const struct policy_token *after = NULL;
	size_t from = 0, n;
	for (;;) {
		if (token < end && token->kind == TOKEN_ANY) {
			if (++token == end)
				return true;
			after = token;
			from = at;
		} else if (token < end && token_match(t, token, values, subject, at, &n)) {
			token++;
			at += n;
			continue;
		} else if (token == end && at == subject.n) {
			return true;
		} else {
			if (from == subject.n)
				return false;
			from += character(subject, from);
		}
		if (!star_end(t, after, values, subject, &from))
			return false;
		token = after;
		at = from;
	}
}

/* Most patterns end here: a text, and behind it nothing, or a '*'. */
static inline bool match(struct policy_texts t, struct policy_glob g, const struct bytes *values,
			 struct bytes subject, size_t at)
{
	const struct policy_token *token = t.tokens + g.first, *end = token + g.count;
	size_t n;
	for (; token < end && token->kind != TOKEN_ANY; token++, at += n)
		if (!token_match(t, token, values, subject, at, &n))
			return false;
	if (token == end)
		return at == subject.n;
	return token + 1 == end || match_stars(t, token, end, values, subject, at);
}

bool policy_glob_match(struct policy_texts t, struct policy_glob g, const struct bytes *values,
		       struct bytes subject)
{
	return match(t, g, values, subject, 0);
}

bool policy_glob_match_fold(struct policy_texts t, struct policy_glob g, const struct bytes *values,
			    struct bytes subject)
{
	const struct policy_token *token = t.tokens + g.first;
	for (size_t i = 0; i < g.count; i++) {
		struct bytes text = literal(t, &token[i], values);
		if (!text.p || text.n > subject.n ||
		    strncasecmp((const char *)text.p, (const char *)subject.p, text.n) != 0)
			return false;
		subject = bytes_of(subject.p + text.n, subject.n - text.n);
	}
	return subject.n == 0;
}

/* ---- resources ---- */

void policy_target_set(struct policy_target *t, enum policy_resource resource, struct bytes name)
{
	t->resource = resource;
	t->name = name;
	t->full.n = 0;
	t->searched[0] = t->searched[1] = 0;
	t->pairs[0] = t->pairs[1] = 0;
}

/* Most resources spell their type, and so most questions never need it. */
static struct bytes full_name(struct policy_target *t)
{
	if (t->full.n == 0) {
		struct bytes prefix = policy_arn_prefix(t->resource);
		memcpy(t->room, prefix.p, prefix.n);
		memcpy(t->room + prefix.n, t->name.p, t->name.n);
		t->full = bytes_of(t->room, prefix.n + t->name.n);
	}
	return t->full;
}

bool policy_arn_is_here(const struct policy_arn *arn, const struct policy_scope *s)
{
	struct policy_texts t = s->policy->texts;
	return !arn->foreign &&
	       (!s->region || policy_glob_match(t, arn->region, s->values, bytes_str(s->region))) &&
	       (!s->account || policy_glob_match(t, arn->account, s->values, bytes_str(s->account))) &&
	       policy_glob_is_resolved(t, arn->name, s->values);
}

bool policy_arn_match(const struct policy_arn *arn, struct policy_target *t, const struct policy_scope *s)
{
	bool any = arn->resource == RESOURCE_ANY;
	return (any || arn->resource == t->resource) && policy_arn_is_here(arn, s) &&
	       policy_glob_match(s->policy->texts, arn->name, s->values, any ? full_name(t) : t->name);
}

uint64_t policy_pairs(struct bytes text)
{
	uint64_t set = 0;
	for (size_t i = 1; i < text.n; i++) {
		uint16_t pair;
		memcpy(&pair, text.p + i - 1, sizeof pair);
		set |= UINT64_C(1) << (pair * UINT32_C(0x9e3779b1) >> 26);
	}
	return set;
}

/* Behind a '*' a text can stand anywhere. To search for one costs less than the set that tells of
 * most others, at a glance, that they stand nowhere. */
static inline bool may_stand_in(struct policy_target *t, const struct policy_name *name, struct bytes subject)
{
	bool any = name->resource == RESOURCE_ANY;
	if (!name->pairs || t->searched[any]++ < SEARCHED_PLAINLY)
		return true;
	if (!t->pairs[any])
		t->pairs[any] = policy_pairs(subject);
	return !(name->pairs & ~t->pairs[any]);
}

bool policy_bound_resources(const struct policy_bound *b, const struct policy_statement *s,
			    struct policy_asked *a)
{
	struct policy_target *t = &a->target;
	bool by_name = a->reserved && !s->deny;
	const struct policy_name *name = b->names + s->first_arn, *end = name + s->arns;
	for (; name < end; name++) {
		bool any = name->resource == RESOURCE_ANY;
		if ((!any && name->resource != t->resource) || (by_name && !name->reserved))
			continue;
		struct bytes subject = any ? full_name(t) : t->name;
		if (name->head_n <= subject.n && same(subject.p, name->head, name->head_n) &&
		    may_stand_in(t, name, subject) &&
		    match(b->texts, name->rest, NULL, subject, name->head_n))
			return !s->not_resource;
	}
	return s->not_resource && !by_name;
}
