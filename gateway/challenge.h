/*
 * challenge.h - nonces that cost no memory to give out and are accepted once.
 *
 *   N = time in ms (8) || random (12) || HMAC-SHA-256 over the 20 bytes, first 12 bytes
 *
 * under a key that this process made and never writes down: a restart ends every challenge. Spent nonces are
 * remembered until they would have expired anyway, in memory of a fixed size. Any thread; times are
 * monotonic milliseconds, so that a jump of the wall clock revives nothing.
 */
#ifndef MOORING_GATEWAY_CHALLENGE_H
#define MOORING_GATEWAY_CHALLENGE_H

#include "common/evidence/binding.h"

struct challenge;

enum { CHALLENGE_CAPACITY = 1 << 19 }; /* spent nonces at a time: 8 MiB, 1,700 a second at 300 s */

/* `capacity` is rounded up to whole buckets. */
MUST_USE outcome challenge_new(int64_t ttl_s, size_t capacity, struct challenge **out, struct fault *f);
void challenge_free(struct challenge *c);

void challenge_issue(struct challenge *c, int64_t now_ms, uint8_t nonce[NONCE_SIZE]);
/* Ours, not expired, not spent so far: NONCE_FORGED, NONCE_EXPIRED, NONCE_SPENT. Changes nothing. */
MUST_USE outcome challenge_check(struct challenge *c, int64_t now_ms, const uint8_t nonce[NONCE_SIZE],
				 struct fault *f);
/* The same, and spends it: of two threads with one nonce exactly one succeeds. OVERLOADED where there is no
 * room to remember it. */
MUST_USE outcome challenge_spend(struct challenge *c, int64_t now_ms, const uint8_t nonce[NONCE_SIZE],
				 struct fault *f);

#endif
