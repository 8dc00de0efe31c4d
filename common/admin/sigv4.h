/*
 * sigv4.h - AWS Signature Version 4, one canonicaliser for signing and verifying.
 */
#ifndef MOORING_SIGV4_H
#define MOORING_SIGV4_H

#include "common/bytes.h"
#include "common/crypto/crypto.h"

enum { SIGV4_HEADERS_MAX = 64, SIGV4_WINDOW_S = 300, ACCESS_KEY_ID_MAX = 64, SECRET_SIZE = 41 };

struct sigv4_header {
	const char *name; /* any case */
	const char *value;
};

struct sigv4_request {
	const char *method;
	const char *raw_path;  /* as on the wire, before any decoding */
	const char *raw_query; /* without '?'; "" where absent */
	const struct sigv4_header *headers;
	size_t header_count;
	struct bytes body;
};

/* What a request claims, taken from its Authorization header; views into the header. */
struct sigv4_claim {
	char key_id[ACCESS_KEY_ID_MAX];
	char scope_date[9];
	char region[32];
	char service[32];
	char signed_headers[1024];
	uint8_t signature[SHA256_SIZE];
	int64_t time; /* x-amz-date, Unix seconds */
};

/* REASON_NO_SIGNATURE, REASON_SIGV4_MALFORMED. UNSIGNED-PAYLOAD is malformed here. */
MUST_USE outcome sigv4_claim_parse(const struct sigv4_request *r, struct sigv4_claim *out, struct fault *f);
/* Recomputes the signature with the secret: window of 5 minutes around `now`, payload hash, constant time. */
MUST_USE outcome sigv4_verify(const struct sigv4_request *r, const struct sigv4_claim *claim,
			      const char *secret, int64_t now, struct fault *f);
/* Value for the Authorization header; `r` must hold host and x-amz-date (and x-amz-content-sha256). */
MUST_USE outcome sigv4_sign(const struct sigv4_request *r, const char *key_id, const char *secret,
			    const char *region, const char *service, struct buf *authorization,
			    struct fault *f);
/* The canonical request, as AWS defines it, for tests and messages. */
MUST_USE outcome sigv4_canonical_request(const struct sigv4_request *r, const char *signed_headers,
					 struct buf *out, struct fault *f);

/* Secret access key of an admin: base64 of the first 30 bytes of HMAC-SHA256(master, "mooring-admin/1" || key id). */
void sigv4_derive_secret(struct bytes master, const char *key_id, char out[SECRET_SIZE]);

#endif
