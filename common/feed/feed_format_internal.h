/*
 * feed_format_internal.h - what reading (feed_format.c, feed_record.c) and writing (feed_write.c) of frames share.
 */
#ifndef MOORING_FEED_FORMAT_INTERNAL_H
#define MOORING_FEED_FORMAT_INTERNAL_H

#include "feed_format.h"

#include "common/cbor/cbor.h"

/* Of the map that a frame's payload is. */
enum {
	LABEL_EPOCH = 1,
	LABEL_FIRST,
	LABEL_LAST,
	LABEL_TIME,
	LABEL_PREVIOUS,
	LABEL_KIND,
	LABEL_RECORDS,
	LABEL_HEAD,
	LABELS_END
};

/* A number from 0 to `max`; a SHA-256. */
MUST_USE outcome feed_read_uint(struct cbor_reader *r, int64_t max, int64_t *out, struct fault *f);
MUST_USE outcome feed_read_digest(struct cbor_reader *r, struct bytes *out, struct fault *f);

#endif
