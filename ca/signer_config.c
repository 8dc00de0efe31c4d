#include "signer_config.h"

#include "binding.h"
#include "config_check.h"
#include "file.h"

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
	{"ear_keys", CONFIG_STRINGS, AT(ear_keys), NULL, 0, 0, NULL,
	 "Public keys (PEM) that sign attestation results; the signer checks results itself."},
	{"origins", CONFIG_STRINGS, AT(origins), NULL, 0, 0, binding_check_origin,
	 "Origins under which devices know the gateway; evidence for any other is refused."},
	{"salt_file", CONFIG_STRING, AT(salt_file), NULL, 0, 0, NULL,
	 "Secret of 32 bytes from which thing names are made; the gateway has the same."},
	{"trust_domain", CONFIG_STRING, AT(trust_domain), NULL, 0, 0, trust_domain_check,
	 "SPIFFE trust domain of the names in certificates."},
	{"max_lifetime_s", CONFIG_INT, AT(max_lifetime_s), "31536000", 60, YEAR_S, NULL,
	 "Longest lifetime of a certificate, in seconds, whatever the gateway asks for."},
	{"run_as_uid", CONFIG_INT, AT(run_as_uid), "0", 0, INT32_MAX, NULL,
	 "User to become when started as root."},
	{"run_as_gid", CONFIG_INT, AT(run_as_gid), "0", 0, INT32_MAX, NULL,
	 "Group to become when started as root."},
	{"log_level", CONFIG_STRING, AT(log_level), "info", 0, 0, config_check_log_level,
	 "Least level that is logged: debug, info, warn or error."},
};

enum { KEY_COUNT = sizeof keys / sizeof *keys };

outcome signer_config_load(const char *path, struct signer_config *c, struct fault *f)
{
	*c = (struct signer_config){0};
	outcome o = config_load(path, keys, KEY_COUNT, c, f);
	if (!o.ok || !c->unattested_key[0] == !c->unattested_cert[0])
		return o;
	signer_config_free(c);
	return refuse(f, REASON_CONFIG, "%s: unattested_key and unattested_cert go together", path);
}

void signer_config_free(struct signer_config *c)
{
	config_free(keys, KEY_COUNT, c);
}

char *signer_config_print(const struct signer_config *c)
{
	return config_print(keys, KEY_COUNT, c);
}

/* The message says which key of the configuration led to it. */
static outcome name_key(struct fault *f, const char *key, outcome o)
{
	if (o.ok || !f)
		return o;
	struct fault inner = *f;
	return refuse(f, inner.reason, "%s: %s", key, inner.text);
}

static outcome load_issuer(const char *name, const char *key, const char *cert, int64_t now,
			   struct issuer *out, struct fault *f)
{
	outcome o = name_key(f, name, issuer_load(key, cert, out, f));
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

static outcome load_ear_keys(const struct signer_config *c, struct signer_keys *out, struct fault *f)
{
	out->ear_keys = calloc(c->ear_keys.count, sizeof *out->ear_keys);
	if (!out->ear_keys)
		return refuse(f, REASON_NO_MEMORY, "no memory for keys");
	for (size_t i = 0; i < c->ear_keys.count; i++) {
		outcome o = key_load_public_pem(c->ear_keys.items[i], &out->ear_keys[i], f);
		if (!o.ok)
			return name_key(f, "ear_keys", o);
		out->ear_key_count = i + 1;
	}
	return DONE;
}

static outcome load_salt(const char *path, uint8_t out[SALT_SIZE], struct fault *f)
{
	struct buf salt = {0};
	outcome o = file_read_secret(path, 4096, &salt, f);
	if (o.ok && salt.n != SALT_SIZE)
		o = refuse(f, REASON_CONFIG, "%s holds %zu bytes, not %d: mooring-ca init makes it", path,
			   salt.n, SALT_SIZE);
	if (o.ok)
		memcpy(out, salt.p, SALT_SIZE);
	buf_free(&salt);
	return name_key(f, "salt_file", o);
}

outcome signer_keys_load(const struct signer_config *c, int64_t now, struct signer_keys *out, struct fault *f)
{
	*out = (struct signer_keys){0};
	outcome o = load_issuer("issuer_key", c->issuer_key, c->issuer_cert, now, &out->device, f);
	if (o.ok && c->unattested_key[0])
		o = load_issuer("unattested_key", c->unattested_key, c->unattested_cert, now,
				&out->unattested, f);
	if (o.ok)
		o = load_ear_keys(c, out, f);
	if (o.ok)
		o = load_salt(c->salt_file, out->salt, f);
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
