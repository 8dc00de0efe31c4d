/*
 * lookup.h - from instance IDs to the numbers of their records.
 *
 * Instance IDs are random: an index on disk that took each new one at once would rewrite a page of itself for
 * every single record, which is most of what an import costs. So the newest records are found through a table
 * in memory, and when there are LOOKUP_RECENT_MAX of them they go into the index together, in its own order.
 * Each connection keeps such a table for itself and reads into it what others have committed.
 */
#ifndef MOORING_LOOKUP_H
#define MOORING_LOOKUP_H

#include "records.h"

enum { LOOKUP_RECENT_MAX = 32768 };

/* *id = 0 where there is none. */
MUST_USE outcome lookup_find(struct records *r, const uint8_t instance_id[INSTANCE_ID_SIZE], int64_t *id,
			     struct fault *f);
/* The writer's: a record was inserted under this number. */
MUST_USE outcome lookup_add(struct records *r, const uint8_t instance_id[INSTANCE_ID_SIZE], int64_t id,
			    struct fault *f);
/* The writer's, inside a transaction: puts the recent ones into the index where they are many. */
MUST_USE outcome lookup_settle(struct records *r, struct fault *f);
/* What was added may have been rolled back: it is read again when next needed. */
void lookup_forget(struct records *r);

#endif
