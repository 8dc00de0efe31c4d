/* Policies under one connection: what does not change while it lasts is decided, and filled in, once. */
#include "policy_internal.h"

#include <stdlib.h>
#include <string.h>

enum { KEYS_MAX = 256, LONGEST = sizeof "topicfilter/" + POLICY_TARGET_MAX };

/* A policy's part of a binding, while it is made. The values still are where the connection has them. */
struct part {
	const struct policy *policy;
	const struct policy_connection *connection;
	struct policy_scope scope;
	struct bytes values[KEYS_MAX];
	uint64_t alive;		    /* statements whose conditions hold, or wait for the question */
	size_t names, tokens, text; /* that its resources need, filled in */
};

/* Where the next of each kind goes: arrays first, texts behind them. */
struct room {
	uint8_t *arrays, *texts;
};

static void *take(uint8_t **from, size_t n)
{
	void *here = *from;
	*from += (n + 7) / 8 * 8;
	return here;
}

static size_t text_size(const char *s)
{
	return s ? strlen(s) + 1 : 0;
}

static const char *keep_text(struct room *room, const char *s)
{
	size_t n = text_size(s);
	char *here = (char *)room->texts;
	if (n)
		memcpy(here, s, n);
	room->texts += n;
	return n ? here : NULL;
}

/* Nothing that is longer than every target can match. */
static bool can_match(const struct part *part, size_t number)
{
	const struct policy_arn *arn = &part->policy->arns[number];
	return policy_arn_is_here(arn, &part->scope) &&
	       policy_glob_length(part->policy->texts, arn->name, part->values) <= LONGEST;
}

static void part_set(struct part *part, const struct policy *p, const struct policy_connection *c)
{
	part->policy = p;
	part->connection = c;
	part->scope = (struct policy_scope){p, part->values, c->region, c->account};
	part->alive = UINT64_MAX;
	part->names = part->tokens = part->text = 0;
	for (size_t i = 0; i < p->key_count; i++)
		part->values[i] = policy_key_substitute(p, &p->keys[i], c);
	for (size_t i = 0; i < p->arn_count; i++) {
		if (!can_match(part, i))
			continue;
		part->names++;
		part->tokens += p->arns[i].name.count;
		part->text += policy_glob_length(p->texts, p->arns[i].name, part->values);
	}
}

static size_t array_size(size_t n, size_t size)
{
	return (n * size + 7) / 8 * 8;
}

static size_t arrays_size(const struct part *part)
{
	const struct policy *p = part->policy;
	return array_size(part->tokens, sizeof(struct policy_token)) +
	       array_size(part->names, sizeof(struct policy_name)) +
	       (p->waits ? p->key_count * sizeof(struct bytes) : 0);
}

static size_t texts_size(const struct part *part)
{
	size_t n = part->text;
	for (size_t i = 0; part->policy->waits && i < part->policy->key_count; i++)
		n += part->values[i].n;
	return n;
}

/* Where the next name goes, and its tokens and texts. */
struct writing {
	struct policy_name *name;
	struct policy_token *tokens;
	uint8_t *text;
};

static uint64_t pairs_of(struct policy_texts t, struct policy_glob g)
{
	uint64_t set = 0;
	for (size_t i = 0; i < g.count; i++) {
		const struct policy_token *token = t.tokens + g.first + i;
		if (token->kind == TOKEN_TEXT)
			set |= policy_pairs(bytes_of(t.text + token->at, token->n));
	}
	return set;
}

/* A '?' before it might take a byte of a tail that begins inside a character. */
static bool is_tail(struct policy_texts t, const struct policy_token *token)
{
	return token->kind == TOKEN_TEXT && token->n && (t.text[token->at] & 0xc0) != 0x80;
}

static void split(struct policy_name *name, struct policy_glob all, struct policy_texts t)
{
	const struct policy_token *first = t.tokens + all.first;
	name->middle = all;
	if (all.count && first->kind == TOKEN_TEXT) {
		name->head = first->at;
		name->head_n = first->n;
		name->middle.first++;
		name->middle.count--;
	}
	const struct policy_token *last = first + (all.count ? all.count - 1 : 0);
	if (name->middle.count && is_tail(t, last)) {
		name->tail = last->at;
		name->tail_n = last->n;
		name->middle.count--;
	}
	name->open = name->middle.count == 1 && t.tokens[name->middle.first].kind == TOKEN_ANY;
	name->pairs = pairs_of(t, name->middle);
}

static uint8_t actions_on(enum policy_resource resource)
{
	unsigned actions = 0;
	for (enum policy_action a = POLICY_CONNECT; a < POLICY_ACTIONS; a++)
		if (resource == RESOURCE_ANY || resource == policy_actions[a].resource)
			actions |= 1u << a;
	return (uint8_t)actions;
}

static struct policy_name fill_in(const struct part *part, const struct policy_bound *b, size_t statement,
				  size_t number, struct writing *w)
{
	const struct policy_arn *arn = &part->policy->arns[number];
	const struct policy_statement *s = &part->policy->statements[statement];
	bool alive = part->alive >> statement & 1;
	struct policy_name name = {.arn = (uint16_t)number,
				   .statement = (uint8_t)statement,
				   .actions = alive ? s->actions & actions_on(arn->resource) : 0,
				   .resource = arn->resource,
				   .reserved = arn->reserved};
	struct policy_glob all = policy_glob_fill_in(part->policy->texts, arn->name, part->values, b->texts,
						     &w->tokens, &w->text);
	split(&name, all, b->texts);
	return name;
}

static void fill_in_statement(const struct part *part, struct policy_bound *b, size_t statement,
			      struct writing *w)
{
	const struct policy_statement *s = &part->policy->statements[statement];
	for (size_t i = s->first_arn, end = i + s->arns; i < end; i++) {
		if (!can_match(part, i))
			continue;
		*w->name = fill_in(part, b, statement, i, w);
		b->searches += w->name->pairs != 0;
		w->name++;
	}
}

static void fill_in_names(const struct part *part, struct policy_bound *b, struct room *room)
{
	const struct policy *p = part->policy;
	struct policy_name *names = take(&room->arrays, part->names * sizeof *names);
	struct policy_token *tokens = take(&room->arrays, part->tokens * sizeof *tokens);
	struct writing w = {names, tokens, room->texts};
	b->names = names;
	b->texts = (struct policy_texts){tokens, room->texts};
	for (enum policy_part at = PART_DENIES; at < POLICY_PARTS; at++) {
		for (size_t i = 0; i < p->statement_count; i++)
			if (policy_part_of(&p->statements[i]) == at)
				fill_in_statement(part, b, i, &w);
		b->end[at] = (uint16_t)(w.name - names);
	}
	room->texts = w.text;
}

static void keep_values(const struct part *part, struct policy_bound *b, struct room *room)
{
	struct bytes *values;
	if (!part->policy->waits)
		return;
	b->values = values = take(&room->arrays, part->policy->key_count * sizeof *values);
	for (size_t i = 0; i < part->policy->key_count; i++) {
		struct bytes text = part->values[i];
		values[i] = bytes_of(text.p ? room->texts : NULL, text.n);
		if (text.n)
			memcpy(room->texts, text.p, text.n);
		room->texts += text.n;
	}
}

/* Conditions on what is known by now decide here; the others wait. */
static void decide_conditions(struct part *part, struct policy_bound *b, size_t statement)
{
	const struct policy *p = part->policy;
	const struct policy_statement *s = &p->statements[statement];
	for (size_t i = 0; i < s->conditions; i++) {
		const struct policy_condition *c = &p->conditions[s->first_condition + i];
		const struct policy_key *k = &p->keys[c->key];
		struct policy_fact facts[POLICY_FACTS_MAX];
		if (policy_key_is_of_question(k)) {
			b->waiting |= UINT64_C(1) << statement;
			continue;
		}
		size_t n = policy_key_of_connection(p, k, part->connection, facts);
		if (!policy_condition_holds(c, facts, n, s->deny, &part->scope))
			part->alive &= ~(UINT64_C(1) << statement);
	}
}

/* Whoever allows "everything but ${x}" has not said what holds where x is nothing: then nothing is
 * allowed. */
static void decide_resources(struct part *part, size_t statement)
{
	const struct policy *p = part->policy;
	const struct policy_statement *s = &p->statements[statement];
	for (size_t i = 0; s->not_resource && !s->deny && i < s->arns; i++)
		if (!policy_glob_is_resolved(p->texts, p->arns[s->first_arn + i].name, part->values))
			part->alive &= ~(UINT64_C(1) << statement);
}

static void bind_policy(struct part *part, struct policy_bound *b, struct room *room)
{
	*b = (struct policy_bound){.policy = part->policy, .id = part->policy->id};
	for (size_t i = 0; i < part->policy->statement_count; i++) {
		decide_conditions(part, b, i);
		decide_resources(part, i);
	}
	for (size_t i = 0; i < part->policy->statement_count; i++)
		if (part->policy->statements[i].not_resource)
			b->not_resources |= part->alive & UINT64_C(1) << i;
	fill_in_names(part, b, room);
	keep_values(part, b, room);
}

outcome policy_bind(const struct policy *const *policies, size_t count, const struct policy_connection *c,
		    struct policy_binding **out, struct fault *f)
{
	struct policy_binding *b;
	struct part part;
	if (count > POLICIES_MAX)
		return refuse(f, REASON_TOO_LARGE, "%zu policies, at most %d are attached to a certificate",
			      count, POLICIES_MAX);
	size_t arrays = sizeof *b + count * sizeof *b->bound;
	size_t texts = text_size(c->client_id) + text_size(c->region) + text_size(c->account);
	for (size_t i = 0; i < count; i++) {
		part_set(&part, policies[i], c);
		arrays += arrays_size(&part);
		texts += texts_size(&part);
	}
	if (!(b = malloc(arrays + texts)))
		return refuse(f, REASON_NO_MEMORY, "no memory for a connection's policies");
	struct room room = {(uint8_t *)(b->bound + count), (uint8_t *)b + arrays};
	*b = (struct policy_binding){.count = count,
				     .client_id = keep_text(&room, c->client_id),
				     .region = keep_text(&room, c->region),
				     .account = keep_text(&room, c->account)};
	for (size_t i = 0; i < count; i++) {
		part_set(&part, policies[i], c);
		bind_policy(&part, &b->bound[i], &room);
	}
	*out = b;
	return DONE;
}

void policy_binding_free(struct policy_binding *b)
{
	free(b);
}

bool policy_binding_is_of(const struct policy_binding *b, const struct policy *const *policies, size_t count)
{
	bool same = b->count == count;
	for (size_t i = 0; same && i < count; i++)
		same = b->bound[i].id == policies[i]->id;
	return same;
}

uint64_t policy_common_number(const struct policy *p)
{
	return p->key_count == 0 ? p->id : 0;
}

bool policy_names_certificate(const struct policy *p)
{
	for (size_t i = 0; i < p->key_count; i++)
		if (p->keys[i].source == KEY_CERTIFICATE_FIELD || p->keys[i].source == KEY_CERTIFICATE_KEYS)
			return true;
	return false;
}
