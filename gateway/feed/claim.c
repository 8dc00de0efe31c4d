/*
 * Whose a broker's name is. Two brokers under one name would pass for one, and what one of them has receipted for
 * effective at both. So a name has one stream. Who has it keeps it as long as receipts come, one for each heartbeat;
 * another is refused until then. A broker that was cut off or restarted finds its own old stream silent and takes its
 * place; its first attempts may be refused meanwhile, which harms nobody, since it has its table. That two are alive
 * under a name is certain when the first is heard of after the second has tried: that is an alarm.
 */
#include "feed_internal.h"

#include "common/log.h"

#include <stdio.h>
#include <string.h>

enum {
	LEFTOVER_MS = 2000, /* a receipt may have been under way when its stream broke off */
	CONTEST_MS = 60000, /* a second broker tries again before this is over */
	ALARM_INTERVAL_MS = 600000,
};

outcome claim_take(struct feed *feed, struct broker *b, struct fault *f)
{
	struct stream *s = b->stream;
	int64_t now = clock_monotonic_ms(), silent_ms = s ? now - s->heard_ms : 0;
	if (s && silent_ms < feed->alive_ms) {
		b->contested_ms = now;
		atomic_fetch_add(&feed->rivals, 1);
		refuse(f, REASON_BROKER_TAKEN,
		       "broker %s has a feed already, and was heard of on it %lld ms ago", b->name,
		       (long long)silent_ms);
		log_fault(LOG_LEVEL_WARN, NULL, f, "a second feed is refused");
		return (outcome){false};
	}
	b->contested_ms = 0;
	if (!s)
		return DONE;
	log_line(LOG_LEVEL_WARN, NULL, "broker %s is back: its old feed, silent for %lld s, ends", b->name,
		 (long long)silent_ms / 1000);
	atomic_fetch_add(&feed->replaced, 1);
	stream_end(s);
	return DONE;
}

static void raise_alarm(struct feed *feed, const struct broker *b)
{
	struct fault f;
	char detail[PEER_NAME_SIZE + 16];
	struct store_caller who = {.request_id = "", .actor = "gateway"};
	refuse(&f, REASON_BROKER_TAKEN, "two brokers are alive under the name %s: the second gets no feed",
	       b->name);
	snprintf(detail, sizeof detail, "{\"broker\":\"%s\"}", b->name);
	store_alarm(feed->store, &who, &f, detail);
	log_fault(LOG_LEVEL_ERROR, NULL, &f, "a broker's name is used twice");
}

void claim_heard(struct feed *feed, struct broker *b)
{
	int64_t now = clock_monotonic_ms(), since = now - b->contested_ms;
	if (!b->contested_ms || since < LEFTOVER_MS)
		return;
	b->contested_ms = 0;
	if (since > CONTEST_MS || feed->quiet || (b->alarmed_ms && now - b->alarmed_ms < ALARM_INTERVAL_MS))
		return;
	b->alarmed_ms = now;
	raise_alarm(feed, b);
}

struct broker *claim_check(struct feed *feed, const struct peer *peer, const uint8_t stream[FEED_STREAM_SIZE],
			   const char *request_id, struct fault *f)
{
	if (!revoked_check(feed, peer->name, peer->spki_sha256, f).ok) {
		revoked_report(feed, request_id, peer->name, f);
		return NULL;
	}
	struct broker *b = broker_find(feed, peer->name);
	if (b && b->stream && !memcmp(b->stream->id, stream, FEED_STREAM_SIZE))
		return b;
	refuse(f, REASON_FEED_STREAM, "stream: broker %s has no such stream", peer->name);
	return NULL;
}
