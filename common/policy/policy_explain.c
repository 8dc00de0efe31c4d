#include "policy_explain.h"
#include "policy_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One question while it is explained. */
struct telling {
	const struct policy_binding *binding;
	const struct policy_connection *connection;
	struct policy_asked asked;
	struct buf detail;
	char place[POLICY_PLACE_MAX];
};

/* ---- values ---- */

static size_t values_of(const struct policy *p, const struct policy_key *k, const struct telling *t,
			struct policy_fact *out)
{
	return policy_key_is_of_question(k) ? policy_key_of_question(k, t->asked.question, out)
					    : policy_key_of_connection(p, k, t->connection, out);
}

static void put_values(struct buf *out, const struct policy_fact *facts, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		buf_str(out, i ? ", " : "");
		if (facts[i].text.p)
			buf_bytes(out, facts[i].text);
		else
			buf_printf(out, "%lld", (long long)(facts[i].ms / 1000));
	}
}

/* ---- resources ---- */

static const char *missing_variable(const struct policy *p, const struct policy_arn *arn,
				    const struct policy_connection *c, char out[POLICY_PLACE_MAX])
{
	const struct policy_token *token = p->texts.tokens + arn->name.first;
	for (size_t i = 0; i < arn->name.count; i++) {
		const struct policy_key *k = &p->keys[token[i].key];
		if (token[i].kind != TOKEN_VARIABLE || policy_key_substitute(p, k, c).p)
			continue;
		policy_key_name(p, k, out, POLICY_PLACE_MAX);
		return out;
	}
	return NULL;
}

/* The first resource that names a variable without a value; of a Resource, those of the question's type
 * count. */
static bool tell_missing(struct telling *t, const struct policy_bound *b, const struct policy_statement *s)
{
	for (size_t i = s->first_arn; i < s->first_arn + (size_t)s->arns; i++) {
		const struct policy_arn *arn = &b->policy->arns[i];
		char name[POLICY_PLACE_MAX];
		bool of_type = s->not_resource || arn->resource == RESOURCE_ANY ||
			       arn->resource == t->asked.target.resource;
		if (!of_type || !missing_variable(b->policy, arn, t->connection, name))
			continue;
		policy_place_arn(b->policy, s, i, t->place);
		buf_printf(&t->detail, "${%s}", name);
		return true;
	}
	return false;
}

/* The resource that matches, as the check sees it. */
static void tell_resource(struct telling *t, const struct policy_bound *b, const struct policy_name *name)
{
	policy_place_arn(b->policy, &b->policy->statements[name->statement], name->arn, t->place);
	buf_bytes(&t->detail, policy_arn_prefix(name->resource));
	policy_text_print(bytes_of(b->texts.text + name->head, name->head_n), &t->detail);
	policy_glob_print(b->policy, b->texts, name->middle, &t->detail);
	policy_text_print(bytes_of(b->texts.text + name->tail, name->tail_n), &t->detail);
}

/* ---- conditions ---- */

static bool tell_condition(struct telling *t, const struct policy_bound *b, const struct policy_statement *s)
{
	const struct policy *p = b->policy;
	struct bytes values[UINT8_MAX + 1];
	const struct policy_scope scope = {p, values, t->binding->region, t->binding->account};
	for (size_t i = 0; i < p->key_count; i++)
		values[i] = policy_key_substitute(p, &p->keys[i], t->connection);
	for (size_t i = s->first_condition; i < s->first_condition + (size_t)s->conditions; i++) {
		const struct policy_condition *c = &p->conditions[i];
		struct policy_fact facts[POLICY_FACTS_MAX];
		size_t n = values_of(p, &p->keys[c->key], t, facts);
		if (policy_condition_holds(c, facts, n, s->deny, &scope))
			continue;
		policy_place_condition(p, s, i, t->place);
		t->detail.n = 0;
		put_values(&t->detail, facts, n);
		return true;
	}
	return false;
}

/* ---- statements ---- */

static enum policy_step tell_plain(struct telling *t, const struct policy_bound *b,
				   const struct policy_statement *s, const struct policy_name *matching)
{
	if (matching) {
		tell_resource(t, b, matching);
		return POLICY_MATCHES;
	}
	if (tell_missing(t, b, s))
		return POLICY_NO_VALUE;
	if (t->asked.reserved && !s->deny)
		buf_str(&t->detail, "an Allow reaches this topic only where its resource spells the '$'");
	return POLICY_OTHER_RESOURCE;
}

static enum policy_step tell_not(struct telling *t, const struct policy_bound *b,
				 const struct policy_statement *s, const struct policy_name *matching)
{
	if (!s->deny && tell_missing(t, b, s))
		return POLICY_NO_VALUE;
	if (matching) {
		tell_resource(t, b, matching);
		return POLICY_OTHER_RESOURCE;
	}
	return t->asked.reserved && !s->deny ? POLICY_OTHER_RESOURCE : POLICY_MATCHES;
}

static enum policy_step tell(struct telling *t, const struct policy_bound *b, size_t statement)
{
	const struct policy_statement *s = &b->policy->statements[statement];
	policy_place_statement(b->policy, s, t->place);
	if (!(s->actions >> t->asked.question->action & 1))
		return POLICY_OTHER_ACTION;
	const struct policy_name *matching = policy_find_resource(b, statement, &t->asked);
	enum policy_step step = s->not_resource ? tell_not(t, b, s, matching) : tell_plain(t, b, s, matching);
	if (step == POLICY_MATCHES && tell_condition(t, b, s))
		return POLICY_CONDITION_FAILS;
	return step;
}

outcome policy_explain(const struct policy *const *policies, size_t count, const struct policy_connection *c,
		       const struct policy_question *q,
		       void (*account)(void *arg, const struct policy_account *a), void *arg,
		       enum policy_decision *decision, struct fault *f)
{
	struct policy_binding *binding = NULL;
	struct telling t = {.connection = c};
	outcome o = policy_bind(policies, count, c, &binding, f);
	if (!o.ok)
		return o;
	t.binding = binding;
	*decision = policy_check(binding, q);
	bool possible = policy_asked_set(&t.asked, q);
	for (size_t i = 0; possible && i < count; i++)
		for (size_t j = 0; j < policies[i]->statement_count; j++) {
			bool deny = policies[i]->statements[j].deny;
			t.detail = (struct buf){0};
			enum policy_step step = tell(&t, &binding->bound[i], j);
			char *detail = buf_take_str(&t.detail);
			account(arg,
				&(struct policy_account){i, j, deny, step, t.place, detail ? detail : ""});
			free(detail);
		}
	policy_binding_free(binding);
	return DONE;
}

void policy_explain_keys(const struct policy *p, const struct policy_connection *c,
			 const struct policy_question *q,
			 void (*key)(void *arg, const char *name, const char *values), void *arg)
{
	struct telling t = {.connection = c, .asked.question = q};
	for (size_t i = 0; i < p->key_count; i++) {
		char name[POLICY_PLACE_MAX];
		struct policy_fact facts[POLICY_FACTS_MAX];
		struct buf values = {0};
		size_t n = values_of(p, &p->keys[i], &t, facts);
		policy_key_name(p, &p->keys[i], name, sizeof name);
		put_values(&values, facts, n);
		char *text = buf_take_str(&values);
		key(arg, name, n ? text : NULL);
		free(text);
	}
}

bool policy_explain_time(const char *text, int64_t *unix_s)
{
	int64_t ms = 0;
	bool good = policy_value_time(bytes_str(text), &ms);
	*unix_s = ms / 1000;
	return good;
}
