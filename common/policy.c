#include "policy_internal.h"

#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	PLACE_MAX = 96,
	ACTION_MAX = 128,
	ACTION_COUNT = POLICY_RECEIVE + 1,
	ALL_ACTIONS = (1 << ACTION_COUNT) - 1
};

/* In lower case: actions are compared without regard to case, resources are not. */
static const struct {
	const char *name;
	enum resource_type type;
} actions[ACTION_COUNT] = {
	[POLICY_CONNECT] = {"iot:connect", RESOURCE_CLIENT},
	[POLICY_PUBLISH] = {"iot:publish", RESOURCE_TOPIC},
	[POLICY_RETAIN_PUBLISH] = {"iot:retainpublish", RESOURCE_TOPIC},
	[POLICY_SUBSCRIBE] = {"iot:subscribe", RESOURCE_TOPICFILTER},
	[POLICY_RECEIVE] = {"iot:receive", RESOURCE_TOPIC},
};

struct policy_statement {
	bool deny;
	unsigned actions; /* bits of enum policy_action */
	bool not_resource;
	struct policy_resource *resources;
	size_t count;
};

struct policy {
	struct policy_statement *statements;
	size_t count;
};

/* A statement while it is read. */
struct reading {
	char place[PLACE_MAX];
	bool variables;
	const json_t *action, *not_action, *resource, *not_resource;
	const char *effect;
};

static outcome syntax(struct fault *f, const char *place, const char *what)
{
	return refuse(f, REASON_POLICY_SYNTAX, "%s: %s", place, what);
}

static outcome action_bits(const json_t *item, const char *place, unsigned *bits, struct fault *f)
{
	char lower[ACTION_MAX];
	const char *text = json_string_value(item);
	if (!text || strlen(text) >= ACTION_MAX || (!strchr(text, ':') && strcmp(text, "*")))
		return syntax(f, place, "an action is \"service:name\" or \"*\"");
	size_t n = 0;
	for (; text[n]; n++)
		lower[n] = (char)tolower((unsigned char)text[n]);
	struct policy_glob g = {0};
	outcome result = policy_glob_compile(bytes_of(lower, n), false, place, &g, f);
	for (unsigned a = 0; result.ok && a < ACTION_COUNT; a++)
		*bits |= policy_glob_match(&g, bytes_str(actions[a].name), NULL) ? 1u << a : 0;
	policy_glob_free(&g);
	return result;
}

/* One string or a list of strings. */
static size_t list_size(const json_t *value)
{
	return json_is_array(value) ? json_array_size(value) : json_is_string(value) ? 1 : 0;
}

static const json_t *list_at(const json_t *value, size_t i)
{
	return json_is_array(value) ? json_array_get(value, i) : value;
}

/* "Statement[2].Resource[0]" */
static const char *list_place(char out[PLACE_MAX], const char *statement, const char *key, size_t i)
{
	snprintf(out, PLACE_MAX, "%.40s.%s[%zu]", statement, key, i);
	return out;
}

static outcome read_actions(const struct reading *r, struct policy_statement *s, struct fault *f)
{
	const json_t *value = r->action ? r->action : r->not_action;
	char place[PLACE_MAX];
	if (!r->action == !r->not_action || list_size(value) == 0)
		return syntax(f, r->place, "needs either Action or NotAction: a string or a list of strings");
	for (size_t i = 0; i < list_size(value); i++) {
		list_place(place, r->place, r->action ? "Action" : "NotAction", i);
		outcome result = action_bits(list_at(value, i), place, &s->actions, f);
		if (!result.ok)
			return result;
	}
	if (r->not_action)
		s->actions = ~s->actions & ALL_ACTIONS;
	return DONE;
}

static outcome read_resources(const struct reading *r, struct policy_statement *s, struct fault *f)
{
	const json_t *value = r->resource ? r->resource : r->not_resource;
	char place[PLACE_MAX];
	size_t n = list_size(value);
	if (!r->resource == !r->not_resource || n == 0)
		return syntax(f, r->place,
			      "needs either Resource or NotResource: a string or a list of strings");
	s->not_resource = r->not_resource;
	s->resources = calloc(n, sizeof *s->resources);
	if (!s->resources)
		return refuse(f, REASON_NO_MEMORY, "no memory for a policy");
	for (; s->count < n; s->count++) {
		const char *arn = json_string_value(list_at(value, s->count));
		list_place(place, r->place, r->resource ? "Resource" : "NotResource", s->count);
		if (!arn)
			return syntax(f, place, "not a string");
		outcome result =
			policy_resource_compile(arn, r->variables, place, &s->resources[s->count], f);
		if (!result.ok)
			return result;
	}
	return DONE;
}

static outcome read_key(struct reading *r, const char *key, const json_t *value, struct fault *f)
{
	const struct {
		const char *name;
		const json_t **slot;
	} lists[] = {{"Action", &r->action},
		     {"NotAction", &r->not_action},
		     {"Resource", &r->resource},
		     {"NotResource", &r->not_resource}};
	for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
		if (!strcmp(key, lists[i].name)) {
			*lists[i].slot = value;
			return DONE;
		}
	}
	if (!strcmp(key, "Sid"))
		return json_is_string(value) ? DONE : syntax(f, r->place, "Sid is not a string");
	if (!strcmp(key, "Effect")) {
		r->effect = json_string_value(value);
		return DONE;
	}
	if (!strcmp(key, "Condition"))
		return refuse(f, REASON_POLICY_SYNTAX, "%s.Condition: conditions are not supported",
			      r->place);
	return refuse(f, REASON_POLICY_SYNTAX, "%s: unknown key \"%.40s\"", r->place, key);
}

static outcome read_statement(const json_t *in, struct reading *r, struct policy_statement *s,
			      struct fault *f)
{
	const char *key;
	const json_t *value;
	outcome result = DONE;
	if (!json_is_object(in))
		return syntax(f, r->place, "not an object");
	for (void *i = json_object_iter((json_t *)(uintptr_t)in); i && result.ok;
	     i = json_object_iter_next((json_t *)(uintptr_t)in, i)) {
		key = json_object_iter_key(i);
		value = json_object_iter_value(i);
		result = read_key(r, key, value, f);
	}
	if (!result.ok)
		return result;
	if (!r->effect || (strcmp(r->effect, "Allow") && strcmp(r->effect, "Deny")))
		return syntax(f, r->place, "Effect is exactly \"Allow\" or \"Deny\"");
	s->deny = !strcmp(r->effect, "Deny");
	result = read_actions(r, s, f);
	return result.ok ? read_resources(r, s, f) : result;
}

/* IAM: a document without a version is of 2008-10-17, where "${" is text. */
static outcome read_version(const json_t *version, bool *variables, struct fault *f)
{
	const char *text = version ? json_string_value(version) : "2008-10-17";
	if (!text || (strcmp(text, "2012-10-17") && strcmp(text, "2008-10-17")))
		return syntax(f, "Version", "is \"2012-10-17\" or \"2008-10-17\"");
	*variables = !strcmp(text, "2012-10-17");
	return DONE;
}

static outcome check_keys(json_t *document, struct fault *f)
{
	const char *key;
	json_t *value;
	json_object_foreach(document, key, value) {
		if (!strcmp(key, "Version") || !strcmp(key, "Statement"))
			continue;
		if (strcmp(key, "Id") || !json_is_string(value))
			return refuse(f, REASON_POLICY_SYNTAX, "document: unknown key \"%.40s\"", key);
	}
	return DONE;
}

static outcome read_document(json_t *document, struct policy *p, struct fault *f)
{
	bool variables = false;
	if (!json_is_object(document))
		return syntax(f, "document", "not an object");
	outcome result = check_keys(document, f);
	if (result.ok)
		result = read_version(json_object_get(document, "Version"), &variables, f);
	if (!result.ok)
		return result;
	const json_t *list = json_object_get(document, "Statement");
	size_t n = json_is_array(list) ? json_array_size(list) : json_is_object(list) ? 1 : 0;
	if (n == 0)
		return syntax(f, "Statement", "is a statement or a list of at least one");
	p->statements = calloc(n, sizeof *p->statements);
	if (!p->statements)
		return refuse(f, REASON_NO_MEMORY, "no memory for a policy");
	for (; p->count < n && result.ok; p->count++) {
		struct reading r = {.variables = variables};
		snprintf(r.place, sizeof r.place, "Statement[%zu]", p->count);
		result = read_statement(list_at(list, p->count), &r, &p->statements[p->count], f);
	}
	return result;
}

static outcome check_size(struct bytes json, struct fault *f)
{
	size_t n = 0;
	for (size_t i = 0; i < json.n; i++)
		n += !memchr(" \t\r\n", json.p[i], 4);
	if (n > POLICY_DOCUMENT_MAX)
		return refuse(f, REASON_POLICY_SYNTAX,
			      "document: %zu characters without white space, the limit is %d", n,
			      POLICY_DOCUMENT_MAX);
	return DONE;
}

outcome policy_compile(struct bytes json, struct policy **out, struct fault *f)
{
	json_error_t error;
	json_t *document = NULL;
	struct policy *p = NULL;
	outcome result = check_size(json, f);
	if (!result.ok)
		goto out;
	document = json_loadb((const char *)json.p, json.n, JSON_REJECT_DUPLICATES, &error);
	if (!document) {
		result = refuse(f, REASON_POLICY_SYNTAX, "line %d column %d: %s", error.line, error.column,
				error.text);
		goto out;
	}
	p = calloc(1, sizeof *p);
	result = p ? read_document(document, p, f) : refuse(f, REASON_NO_MEMORY, "no memory for a policy");
	if (result.ok) {
		*out = p;
		p = NULL;
	}
out:
	policy_free(p);
	json_decref(document);
	return result;
}

void policy_free(struct policy *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->count; i++) {
		struct policy_statement *s = &p->statements[i];
		for (size_t j = 0; s->resources && j < s->count; j++)
			policy_resource_free(&s->resources[j]);
		free(s->resources);
	}
	free(p->statements);
	free(p);
}

static bool any_resource_matches(const struct policy_statement *s, struct policy_question *q)
{
	for (size_t i = 0; i < s->count; i++)
		if (policy_resource_match(&s->resources[i], q))
			return true;
	return false;
}

static bool names_unresolved(const struct policy_statement *s, const struct policy_question *q)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->resources[i].name.variables & ~q->resolved)
			return true;
	return false;
}

/* Whoever writes "everything but ${x}" has not said what holds where x is nothing: then nothing is allowed. */
static bool not_resource_matches(const struct policy_statement *s, struct policy_question *q)
{
	return !any_resource_matches(s, q) && (s->deny || !names_unresolved(s, q));
}

static bool spells_reserved(const struct policy_statement *s, struct policy_question *q)
{
	for (size_t i = 0; i < s->count; i++)
		if (policy_resource_is_reserved(&s->resources[i]) &&
		    policy_resource_match(&s->resources[i], q))
			return true;
	return false;
}

static bool statement_matches(const struct policy_statement *s, struct policy_question *q)
{
	bool by_name = q->who->reserved_by_name && !s->deny && q->target.n && q->target.p[0] == '$';
	if (s->not_resource)
		return !by_name && not_resource_matches(s, q);
	return by_name ? spells_reserved(s, q) : any_resource_matches(s, q);
}

enum policy_decision policy_check(const struct policy *const *policies, size_t count,
				  enum policy_action action, const char *target,
				  const struct policy_principal *who)
{
	struct policy_question q; /* not initialised as a whole: `room` is large */
	q.type = actions[action].type;
	q.target = bytes_str(target);
	q.resolved = policy_resolved(who);
	q.who = who;
	q.full.n = 0;
	if (q.target.n > POLICY_TARGET_MAX)
		return POLICY_IMPLICIT_DENY;
	enum policy_decision decision = POLICY_IMPLICIT_DENY;
	for (size_t i = 0; i < count; i++) {
		for (size_t j = 0; j < policies[i]->count; j++) {
			const struct policy_statement *s = &policies[i]->statements[j];
			if (!(s->actions & (1u << action)) || (!s->deny && decision == POLICY_ALLOWED) ||
			    !statement_matches(s, &q))
				continue;
			if (s->deny)
				return POLICY_EXPLICIT_DENY;
			decision = POLICY_ALLOWED;
		}
	}
	return decision;
}

enum policy_decision policy_check_publish(const struct policy *const *policies, size_t count,
					  const char *topic, bool retain, const struct policy_principal *who)
{
	enum policy_decision publish = policy_check(policies, count, POLICY_PUBLISH, topic, who);
	if (!retain || publish == POLICY_EXPLICIT_DENY)
		return publish;
	enum policy_decision kept = policy_check(policies, count, POLICY_RETAIN_PUBLISH, topic, who);
	return publish == POLICY_ALLOWED || kept == POLICY_EXPLICIT_DENY ? kept : publish;
}
