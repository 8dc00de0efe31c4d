#include "plugin/connected.h"

#include <stdlib.h>
#include <string.h>

enum { SLOTS_MIN = 64 };

/* Where it is, or the free slot where it would be: half of the slots are always free. Fingerprints are SHA-256: any
 * eight bytes are a hash. */
static uint32_t *find(const struct connected *c, const uint8_t *fingerprint)
{
	uint64_t hash;
	memcpy(&hash, fingerprint, sizeof hash);
	size_t i = hash & (c->slot_count - 1);
	while (c->slots[i] && memcmp(c->fingerprints[c->slots[i] - 1], fingerprint, TABLE_FINGERPRINT_SIZE))
		i = (i + 1) & (c->slot_count - 1);
	return &c->slots[i];
}

static void index_all(struct connected *c)
{
	memset(c->slots, 0, c->slot_count * sizeof *c->slots);
	for (size_t i = 0; i < c->count; i++)
		*find(c, c->fingerprints[i]) = (uint32_t)i + 1;
}

static bool make_room(struct connected *c)
{
	if (2 * (c->count + 1) <= c->slot_count)
		return true;
	size_t slot_count = c->slot_count ? 2 * c->slot_count : SLOTS_MIN;
	uint32_t *slots = calloc(slot_count, sizeof *slots);
	void *fingerprints =
		slots ? realloc(c->fingerprints, slot_count / 2 * sizeof *c->fingerprints) : NULL;
	if (!fingerprints) {
		free(slots);
		return false;
	}
	free(c->slots);
	c->slots = slots;
	c->slot_count = slot_count;
	c->fingerprints = fingerprints;
	index_all(c);
	return true;
}

bool connected_add(struct connected *c, const uint8_t fingerprint[TABLE_FINGERPRINT_SIZE])
{
	if (!make_room(c))
		return false;
	uint32_t *slot = find(c, fingerprint);
	if (*slot)
		return true;
	memcpy(c->fingerprints[c->count++], fingerprint, TABLE_FINGERPRINT_SIZE);
	*slot = (uint32_t)c->count;
	return true;
}

void connected_drop(struct connected *c, size_t n)
{
	c->count -= n;
	if (c->count == 0) {
		connected_free(c);
		return;
	}
	memmove(c->fingerprints, c->fingerprints + n, c->count * sizeof *c->fingerprints);
	index_all(c);
}

void connected_free(struct connected *c)
{
	free(c->fingerprints);
	free(c->slots);
	*c = (struct connected){0};
}
