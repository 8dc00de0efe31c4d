/* The lint's rules, and its way through a document. What needs the document's own words is judged here. */
#include "policy_lint_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { SENTENCE_MAX = 512 };

const struct policy_rule policy_rules[RULES + 1] = {
	[RULE_WIDE_OPEN] = {"wide-open", POLICY_DANGER, "everything is allowed on everything",
			    "allow each action by itself, on resources that name the thing"},
	[RULE_CLIENT_ID_HOLE] =
		{"client-id-hole", POLICY_DANGER,
		 "any client id may connect, and topics are given out by client id",
		 "allow iot:Connect on client/${iot:Connection.Thing.ThingName} alone, or name the "
		 "thing in the topics"},
	[RULE_PUBLISH_TO_OTHERS] = {"publish-to-others", POLICY_DANGER,
				    "a device may publish to topics that are given to another one",
				    "put ${iot:Connection.Thing.ThingName} into the topic, between slashes"},
	[RULE_DENY_NEVER_BITES] =
		{"deny-never-bites", POLICY_DANGER,
		 "a Deny depends on a value that may not be there, and then denies nothing",
		 "deny without the variable (a wildcard, NotResource), or allow only where there "
		 "is a value"},
	[RULE_NO_VERSION] = {"no-version", POLICY_DANGER,
			     "variables in a document of the old version are text",
			     "begin the document with \"Version\": \"2012-10-17\""},
	[RULE_CLIENT_ID_OPEN] =
		{"client-id-open", POLICY_WARNING, "a client id may be another device's",
		 "allow iot:Connect on client/${iot:Connection.Thing.ThingName}, or on ids that are "
		 "this one's alone"},
	[RULE_PUBLISH_WIDE] = {"publish-wide", POLICY_WARNING, "topics without a sender's name in them",
			       "put ${iot:Connection.Thing.ThingName} into the topic, between slashes"},
	[RULE_READ_OTHERS] = {"read-others", POLICY_WARNING, "a device may read what is another one's",
			      "put ${iot:Connection.Thing.ThingName} into the topic, between slashes"},
	[RULE_PREFIX_HOLE] = {"prefix-hole", POLICY_WARNING, "a wildcard touches a name",
			      "put a character between them that no name holds, such as '/'"},
	[RULE_DENY_FILTER_TEXT] = {"deny-filter-text", POLICY_WARNING,
				   "a denied filter can be written in another way",
				   "deny iot:Receive on the topic as well: it is checked on every delivery"},
	[RULE_ABSENT_ALLOWS] = {"absent-allows", POLICY_WARNING,
				"a condition holds where its key has no value",
				"add \"Null\": {KEY: \"false\"} to the Condition"},
	[RULE_UNREACHABLE] = {"unreachable", POLICY_WARNING, "an Allow that a Deny takes back entirely",
			      "take the Allow out, or narrow the Deny"},
	[RULE_NEVER_MATCHES] = {"never-matches", POLICY_WARNING, "what the statement says cannot happen",
				"write the type that the action is about, and wildcards as * and ?"},
	[RULE_NO_VALUE_HERE] = {"no-value-here", POLICY_WARNING,
				"a variable that has no value at Mooring's brokers",
				"use the thing's name or the certificate's fields"},
	[RULE_UNKNOWN_ACTION] =
		{"unknown-action", POLICY_WARNING, "an action that AWS IoT does not have",
		 "write iot:Connect, iot:Publish, iot:RetainPublish, iot:Subscribe or iot:Receive"},
	[RULE_NO_RECEIVE] = {"no-receive", POLICY_WARNING,
			     "subscriptions without iot:Receive deliver nothing",
			     "allow iot:Receive on the topics, too"},
	[RULE_REDUNDANT] = {"redundant", POLICY_NOTE, "a statement that another one makes needless",
			    "take it out"},
	[RULE_NOT_MQTT] = {"not-mqtt", POLICY_NOTE, "an action that is AWS IoT's but not checked by a broker",
			   "leave it where the document is used on AWS too"},
	[RULE_NO_CONNECT] = {"no-connect", POLICY_NOTE, "topics are allowed, but not to connect",
			     "allow iot:Connect, unless another policy of the certificate does"},
	[RULE_WILL_LATE] =
		{"will-late", POLICY_NOTE, "a condition on the will is asked when the will is published",
		 "leave it: an unwanted will is not published; an Allow that needs one admits nobody "
		 "without IfExists"},
	[RULES] = {NULL, POLICY_NOTE, NULL, NULL},
};

void policy_lint_report(struct linting *l, enum policy_rule_number rule, const char *place, const char *fmt,
			...)
{
	char text[SENTENCE_MAX];
	va_list args;
	va_start(args, fmt);
	vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	l->found(l->arg, &(struct policy_finding){&policy_rules[rule], place, text});
}

/* ---- actions ---- */

/* What AWS IoT's data plane has besides what a broker checks. */
static const char *const other_actions[] = {
	"iot:DeleteConnection",
	"iot:GetThingShadow",
	"iot:UpdateThingShadow",
	"iot:DeleteThingShadow",
	"iot:ListNamedShadowsForThing",
	"iot:GetRetainedMessage",
	"iot:ListRetainedMessages",
	"iot:AssumeRoleWithCertificate",
	"iot:DescribeJobExecution",
	"iot:GetPendingJobExecutions",
	"iot:StartNextPendingJobExecution",
	"iot:UpdateJobExecution",
};

static bool is_known_elsewhere(const char *action)
{
	if (strncasecmp(action, "iot:", 4) != 0)
		return true; /* another service's */
	for (size_t i = 0; i < sizeof other_actions / sizeof *other_actions; i++)
		if (!strcasecmp(action, other_actions[i]))
			return true;
	return false;
}

static bool is_checked(const char *action)
{
	for (enum policy_action a = POLICY_CONNECT; a < POLICY_ACTIONS; a++)
		if (!strcasecmp(action, policy_actions[a].name))
			return true;
	return strpbrk(action, "*?");
}

static void judge_action(struct linting *l, const char *action, const char *place)
{
	if (is_checked(action))
		return;
	if (is_known_elsewhere(action))
		policy_lint_report(l, RULE_NOT_MQTT, place, "no broker checks %s", action);
	else
		policy_lint_report(l, RULE_UNKNOWN_ACTION, place, "AWS IoT has no action %s", action);
}

static const json_t *list_at(const json_t *value, size_t i)
{
	return json_is_array(value) ? json_array_get(value, i) : value;
}

static void lint_actions(struct linting *l, size_t statement)
{
	static const char *const names[] = {"Action", "NotAction"};
	const json_t *s = list_at(json_object_get(l->document, "Statement"), statement);
	char place[POLICY_PLACE_MAX], own[POLICY_PLACE_MAX];
	policy_place_statement(l->p, &l->p->statements[statement], place);
	for (size_t n = 0; n < 2; n++) {
		const json_t *list = json_object_get(s, names[n]);
		size_t count = json_is_array(list) ? json_array_size(list) : list ? 1 : 0;
		for (size_t i = 0; i < count; i++) {
			if (json_is_array(list))
				snprintf(own, sizeof own, "%.32s.%s[%zu]", place, names[n], i);
			else
				snprintf(own, sizeof own, "%.32s.%s", place, names[n]);
			judge_action(l, json_string_value(list_at(list, i)), own);
		}
	}
}

/* ---- the document ---- */

/* "${" anywhere in a string below this value. */
static bool has_variable(const json_t *value)
{
	const char *key;
	json_t *item;
	size_t i;
	bool found = json_is_string(value) && strstr(json_string_value(value), "${");
	if (json_is_array(value))
		json_array_foreach((json_t *)(uintptr_t)value, i, item)
			found = found || has_variable(item);
	if (json_is_object(value))
		json_object_foreach((json_t *)(uintptr_t)value, key, item)
			found = found || has_variable(item);
	return found;
}

static void judge_version(struct linting *l)
{
	const char *version = json_string_value(json_object_get(l->document, "Version"));
	if ((!version || strcmp(version, "2012-10-17") != 0) &&
	    has_variable(json_object_get(l->document, "Statement")))
		policy_lint_report(
			l, RULE_NO_VERSION, "Version",
			"the document is of version 2008-10-17, where \"${...}\" is compared as it is "
			"written");
}

/* The first Allow of this action; NULL: none. */
static const struct policy_statement *first_allow(const struct policy *p, unsigned actions)
{
	for (size_t i = 0; i < p->statement_count; i++)
		if (!p->statements[i].deny && (p->statements[i].actions & actions))
			return &p->statements[i];
	return NULL;
}

static void judge_together(struct linting *l)
{
	enum {
		CONNECT = 1 << POLICY_CONNECT,
		SUBSCRIBE = 1 << POLICY_SUBSCRIBE,
		RECEIVE = 1 << POLICY_RECEIVE
	};
	const struct policy_statement *subscribe = first_allow(l->p, SUBSCRIBE),
				      *topics = first_allow(l->p, (unsigned)~CONNECT);
	char place[POLICY_PLACE_MAX];
	if (subscribe && !first_allow(l->p, RECEIVE)) {
		policy_place_statement(l->p, subscribe, place);
		policy_lint_report(l, RULE_NO_RECEIVE, place,
				   "iot:Subscribe is allowed here, and iot:Receive nowhere in the document");
	}
	if (topics && !first_allow(l->p, CONNECT)) {
		policy_place_statement(l->p, topics, place);
		policy_lint_report(l, RULE_NO_CONNECT, place,
				   "iot:Connect is allowed nowhere in the document");
	}
}

outcome policy_lint(struct bytes json, void (*found)(void *arg, const struct policy_finding *), void *arg,
		    struct fault *f)
{
	struct policy *p = NULL;
	outcome o = policy_compile(json, &p, f);
	if (!o.ok)
		return o;
	json_t *document = json_loadb((const char *)json.p, json.n, 0, NULL);
	struct linting l = {
		.p = p, .document = document, .found = found, .arg = arg, .out_of_memory = !document};
	if (document)
		judge_version(&l);
	for (size_t i = 0; document && i < p->statement_count; i++) {
		lint_actions(&l, i);
		policy_lint_resources(&l, i);
		policy_lint_conditions(&l, i);
		policy_lint_reach(&l, i);
	}
	if (document)
		judge_together(&l);
	json_decref(document);
	policy_free(p);
	return l.out_of_memory ? refuse(f, REASON_NO_MEMORY, "no memory for the lint") : DONE;
}
