/* The Condition of a statement: read into conditions of one operator and one key each, and decided. */
#include "policy_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const struct {
	const char *prefix;
	enum policy_set set;
} sets[] = {{"ForAllValues:", SET_ALL}, {"ForAnyValue:", SET_ANY}, {"", SET_NONE}};

static const char if_exists[] = "IfExists";

/* ---- reading ---- */

/* A condition while it is read. */
struct reading {
	struct policy_builder *b;
	const char *place; /* of the key */
	const struct policy_operator *operator;
	struct policy_condition *condition;
};

/* "ForAllValues:StringEqualsIfExists" */
static const struct policy_operator *find_operator(const char *name, struct policy_condition *c)
{
	size_t i = 0;
	while (strncmp(name, sets[i].prefix, strlen(sets[i].prefix)) != 0)
		i++;
	struct bytes rest = bytes_str(name + strlen(sets[i].prefix));
	size_t n = sizeof if_exists - 1;
	c->set = (uint8_t)sets[i].set;
	c->if_exists = rest.n > n && !memcmp(rest.p + rest.n - n, if_exists, n);
	if (c->if_exists)
		rest.n -= n;
	return policy_operator_find(rest, &c->operator);
}

static outcome read_operator(const char *name, const char *place, const struct policy_operator **out,
			     struct policy_condition *c, struct fault *f)
{
	*out = find_operator(name, c);
	if (!*out)
		return policy_refuse(
			f, place,
			"no operator of IAM has this name (the case of letters counts); write for "
			"instance StringEquals, ForAnyValue:StringLike or BoolIfExists");
	if ((*out)->family == FAMILY_NULL && (c->if_exists || c->set != SET_NONE))
		return policy_refuse(f, place,
				     "Null asks whether a key is there, and takes neither IfExists "
				     "nor a set; write \"Null\"");
	return DONE;
}

/* What can be asked of a key. */
static outcome check_key(const struct reading *r, const struct policy_key *k, struct fault *f)
{
	enum policy_family family = r->operator->family;
	bool timed = k->source == KEY_CURRENT_TIME || k->source == KEY_EPOCH_TIME;
	if (family == FAMILY_NULL)
		return DONE;
	if (k->list && r->condition->set == SET_NONE)
		return policy_refuse(
			f, r->place,
			"the key has several values; write ForAllValues: or ForAnyValue: before %s",
			r->operator->name);
	if (timed && family != FAMILY_TIME && (family != FAMILY_NUMBER || k->source == KEY_CURRENT_TIME))
		return policy_refuse(f, r->place, "the key is a time; write DateLessThan or its like");
	if ((family == FAMILY_ARN) != (k->source == KEY_LAST_WILL_TOPIC))
		return policy_refuse(
			f, r->place,
			"iot:LastWillTopic is an ARN, and no other key is; write ArnEquals for it, "
			"and String operators for the others");
	return DONE;
}

/* Whatever stands in the document, as text; n = 0 where it is none. */
static struct bytes text_of(const json_t *value, char room[32])
{
	if (json_is_string(value))
		return bytes_of(json_string_value(value), json_string_length(value));
	if (json_is_boolean(value))
		return bytes_str(json_is_true(value) ? "true" : "false");
	if (json_is_integer(value))
		return bytes_of(
			room, (size_t)snprintf(room, 32, "%" JSON_INTEGER_FORMAT, json_integer_value(value)));
	if (json_is_real(value))
		return bytes_of(room, (size_t)snprintf(room, 32, "%.15g", json_real_value(value)));
	return bytes_of(NULL, 0);
}

static bool read_truth(struct bytes text, bool *out)
{
	*out = text.n == 4 && !strncasecmp((const char *)text.p, "true", 4);
	return *out || (text.n == 5 && !strncasecmp((const char *)text.p, "false", 5));
}

static outcome read_typed(const struct reading *r, struct bytes text, const char *place,
			  struct policy_value *out, struct fault *f)
{
	static const char *const wanted[] = {
		[FAMILY_NUMBER] = "a number of at most 15 digits; write for instance 42 or \"-7.5\"",
		[FAMILY_TIME] = "a time; write for instance \"2027-01-31T12:00:00Z\" or seconds since 1970",
		[FAMILY_TRUTH] = "true or false; write \"true\" or \"false\"",
		[FAMILY_NETWORK] = "an address or a network; write for instance \"192.0.2.0/24\"",
		[FAMILY_NULL] = "true or false; write \"true\" for a key that must be absent",
	};
	enum policy_family family = r->operator->family;
	bool good = family == FAMILY_NUMBER    ? policy_value_number(text, &out->number)
		    : family == FAMILY_TIME    ? policy_value_time(text, &out->ms)
		    : family == FAMILY_NETWORK ? policy_value_network(text, &out->network)
					       : read_truth(text, &out->truth);
	if (good)
		return DONE;
	return policy_refuse(f, place, "\"%.*s\" is not %s", (int)(text.n < 40 ? text.n : 40), text.p,
			     wanted[family]);
}

static outcome read_value(const struct reading *r, const json_t *json, const char *place, struct fault *f)
{
	char room[32];
	struct policy_value value = {0};
	enum policy_family family = r->operator->family;
	struct bytes text = text_of(json, room);
	outcome o;
	if (!text.p)
		return policy_refuse(f, place, "is not a string, a number, true or false; write a string");
	if (family == FAMILY_TEXT)
		o = policy_glob_compile(r->b, text, r->operator->like, place, &value.text, f);
	else if (family == FAMILY_ARN)
		o = policy_arn_compile(r->b, text, place, &value.arn, f);
	else
		o = read_typed(r, text, place, &value, f);
	if (!o.ok)
		return o;
	buf_add(&r->b->values, &value, sizeof value);
	r->condition->count++;
	return DONE;
}

/* A value or a list of values; a list may be empty, and then no value agrees. */
static outcome read_values(const struct reading *r, const json_t *json, struct fault *f)
{
	char place[POLICY_PLACE_MAX];
	if (!json_is_array(json))
		return read_value(r, json, r->place, f);
	outcome o = DONE;
	for (size_t i = 0; o.ok && i < json_array_size(json); i++) {
		snprintf(place, sizeof place, "%.160s[%zu]", r->place, i);
		o = read_value(r, json_array_get(json, i), place, f);
	}
	return o;
}

static outcome read_condition(struct policy_builder *b, const char *operator, const char * key,
			      const json_t *json, const char *place, struct policy_statement *s,
			      struct fault *f)
{
	struct policy_condition c = {.first = (uint16_t)(b->values.n / sizeof(struct policy_value))};
	struct reading r = {.b = b, .place = place, .condition = &c};
	outcome o = read_operator(operator, place, &r.operator, & c, f);
	if (o.ok)
		o = policy_key_compile(b, bytes_str(key), place, &c.key, f);
	if (o.ok)
		o = check_key(&r, (const struct policy_key *)(void *)b->keys.p + c.key, f);
	if (o.ok)
		o = read_values(&r, json, f);
	if (!o.ok)
		return o;
	buf_add(&b->conditions, &c, sizeof c);
	s->conditions++;
	return DONE;
}

static outcome read_keys(struct policy_builder *b, const char *operator, const json_t * map,
			 const char *place, struct policy_statement *s, struct fault *f)
{
	char own[POLICY_PLACE_MAX];
	const char *key;
	json_t *value;
	outcome o = DONE;
	if (!json_is_object(map))
		return policy_refuse(f, place, "is not an object; write {\"KEY\": \"VALUE\"}");
	json_object_foreach((json_t *)(uintptr_t)map, key, value) {
		snprintf(own, sizeof own, "%.90s.\"%.85s\"", place, key);
		if (o.ok)
			o = read_condition(b, operator, key, value, own, s, f);
	}
	return o;
}

outcome policy_conditions_compile(struct policy_builder *b, const json_t *block, const char *place,
				  struct policy_statement *s, struct fault *f)
{
	char own[POLICY_PLACE_MAX];
	const char *operator;
	json_t *map;
	outcome o = DONE;
	if (!json_is_object(block))
		return policy_refuse(f, place,
				     "is not an object; write {\"OPERATOR\": {\"KEY\": \"VALUE\"}}");
	s->first_condition = (uint16_t)(b->conditions.n / sizeof(struct policy_condition));
	json_object_foreach((json_t *)(uintptr_t)block, operator, map) {
		snprintf(own, sizeof own, "%.40s.%.48s", place, operator);
		if (o.ok)
			o = read_keys(b, operator, map, own, s, f);
	}
	return o;
}

/* ---- deciding ---- */

static bool agrees(const struct policy_condition *c, const struct policy_fact *fact, bool deny,
		   const struct policy_scope *s)
{
	const struct policy_operator *o = policy_operator_at(c->operator);
	bool yes = false, unknown = false;
	for (size_t i = 0; i < c->count && !yes; i++) {
		enum policy_truth t = policy_operator_compare(o, &s->policy->values[c->first + i], fact, s);
		yes = t == TRUTH_YES;
		unknown = unknown || t == TRUTH_UNKNOWN;
	}
	return o->negated ? !yes && (deny || !unknown) : yes;
}

/* IAM, "Condition operators": what a key that is not there means. */
static bool absent_holds(const struct policy_condition *c)
{
	if (c->if_exists || c->set == SET_ALL)
		return true;
	return c->set == SET_NONE && policy_operator_at(c->operator)->negated;
}

bool policy_condition_holds(const struct policy_condition *c, const struct policy_fact *facts, size_t count,
			    bool deny, const struct policy_scope *s)
{
	if (policy_operator_at(c->operator)->family == FAMILY_NULL)
		return agrees(c, count ? facts : NULL, deny, s);
	if (count == 0)
		return absent_holds(c);
	size_t holding = 0;
	for (size_t i = 0; i < count; i++)
		holding += agrees(c, &facts[i], deny, s);
	return c->set == SET_ANY ? holding > 0 : holding == count;
}

void policy_condition_name(const struct policy *p, const struct policy_condition *c, char *out, size_t room)
{
	char key[POLICY_PLACE_MAX];
	size_t i = 0;
	while (sets[i].set != (enum policy_set)c->set)
		i++;
	policy_key_name(p, &p->keys[c->key], key, sizeof key);
	snprintf(out, room, "%s%s%s.\"%s\"", sets[i].prefix, policy_operator_at(c->operator)->name,
		 c->if_exists ? if_exists : "", key);
}
