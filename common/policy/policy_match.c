/* Matching, in one file so that the compiler can make one loop of it: it runs for every message. */
#include "policy_internal.h"

#include <string.h>
#include <strings.h>

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

/* The texts of a policy begin alike and end differently: their last bytes are looked at first. */
static inline bool ends_otherwise(const uint8_t *a, const uint8_t *b, size_t n)
{
	uint64_t a_end, b_end;
	if (n < sizeof a_end)
		return n && a[n - 1] != b[n - 1];
	memcpy(&a_end, a + n - sizeof a_end, sizeof a_end);
	memcpy(&b_end, b + n - sizeof b_end, sizeof b_end);
	return a_end != b_end;
}

static inline bool same(const uint8_t *a, const uint8_t *b, size_t n)
{
	return !ends_otherwise(a, b, n) && !memcmp(a, b, n);
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
	t->searched = false;
	t->pairs = 0;
}

static __attribute__((noinline)) void write_full_name(struct policy_target *t)
{
	struct bytes prefix = policy_arn_prefix(t->resource);
	memcpy(t->room, prefix.p, prefix.n);
	memcpy(t->room + prefix.n, t->name.p, t->name.n);
	t->full = bytes_of(t->room, prefix.n + t->name.n);
}

/* Most resources spell their type, and so most questions never need it. */
static inline struct bytes full_name(struct policy_target *t)
{
	if (t->full.n == 0)
		write_full_name(t);
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

/* Of the text and the byte before it. Written out eight at a time: this is what a check past many Denies takes longest
 * for. */
static inline uint64_t pairs_after(uint32_t before, struct bytes text)
{
	uint64_t set = 0;
#pragma GCC unroll 8
	for (size_t i = 0; i < text.n; i++) {
		set |= UINT64_C(1) << (before * 4 + text.p[i]) % 64;
		before = text.p[i];
	}
	return set;
}

uint64_t policy_pairs(struct bytes text)
{
	return text.n ? pairs_after(text.p[0], bytes_of(text.p + 1, text.n - 1)) : 0;
}

/* A text in the middle can stand anywhere. To search for one costs less than the set that tells of most others, at a
 * glance, that they stand nowhere. */
static __attribute__((noinline)) uint64_t pairs_of(const struct policy_bound *b, struct policy_target *t)
{
	if (b->searches == 1 && !t->searched) {
		t->searched = true;
		return UINT64_MAX;
	}
	t->pairs = policy_pairs(policy_arn_prefix(t->resource)) | pairs_after('/', t->name);
	return t->pairs;
}

static inline struct bytes subject_of(const struct policy_name *name, struct policy_target *t)
{
	return name->resource == RESOURCE_ANY ? full_name(t) : t->name;
}

/* What rules most names out, without a call. One of any type that begins with a wildcard is told by the end of the
 * target, which is spelt without its type. */
static inline bool is_other(const struct policy_bound *b, const struct policy_name *name,
			    struct policy_target *t)
{
	size_t head_n = name->head_n, tail_n = name->tail_n;
	const uint8_t *text = b->texts.text;
	struct bytes subject = head_n || tail_n > t->name.n ? subject_of(name, t) : t->name;
	return subject.n < head_n + tail_n || ends_otherwise(subject.p, text + name->head, head_n) ||
	       ends_otherwise(subject.p + subject.n - tail_n, text + name->tail, tail_n) ||
	       (name->pairs && name->pairs & ~(t->pairs ? t->pairs : pairs_of(b, t)));
}

static __attribute__((noinline)) bool name_match(const struct policy_bound *b, const struct policy_name *name,
						 struct policy_target *t)
{
	size_t head_n = name->head_n, tail_n = name->tail_n;
	const uint8_t *text = b->texts.text;
	struct bytes subject = subject_of(name, t);
	if (memcmp(subject.p, text + name->head, head_n) ||
	    memcmp(subject.p + subject.n - tail_n, text + name->tail, tail_n))
		return false;
	subject.n -= tail_n;
	return name->open || match(b->texts, name->middle, NULL, subject, head_n);
}

const struct policy_name *policy_find_name(const struct policy_bound *b, const struct policy_name *from,
					   const struct policy_name *end, bool by_name,
					   struct policy_asked *a)
{
	for (uint8_t actions = a->actions; from < end; from++)
		if (from->actions & actions && !is_other(b, from, &a->target) &&
		    (!by_name || from->reserved) && name_match(b, from, &a->target))
			break;
	return from;
}

enum policy_part policy_part_of(const struct policy_statement *s)
{
	if (s->not_resource)
		return PART_NOT_RESOURCES;
	return s->deny ? PART_DENIES : PART_ALLOWS;
}

const struct policy_name *policy_find_resource(const struct policy_bound *b, size_t statement,
					       struct policy_asked *a)
{
	const struct policy_statement *s = &b->policy->statements[statement];
	struct policy_target *t = &a->target;
	bool by_name = a->reserved && !s->deny;
	enum policy_part part = policy_part_of(s);
	const struct policy_name *name = b->names + (part ? b->end[part - 1] : 0),
				 *end = b->names + b->end[part];
	for (; name < end && name->statement <= statement; name++) {
		bool of_type = name->resource == RESOURCE_ANY || name->resource == t->resource;
		if (name->statement == statement && of_type && (!by_name || name->reserved) &&
		    !is_other(b, name, t) && name_match(b, name, t))
			return name;
	}
	return NULL;
}
