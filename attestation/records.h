/*
 * records.h - the device records on disk: one SQLite file, read on read-only connections, one a worker.
 *
 * What writes is in writer.h.
 */
#ifndef MOORING_RECORDS_H
#define MOORING_RECORDS_H

#include "record.h"
#include "common/db/db_query.h"

enum { WITHDRAWAL_REASON_SIZE = 121, WITHDRAWAL_MARK_SIZE = 8 };

/* For one thread. */
struct records {
	struct conn conn;
	bool writer;
	/* lookup.h: records that the index does not hold yet */
	bool known; /* what follows was read */
	int64_t indexed, newest;
	struct recent *recent;
	size_t recent_count, recent_room;
};

/* Creates the file and its schema where they are absent. For the writer. */
MUST_USE outcome records_open(const char *path, struct records *out, struct fault *f);
/* Without the right to write. */
MUST_USE outcome records_open_reader(const char *path, struct records *out, struct fault *f);
void records_close(struct records *r);

#define RECORD_COLUMNS                                                                                       \
	"instance_id, implementation_id, public_key, batch, model, evidence, suspended, created"

/* *found false where there is no such record. */
MUST_USE outcome records_find(struct records *r, const uint8_t instance_id[INSTANCE_ID_SIZE],
			      struct record *out, bool *found, struct fault *f);
/* In the order in which they were stored, after the record `after` (NULL: from the first), of one batch where
 * `batch` is not NULL. *count is at most `room`. REASON_NOT_FOUND where `after` is no record. */
MUST_USE outcome records_list(struct records *r, const char *batch, const uint8_t *after, struct record *out,
			      size_t room, size_t *count, struct fault *f);

/* One change of a record's state, numbered in the order of the changes. */
struct withdrawal {
	int64_t seq;
	int64_t time; /* Unix seconds */
	uint8_t instance_id[INSTANCE_ID_SIZE];
	bool suspended;
	char reason[WITHDRAWAL_REASON_SIZE];
	/* Random: where an older database was put back, numbers come again. */
	uint8_t mark[WITHDRAWAL_MARK_SIZE];
	bool superseded; /* a later one is of the same record */
};

/* Those after number `after`, at most `room`; *last is the number of the newest there is, 0 where there is
 * none. */
MUST_USE outcome records_withdrawals(struct records *r, int64_t after, struct withdrawal *out, size_t room,
				     size_t *count, int64_t *last, struct fault *f);
/* Is this the mark of the one with this number? */
MUST_USE outcome records_withdrawal_known(struct records *r, int64_t seq,
					  const uint8_t mark[WITHDRAWAL_MARK_SIZE], bool *known,
					  struct fault *f);
/* The newest of one record. */
MUST_USE outcome records_withdrawal_of(struct records *r, const uint8_t instance_id[INSTANCE_ID_SIZE],
				       struct withdrawal *out, bool *found, struct fault *f);

#endif
