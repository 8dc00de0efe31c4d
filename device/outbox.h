/*
 * outbox.h - readings that the broker has not acknowledged: sent again, in order, on each new connection.
 */
#ifndef MOORING_OUTBOX_H
#define MOORING_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { OUTBOX_MAX = 1024, OUTBOX_PAYLOAD_MAX = 96 };

struct outbox_entry {
	uint64_t n; /* sequence number of the reading, from 1 */
	int mid;    /* message id on the present connection; 0 = not sent on it */
	char payload[OUTBOX_PAYLOAD_MAX];
};

/* Zero-initialised is empty. */
struct outbox {
	struct outbox_entry entries[OUTBOX_MAX]; /* oldest first, from `first`, wrapping */
	size_t first, count, in_flight;
};

bool outbox_full(const struct outbox *o);
/* The new last entry, for the caller to fill; not when full. */
struct outbox_entry *outbox_add(struct outbox *o, uint64_t n);
/* The oldest entry that was not sent on this connection; NULL where there is none. */
struct outbox_entry *outbox_unsent(struct outbox *o);
void outbox_sent(struct outbox *o, struct outbox_entry *e, int mid);
/* Acknowledged: *n gets its number; false where no entry has this message id. */
bool outbox_acknowledge(struct outbox *o, int mid, uint64_t *n);
/* A new connection: nothing was sent on it yet. */
void outbox_connection_began(struct outbox *o);

#endif
