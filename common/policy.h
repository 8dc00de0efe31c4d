/*
 * policy.h - AWS IoT policy documents: parsed strictly, compiled once, bound to a connection, then asked
 * without allocating.
 */
#ifndef MOORING_POLICY_H
#define MOORING_POLICY_H

#include "bytes.h"

enum { POLICY_DOCUMENT_MAX = 2048, POLICY_NAME_MAX = 128 };

enum policy_action { POLICY_CONNECT, POLICY_PUBLISH, POLICY_RETAIN_PUBLISH, POLICY_SUBSCRIBE, POLICY_RECEIVE };
enum policy_decision { POLICY_IMPLICIT_DENY, POLICY_ALLOWED, POLICY_EXPLICIT_DENY };

struct policy; /* one compiled document; immutable, shared between threads */

/* What the variables of a connection resolve to. Strings may be NULL: unresolved. */
struct policy_principal {
	const char *client_id;
	const char *thing_name; /* the thing associated with this connection */
	const char *thing_type;
	const char *certificate_id;
	bool is_attached;
};

/* Strict: unknown or duplicate keys, unknown variables, wrong types are REASON_POLICY_SYNTAX with the place. */
MUST_USE outcome policy_compile(struct bytes json, struct policy **out, struct fault *f);
void policy_free(struct policy *p);

/* `target` is the client id, topic or topic filter, without the ARN prefix. No allocation, no locks. Any
 * matching Deny wins; without an Allow the answer is IMPLICIT_DENY. */
enum policy_decision policy_check(const struct policy *const *policies, size_t count, enum policy_action action,
				  const char *target, const struct policy_principal *who);

#endif
