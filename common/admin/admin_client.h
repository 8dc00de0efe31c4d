/*
 * admin_client.h - the caller's side of the admin interfaces: an access key's file, and calls signed with it
 * (SigV4, service "mooring"). Blocking, for mooringctl and mooring-factory.
 */
#ifndef MOORING_ADMIN_CLIENT_H
#define MOORING_ADMIN_CLIENT_H

#include "sigv4.h"
#include "common/http/httpc.h"

enum { ADMIN_ANSWER_MAX = 4 << 20, ADMIN_TIMEOUT_MS = 60000 };

struct admin_client_options {
	const char *endpoint; /* https://host[:port], no trailing slash */
	const char *ca_file;  /* the only trust anchor; PEM */
	const char *key_file; /* {"access_key_id","secret_access_key","region"}, mode 0600 */
};

struct admin_client;

/* Reads the key; connects at the first call. REASON_IO, REASON_BAD_JSON, REASON_BAD_FIELD name file and
 * field. */
MUST_USE outcome admin_client_new(const struct admin_client_options *options, struct admin_client **out,
				  struct fault *f);
void admin_client_free(struct admin_client *c);

/* `target` is the path with its query, percent-encoded as it goes on the wire. Any HTTP status is an answer,
 * for the caller to look at; a fault means that there was none. The answer's views live until the next call
 * or admin_client_free. */
MUST_USE outcome admin_client_call(struct admin_client *c, const char *method, const char *target,
				   struct bytes body, struct httpc_answer *answer, struct fault *f);
/* After a call without an answer: what to look at, in the words of the options --endpoint and --ca that every such tool
 * has; "" where nothing is known. */
const char *admin_client_remedy(const struct admin_client *c);
/* Whether the same call may have an answer in a while: no while mends a name or a certificate. */
bool admin_client_may_recover(const struct admin_client *c);

#endif
