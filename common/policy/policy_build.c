/* A policy while it grows, and its end: all arrays in one piece of memory. */
#include "policy_internal.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { PARTS = 7, ALIGNMENT = 8 };

struct policy_texts policy_builder_texts(const struct policy_builder *b)
{
	static const struct policy_token none;
	return (struct policy_texts){b->tokens.p ? (const struct policy_token *)(void *)b->tokens.p : &none,
				     b->text.p};
}

void policy_builder_free(struct policy_builder *b)
{
	buf_free(&b->tokens);
	buf_free(&b->text);
	buf_free(&b->keys);
	buf_free(&b->arns);
	buf_free(&b->values);
	buf_free(&b->conditions);
	buf_free(&b->statements);
}

static size_t aligned(size_t n)
{
	return (n + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static void *place(uint8_t **at, const struct buf *part)
{
	void *here = *at;
	if (part->n)
		memcpy(here, part->p, part->n);
	*at += aligned(part->n);
	return here;
}

static void fill(struct policy *p, const struct policy_builder *b)
{
	static _Atomic uint64_t ids;
	uint8_t *at = (uint8_t *)(p + 1);
	p->id = atomic_fetch_add(&ids, 1) + 1;
	p->keys = place(&at, &b->keys);
	p->arns = place(&at, &b->arns);
	p->values = place(&at, &b->values);
	p->conditions = place(&at, &b->conditions);
	p->statements = place(&at, &b->statements);
	p->texts.tokens = place(&at, &b->tokens);
	p->texts.text = place(&at, &b->text);
	p->key_count = (uint16_t)(b->keys.n / sizeof *p->keys);
	p->arn_count = (uint16_t)(b->arns.n / sizeof *p->arns);
	p->statement_count = (uint16_t)(b->statements.n / sizeof *p->statements);
	p->is_list = b->is_list;
	for (size_t i = 0; i < b->conditions.n / sizeof *p->conditions; i++)
		p->waits = p->waits || policy_key_is_of_question(&p->keys[p->conditions[i].key]);
}

outcome policy_builder_check(const struct policy_builder *b, struct fault *f)
{
	bool failed = b->keys.failed || b->arns.failed || b->values.failed || b->conditions.failed ||
		      b->statements.failed || b->tokens.failed || b->text.failed;
	return failed ? refuse(f, REASON_NO_MEMORY, "no memory for a policy") : DONE;
}

outcome policy_build(struct policy_builder *b, struct policy **out, struct fault *f)
{
	const struct buf *parts[PARTS] = {&b->keys,	  &b->arns,   &b->values, &b->conditions,
					  &b->statements, &b->tokens, &b->text};
	size_t size = sizeof **out;
	outcome o = policy_builder_check(b, f);
	if (!o.ok)
		return o;
	for (size_t i = 0; i < PARTS; i++)
		size += aligned(parts[i]->n);
	struct policy *p = calloc(1, size);
	if (!p)
		return refuse(f, REASON_NO_MEMORY, "no memory for a policy");
	p->size = size;
	fill(p, b);
	*out = p;
	return DONE;
}

void policy_free(struct policy *p)
{
	free(p);
}
