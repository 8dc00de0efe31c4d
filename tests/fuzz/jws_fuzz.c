/*
 * Any bytes as a JWS, which none of the pinned keys signed; and any bytes as the claims of a result that one
 * did sign: what is accepted is affirming, bound and fresh.
 */
#include "common/evidence/ear.h"

#include <stdlib.h>
#include <string.h>

enum { NOW = 1800000000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static EVP_PKEY *key(void)
{
	static EVP_PKEY *one;
	if (!one && !(one = p256_key_generate()))
		abort();
	return one;
}

static bool check(struct bytes jwt, struct ear *ear)
{
	EVP_PKEY *keys[] = {key()};
	struct ear_expect expect = {.keys = keys, .key_count = 1, .now = NOW};
	struct fault f = {0};
	memset(expect.binding, 7, sizeof expect.binding);
	bool ok = ear_check(jwt, &expect, ear, &f).ok;
	if (!ok && (f.reason == REASON_NONE || f.text[0] == '\0'))
		abort();
	return ok;
}

static void check_signed(const json_t *claims)
{
	struct ear ear;
	char *jwt = NULL;
	struct fault f;
	if (!jws_sign(claims, key(), NULL, NULL, &jwt, &f).ok)
		return;
	if (check(bytes_str(jwt), &ear) &&
	    (ear.status != EAR_AFFIRMING || ear.issued_at < NOW - EAR_AGE_MAX_S ||
	     ear.issued_at > NOW + EAR_SKEW_S))
		abort();
	free(jwt);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ear ear;
	if (check(bytes_of(data, size), &ear))
		abort();
	json_t *claims = json_loadb((const char *)data, size, 0, NULL);
	if (json_is_object(claims))
		check_signed(claims);
	json_decref(claims);
	return 0;
}
