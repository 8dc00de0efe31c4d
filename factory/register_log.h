/*
 * register_log.h - the register's file: an append-only log of line records, work orders and stage statements, in the
 * hash chain of receipt.h, with the register's own signature over how far it has come.
 *
 * REGISTER/register.log is entries, one after the other (register_walk.h).
 *
 * REGISTER/head.cose is the register's word (register head) of the last entry that it has acknowledged. What follows
 * that entry in the log was never answered for: where it is whole it stays, where a power cut has torn it it is cut
 * off. Anything missing or changed before it is refused.
 */
#ifndef MOORING_FACTORY_REGISTER_LOG_H
#define MOORING_FACTORY_REGISTER_LOG_H

#include "factory.h"

#include "common/provenance/programme.h"
#include "register_walk.h"

struct register_log {
	char folder[FACTORY_PATH_MAX - 128];
	struct programme programme;
	EVP_PKEY *key;
	int fd;		     /* -1: opened to be read */
	struct buf bytes;    /* the whole log */
	size_t *offsets;     /* of each entry */
	size_t count, room;  /* entries */
	size_t acknowledged; /* entries that the signed head covers */
	size_t synced;	     /* bytes on disk */
	size_t torn;	     /* bytes that were cut off when it was opened */
	uint8_t head[SHA256_SIZE];
	int64_t last_time;
};

/* An empty register of this programme, its key already in the folder. Begun again where it was interrupted;
 * REASON_CONFLICT where there is one. */
MUST_USE outcome register_log_create(const char *folder, const struct programme *programme, struct fault *f);
/* To append: one process at a time, REASON_CONFIG; repaired, and the head signed anew where it lags. To read: as far
 * as the signed head, whoever appends meanwhile. REASON_REGISTER_HISTORY. Caller register_log_close, also on
 * failure. */
MUST_USE outcome register_log_open(const char *folder, bool append, struct register_log *out,
				   struct fault *f);
void register_log_close(struct register_log *l);

/* A view into the log: until the next append. */
struct register_item register_log_at(const struct register_log *l, int64_t index);

/* In memory only, until register_log_commit; `time` must not be before the last. */
MUST_USE outcome register_log_append(struct register_log *l, struct bytes object, int64_t time,
				     struct fault *f);
/* Log and signed head are on disk when it returns. After a failure the log is to be closed: what it holds is seen
 * when it is opened again. */
MUST_USE outcome register_log_commit(struct register_log *l, struct fault *f);
/* Appends the register's word for the first `size` entries. */
MUST_USE outcome register_log_head(const struct register_log *l, int64_t size, int64_t now, struct buf *out,
				   struct fault *f);

#endif
