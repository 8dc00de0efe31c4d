/* Does one pattern, one statement, take in all of another? Then the other is not reached, or not needed. */
#include "policy_lint_internal.h"

#include <stdlib.h>
#include <string.h>

/* A pattern as a row of symbols: bytes, wildcards and variables. */
enum { ANY = 256, ONE = 257, VARIABLE = 258 };

struct symbols {
	uint16_t *items;
	size_t count;
};

static bool symbols_of(const struct policy *p, struct policy_glob g, struct symbols *out)
{
	const struct policy_token *token = p->texts.tokens + g.first;
	size_t room = 1;
	for (size_t i = 0; i < g.count; i++)
		room += token[i].kind == TOKEN_TEXT ? token[i].n : 1;
	out->count = 0;
	out->items = malloc(room * sizeof *out->items);
	for (size_t i = 0; out->items && i < g.count; i++) {
		if (token[i].kind == TOKEN_TEXT)
			for (size_t j = 0; j < token[i].n; j++)
				out->items[out->count++] = p->texts.text[token[i].at + j];
		else
			out->items[out->count++] =
				(uint16_t)(token[i].kind == TOKEN_ANY	? ANY
					   : token[i].kind == TOKEN_ONE ? ONE
									: VARIABLE + token[i].key);
	}
	return out->items;
}

/* One symbol of the covered pattern is taken in by one of the covering that is no '*'. A '?' is one
 * character; of one that has several bytes nothing is said, and so it counts as not taken in. */
static bool takes(uint16_t covering, uint16_t covered)
{
	return covering == covered || (covering == ONE && covered < 0x80);
}

/* reach[j]: what has been read of `a` takes in the first j symbols of `b`. A '*' takes in anything, a '*' of
 * `b` too; nothing else takes in that. */
static void step(uint16_t symbol, const struct symbols *b, const bool *reach, bool *next)
{
	bool open = false;
	for (size_t j = 0; j <= b->count; j++) {
		open = open || (symbol == ANY && reach[j]);
		next[j] = open || (j > 0 && symbol != ANY && reach[j - 1] && takes(symbol, b->items[j - 1]));
	}
}

static bool covers(const struct symbols *a, const struct symbols *b, bool *reach, bool *next)
{
	memset(reach, 0, (b->count + 1) * sizeof *reach);
	reach[0] = true;
	for (size_t i = 0; i < a->count; i++) {
		step(a->items[i], b, reach, next);
		memcpy(reach, next, (b->count + 1) * sizeof *reach);
	}
	return reach[b->count];
}

bool policy_glob_covers(const struct policy *p, struct policy_glob a, struct policy_glob b,
			bool *out_of_memory)
{
	struct symbols x = {0}, y = {0};
	bool *rows = NULL, covered = false;
	if (symbols_of(p, a, &x) && symbols_of(p, b, &y))
		rows = malloc(2 * (y.count + 1) * sizeof *rows);
	if (rows)
		covered = covers(&x, &y, rows, rows + y.count + 1);
	else
		*out_of_memory = true;
	free(rows);
	free(x.items);
	free(y.items);
	return covered;
}

bool policy_glob_is_any(const struct policy *p, struct policy_glob g)
{
	return g.count == 1 && p->texts.tokens[g.first].kind == TOKEN_ANY;
}

/* ---- resources and statements ---- */

static bool arn_covers(struct linting *l, const struct policy_arn *a, const struct policy_arn *b)
{
	const struct policy *p = l->p;
	bool everything = a->resource == RESOURCE_ANY && policy_glob_is_any(p, a->name);
	if (a->foreign || !policy_glob_covers(p, a->region, b->region, &l->out_of_memory) ||
	    !policy_glob_covers(p, a->account, b->account, &l->out_of_memory))
		return false;
	return everything ||
	       (a->resource == b->resource && policy_glob_covers(p, a->name, b->name, &l->out_of_memory));
}

static bool any_arn_covers(struct linting *l, const struct policy_statement *a, const struct policy_arn *b)
{
	for (size_t i = 0; i < a->arns; i++)
		if (arn_covers(l, &l->p->arns[a->first_arn + i], b))
			return true;
	return false;
}

/* "*" alone takes in what a NotResource leaves. */
static bool has_everything(const struct linting *l, const struct policy_statement *s)
{
	for (size_t i = 0; i < s->arns; i++) {
		const struct policy_arn *arn = &l->p->arns[s->first_arn + i];
		if (!arn->foreign && arn->resource == RESOURCE_ANY && policy_glob_is_any(l->p, arn->name) &&
		    policy_glob_is_any(l->p, arn->region) && policy_glob_is_any(l->p, arn->account))
			return true;
	}
	return false;
}

static bool statement_covers(struct linting *l, const struct policy_statement *a,
			     const struct policy_statement *b)
{
	if (a->conditions || a->not_resource || (b->actions & ~a->actions))
		return false;
	if (b->not_resource)
		return has_everything(l, a);
	for (size_t i = 0; i < b->arns; i++)
		if (!any_arn_covers(l, a, &l->p->arns[b->first_arn + i]))
			return false;
	return true;
}

/* Of two that take in each other the later one is named. */
static bool makes_needless(struct linting *l, size_t other, size_t statement)
{
	const struct policy_statement *a = &l->p->statements[other], *b = &l->p->statements[statement];
	if (other == statement || (b->deny && !a->deny) || !statement_covers(l, a, b))
		return false;
	return a->deny != b->deny || other < statement || !statement_covers(l, b, a);
}

void policy_lint_reach(struct linting *l, size_t statement)
{
	const struct policy_statement *s = &l->p->statements[statement];
	char place[POLICY_PLACE_MAX], other[POLICY_PLACE_MAX];
	policy_place_statement(l->p, s, place);
	for (size_t i = 0; s->actions && i < l->p->statement_count; i++) {
		const struct policy_statement *by = &l->p->statements[i];
		if (!makes_needless(l, i, statement))
			continue;
		policy_place_statement(l->p, by, other);
		if (by->deny && !s->deny)
			policy_lint_report(l, RULE_UNREACHABLE, place, "%s denies all that this allows",
					   other);
		else
			policy_lint_report(l, RULE_REDUNDANT, place, "%s says all of this already", other);
		return;
	}
}
