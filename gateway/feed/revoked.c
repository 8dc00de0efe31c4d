/*
 * Brokers that an operator has revoked, by name or by the key of their certificate, whatever else the certificate
 * says: its bytes could be changed without its signature breaking, since ECDSA signatures can. The store refuses them
 * in the transaction that would admit them; this list ends what is there already, and what was admitted a moment ago.
 */
#include "feed_internal.h"

#include "common/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALARM_INTERVAL_MS = 600000 };

struct revoked {
	struct revoked *next;
	char name[PEER_NAME_SIZE];
	bool whole;
	uint8_t spki_sha256[SHA256_SIZE];
};

static bool covers(const struct revoked *r, const char *name, const uint8_t spki_sha256[SHA256_SIZE])
{
	return r->whole ? !strcmp(r->name, name) : !memcmp(r->spki_sha256, spki_sha256, SHA256_SIZE);
}

outcome revoked_check(const struct feed *feed, const char *name, const uint8_t spki_sha256[SHA256_SIZE],
		      struct fault *f)
{
	for (const struct revoked *r = feed->revoked; r; r = r->next)
		if (covers(r, name, spki_sha256))
			return refuse(f, REASON_BROKER_REVOKED,
				      "broker %s or the key of its certificate is revoked", name);
	return DONE;
}

/* Whoever uses what is revoked goes on trying: each time is a line of the process's log, and some are alarms. */
void revoked_report(struct feed *feed, const char *request_id, const char *name, const struct fault *why)
{
	char detail[PEER_NAME_SIZE + 16];
	struct store_caller who = {.request_id = request_id, .actor = "gateway"};
	int64_t now = clock_monotonic_ms(), next = atomic_load(&feed->revoked_alarm_ms);
	atomic_fetch_add(&feed->refused_revoked, 1);
	log_fault(LOG_LEVEL_WARN, request_id, why, "a revoked broker is refused");
	if (now < next ||
	    !atomic_compare_exchange_strong(&feed->revoked_alarm_ms, &next, now + ALARM_INTERVAL_MS))
		return;
	snprintf(detail, sizeof detail, "{\"broker\":\"%s\"}", name);
	store_alarm(feed->store, &who, why, detail);
}

static struct revoked *remember(struct feed *feed, const char *name, const uint8_t *spki_sha256)
{
	struct revoked *r = calloc(1, sizeof *r);
	if (!r)
		abort(); /* one that is forgotten would be admitted */
	snprintf(r->name, sizeof r->name, "%s", name);
	r->whole = !spki_sha256;
	if (spki_sha256)
		memcpy(r->spki_sha256, spki_sha256, SHA256_SIZE);
	r->next = feed->revoked;
	feed->revoked = r;
	return r;
}

static void on_revoked(const struct store_revoked_broker *revoked, size_t count, const struct fault *f,
		       void *arg)
{
	for (size_t i = 0; i < count; i++)
		remember(arg, revoked[i].name, revoked[i].whole ? NULL : revoked[i].spki_sha256);
	feed_loaded(arg, f);
}

void revoked_load(struct feed *feed)
{
	store_brokers_revoked(feed->store, on_revoked, feed);
}

void revoked_free(struct feed *feed)
{
	for (struct revoked *r = feed->revoked, *next; r; r = next) {
		next = r->next;
		free(r);
	}
}

struct revocation {
	struct feed *feed;
	struct revoked is;
};

static void run_revoke(void *arg)
{
	struct revocation *x = arg;
	struct feed *feed = x->feed;
	const struct revoked *r = remember(feed, x->is.name, x->is.whole ? NULL : x->is.spki_sha256);
	for (struct stream *s = feed->streams, *next; s; s = next) {
		next = s->next;
		if (!s->outlet || !covers(r, s->broker->name, s->spki_sha256))
			continue;
		log_line(LOG_LEVEL_WARN, NULL, "the feed of broker %s ends: it is revoked", s->broker->name);
		stream_end(s);
	}
	if (r->whole)
		broker_forget(feed, r->name);
	waits_check(feed);
	free(x);
}

void feed_revoke(struct feed *feed, const char *name, const uint8_t *spki_sha256)
{
	struct revocation *x = calloc(1, sizeof *x);
	if (!x)
		abort();
	x->feed = feed;
	snprintf(x->is.name, sizeof x->is.name, "%s", name);
	x->is.whole = !spki_sha256;
	if (spki_sha256)
		memcpy(x->is.spki_sha256, spki_sha256, SHA256_SIZE);
	loop_post(feed->loop, run_revoke, x);
}
