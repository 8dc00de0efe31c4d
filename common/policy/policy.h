/*
 * policy.h - AWS IoT policy documents: what a device may do, decided from memory.
 *
 *   a document arrives   policy_compile   struct policy           shared by all who are under it, immutable
 *   CONNECT              policy_bind      struct policy_binding   variables resolved, conditions decided
 *   each MQTT packet     policy_check_*   a decision              no allocation, no lock
 *
 * The language is the AWS IoT Core Developer Guide's ("AWS IoT Core policies") over IAM's grammar, versions
 * 2012-10-17 and 2008-10-17 (no variables). docs/policy.md is its reference, and says where MQTT and AWS
 * differ. What is not understood is refused, never ignored.
 */
#ifndef MOORING_POLICY_H
#define MOORING_POLICY_H

#include "common/bytes.h"

enum {
	POLICY_DOCUMENT_MAX = 2048, /* characters, white space not counted: AWS's quota */
	POLICY_BYTES_MAX = 8192,    /* bytes, white space between the tokens not counted: ours */
	POLICY_TARGET_MAX = 1024,   /* bytes; a longer client id, topic or filter is never allowed */
	POLICIES_MAX = 10,	    /* of one certificate: AWS's quota */
};

/* ---- documents ---- */

struct policy; /* one compiled document; threads may share it */

/* REASON_POLICY_SYNTAX: the place ("Statement[0].Resource[1]: ..."), the rule, and what to write instead. */
MUST_USE outcome policy_compile(struct bytes json, struct policy **out, struct fault *f);
void policy_free(struct policy *p);
/* Appends the document without the white space between its tokens: what is stored and sent. */
void policy_minify(struct bytes json, struct buf *out);

/* ---- a connection under its policies ---- */

struct policy_attribute {
	const char *name;
	const char *value;
};

/* A thing is associated with a connection, and its variables have values, where the certificate is attached
 * to it and the client id is its name, or the attachment is exclusive. */
struct policy_thing {
	const char *name; /* NULL: no thing */
	const char *type;
	const struct policy_attribute *attributes;
	size_t attribute_count;
	bool attached;
	bool exclusive; /* the certificate is attached to no other thing */
};

/* What is known; NULL where it is not, and then the variable has no value. Whatever names a variable without
 * a value does not match. Substituted text is literal: a client id of "*" is no wildcard. */
struct policy_connection {
	const char *client_id;
	const char *certificate_id; /* lower-case hex */
	const char *source_ip;
	const char *domain_name; /* that the client asked for in the TLS handshake */
	struct policy_thing thing;
	const struct policy_attribute *certificate; /* "Subject.CommonName", ...: policy_certificate.h */
	size_t certificate_count;
	const char *region; /* resources of another region or account do not match; NULL: every one does */
	const char *account;
};

struct policy_binding;

/* Copies what it needs of the connection. The policies must live for as long as the binding is asked.
 * REASON_NO_MEMORY; REASON_TOO_LARGE beyond POLICIES_MAX. */
MUST_USE outcome policy_bind(const struct policy *const *policies, size_t count,
			     const struct policy_connection *c, struct policy_binding **out, struct fault *f);
void policy_binding_free(struct policy_binding *b);
/* Exactly these policies are bound. May be asked when those that were bound are already freed. */
bool policy_binding_is_of(const struct policy_binding *b, const struct policy *const *policies, size_t count);
/* The policy names fields of the certificate: only then do they need to be read. */
bool policy_names_certificate(const struct policy *p);
/* The policy has neither variables nor conditions, and so says the same to every connection at any time: the number of
 * it, which no other policy of this process has or had. 0: it does not. */
uint64_t policy_common_number(const struct policy *p);

/* ---- decisions: any Deny that matches wins, else any Allow ---- */

enum policy_decision { POLICY_IMPLICIT_DENY, POLICY_ALLOWED, POLICY_EXPLICIT_DENY };

/* What a CONNECT packet asks for besides its client id. */
struct policy_connect {
	bool persistent;	/* not a clean session, not a clean start */
	const char *will_topic; /* NULL: no will */
	bool will_retain;
};

/* What MQTT does, as AWS checks it; now_s is the wall clock's Unix time. A will needs iot:Publish, a retained
 * message iot:RetainPublish too; "$share/GROUP/FILTER" is a filter of its own, and FILTER must not be
 * denied. */
enum policy_decision policy_check_connect(const struct policy_binding *b, const struct policy_connect *packet,
					  int64_t now_s);
enum policy_decision policy_check_publish(const struct policy_binding *b, const char *topic, bool retain,
					  int64_t now_s);
enum policy_decision policy_check_subscribe(const struct policy_binding *b, const char *filter,
					    int64_t now_s);
enum policy_decision policy_check_receive(const struct policy_binding *b, const char *topic, int64_t now_s);

/* One action on one resource, for tools. */
enum policy_action {
	POLICY_CONNECT,
	POLICY_PUBLISH,
	POLICY_RETAIN_PUBLISH,
	POLICY_SUBSCRIBE,
	POLICY_RECEIVE,
	POLICY_ACTIONS
};
struct policy_question {
	enum policy_action action;
	const char *target; /* client id, topic or filter, without the ARN before it */
	int64_t now_s;
	const struct policy_connect *packet; /* POLICY_CONNECT; else NULL */
};
enum policy_decision policy_check(const struct policy_binding *b, const struct policy_question *q);

#endif
