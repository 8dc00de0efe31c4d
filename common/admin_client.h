/*
 * admin_client.h - the tools' side of the admin interfaces: a key file, and signed HTTPS calls.
 */
#ifndef MOORING_ADMIN_CLIENT_H
#define MOORING_ADMIN_CLIENT_H

#include "httpc.h"
#include "sigv4.h"

struct admin_key {
	char id[ACCESS_KEY_ID_MAX];
	char secret[SECRET_SIZE];
	char region[32];
};

/* Reads the JSON that admin_key_create wrote; refuses a file that others can read. */
MUST_USE outcome admin_key_load(const char *path, struct admin_key *out, struct fault *f);

struct admin_client;

/* `endpoint` is an origin: https://host[:port]. `ca_file` is the only trust anchor. Keeps the connection open. */
MUST_USE outcome admin_client_open(const char *endpoint, const char *ca_file, const char *key_file,
				   struct admin_client **out, struct fault *f);
void admin_client_close(struct admin_client *c);

/* One call, service "mooring". `target` = raw path and query ("/v1/records?limit=5"); `content_type` NULL where
 * there is no body. Any HTTP status is success of the call: look at answer->status. The answer's views live until the next call. */
MUST_USE outcome admin_client_call(struct admin_client *c, const char *method, const char *target,
				   const char *content_type, struct bytes body, struct httpc_answer *answer,
				   struct fault *f);

#endif
