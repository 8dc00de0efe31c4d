/*
 * Any bytes as a request, and as subject and attributes of a request that is signed. What is accepted here is
 * accepted by OpenSSL, has the same bytes when encoded again, and verifies there too; but for attributes,
 * whose values are opaque here and not there.
 */
#include "common/crypto/csr.h"

#include "common/crypto/der.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void compare(const struct csr *c)
{
	const uint8_t *p = c->der.p;
	uint8_t *again = NULL;
	X509_REQ *theirs = d2i_X509_REQ(NULL, &p, (long)c->der.n);
	if (!theirs || p != c->der.p + c->der.n || X509_REQ_verify(theirs, X509_REQ_get0_pubkey(theirs)) != 1)
		abort();
	if (i2d_X509_REQ(theirs, &again) != (int)c->der.n || memcmp(again, c->der.p, c->der.n) != 0)
		abort();
	OPENSSL_free(again);
	X509_REQ_free(theirs);
}

static void parse(struct bytes der, bool as_theirs)
{
	struct csr c;
	struct fault f = {0};
	if (csr_parse(der, false, &c, &f).ok) {
		if (!c.spki.n || (c.key_bits != 256 && c.key_bits != 384 && c.key_bits != 521))
			abort();
		if (as_theirs)
			compare(&c);
	} else if (c.spki.n || f.reason == REASON_NONE || f.text[0] == '\0') {
		abort();
	}
	ERR_clear_error();
}

static void parse_signed(struct bytes subject, struct bytes attributes, bool as_theirs)
{
	static const uint8_t version[] = {DER_INTEGER, 1, 0};
	static EVP_PKEY *key;
	struct buf parts = {0}, info = {0}, der = {0};
	uint8_t spki[SPKI_MAX], hash[SHA256_SIZE], signature[80];
	if (!key && !(key = p256_key_generate()))
		abort();
	buf_add(&parts, version, sizeof version);
	der_put(&parts, DER_SEQUENCE, subject);
	buf_add(&parts, spki, ec_key_to_spki(key, spki, sizeof spki));
	der_put(&parts, DER_CONTEXT_0, attributes);
	der_put(&info, DER_SEQUENCE, buf_view(&parts));
	sha256(buf_view(&info), hash);
	size_t n = ecdsa_sign_digest_der(key, hash, signature, sizeof signature);
	if (!csr_build(buf_view(&info), bytes_of(signature, n), &der, NULL).ok)
		abort();
	parse(buf_view(&der), as_theirs);
	buf_free(&parts);
	buf_free(&info);
	buf_free(&der);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes in = bytes_of(data, size), none = bytes_of(NULL, 0);
	parse(in, true);
	if (size < CSR_MAX / 2) {
		parse_signed(none, in, false);
		parse_signed(in, none, true);
	}
	return 0;
}
