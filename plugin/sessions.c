#include "plugin/sessions.h"

#include "plugin/roll.h"

#include <stdlib.h>
#include <string.h>

enum { SLOTS_START = 1024 };

/* Open addressing by pointer, linear probing; heap: the one that ends first is at 0. */
struct sessions {
	struct session **slots;
	size_t mask;
	size_t used;
	struct session **heap;
	size_t heap_count;
	size_t heap_room;
	struct roll roll;
	struct session *departed;
};

/* Allocations are aligned; multiplying by 2^64 / golden ratio spreads what is left. */
static size_t slot_of(const struct sessions *s, const struct mosquitto *client)
{
	return (size_t)(((uintptr_t)client >> 4) * UINT64_C(0x9e3779b97f4a7c15) >> 20) & s->mask;
}

struct sessions *sessions_new(void)
{
	struct sessions *s = calloc(1, sizeof *s);
	if (!s || !(s->slots = calloc(SLOTS_START, sizeof *s->slots))) {
		free(s);
		return NULL;
	}
	s->mask = SLOTS_START - 1;
	return s;
}

static struct session *session_new(void)
{
	size_t size =
		(sizeof(struct session) + SESSION_ALIGNMENT - 1) / SESSION_ALIGNMENT * SESSION_ALIGNMENT;
	struct session *session = aligned_alloc(SESSION_ALIGNMENT, size);
	if (session)
		memset(session, 0, size);
	return session;
}

static void session_free(struct session *session)
{
	policy_binding_free(session->binding);
	free(session->client_id);
	free(session->address);
	free(session);
}

void sessions_free(struct sessions *s)
{
	if (!s)
		return;
	for (size_t i = 0; i <= s->mask; i++)
		if (s->slots[i])
			session_free(s->slots[i]);
	free(s->slots);
	free(s->heap);
	roll_free(&s->roll);
	free(s);
}

size_t sessions_count(const struct sessions *s)
{
	return s->heap_count;
}

/* ---- the heap ---- */

static void heap_set(struct sessions *s, size_t at, struct session *session)
{
	s->heap[at] = session;
	session->heap_at = at;
}

static void heap_up(struct sessions *s, size_t at, struct session *session)
{
	for (; at && s->heap[(at - 1) / 2]->not_after > session->not_after; at = (at - 1) / 2)
		heap_set(s, at, s->heap[(at - 1) / 2]);
	heap_set(s, at, session);
}

static void heap_down(struct sessions *s, size_t at, struct session *session)
{
	for (size_t child; (child = 2 * at + 1) < s->heap_count; at = child) {
		if (child + 1 < s->heap_count && s->heap[child + 1]->not_after < s->heap[child]->not_after)
			child++;
		if (s->heap[child]->not_after >= session->not_after)
			break;
		heap_set(s, at, s->heap[child]);
	}
	heap_set(s, at, session);
}

static void heap_remove(struct sessions *s, const struct session *session)
{
	size_t at = session->heap_at;
	struct session *last = s->heap[--s->heap_count];
	if (last == session)
		return;
	if (at && s->heap[(at - 1) / 2]->not_after > last->not_after)
		heap_up(s, at, last);
	else
		heap_down(s, at, last);
}

static bool heap_room(struct sessions *s)
{
	if (s->heap_count < s->heap_room)
		return true;
	size_t room = s->heap_room ? 2 * s->heap_room : SLOTS_START;
	struct session **heap = realloc(s->heap, room * sizeof *heap);
	if (!heap)
		return false;
	s->heap = heap;
	s->heap_room = room;
	return true;
}

/* ---- the map ---- */

static struct session **place_of(const struct sessions *s, const struct mosquitto *client)
{
	size_t i = slot_of(s, client);
	while (s->slots[i] && s->slots[i]->client != client)
		i = (i + 1) & s->mask;
	return &s->slots[i];
}

static bool map_room(struct sessions *s)
{
	if (s->used * 2 <= s->mask)
		return true;
	struct sessions larger = {.mask = 2 * s->mask + 1};
	larger.slots = calloc(larger.mask + 1, sizeof *larger.slots);
	if (!larger.slots)
		return false;
	for (size_t i = 0; i <= s->mask; i++)
		if (s->slots[i])
			*place_of(&larger, s->slots[i]->client) = s->slots[i];
	free(s->slots);
	s->slots = larger.slots;
	s->mask = larger.mask;
	return true;
}

/* What stands behind a gap and belongs before it moves up, so that no probe ends too early. */
static void map_remove(struct sessions *s, struct session **place)
{
	size_t gap = (size_t)(place - s->slots);
	for (size_t i = (gap + 1) & s->mask; s->slots[i]; i = (i + 1) & s->mask) {
		size_t home = slot_of(s, s->slots[i]->client);
		if (((i - home) & s->mask) < ((i - gap) & s->mask))
			continue;
		s->slots[gap] = s->slots[i];
		gap = i;
	}
	s->slots[gap] = NULL;
	s->used--;
}

struct session *sessions_find(const struct sessions *s, const struct mosquitto *client)
{
	return *place_of(s, client);
}

/* Departed ones wait in a list for sessions_forget_departed. */
static void unlist_departed(struct sessions *s, const struct session *session)
{
	struct session **at = &s->departed;
	while (*at != session)
		at = &(*at)->next_departed;
	*at = session->next_departed;
}

/* It is live no longer. */
static void unlist(struct sessions *s, const struct session *session)
{
	heap_remove(s, session);
	roll_remove(&s->roll, session);
}

static void forget(struct sessions *s, struct session *session)
{
	if (session->departed)
		unlist_departed(s, session);
	else
		unlist(s, session);
	map_remove(s, place_of(s, session->client));
	session_free(session);
}

struct session *sessions_add(struct sessions *s, const struct mosquitto *client, const struct table *table,
			     const struct table_entry *entry, const char *client_id, int64_t not_after)
{
	struct session *session = sessions_find(s, client);
	if (session)
		forget(s, session);
	if (!map_room(s) || !heap_room(s) || !roll_room(&s->roll) || !(session = session_new()))
		return NULL;
	if (!(session->client_id = strdup(client_id))) {
		free(session);
		return NULL;
	}
	session->client = client;
	memcpy(session->fingerprint, entry->fingerprint, TABLE_FINGERPRINT_SIZE);
	hex_encode(bytes_of(entry->fingerprint, TABLE_FINGERPRINT_SIZE), session->username);
	session->table = table;
	session->entry = entry;
	session->not_after = not_after;
	*place_of(s, client) = session;
	s->used++;
	heap_up(s, s->heap_count++, session);
	roll_add(&s->roll, session);
	return session;
}

void sessions_depart(struct sessions *s, const struct mosquitto *client)
{
	struct session *session = sessions_find(s, client);
	if (!session || session->departed)
		return;
	unlist(s, session);
	session->departed = true;
	session->next_departed = s->departed;
	s->departed = session;
}

void sessions_forget_departed(struct sessions *s)
{
	while (s->departed)
		forget(s, s->departed);
}

void session_rebind(struct session *session, const struct table *table)
{
	session->table = table;
	session->entry = table ? table_find(table, session->fingerprint) : NULL;
	session->bound_word = TABLE_WORD_NONE;
}

void sessions_rebind(struct sessions *s, const struct table *table)
{
	for (size_t i = 0; i <= s->mask; i++) {
		struct session *session = s->slots[i];
		if (!session)
			continue;
		session_rebind(session, table);
	}
}

enum reason session_fault(const struct session *session)
{
	struct table_standing standing = {0};
	if (session->entry)
		standing = table_standing(session->table, session->entry);
	if (!standing.registered)
		return REASON_CERTIFICATE_UNREGISTERED;
	if (standing.state == FEED_REVOKED)
		return REASON_CERTIFICATE_REVOKED;
	return standing.state == FEED_ACTIVE ? REASON_NONE : REASON_CERTIFICATE_INACTIVE;
}

size_t sessions_unwanted(const struct sessions *s, const struct session **out, size_t max)
{
	size_t n = 0;
	for (size_t i = 0; i < s->heap_count && n < max; i++)
		if (session_fault(s->heap[i]) != REASON_NONE)
			out[n++] = s->heap[i];
	return n;
}

const struct session *sessions_next(const struct sessions *s, int64_t after_us)
{
	return roll_next(&s->roll, after_us);
}

const struct session *sessions_expired(const struct sessions *s, int64_t now_s)
{
	return s->heap_count && s->heap[0]->not_after < now_s ? s->heap[0] : NULL;
}
