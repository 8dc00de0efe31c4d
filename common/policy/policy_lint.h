/*
 * policy_lint.h - what a policy that compiles may get wrong all the same: a Deny that never bites, a client
 * id that anybody may take, a topic of somebody else's.
 *
 * A document is judged alone, and without the things that will be under it: a finding is a question to its
 * author. docs/policy.md lists the rules.
 */
#ifndef MOORING_POLICY_LINT_H
#define MOORING_POLICY_LINT_H

#include "policy.h"

enum policy_severity { POLICY_NOTE, POLICY_WARNING, POLICY_DANGER };

struct policy_rule {
	const char *code; /* stable */
	enum policy_severity severity;
	const char *about; /* what the rule is, in a few words */
	const char *remedy;
};

/* All of them, the gravest first; ended by a NULL code. */
extern const struct policy_rule policy_rules[];

struct policy_finding {
	const struct policy_rule *rule;
	const char *place; /* "Statement[1].Resource[0]" */
	const char *text;  /* a sentence, without a full stop */
};

/* Calls once a finding, in the order of the document; the strings live for the call. A document that does not
 * compile fails as policy_compile. */
MUST_USE outcome policy_lint(struct bytes json, void (*found)(void *arg, const struct policy_finding *),
			     void *arg, struct fault *f);

#endif
