#include "plugin/receipts.h"

#include <string.h>

void receipts_init(struct receipts *r)
{
	memset(r, 0, sizeof *r);
	pthread_mutex_init(&r->lock, NULL);
}

void receipts_destroy(struct receipts *r)
{
	connected_free(&r->connected);
	pthread_mutex_destroy(&r->lock);
}

void receipts_cut_wanted(struct receipts *r)
{
	atomic_fetch_add(&r->cuts_wanted, 1);
}

uint64_t receipts_cuts_wanted(const struct receipts *r)
{
	return atomic_load(&r->cuts_wanted);
}

void receipts_cuts_done(struct receipts *r, uint64_t wanted)
{
	atomic_store(&r->cuts_done, wanted);
}

/* One mark waits while a later one gathers what comes in the meantime: a busy feed does not put the first
 * off. */
void receipts_note(struct receipts *r, int64_t epoch, int64_t seq)
{
	struct receipt_mark mark = {epoch, seq, atomic_load(&r->cuts_wanted), true};
	if (!r->waiting.set)
		r->waiting = mark;
	else
		r->latest = mark;
}

bool receipts_connected(struct receipts *r, const uint8_t fingerprint[TABLE_FINGERPRINT_SIZE])
{
	pthread_mutex_lock(&r->lock);
	bool held = connected_add(&r->connected, fingerprint);
	pthread_mutex_unlock(&r->lock);
	return held;
}

static void take_effective(struct receipts *r)
{
	uint64_t done = atomic_load(&r->cuts_done);
	while (r->waiting.set && r->waiting.cuts <= done) {
		r->epoch = r->waiting.epoch;
		r->seq = r->waiting.seq;
		r->owed = true;
		r->waiting = r->latest;
		r->latest.set = false;
	}
}

static void add_connected(struct receipts *r, struct buf *body)
{
	char hex[HEX_SIZE(TABLE_FINGERPRINT_SIZE)];
	pthread_mutex_lock(&r->lock);
	r->sent = r->connected.count < RECEIPTS_CONNECTED_MAX ? r->connected.count : RECEIPTS_CONNECTED_MAX;
	for (size_t i = 0; i < r->sent; i++) {
		hex_encode(bytes_of(r->connected.fingerprints[i], TABLE_FINGERPRINT_SIZE), hex);
		buf_printf(body, "%s\"%s\"", i ? "," : "", hex);
	}
	pthread_mutex_unlock(&r->lock);
}

bool receipts_due(struct receipts *r, const char *broker, const char *stream, struct buf *body)
{
	take_effective(r);
	pthread_mutex_lock(&r->lock);
	bool due = r->owed || (r->epoch && r->connected.count);
	pthread_mutex_unlock(&r->lock);
	if (!due)
		return false;
	buf_printf(body, "{\"broker\":\"%s\",\"stream\":\"%s\",\"epoch\":%lld,\"seq\":%lld,\"connected\":[",
		   broker, stream, (long long)r->epoch, (long long)r->seq);
	add_connected(r, body);
	buf_str(body, "]}");
	r->owed = false;
	return true;
}

void receipts_sent(struct receipts *r, bool taken)
{
	if (!taken) {
		r->owed = true;
		return;
	}
	pthread_mutex_lock(&r->lock);
	connected_drop(&r->connected, r->sent);
	pthread_mutex_unlock(&r->lock);
}
