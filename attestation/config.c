#include "attestd.h"

#include "common/config/config_common.h"

enum { TTL_MIN_S = 10, TTL_MAX_S = 600 };

#define AT(member) offsetof(struct attestd_config, member)

static const struct config_key keys[] = {
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
	{"allow_test_keys", CONFIG_BOOL, AT(allow_test_keys), "false", 0, 0, NULL,
	 "Accept keys whose private half was published. For tests only: anyone can be such a device."},
	{"session_ttl_s", CONFIG_INT, AT(session_ttl_s), "150", TTL_MIN_S, TTL_MAX_S, NULL,
	 "How long a challenge-response session lives, in seconds."},
};

static const struct config_part parts[] = {
	{config_edge_keys, CONFIG_EDGE_KEYS, AT(edge)},
	{keys, sizeof keys / sizeof *keys, 0},
	{config_process_keys, CONFIG_PROCESS_KEYS, AT(process)},
};
enum { PART_COUNT = sizeof parts / sizeof *parts };

outcome attestd_config_load(const char *path, struct attestd_config *c, struct fault *f)
{
	*c = (struct attestd_config){0};
	return config_load(path, parts, PART_COUNT, c, f);
}

void attestd_config_free(struct attestd_config *c)
{
	config_free(parts, PART_COUNT, c);
}

char *attestd_config_print(const struct attestd_config *c)
{
	return config_print(parts, PART_COUNT, c);
}
