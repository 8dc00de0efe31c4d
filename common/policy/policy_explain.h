/*
 * policy_explain.h - why a question has the answer that it has: what each statement says to it, and what the
 * variables stand for. Found with the check's own code; slower, and it allocates.
 */
#ifndef MOORING_POLICY_EXPLAIN_H
#define MOORING_POLICY_EXPLAIN_H

#include "policy.h"

/* How far a statement went. */
enum policy_step {
	POLICY_OTHER_ACTION,
	POLICY_OTHER_RESOURCE,
	POLICY_NO_VALUE, /* a variable of its resource has no value on this connection */
	POLICY_CONDITION_FAILS,
	POLICY_MATCHES,
};

struct policy_account {
	size_t policy, statement; /* numbers, from 0 */
	bool deny;
	enum policy_step step;
	const char *place; /* what decided: "Statement[1].Resource[0]" */
	/* Its text with values filled in, a variable's name, a condition's values; or "". */
	const char *detail;
};

/* `account` is called once a statement, in order; its strings live for the call. Returns as policy_bind. */
MUST_USE outcome policy_explain(const struct policy *const *policies, size_t count,
				const struct policy_connection *c, const struct policy_question *q,
				void (*account)(void *arg, const struct policy_account *a), void *arg,
				enum policy_decision *decision, struct fault *f);

/* Every variable and condition key of the policy: its values, separated by ", "; NULL where it has none. */
void policy_explain_keys(const struct policy *p, const struct policy_connection *c,
			 const struct policy_question *q,
			 void (*key)(void *arg, const char *name, const char *values), void *arg);

/* A time as a condition writes it, in Unix seconds; false where it is none. */
MUST_USE bool policy_explain_time(const char *text, int64_t *unix_s);

#endif
