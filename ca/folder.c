#include "folder.h"

#include "common/file.h"

#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct {
	const char *kind, *profile, *title;
} issuing[] = {
	{"device", "device-ca", "Device CA"},
	{"unattested", "unattested-ca", "Unattested Device CA"},
	{"service", "service-ca", "Service CA"},
};

outcome folder_path(const char *dir, const char *name, char out[PATH_MAX], struct fault *f)
{
	int n = snprintf(out, PATH_MAX, "%s/%s", dir, name);
	return n > 0 && n < PATH_MAX ? DONE : refuse(f, REASON_BAD_FIELD, "the path of %s is too long", name);
}

outcome folder_must_be_new(const char *path, struct fault *f)
{
	struct stat st;
	return lstat(path, &st) ? DONE
				: refuse(f, REASON_CONFLICT, "%s exists; nothing is overwritten", path);
}

static outcome save_cert(const char *path, struct bytes leaf, X509 *issuer, struct fault *f)
{
	struct buf pem = {0}, der = {0};
	bool ok = cert_to_pem(leaf, &pem);
	if (ok && issuer)
		ok = cert_to_der(issuer, &der) && cert_to_pem(buf_view(&der), &pem);
	outcome o = ok ? file_replace(path, buf_view(&pem), 0644, f)
		       : refuse(f, REASON_CRYPTO, "%s: cannot be written as PEM", path);
	buf_free(&pem);
	buf_free(&der);
	return o;
}

outcome folder_save_pair(const char *key_path, EVP_PKEY *key, const char *cert_path, struct bytes leaf,
			 X509 *issuer, struct fault *f)
{
	outcome o = key_save_private_pem(key_path, key, f);
	if (!o.ok)
		return o;
	o = save_cert(cert_path, leaf, issuer, f);
	if (!o.ok)
		unlink(key_path); /* a key without its certificate would only be in the way of the next try */
	return o;
}

outcome folder_trust_domain(X509 *ca, char out[TRUST_DOMAIN_MAX + 1], struct fault *f)
{
	static const char scheme[] = "spiffe://";
	GENERAL_NAMES *names = X509_get_ext_d2i(ca, NID_subject_alt_name, NULL, NULL);
	bool found = false;
	for (int i = 0; !found && i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
		if (name->type != GEN_URI)
			continue;
		const char *uri = (const char *)ASN1_STRING_get0_data(name->d.uniformResourceIdentifier);
		found = !strncmp(uri, scheme, sizeof scheme - 1) &&
			snprintf(out, TRUST_DOMAIN_MAX + 1, "%s", uri + sizeof scheme - 1) <=
				TRUST_DOMAIN_MAX &&
			trust_domain_check(out, f).ok;
	}
	GENERAL_NAMES_free(names);
	return found ? DONE
		     : refuse(f, REASON_CONFIG,
			      "the CA's certificate names no trust domain: it is not mooring-ca's");
}

outcome folder_organisation(X509 *ca, char out[COMMON_NAME_MAX + 1], struct fault *f)
{
	int n = X509_NAME_get_text_by_NID(X509_get_subject_name(ca), NID_organizationName, out,
					  COMMON_NAME_MAX + 1);
	return n > 0 ? DONE
		     : refuse(f, REASON_CONFIG,
			      "the CA's certificate names no organisation: it is not mooring-ca's");
}

outcome folder_new_key(EVP_PKEY **key, uint8_t spki[SPKI_MAX], size_t *spki_size, struct fault *f)
{
	*key = p256_key_generate();
	if (!*key)
		return crypto_fault(f, "make a key");
	*spki_size = ec_key_to_spki(*key, spki, SPKI_MAX);
	return DONE;
}

outcome folder_new_file(const char *prefix, const char *suffix, char out[PATH_MAX], struct fault *f)
{
	if (snprintf(out, PATH_MAX, "%s%s", prefix, suffix) >= PATH_MAX)
		return refuse(f, REASON_BAD_FIELD, "the path of %s is too long", prefix);
	return folder_must_be_new(out, f);
}

static outcome issue_ca(size_t kind, struct issuer *root, const char *organisation, const char *trust_domain,
			struct bytes spki, int64_t now, struct buf *cert, struct fault *f)
{
	char name[2 * COMMON_NAME_MAX], uri[SAN_URI_MAX];
	struct buf subject = {0};
	struct plan plan = {.profile = profile_find(issuing[kind].profile),
			    .issuer = root,
			    .not_before = now - BACKDATE_S,
			    .spki = spki,
			    .trust_domain = trust_domain,
			    .uri = uri};
	plan.not_after = now + plan.profile->lifetime_max_s;
	if (plan.not_after > root->not_after)
		plan.not_after = root->not_after;
	if (plan.not_before < root->not_before)
		plan.not_before = root->not_before;
	certificate_random_serial(plan.serial);
	snprintf(name, sizeof name, "%s %s", organisation, issuing[kind].title);
	outcome o = certificate_name(name, organisation, &subject, f);
	plan.subject = buf_view(&subject);
	if (o.ok)
		o = certificate_uri(trust_domain, NULL, name, uri, f);
	if (o.ok)
		o = certificate_issue(&plan, root, now, cert, f);
	buf_free(&subject);
	return o;
}

outcome folder_make_issuing(const char *kind, struct issuer *root, const char *organisation,
			    const char *trust_domain, const char *prefix, int64_t now, struct fault *f)
{
	char key_path[PATH_MAX], cert_path[PATH_MAX];
	uint8_t spki[SPKI_MAX];
	size_t spki_size = 0, i = 0, count = sizeof issuing / sizeof *issuing;
	struct buf cert = {0};
	EVP_PKEY *key = NULL;
	while (i < count && strcmp(kind, issuing[i].kind))
		i++;
	outcome o = i < count ? folder_new_file(prefix, ".key", key_path, f)
			      : refuse(f, REASON_BAD_FIELD,
				       "an issuing CA is one of device, unattested, service; not \"%.20s\"",
				       kind);
	if (o.ok)
		o = folder_new_file(prefix, ".pem", cert_path, f);
	if (o.ok)
		o = folder_new_key(&key, spki, &spki_size, f);
	if (o.ok)
		o = issue_ca(i, root, organisation, trust_domain, bytes_of(spki, spki_size), now, &cert, f);
	if (o.ok)
		o = folder_save_pair(key_path, key, cert_path, buf_view(&cert), NULL, f);
	EVP_PKEY_free(key);
	buf_free(&cert);
	return o;
}
