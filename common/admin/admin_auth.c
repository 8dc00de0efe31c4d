#include "admin_auth.h"

#include "admin_keys.h"
#include "admin_seen.h"
#include "common/clock.h"
#include "common/db/db.h"
#include "common/log.h"
#include "common/scgi/scgi.h"

#include <openssl/crypto.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { READ_TIMEOUT_MS = 1000 };

/* The lock covers everything below it: administration is rare, and each hold is microseconds. */
struct admin_auth {
	char *db_path;
	char *master_file;
	char *region;
	pthread_mutex_t lock;
	struct buf master; /* n = 0 until it is there */
	sqlite3 *db;	   /* read-only; NULL until it is there */
	sqlite3_stmt *find;
	struct admin_seen *seen;
};

static const char *const role_names[] = {
	[ADMIN_ROLE_VIEWER] = "viewer",
	[ADMIN_ROLE_OPERATOR] = "operator",
	[ADMIN_ROLE_ADMIN] = "admin",
};

const char *admin_role_name(enum admin_role role)
{
	return role_names[role];
}

bool admin_role_find(const char *name, enum admin_role *out)
{
	for (size_t i = 0; i < sizeof role_names / sizeof *role_names; i++)
		if (!strcmp(role_names[i], name)) {
			*out = (enum admin_role)i;
			return true;
		}
	return false;
}

/* ---- opening ---- */

static outcome no_admin_yet(const struct admin_auth *a, struct fault *f)
{
	return refuse(f, REASON_UNKNOWN_KEY,
		      "there is no access key yet: mooringctl admin init makes the first (%s)",
		      a->master_file);
}

static outcome load_master(struct admin_auth *a, struct fault *f)
{
	if (a->master.n)
		return DONE;
	if (access(a->master_file, F_OK))
		return no_admin_yet(a, f);
	return admin_master_load(a->master_file, &a->master, f);
}

outcome admin_auth_open(const char *db_path, const char *master_file, const char *region,
			struct admin_auth **out, struct fault *f)
{
	struct buf seen_path = {0};
	struct admin_auth *a = calloc(1, sizeof *a);
	if (!a)
		return refuse(f, REASON_NO_MEMORY, "no memory for the access keys");
	pthread_mutex_init(&a->lock, NULL);
	a->db_path = strdup(db_path);
	a->master_file = strdup(master_file);
	a->region = strdup(region);
	buf_printf(&seen_path, "%s.seen", db_path);
	buf_byte(&seen_path, 0);
	outcome result = DONE;
	if (!a->db_path || !a->master_file || !a->region || seen_path.failed)
		result = refuse(f, REASON_NO_MEMORY, "no memory for the access keys");
	if (result.ok)
		result = admin_seen_open((const char *)seen_path.p, &a->seen, f);
	if (result.ok && access(master_file, F_OK))
		log_line(LOG_LEVEL_INFO, NULL,
			 "no access key yet: every admin request is refused until "
			 "mooringctl admin init has made %s",
			 master_file);
	else if (result.ok)
		result = load_master(a, f);
	buf_free(&seen_path);
	if (result.ok)
		*out = a;
	else
		admin_auth_close(a);
	return result;
}

void admin_auth_close(struct admin_auth *a)
{
	if (!a)
		return;
	sqlite3_finalize(a->find);
	sqlite3_close(a->db);
	admin_seen_close(a->seen);
	OPENSSL_cleanse(a->master.p, a->master.n);
	buf_free(&a->master);
	pthread_mutex_destroy(&a->lock);
	free(a->db_path);
	free(a->master_file);
	free(a->region);
	free(a);
}

/* ---- the key's row ---- */

static outcome open_db(struct admin_auth *a, struct fault *f)
{
	static const char sql[] = "SELECT role FROM admin_keys WHERE id = ? AND state = 'active'";
	outcome result = a->db ? DONE : db_open_reader(a->db_path, &a->db, f);
	if (!result.ok || a->find)
		return result;
	sqlite3_busy_timeout(a->db, READ_TIMEOUT_MS);
	int rc = sqlite3_prepare_v3(a->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &a->find, NULL);
	if (rc == SQLITE_ERROR)
		return no_admin_yet(a, f); /* no such table */
	return rc == SQLITE_OK ? DONE : db_fault(a->db, f, sql);
}

static outcome find_role(struct admin_auth *a, const char *key_id, enum admin_role *out, struct fault *f)
{
	outcome result = open_db(a, f);
	if (!result.ok)
		return result;
	sqlite3_bind_text(a->find, 1, key_id, -1, SQLITE_STATIC);
	int rc = sqlite3_step(a->find);
	const char *role = rc == SQLITE_ROW ? (const char *)sqlite3_column_text(a->find, 0) : NULL;
	if (rc == SQLITE_DONE)
		result = refuse(f, REASON_UNKNOWN_KEY, "access key %s is not in the store, or not active",
				key_id);
	else if (rc != SQLITE_ROW)
		result = db_fault(a->db, f, "reading the access key");
	else if (!role || !admin_role_find(role, out))
		result = refuse(f, REASON_UNKNOWN_KEY, "access key %s has an unknown role", key_id);
	sqlite3_reset(a->find);
	return result;
}

/* ---- the check ---- */

static bool is_mutating(const char *method)
{
	return strcmp(method, "GET") && strcmp(method, "HEAD");
}

static outcome check_scope(const struct admin_auth *a, const struct sigv4_claim *claim, struct fault *f)
{
	if (strcmp(claim->region, a->region))
		return refuse(f, REASON_SIGV4_MISMATCH, "SigV4: signed for region %s, this is %s",
			      claim->region, a->region);
	if (strcmp(claim->service, "mooring") && strcmp(claim->service, "iot"))
		return refuse(f, REASON_SIGV4_MISMATCH,
			      "SigV4: signed for service %s, this is mooring or iot", claim->service);
	return DONE;
}

/* The signature first: whoever holds no key learns nothing about rows, and costs no reading. */
static outcome check_signature(struct admin_auth *a, const struct sigv4_request *r,
			       const struct sigv4_claim *claim, int64_t now, struct fault *f)
{
	char secret[SECRET_SIZE];
	outcome result = load_master(a, f);
	if (!result.ok)
		return result;
	sigv4_derive_secret(buf_view(&a->master), claim->key_id, secret);
	result = sigv4_verify(r, claim, secret, now, f);
	OPENSSL_cleanse(secret, sizeof secret);
	return result;
}

static outcome check_new(struct admin_auth *a, const struct sigv4_claim *claim, int64_t now, struct fault *f)
{
	switch (admin_seen_add(a->seen, claim->signature, claim->time + SIGV4_WINDOW_S, now)) {
	case SEEN_NEW:
		return DONE;
	case SEEN_BEFORE:
		return refuse(f, REASON_SIGV4_REPLAY,
			      "SigV4: this very request was accepted before; sign it again");
	case SEEN_FULL:
		break;
	}
	return refuse(f, REASON_OVERLOADED, "SigV4: too many changes in five minutes to tell replays");
}

static outcome check_locked(struct admin_auth *a, const struct sigv4_request *r,
			    const struct sigv4_claim *claim, int64_t now, enum admin_role least,
			    enum admin_role *role, struct fault *f)
{
	outcome result = check_signature(a, r, claim, now, f);
	if (result.ok)
		result = find_role(a, claim->key_id, role, f);
	if (result.ok && *role < least)
		result = refuse(f, REASON_ROLE, "access key %s is %s, this needs %s", claim->key_id,
				admin_role_name(*role), admin_role_name(least));
	if (result.ok && is_mutating(r->method))
		result = check_new(a, claim, now, f);
	return result;
}

outcome admin_auth_check_request(struct admin_auth *a, const struct sigv4_request *r, int64_t now,
				 enum admin_role least, struct admin_caller *out, struct fault *f)
{
	struct sigv4_claim claim;
	enum admin_role role = ADMIN_ROLE_VIEWER;
	outcome result = sigv4_claim_parse(r, &claim, f);
	if (result.ok)
		result = check_scope(a, &claim, f);
	if (!result.ok)
		return result;
	pthread_mutex_lock(&a->lock);
	result = check_locked(a, r, &claim, now, least, &role, f);
	pthread_mutex_unlock(&a->lock);
	if (!result.ok)
		return result;
	*out = (struct admin_caller){.role = role};
	memcpy(out->key_id, claim.key_id, sizeof out->key_id);
	memcpy(out->service, claim.service, sizeof out->service);
	return DONE;
}

outcome admin_auth_check(struct admin_auth *a, const struct scgi_request *r, enum admin_role least,
			 struct admin_caller *out, struct fault *f)
{
	struct sigv4_header headers[SIGV4_HEADERS_MAX];
	size_t count = scgi_header_count(r);
	if (count > SIGV4_HEADERS_MAX)
		return refuse(f, REASON_SIGV4_MALFORMED, "SigV4: more than 64 headers");
	for (size_t i = 0; i < count; i++)
		scgi_header_at(r, i, &headers[i].name, &headers[i].value);
	struct sigv4_request request = {
		.method = scgi_method(r),
		.raw_path = scgi_path(r),
		.raw_query = scgi_query(r),
		.headers = headers,
		.header_count = count,
		.body = scgi_body(r),
	};
	return admin_auth_check_request(a, &request, clock_wall_s(), least, out, f);
}
