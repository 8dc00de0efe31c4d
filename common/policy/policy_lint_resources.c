/* Lint: what a statement's resources let a device do, and whether they can match at all. */
#include "policy_lint_internal.h"

#include <stdlib.h>
#include <string.h>

enum { CONNECT = 1 << POLICY_CONNECT, SUBSCRIBE = 1 << POLICY_SUBSCRIBE, RECEIVE = 1 << POLICY_RECEIVE };
enum {
	PUBLISH = 1 << POLICY_PUBLISH | 1 << POLICY_RETAIN_PUBLISH,
	ALL = (1 << POLICY_ACTIONS) - 1,
};

/* A key by which one device differs from another. */
static bool is_identity(const struct policy_key *k)
{
	return k->source == KEY_THING_NAME || k->source == KEY_CERTIFICATE_ID ||
	       k->source == KEY_CERTIFICATE_FIELD;
}

bool policy_key_may_be_absent(const struct policy_key *k)
{
	bool serial = k->source == KEY_CERTIFICATE_FIELD && k->field == 0;
	return k->source == KEY_THING_NAME || k->source == KEY_THING_TYPE ||
	       k->source == KEY_THING_ATTRIBUTE || k->source == KEY_DOMAIN_NAME ||
	       (k->source == KEY_CERTIFICATE_FIELD && !serial);
}

/* ---- what a pattern is made of ---- */

/* One statement's resource while it is judged. */
struct subject {
	struct linting *l;
	const struct policy_statement *s;
	const struct policy_arn *arn;
	const struct policy_token *tokens;
	size_t count;
	char place[POLICY_PLACE_MAX];
	char *text; /* as the document writes its name */
};

static bool is_wild(const struct policy_token *t)
{
	return t->kind == TOKEN_ANY || t->kind == TOKEN_ONE;
}

static bool has_wildcard(const struct subject *x)
{
	for (size_t i = 0; i < x->count; i++)
		if (is_wild(&x->tokens[i]))
			return true;
	return false;
}

static const struct policy_key *key_of(const struct policy *p, const struct policy_token *t)
{
	return t->kind == TOKEN_VARIABLE ? &p->keys[t->key] : NULL;
}

static bool names_source(const struct policy *p, const struct policy_arn *arn, enum policy_key_source source)
{
	for (size_t i = 0; i < arn->name.count; i++) {
		const struct policy_key *k = key_of(p, &p->texts.tokens[arn->name.first + i]);
		if (k && k->source == source)
			return true;
	}
	return false;
}

static bool names_identity(const struct policy *p, const struct policy_arn *arn)
{
	for (size_t i = 0; i < arn->name.count; i++) {
		const struct policy_key *k = key_of(p, &p->texts.tokens[arn->name.first + i]);
		if (k && is_identity(k))
			return true;
	}
	return false;
}

/* A topic that belongs to one connection: its name stands in it. */
static bool is_own(const struct policy *p, const struct policy_arn *arn)
{
	return arn->resource != RESOURCE_CLIENT &&
	       (names_identity(p, arn) || names_source(p, arn, KEY_CLIENT_ID));
}

static bool is_of(const struct subject *x, enum policy_resource resource)
{
	return x->arn->resource == RESOURCE_ANY || x->arn->resource == resource;
}

/* ---- rules ---- */

static bool is_wide_open(const struct subject *x)
{
	return !x->s->deny && !x->s->not_resource && x->s->actions == ALL &&
	       x->arn->resource == RESOURCE_ANY && policy_glob_is_any(x->l->p, x->arn->name) &&
	       !x->s->conditions;
}

/* A condition that ties the client id to the device is as good as a resource that does. */
static bool condition_ties_client_id(const struct linting *l, const struct policy_statement *s)
{
	const struct policy *p = l->p;
	for (size_t i = s->first_condition; i < s->first_condition + (size_t)s->conditions; i++) {
		const struct policy_condition *c = &p->conditions[i];
		const struct policy_operator *o = policy_operator_at(c->operator);
		if (p->keys[c->key].source != KEY_CLIENT_ID || o->family != FAMILY_TEXT || o->negated ||
		    c->if_exists)
			continue;
		for (size_t v = 0; v < c->count; v++)
			if (names_identity(p, &(struct policy_arn){.name = p->values[c->first + v].text}))
				return true;
	}
	return false;
}

/* Some Allow of this document gives out topics by client id. */
static bool topics_use_client_id(const struct linting *l)
{
	for (size_t i = 0; i < l->p->statement_count; i++) {
		const struct policy_statement *s = &l->p->statements[i];
		for (size_t j = 0; !s->deny && j < s->arns; j++) {
			const struct policy_arn *arn = &l->p->arns[s->first_arn + j];
			if (arn->resource != RESOURCE_CLIENT && names_source(l->p, arn, KEY_CLIENT_ID))
				return true;
		}
	}
	return false;
}

static void check_client_id(struct subject *x)
{
	bool wide = x->s->not_resource || has_wildcard(x) || names_source(x->l->p, x->arn, KEY_CLIENT_ID);
	if (x->s->deny || !(x->s->actions & CONNECT) || !is_of(x, RESOURCE_CLIENT) || !wide ||
	    (names_identity(x->l->p, x->arn) && !x->s->not_resource) || condition_ties_client_id(x->l, x->s))
		return;
	if (topics_use_client_id(x->l))
		policy_lint_report(
			x->l, RULE_CLIENT_ID_HOLE, x->place,
			"a device may connect with another's client id, and this document gives out "
			"topics by ${iot:ClientId}: it gets the other's topics, and ends its connection");
	else
		policy_lint_report(x->l, RULE_CLIENT_ID_OPEN, x->place,
				   "a device may connect with another's client id (\"%s\"), and so end its "
				   "connection and take over its session",
				   x->text);
}

/* A topic that some Allow gives to one device, and that this pattern takes in; NULL: none. */
static const struct policy_arn *others_topic(const struct subject *x)
{
	const struct policy *p = x->l->p;
	for (size_t i = 0; i < p->statement_count; i++) {
		const struct policy_statement *s = &p->statements[i];
		for (size_t j = 0; !s->deny && !s->not_resource && j < s->arns; j++) {
			const struct policy_arn *arn = &p->arns[s->first_arn + j];
			if (is_own(p, arn) &&
			    policy_glob_covers(p, x->arn->name, arn->name, &x->l->out_of_memory))
				return arn;
		}
	}
	return NULL;
}

/* Devices share the topics of provisioning; what is answered there reaches nobody else. */
static bool is_shared_by_design(const struct subject *x)
{
	static const char *const prefixes[] = {"$aws/certificates/", "$aws/provisioning-templates/"};
	if (!x->arn->reserved)
		return false;
	const uint8_t *text = x->l->p->texts.text + x->tokens->at;
	for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
		if (x->tokens->n >= strlen(prefixes[i]) && !memcmp(text, prefixes[i], strlen(prefixes[i])))
			return true;
	return false;
}

static void check_publish(struct subject *x)
{
	if (x->s->deny || x->s->not_resource || !(x->s->actions & PUBLISH) || !is_of(x, RESOURCE_TOPIC) ||
	    !has_wildcard(x) || is_own(x->l->p, x->arn) || is_shared_by_design(x))
		return;
	const struct policy_arn *other = others_topic(x);
	struct buf text = {0};
	if (other)
		policy_glob_print(x->l->p, x->l->p->texts, other->name, &text);
	char *name = other ? buf_take_str(&text) : NULL;
	if (name)
		policy_lint_report(
			x->l, RULE_PUBLISH_TO_OTHERS, x->place,
			"a device may publish to \"%s\", which takes in every other device's \"%s\"", x->text,
			name);
	else
		policy_lint_report(x->l, RULE_PUBLISH_WIDE, x->place,
				   "every device may publish to all of \"%s\": nothing in the topic says who "
				   "has sent it",
				   x->text);
	free(name);
}

static void check_read(struct subject *x)
{
	if (x->s->deny || x->s->not_resource || !(x->s->actions & (SUBSCRIBE | RECEIVE)) ||
	    is_own(x->l->p, x->arn) || !has_wildcard(x) ||
	    (!is_of(x, RESOURCE_TOPIC) && !is_of(x, RESOURCE_TOPICFILTER)) || !others_topic(x))
		return;
	policy_lint_report(x->l, RULE_READ_OTHERS, x->place,
			   "a device may read \"%s\", which takes in topics of every other device", x->text);
}

static void check_everything_but(struct subject *x)
{
	if (x->s->deny || !x->s->not_resource || !(x->s->actions & PUBLISH))
		return;
	policy_lint_report(x->l, RULE_PUBLISH_WIDE, x->place,
			   "every device may publish to all topics but these, also to those of others");
}

static void check_prefix(struct subject *x)
{
	for (size_t i = 0; !x->s->deny && i < x->count; i++) {
		const struct policy_key *k = key_of(x->l->p, &x->tokens[i]);
		bool before = i > 0 && is_wild(&x->tokens[i - 1]);
		bool behind = i + 1 < x->count && is_wild(&x->tokens[i + 1]);
		if (!k || !(is_identity(k) || k->source == KEY_CLIENT_ID) || !(before || behind))
			continue;
		policy_lint_report(x->l, RULE_PREFIX_HOLE, x->place,
				   "\"%s\": a wildcard touches the name, so that \"lamp\" also gets what is "
				   "\"lamp2\"'s",
				   x->text);
		return;
	}
}

static void check_deny_bites(struct subject *x)
{
	for (size_t i = 0; x->s->deny && !x->s->not_resource && i < x->count; i++) {
		const struct policy_key *k = key_of(x->l->p, &x->tokens[i]);
		char name[POLICY_PLACE_MAX];
		if (!k || !policy_key_may_be_absent(k))
			continue;
		policy_key_name(x->l->p, k, name, sizeof name);
		policy_lint_report(x->l, RULE_DENY_NEVER_BITES, x->place,
				   "where ${%s} has no value this denies nothing", name);
		return;
	}
}

static bool some_deny_receives(const struct subject *x)
{
	const struct policy *p = x->l->p;
	for (size_t i = 0; i < p->statement_count; i++) {
		const struct policy_statement *s = &p->statements[i];
		for (size_t j = 0; s->deny && (s->actions & RECEIVE) && !s->not_resource && j < s->arns;
		     j++) {
			const struct policy_arn *arn = &p->arns[s->first_arn + j];
			if (arn->resource != RESOURCE_TOPICFILTER && arn->resource != RESOURCE_CLIENT &&
			    policy_glob_covers(p, arn->name, x->arn->name, &x->l->out_of_memory))
				return true;
		}
	}
	return false;
}

static void check_deny_filter(struct subject *x)
{
	if (!x->s->deny || x->s->not_resource || !(x->s->actions & SUBSCRIBE) ||
	    !is_of(x, RESOURCE_TOPICFILTER) || policy_glob_is_any(x->l->p, x->arn->name) ||
	    some_deny_receives(x))
		return;
	policy_lint_report(
		x->l, RULE_DENY_FILTER_TEXT, x->place,
		"a filter is compared as it is written: another one, with + or #, takes in the topics "
		"of \"%s\" and is not denied",
		x->text);
}

/* ---- what cannot match ---- */

static unsigned actions_on(enum policy_resource resource)
{
	unsigned actions = 0;
	for (enum policy_action a = POLICY_CONNECT; a < POLICY_ACTIONS; a++)
		actions |= policy_actions[a].resource == resource ? 1u << a : 0;
	return actions;
}

static void check_type(struct subject *x)
{
	if (!x->s->actions || x->arn->resource == RESOURCE_ANY ||
	    (x->s->actions & actions_on(x->arn->resource)))
		return;
	struct bytes type = policy_arn_prefix(x->arn->resource);
	policy_lint_report(x->l, RULE_NEVER_MATCHES, x->place,
			   "\"%.*s\" is not what the statement's actions are about (%s)", (int)type.n, type.p,
			   x->s->actions & CONNECT     ? "iot:Connect is about client/"
			   : x->s->actions & SUBSCRIBE ? "iot:Subscribe is about topicfilter/"
						       : "iot:Publish and iot:Receive are about topic/");
}

static void check_mqtt_wildcards(struct subject *x)
{
	const struct policy *p = x->l->p;
	for (size_t i = 0; x->arn->resource == RESOURCE_TOPIC && i < x->count; i++) {
		const struct policy_token *t = &x->tokens[i];
		if (t->kind != TOKEN_TEXT ||
		    (!memchr(p->texts.text + t->at, '+', t->n) && !memchr(p->texts.text + t->at, '#', t->n)))
			continue;
		policy_lint_report(x->l, RULE_NEVER_MATCHES, x->place,
				   "\"%s\": + and # are no wildcards in a policy, and no topic holds them",
				   x->text);
		return;
	}
}

static void check_values_here(struct subject *x)
{
	if (names_source(x->l->p, x->arn, KEY_DOMAIN_NAME))
		policy_lint_report(
			x->l, RULE_NO_VALUE_HERE, x->place,
			"\"%s\" never matches: brokers do not know the server name that was asked for "
			"(Mosquitto does not tell it)",
			x->text);
}

/* ---- all of it ---- */

static void (*const checks[])(struct subject *) = {
	check_client_id,   check_publish, check_read,		check_prefix,	   check_deny_bites,
	check_deny_filter, check_type,	  check_mqtt_wildcards, check_values_here,
};

static bool subject_set(struct subject *x, struct linting *l, const struct policy_statement *s, size_t arn)
{
	struct buf text = {0};
	*x = (struct subject){.l = l, .s = s, .arn = &l->p->arns[arn]};
	x->tokens = l->p->texts.tokens + x->arn->name.first;
	x->count = x->arn->name.count;
	policy_place_arn(l->p, s, arn, x->place);
	policy_glob_print(l->p, l->p->texts, x->arn->name, &text);
	x->text = buf_take_str(&text);
	l->out_of_memory = l->out_of_memory || !x->text;
	return x->text;
}

void policy_lint_resources(struct linting *l, size_t statement)
{
	const struct policy_statement *s = &l->p->statements[statement];
	struct subject x;
	for (size_t i = s->first_arn; i < s->first_arn + (size_t)s->arns; i++) {
		if (l->p->arns[i].foreign || !subject_set(&x, l, s, i))
			continue;
		if (is_wide_open(&x))
			policy_lint_report(l, RULE_WIDE_OPEN, x.place,
					   "every device may do everything, in every other device's name");
		for (size_t c = 0; !is_wide_open(&x) && c < sizeof checks / sizeof *checks; c++)
			checks[c](&x);
		if (i == s->first_arn)
			check_everything_but(&x);
		free(x.text);
	}
}
