/*
 * connected.h - certificates that have connected and that the gateway has not been told of: each once, in the order
 * in which they came. It grows with what it holds, and is nothing when it is empty.
 */
#ifndef MOORING_PLUGIN_CONNECTED_H
#define MOORING_PLUGIN_CONNECTED_H

#include "plugin/table.h"

struct connected {
	uint8_t (*fingerprints)[TABLE_FINGERPRINT_SIZE];
	size_t count;
	uint32_t *slots; /* open addressing: place in fingerprints + 1; 0 is free */
	size_t slot_count;
};

/* True where it is held now, and was before perhaps; false without memory. */
MUST_USE bool connected_add(struct connected *c, const uint8_t fingerprint[TABLE_FINGERPRINT_SIZE]);
/* The gateway knows of the first `n`. */
void connected_drop(struct connected *c, size_t n);
void connected_free(struct connected *c);

#endif
