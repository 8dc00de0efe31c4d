/*
 * feed_format_internal.h - what reading (feed_format.c) and writing (feed_write.c) of frames share.
 */
#ifndef MOORING_FEED_FORMAT_INTERNAL_H
#define MOORING_FEED_FORMAT_INTERNAL_H

#include "feed_format.h"

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

#endif
