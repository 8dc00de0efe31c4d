/*
 * provenance.h - where a device comes from: names, sizes and hashes that all provenance objects share.
 *
 * A device collects a provenance chain: one stage statement for each stage of its making, signed at the line
 * that did it, each naming the one before. A line may sign within work orders, which the OEM's programme key
 * signs; its key is known by a line record, which the OEM's line authority signs; the register, an append-only
 * log with a key of its own, says when a statement came to it. docs/provenance.cddl has every format.
 *
 * Each object is a tagged COSE_Sign1 (RFC 9052 4.2) with ES256 over P-256 and nothing else, its protected header
 * {1: -7, 4: key id}, its unprotected header empty, its payload one map in deterministic CBOR (RFC 8949 4.2.1).
 * Of the two signatures (r, s) and (r, n - s), which verify alike, it has the one with the smaller s. What is not
 * exactly so is refused: an object has one form, and its hash is of the bytes as received.
 */
#ifndef MOORING_PROVENANCE_H
#define MOORING_PROVENANCE_H

#include "common/cbor/cose.h"
#include "common/crypto/crypto.h"
#include "common/evidence/evidence.h"

enum {
	PROGRAMME_ID_SIZE = 16,
	KEY_ID_SIZE =
		16, /* the first bytes of SHA-256(SubjectPublicKeyInfo): of line, programme, register keys */
	BATCH_SIZE = 17, /* 1 to 16 of [A-Za-z0-9._-], and NUL */
	DEV_SIZE = 32,
	STAGES_MAX = 8, /* of a chain, a line record, or a variant */
	STAGE_NUMBER_MAX = 255,
	STAGE_NONCE_SIZE = 16,
	PROVENANCE_OBJECT_MAX = 512,
};
/* Of every time in an object: the end of year 9999, the last that RFC 3339 can write. */
#define PROVENANCE_TIME_MAX INT64_C(253402300799)

enum provenance_type {
	PROVENANCE_WORK_ORDER = 1,
	PROVENANCE_STAGE_STATEMENT = 2,
	PROVENANCE_LINE_RECORD = 3,
	PROVENANCE_RECEIPT = 4,
	PROVENANCE_REGISTER_HEAD = 5,
};

/* An object's envelope, its payload not yet read. Views into the input. */
struct provenance_object {
	struct cose_sign1 cose;
	uint8_t key_id[KEY_ID_SIZE];
	uint8_t sha256[SHA256_SIZE]; /* of the bytes as received: the object's name */
};

/* REASON_CHAIN_MALFORMED, or CBOR's and COSE's own reasons. Does not look at the signature. */
MUST_USE outcome provenance_open(struct bytes in, struct provenance_object *out, struct fault *f);
/* The signature under the key with this point; REASON_PROVENANCE_SIGNATURE. The key id must be the key's. To make
 * the key from its point each time is a thirtieth of the price: nobody needs to keep keys. */
MUST_USE outcome provenance_verify(const struct provenance_object *o, const uint8_t point[P256_POINT_SIZE],
				   struct fault *f);
/* Appends the object; `payload` is an encoded map. */
MUST_USE outcome provenance_seal(struct buf *out, struct bytes payload, EVP_PKEY *key, struct fault *f);
/* What kind of object this is, for tools that take any of them; 0 where it is none. */
enum provenance_type provenance_type_of(struct bytes in);

/* False where the key is not P-256. */
MUST_USE bool provenance_point(EVP_PKEY *key, uint8_t point[P256_POINT_SIZE]);
/* The key id of the key with this point. */
void provenance_key_id(const uint8_t point[P256_POINT_SIZE], uint8_t out[KEY_ID_SIZE]);
/* The SubjectPublicKeyInfo (91 bytes) of the key with this point; whether it is on the curve is not looked at. */
enum { P256_SPKI_SIZE = 91 };
void provenance_spki(const uint8_t point[P256_POINT_SIZE], uint8_t out[P256_SPKI_SIZE]);
bool provenance_point_on_curve(const uint8_t point[P256_POINT_SIZE]);
bool provenance_batch_valid(const char *batch);
/* UTF-8 that is not empty, without control characters: names reach operators' terminals. */
bool provenance_name_valid(const char *name);

/* dev = SHA-256(programme || instance ID): what a chain calls the device. */
void provenance_dev(const uint8_t programme[PROGRAMME_ID_SIZE], const uint8_t instance_id[INSTANCE_ID_SIZE],
		    uint8_t out[DEV_SIZE]);
/* What the first statement names as the one before: SHA-256("mooring-provenance/1" 00 || programme || dev). */
void provenance_start(const uint8_t programme[PROGRAMME_ID_SIZE], const uint8_t dev[DEV_SIZE],
		      uint8_t out[SHA256_SIZE]);

#endif
