#include "config_common.h"

#include "common/crypto/trust_domain.h"
#include "common/evidence/binding.h"
#include "common/file.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { UID_DIGITS_MAX = 9, WORKERS_MAX = 64 };

/* ---- every daemon ---- */

static const char *const levels[] = {"debug", "info", "warn", "error"};

static outcome check_log_level(const char *value, struct fault *f)
{
	for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
		if (!strcmp(value, levels[i]))
			return DONE;
	return refuse(f, REASON_CONFIG, "\"%s\" is none of debug, info, warn, error", value);
}

const struct config_key config_process_keys[CONFIG_PROCESS_KEYS] = {
	{"run_as_uid", CONFIG_INT, offsetof(struct config_process, run_as_uid), "0", 0, INT32_MAX, NULL,
	 "User to become when started as root."},
	{"run_as_gid", CONFIG_INT, offsetof(struct config_process, run_as_gid), "0", 0, INT32_MAX, NULL,
	 "Group to become when started as root."},
	{"log_level", CONFIG_STRING, offsetof(struct config_process, log_level), "info", 0, 0,
	 check_log_level, "Least level that is logged: debug, info, warn or error."},
};

enum log_level config_log_level(const struct config_process *c)
{
	enum log_level level = LOG_LEVEL_DEBUG;
	while (level < LOG_LEVEL_ERROR && strcmp(levels[level], c->log_level))
		level++;
	return level;
}

/* ---- behind an edge ---- */

outcome config_check_uid(const char *value, struct fault *f)
{
	size_t n = strlen(value);
	if (n == 0 || n > UID_DIGITS_MAX || strspn(value, "0123456789") != n)
		return refuse(f, REASON_CONFIG, "\"%s\" is not the number of a user", value);
	return DONE;
}

const struct config_key config_edge_keys[CONFIG_EDGE_KEYS] = {
	{"socket", CONFIG_STRING, offsetof(struct config_edge, socket), NULL, 0, 0, NULL,
	 "Unix socket on which the edge reaches this daemon (SCGI)."},
	{"peer_uids", CONFIG_STRINGS, offsetof(struct config_edge, peer_uids), "", 0, 0, config_check_uid,
	 "Users besides root and this daemon's own that may connect to the socket: the edge's."},
	{"workers", CONFIG_INT, offsetof(struct config_edge, workers), "0", 0, WORKERS_MAX, NULL,
	 "Worker threads; 0: one for every two cores, since the edge and the other daemons need theirs."},
	{"admin_master", CONFIG_STRING, offsetof(struct config_edge, admin_master), NULL, 0, 0, NULL,
	 "File of the secret that admin keys are derived from; made by `mooringctl admin init`."},
	{"region", CONFIG_STRING, offsetof(struct config_edge, region), "mooring-1", 0, 0, NULL,
	 "Region in the scope of admin signatures."},
};

/* The edge, the signer and the store's own thread work beside the workers. A worker for every core would take turns
 * with them, and a loop that wakes for one event at a time costs more than one that finds several. */
unsigned config_workers(const struct config_edge *c)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	return c->workers ? (unsigned)c->workers : cores > 1 ? (unsigned)cores / 2 : 1;
}

uid_t *config_uids(const struct config_strings *values)
{
	uid_t *uids = values->count ? calloc(values->count, sizeof *uids) : NULL;
	for (size_t i = 0; uids && i < values->count; i++)
		uids[i] = (uid_t)strtoul(values->items[i], NULL, 10);
	return uids;
}

/* ---- gateway and signer ---- */

const struct config_key config_issuing_keys[CONFIG_ISSUING_KEYS] = {
	{"origins", CONFIG_STRINGS, offsetof(struct config_issuing, origins), NULL, 0, 0,
	 binding_check_origin,
	 "Origins under which devices know the gateway; evidence that is bound to any other is "
	 "refused."},
	{"ear_keys", CONFIG_STRINGS, offsetof(struct config_issuing, ear_keys), NULL, 0, 0, NULL,
	 "Public keys (PEM, P-256) that sign attestation results; pinned. Gateway and signer both "
	 "check."},
	{"salt_file", CONFIG_STRING, offsetof(struct config_issuing, salt_file), NULL, 0, 0, NULL,
	 "Secret of 32 bytes from which thing names are made; gateway and signer have the same."},
	{"trust_domain", CONFIG_STRING, offsetof(struct config_issuing, trust_domain), NULL, 0, 0,
	 trust_domain_check, "SPIFFE trust domain of the names in certificates."},
};

static outcome load_ear_key(const char *path, EVP_PKEY **out, struct fault *f)
{
	outcome o = key_load_public_pem(path, out, f);
	if (!o.ok || ec_key_bits(*out) == 256)
		return o;
	EVP_PKEY_free(*out);
	*out = NULL;
	return refuse(f, REASON_CONFIG, "%s: not a P-256 public key", path);
}

outcome config_load_ear_keys(const struct config_issuing *c, EVP_PKEY ***out, size_t *count, struct fault *f)
{
	*count = 0;
	*out = calloc(c->ear_keys.count, sizeof(EVP_PKEY *));
	if (!*out)
		return refuse(f, REASON_NO_MEMORY, "no memory for keys");
	for (size_t i = 0; i < c->ear_keys.count; i++) {
		outcome o = config_blame("ear_keys", load_ear_key(c->ear_keys.items[i], &(*out)[i], f), f);
		if (!o.ok)
			return o;
		*count = i + 1;
	}
	return DONE;
}

outcome config_load_salt(const struct config_issuing *c, uint8_t out[SALT_SIZE], struct fault *f)
{
	enum { LIMIT = 1024 };
	struct buf salt = {0};
	outcome o = file_read_secret(c->salt_file, LIMIT, &salt, f);
	if (o.ok && salt.n != SALT_SIZE)
		o = refuse(f, REASON_CONFIG, "%s holds %zu bytes, not %d: mooring-ca init makes it",
			   c->salt_file, salt.n, SALT_SIZE);
	if (o.ok)
		memcpy(out, salt.p, SALT_SIZE);
	if (salt.p)
		OPENSSL_cleanse(salt.p, salt.n);
	buf_free(&salt);
	return config_blame("salt_file", o, f);
}
