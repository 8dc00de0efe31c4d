#include "attestd.h"

#include "config_check.h"

enum { TTL_MIN_S = 10, TTL_MAX_S = 600, WORKERS_MAX = 64 };

#define AT(member) offsetof(struct attestd_config, member)

static const struct config_key keys[] = {
	{"socket", CONFIG_STRING, AT(socket), NULL, 0, 0, NULL,
	 "Unix socket on which the edge reaches the service (SCGI)."},
	{"peer_uids", CONFIG_STRINGS, AT(peer_uids), "", 0, 0, config_check_uid,
	 "Users besides root and the service's own that may connect to the socket: the edge's."},
	{"state_dir", CONFIG_STRING, AT(state_dir), NULL, 0, 0, NULL,
	 "Folder of the device records' database; must exist."},
	{"ear_key", CONFIG_STRING, AT(ear_key), NULL, 0, 0, NULL,
	 "Private key (PEM, P-256) that signs attestation results and withdrawals; relying parties pin its "
	 "public key."},
	{"ear_key_next", CONFIG_STRING, AT(ear_key_next), "", 0, 0, NULL,
	 "Private key (PEM) that will sign next: announced in the discovery document, not used yet."},
	{"verifier_id", CONFIG_STRING, AT(verifier_id), NULL, 0, 0, NULL,
	 "Name of this verifier in its results."},
	{"relying_party_ca", CONFIG_STRING, AT(relying_party_ca), NULL, 0, 0, NULL,
	 "CA certificate (PEM) whose client certificates of role gateway may ask for results and "
	 "withdrawals; several in one file while it is replaced."},
	{"admin_master", CONFIG_STRING, AT(admin_master), NULL, 0, 0, NULL,
	 "File of the secret that admin keys are derived from; made by `mooringctl admin init`."},
	{"region", CONFIG_STRING, AT(region), "mooring-1", 0, 0, NULL,
	 "Region in the scope of admin signatures."},
	{"allow_test_keys", CONFIG_BOOL, AT(allow_test_keys), "false", 0, 0, NULL,
	 "Accept keys whose private half was published. For tests only: anyone can be such a device."},
	{"workers", CONFIG_INT, AT(workers), "0", 0, WORKERS_MAX, NULL, "Worker threads; 0: one a core."},
	{"session_ttl_s", CONFIG_INT, AT(session_ttl_s), "150", TTL_MIN_S, TTL_MAX_S, NULL,
	 "How long a challenge-response session lives, in seconds."},
	{"run_as_uid", CONFIG_INT, AT(run_as_uid), "0", 0, INT32_MAX, NULL,
	 "User to become when started as root."},
	{"run_as_gid", CONFIG_INT, AT(run_as_gid), "0", 0, INT32_MAX, NULL,
	 "Group to become when started as root."},
	{"log_level", CONFIG_STRING, AT(log_level), "info", 0, 0, config_check_log_level,
	 "Least level that is logged: debug, info, warn or error."},
};

enum { KEY_COUNT = sizeof keys / sizeof *keys };

outcome attestd_config_load(const char *path, struct attestd_config *c, struct fault *f)
{
	*c = (struct attestd_config){0};
	return config_load(path, keys, KEY_COUNT, c, f);
}

void attestd_config_free(struct attestd_config *c)
{
	config_free(keys, KEY_COUNT, c);
}

char *attestd_config_print(const struct attestd_config *c)
{
	return config_print(keys, KEY_COUNT, c);
}
