#include "signer_config.h"

#include "common/log.h"

#include <stdlib.h>
#include <string.h>

enum { DAY_S = 86400, YEAR_S = 365 * DAY_S, WARN_DAYS = 30 };

#define AT(member) offsetof(struct signer_config, member)

static const struct config_key keys[] = {
	{"socket", CONFIG_STRING, AT(socket), NULL, 0, 0, NULL,
	 "Unix socket on which the gateway asks for signatures."},
	{"peer_uids", CONFIG_STRINGS, AT(peer_uids), "", 0, 0, config_check_uid,
	 "Users that may ask: the gateway's. Empty: the signer's own, for single-user mode."},
	{"state_dir", CONFIG_STRING, AT(state_dir), NULL, 0, 0, NULL,
	 "Folder of the journal, which holds every certificate ever signed; must exist. Back it up."},
	{"issuer_key", CONFIG_STRING, AT(issuer_key), NULL, 0, 0, NULL,
	 "Key of the device CA: a path, or an OSSL_STORE URI (file:, pkcs11: with OpenSSL's provider for "
	 "it)."},
	{"issuer_cert", CONFIG_STRING, AT(issuer_cert), NULL, 0, 0, NULL,
	 "Certificate (PEM) of the device CA."},
	{"unattested_key", CONFIG_STRING, AT(unattested_key), "\"\"", 0, 0, NULL,
	 "Key of the CA for devices without evidence (assurance L0). Empty: there are no such certificates."},
	{"unattested_cert", CONFIG_STRING, AT(unattested_cert), "\"\"", 0, 0, NULL,
	 "Certificate (PEM) of that CA."},
	{"unattested_per_minute", CONFIG_INT, AT(unattested_per_minute), "60", 1, 60000, NULL,
	 "At most so many certificates a minute without evidence."},
	{"max_lifetime_s", CONFIG_INT, AT(max_lifetime_s), "31536000", 60, YEAR_S, NULL,
	 "Longest lifetime of a certificate, in seconds, whatever the gateway asks for."},
};

static const struct config_part parts[] = {
	{keys, sizeof keys / sizeof *keys, 0},
	{config_issuing_keys, CONFIG_ISSUING_KEYS, AT(issuing)},
	{config_process_keys, CONFIG_PROCESS_KEYS, AT(process)},
};
enum { PART_COUNT = sizeof parts / sizeof *parts };

outcome signer_config_load(const char *path, struct signer_config *c, struct fault *f)
{
	*c = (struct signer_config){0};
	outcome o = config_load(path, parts, PART_COUNT, c, f);
	if (!o.ok || !c->unattested_key[0] == !c->unattested_cert[0])
		return o;
	signer_config_free(c);
	return refuse(f, REASON_CONFIG, "%s: unattested_key and unattested_cert go together", path);
}

void signer_config_free(struct signer_config *c)
{
	config_free(parts, PART_COUNT, c);
}

char *signer_config_print(const struct signer_config *c)
{
	return config_print(parts, PART_COUNT, c);
}

static outcome load_issuer(const char *name, const char *key, const char *cert, int64_t now,
			   struct issuer *out, struct fault *f)
{
	outcome o = config_blame(name, issuer_load(key, cert, out, f), f);
	if (!o.ok)
		return o;
	int64_t days = (out->not_after - now) / DAY_S;
	if (now >= out->not_after || now < out->not_before)
		return refuse(f, REASON_CONFIG,
			      "%s: the issuing certificate %s is not within its validity; make another: "
			      "mooring-ca issue-ca",
			      name, cert);
	if (days < WARN_DAYS)
		log_line(LOG_LEVEL_WARN, NULL,
			 "the issuing certificate %s expires in %lld days: make another, mooring-ca issue-ca",
			 cert, (long long)days);
	return DONE;
}

outcome signer_keys_load(const struct signer_config *c, int64_t now, struct signer_keys *out, struct fault *f)
{
	*out = (struct signer_keys){0};
	outcome o = load_issuer("issuer_key", c->issuer_key, c->issuer_cert, now, &out->device, f);
	if (o.ok && c->unattested_key[0])
		o = load_issuer("unattested_key", c->unattested_key, c->unattested_cert, now,
				&out->unattested, f);
	if (o.ok)
		o = config_load_ear_keys(&c->issuing, &out->ear_keys, &out->ear_key_count, f);
	if (o.ok)
		o = config_load_salt(&c->issuing, out->salt, f);
	if (!o.ok)
		signer_keys_free(out);
	return o;
}

void signer_keys_free(struct signer_keys *k)
{
	issuer_free(&k->device);
	issuer_free(&k->unattested);
	for (size_t i = 0; i < k->ear_key_count; i++)
		EVP_PKEY_free(k->ear_keys[i]);
	free(k->ear_keys);
	*k = (struct signer_keys){0};
}
