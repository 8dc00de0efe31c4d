/*
 * psa_protocol.h - calls from the normal world to the secure world over a stream socket.
 *
 * Named after the PSA Crypto API and the PSA Attestation API, with their status codes. Each message is a
 * 4-byte big-endian length and a body:
 *   request  version(1) call(1) key id(4) input(2 + n) second input(2 + n)
 *   answer   version(1) status(4) output(2 + n)
 * What a call does not use is zero; its inputs have the lengths of one table; nothing may follow.
 */
#ifndef MOORING_PSA_PROTOCOL_H
#define MOORING_PSA_PROTOCOL_H

#include "common/bytes.h"

enum {
	PSA_PROTOCOL_VERSION = 1,
	PSA_LENGTH_SIZE = 4,
	PSA_MESSAGE_MAX = 8192, /* of a body */
	PSA_HASH_SIZE = 32,
	PSA_CHALLENGE_SIZE = 32,
	PSA_POINT_SIZE = 65,
	PSA_SIGNATURE_SIZE = 64,
	PSA_ROT_IDENTITY_SIZE = 33 + PSA_POINT_SIZE, /* instance ID, then the uncompressed point */
	PSA_KEY_ID_MAX = 0x3fffffff		     /* PSA Crypto API 1.1: PSA_KEY_ID_USER_MAX */
};

enum psa_call {
	PSA_GENERATE_KEY = 1,
	PSA_EXPORT_PUBLIC_KEY,
	PSA_SIGN_HASH,
	PSA_DESTROY_KEY,
	PSA_INITIAL_ATTEST_GET_TOKEN,
	/* Not of PSA: */
	PSA_COSE_SIGN_CSR,     /* the RoT key signs a CSR, as a secure element does */
	PSA_ROT_IDENTITY,      /* who the Root of Trust is */
	PSA_STAGE_COUNTERSIGN, /* the RoT key signs for a stage of the device's making: psa_stage.h */
	PSA_CALL_COUNT
};

/* PSA Crypto API 1.1, chapter "Error codes". */
enum psa_status {
	PSA_SUCCESS = 0,
	PSA_ERROR_PROGRAMMER_ERROR = -129,
	PSA_ERROR_GENERIC_ERROR = -132,
	PSA_ERROR_NOT_PERMITTED = -133,
	PSA_ERROR_INVALID_ARGUMENT = -135,
	PSA_ERROR_INVALID_HANDLE = -136,
	PSA_ERROR_ALREADY_EXISTS = -139,
	PSA_ERROR_INSUFFICIENT_MEMORY = -141,
	PSA_ERROR_INSUFFICIENT_STORAGE = -142,
	PSA_ERROR_COMMUNICATION_FAILURE = -145,
	PSA_ERROR_STORAGE_FAILURE = -146
};

/* Views into the message. */
struct psa_request {
	enum psa_call call;
	uint32_t key;
	struct bytes input;  /* hash, challenge, or a stage */
	struct bytes second; /* CSR */
};

struct psa_answer {
	enum psa_status status;
	struct bytes output;
};

/* Appends length and body. */
void psa_request_encode(struct buf *out, const struct psa_request *request);
void psa_answer_encode(struct buf *out, const struct psa_answer *answer);

/* Length of the body that follows; false where it is none that a body can have: the stream is lost. */
MUST_USE bool psa_length_decode(const uint8_t head[PSA_LENGTH_SIZE], size_t *length);
/* Of a whole body. False = malformed. */
MUST_USE bool psa_request_decode(struct bytes body, struct psa_request *out);
MUST_USE bool psa_answer_decode(struct bytes body, struct psa_answer *out);

/* "PSA_ERROR_INVALID_HANDLE"; "unknown status" for any other number. */
const char *psa_status_name(enum psa_status status);

#endif
