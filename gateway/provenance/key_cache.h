/*
 * key_cache.h - public keys made from their points, kept by a thread for itself: making one costs as much as verifying
 * with it. Of a fixed size; a key's id is a hash of it, so that what is kept never becomes wrong.
 */
#ifndef MOORING_PROVENANCE_KEY_CACHE_H
#define MOORING_PROVENANCE_KEY_CACHE_H

#include "common/provenance/provenance.h"

struct key_cache;

/* NULL without memory. */
struct key_cache *key_cache_new(void);
/* On the thread that has used it, which its keys belong to. */
void key_cache_free(struct key_cache *c);
/* NULL where the point is on no curve. Valid until KEY_CACHE_LEAST other keys were asked for. */
enum { KEY_CACHE_LEAST = 16 };
const struct provenance_key *key_cache_get(struct key_cache *c, const uint8_t id[KEY_ID_SIZE],
					   const uint8_t point[P256_POINT_SIZE]);

#endif
