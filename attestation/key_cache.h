/*
 * key_cache.h - RoT public keys that were used lately, ready to verify with. For one thread.
 *
 * A direct-mapped table: what a key takes the place of is forgotten. Only keys of stored records get in, so
 * nobody outside can fill it; whether the record still stands is asked each time all the same.
 */
#ifndef MOORING_KEY_CACHE_H
#define MOORING_KEY_CACHE_H

#include "crypto.h"

struct key_cache;

/* `slots` bounds its memory, about 3 KiB each. NULL without memory. */
struct key_cache *key_cache_new(size_t slots);
void key_cache_free(struct key_cache *c);
/* Stays the cache's, good until the next call; NULL where the DER is no EC key. */
EVP_PKEY *key_cache_get(struct key_cache *c, struct bytes spki);

#endif
