/*
 * import.h - batches of device records: newline-delimited JSON, numbered, taken once.
 *
 * A batch is one transaction: all of its records are stored, or none. The same (import, number, contents)
 * again has the answer of the first time and stores nothing; other contents under a taken number are refused, and so is a record
 * that differs from the one already stored for its instance ID.
 */
#ifndef MOORING_IMPORT_H
#define MOORING_IMPORT_H

#include "writer.h"

enum { IMPORT_BODY_MAX = 262144, IMPORT_NUMBER_MAX = 999999999 };

struct import_batch {
	struct change change; /* first: the writer hands this back; its `run` is set by import_batch_parse */
	char import[RECORD_NAME_SIZE];
	int64_t number;
	uint8_t hash[SHA256_SIZE]; /* of the body */
	struct record *records;
	size_t count;
	/* filled by the writer */
	bool repeated;	  /* it was taken before: `inserted` is of that time */
	int64_t inserted; /* of `count`; the rest was there, unchanged */
	int64_t total;	  /* records of all batches of this import so far */
};

/* `out->import` and `number` are set by the caller. Faults name the line. REASON_TOO_LARGE,
 * REASON_BAD_REQUEST and those of record_parse. import_batch_clear frees what it holds, also after a fault. */
MUST_USE outcome import_batch_parse(struct bytes body, bool allow_test_keys, struct import_batch *out,
				    struct fault *f);
void import_batch_clear(struct import_batch *b);

#endif
