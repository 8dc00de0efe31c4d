#include "keys.h"

#include "common/config/config.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <stdio.h>
#include <string.h>

enum { COORDINATE_SIZE = 32 };

struct point {
	char x[BASE64_SIZE(COORDINATE_SIZE)], y[BASE64_SIZE(COORDINATE_SIZE)];
};

static bool point_of(EVP_PKEY *key, struct point *out)
{
	uint8_t spki[SPKI_MAX];
	size_t n = ec_key_bits(key) == 256 ? ec_key_to_spki(key, spki, sizeof spki) : 0;
	if (n < 2 * COORDINATE_SIZE)
		return false;
	base64url_encode(bytes_of(spki + n - 2 * COORDINATE_SIZE, COORDINATE_SIZE), out->x);
	base64url_encode(bytes_of(spki + n - COORDINATE_SIZE, COORDINATE_SIZE), out->y);
	return true;
}

bool key_thumbprint(EVP_PKEY *key, char out[KEY_ID_SIZE])
{
	struct point p;
	char canonical[256];
	uint8_t hash[SHA256_SIZE];
	if (!point_of(key, &p))
		return false;
	snprintf(canonical, sizeof canonical, "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"%s\",\"y\":\"%s\"}",
		 p.x, p.y);
	sha256(bytes_str(canonical), hash);
	base64url_encode(bytes_of(hash, sizeof hash), out);
	return true;
}

json_t *key_jwk(EVP_PKEY *key)
{
	struct point p;
	char id[KEY_ID_SIZE];
	if (!point_of(key, &p) || !key_thumbprint(key, id))
		return NULL;
	return json_pack("{ss ss ss ss ss ss}", "kty", "EC", "crv", "P-256", "x", p.x, "y", p.y, "alg",
			 "ES256", "kid", id);
}

EVP_PKEY *key_copy(EVP_PKEY *key)
{
	EVP_PKEY *copy = NULL;
	OSSL_PARAM *params = NULL;
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(crypto_ctx(), "EC", NULL);
	if (!ctx || EVP_PKEY_todata(key, EVP_PKEY_KEYPAIR, &params) != 1 ||
	    EVP_PKEY_fromdata_init(ctx) != 1 || EVP_PKEY_fromdata(ctx, &copy, EVP_PKEY_KEYPAIR, params) != 1)
		copy = NULL;
	OSSL_PARAM_free(params);
	EVP_PKEY_CTX_free(ctx);
	ERR_clear_error();
	return copy;
}

static outcome load_key(const char *name, const char *path, EVP_PKEY **out, struct fault *f)
{
	outcome r = key_load_private_pem(path, out, f);
	if (r.ok && ec_key_bits(*out) != 256)
		r = refuse(f, REASON_CONFIG, "%s is not a P-256 key", path);
	return config_blame(name, r, f);
}

outcome keys_load(const char *ear, const char *next, const char *relying_party_ca, struct keys *out,
		  struct fault *f)
{
	*out = (struct keys){0};
	outcome r = load_key("ear_key", ear, &out->ear, f);
	if (r.ok && *next)
		r = load_key("ear_key_next", next, &out->ear_next, f);
	if (r.ok)
		r = config_blame("relying_party_ca",
				 cert_issuers_load(relying_party_ca, &out->relying_party_cas, f), f);
	if (r.ok && !key_thumbprint(out->ear, out->ear_id))
		r = crypto_fault(f, "the thumbprint of ear_key");
	if (!r.ok)
		keys_free(out);
	return r;
}

void keys_free(struct keys *k)
{
	EVP_PKEY_free(k->ear);
	EVP_PKEY_free(k->ear_next);
	cert_issuers_free(&k->relying_party_cas);
	*k = (struct keys){0};
}
