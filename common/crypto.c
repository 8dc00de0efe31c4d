#include "crypto.h"

#include "file.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* What a thread keeps: its library context, and what was fetched from it. */
struct thread_crypto {
	OSSL_LIB_CTX *ctx;
	EVP_PKEY_CTX *p256; /* of key generation: setting one up costs more than the key */
	EVP_MD *digest[3];  /* SHA-256, SHA-384, SHA-512 */
	EVP_MD_CTX *md;
	EVP_PKEY *blank[3]; /* of each curve, made when first needed: see key_from_point */
	EVP_PKEY *lent[3];  /* the same: see ec_key_borrow */
	EC_GROUP *group[3]; /* the same: see ec_spki_on_curve */
};

struct curve {
	const char *group;
	int nid;
	int bits;
	size_t field;
	unsigned digest;
	uint8_t prefix[27];
	size_t prefix_size;
};

/* Prefix = the DER of SubjectPublicKeyInfo up to and with the 04 of the uncompressed point (RFC 5480 2). */
static const struct curve curves[] = {
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

static pthread_key_t thread_key;
static pthread_once_t thread_key_once = PTHREAD_ONCE_INIT;

static void thread_crypto_free(void *p)
{
	struct thread_crypto *t = p;
	EVP_PKEY_CTX_free(t->p256);
	EVP_MD_CTX_free(t->md);
	for (size_t i = 0; i < 3; i++) {
		EVP_MD_free(t->digest[i]);
		EVP_PKEY_free(t->blank[i]);
		EVP_PKEY_free(t->lent[i]);
		EC_GROUP_free(t->group[i]);
	}
	OSSL_LIB_CTX_free(t->ctx);
	free(t);
}

static void make_thread_key(void)
{
	if (pthread_key_create(&thread_key, thread_crypto_free))
		abort();
}

static struct thread_crypto *thread_crypto(void)
{
	static const char *const names[] = {"SHA256", "SHA384", "SHA512"};
	pthread_once(&thread_key_once, make_thread_key);
	struct thread_crypto *t = pthread_getspecific(thread_key);
	if (t)
		return t;
	t = calloc(1, sizeof *t);
	if (!t || !(t->ctx = OSSL_LIB_CTX_new()) || !(t->md = EVP_MD_CTX_new()))
		abort();
	for (size_t i = 0; i < 3; i++)
		if (!(t->digest[i] = EVP_MD_fetch(t->ctx, names[i], NULL)))
			abort();
	pthread_setspecific(thread_key, t);
	return t;
}

OSSL_LIB_CTX *crypto_ctx(void)
{
	return thread_crypto()->ctx;
}

void crypto_end(void)
{
	thread_crypto_free(thread_crypto());
	pthread_setspecific(thread_key, NULL);
}

/* The kernel's generator, once: OpenSSL's own costs a chain of two more in front of it, and a fork could
 * share it. */
void crypto_random(uint8_t *out, size_t n)
{
	while (n) {
		ssize_t got = getrandom(out, n, 0);
		if (got < 0 && errno != EINTR)
			abort();
		out += got > 0 ? got : 0;
		n -= got > 0 ? (size_t)got : 0;
	}
}

uint32_t crypto_random_u32(void)
{
	uint32_t random;
	crypto_random((uint8_t *)&random, sizeof random);
	return random;
}

void sha256(struct bytes in, uint8_t out[SHA256_SIZE])
{
	sha256_parts(&in, 1, out);
}

void sha256_parts(const struct bytes *parts, size_t count, uint8_t out[SHA256_SIZE])
{
	struct thread_crypto *t = thread_crypto();
	bool ok = EVP_DigestInit_ex2(t->md, t->digest[0], NULL) == 1;
	for (size_t i = 0; i < count; i++)
		ok = ok && EVP_DigestUpdate(t->md, parts[i].p, parts[i].n) == 1;
	if (!ok || EVP_DigestFinal_ex(t->md, out, NULL) != 1)
		abort();
}

/* RFC 2104 2, over the digest that is there: OpenSSL's HMAC() fetches its algorithm anew at each call. */
void hmac_sha256(struct bytes key, struct bytes in, uint8_t out[SHA256_SIZE])
{
	enum { BLOCK = 64 };
	uint8_t inner[BLOCK] = {0}, outer[BLOCK], digest[SHA256_SIZE];
	if (key.n > BLOCK)
		sha256(key, inner);
	else if (key.n)
		memcpy(inner, key.p, key.n);
	for (size_t i = 0; i < BLOCK; i++) {
		outer[i] = inner[i] ^ 0x5c;
		inner[i] ^= 0x36;
	}
	sha256_parts((const struct bytes[]){{inner, BLOCK}, in}, 2, digest);
	sha256_parts((const struct bytes[]){{outer, BLOCK}, {digest, sizeof digest}}, 2, out);
	OPENSSL_cleanse(inner, sizeof inner);
	OPENSSL_cleanse(outer, sizeof outer);
}

static const struct curve *curve_of_key(EVP_PKEY *key)
{
	char group[32];
	size_t n;
	if (EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof group, &n) != 1)
		return NULL;
	for (size_t i = 0; i < sizeof curves / sizeof *curves; i++)
		if (!strcmp(group, curves[i].group))
			return &curves[i];
	return NULL;
}

/* Copying a group to a new key takes a quarter of the time that naming it takes. */
static EVP_PKEY *key_from_point(const struct curve *curve, const uint8_t *point, size_t n)
{
	struct thread_crypto *t = thread_crypto();
	EVP_PKEY **blank = &t->blank[curve - curves];
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
	for (size_t i = 0; i < sizeof curves / sizeof *curves; i++) {
		const struct curve *c = &curves[i];
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
	EVP_PKEY **lent = &thread_crypto()->lent[c - curves];
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
	struct thread_crypto *t = thread_crypto();
	EC_GROUP **group = &t->group[c - curves];
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
	return key_from_point(&curves[0], point, sizeof point);
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
	EVP_PKEY_CTX *ctx = p256_generator(thread_crypto());
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

static outcome load_pem(const char *path, bool private, EVP_PKEY **out, struct fault *f)
{
	struct buf text = {0};
	outcome read = private ? file_read_secret(path, 65536, &text, f) : file_read(path, 65536, &text, f);
	if (!read.ok)
		return read;
	BIO *bio = BIO_new_mem_buf(text.p, (int)text.n);
	*out = !bio	 ? NULL
	       : private ? PEM_read_bio_PrivateKey_ex(bio, NULL, NULL, NULL, crypto_ctx(), NULL)
			 : PEM_read_bio_PUBKEY_ex(bio, NULL, NULL, NULL, crypto_ctx(), NULL);
	BIO_free(bio);
	OPENSSL_cleanse(text.p, text.n);
	buf_free(&text);
	if (*out || private)
		return *out ? DONE : crypto_fault(f, path);
	ERR_clear_error();
	return refuse(f, REASON_CRYPTO,
		      "%s holds no public key in PEM (openssl pkey -in KEY -pubout makes one)", path);
}

outcome key_load_public_pem(const char *path, EVP_PKEY **out, struct fault *f)
{
	return load_pem(path, false, out, f);
}

outcome key_load_private_pem(const char *path, EVP_PKEY **out, struct fault *f)
{
	return load_pem(path, true, out, f);
}

outcome key_save_private_pem(const char *path, EVP_PKEY *key, struct fault *f)
{
	BIO *bio = BIO_new(BIO_s_secmem());
	char *text;
	outcome result;
	if (bio && PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1) {
		long n = BIO_get_mem_data(bio, &text);
		result = file_replace(path, bytes_of(text, (size_t)n), 0600, f);
	} else {
		result = crypto_fault(f, path);
	}
	BIO_free(bio);
	return result;
}

size_t ecdsa_raw_to_der(struct bytes raw, uint8_t *der, size_t room)
{
	size_t half = raw.n / 2;
	ECDSA_SIG *sig = ECDSA_SIG_new();
	BIGNUM *r = BN_bin2bn(raw.p, (int)half, NULL), *s = BN_bin2bn(raw.p + half, (int)half, NULL);
	int n = 0;
	if (sig && r && s && ECDSA_SIG_set0(sig, r, s) == 1) {
		r = s = NULL;
		n = i2d_ECDSA_SIG(sig, NULL);
		if (n > 0 && (size_t)n <= room)
			n = i2d_ECDSA_SIG(sig, &der);
		else
			n = 0;
	}
	BN_free(r);
	BN_free(s);
	ECDSA_SIG_free(sig);
	return n > 0 ? (size_t)n : 0;
}

/* Hashed apart from verifying and signing: EVP_DigestVerify would fetch the digest by its name each time. */
static unsigned hash_message(unsigned digest, struct bytes message, uint8_t out[EVP_MAX_MD_SIZE])
{
	struct thread_crypto *t = thread_crypto();
	unsigned size = 0;
	bool ok = EVP_DigestInit_ex2(t->md, t->digest[digest], NULL) == 1 &&
		  EVP_DigestUpdate(t->md, message.p, message.n) == 1 && EVP_DigestFinal_ex(t->md, out, &size) == 1;
	return ok ? size : 0;
}

static bool verify_der(EVP_PKEY *key, unsigned digest, struct bytes message, const uint8_t *der, size_t n)
{
	uint8_t hash[EVP_MAX_MD_SIZE];
	unsigned size = hash_message(digest, message, hash);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(crypto_ctx(), key, NULL);
	bool ok = ctx && size && EVP_PKEY_verify_init(ctx) == 1 && EVP_PKEY_verify(ctx, der, n, hash, size) == 1;
	EVP_PKEY_CTX_free(ctx);
	ERR_clear_error();
	return ok;
}

/* By its width alone, which OpenSSL tells at no price: for keys that were checked when they were read. */
static const struct curve *curve_of_width(EVP_PKEY *key)
{
	int bits = EVP_PKEY_get_bits(key);
	for (size_t i = 0; i < sizeof curves / sizeof *curves; i++)
		if (curves[i].bits == bits)
			return &curves[i];
	return NULL;
}

bool ecdsa_verify_raw(EVP_PKEY *key, struct bytes message, struct bytes signature)
{
	const struct curve *c = curve_of_width(key);
	uint8_t der[ECDSA_SIGNATURE_MAX + 16];
	if (!c || signature.n != 2 * c->field)
		return false;
	size_t n = ecdsa_raw_to_der(signature, der, sizeof der);
	return n && verify_der(key, c->digest, message, der, n);
}

bool ecdsa_verify_der(EVP_PKEY *key, int digest_bits, struct bytes message, struct bytes signature)
{
	unsigned digest = digest_bits == 256 ? 0 : digest_bits == 384 ? 1 : 2;
	return verify_der(key, digest, message, signature.p, signature.n);
}

bool ecdsa_der_to_raw(struct bytes der, size_t field, uint8_t *raw)
{
	const uint8_t *p = der.p;
	ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &p, (long)der.n);
	bool ok = sig && p == der.p + der.n && BN_bn2binpad(ECDSA_SIG_get0_r(sig), raw, (int)field) > 0 &&
		  BN_bn2binpad(ECDSA_SIG_get0_s(sig), raw + field, (int)field) > 0;
	ECDSA_SIG_free(sig);
	ERR_clear_error();
	return ok;
}

static size_t sign_hash(EVP_PKEY *key, struct bytes hash, uint8_t *out, size_t room)
{
	size_t n = room;
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(crypto_ctx(), key, NULL);
	bool ok = ctx && EVP_PKEY_sign_init(ctx) == 1 && EVP_PKEY_sign(ctx, out, &n, hash.p, hash.n) == 1;
	EVP_PKEY_CTX_free(ctx);
	ERR_clear_error();
	return ok ? n : 0;
}

size_t ecdsa_sign_raw(EVP_PKEY *key, struct bytes message, uint8_t out[ECDSA_SIGNATURE_MAX])
{
	const struct curve *c = curve_of_width(key);
	uint8_t der[ECDSA_SIGNATURE_MAX + 16], hash[EVP_MAX_MD_SIZE];
	unsigned size = c ? hash_message(c->digest, message, hash) : 0;
	size_t n = size ? sign_hash(key, bytes_of(hash, size), der, sizeof der) : 0;
	return n && ecdsa_der_to_raw(bytes_of(der, n), c->field, out) ? 2 * c->field : 0;
}

size_t ecdsa_sign_digest_der(EVP_PKEY *key, const uint8_t digest[SHA256_SIZE], uint8_t *out, size_t room)
{
	return sign_hash(key, bytes_of(digest, SHA256_SIZE), out, room);
}

outcome crypto_fault(struct fault *f, const char *what)
{
	unsigned long code = ERR_peek_error();
	char text[160] = "no detail";
	if (code)
		ERR_error_string_n(code, text, sizeof text);
	ERR_clear_error();
	return refuse(f, REASON_CRYPTO, "%s: %s", what, text);
}
