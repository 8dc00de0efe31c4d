#include "rate.h"

#include "gateway/fixed_memory.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKET_SLOTS = 16, LOCKS = 64, SECOND_US = 1000000, MINUTE_US = 60 * SECOND_US };

/* GCRA's state is one time: when the device would be back at its
 * full allowance ("theoretical arrival time"). */
struct cell {
	uint64_t device;
	int64_t full_at_us; /* in the past: as good as free */
};

struct rate {
	uint8_t seed[SHA256_SIZE]; /* so that nobody can choose devices that share a bucket */
	int64_t interval_us;
	int64_t burst_us;
	size_t bucket_count;
	struct cell (*buckets)[BUCKET_SLOTS];
	pthread_mutex_t locks[LOCKS];
};

outcome rate_new(int64_t per_minute, size_t capacity, struct rate **out, struct fault *f)
{
	struct rate *r = calloc(1, sizeof *r);
	size_t buckets = (capacity + BUCKET_SLOTS - 1) / BUCKET_SLOTS;
	if (!r || !(r->buckets = fixed_memory_new(buckets * sizeof *r->buckets))) {
		free(r);
		return refuse(f, REASON_NO_MEMORY, "no memory for the rates of %zu devices", capacity);
	}
	r->bucket_count = buckets;
	r->interval_us = MINUTE_US / per_minute;
	r->burst_us = r->interval_us * (per_minute - 1);
	crypto_random(r->seed, sizeof r->seed);
	for (size_t i = 0; i < LOCKS; i++)
		pthread_mutex_init(&r->locks[i], NULL);
	*out = r;
	return DONE;
}

void rate_free(struct rate *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < LOCKS; i++)
		pthread_mutex_destroy(&r->locks[i]);
	fixed_memory_free(r->buckets, r->bucket_count * sizeof *r->buckets);
	free(r);
}

/* The device's cell, else the one that is idle longest. */
static struct cell *find(struct cell bucket[BUCKET_SLOTS], uint64_t device)
{
	struct cell *idlest = &bucket[0];
	for (size_t i = 0; i < BUCKET_SLOTS; i++) {
		if (bucket[i].device == device)
			return &bucket[i];
		if (bucket[i].full_at_us < idlest->full_at_us)
			idlest = &bucket[i];
	}
	return idlest;
}

static outcome ask(struct rate *r, int64_t now_us, const uint8_t instance_id[INSTANCE_ID_SIZE], bool charge,
		   struct fault *f)
{
	uint8_t hash[SHA256_SIZE];
	uint64_t device;
	const struct bytes parts[] = {{r->seed, sizeof r->seed}, {instance_id, INSTANCE_ID_SIZE}};
	sha256_parts(parts, 2, hash);
	memcpy(&device, hash, sizeof device);
	size_t bucket = device % r->bucket_count;
	pthread_mutex_t *lock = &r->locks[bucket % LOCKS];

	pthread_mutex_lock(lock);
	struct cell *cell = find(r->buckets[bucket], device);
	bool known = cell->device == device && cell->full_at_us > now_us;
	int64_t full_at_us = known ? cell->full_at_us : now_us;
	int64_t wait_us = full_at_us - now_us - r->burst_us;
	if (charge && wait_us <= 0)
		*cell = (struct cell){device, full_at_us + r->interval_us};
	pthread_mutex_unlock(lock);

	if (wait_us <= 0)
		return DONE;
	outcome refused =
		refuse(f, REASON_RATE_LIMITED, "the device has used its enrolments; the next in %lld ms",
		       (long long)(wait_us / 1000 + 1));
	if (f)
		f->retry_after_s = (int)((wait_us + SECOND_US - 1) / SECOND_US);
	return refused;
}

outcome rate_check(struct rate *r, int64_t now_us, const uint8_t instance_id[INSTANCE_ID_SIZE],
		   struct fault *f)
{
	return ask(r, now_us, instance_id, false, f);
}

outcome rate_charge(struct rate *r, int64_t now_us, const uint8_t instance_id[INSTANCE_ID_SIZE],
		    struct fault *f)
{
	return ask(r, now_us, instance_id, true, f);
}
