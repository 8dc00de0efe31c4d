/*
 * policy_internal.h - the compiled form, shared by policy.c, policy_resource.c and policy_glob.c.
 */
#ifndef MOORING_POLICY_INTERNAL_H
#define MOORING_POLICY_INTERNAL_H

#include "policy.h"

enum policy_variable {
	VARIABLE_CLIENT_ID,
	VARIABLE_THING_NAME,
	VARIABLE_THING_TYPE,
	VARIABLE_IS_ATTACHED,
	VARIABLE_CERTIFICATE_ID,
};

enum token_kind { TOKEN_TEXT, TOKEN_ANY, TOKEN_ONE, TOKEN_VARIABLE };

struct policy_token {
	enum token_kind kind;
	enum policy_variable variable;
	struct bytes text; /* TOKEN_TEXT: into the glob's own copy */
};

/* A text with wildcards and variables, taken apart. */
struct policy_glob {
	char *text; /* owned; unescaped */
	struct policy_token *tokens;
	size_t count;
	unsigned variables; /* bits of the variables that it names */
};

/* `variables`: '$' has a meaning in this text. `place` is for the fault's text. */
MUST_USE outcome policy_glob_compile(struct bytes source, bool variables, const char *place,
				     struct policy_glob *out, struct fault *f);
void policy_glob_free(struct policy_glob *g);
/* All variables of `g` must resolve (policy_resolved); `who` may be NULL where it has none. */
MUST_USE bool policy_glob_match(const struct policy_glob *g, struct bytes subject,
				const struct policy_principal *who);
/* Bits of the variables that have a value on this connection. */
unsigned policy_resolved(const struct policy_principal *who);

/* What an action is done to: the first word of an ARN's sixth part. Most resources spell it, and are matched
 * against the target alone; RESOURCE_ANY is matched against "<type>/<target>". */
enum resource_type { RESOURCE_ANY, RESOURCE_CLIENT, RESOURCE_TOPIC, RESOURCE_TOPICFILTER };

struct policy_resource {
	bool never; /* another service's */
	struct policy_glob region;
	struct policy_glob account;
	enum resource_type type;
	struct policy_glob name;
};

/* One question, prepared once for all patterns. */
struct policy_question {
	enum resource_type type;
	struct bytes target;
	unsigned resolved;
	const struct policy_principal *who;
	struct bytes full; /* "<type>/<target>" in `room`, once it has been needed */
	uint8_t room[sizeof "topicfilter/" + POLICY_TARGET_MAX];
};

MUST_USE outcome policy_resource_compile(const char *arn, bool variables, const char *place,
					 struct policy_resource *out, struct fault *f);
void policy_resource_free(struct policy_resource *r);
/* False also where a variable is unresolved. */
MUST_USE bool policy_resource_match(const struct policy_resource *r, struct policy_question *q);
/* The resource spells the '$' that the target begins with. */
MUST_USE bool policy_resource_is_reserved(const struct policy_resource *r);

#endif
