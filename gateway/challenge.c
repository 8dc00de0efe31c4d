#include "challenge.h"

#include "common/crypto/crypto.h"
#include "gateway/fixed_memory.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { TIME_SIZE = 8, RANDOM_SIZE = 12, TAG_SIZE = 12, BUCKET_SLOTS = 64, LOCKS = 64 };
_Static_assert(TIME_SIZE + RANDOM_SIZE + TAG_SIZE == NONCE_SIZE, "the layout fills the nonce");

/* A spent nonce is known by its tag: 96 bits that only this process can make. */
struct spent {
	uint8_t tag[TAG_SIZE];
	uint32_t expires_s; /* monotonic, rounded up; 0 = free */
};

struct bucket {
	struct spent slots[BUCKET_SLOTS];
};

struct challenge {
	uint8_t key[SHA256_SIZE];
	int64_t ttl_ms;
	size_t bucket_count;
	struct bucket *buckets;
	pthread_mutex_t locks[LOCKS];
};

outcome challenge_new(int64_t ttl_s, size_t capacity, struct challenge **out, struct fault *f)
{
	struct challenge *c = calloc(1, sizeof *c);
	size_t buckets = (capacity + BUCKET_SLOTS - 1) / BUCKET_SLOTS;
	if (!c || !(c->buckets = fixed_memory_new(buckets * sizeof *c->buckets))) {
		free(c);
		return refuse(f, REASON_NO_MEMORY, "no memory for %zu spent challenges", capacity);
	}
	c->bucket_count = buckets;
	c->ttl_ms = ttl_s * 1000;
	crypto_random(c->key, sizeof c->key);
	for (size_t i = 0; i < LOCKS; i++)
		pthread_mutex_init(&c->locks[i], NULL);
	*out = c;
	return DONE;
}

void challenge_free(struct challenge *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < LOCKS; i++)
		pthread_mutex_destroy(&c->locks[i]);
	OPENSSL_cleanse(c->key, sizeof c->key);
	fixed_memory_free(c->buckets, c->bucket_count * sizeof *c->buckets);
	free(c);
}

static void compute_tag(const struct challenge *c, const uint8_t nonce[NONCE_SIZE], uint8_t tag[TAG_SIZE])
{
	uint8_t mac[SHA256_SIZE];
	hmac_sha256(bytes_of(c->key, sizeof c->key), bytes_of(nonce, TIME_SIZE + RANDOM_SIZE), mac);
	memcpy(tag, mac, TAG_SIZE);
}

static int64_t nonce_time_ms(const uint8_t nonce[NONCE_SIZE])
{
	uint64_t t = 0;
	for (size_t i = 0; i < TIME_SIZE; i++)
		t = t << 8 | nonce[i];
	return (int64_t)t;
}

void challenge_issue(struct challenge *c, int64_t now_ms, uint8_t nonce[NONCE_SIZE])
{
	for (size_t i = 0; i < TIME_SIZE; i++)
		nonce[i] = (uint8_t)((uint64_t)now_ms >> (8 * (TIME_SIZE - 1 - i)));
	crypto_random(nonce + TIME_SIZE, RANDOM_SIZE);
	compute_tag(c, nonce, nonce + TIME_SIZE + RANDOM_SIZE);
}

static outcome check_ours(const struct challenge *c, int64_t now_ms, const uint8_t nonce[NONCE_SIZE],
			  struct fault *f)
{
	uint8_t tag[TAG_SIZE];
	compute_tag(c, nonce, tag);
	if (!bytes_equal_ct(bytes_of(tag, sizeof tag), bytes_of(nonce + TIME_SIZE + RANDOM_SIZE, TAG_SIZE)))
		return refuse(f, REASON_NONCE_FORGED,
			      "the nonce is none that this gateway gave out since its start");
	int64_t age_ms = now_ms - nonce_time_ms(nonce);
	if (age_ms < 0 || age_ms > c->ttl_ms)
		return refuse(f, REASON_NONCE_EXPIRED, "the nonce is %lld s old, more than %lld s",
			      (long long)(age_ms / 1000), (long long)(c->ttl_ms / 1000));
	return DONE;
}

/* The tag is uniform: its first bytes choose the bucket. */
static size_t bucket_of(const struct challenge *c, const uint8_t *tag)
{
	uint32_t h;
	memcpy(&h, tag, sizeof h);
	return h % c->bucket_count;
}

/* The slot that holds the tag, else *room gets a free or expired one (NULL where there is none). */
static struct spent *find(struct bucket *b, const uint8_t *tag, uint32_t now_s, struct spent **room)
{
	*room = NULL;
	for (size_t i = 0; i < BUCKET_SLOTS; i++) {
		struct spent *s = &b->slots[i];
		if (s->expires_s <= now_s)
			*room = s;
		else if (!memcmp(s->tag, tag, TAG_SIZE))
			return s;
	}
	return NULL;
}

static outcome look_up(struct challenge *c, int64_t now_ms, const uint8_t nonce[NONCE_SIZE], bool spend,
		       struct fault *f)
{
	const uint8_t *tag = nonce + TIME_SIZE + RANDOM_SIZE;
	size_t bucket = bucket_of(c, tag);
	pthread_mutex_t *lock = &c->locks[bucket % LOCKS];
	struct spent *room;
	pthread_mutex_lock(lock);
	bool spent = find(&c->buckets[bucket], tag, (uint32_t)(now_ms / 1000), &room);
	if (!spent && spend && room) {
		memcpy(room->tag, tag, TAG_SIZE);
		room->expires_s = (uint32_t)((nonce_time_ms(nonce) + c->ttl_ms) / 1000 + 1);
	}
	pthread_mutex_unlock(lock);
	if (spent)
		return refuse(f, REASON_NONCE_SPENT, "the nonce was used before");
	if (spend && !room)
		return refuse(f, REASON_OVERLOADED, "no room to remember another spent nonce");
	return DONE;
}

outcome challenge_check(struct challenge *c, int64_t now_ms, const uint8_t nonce[NONCE_SIZE], struct fault *f)
{
	outcome ours = check_ours(c, now_ms, nonce, f);
	return ours.ok ? look_up(c, now_ms, nonce, false, f) : ours;
}

outcome challenge_spend(struct challenge *c, int64_t now_ms, const uint8_t nonce[NONCE_SIZE], struct fault *f)
{
	outcome ours = check_ours(c, now_ms, nonce, f);
	return ours.ok ? look_up(c, now_ms, nonce, true, f) : ours;
}
