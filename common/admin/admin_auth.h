/*
 * admin_auth.h - who may administer: access keys, their roles, and the check of a signed request.
 *
 * An access key is a row (id, role, state) in the daemon's own database; its secret is in no database:
 * it is derived from a master secret (sigv4_derive_secret), a 0600 file outside store and backup.
 * A mutating request (any method but GET and HEAD) is accepted once: its signature is remembered in
 * "<db_path>.seen" for as long as its time lies in the window, also over a restart of the daemon.
 */
#ifndef MOORING_ADMIN_AUTH_H
#define MOORING_ADMIN_AUTH_H

#include "sigv4.h"

struct scgi_request;

/* Each may do what those before it may. */
enum admin_role { ADMIN_ROLE_VIEWER, ADMIN_ROLE_OPERATOR, ADMIN_ROLE_ADMIN };

const char *admin_role_name(enum admin_role role); /* "viewer", "operator", "admin" */
MUST_USE bool admin_role_find(const char *name, enum admin_role *out);

struct admin_caller {
	char key_id[ACCESS_KEY_ID_MAX];
	enum admin_role role;
	char service[32]; /* of the signature's scope: "mooring" or "iot" */
};

struct admin_auth; /* opaque; one a daemon, shared by its worker threads */

/* The database and the master secret may be absent until `mooringctl admin init` has run: they
 * are looked for again at each check, and until then every check refuses. The sandbox must let
 * the daemon read both (a path that is absent when it is entered stays out of reach: then its
 * folder) and write to the database's folder. */
MUST_USE outcome admin_auth_open(const char *db_path, const char *master_file, const char *region,
				 struct admin_auth **out, struct fault *f);
void admin_auth_close(struct admin_auth *a);

/* Checks the SigV4 signature (service "mooring" or "iot", the configured region, 5 minutes either way,
 * payload signed), then the key's row and role, then that a mutating request is new. From any thread; reads
 * the database for a signature that verifies only. Two equal changes signed within one second are one: a
 * client signs something of its own with each (mooringctl a random header). REASON_NO_SIGNATURE,
 * REASON_SIGV4_*, REASON_UNKNOWN_KEY, REASON_ROLE, REASON_OVERLOADED (memory of signatures full),
 * REASON_STORE_UNAVAILABLE. `out` is filled on success only. */
MUST_USE outcome admin_auth_check(struct admin_auth *a, const struct scgi_request *r, enum admin_role least,
				  struct admin_caller *out, struct fault *f);
/* The same for a request that did not come by SCGI, at Unix time `now`. */
MUST_USE outcome admin_auth_check_request(struct admin_auth *a, const struct sigv4_request *r, int64_t now,
					  enum admin_role least, struct admin_caller *out, struct fault *f);

/* For `mooringctl admin init`: creates the master secret (32 random bytes, 0600) where the file is absent,
 * and the table where the database lacks it; adds an active key. `id` NULL makes one up. Writes the key file
 * (0600, JSON: access_key_id, secret_access_key, region); REASON_CONFLICT where the id or the key file
 * exists. */
struct admin_key_request {
	const char *db_path;
	const char *master_file;
	const char *id;
	enum admin_role role;
	const char *region;
	const char *key_file;
};
MUST_USE outcome admin_key_create(const struct admin_key_request *request, char id_out[ACCESS_KEY_ID_MAX],
				  struct fault *f);

/* For `mooringctl admin end`: the key is refused from its next request on; its row stays. REASON_NOT_FOUND
 * where there is no active key of the id. */
MUST_USE outcome admin_key_end(const char *db_path, const char *id, struct fault *f);

struct admin_key_row {
	const char *id, *role, *state; /* "active" or "ended" */
	int64_t created;	       /* Unix time, seconds */
};
/* Every key, oldest first. */
MUST_USE outcome admin_key_list(const char *db_path, void (*row)(const struct admin_key_row *key, void *arg),
				void *arg, struct fault *f);

#endif
