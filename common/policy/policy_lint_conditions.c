/* Lint: conditions that hold, or fail, otherwise than they seem to. */
#include "policy_lint_internal.h"

#include <stdlib.h>
#include <string.h>

/* A condition while it is judged. */
struct subject {
	struct linting *l;
	const struct policy_statement *s;
	const struct policy_condition *c;
	const struct policy_operator *op;
	const struct policy_key *key;
	char place[POLICY_PLACE_MAX];
	char name[POLICY_PLACE_MAX];
};

/* IAM: negated operators, IfExists and ForAllValues hold where the key is not there. */
static bool holds_when_absent(const struct subject *x)
{
	if (x->op->family == FAMILY_NULL || x->c->set == SET_ANY)
		return false;
	return x->c->if_exists || x->c->set == SET_ALL || x->op->negated;
}

/* Another condition of the statement demands the key: {"Null": {KEY: "false"}}. */
static bool is_demanded(const struct subject *x)
{
	const struct policy *p = x->l->p;
	for (size_t i = x->s->first_condition; i < x->s->first_condition + (size_t)x->s->conditions; i++) {
		const struct policy_condition *c = &p->conditions[i];
		const struct policy_key *k = &p->keys[c->key];
		if (policy_operator_at(c->operator)->family == FAMILY_NULL && c->count == 1 &&
		    !p->values[c->first].truth && k->source == x->key->source && k->field == x->key->field)
			return true;
	}
	return false;
}

static void check_absent(struct subject *x)
{
	if (!policy_key_may_be_absent(x->key))
		return;
	if (!x->s->deny && holds_when_absent(x) && !is_demanded(x))
		policy_lint_report(x->l, RULE_ABSENT_ALLOWS, x->place,
				   "where %s has no value the condition holds, and the statement allows",
				   x->name);
	if (x->s->deny && !holds_when_absent(x) && x->op->family != FAMILY_NULL)
		policy_lint_report(x->l, RULE_DENY_NEVER_BITES, x->place,
				   "where %s has no value the condition fails, and this denies nothing",
				   x->name);
}

static void check_action(struct subject *x)
{
	bool of_connect = x->key->source == KEY_CONNECT_ATTRIBUTES || x->key->source == KEY_LAST_WILL_TOPIC;
	if (of_connect && x->s->actions && !(x->s->actions & 1u << POLICY_CONNECT))
		policy_lint_report(x->l, RULE_NEVER_MATCHES, x->place,
				   "%s has a value at iot:Connect alone, which the statement is not about",
				   x->name);
}

static void check_values(struct subject *x)
{
	if (x->c->count == 0 && !x->op->negated && x->c->set != SET_ALL)
		policy_lint_report(x->l, RULE_NEVER_MATCHES, x->place,
				   "with no value to agree with the condition never holds");
}

/* Whatever it is compared with. */
static void check_known_here(struct subject *x)
{
	if (x->key->source != KEY_DOMAIN_NAME)
		return;
	bool holds = x->op->family == FAMILY_NULL ? x->c->count && x->l->p->values[x->c->first].truth
						  : holds_when_absent(x);
	policy_lint_report(x->l, RULE_NO_VALUE_HERE, x->place,
			   "brokers do not know %s (Mosquitto does not tell it): the condition can %s hold",
			   x->name, holds ? "only" : "never");
}

static bool speaks_of_a_will(const struct subject *x)
{
	const struct policy *p = x->l->p;
	bool found = x->key->source == KEY_LAST_WILL_TOPIC;
	for (size_t i = 0; !found && x->key->source == KEY_CONNECT_ATTRIBUTES && i < x->c->count &&
			   x->op->family == FAMILY_TEXT;
	     i++)
		found = policy_glob_match(p->texts, p->values[x->c->first + i].text, NULL,
					  bytes_str("LastWill"));
	return found;
}

static void check_will(struct subject *x)
{
	if (speaks_of_a_will(x))
		policy_lint_report(
			x->l, RULE_WILL_LATE, x->place,
			"brokers learn of a will when it is published: then this is asked, and not at "
			"CONNECT");
}

static void (*const checks[])(struct subject *) = {
	check_absent, check_action, check_values, check_known_here, check_will,
};

void policy_lint_conditions(struct linting *l, size_t statement)
{
	const struct policy *p = l->p;
	const struct policy_statement *s = &p->statements[statement];
	for (size_t i = s->first_condition; i < s->first_condition + (size_t)s->conditions; i++) {
		struct subject x = {.l = l, .s = s, .c = &p->conditions[i]};
		x.op = policy_operator_at(x.c->operator);
		x.key = &p->keys[x.c->key];
		policy_key_name(p, x.key, x.name, sizeof x.name);
		policy_place_condition(p, s, i, x.place);
		for (size_t c = 0; c < sizeof checks / sizeof *checks; c++)
			checks[c](&x);
	}
}
