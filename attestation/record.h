/*
 * record.h - a device record: what the factory told about one device, in its JSON form.
 *
 *   {"instance_id": hex of 33 bytes, "implementation_id": hex of 32, "public_key": base64 of the RoT key's
 *    SubjectPublicKeyInfo, "batch": "B1", "model": "thermo-1", "evidence": ["psa-token", "cose-csr"]}
 */
#ifndef MOORING_RECORD_H
#define MOORING_RECORD_H

#include "common/evidence/evidence.h"

#include <jansson.h>

enum { RECORD_NAME_SIZE = 65, RECORD_KEY_MAX = 160, IMPLEMENTATION_ID_SIZE = 32 };

struct record {
	uint8_t instance_id[INSTANCE_ID_SIZE];
	bool has_implementation; /* mandatory where psa-token is among the evidence */
	uint8_t implementation_id[IMPLEMENTATION_ID_SIZE];
	uint8_t public_key[RECORD_KEY_MAX]; /* uncompressed SPKI */
	size_t public_key_size;
	char batch[RECORD_NAME_SIZE], model[RECORD_NAME_SIZE];
	unsigned evidence; /* bit 1 << enum evidence_type */
	bool suspended;
	int64_t created; /* Unix seconds; 0 before it is stored */
};

/* Reads one line. Unknown and doubled members are refused, and so are published test keys unless allowed.
 * REASON_BAD_JSON, REASON_BAD_FIELD, REASON_TEST_KEY. */
MUST_USE outcome record_parse(struct bytes json, bool allow_test_keys, struct record *out, struct fault *f);
/* Equal in what the factory says: everything but state and time. */
bool record_same(const struct record *a, const struct record *b);
/* With "state" and "created"; NULL without memory. */
json_t *record_json(const struct record *r);
/* Names of batches, models and imports: 1 to 64 of [A-Za-z0-9._-]. */
bool record_name_ok(const char *name);
/* Hexadecimal of 33 bytes, the first 01. */
MUST_USE bool record_instance_id(const char *hex, uint8_t out[INSTANCE_ID_SIZE]);

#endif
