/* SHA256_CTX is deprecated in favour of EVP. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "crypto_internal.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

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
	for (size_t i = 0; i < KNOWN_SETS * KNOWN_WAYS; i++)
		EVP_PKEY_CTX_free(t->known[i / KNOWN_WAYS][i % KNOWN_WAYS].verifier);
	OSSL_LIB_CTX_free(t->ctx);
	free(t);
}

static void make_thread_key(void)
{
	if (pthread_key_create(&thread_key, thread_crypto_free))
		abort();
}

static bool fill(struct thread_crypto *t)
{
	static const char *const names[] = {"SHA256", "SHA384", "SHA512"};
	if (!(t->ctx = OSSL_LIB_CTX_new()) || !(t->md = EVP_MD_CTX_new()))
		return false;
	for (size_t i = 0; i < 3; i++)
		if (!(t->digest[i] = EVP_MD_fetch(t->ctx, names[i], NULL)))
			return false;
	return true;
}

/* NULL without memory. */
static struct thread_crypto *find_or_make(void)
{
	pthread_once(&thread_key_once, make_thread_key);
	struct thread_crypto *t = pthread_getspecific(thread_key);
	if (t)
		return t;
	t = calloc(1, sizeof *t);
	if (t && fill(t) && !pthread_setspecific(thread_key, t))
		return t;
	if (t)
		thread_crypto_free(t);
	return NULL;
}

outcome crypto_ready(struct fault *f)
{
	if (find_or_make())
		return DONE;
	ERR_clear_error();
	return refuse(f, REASON_NO_MEMORY, "no memory for cryptography");
}

struct thread_crypto *crypto_thread(void)
{
	struct thread_crypto *t = find_or_make();
	if (!t)
		abort();
	return t;
}

OSSL_LIB_CTX *crypto_ctx(void)
{
	return crypto_thread()->ctx;
}

void crypto_end(void)
{
	thread_crypto_free(crypto_thread());
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

/* Not through EVP, which allocates: a digest that can fail would have to be refused everywhere, or end the process. */
void sha256_parts(const struct bytes *parts, size_t count, uint8_t out[SHA256_SIZE])
{
	SHA256_CTX c;
	SHA256_Init(&c);
	for (size_t i = 0; i < count; i++)
		SHA256_Update(&c, parts[i].p, parts[i].n);
	SHA256_Final(out, &c);
}

/* RFC 2104 2, over the digest above: OpenSSL's HMAC() fetches its algorithm anew at each call. */
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

outcome crypto_fault(struct fault *f, const char *what)
{
	unsigned long code = ERR_peek_error();
	char text[160] = "no detail";
	if (code)
		ERR_error_string_n(code, text, sizeof text);
	ERR_clear_error();
	return refuse(f, REASON_CRYPTO, "%s: %s", what, text);
}
