#include "register_index.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_ROOM = 4096 };

/* One table for all four: what is looked for is hashed together with what kind of thing it is. */
enum kind { KIND_LINE = 1, KIND_ORDER, KIND_NUMBER };

static void key_of(enum kind kind, const uint8_t line[KEY_ID_SIZE], const char *batch, int64_t stage,
		   int64_t seq, uint8_t out[SHA256_SIZE])
{
	uint8_t numbers[6] = {(uint8_t)kind,	    (uint8_t)stage,	 (uint8_t)(seq >> 24),
			      (uint8_t)(seq >> 16), (uint8_t)(seq >> 8), (uint8_t)seq};
	const struct bytes parts[] = {bytes_of(numbers, sizeof numbers), bytes_of(line, KEY_ID_SIZE),
				      bytes_str(batch)};
	sha256_parts(parts, 3, out);
}

/* The slot of the key, or the free one where it belongs. Keys are hashes: their first bytes are place enough. */
static struct register_slot *slot_of(const struct register_index *x, const uint8_t key[SHA256_SIZE])
{
	size_t at = bytes_be32(key) & (x->room - 1);
	while (x->slots[at].index && memcmp(x->slots[at].key, key, SHA256_SIZE) != 0)
		at = (at + 1) & (x->room - 1);
	return &x->slots[at];
}

static bool grow(struct register_index *x)
{
	struct register_index bigger = {.count = x->count, .room = x->room ? 2 * x->room : FIRST_ROOM};
	bigger.slots = calloc(bigger.room, sizeof *bigger.slots);
	if (!bigger.slots)
		return false;
	for (size_t i = 0; i < x->room; i++)
		if (x->slots[i].index)
			*slot_of(&bigger, x->slots[i].key) = x->slots[i];
	free(x->slots);
	*x = bigger;
	return true;
}

static outcome put(struct register_index *x, const uint8_t key[SHA256_SIZE], int64_t index, struct fault *f)
{
	if (2 * (x->count + 1) > x->room && !grow(x))
		return refuse(f, REASON_NO_MEMORY, "no memory for the register's index");
	struct register_slot *slot = slot_of(x, key);
	x->count += !slot->index;
	memcpy(slot->key, key, SHA256_SIZE);
	slot->index = index;
	return DONE;
}

static int64_t get(const struct register_index *x, const uint8_t key[SHA256_SIZE])
{
	return x->room ? slot_of(x, key)->index : 0;
}

void register_index_free(struct register_index *x)
{
	free(x->slots);
	*x = (struct register_index){0};
}

/* The key by which an object is found besides its hash; false where it is no object of the register's. */
static bool name_of(struct bytes object, uint8_t key[SHA256_SIZE])
{
	struct line_record record;
	struct work_order order;
	struct stage_statement s;
	struct fault f;
	uint8_t line[KEY_ID_SIZE];
	switch (provenance_type_of(object)) {
	case PROVENANCE_LINE_RECORD:
		if (!line_record_read(object, &record, &f).ok)
			return false;
		provenance_key_id(record.key, line);
		key_of(KIND_LINE, line, "", 0, 0, key);
		return true;
	case PROVENANCE_WORK_ORDER:
		if (!work_order_read(object, &order, &f).ok)
			return false;
		key_of(KIND_ORDER, order.line, order.batch, order.stage, 0, key);
		return true;
	case PROVENANCE_STAGE_STATEMENT:
		if (!stage_statement_read(object, &s, &f).ok)
			return false;
		key_of(KIND_NUMBER, s.object.key_id, s.batch, s.stage, s.seq, key);
		return true;
	default:
		return false;
	}
}

outcome register_index_note(struct register_index *x, const struct register_item *item, struct fault *f)
{
	uint8_t key[SHA256_SIZE];
	sha256(item->object, key);
	outcome r = put(x, key, item->index, f);
	if (r.ok && !name_of(item->object, key))
		return refuse(f, REASON_REGISTER_HISTORY,
			      "register.log: entry %lld is no object of a register", (long long)item->index);
	return r.ok ? put(x, key, item->index, f) : r;
}

outcome register_index_make(const struct register_log *log, struct register_index *out, struct fault *f)
{
	outcome r = DONE;
	*out = (struct register_index){0};
	for (int64_t i = 1; r.ok && i <= (int64_t)log->count; i++) {
		struct register_item item = register_log_at(log, i);
		r = register_index_note(out, &item, f);
	}
	return r;
}

int64_t register_index_object(const struct register_index *x, const uint8_t sha[SHA256_SIZE])
{
	return get(x, sha);
}

int64_t register_index_line(const struct register_index *x, const uint8_t line[KEY_ID_SIZE])
{
	uint8_t key[SHA256_SIZE];
	key_of(KIND_LINE, line, "", 0, 0, key);
	return get(x, key);
}

int64_t register_index_order(const struct register_index *x, const uint8_t line[KEY_ID_SIZE],
			     const char *batch, int64_t stage)
{
	uint8_t key[SHA256_SIZE];
	key_of(KIND_ORDER, line, batch, stage, 0, key);
	return get(x, key);
}

int64_t register_index_number(const struct register_index *x, const struct stage_statement *s)
{
	uint8_t key[SHA256_SIZE];
	key_of(KIND_NUMBER, s->object.key_id, s->batch, s->stage, s->seq, key);
	return get(x, key);
}
