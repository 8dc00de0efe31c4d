/* EC_KEY_METHOD is OpenSSL's shortest way to a key that is elsewhere, in 3.0 as in 3.5; the other one is a
 * provider of key management and signature, many times as long. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "tls_key.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdlib.h>

/* Every digest is SHA-256, since that is what the key may sign; the broker's own certificate may be EC or
 * RSA. */
static const char SIGNATURE_ALGORITHMS[] = "ECDSA+SHA256:RSA-PSS+SHA256:RSA+SHA256";

struct key_place {
	struct psa *psa;
	uint32_t key;
};

static EC_KEY_METHOD *method;
static int place_index = -1;

static int sign(int type, const unsigned char *hash, int n, unsigned char *der, unsigned int *der_size,
		const BIGNUM *kinv, const BIGNUM *r, EC_KEY *ec)
{
	const struct key_place *place = EC_KEY_get_ex_data(ec, place_index);
	uint8_t raw[PSA_SIGNATURE_SIZE];
	(void)type;
	(void)kinv;
	(void)r;
	if (!place || n != PSA_HASH_SIZE || psa_sign_hash(place->psa, place->key, hash, raw) != PSA_SUCCESS)
		return 0;
	*der_size = (unsigned)ecdsa_raw_to_der(bytes_of(raw, sizeof raw), der, (size_t)ECDSA_size(ec));
	return *der_size > 0;
}

static void free_place(void *parent, void *place, CRYPTO_EX_DATA *ad, int index, long argl, void *argp)
{
	(void)parent;
	(void)ad;
	(void)index;
	(void)argl;
	(void)argp;
	free(place);
}

static void make_method(void)
{
	place_index = EC_KEY_get_ex_new_index(0, NULL, NULL, NULL, free_place);
	method = EC_KEY_METHOD_new(EC_KEY_OpenSSL());
	if (method)
		EC_KEY_METHOD_set_sign(method, sign, NULL, NULL);
}

/* Takes over `place`, also on failure. */
static EC_KEY *public_half(struct bytes spki, struct key_place *place)
{
	EC_KEY *ec = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
	bool ok = ec && spki.n >= PSA_POINT_SIZE && EC_KEY_set_ex_data(ec, place_index, place) == 1;
	if (!ok) {
		free(place);
		EC_KEY_free(ec);
		return NULL;
	}
	if (EC_KEY_oct2key(ec, spki.p + spki.n - PSA_POINT_SIZE, PSA_POINT_SIZE, NULL) == 1 &&
	    EC_KEY_set_method(ec, method) == 1)
		return ec;
	EC_KEY_free(ec);
	return NULL;
}

/* A key pair of which OpenSSL has the public half; each signature is a psa_sign_hash, of SHA-256 hashes only. `psa`
 * must outlive it. NULL on failure, with an OpenSSL error queued. */
static EVP_PKEY *new_key(struct psa *psa, uint32_t key, struct bytes spki)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, make_method);
	struct key_place *place = malloc(sizeof *place);
	if (!place || !method || place_index < 0) {
		free(place);
		return NULL;
	}
	*place = (struct key_place){psa, key};
	EC_KEY *ec = public_half(spki, place);
	EVP_PKEY *pkey = ec ? EVP_PKEY_new() : NULL;
	if (pkey && EVP_PKEY_assign_EC_KEY(pkey, ec) == 1)
		return pkey;
	EVP_PKEY_free(pkey);
	EC_KEY_free(ec);
	return NULL;
}

static bool set_server(SSL_CTX *ctx, const struct tls_client *c)
{
	X509_VERIFY_PARAM *param = SSL_CTX_get0_param(ctx);
	ASN1_OCTET_STRING *address = a2i_IPADDRESS(c->host);
	bool named = address ? X509_VERIFY_PARAM_set1_ip_asc(param, c->host) == 1
			     : X509_VERIFY_PARAM_set1_host(param, c->host, 0) == 1;
	ASN1_OCTET_STRING_free(address);
	ERR_clear_error();
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	X509_VERIFY_PARAM_set_time(param, (time_t)c->now);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	return named && X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), c->root) == 1;
}

static bool set_client(SSL_CTX *ctx, const struct tls_client *c)
{
	EVP_PKEY *key = new_key(c->psa, c->key, bytes_of(c->credential->spki, c->credential->spki_size));
	bool ok = key && SSL_CTX_use_certificate(ctx, c->credential->leaf) == 1 &&
		  SSL_CTX_use_PrivateKey(ctx, key) == 1;
	for (size_t i = 0; ok && i < c->credential->chain_count; i++)
		ok = SSL_CTX_add1_chain_cert(ctx, c->credential->chain[i]) == 1;
	EVP_PKEY_free(key);
	return ok;
}

outcome tls_client_ctx(const struct tls_client *c, SSL_CTX **out, struct fault *f)
{
	SSL_CTX *ctx = SSL_CTX_new_ex(crypto_ctx(), NULL, TLS_client_method());
	bool ok = ctx && SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 &&
		  SSL_CTX_set1_sigalgs_list(ctx, SIGNATURE_ALGORITHMS) == 1 && set_server(ctx, c) &&
		  set_client(ctx, c);
	if (ok) {
		/* The chain is given: OpenSSL need not search for it at each handshake. */
		SSL_CTX_set_mode(ctx, SSL_MODE_NO_AUTO_CHAIN);
		SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
		*out = ctx;
		return DONE;
	}
	SSL_CTX_free(ctx);
	return crypto_fault(f, "the TLS client");
}
