/*
 * policy_lint_internal.h - what the rules of the lint share.
 */
#ifndef MOORING_POLICY_LINT_INTERNAL_H
#define MOORING_POLICY_LINT_INTERNAL_H

#include "policy_internal.h"
#include "policy_lint.h"

enum policy_rule_number {
	RULE_WIDE_OPEN,
	RULE_CLIENT_ID_HOLE,
	RULE_PUBLISH_TO_OTHERS,
	RULE_DENY_NEVER_BITES,
	RULE_NO_VERSION,
	RULE_CLIENT_ID_OPEN,
	RULE_PUBLISH_WIDE,
	RULE_READ_OTHERS,
	RULE_PREFIX_HOLE,
	RULE_DENY_FILTER_TEXT,
	RULE_ABSENT_ALLOWS,
	RULE_UNREACHABLE,
	RULE_NEVER_MATCHES,
	RULE_NO_VALUE_HERE,
	RULE_UNKNOWN_ACTION,
	RULE_NO_RECEIVE,
	RULE_REDUNDANT,
	RULE_NOT_MQTT,
	RULE_NO_CONNECT,
	RULE_WILL_LATE,
	RULES
};

/* A document while it is judged. */
struct linting {
	const struct policy *p;
	const json_t *document;
	void (*found)(void *arg, const struct policy_finding *);
	void *arg;
	bool out_of_memory;
};

void policy_lint_report(struct linting *l, enum policy_rule_number rule, const char *place, const char *fmt,
			...) __attribute__((format(printf, 4, 5)));

/* Everything that one statement says; in the files that they name. */
void policy_lint_resources(struct linting *l, size_t statement);  /* policy_lint_resources.c */
void policy_lint_conditions(struct linting *l, size_t statement); /* policy_lint_conditions.c */
void policy_lint_reach(struct linting *l, size_t statement);	  /* policy_cover.c */

/* ---- policy_cover.c ---- */

/* All that `b` can match `a` matches too, whatever the variables stand for. */
bool policy_glob_covers(const struct policy *p, struct policy_glob a, struct policy_glob b,
			bool *out_of_memory);
/* Matches every name of its type. */
bool policy_glob_is_any(const struct policy *p, struct policy_glob g);

/* ---- policy_lint_resources.c ---- */

/* A key that a connection may be without. */
bool policy_key_may_be_absent(const struct policy_key *k);

#endif
