/*
 * policy.h - AWS IoT policy documents: parsed strictly, compiled once, then asked without allocating.
 *
 * The language is the AWS IoT Core Developer Guide's ("AWS IoT Core policies") over IAM's grammar:
 * Version, Id, Statement, Sid, Effect, Action, NotAction, Resource, NotResource; wildcards '*' and '?';
 * the variables iot:ClientId, iot:Connection.Thing.ThingName, .ThingTypeName, .IsAttached,
 * iot:Thing.ThingName and iot:CertificateId; the escapes ${*} ${?} ${$} and $(*) $(?) $($). Version
 * 2008-10-17, or none, knows no variables. What is refused (Condition, other variables) never loads.
 */
#ifndef MOORING_POLICY_H
#define MOORING_POLICY_H

#include "bytes.h"

/* A document's size counts without white space, as AWS counts it. A longer target is never allowed: it bounds
 * what one check can cost. */
enum { POLICY_DOCUMENT_MAX = 2048, POLICY_NAME_MAX = 128, POLICY_TARGET_MAX = 1024 };

enum policy_action {
	POLICY_CONNECT,
	POLICY_PUBLISH,
	POLICY_RETAIN_PUBLISH,
	POLICY_SUBSCRIBE,
	POLICY_RECEIVE
};
enum policy_decision { POLICY_IMPLICIT_DENY, POLICY_ALLOWED, POLICY_EXPLICIT_DENY };

struct policy; /* one compiled document; immutable, shared between threads */

/* What the variables of a connection resolve to. Strings may be NULL: unresolved, and then the pattern that
 * names the variable does not match. Substituted text is literal: a client id of "*" is no wildcard. */
struct policy_principal {
	const char *client_id;
	const char *thing_name; /* the thing associated with this connection */
	const char *thing_type;
	const char *certificate_id;
	bool is_attached;
	const char *region; /* resources of another region or account do not match; NULL: not looked at */
	const char *account;
	bool reserved_by_name; /* an Allow reaches a target that begins with '$' only where its resource
				  spells the '$' */
};

/* Strict: unknown or duplicate keys, unknown variables, wrong types
 * are REASON_POLICY_SYNTAX with the place. */
MUST_USE outcome policy_compile(struct bytes json, struct policy **out, struct fault *f);
void policy_free(struct policy *p);

/* `target` is the client id, topic or topic filter, without the ARN prefix. No allocation, no locks. Any
 * matching Deny wins; without an Allow the answer is IMPLICIT_DENY. */
enum policy_decision policy_check(const struct policy *const *policies, size_t count,
				  enum policy_action action, const char *target,
				  const struct policy_principal *who);
/* A publish: with `retain` both iot:Publish and iot:RetainPublish must be allowed. */
enum policy_decision policy_check_publish(const struct policy *const *policies, size_t count,
					  const char *topic, bool retain, const struct policy_principal *who);

#endif
