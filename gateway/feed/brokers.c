#include "feed_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct broker *broker_find(struct feed *feed, const char *name)
{
	struct broker *b = feed->brokers;
	while (b && strcmp(b->name, name) != 0)
		b = b->next;
	return b;
}

struct broker *broker_get(struct feed *feed, const char *name)
{
	struct broker *b = broker_find(feed, name);
	if (b)
		return b;
	b = calloc(1, sizeof *b);
	if (!b)
		abort();
	snprintf(b->name, sizeof b->name, "%s", name);
	b->next = feed->brokers;
	feed->brokers = b;
	return b;
}

void broker_connected(struct broker *b, struct stream *s)
{
	b->stream = s;
	b->gone = false;
	b->connected_ms = clock_monotonic_ms();
}

void broker_disconnected(struct broker *b, const struct stream *s)
{
	if (b->stream != s)
		return;
	b->stream = NULL;
	b->heard_ms = clock_monotonic_ms();
}

void broker_told(struct broker *b, int64_t epoch, int64_t seq)
{
	if (b->epoch != epoch) {
		b->epoch = epoch;
		b->seq = 0;
		b->receipt_count = 0;
	}
	b->told = seq;
}

/* A number beyond what was told, or of another epoch, is no receipt of ours. */
void broker_receipted(struct broker *b, int64_t epoch, int64_t seq, int64_t at_us)
{
	b->heard_ms = clock_monotonic_ms();
	if (epoch != b->epoch || seq > b->told || seq < b->seq)
		return;
	if (seq == b->seq && b->receipt_count)
		return; /* a sign of life */
	b->seq = seq;
	unsigned at = b->receipt_count++ % FEED_RECEIPTS;
	b->receipts[at].seq = seq;
	b->receipts[at].at_us = at_us;
}

void broker_forget(struct feed *feed, const char *name)
{
	struct broker *b = broker_find(feed, name);
	if (b && !b->stream)
		b->gone = true;
}

struct forget {
	struct feed *feed;
	char name[PEER_NAME_SIZE];
};

static void run_forget(void *arg)
{
	struct forget *x = arg;
	broker_forget(x->feed, x->name);
	waits_check(x->feed);
	free(x);
}

void feed_forget(struct feed *feed, const char *name)
{
	struct forget *x = malloc(sizeof *x);
	if (!x)
		abort();
	x->feed = feed;
	snprintf(x->name, sizeof x->name, "%s", name);
	loop_post(feed->loop, run_forget, x);
}

/* ---- how brokers stand ---- */

/* The moment of the first receipt that covers the change; -1 where there is none. */
static int64_t effective_at_us(const struct broker *b, int64_t seq)
{
	int64_t at = -1;
	unsigned kept = b->receipt_count < FEED_RECEIPTS ? b->receipt_count : FEED_RECEIPTS;
	for (unsigned i = 1; i <= kept; i++) {
		unsigned index = (b->receipt_count - i) % FEED_RECEIPTS;
		if (b->receipts[index].seq < seq)
			break;
		at = b->receipts[index].at_us;
	}
	return at;
}

static int64_t lag_s(const struct broker *b)
{
	int64_t now = clock_monotonic_ms();
	if (b->stream && b->seq >= b->told)
		return 0;
	int64_t since = b->heard_ms ? b->heard_ms : b->stream ? b->connected_ms : 0;
	if (b->stream && b->connected_ms > since)
		since = b->connected_ms;
	return since ? (now - since) / 1000 : -1;
}

static enum feed_broker_state state_of(const struct broker *b, int64_t seq)
{
	if (effective_at_us(b, seq) >= 0)
		return FEED_BROKER_EFFECTIVE;
	return b->stream ? FEED_BROKER_PENDING : FEED_BROKER_LOST;
}

static int64_t effective_ms(const struct broker *b, const struct store_changed *change)
{
	int64_t at = effective_at_us(b, change->seq);
	if (at < 0 || !change->durable_at_us)
		return -1;
	return at > change->durable_at_us ? (at - change->durable_at_us + 999) / 1000 : 0;
}

static void describe(const struct broker *b, const struct wait *w, struct feed_broker *out)
{
	*out = (struct feed_broker){
		.name = b->name,
		.state = state_of(b, w->ask_only ? b->told : w->change.seq),
		.live = b->stream != NULL,
		.connected_s = b->stream ? (clock_monotonic_ms() - b->connected_ms) / 1000 : 0,
		.lag_s = lag_s(b),
		.seq = b->seq,
		.effective_ms = w->ask_only ? -1 : effective_ms(b, &w->change),
	};
	if (b->stream)
		memcpy(out->spki_sha256, b->stream->spki_sha256, SHA256_SIZE);
}

/* ---- waiting ---- */

static void run_answer(void *arg)
{
	struct wait *w = arg;
	w->done(w->answer, w->count, w->arg);
	for (size_t i = 0; i < w->count; i++)
		free((void *)(uintptr_t)w->answer[i].name);
	free(w->answer);
	free(w);
}

static void wait_finish(struct wait *w)
{
	struct feed *feed = w->feed;
	size_t room = 0;
	for (struct broker *b = feed->brokers; b; b = b->next)
		room++;
	w->answer = calloc(room + 1, sizeof *w->answer);
	for (struct broker *b = feed->brokers; w->answer && b; b = b->next) {
		if (b->gone)
			continue;
		describe(b, w, &w->answer[w->count]);
		w->answer[w->count].name = strdup(b->name);
		if (!w->answer[w->count++].name)
			abort();
	}
	if (!w->answer)
		abort();
	event_del(&w->timer);
	if (w->link) {
		*w->link = w->next;
		if (w->next)
			w->next->link = w->link;
	}
	loop_post(w->loop, run_answer, w);
}

static bool is_news(const struct wait *w)
{
	int64_t effective = 0, all = 0;
	for (const struct broker *b = w->feed->brokers; b; b = b->next) {
		all += !b->gone;
		effective += !b->gone && state_of(b, w->change.seq) == FEED_BROKER_EFFECTIVE;
	}
	return effective == all || effective != w->known;
}

/* A broker whose feed is lost is not waited for, the answer names it; but for one that this very change sent away. */
static bool is_over(const struct wait *w)
{
	if (w->watches)
		return is_news(w);
	for (struct broker *b = w->feed->brokers; b; b = b->next)
		if ((b->stream || w->change.feeds_anew) &&
		    state_of(b, w->change.seq) != FEED_BROKER_EFFECTIVE)
			return false;
	return true;
}

void waits_check(struct feed *feed)
{
	for (struct wait *w = feed->waits, *next; w; w = next) {
		next = w->next;
		if (is_over(w))
			wait_finish(w);
	}
}

void waits_finish_all(struct feed *feed)
{
	while (feed->waits)
		wait_finish(feed->waits);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	wait_finish(arg);
}

static void run_wait(void *arg)
{
	struct wait *w = arg;
	struct feed *feed = w->feed;
	struct timeval deadline = {.tv_sec = w->wait_ms / 1000, .tv_usec = w->wait_ms % 1000 * 1000};
	event_assign(&w->timer, loop_base(feed->loop), -1, 0, on_deadline, w);
	for (struct stream *s = feed->streams; s && !w->ask_only; s = s->next)
		stream_flush(s, w->change.seq);
	if (w->ask_only || w->wait_ms <= 0 || feed->quiet || is_over(w)) {
		wait_finish(w);
		return;
	}
	w->link = &feed->waits;
	if ((w->next = feed->waits))
		w->next->link = &w->next;
	feed->waits = w;
	event_add(&w->timer, &deadline);
}

static struct wait *wait_new(struct feed *feed, int64_t wait_ms, feed_waited *done, void *arg)
{
	struct wait *w = calloc(1, sizeof *w);
	if (!w)
		abort();
	w->feed = feed;
	w->wait_ms = wait_ms;
	w->loop = loop_current();
	w->done = done;
	w->arg = arg;
	return w;
}

void feed_wait(struct feed *feed, const struct store_changed *change, int64_t wait_ms, feed_waited *done,
	       void *arg)
{
	struct wait *w = wait_new(feed, wait_ms, done, arg);
	w->ask_only = !change;
	if (change)
		w->change = *change;
	loop_post(feed->loop, run_wait, w);
}

/* When the commit that the entry is in was durable; 0 where it is not one of the last. */
static int64_t durable_at_us(const struct feed *feed, int64_t seq)
{
	unsigned kept = feed->commit_count < FEED_COMMITS ? feed->commit_count : FEED_COMMITS;
	int64_t at = 0;
	for (unsigned i = 1; i <= kept; i++) {
		unsigned index = (feed->commit_count - i) % FEED_COMMITS;
		if (feed->commits[index].last < seq)
			return at;
		at = feed->commits[index].durable_at_us;
	}
	return 0; /* it may be older than all of them */
}

static void run_watch(void *arg)
{
	struct wait *w = arg;
	w->change.durable_at_us = durable_at_us(w->feed, w->change.seq);
	run_wait(w);
}

void feed_watch(struct feed *feed, int64_t seq, int64_t known, int64_t wait_ms, feed_waited *done, void *arg)
{
	struct wait *w = wait_new(feed, wait_ms, done, arg);
	w->change.seq = seq;
	w->watches = true;
	w->known = known;
	loop_post(feed->loop, run_watch, w);
}
