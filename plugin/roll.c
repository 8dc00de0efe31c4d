#include "plugin/roll.h"

#include "common/clock.h"
#include "plugin/sessions.h"

#include <stdlib.h>

enum { ROOM_START = 1024 };

void roll_free(struct roll *r)
{
	free(r->places);
	*r = (struct roll){0};
}

/* Places of those who are gone are used again as soon as they are half of all: what that costs, the ones that went have
 * saved. */
static void close_gaps(struct roll *r)
{
	size_t n = 0;
	for (size_t i = 0; i < r->count; i++) {
		if (!r->places[i].session)
			continue;
		r->places[n] = r->places[i];
		r->places[n].session->roll_at = n;
		n++;
	}
	r->count = n;
	r->gone = 0;
}

bool roll_room(struct roll *r)
{
	if (r->count == r->room && 2 * r->gone > r->count)
		close_gaps(r);
	if (r->count < r->room)
		return true;
	size_t room = r->room ? 2 * r->room : ROOM_START;
	struct roll_place *places = realloc(r->places, room * sizeof *places);
	if (!places)
		return false;
	r->places = places;
	r->room = room;
	return true;
}

void roll_add(struct roll *r, struct session *session)
{
	int64_t now_us = clock_wall_ms() * 1000;
	r->last_us = now_us > r->last_us ? now_us : r->last_us + 1;
	session->since_us = r->last_us;
	session->roll_at = r->count;
	r->places[r->count++] = (struct roll_place){session->since_us, session};
}

void roll_remove(struct roll *r, const struct session *session)
{
	r->places[session->roll_at].session = NULL;
	r->gone++;
	if (r->gone == r->count)
		r->count = r->gone = 0;
}

const struct session *roll_next(const struct roll *r, int64_t after_us)
{
	size_t low = 0, high = r->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (r->places[middle].since_us <= after_us)
			low = middle + 1;
		else
			high = middle;
	}
	while (low < r->count && !r->places[low].session)
		low++;
	return low < r->count ? r->places[low].session : NULL;
}
