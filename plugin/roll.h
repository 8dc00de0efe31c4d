/*
 * roll.h - live sessions in the order in which they came, so that they can be listed a page at a time while others come
 * and go.
 *
 * Each has a time of its own: the microsecond at which it came or, where that is taken or the clock was set back, the
 * next one that is free. A page begins after the time of the last session of the page before.
 */
#ifndef MOORING_PLUGIN_ROLL_H
#define MOORING_PLUGIN_ROLL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct session;

struct roll {
	struct roll_place {
		int64_t since_us;
		struct session *session; /* NULL: it is gone */
	} * places;
	size_t count, room;
	size_t gone;	 /* places without a session */
	int64_t last_us; /* given out last */
};

void roll_free(struct roll *r);
/* Makes room for one more; false without memory. */
bool roll_room(struct roll *r);
/* Gives the session its time and its place; there is room. */
void roll_add(struct roll *r, struct session *session);
void roll_remove(struct roll *r, const struct session *session);
/* The first that came after this time; NULL: nobody did. */
const struct session *roll_next(const struct roll *r, int64_t after_us);

#endif
