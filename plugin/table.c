#include "plugin/table.h"

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

struct policy_slot {
	struct bytes name;     /* owned */
	struct bytes document; /* owned; writer's */
	_Atomic(struct policy *) policy;
};

struct table {
	struct retire *retire;
	_Atomic(struct table_index *) index;
	struct table_entry *chunks[CHUNKS_MAX];
	size_t entries;
	_Atomic size_t registered;
	char *arena[ARENA_BLOCKS_MAX];
	uint32_t arena_end; /* offset of the next name: block number and place in it */
	struct policy_slot *policies[TABLE_POLICIES_MAX];
	uint32_t policy_index[2 * TABLE_POLICIES_MAX]; /* the writer's, by name: number + 1; 0 is free */
	unsigned policy_count;
	unsigned policy_last; /* the one found last: most certificates share one */
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

static void slot_free(struct policy_slot *slot)
{
	if (!slot)
		return;
	free((void *)(uintptr_t)slot->name.p);
	free((void *)(uintptr_t)slot->document.p);
	policy_free(atomic_load(&slot->policy));
	free(slot);
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
	for (unsigned i = 0; i < t->policy_count; i++)
		slot_free(t->policies[i]);
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
	const struct policy_slot *slot = t->policies[(standing >> 16) & 0xffff];
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

/* The names of a thing's later certificates are kept again: a name is cheaper than an index of names. */
static outcome intern(struct table *t, struct bytes name, uint32_t *at, struct fault *f)
{
	if (t->arena_end % ARENA_BLOCK + name.n + 1 > ARENA_BLOCK)
		t->arena_end = (t->arena_end / ARENA_BLOCK + 1) * ARENA_BLOCK;
	uint32_t block = t->arena_end / ARENA_BLOCK;
	if (block >= ARENA_BLOCKS_MAX - 1)
		return refuse(f, REASON_TOO_LARGE, "the table's names fill 4 GiB");
	if (!t->arena[block] && !(t->arena[block] = malloc(ARENA_BLOCK)))
		return no_memory(f);
	char *to = t->arena[block] + t->arena_end % ARENA_BLOCK;
	memcpy(to, name.p, name.n);
	to[name.n] = '\0';
	*at = t->arena_end;
	t->arena_end += (uint32_t)name.n + 1;
	return DONE;
}

static struct bytes copy_of(struct bytes in)
{
	uint8_t *p = malloc(in.n + 1);
	if (p && in.n)
		memcpy(p, in.p, in.n);
	return bytes_of(p, in.n);
}

/* FNV-1a. Half of the places stay free. */
static uint32_t *policy_place(struct table *t, struct bytes name)
{
	uint32_t h = 2166136261;
	for (size_t i = 0; i < name.n; i++)
		h = (h ^ name.p[i]) * 16777619;
	for (;; h++) {
		uint32_t *place = &t->policy_index[h % (2 * TABLE_POLICIES_MAX)];
		if (!*place || bytes_equal(t->policies[*place - 1]->name, name))
			return place;
	}
}

static outcome slot_of(struct table *t, struct bytes name, unsigned *out, struct fault *f)
{
	*out = t->policy_last;
	if (t->policy_count && bytes_equal(t->policies[*out]->name, name))
		return DONE;
	uint32_t *place = policy_place(t, name);
	if (*place)
		goto found;
	if (t->policy_count == TABLE_POLICIES_MAX)
		return refuse(f, REASON_TOO_LARGE, "more than %d policies", TABLE_POLICIES_MAX);
	struct policy_slot *slot = calloc(1, sizeof *slot);
	if (!slot || !(slot->name = copy_of(name)).p) {
		slot_free(slot);
		return no_memory(f);
	}
	t->policies[t->policy_count++] = slot;
	*place = t->policy_count;
found:
	*out = t->policy_last = *place - 1;
	return DONE;
}

static void policy_free_later(void *p)
{
	policy_free(p);
}

static outcome put_policy(struct table *t, const struct feed_record *record, struct fault *refused,
			  struct fault *f)
{
	unsigned number;
	struct policy *compiled = NULL;
	outcome o = slot_of(t, record->policy, &number, f);
	if (!o.ok)
		return o;
	struct bytes document = copy_of(record->document);
	if (!document.p || !retire_prepare(t->retire)) {
		free((void *)(uintptr_t)document.p);
		return no_memory(f);
	}
	struct fault why;
	if (!policy_compile(document, &compiled, &why).ok) {
		if (why.reason == REASON_NO_MEMORY) {
			free((void *)(uintptr_t)document.p);
			return no_memory(f);
		}
		refuse(refused, why.reason, "policy \"%.*s\" denies all: %.200s", (int)record->policy.n,
		       (const char *)record->policy.p, why.text);
	}
	struct policy_slot *slot = t->policies[number];
	free((void *)(uintptr_t)slot->document.p);
	slot->document = document;
	struct policy *old = atomic_exchange(&slot->policy, compiled);
	if (old)
		retire_later(t->retire, old, policy_free_later);
	return DONE;
}

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
	unsigned policy;
	uint32_t name = e ? (uint32_t)(atomic_load(&e->standing) >> 32) : 0;
	outcome o = slot_of(t, record->policy, &policy, f);
	if (o.ok && (!e || !bytes_equal(bytes_str(name_at(t, name)), record->name)))
		o = intern(t, record->name, &name, f);
	if (!o.ok)
		return o;
	uint64_t standing = pack(record->state, record->flags, policy, name);
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
		return put_policy(t, record, refused, f);
	case FEED_CERTIFICATE:
		return put_certificate(t, record, f);
	case FEED_REMOVED:
		remove_certificate(t, record->fingerprint.p);
		return DONE;
	case FEED_SESSIONS:
		break;
	}
	return refuse(f, REASON_INTERNAL, "a record of type %d", record->type);
}

static struct feed_record record_of(const struct table *t, const struct table_entry *e)
{
	uint64_t standing = atomic_load(&e->standing);
	return (struct feed_record){
		.type = FEED_CERTIFICATE,
		.fingerprint = {e->fingerprint, TABLE_FINGERPRINT_SIZE},
		.state = (enum feed_state)state_of(standing),
		.not_before = atomic_load(&e->not_before),
		.not_after = atomic_load(&e->not_after),
		.name = bytes_str(name_at(t, (uint32_t)(standing >> 32))),
		.policy = t->policies[(standing >> 16) & 0xffff]->name,
		.flags = (standing >> 8) & 0xff,
	};
}

outcome table_each(const struct table *t, int64_t not_after, feed_each *each, void *arg, struct fault *f)
{
	outcome o = DONE;
	for (unsigned i = 0; o.ok && i < t->policy_count; i++) {
		const struct policy_slot *slot = t->policies[i];
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
		struct feed_record record = record_of(t, e);
		o = each(arg, &record, f);
	}
	return o;
}
