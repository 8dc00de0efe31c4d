/*
 * journal_record.h - the CBOR of a journal's records. For journal.c alone.
 */
#ifndef MOORING_CA_JOURNAL_RECORD_H
#define MOORING_CA_JOURNAL_RECORD_H

#include "journal.h"

enum { RECORD_MAX = CERT_DER_MAX + 512 };

/* Append a record; the first frame of a file holds the header. */
void journal_record_encode(const struct journal_record *r, struct buf *out);
void journal_header_encode(int64_t time, struct buf *out);
/* Views point into `in`. Strict: REASON_JOURNAL or the CBOR reader's reason. */
MUST_USE outcome journal_record_decode(struct bytes in, struct journal_record *out, struct fault *f);
MUST_USE outcome journal_header_decode(struct bytes in, struct fault *f);

#endif
