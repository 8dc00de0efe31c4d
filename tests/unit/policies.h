/*
 * policies.h - what the tests of the policy language share: to be included once a program.
 */
#ifndef MOORING_TEST_POLICIES_H
#define MOORING_TEST_POLICIES_H

#include "common/policy/policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DOCUMENT(statements) "{\"Version\":\"2012-10-17\",\"Statement\":[" statements "]}"
#define S(effect, action, resource)                                                                          \
	"{\"Effect\":\"" effect "\",\"Action\":\"" action "\",\"Resource\":\"" resource "\"}"
#define STATEMENT(effect, action, resource) DOCUMENT(S(effect, action, resource))
#define ARN "arn:aws:iot:*:*:"
#define THING "${iot:Connection.Thing.ThingName}"

enum { NOW = 1800000000 }; /* 2027-01-15T08:00:00Z */

static const struct policy_connection nobody = {.client_id = "c1"};

static inline struct policy *compiled(const char *json)
{
	struct policy *p = NULL;
	struct fault f = {0};
	if (!policy_compile(bytes_str(json), &p, &f).ok)
		fail_msg("%s: %s: %s", json, reason_code(f.reason), f.text);
	return p;
}

static inline struct policy_binding *bound(const struct policy *p, const struct policy_connection *c)
{
	struct policy_binding *b = NULL;
	struct fault f = {0};
	if (!policy_bind(&p, 1, c, &b, &f).ok)
		fail_msg("%s", f.text);
	return b;
}

static inline enum policy_decision ask(const char *json, enum policy_action action, const char *target,
				       const struct policy_connection *c)
{
	struct policy *p = compiled(json);
	struct policy_binding *b = bound(p, c);
	const struct policy_question q = {.action = action, .target = target, .now_s = NOW};
	enum policy_decision d = policy_check(b, &q);
	policy_binding_free(b);
	policy_free(p);
	return d;
}

/* The document must be refused, with this in the sentence. */
static inline void assert_refused(const char *json, const char *words)
{
	struct policy *p = NULL;
	struct fault f = {0};
	if (policy_compile(bytes_str(json), &p, &f).ok)
		fail_msg("not refused: %s", json);
	assert_int_equal(f.reason, REASON_POLICY_SYNTAX);
	if (!strstr(f.text, words))
		fail_msg("\"%s\" does not say \"%s\"", f.text, words);
	assert_null(p);
}

#endif
