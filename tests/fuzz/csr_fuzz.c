/* Any bytes as a request. What is accepted here is accepted by OpenSSL, is canonical, and verifies there too. */
#include "csr.h"

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct csr c;
	struct fault f = {0};
	if (csr_parse(bytes_of(data, size), false, &c, &f).ok) {
		if (!c.key || (c.key_bits != 256 && c.key_bits != 384 && c.key_bits != 521))
			abort();
		compare(&c);
		csr_free(&c);
	} else if (c.key || f.reason == REASON_NONE || f.text[0] == '\0') {
		abort();
	}
	ERR_clear_error();
	return 0;
}
