/*
 * config_common.h - keys that several daemons have, by what they are for. A daemon's struct
 * embeds the struct, and its parts name the keys.
 */
#ifndef MOORING_CONFIG_COMMON_H
#define MOORING_CONFIG_COMMON_H

#include "config.h"
#include "common/crypto/crypto.h"
#include "common/log.h"

#include <sys/types.h>

enum { SALT_SIZE = 32 };

/* Every daemon: whom to become, what to say. */
struct config_process {
	int64_t run_as_uid, run_as_gid;
	char *log_level;
};
enum { CONFIG_PROCESS_KEYS = 3 };
extern const struct config_key config_process_keys[CONFIG_PROCESS_KEYS];
enum log_level config_log_level(const struct config_process *c);

/* Daemons behind an edge, with an admin interface. */
struct config_edge {
	char *socket;
	struct config_strings peer_uids;
	int64_t workers;
	char *admin_master;
	char *region;
};
enum { CONFIG_EDGE_KEYS = 5 };
extern const struct config_key config_edge_keys[CONFIG_EDGE_KEYS];
/* As configured, or one for every two cores, at least one. */
unsigned config_workers(const struct config_edge *c);

/* Gateway and signer: what both must know alike, since the signer checks for itself. */
struct config_issuing {
	struct config_strings origins;
	struct config_strings ear_keys;
	char *salt_file;
	char *trust_domain;
};
enum { CONFIG_ISSUING_KEYS = 4 };
extern const struct config_key config_issuing_keys[CONFIG_ISSUING_KEYS];
/* The pinned P-256 keys, *count of them; each and the list are the caller's to free, also after a fault. */
MUST_USE outcome config_load_ear_keys(const struct config_issuing *c, EVP_PKEY ***out, size_t *count,
				      struct fault *f);
MUST_USE outcome config_load_salt(const struct config_issuing *c, uint8_t out[SALT_SIZE], struct fault *f);

/* A check for rows: the number of a user. */
outcome config_check_uid(const char *value, struct fault *f);
/* The users of a checked list. It is the caller's to free; NULL where it is empty or memory is out. */
uid_t *config_uids(const struct config_strings *values);

#endif
