#include "plugin/table_policies.h"
#include "plugin/table_texts.h"

#include <stdlib.h>
#include <string.h>

enum {
	CHUNK_ENTRIES = 1024,
	CHUNKS_MAX = 65536,
	ENTRIES_MAX = CHUNK_ENTRIES * CHUNKS_MAX - 1, /* 67 million: what fits into a slot's number */
	INDEX_START = 1024,
	ARENA_BLOCK = 1 << 20,
	ARENA_BLOCKS_MAX = 4096,
};

/* The standing word: state 0-7, flags 8-15, policy 16-31, name 32-63. */
enum { STATE_REMOVED = 0xff };

/* Open addressing, linear probing. A slot is the uppermost bits of the hash, which spare most looks at entries of
 * others, and the entry's number + 1; 0 is free. */
struct table_index {
	size_t mask;
	_Atomic uint32_t slots[];
};
enum { SLOT_NUMBER_BITS = 26, SLOT_NUMBER = (1 << SLOT_NUMBER_BITS) - 1 };

struct table {
	struct retire *retire;
	_Atomic(struct table_index *) index;
	struct table_entry *chunks[CHUNKS_MAX];
	size_t entries;
	_Atomic size_t registered;
	char *arena[ARENA_BLOCKS_MAX];
	uint32_t arena_end; /* offset of the next name: block number and place in it */
	struct table_policies policies;
};

static uint64_t pack(unsigned state, unsigned flags, unsigned policy, uint32_t name)
{
	return (uint64_t)name << 32 | (uint64_t)(policy & 0xffff) << 16 | (flags & 0xff) << 8 |
	       (state & 0xff);
}

static unsigned state_of(uint64_t standing)
{
	return standing & 0xff;
}

/* Fingerprints are SHA-256: any eight bytes are a hash. */
static uint64_t hash_of(const uint8_t *fingerprint)
{
	uint64_t h;
	memcpy(&h, fingerprint, sizeof h);
	return h;
}

/* A slot's bits that are not the number. */
static uint32_t slot_of_hash(uint64_t h)
{
	return (uint32_t)(h >> 32) & ~(uint32_t)SLOT_NUMBER;
}

static struct table_index *index_new(size_t size)
{
	struct table_index *index = calloc(1, sizeof *index + size * sizeof *index->slots);
	if (index)
		index->mask = size - 1;
	return index;
}

struct table *table_new(struct retire *retire)
{
	struct table *t = calloc(1, sizeof *t);
	struct table_index *index = index_new(INDEX_START);
	if (!t || !index) {
		free(t);
		free(index);
		return NULL;
	}
	t->retire = retire;
	atomic_store(&t->index, index);
	return t;
}

void table_free(void *table)
{
	struct table *t = table;
	if (!t)
		return;
	for (size_t i = 0; i < CHUNKS_MAX && t->chunks[i]; i++)
		free(t->chunks[i]);
	for (size_t i = 0; i < ARENA_BLOCKS_MAX && t->arena[i]; i++)
		free(t->arena[i]);
	table_policies_free(&t->policies);
	free(atomic_load(&t->index));
	free(t);
}

static struct table_entry *entry_at(const struct table *t, size_t number)
{
	return &t->chunks[number / CHUNK_ENTRIES][number % CHUNK_ENTRIES];
}

static struct table_entry *find(const struct table *t, const uint8_t *fingerprint)
{
	const struct table_index *index = atomic_load_explicit(&t->index, memory_order_acquire);
	uint64_t h = hash_of(fingerprint);
	for (size_t i = h & index->mask;; i = (i + 1) & index->mask) {
		uint32_t slot = atomic_load_explicit(&index->slots[i], memory_order_acquire);
		if (slot == 0)
			return NULL;
		if ((slot ^ slot_of_hash(h)) > SLOT_NUMBER)
			continue;
		struct table_entry *e = entry_at(t, (slot & SLOT_NUMBER) - 1);
		if (!memcmp(e->fingerprint, fingerprint, TABLE_FINGERPRINT_SIZE))
			return e;
	}
}

const struct table_entry *table_find(const struct table *t, const uint8_t fingerprint[TABLE_FINGERPRINT_SIZE])
{
	return find(t, fingerprint);
}

static const char *name_at(const struct table *t, uint32_t at)
{
	return t->arena[at / ARENA_BLOCK] + at % ARENA_BLOCK;
}

struct table_standing table_standing(const struct table *t, const struct table_entry *e)
{
	uint64_t standing = atomic_load_explicit(&e->standing, memory_order_acquire);
	if (state_of(standing) == STATE_REMOVED)
		return (struct table_standing){.state = FEED_REVOKED, .name = ""};
	const struct table_policy *slot = t->policies.slots[(standing >> 16) & 0xffff];
	return (struct table_standing){
		.registered = true,
		.state = (enum feed_state)state_of(standing),
		.flags = (standing >> 8) & 0xff,
		.name = name_at(t, (uint32_t)(standing >> 32)),
		.word = standing,
		.policy = atomic_load_explicit(&slot->policy, memory_order_acquire),
	};
}

size_t table_count(const struct table *t)
{
	return atomic_load(&t->registered);
}

/* ---- writing ---- */

static outcome no_memory(struct fault *f)
{
	return refuse(f, REASON_NO_MEMORY, "no memory for the table of certificates");
}

static void index_put(struct table_index *index, const uint8_t *fingerprint, size_t number)
{
	uint64_t h = hash_of(fingerprint);
	size_t i = h & index->mask;
	while (atomic_load_explicit(&index->slots[i], memory_order_relaxed))
		i = (i + 1) & index->mask;
	atomic_store_explicit(&index->slots[i], slot_of_hash(h) | (uint32_t)(number + 1),
			      memory_order_release);
}

/* At two thirds full the reader is given a larger index; it may be in the old one until its next turn. */
static outcome index_grow(struct table *t, struct fault *f)
{
	struct table_index *old = atomic_load_explicit(&t->index, memory_order_relaxed);
	if (t->entries * 3 < (old->mask + 1) * 2)
		return DONE;
	struct table_index *larger = retire_prepare(t->retire) ? index_new(2 * (old->mask + 1)) : NULL;
	if (!larger)
		return no_memory(f);
	for (size_t i = 0; i < t->entries; i++)
		index_put(larger, entry_at(t, i)->fingerprint, i);
	atomic_store_explicit(&t->index, larger, memory_order_release);
	retire_later(t->retire, old, free);
	return DONE;
}

/* They are what the certificate has already. Texts say themselves where they end, so the first n bytes are all. */
static bool is_same(const struct table *t, uint64_t standing, const struct feed_record *record,
		    const char *texts, size_t n)
{
	uint32_t at = (uint32_t)(standing >> 32);
	bool had_thing = standing >> 8 & TABLE_HAS_THING;
	return had_thing == (record->thing != NULL) && n <= ARENA_BLOCK - at % ARENA_BLOCK &&
	       !memcmp(name_at(t, at), texts, n);
}

/* The texts of a thing's later certificates are kept again: they are cheaper than an index of names. `standing` is that
 * of the certificate that has the record; NULL: none has. */
static outcome intern(struct table *t, const struct feed_record *record, const uint64_t *standing,
		      uint32_t *at, struct fault *f)
{
	size_t n = table_texts_size(record);
	if (t->arena_end % ARENA_BLOCK + n > ARENA_BLOCK)
		t->arena_end = (t->arena_end / ARENA_BLOCK + 1) * ARENA_BLOCK;
	uint32_t block = t->arena_end / ARENA_BLOCK;
	if (block >= ARENA_BLOCKS_MAX - 1)
		return refuse(f, REASON_TOO_LARGE, "the table's names fill 4 GiB");
	if (!t->arena[block] && !(t->arena[block] = calloc(1, ARENA_BLOCK)))
		return no_memory(f);
	char *to = t->arena[block] + t->arena_end % ARENA_BLOCK;
	table_texts_put(to, record);
	if (standing && is_same(t, *standing, record, to, n)) {
		*at = (uint32_t)(*standing >> 32);
		return DONE;
	}
	*at = t->arena_end;
	t->arena_end += (uint32_t)n;
	return DONE;
}

/* ---- certificates ---- */

static uint32_t date_of(int64_t unix_s)
{
	return unix_s < 0 ? 0 : unix_s > UINT32_MAX ? UINT32_MAX : (uint32_t)unix_s;
}

static outcome add_entry(struct table *t, const struct feed_record *record, uint64_t standing,
			 struct fault *f)
{
	outcome o = index_grow(t, f);
	if (!o.ok)
		return o;
	size_t chunk = t->entries / CHUNK_ENTRIES;
	if (t->entries == ENTRIES_MAX)
		return refuse(f, REASON_TOO_LARGE, "more than %d certificates", ENTRIES_MAX);
	if (!t->chunks[chunk] && !(t->chunks[chunk] = calloc(CHUNK_ENTRIES, sizeof **t->chunks)))
		return no_memory(f);
	struct table_entry *e = entry_at(t, t->entries);
	memcpy(e->fingerprint, record->fingerprint.p, TABLE_FINGERPRINT_SIZE);
	atomic_init(&e->not_before, date_of(record->not_before));
	atomic_init(&e->not_after, date_of(record->not_after));
	atomic_init(&e->standing, standing);
	index_put(atomic_load_explicit(&t->index, memory_order_relaxed), e->fingerprint, t->entries++);
	atomic_fetch_add(&t->registered, 1);
	return DONE;
}

static outcome put_certificate(struct table *t, const struct feed_record *record, struct fault *f)
{
	struct table_entry *e = find(t, record->fingerprint.p);
	uint64_t was = e ? atomic_load(&e->standing) : 0;
	unsigned policy, flags = record->flags | (record->thing ? TABLE_HAS_THING : 0u);
	uint32_t name = 0;
	outcome o = table_policies_slot(&t->policies, record->policy, &policy, f);
	if (o.ok)
		o = intern(t, record, e ? &was : NULL, &name, f);
	if (!o.ok)
		return o;
	uint64_t standing = pack(record->state, flags, policy, name);
	if (!e)
		return add_entry(t, record, standing, f);
	atomic_store(&e->not_before, date_of(record->not_before));
	atomic_store(&e->not_after, date_of(record->not_after));
	if (state_of(atomic_exchange(&e->standing, standing)) == STATE_REMOVED)
		atomic_fetch_add(&t->registered, 1);
	return DONE;
}

static void remove_certificate(struct table *t, const uint8_t *fingerprint)
{
	struct table_entry *e = find(t, fingerprint);
	if (!e)
		return;
	uint64_t was = atomic_fetch_or(&e->standing, STATE_REMOVED);
	if (state_of(was) != STATE_REMOVED)
		atomic_fetch_sub(&t->registered, 1);
}

outcome table_put(struct table *t, const struct feed_record *record, struct fault *refused, struct fault *f)
{
	switch (record->type) {
	case FEED_POLICY:
		return table_policies_put(&t->policies, record, t->retire, refused, f);
	case FEED_CERTIFICATE:
		return put_certificate(t, record, f);
	case FEED_REMOVED:
		remove_certificate(t, record->fingerprint.p);
		return DONE;
	case FEED_POLICY_REMOVED:
		return table_policies_remove(&t->policies, record->policy, t->retire, f);
	case FEED_SESSIONS:
		break;
	}
	return refuse(f, REASON_INTERNAL, "a record of type %d", record->type);
}

static void thing_of(const struct table_standing *standing, struct feed_thing *out)
{
	struct policy_attribute attributes[FEED_ATTRIBUTES_MAX];
	const char *type;
	out->count = table_thing(standing, &type, attributes);
	out->type = bytes_str(type);
	for (size_t i = 0; i < out->count; i++)
		out->attributes[i] = (struct feed_attribute){bytes_str(attributes[i].name),
							     bytes_str(attributes[i].value)};
}

static struct feed_record record_of(const struct table *t, const struct table_entry *e,
				    struct feed_thing *thing)
{
	struct table_standing standing = table_standing(t, e);
	if (standing.flags & TABLE_HAS_THING)
		thing_of(&standing, thing);
	return (struct feed_record){
		.type = FEED_CERTIFICATE,
		.fingerprint = {e->fingerprint, TABLE_FINGERPRINT_SIZE},
		.state = standing.state,
		.not_before = atomic_load(&e->not_before),
		.not_after = atomic_load(&e->not_after),
		.name = bytes_str(standing.name),
		.policy = t->policies.slots[(standing.word >> 16) & 0xffff]->name,
		.flags = standing.flags & ~(unsigned)TABLE_HAS_THING,
		.thing = standing.flags & TABLE_HAS_THING ? thing : NULL,
	};
}

outcome table_each(const struct table *t, int64_t not_after, feed_each *each, void *arg, struct fault *f)
{
	outcome o = DONE;
	for (unsigned i = 0; o.ok && i < t->policies.count; i++) {
		const struct table_policy *slot = t->policies.slots[i];
		struct feed_record record = {
			.type = FEED_POLICY, .policy = slot->name, .document = slot->document};
		if (slot->document.p)
			o = each(arg, &record, f);
	}
	for (size_t i = 0; o.ok && i < t->entries; i++) {
		const struct table_entry *e = entry_at(t, i);
		if (state_of(atomic_load(&e->standing)) == STATE_REMOVED ||
		    atomic_load(&e->not_after) < not_after)
			continue;
		struct feed_thing thing;
		struct feed_record record = record_of(t, e, &thing);
		o = each(arg, &record, f);
	}
	return o;
}
