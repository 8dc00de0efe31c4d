/* The operators of conditions: their names, and what each compares. */
#include "policy_internal.h"

#include <string.h>

enum {
	EQUAL = ORDER_EQUAL,
	BELOW = ORDER_LESS,
	AT_MOST = ORDER_LESS | ORDER_EQUAL,
	ABOVE = ORDER_GREATER,
	AT_LEAST = ORDER_GREATER | ORDER_EQUAL,
};

/* IAM, "Condition operators". ArnEquals and ArnLike are the same there. */
static const struct policy_operator operators[] = {
	{.name = "StringEquals", .family = FAMILY_TEXT},
	{.name = "StringNotEquals", .family = FAMILY_TEXT, .negated = true},
	{.name = "StringEqualsIgnoreCase", .family = FAMILY_TEXT, .fold = true},
	{.name = "StringNotEqualsIgnoreCase", .family = FAMILY_TEXT, .fold = true, .negated = true},
	{.name = "StringLike", .family = FAMILY_TEXT, .like = true},
	{.name = "StringNotLike", .family = FAMILY_TEXT, .like = true, .negated = true},
	{.name = "NumericEquals", .family = FAMILY_NUMBER, .relation = EQUAL},
	{.name = "NumericNotEquals", .family = FAMILY_NUMBER, .relation = EQUAL, .negated = true},
	{.name = "NumericLessThan", .family = FAMILY_NUMBER, .relation = BELOW},
	{.name = "NumericLessThanEquals", .family = FAMILY_NUMBER, .relation = AT_MOST},
	{.name = "NumericGreaterThan", .family = FAMILY_NUMBER, .relation = ABOVE},
	{.name = "NumericGreaterThanEquals", .family = FAMILY_NUMBER, .relation = AT_LEAST},
	{.name = "DateEquals", .family = FAMILY_TIME, .relation = EQUAL},
	{.name = "DateNotEquals", .family = FAMILY_TIME, .relation = EQUAL, .negated = true},
	{.name = "DateLessThan", .family = FAMILY_TIME, .relation = BELOW},
	{.name = "DateLessThanEquals", .family = FAMILY_TIME, .relation = AT_MOST},
	{.name = "DateGreaterThan", .family = FAMILY_TIME, .relation = ABOVE},
	{.name = "DateGreaterThanEquals", .family = FAMILY_TIME, .relation = AT_LEAST},
	{.name = "Bool", .family = FAMILY_TRUTH},
	{.name = "IpAddress", .family = FAMILY_NETWORK},
	{.name = "NotIpAddress", .family = FAMILY_NETWORK, .negated = true},
	{.name = "ArnEquals", .family = FAMILY_ARN},
	{.name = "ArnLike", .family = FAMILY_ARN},
	{.name = "ArnNotEquals", .family = FAMILY_ARN, .negated = true},
	{.name = "ArnNotLike", .family = FAMILY_ARN, .negated = true},
	{.name = "Null", .family = FAMILY_NULL},
};

const struct policy_operator *policy_operator_find(struct bytes name, uint8_t *number)
{
	for (size_t i = 0; i < sizeof operators / sizeof *operators; i++)
		if (bytes_equal(name, bytes_str(operators[i].name))) {
			*number = (uint8_t)i;
			return &operators[i];
		}
	return NULL;
}

const struct policy_operator *policy_operator_at(uint8_t number)
{
	return &operators[number];
}

/* ---- comparing ---- */

static bool network_holds(const struct policy_network *network, const uint8_t address[16])
{
	size_t whole = network->bits / 8;
	unsigned rest = network->bits % 8;
	return !memcmp(network->address, address, whole) &&
	       (!rest || !((network->address[whole] ^ address[whole]) >> (8 - rest)));
}

static enum policy_truth truth(bool agrees)
{
	return agrees ? TRUTH_YES : TRUTH_NO;
}

static enum policy_truth compare_text(const struct policy_operator *o, const struct policy_value *v,
				      const struct policy_fact *fact, const struct policy_scope *s)
{
	struct policy_texts t = s->policy->texts;
	if (!policy_glob_is_resolved(t, v->text, s->values))
		return TRUTH_UNKNOWN;
	return truth(o->fold ? policy_glob_match_fold(t, v->text, s->values, fact->text)
			     : policy_glob_match(t, v->text, s->values, fact->text));
}

static unsigned order(double fact, double value)
{
	return fact < value ? ORDER_LESS : fact > value ? ORDER_GREATER : ORDER_EQUAL;
}

static enum policy_truth compare_number(const struct policy_operator *o, const struct policy_value *v,
					const struct policy_fact *fact, const struct policy_scope *s)
{
	double number = (double)(fact->ms / 1000);
	(void)s;
	if (fact->text.p && !policy_value_number(fact->text, &number))
		return TRUTH_UNKNOWN;
	return truth(o->relation & order(number, v->number));
}

static enum policy_truth compare_time(const struct policy_operator *o, const struct policy_value *v,
				      const struct policy_fact *fact, const struct policy_scope *s)
{
	int64_t ms = fact->ms;
	(void)s;
	if (fact->text.p && !policy_value_time(fact->text, &ms))
		return TRUTH_UNKNOWN;
	return truth(o->relation & order((double)ms, (double)v->ms));
}

static enum policy_truth compare_truth(const struct policy_operator *o, const struct policy_value *v,
				       const struct policy_fact *fact, const struct policy_scope *s)
{
	bool yes = bytes_equal(fact->text, bytes_str("true"));
	(void)o;
	(void)s;
	if (!yes && !bytes_equal(fact->text, bytes_str("false")))
		return TRUTH_UNKNOWN;
	return truth(yes == v->truth);
}

static enum policy_truth compare_network(const struct policy_operator *o, const struct policy_value *v,
					 const struct policy_fact *fact, const struct policy_scope *s)
{
	struct policy_network client;
	(void)o;
	(void)s;
	if (!policy_value_network(fact->text, &client) || client.bits != 128)
		return TRUTH_UNKNOWN;
	return truth(network_holds(&v->network, client.address));
}

/* The one key that is an ARN is a topic of this deployment, and agrees as a resource does. */
static enum policy_truth compare_arn(const struct policy_operator *o, const struct policy_value *v,
				     const struct policy_fact *fact, const struct policy_scope *s)
{
	struct policy_target topic; /* not initialised as a whole: it is large */
	(void)o;
	if (fact->text.n > POLICY_TARGET_MAX ||
	    !policy_glob_is_resolved(s->policy->texts, v->arn.name, s->values))
		return TRUTH_UNKNOWN;
	policy_target_set(&topic, RESOURCE_TOPIC, fact->text);
	return truth(policy_arn_match(&v->arn, &topic, s));
}

static enum policy_truth compare_null(const struct policy_operator *o, const struct policy_value *v,
				      const struct policy_fact *fact, const struct policy_scope *s)
{
	(void)o;
	(void)s;
	return truth(v->truth == !fact);
}

enum policy_truth policy_operator_compare(const struct policy_operator *o, const struct policy_value *v,
					  const struct policy_fact *fact, const struct policy_scope *scope)
{
	static enum policy_truth (*const families[])(const struct policy_operator *,
						     const struct policy_value *, const struct policy_fact *,
						     const struct policy_scope *) = {
		[FAMILY_TEXT] = compare_text,	    [FAMILY_NUMBER] = compare_number,
		[FAMILY_TIME] = compare_time,	    [FAMILY_TRUTH] = compare_truth,
		[FAMILY_NETWORK] = compare_network, [FAMILY_ARN] = compare_arn,
		[FAMILY_NULL] = compare_null,
	};
	return families[o->family](o, v, fact, scope);
}
