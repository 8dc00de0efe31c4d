/*
 * vectors.h - where the test vectors are, and the few verbs that the tests of parsers share.
 *
 * Our own are in tests/vectors. Those of others are read from ../shared/vectors beside the checkout, or from
 * $MOORING_VECTORS (CONTRIBUTING.md: whose they are); a test that needs them is skipped, and says so, where they are not
 * there.
 */
#ifndef MOORING_TESTS_VECTORS_H
#define MOORING_TESTS_VECTORS_H

#include "common/crypto/crypto.h"
#include "common/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DERIVED "tests/vectors/derived/"

static inline struct buf read_path(const char *path)
{
	struct buf b = {0};
	struct fault f = {0};
	if (!file_read(path, 1 << 20, &b, &f).ok)
		fail_msg("%s", f.text);
	return b;
}

static inline const char *third_party(const char *name, char path[512])
{
	const char *dir = getenv("MOORING_VECTORS");
	snprintf(path, 512, "%s/%s", dir ? dir : "../shared/vectors", name);
	return path;
}

/* Of the running test's skip: the folder is there as a whole or not at all. */
static inline void need_third_party(void)
{
	char path[512];
	if (access(third_party("README.md", path), R_OK) == 0)
		return;
	print_message("the vectors of others are not in ../shared/vectors (or $MOORING_VECTORS): skipped\n");
	skip();
}

static inline struct buf read_third_party(const char *name)
{
	char path[512];
	return read_path(third_party(name, path));
}

static inline EVP_PKEY *read_public_key(const char *path)
{
	EVP_PKEY *key = NULL;
	struct fault f = {0};
	if (!key_load_public_pem(path, &key, &f).ok)
		fail_msg("%s", f.text);
	return key;
}

/* Of an EC key; good until the second call after this one. */
static inline struct bytes spki_of(EVP_PKEY *key)
{
	static uint8_t spki[2][SPKI_MAX];
	static unsigned turn;
	uint8_t *out = spki[turn++ % 2];
	return bytes_of(out, ec_key_to_spki(key, out, SPKI_MAX));
}

/* The call was refused, and for this reason: a refusal for any other proves nothing. */
static inline void refused_for(outcome o, const struct fault *f, enum reason reason, const char *what)
{
	if (o.ok)
		fail_msg("%s: accepted, should be refused with %s", what, reason_code(reason));
	if (f->reason != reason)
		fail_msg("%s: refused with %s (%s), should be %s", what, reason_code(f->reason), f->text,
			 reason_code(reason));
}

static inline void accepted(outcome o, const struct fault *f, const char *what)
{
	if (!o.ok)
		fail_msg("%s: refused with %s: %s", what, reason_code(f->reason), f->text);
}

/* An exact copy on the heap, so that the sanitizers see a read beyond its end. */
static inline struct bytes heap_copy(struct bytes in)
{
	uint8_t *p = malloc(in.n ? in.n : 1);
	assert_non_null(p);
	if (in.n)
		memcpy(p, in.p, in.n);
	return bytes_of(p, in.n);
}

static inline void heap_free(struct bytes b)
{
	free((void *)(uintptr_t)b.p);
}

#endif
