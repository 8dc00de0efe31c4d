/*
 * receipt.h - when the register got the statements of a chain, in its own time; and the register's hash chain.
 *
 *   head(0) = SHA-256("mooring-register/1" 00 || programme)
 *   head(i) = SHA-256(head(i-1) || i || time || SHA-256(object)), i and time as eight bytes, big-endian
 *
 * Entries are numbered from 1 without a gap, their times never fall. Objects are line records, work orders and
 * stage statements.
 */
#ifndef MOORING_RECEIPT_H
#define MOORING_RECEIPT_H

#include "common/provenance/provenance.h"

struct register_entry {
	int64_t index;
	int64_t time; /* Unix seconds */
	uint8_t object[SHA256_SIZE];
};

void register_start(const uint8_t programme[PROGRAMME_ID_SIZE], uint8_t out[SHA256_SIZE]);
void register_next(const uint8_t head[SHA256_SIZE], const struct register_entry *e, uint8_t out[SHA256_SIZE]);

/* For the statement named, and all before it in its chain: their places and times, first stage first. */
struct receipt {
	uint8_t programme[PROGRAMME_ID_SIZE];
	uint8_t statement[SHA256_SIZE];
	struct {
		int64_t index, time;
	} at[STAGES_MAX];
	size_t count;
	uint8_t head[SHA256_SIZE]; /* after the last one's index */
	/* set by the reader */
	struct provenance_object object; /* its key id is the register's */
};

/* Indices rise, times never fall. */
MUST_USE outcome receipt_read(struct bytes in, struct receipt *out, struct fault *f);
MUST_USE outcome receipt_sign(struct buf *out, const struct receipt *r, EVP_PKEY *register_key,
			      struct fault *f);

/* The register's word of how far it has come: goes with entries that are shown to a gateway. */
struct register_head {
	uint8_t programme[PROGRAMME_ID_SIZE];
	int64_t size; /* entries */
	int64_t time; /* Unix seconds, of the word itself */
	uint8_t head[SHA256_SIZE];
	struct provenance_object object;
};

MUST_USE outcome register_head_read(struct bytes in, struct register_head *out, struct fault *f);
MUST_USE outcome register_head_sign(struct buf *out, const struct register_head *h, EVP_PKEY *register_key,
				    struct fault *f);

#endif
