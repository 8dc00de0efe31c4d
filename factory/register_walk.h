/*
 * register_walk.h - the bytes of register.log: entries, one after the other, in the hash chain of receipt.h.
 *
 *   length (4, big-endian) || time (8, big-endian) || object (length bytes) || head after this entry (32)
 */
#ifndef MOORING_FACTORY_REGISTER_WALK_H
#define MOORING_FACTORY_REGISTER_WALK_H

#include "common/provenance/receipt.h"

enum { REGISTER_PREFIX = 4 + 8 };

struct register_item {
	int64_t index; /* from 1 */
	int64_t time;  /* Unix seconds */
	struct bytes object;
	const uint8_t *head; /* after this entry */
};

/* The entry at the beginning of `in`, all but its index, and how many bytes it has; false where there is no whole
 * one. Whether its hash holds is not looked at. */
MUST_USE bool register_item_read(struct bytes in, struct register_item *out, size_t *size);
/* Appends an entry; `head` is the one before it, and becomes the one after it. */
void register_item_write(struct buf *out, int64_t index, int64_t time, struct bytes object,
			 uint8_t head[SHA256_SIZE]);

/* Calls `each` for every whole entry from the beginning on whose hash holds and whose time does not fall; *whole is how
 * many bytes these are. Fails only where `each` does. */
typedef outcome register_each(void *arg, const struct register_item *item, size_t offset, struct fault *f);
MUST_USE outcome register_walk(struct bytes in, const uint8_t programme[PROGRAMME_ID_SIZE],
			       register_each *each, void *arg, size_t *whole, struct fault *f);

#endif
