#include "common/config/config.h"

#include "common/config/config_common.h"
#include "gateway.h"

#include <string.h>

enum { DAY_S = 86400, YEAR_S = 365 * DAY_S };

static outcome check_https(const char *value, struct fault *f)
{
	size_t n = strlen(value);
	if (strncmp(value, "https://", 8) || n < 9 || n > 1024 || value[n - 1] == '/')
		return refuse(f, REASON_CONFIG,
			      "\"%s\" is not https://host[:port][/path] without a slash at its end", value);
	return DONE;
}

#define AT(member) offsetof(struct gateway_config, member)

static const struct config_key keys[] = {
	{"state_dir", CONFIG_STRING, AT(state_dir), NULL, 0, 0, NULL, "Folder of the database; must exist."},
	{"root_cert", CONFIG_STRING, AT(root_cert), NULL, 0, 0, NULL,
	 "Root certificate (PEM) that devices pin."},
	{"issuing_cert", CONFIG_STRING, AT(issuing_cert), NULL, 0, 0, NULL,
	 "Certificate (PEM) of the CA that issues to devices; they send it after their own. While it is "
	 "replaced: "
	 "the new one, then the old one, in one file."},
	{"service_cert", CONFIG_STRING, AT(service_cert), NULL, 0, 0, NULL,
	 "Certificate (PEM) of the CA that issues to brokers and back ends; several in one file while it is "
	 "replaced."},
	{"attestation_url", CONFIG_STRING, AT(attestation_url), NULL, 0, 0, check_https,
	 "Attestation service (Veraison's challenge-response API)."},
	{"attestation_ca", CONFIG_STRING, AT(attestation_ca), NULL, 0, 0, NULL,
	 "The only trust anchor (PEM) for the attestation service's TLS."},
	{"attestation_cert", CONFIG_STRING, AT(attestation_cert), NULL, 0, 0, NULL,
	 "This gateway's client certificate (PEM) towards the attestation service."},
	{"attestation_key", CONFIG_STRING, AT(attestation_key), NULL, 0, 0, NULL, "Its private key (PEM)."},
	{"signer_socket", CONFIG_STRING, AT(signer_socket), NULL, 0, 0, NULL, "Unix socket of the signer."},
	{"feed_key", CONFIG_STRING, AT(feed_key), NULL, 0, 0, NULL,
	 "Private key (PEM) that signs what brokers follow; brokers pin its public key."},
	{"default_policy", CONFIG_STRING, AT(default_policy), NULL, 0, 0, NULL,
	 "AWS IoT policy document (JSON) of every device certificate."},
	{"provenance", CONFIG_STRINGS, AT(provenance), "", 0, 0, NULL,
	 "Files (JSON), each of a class of devices that have to show where they come from: docs/operator.md. None: nothing "
	 "is asked."},
	{"certificate_lifetime_s", CONFIG_INT, AT(certificate_lifetime_s), "31536000", 60, YEAR_S, NULL,
	 "Lifetime of a device certificate, in seconds; a device may ask for less."},
	{"certificate_lifetime_min_s", CONFIG_INT, AT(certificate_lifetime_min_s), "60", 10, YEAR_S, NULL,
	 "The least that a device may ask for, in seconds."},
	{"challenge_ttl_s", CONFIG_INT, AT(challenge_ttl_s), "300", 10, 300, NULL,
	 "How long a challenge is good for, in seconds."},
	{"rate_per_device", CONFIG_INT, AT(rate_per_device), "10", 1, 6000, NULL,
	 "Enrolments and renewals a minute that one device may make."},
	{"supersede_after_s", CONFIG_INT, AT(supersede_after_s), "86400", 60, 30 * DAY_S, NULL,
	 "After a renewal the old certificate is revoked at the new one's first CONNECT, or after this many "
	 "seconds."},
	{"quarantine_clones", CONFIG_BOOL, AT(quarantine_clones), "true", 0, 0, NULL,
	 "Suspend a device that presents a second key, besides refusing the key."},
};

static const struct config_part parts[] = {
	{config_edge_keys, CONFIG_EDGE_KEYS, AT(edge)},
	{keys, sizeof keys / sizeof *keys, 0},
	{config_issuing_keys, CONFIG_ISSUING_KEYS, AT(issuing)},
	{config_process_keys, CONFIG_PROCESS_KEYS, AT(process)},
};
enum { PART_COUNT = sizeof parts / sizeof *parts };

outcome gateway_config_load(const char *path, struct gateway_config *c, struct fault *f)
{
	*c = (struct gateway_config){0};
	outcome loaded = config_load(path, parts, PART_COUNT, c, f);
	if (!loaded.ok || c->certificate_lifetime_min_s <= c->certificate_lifetime_s)
		return loaded;
	gateway_config_free(c);
	return refuse(f, REASON_CONFIG, "%s: certificate_lifetime_min_s is more than certificate_lifetime_s",
		      path);
}

void gateway_config_free(struct gateway_config *c)
{
	config_free(parts, PART_COUNT, c);
}

char *gateway_config_print(const struct gateway_config *c)
{
	return config_print(parts, PART_COUNT, c);
}
