/* A document: its grammar, its limits, and where in it something is wrong. */
#include "policy_internal.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ACTION_MAX = 128, ALL_ACTIONS = (1 << POLICY_ACTIONS) - 1 };

const struct policy_action_name policy_actions[POLICY_ACTIONS] = {
	[POLICY_CONNECT] = {"iot:Connect", RESOURCE_CLIENT},
	[POLICY_PUBLISH] = {"iot:Publish", RESOURCE_TOPIC},
	[POLICY_RETAIN_PUBLISH] = {"iot:RetainPublish", RESOURCE_TOPIC},
	[POLICY_SUBSCRIBE] = {"iot:Subscribe", RESOURCE_TOPICFILTER},
	[POLICY_RECEIVE] = {"iot:Receive", RESOURCE_TOPIC},
};

/* A statement while it is read. */
struct reading {
	struct policy_builder *b;
	const char *place;
	const json_t *action, *not_action, *resource, *not_resource, *condition, *effect, *sid;
	struct policy_statement out;
};

outcome policy_refuse(struct fault *f, const char *place, const char *fmt, ...)
{
	char text[FAULT_TEXT_MAX];
	va_list args;
	va_start(args, fmt);
	vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	return refuse(f, REASON_POLICY_SYNTAX, "%s: %s", place, text);
}

/* ---- one string or a list of strings ---- */

static size_t list_size(const json_t *value)
{
	return json_is_array(value) ? json_array_size(value) : json_is_string(value) ? 1 : 0;
}

static const json_t *list_at(const json_t *value, size_t i)
{
	return json_is_array(value) ? json_array_get(value, i) : value;
}

/* "Statement[2].Resource[0]" */
static const char *list_place(char out[POLICY_PLACE_MAX], const struct reading *r, const char *name,
			      const json_t *value, size_t i)
{
	int n = snprintf(out, POLICY_PLACE_MAX, "%.64s.%.32s", r->place, name);
	if (json_is_array(value))
		snprintf(out + n, POLICY_PLACE_MAX - (size_t)n, "[%zu]", i);
	return out;
}

/* ---- actions ---- */

/* Actions are compared without regard to case: both sides in lower case. */
static struct bytes lower(const char *text, char out[ACTION_MAX])
{
	size_t n = 0;
	for (; text[n]; n++)
		out[n] = (char)tolower((unsigned char)text[n]);
	return bytes_of(out, n);
}

static bool action_is_well_formed(const char *text)
{
	const char *colon = strchr(text, ':');
	return strlen(text) < ACTION_MAX && (!strcmp(text, "*") || (colon && colon != text && colon[1]));
}

/* The bits of the actions that one string means. Variables are text here. */
static outcome action_bits(struct policy_builder *b, const json_t *item, const char *place, uint8_t *bits,
			   struct fault *f)
{
	char pattern[ACTION_MAX], name[ACTION_MAX];
	const char *text = json_string_value(item);
	bool variables = b->variables;
	size_t tokens = b->tokens.n, texts = b->text.n;
	struct policy_glob g;
	if (!text || !action_is_well_formed(text))
		return policy_refuse(f, place, "is no action; write \"iot:Publish\", \"iot:*\" or \"*\"");
	b->variables = false;
	outcome o = policy_glob_compile(b, lower(text, pattern), true, place, &g, f);
	b->variables = variables;
	if (o.ok)
		o = policy_builder_check(b, f);
	for (enum policy_action a = POLICY_CONNECT; o.ok && a < POLICY_ACTIONS; a++)
		if (policy_glob_match(policy_builder_texts(b), g, NULL, lower(policy_actions[a].name, name)))
			*bits |= (uint8_t)(1u << a);
	b->tokens.n = tokens;
	b->text.n = texts;
	return o;
}

static outcome read_actions(struct reading *r, struct fault *f)
{
	const json_t *value = r->action ? r->action : r->not_action;
	char place[POLICY_PLACE_MAX];
	uint8_t bits = 0;
	if (!r->action == !r->not_action || list_size(value) == 0)
		return policy_refuse(
			f, r->place,
			"has not exactly one of Action and NotAction, a string or a list of strings; "
			"write \"Action\": \"iot:Publish\"");
	for (size_t i = 0; i < list_size(value); i++) {
		list_place(place, r, r->action ? "Action" : "NotAction", value, i);
		outcome o = action_bits(r->b, list_at(value, i), place, &bits, f);
		if (!o.ok)
			return o;
	}
	r->out.actions = r->action ? bits : (uint8_t)(~bits & ALL_ACTIONS);
	return DONE;
}

/* ---- resources ---- */

static outcome read_resources(struct reading *r, struct fault *f)
{
	const json_t *value = r->resource ? r->resource : r->not_resource;
	char place[POLICY_PLACE_MAX];
	if (!r->resource == !r->not_resource || list_size(value) == 0)
		return policy_refuse(f, r->place,
				     "has not exactly one of Resource and NotResource, a string or a list of "
				     "strings; write \"Resource\": \"arn:aws:iot:*:*:topic/...\"");
	r->out.not_resource = r->not_resource;
	r->out.is_list = json_is_array(value);
	r->out.first_arn = (uint16_t)(r->b->arns.n / sizeof(struct policy_arn));
	for (; r->out.arns < list_size(value); r->out.arns++) {
		const json_t *item = list_at(value, r->out.arns);
		struct policy_arn arn;
		list_place(place, r, r->resource ? "Resource" : "NotResource", value, r->out.arns);
		if (!json_is_string(item))
			return policy_refuse(f, place,
					     "is not a string; write \"arn:aws:iot:*:*:topic/...\"");
		outcome o = policy_arn_compile(
			r->b, bytes_of(json_string_value(item), json_string_length(item)), place, &arn, f);
		if (!o.ok)
			return o;
		buf_add(&r->b->arns, &arn, sizeof arn);
	}
	return DONE;
}

/* ---- statements ---- */

static outcome read_elements(const json_t *in, struct reading *r, struct fault *f)
{
	const struct {
		const char *name;
		const json_t **slot;
	} elements[] = {
		{"Sid", &r->sid},
		{"Effect", &r->effect},
		{"Action", &r->action},
		{"NotAction", &r->not_action},
		{"Resource", &r->resource},
		{"NotResource", &r->not_resource},
		{"Condition", &r->condition},
	};
	const char *name;
	json_t *value;
	json_object_foreach((json_t *)(uintptr_t)in, name, value) {
		size_t i = 0, n = sizeof elements / sizeof *elements;
		while (i < n && strcmp(name, elements[i].name) != 0)
			i++;
		if (i == n)
			return policy_refuse(
				f, r->place,
				"\"%.40s\" is no element of an AWS IoT statement; it has Sid, Effect, "
				"(Not)Action, (Not)Resource and Condition: take the other out",
				name);
		*elements[i].slot = value;
	}
	return DONE;
}

static outcome read_effect(struct reading *r, struct fault *f)
{
	const char *effect = json_string_value(r->effect);
	char place[POLICY_PLACE_MAX];
	snprintf(place, sizeof place, "%.64s.Effect", r->place);
	if (!effect || (strcmp(effect, "Allow") && strcmp(effect, "Deny")))
		return policy_refuse(f, place, "is exactly \"Allow\" or \"Deny\"; write one of them");
	r->out.deny = !strcmp(effect, "Deny");
	if (r->sid && !json_is_string(r->sid))
		return policy_refuse(f, r->place, "Sid is not a string; write one, or leave it out");
	return DONE;
}

static outcome read_statement(struct policy_builder *b, const json_t *in, const char *place, struct fault *f)
{
	struct reading r = {.b = b, .place = place};
	char condition[POLICY_PLACE_MAX];
	if (!json_is_object(in))
		return policy_refuse(f, place, "is not an object; write {\"Effect\": ...}");
	outcome o = read_elements(in, &r, f);
	if (o.ok)
		o = read_effect(&r, f);
	if (o.ok)
		o = read_actions(&r, f);
	if (o.ok)
		o = read_resources(&r, f);
	if (o.ok && r.condition) {
		snprintf(condition, sizeof condition, "%.64s.Condition", place);
		o = policy_conditions_compile(b, r.condition, condition, &r.out, f);
	}
	buf_add(&b->statements, &r.out, sizeof r.out);
	return o;
}

static outcome read_statements(struct policy_builder *b, const json_t *list, struct fault *f)
{
	char place[32] = "Statement";
	b->is_list = json_is_array(list);
	size_t n = b->is_list ? json_array_size(list) : json_is_object(list) ? 1 : 0;
	if (n == 0 || n > POLICY_STATEMENTS_MAX)
		return policy_refuse(f, "Statement", "is not 1 to %d statements; write [{\"Effect\": ...}]",
				     POLICY_STATEMENTS_MAX);
	outcome o = DONE;
	for (size_t i = 0; o.ok && i < n; i++) {
		if (b->is_list)
			snprintf(place, sizeof place, "Statement[%zu]", i);
		o = read_statement(b, list_at(list, i), place, f);
	}
	return o;
}

/* ---- the document ---- */

/* IAM: a document without a version is of 2008-10-17, where "${" is text. */
static outcome read_version(const json_t *version, bool *variables, struct fault *f)
{
	const char *text = version ? json_string_value(version) : "2008-10-17";
	if (!text || (strcmp(text, "2012-10-17") && strcmp(text, "2008-10-17")))
		return policy_refuse(
			f, "Version",
			"is no version of the language; write \"2012-10-17\" (or \"2008-10-17\", "
			"which has no variables)");
	*variables = !strcmp(text, "2012-10-17");
	return DONE;
}

static outcome read_document(struct policy_builder *b, json_t *document, struct fault *f)
{
	const char *name;
	json_t *value;
	if (!json_is_object(document))
		return policy_refuse(f, "document", "is not an object; write {\"Version\": ...}");
	json_object_foreach(document, name, value) {
		if (!strcmp(name, "Version") || !strcmp(name, "Statement"))
			continue;
		if (strcmp(name, "Id") || !json_is_string(value))
			return policy_refuse(
				f, "document",
				"\"%.40s\" is no element of an AWS IoT policy (or Id no string); it "
				"has Version, Id and Statement: take the other out",
				name);
	}
	outcome o = read_version(json_object_get(document, "Version"), &b->variables, f);
	return o.ok ? read_statements(b, json_object_get(document, "Statement"), f) : o;
}

/* Without memory jansson calls a good text malformed, or drops a character of a string and goes on: a policy that it has
 * read counts only where it was given all that it asked for. One refusal anywhere in the process is enough. */
static _Atomic unsigned refusals;

static void *counting_malloc(size_t n)
{
	void *p = malloc(n);
	if (!p)
		refusals++;
	return p;
}

__attribute__((constructor)) static void count_refusals(void)
{
	json_set_alloc_funcs(counting_malloc, free);
}

/* Others in the process may go on with jansson when the plugin is unloaded. */
__attribute__((destructor)) static void count_no_more(void)
{
	json_set_alloc_funcs(malloc, free);
}

static outcome parse(struct bytes json, json_t **out, struct fault *f)
{
	json_error_t error;
	unsigned before = refusals;
	*out = json_loadb((const char *)json.p, json.n, JSON_REJECT_DUPLICATES, &error);
	if (refusals != before)
		return refuse(f, REASON_NO_MEMORY, "no memory to read a policy");
	return *out ? DONE
		    : refuse(f, REASON_POLICY_SYNTAX, "line %d column %d: %s (RFC 8259)", error.line,
			     error.column, error.text);
}

outcome policy_compile(struct bytes json, struct policy **out, struct fault *f)
{
	struct policy_builder b = {0};
	json_t *document = NULL;
	outcome o = policy_check_size(json, f);
	if (o.ok)
		o = parse(json, &document, f);
	if (o.ok)
		o = read_document(&b, document, f);
	if (o.ok)
		o = policy_build(&b, out, f);
	policy_builder_free(&b);
	json_decref(document);
	return o;
}
