#include "lookup.h"

#include <stdlib.h>
#include <string.h>

struct recent {
	int64_t id; /* 0: empty */
	uint8_t instance_id[INSTANCE_ID_SIZE];
};

enum { SLOTS_MIN = 1024 };

void lookup_forget(struct records *r)
{
	free(r->recent);
	r->recent = NULL;
	r->recent_count = r->recent_room = 0;
	r->known = false;
}

/* FNV-1a: IDs are the factory's, not an attacker's. */
static size_t slot_of(const struct records *r, const uint8_t *instance_id)
{
	uint64_t h = 0xcbf29ce484222325;
	for (size_t i = 0; i < INSTANCE_ID_SIZE; i++)
		h = (h ^ instance_id[i]) * 0x100000001b3;
	return (size_t)(h ^ h >> 32) & (r->recent_room - 1);
}

/* Where it is, or where it would be. There is always an empty slot. */
static struct recent *find_slot(const struct records *r, const uint8_t *instance_id)
{
	size_t i = slot_of(r, instance_id);
	while (r->recent[i].id && memcmp(r->recent[i].instance_id, instance_id, INSTANCE_ID_SIZE))
		i = (i + 1) & (r->recent_room - 1);
	return &r->recent[i];
}

static bool make_room(struct records *r)
{
	if (2 * (r->recent_count + 1) <= r->recent_room)
		return true;
	struct records before = *r;
	size_t room = r->recent_room ? 2 * r->recent_room : SLOTS_MIN;
	struct recent *slots = calloc(room, sizeof *slots);
	if (!slots)
		return false;
	r->recent = slots;
	r->recent_room = room;
	for (size_t i = 0; i < before.recent_room; i++)
		if (before.recent[i].id)
			*find_slot(r, before.recent[i].instance_id) = before.recent[i];
	free(before.recent);
	return true;
}

outcome lookup_add(struct records *r, const uint8_t instance_id[INSTANCE_ID_SIZE], int64_t id,
		   struct fault *f)
{
	if (!make_room(r)) {
		lookup_forget(r);
		return refuse(f, REASON_OVERLOADED, "no memory to find records");
	}
	struct recent *slot = find_slot(r, instance_id);
	r->recent_count += slot->id == 0;
	slot->id = id;
	memcpy(slot->instance_id, instance_id, INSTANCE_ID_SIZE);
	r->newest = id;
	return DONE;
}

/* Up to which record the index goes, and the newest record. */
static outcome read_bounds(struct records *r, int64_t *indexed, int64_t *newest, struct fault *f)
{
	sqlite3_stmt *s;
	bool row;
	outcome o = records_statement(r, SQL_BOUNDS, &s, f);
	if (o.ok)
		o = records_step(r, s, &row, f);
	if (!o.ok)
		return o;
	*indexed = sqlite3_column_int64(s, 0);
	*newest = sqlite3_column_int64(s, 1);
	sqlite3_reset(s);
	return DONE;
}

static outcome read_recent(struct records *r, struct fault *f)
{
	sqlite3_stmt *s;
	bool row = true;
	outcome o = records_statement(r, SQL_RECENT, &s, f);
	if (!o.ok)
		return o;
	sqlite3_bind_int64(s, 1, r->newest);
	while (o.ok && row) {
		o = records_step(r, s, &row, f);
		const uint8_t *instance_id = o.ok && row ? sqlite3_column_blob(s, 1) : NULL;
		if (instance_id)
			o = lookup_add(r, instance_id, sqlite3_column_int64(s, 0), f);
		else if (o.ok && row)
			o = refuse(f, REASON_OVERLOADED, "no memory to find records");
	}
	sqlite3_reset(s);
	return o;
}

/* A reader asks each time what others have added; the writer knows what it added itself. */
static outcome catch_up(struct records *r, struct fault *f)
{
	int64_t indexed, newest;
	if (r->known && r->writer)
		return DONE;
	outcome o = read_bounds(r, &indexed, &newest, f);
	if (!o.ok)
		return o;
	if (!r->known || r->indexed != indexed) {
		lookup_forget(r);
		r->indexed = r->newest = indexed;
	}
	if (newest > r->newest)
		o = read_recent(r, f);
	r->known = o.ok;
	return o;
}

static outcome find_indexed(struct records *r, const uint8_t *instance_id, int64_t *id, struct fault *f)
{
	sqlite3_stmt *s;
	bool row;
	outcome o = records_statement(r, SQL_LOOKUP, &s, f);
	if (!o.ok)
		return o;
	sqlite3_bind_blob(s, 1, instance_id, INSTANCE_ID_SIZE, SQLITE_STATIC);
	o = records_step(r, s, &row, f);
	if (o.ok && row)
		*id = sqlite3_column_int64(s, 0);
	sqlite3_reset(s);
	return o;
}

outcome lookup_find(struct records *r, const uint8_t instance_id[INSTANCE_ID_SIZE], int64_t *id,
		    struct fault *f)
{
	*id = 0;
	outcome o = catch_up(r, f);
	if (!o.ok)
		return o;
	if (r->recent_count)
		*id = find_slot(r, instance_id)->id;
	return *id ? DONE : find_indexed(r, instance_id, id, f);
}

outcome lookup_settle(struct records *r, struct fault *f)
{
	sqlite3_stmt *s;
	if (r->recent_count < LOOKUP_RECENT_MAX)
		return DONE;
	outcome o = records_statement(r, SQL_SETTLE, &s, f);
	if (!o.ok)
		return o;
	sqlite3_bind_int64(s, 1, r->indexed);
	o = records_run(r, s, f);
	if (o.ok)
		o = records_statement(r, SQL_SETTLED, &s, f);
	if (!o.ok)
		return o;
	sqlite3_bind_int64(s, 1, r->newest);
	o = records_run(r, s, f);
	lookup_forget(r);
	return o;
}
