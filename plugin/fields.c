#include "plugin/fields.h"

#include "plugin/broker.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS_START = 64 };

struct known {
	uint8_t fingerprint[TABLE_FINGERPRINT_SIZE];
	struct policy_certificate certificate;
};

/* Open addressing by fingerprint, which is a hash already; at most half full. */
struct fields {
	struct known **slots;
	size_t mask, count;
	size_t swept; /* how many the last sweep left */
};

struct fields *fields_new(void)
{
	struct fields *f = calloc(1, sizeof *f);
	if (!f || !(f->slots = calloc(SLOTS_START, sizeof *f->slots))) {
		free(f);
		return NULL;
	}
	f->mask = SLOTS_START - 1;
	return f;
}

static void known_free(struct known *k)
{
	if (!k)
		return;
	policy_certificate_free(&k->certificate);
	free(k);
}

void fields_free(struct fields *f)
{
	if (!f)
		return;
	for (size_t i = 0; i <= f->mask; i++)
		known_free(f->slots[i]);
	free(f->slots);
	free(f);
}

static struct known **place_of(const struct fields *f, const uint8_t *fingerprint)
{
	uint64_t hash;
	memcpy(&hash, fingerprint, sizeof hash);
	size_t i = hash & f->mask;
	while (f->slots[i] && memcmp(f->slots[i]->fingerprint, fingerprint, TABLE_FINGERPRINT_SIZE) != 0)
		i = (i + 1) & f->mask;
	return &f->slots[i];
}

/* The same ones in `size` slots. */
static bool move_to(struct fields *f, size_t size)
{
	struct fields moved = {
		.slots = calloc(size, sizeof *moved.slots), .mask = size - 1, .swept = f->swept};
	if (!moved.slots)
		return false;
	for (size_t i = 0; i <= f->mask; i++)
		if (f->slots[i])
			*place_of(&moved, f->slots[i]->fingerprint) = f->slots[i];
	moved.count = f->count;
	free(f->slots);
	*f = moved;
	return true;
}

/* An error left in the queue would make the broker drop another client. */
static bool read_certificate(const struct mosquitto *client, struct policy_certificate *out)
{
	struct fault f;
	ERR_set_mark();
	X509 *cert = mosquitto_client_certificate(client);
	bool read = cert && policy_certificate_read(cert, out, &f).ok;
	X509_free(cert);
	ERR_pop_to_mark();
	return read;
}

const struct policy_certificate *
fields_of(struct fields *f, const uint8_t fingerprint[TABLE_FINGERPRINT_SIZE], const struct mosquitto *client)
{
	struct known *k = *place_of(f, fingerprint);
	if (k)
		return &k->certificate;
	if (2 * (f->count + 1) > f->mask + 1 && !move_to(f, 2 * (f->mask + 1)))
		return NULL;
	if (!(k = calloc(1, sizeof *k)) || !read_certificate(client, &k->certificate)) {
		free(k);
		return NULL;
	}
	memcpy(k->fingerprint, fingerprint, TABLE_FINGERPRINT_SIZE);
	*place_of(f, fingerprint) = k;
	f->count++;
	return &k->certificate;
}

static bool is_wanted(const struct known *k, const struct table *table, int64_t now_s)
{
	const struct table_entry *e = table_find(table, k->fingerprint);
	return e && table_standing(table, e).state == FEED_ACTIVE && atomic_load(&e->not_after) >= now_s;
}

void fields_sweep(struct fields *f, const struct table *table, int64_t now_s)
{
	if (!table || f->count < 2 * f->swept + SLOTS_START)
		return;
	struct known **slots = f->slots;
	struct fields swept = {.slots = calloc(f->mask + 1, sizeof *slots), .mask = f->mask};
	if (!swept.slots)
		return;
	for (size_t i = 0; i <= f->mask; i++) {
		if (slots[i] && is_wanted(slots[i], table, now_s)) {
			*place_of(&swept, slots[i]->fingerprint) = slots[i];
			swept.count++;
		} else {
			known_free(slots[i]);
		}
	}
	swept.swept = swept.count;
	free(slots);
	*f = swept;
}
