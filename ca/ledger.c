#include "ledger.h"

#include <stdlib.h>
#include <string.h>

enum { KEY_SIZE = 16, TABLE_MIN = 1024 };

_Static_assert((int)INTENT_ID_SIZE == KEY_SIZE && (int)SERIAL_SIZE == KEY_SIZE &&
		       (int)BINDING_PREFIX == KEY_SIZE,
	       "one table fits all three");

/* Open addressing with linear probing; a slot holds an entry's number + 1. Entries are only ever taken out in
 * the reverse order of putting in, so that emptying a slot breaks no probe. */
struct table {
	size_t key_offset; /* of the key in an entry */
	uint32_t *slots;
};

enum { BY_INTENT, BY_SERIAL, BY_BINDING, TABLES };

struct ledger {
	struct ledger_entry *entries;
	size_t count, room;
	size_t slot_count; /* a power of two, at least twice the entries */
	struct table tables[TABLES];
	uint64_t seed[2]; /* who chooses the keys must not be able to choose the slots */
};

static size_t slot_of(const struct ledger *l, const uint8_t *key)
{
	uint64_t word[2];
	memcpy(word, key, KEY_SIZE);
	unsigned __int128 product = (unsigned __int128)(word[0] ^ l->seed[0]) * (word[1] ^ l->seed[1]);
	return (size_t)((uint64_t)product ^ (uint64_t)(product >> 64)) & (l->slot_count - 1);
}

static const uint8_t *key_of(const struct ledger *l, const struct table *t, uint32_t slot)
{
	return (const uint8_t *)&l->entries[slot - 1] + t->key_offset;
}

/* Where this key is, or the empty slot where it would go. */
static uint32_t *probe(const struct ledger *l, const struct table *t, const uint8_t *key)
{
	size_t at = slot_of(l, key);
	while (t->slots[at] && memcmp(key_of(l, t, t->slots[at]), key, KEY_SIZE))
		at = (at + 1) & (l->slot_count - 1);
	return &t->slots[at];
}

static bool has_key(const struct ledger_entry *e, int table)
{
	return table == BY_INTENT || (table == BY_SERIAL && !e->is_void) ||
	       (table == BY_BINDING && e->attested);
}

/* Puts an entry into the tables; false, and nothing is changed, where one of its keys is there already. */
static bool index_entry(struct ledger *l, size_t number)
{
	uint32_t *slots[TABLES] = {NULL};
	for (int t = 0; t < TABLES; t++) {
		if (!has_key(&l->entries[number], t))
			continue;
		slots[t] = probe(l, &l->tables[t], key_of(l, &l->tables[t], (uint32_t)number + 1));
		if (*slots[t])
			return false;
	}
	for (int t = 0; t < TABLES; t++)
		if (slots[t])
			*slots[t] = (uint32_t)number + 1;
	return true;
}

/* Into tables made anew, from entries whose keys are known to differ: no key need be looked at but its own. */
static void index_again(struct ledger *l, size_t number)
{
	for (int t = 0; t < TABLES; t++) {
		const struct table *table = &l->tables[t];
		if (!has_key(&l->entries[number], t))
			continue;
		size_t at = slot_of(l, key_of(l, table, (uint32_t)number + 1));
		while (table->slots[at])
			at = (at + 1) & (l->slot_count - 1);
		table->slots[at] = (uint32_t)number + 1;
	}
}

/* All three tables anew, twice as large; the old ones stay where there is no memory. */
static bool grow_tables(struct ledger *l, size_t slot_count)
{
	uint32_t *fresh[TABLES] = {NULL};
	bool ok = slot_count <= UINT32_MAX;
	for (int t = 0; t < TABLES; t++)
		ok = ok && (fresh[t] = calloc(slot_count, sizeof *fresh[t]));
	for (int t = 0; t < TABLES; t++) {
		free(ok ? l->tables[t].slots : fresh[t]);
		if (ok)
			l->tables[t].slots = fresh[t];
	}
	if (!ok)
		return false;
	l->slot_count = slot_count;
	for (size_t i = 0; i < l->count; i++)
		index_again(l, i);
	return true;
}

struct ledger *ledger_new(void)
{
	struct ledger *l = calloc(1, sizeof *l);
	if (!l)
		return NULL;
	crypto_random((uint8_t *)l->seed, sizeof l->seed);
	l->tables[BY_INTENT].key_offset = offsetof(struct ledger_entry, intent);
	l->tables[BY_SERIAL].key_offset = offsetof(struct ledger_entry, serial);
	l->tables[BY_BINDING].key_offset = offsetof(struct ledger_entry, binding);
	if (grow_tables(l, TABLE_MIN))
		return l;
	ledger_free(l);
	return NULL;
}

void ledger_free(struct ledger *l)
{
	if (!l)
		return;
	for (int t = 0; t < TABLES; t++)
		free(l->tables[t].slots);
	free(l->entries);
	free(l);
}

static bool make_room(struct ledger *l)
{
	if (l->count == l->room) {
		size_t room = l->room ? l->room + l->room / 2 : TABLE_MIN / 2;
		struct ledger_entry *entries = realloc(l->entries, room * sizeof *entries);
		if (!entries)
			return false;
		l->entries = entries;
		l->room = room;
	}
	return 2 * (l->count + 1) <= l->slot_count || grow_tables(l, 2 * l->slot_count);
}

outcome ledger_add(struct ledger *l, const struct journal_record *record, uint64_t offset, struct fault *f)
{
	if (!make_room(l))
		return refuse(f, REASON_NO_MEMORY, "no memory for one more certificate");
	struct ledger_entry *e = &l->entries[l->count];
	*e = (struct ledger_entry){
		.offset = offset & ((1ULL << 62) - 1),
		.is_void = record->kind == JOURNAL_VOID,
		.attested = record->attested,
	};
	memcpy(e->intent, record->intent, sizeof e->intent);
	memcpy(e->serial, record->serial, sizeof e->serial);
	memcpy(e->binding, record->binding, sizeof e->binding);
	if (!index_entry(l, l->count))
		return refuse(f, REASON_CONFLICT, "an intent, a serial or a binding is there twice");
	l->count++;
	return DONE;
}

void ledger_drop_last(struct ledger *l, size_t count)
{
	while (count-- && l->count) {
		size_t number = l->count - 1;
		for (int t = 0; t < TABLES; t++) {
			const struct table *table = &l->tables[t];
			if (!has_key(&l->entries[number], t))
				continue;
			uint32_t *slot = probe(l, table, key_of(l, table, (uint32_t)number + 1));
			if (*slot == number + 1)
				*slot = 0;
		}
		l->count--;
	}
}

static const struct ledger_entry *find(const struct ledger *l, int table, const uint8_t *key)
{
	uint32_t slot = *probe(l, &l->tables[table], key);
	return slot ? &l->entries[slot - 1] : NULL;
}

const struct ledger_entry *ledger_by_intent(const struct ledger *l, const uint8_t intent[INTENT_ID_SIZE])
{
	return find(l, BY_INTENT, intent);
}

const struct ledger_entry *ledger_by_serial(const struct ledger *l, const uint8_t serial[SERIAL_SIZE])
{
	return find(l, BY_SERIAL, serial);
}

const struct ledger_entry *ledger_by_binding(const struct ledger *l, const uint8_t binding[BINDING_SIZE])
{
	return find(l, BY_BINDING, binding);
}
