/*
 * signer_protocol.h - what the gateway and the signer say to each other over their Unix stream socket.
 *
 * Each message is a 4-byte big-endian length and a CBOR map with integer keys. Requests may be pipelined;
 * answers come in any order and carry the intent id of their request.
 *
 *   request {0: 1, 1: "issue" | "find" | "void", 2: intent id,
 *            for issue: 3: profile, 4: serial, 5: notBefore, 6: notAfter, 7: CSR DER,
 *            and for an attested profile: 8: EAR (JWT), 9: nonce, 10: audience}
 *   answer  {0: 1, 1: "ok" | "none" | "refused", 2: intent id,
 *            3: certificate DER (ok, except of a void), 4: reason code, 5: sentence (refused)}
 *
 * Decoding is strict: unknown and duplicate keys, keys of another operation, wrong lengths and trailing bytes
 * are REASON_SIGNER_PROTOCOL (or the reason of the CBOR reader), after which the connection is of no use.
 */
#ifndef MOORING_SIGNER_PROTOCOL_H
#define MOORING_SIGNER_PROTOCOL_H

#include "common/crypto/cert.h"
#include "common/evidence/binding.h"

enum { SIGNER_PREFIX_SIZE = 4, SIGNER_MESSAGE_MAX = 32768, INTENT_ID_SIZE = 16, SIGNER_PROFILE_MAX = 15 };

enum signer_op { SIGNER_ISSUE = 1, SIGNER_FIND, SIGNER_VOID };

struct signer_request {
	enum signer_op op;
	uint8_t intent[INTENT_ID_SIZE];
	/* issue only */
	char profile[SIGNER_PROFILE_MAX + 1]; /* "device", "unattested" */
	uint8_t serial[SERIAL_SIZE];	      /* unsigned, big-endian, not zero */
	int64_t not_before, not_after;	      /* Unix time, seconds */
	struct bytes csr;		      /* a view */
	/* attested profiles only: ear.n = 0 says that all three are absent */
	struct bytes ear; /* a view */
	uint8_t nonce[NONCE_SIZE];
	char audience[ORIGIN_MAX + 1];
};

/* SIGNER_OK of an issue or find carries the certificate. SIGNER_OK of a void carries one only where the
 * intent had been signed before: the certificate exists. SIGNER_NONE answers a find. */
enum signer_status { SIGNER_OK = 1, SIGNER_NONE, SIGNER_REFUSED };

struct signer_answer {
	enum signer_status status;
	uint8_t intent[INTENT_ID_SIZE];
	struct bytes certificate; /* a view; n = 0 where there is none */
	struct fault refusal;	  /* SIGNER_REFUSED */
};

/* Append prefix and message to `out`. REASON_TOO_LARGE beyond SIGNER_MESSAGE_MAX, REASON_NO_MEMORY. */
MUST_USE outcome signer_request_encode(const struct signer_request *r, struct buf *out, struct fault *f);
MUST_USE outcome signer_answer_encode(const struct signer_answer *a, struct buf *out, struct fault *f);

/* The first whole message at the start of `in`, without its prefix; message->n = 0 while bytes are missing.
 * A length of 0 or beyond SIGNER_MESSAGE_MAX is a refusal. Consume SIGNER_PREFIX_SIZE + message->n bytes. */
MUST_USE outcome signer_frame(struct bytes in, struct bytes *message, struct fault *f);

/* Views point into `message`. */
MUST_USE outcome signer_request_decode(struct bytes message, struct signer_request *out, struct fault *f);
MUST_USE outcome signer_answer_decode(struct bytes message, struct signer_answer *out, struct fault *f);

#endif
