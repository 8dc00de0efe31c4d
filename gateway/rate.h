/*
 * rate.h - how often one device may enrol: the generic cell rate algorithm (ITU-T I.371) in memory of a fixed
 * size.
 *
 * A device has `per_minute` at once, and then one each 60/per_minute seconds. Only devices whose attestation
 * succeeded are charged, so that nobody can use up another device's allowance with forged evidence. Where
 * more devices are active than there is room for, the longest idle ones are forgotten. Any thread.
 */
#ifndef MOORING_RATE_H
#define MOORING_RATE_H

#include "common/evidence/evidence.h"

struct rate;

enum { RATE_CAPACITY = 1 << 18 }; /* active devices: 4 MiB */

MUST_USE outcome rate_new(int64_t per_minute, size_t capacity, struct rate **out, struct fault *f);
void rate_free(struct rate *r);

/* RATE_LIMITED when a charge would be refused now; the fault says after how many seconds it is not. Times are monotonic microseconds. */
MUST_USE outcome rate_check(struct rate *r, int64_t now_us, const uint8_t instance_id[INSTANCE_ID_SIZE],
			    struct fault *f);
MUST_USE outcome rate_charge(struct rate *r, int64_t now_us, const uint8_t instance_id[INSTANCE_ID_SIZE],
			     struct fault *f);

#endif
