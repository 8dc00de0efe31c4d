#include "key_cache.h"

#include <stdlib.h>
#include <string.h>

/* Sets of KEY_CACHE_LEAST, in each of which the one that was made first goes first. */
enum { SETS = 16 };

struct set {
	struct provenance_key keys[KEY_CACHE_LEAST];
	size_t next;
};

struct key_cache {
	struct set sets[SETS];
};

struct key_cache *key_cache_new(void)
{
	return calloc(1, sizeof(struct key_cache));
}

void key_cache_free(struct key_cache *c)
{
	for (size_t i = 0; c && i < SETS; i++)
		for (size_t k = 0; k < KEY_CACHE_LEAST; k++)
			provenance_key_free(&c->sets[i].keys[k]);
	free(c);
}

const struct provenance_key *key_cache_get(struct key_cache *c, const uint8_t id[KEY_ID_SIZE],
					   const uint8_t point[P256_POINT_SIZE])
{
	struct set *set = &c->sets[id[0] % SETS];
	struct fault ignored;
	for (size_t i = 0; i < KEY_CACHE_LEAST; i++)
		if (set->keys[i].key && !memcmp(set->keys[i].id, id, KEY_ID_SIZE))
			return &set->keys[i];
	struct provenance_key *place = &set->keys[set->next], made;
	if (!provenance_key_make(point, &made, &ignored).ok)
		return NULL;
	provenance_key_free(place);
	*place = made;
	set->next = (set->next + 1) % KEY_CACHE_LEAST;
	return place;
}
