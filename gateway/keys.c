#include "common/file.h"
#include "common/policy/policy.h"
#include "gateway.h"

#include <stdlib.h>
#include <string.h>

enum { PEM_FILE_MAX = 65536, POLICY_FILE_MAX = 65536 };

static outcome load_cert(const char *path, X509 **cert, struct buf *pem, struct fault *f)
{
	outcome read = file_read(path, PEM_FILE_MAX, pem, f);
	return read.ok ? cert_load_pem(path, cert, f) : read;
}

static outcome load_root(const char *path, struct gateway_keys *k, struct fault *f)
{
	X509 *root = NULL;
	outcome loaded = load_cert(path, &root, &k->root_pem, f);
	X509_free(root);
	return loaded;
}

static outcome load_issuing(const char *path, struct gateway_keys *k, struct fault *f)
{
	int64_t not_before;
	outcome loaded = cert_issuers_load(path, &k->issuing, f);
	for (size_t i = 0; loaded.ok && i < k->issuing.count; i++) {
		struct buf der = {0};
		if (!cert_to_der(k->issuing.certs[i], &der) ||
		    !cert_to_pem(buf_view(&der), &k->chain_pems[i]))
			loaded = refuse(f, REASON_NO_MEMORY, "no memory for the keys");
		buf_free(&der);
	}
	if (loaded.ok)
		cert_dates(k->issuing.certs[0], &not_before, &k->issuing_not_after);
	return loaded;
}

/* Reading the certificate costs more than the rest of an answer, and is needed only while there are two. */
struct bytes gateway_chain_of(const struct gateway_keys *k, struct bytes certificate)
{
	X509 *cert = k->issuing.count > 1 ? cert_from_der(certificate) : NULL;
	size_t at = cert ? cert_issuer_of(&k->issuing, cert) : 0;
	X509_free(cert);
	return buf_view(&k->chain_pems[at]);
}

/* Keys become DER: each worker makes them anew. */
static outcome load_ear_pins(const struct config_issuing *c, struct gateway_keys *k, struct fault *f)
{
	EVP_PKEY **keys;
	size_t count;
	outcome r = config_load_ear_keys(c, &keys, &count, f);
	k->ear = r.ok ? calloc(count, sizeof *k->ear) : NULL;
	if (r.ok && !k->ear)
		r = refuse(f, REASON_NO_MEMORY, "no memory for the keys");
	for (size_t i = 0; i < count; i++) {
		struct ear_pin *pin = r.ok ? &k->ear[k->ear_count++] : NULL;
		if (pin && !(pin->n = ec_key_to_spki(keys[i], pin->spki, sizeof pin->spki)))
			r = crypto_fault(f, "ear_keys");
		EVP_PKEY_free(keys[i]);
	}
	free(keys);
	return r;
}

/* libcurl reads these files itself, at each connection: here it is only seen to that they are what they must
 * be. */
static outcome check_client_files(const struct gateway_config *c, struct fault *f)
{
	struct buf ca = {0}, cert = {0};
	EVP_PKEY *key = NULL;
	outcome r = config_blame("attestation_ca", file_read(c->attestation_ca, PEM_FILE_MAX, &ca, f), f);
	if (r.ok)
		r = config_blame("attestation_cert", file_read(c->attestation_cert, PEM_FILE_MAX, &cert, f),
				 f);
	if (r.ok)
		r = config_blame("attestation_key", key_load_private_pem(c->attestation_key, &key, f), f);
	buf_free(&ca);
	buf_free(&cert);
	EVP_PKEY_free(key);
	return r;
}

/* As short as it can be: it goes to every broker. */
static outcome load_policy(const char *path, struct buf *text, struct fault *f)
{
	struct policy *compiled = NULL;
	struct buf as_written = {0};
	outcome o = file_read(path, POLICY_FILE_MAX, &as_written, f);
	if (o.ok)
		o = policy_compile(buf_view(&as_written), &compiled, f);
	if (o.ok)
		policy_minify(buf_view(&as_written), text);
	if (o.ok && text->failed)
		o = refuse(f, REASON_NO_MEMORY, "no memory for a policy");
	policy_free(compiled);
	buf_free(&as_written);
	return o;
}

outcome gateway_keys_load(const struct gateway_config *c, struct gateway_keys *k, struct fault *f)
{
	*k = (struct gateway_keys){0};
	outcome r = config_blame("root_cert", load_root(c->root_cert, k, f), f);
	if (r.ok)
		r = config_blame("issuing_cert", load_issuing(c->issuing_cert, k, f), f);
	if (r.ok)
		r = config_blame("service_cert", cert_issuers_load(c->service_cert, &k->service, f), f);
	if (r.ok)
		r = check_client_files(c, f);
	if (r.ok)
		r = load_ear_pins(&c->issuing, k, f);
	if (r.ok)
		r = config_blame("feed_key", key_load_private_pem(c->feed_key, &k->feed_key, f), f);
	if (r.ok)
		r = config_load_salt(&c->issuing, k->salt, f);
	if (r.ok)
		r = config_blame("default_policy", load_policy(c->default_policy, &k->default_policy, f), f);
	if (!r.ok)
		gateway_keys_free(k);
	return r;
}

void gateway_keys_free(struct gateway_keys *k)
{
	buf_free(&k->root_pem);
	for (size_t i = 0; i < CERT_ISSUERS_MAX; i++)
		buf_free(&k->chain_pems[i]);
	OPENSSL_cleanse(k->salt, sizeof k->salt);
	buf_free(&k->default_policy);
	cert_issuers_free(&k->issuing);
	cert_issuers_free(&k->service);
	EVP_PKEY_free(k->feed_key);
	free(k->ear);
	*k = (struct gateway_keys){0};
}
