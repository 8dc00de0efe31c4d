#include "crypto_internal.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <string.h>

/* Prefix = the DER of SubjectPublicKeyInfo up to and with the 04 of the uncompressed point (RFC 5480 2). */
const struct curve ec_curves[EC_CURVES] = {
	{"prime256v1",
	 NID_X9_62_prime256v1,
	 256,
	 32,
	 0,
	 {0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06,
	  0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04},
	 27},
	{"secp384r1",
	 NID_secp384r1,
	 384,
	 48,
	 1,
	 {0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02,
	  0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22, 0x03, 0x62, 0x00, 0x04},
	 24},
	{"secp521r1",
	 NID_secp521r1,
	 521,
	 66,
	 2,
	 {0x30, 0x81, 0x9b, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02,
	  0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23, 0x03, 0x81, 0x86, 0x00, 0x04},
	 26},
};

static const struct curve *curve_of_key(EVP_PKEY *key)
{
	char group[32];
	size_t n;
	if (EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof group, &n) != 1)
		return NULL;
	for (size_t i = 0; i < EC_CURVES; i++)
		if (!strcmp(group, ec_curves[i].group))
			return &ec_curves[i];
	return NULL;
}

/* Copying a group to a new key takes a quarter of the time that naming it takes. */
static EVP_PKEY *key_from_point(const struct curve *curve, const uint8_t *point, size_t n)
{
	struct thread_crypto *t = crypto_thread();
	EVP_PKEY **blank = &t->blank[curve - ec_curves];
	if (!*blank)
		*blank = EVP_PKEY_Q_keygen(t->ctx, NULL, "EC", curve->group);
	EVP_PKEY *key = *blank ? EVP_PKEY_new() : NULL;
	if (key && (EVP_PKEY_copy_parameters(key, *blank) != 1 ||
		    EVP_PKEY_set1_encoded_public_key(key, point, n) != 1)) {
		EVP_PKEY_free(key);
		key = NULL;
	}
	ERR_clear_error();
	return key;
}

static const struct curve *curve_of_spki(struct bytes spki)
{
	for (size_t i = 0; i < EC_CURVES; i++) {
		const struct curve *c = &ec_curves[i];
		if (spki.n == c->prefix_size + 2 * c->field && !memcmp(spki.p, c->prefix, c->prefix_size))
			return c;
	}
	return NULL;
}

struct bytes ec_spki_point(struct bytes spki)
{
	const struct curve *c = curve_of_spki(spki);
	return c ? bytes_of(spki.p + c->prefix_size - 1, 1 + 2 * c->field) : bytes_of(NULL, 0);
}

EVP_PKEY *ec_key_from_spki(struct bytes spki)
{
	const struct curve *c = curve_of_spki(spki);
	struct bytes point = ec_spki_point(spki);
	return c ? key_from_point(c, point.p, point.n) : NULL;
}

/* A group of its own for each key costs more than the point. */
EVP_PKEY *ec_key_borrow(struct bytes spki)
{
	const struct curve *c = curve_of_spki(spki);
	struct bytes point = ec_spki_point(spki);
	if (!c)
		return NULL;
	EVP_PKEY **lent = &crypto_thread()->lent[c - ec_curves];
	if (!*lent)
		return *lent = key_from_point(c, point.p, point.n);
	bool ok = EVP_PKEY_set1_encoded_public_key(*lent, point.p, point.n) == 1;
	ERR_clear_error();
	return ok ? *lent : NULL;
}

bool ec_spki_on_curve(struct bytes spki)
{
	const struct curve *c = curve_of_spki(spki);
	if (!c)
		return false;
	struct thread_crypto *t = crypto_thread();
	EC_GROUP **group = &t->group[c - ec_curves];
	if (!*group)
		*group = EC_GROUP_new_by_curve_name_ex(t->ctx, NULL, c->nid);
	EC_POINT *point = *group ? EC_POINT_new(*group) : NULL;
	bool ok = point &&
		  EC_POINT_oct2point(*group, point, spki.p + c->prefix_size - 1, 1 + 2 * c->field, NULL) == 1;
	EC_POINT_free(point);
	ERR_clear_error();
	return ok;
}

EVP_PKEY *p256_key_from_point(const uint8_t x[32], const uint8_t y[32])
{
	uint8_t point[65] = {4};
	memcpy(point + 1, x, 32);
	memcpy(point + 33, y, 32);
	return key_from_point(&ec_curves[0], point, sizeof point);
}

static EVP_PKEY_CTX *make_verifier(const uint8_t point[P256_POINT_SIZE])
{
	EVP_PKEY *key = p256_key_from_point(point, point + P256_POINT_SIZE / 2);
	EVP_PKEY_CTX *ctx = key ? EVP_PKEY_CTX_new_from_pkey(crypto_ctx(), key, NULL) : NULL;
	EVP_PKEY_free(key);
	if (ctx && EVP_PKEY_verify_init(ctx) == 1)
		return ctx;
	EVP_PKEY_CTX_free(ctx);
	ERR_clear_error();
	return NULL;
}

EVP_PKEY_CTX *p256_known_verifier(const uint8_t point[P256_POINT_SIZE])
{
	struct thread_crypto *t = crypto_thread();
	struct known_key *set = t->known[point[P256_POINT_SIZE - 1] % KNOWN_SETS];
	for (size_t i = 0; i < KNOWN_WAYS; i++)
		if (set[i].verifier && !memcmp(set[i].point, point, P256_POINT_SIZE))
			return set[i].verifier;
	struct known_key *known = &set[t->known_turn++ % KNOWN_WAYS];
	EVP_PKEY_CTX_free(known->verifier);
	known->verifier = make_verifier(point);
	memcpy(known->point, point, P256_POINT_SIZE);
	return known->verifier;
}

static EVP_PKEY_CTX *p256_generator(struct thread_crypto *t)
{
	if (t->p256)
		return t->p256;
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(t->ctx, "EC", NULL);
	if (ctx && EVP_PKEY_keygen_init(ctx) == 1 && EVP_PKEY_CTX_set_group_name(ctx, "P-256") == 1)
		return t->p256 = ctx;
	EVP_PKEY_CTX_free(ctx);
	return NULL;
}

EVP_PKEY *p256_key_generate(void)
{
	EVP_PKEY_CTX *ctx = p256_generator(crypto_thread());
	EVP_PKEY *key = NULL;
	return ctx && EVP_PKEY_keygen(ctx, &key) == 1 ? key : NULL;
}

size_t ec_key_to_spki(EVP_PKEY *key, uint8_t *out, size_t room)
{
	const struct curve *c = curve_of_key(key);
	uint8_t point[133];
	size_t n;
	if (!c || room < c->prefix_size + 2 * c->field ||
	    EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point, &n) != 1 ||
	    n != 1 + 2 * c->field || point[0] != 4)
		return 0;
	memcpy(out, c->prefix, c->prefix_size);
	memcpy(out + c->prefix_size, point + 1, n - 1);
	return c->prefix_size + 2 * c->field;
}

int ec_key_bits(EVP_PKEY *key)
{
	const struct curve *c = curve_of_key(key);
	return c ? c->bits : 0;
}

const struct curve *ec_curve_of_width(EVP_PKEY *key)
{
	int bits = EVP_PKEY_get_bits(key);
	for (size_t i = 0; i < EC_CURVES; i++)
		if (ec_curves[i].bits == bits)
			return &ec_curves[i];
	return NULL;
}
