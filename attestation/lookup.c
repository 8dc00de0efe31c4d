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
	static const char sql[] =
		"SELECT (SELECT id FROM indexed), (SELECT coalesce(max(id), 0) FROM records)";
	struct query q = query_start(&r->conn, sql);
	bool row;
	*indexed = *newest = 0;
	outcome o = query_row(&q, &row, f);
	if (o.ok && row) {
		*indexed = column_int(&q);
		*newest = column_int(&q);
	}
	query_end(&q);
	return o;
}

static outcome read_recent(struct records *r, struct fault *f)
{
	static const char sql[] = "SELECT id, instance_id FROM records WHERE id > ? ORDER BY id";
	struct query q = query_start(&r->conn, sql);
	outcome o = DONE;
	bool row = true;
	query_int(&q, r->newest);
	while (o.ok && row) {
		o = query_row(&q, &row, f);
		if (!o.ok || !row)
			break;
		int64_t id = column_int(&q);
		struct bytes instance_id = column_blob(&q);
		o = instance_id.n == INSTANCE_ID_SIZE
			    ? lookup_add(r, instance_id.p, id, f)
			    : refuse(f, REASON_OVERLOADED, "no memory to find records");
	}
	query_end(&q);
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
	static const char sql[] = "SELECT id FROM lookup WHERE instance_id = ?";
	struct query q = query_start(&r->conn, sql);
	query_blob(&q, instance_id, INSTANCE_ID_SIZE);
	return query_number(&q, 0, id, f);
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
	static const char settle[] =
		"INSERT INTO lookup(instance_id, id) SELECT instance_id, id FROM records "
		"WHERE id > ? ORDER BY instance_id";
	static const char settled[] = "UPDATE indexed SET id = ?";
	if (r->recent_count < LOOKUP_RECENT_MAX)
		return DONE;
	struct query q = query_start(&r->conn, settle);
	query_int(&q, r->indexed);
	outcome o = query_run(&q, f);
	if (!o.ok)
		return o;
	q = query_start(&r->conn, settled);
	query_int(&q, r->newest);
	o = query_run(&q, f);
	lookup_forget(r);
	return o;
}
