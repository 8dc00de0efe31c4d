/*
 * line_record.h - what the OEM's line authority says of a line's key. A later version replaces an earlier one.
 */
#ifndef MOORING_LINE_RECORD_H
#define MOORING_LINE_RECORD_H

#include "common/provenance/provenance.h"

enum { LINE_SITE_SIZE = 33, LINE_VALIDITY_MAX_S = 90 * 86400 };
enum line_state { LINE_ACTIVE = 1, LINE_SUSPENDED = 2, LINE_REVOKED = 3 };

struct line_record {
	uint8_t programme[PROGRAMME_ID_SIZE];
	int64_t version;	      /* from 1 */
	uint8_t key[P256_POINT_SIZE]; /* the line's; its id is provenance_key_id's */
	char site[LINE_SITE_SIZE];    /* UTF-8 without control characters, for people */
	uint8_t stages[STAGES_MAX];   /* that it may do, ascending */
	size_t stage_count;	      /* at least 1 */
	int64_t not_before;	      /* Unix seconds; compared with the register's time */
	int64_t not_after;	      /* at most LINE_VALIDITY_MAX_S later */
	enum line_state state;
	int64_t revoked_from; /* LINE_REVOKED: statements of the register's time from this on are worth nothing */
	int64_t per_hour;     /* what the line can physically do; more raises an alarm. 0: not said */
	/* set by the reader */
	struct provenance_object object; /* its key id is the line authority's */
};

MUST_USE outcome line_record_read(struct bytes in, struct line_record *out, struct fault *f);
MUST_USE outcome line_record_sign(struct buf *out, const struct line_record *r, EVP_PKEY *authority_key,
				  struct fault *f);
/* The record names this stage; whether the line may sign at all is its state's and its dates' to say. */
bool line_record_may_do(const struct line_record *r, int64_t stage);
/* "active", "suspended", "revoked". */
const char *line_state_name(enum line_state state);

#endif
