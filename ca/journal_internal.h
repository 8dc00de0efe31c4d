/*
 * journal_internal.h - what the parts of the journal share: the file and its lock (journal.c), the reading of
 * all of it at the start (journal_scan.c), the CBOR of its records (journal_record.c).
 */
#ifndef MOORING_CA_JOURNAL_INTERNAL_H
#define MOORING_CA_JOURNAL_INTERNAL_H

#include "journal.h"

#include <limits.h>

enum {
	RECORD_MAX = CERT_DER_MAX + 512,
	FRAME_HEAD = 8,
	CHAIN_SIZE = SHA256_SIZE,
	FRAME_MAX = FRAME_HEAD + RECORD_MAX + CHAIN_SIZE,
};

struct journal {
	char path[PATH_MAX];
	int folder; /* holds the lock */
	int fd;
	struct journal_facts facts;
	uint8_t chain[CHAIN_SIZE]; /* after the last committed frame */
	struct buf pending;	   /* frames of the next commit */
	uint64_t pending_records;
	uint8_t pending_chain[CHAIN_SIZE];
	bool lost; /* what is on disk after facts.bytes is not known */
};

void journal_chain_next(const uint8_t chain[CHAIN_SIZE], struct bytes length, struct bytes record,
			uint8_t out[CHAIN_SIZE]);

/* Verifies the open file from its start, visiting each record; sets chain, bytes, records and, where the last
 * frame was torn, cut. Changes nothing in the file. */
MUST_USE outcome journal_scan(struct journal *j, journal_visit *visit, void *arg, struct fault *f);

/* Append a record; the first frame of a file holds the header. */
void journal_record_encode(const struct journal_record *r, struct buf *out);
void journal_header_encode(int64_t time, struct buf *out);
/* Views point into `in`. Strict: REASON_JOURNAL or the CBOR reader's reason. */
MUST_USE outcome journal_record_decode(struct bytes in, struct journal_record *out, struct fault *f);
MUST_USE outcome journal_header_decode(struct bytes in, struct fault *f);

#endif
