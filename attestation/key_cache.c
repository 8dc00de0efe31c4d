#include "key_cache.h"

#include "record.h"

#include <stdlib.h>
#include <string.h>

struct slot {
	uint8_t spki[RECORD_KEY_MAX];
	size_t size;
	EVP_PKEY *key;
};

struct key_cache {
	size_t count;
	struct slot slots[];
};

struct key_cache *key_cache_new(size_t slots)
{
	struct key_cache *c = calloc(1, sizeof *c + slots * sizeof c->slots[0]);
	if (c)
		c->count = slots;
	return c;
}

void key_cache_free(struct key_cache *c)
{
	for (size_t i = 0; c && i < c->count; i++)
		EVP_PKEY_free(c->slots[i].key);
	free(c);
}

/* The last bytes of a point are as good as random, and nobody can aim them without giving up the key. */
static struct slot *slot_of(struct key_cache *c, struct bytes spki)
{
	uint64_t tail = 0;
	memcpy(&tail, spki.p + spki.n - sizeof tail, sizeof tail);
	return &c->slots[tail % c->count];
}

EVP_PKEY *key_cache_get(struct key_cache *c, struct bytes spki)
{
	if (spki.n < sizeof(uint64_t) || spki.n > RECORD_KEY_MAX)
		return NULL;
	struct slot *s = slot_of(c, spki);
	if (s->key && bytes_equal(spki, bytes_of(s->spki, s->size)))
		return s->key;
	EVP_PKEY *key = ec_key_from_spki(spki);
	if (!key)
		return NULL;
	EVP_PKEY_free(s->key);
	s->key = key;
	s->size = spki.n;
	memcpy(s->spki, spki.p, spki.n);
	return key;
}
