#include "feed_internal.h"

#include "common/log.h"
#include "gateway/store/store_policy.h"

#include <semaphore.h>
#include <stdlib.h>

/* ---- commits ---- */

struct news {
	struct feed *feed;
	struct store_commit *commit;
};

static void note_commit(struct feed *feed, int64_t last, int64_t durable_at_us)
{
	unsigned at = feed->commit_count++ % FEED_COMMITS;
	feed->commits[at].last = last;
	feed->commits[at].durable_at_us = durable_at_us;
}

/* Encoded once, signed for each stream. */
static void run_news(void *arg)
{
	struct news *n = arg;
	struct buf records = {0};
	note_commit(n->feed, n->commit->last, n->commit->durable_at_us);
	bool fits = stream_encode(n->commit, &records);
	if (n->commit->last > n->feed->last_seq)
		n->feed->last_seq = n->commit->last;
	for (struct stream *s = n->feed->streams; s && !n->feed->quiet; s = s->next)
		stream_commit(s, n->commit, fits ? &records : NULL);
	buf_free(&records);
	store_commit_release(n->commit);
	free(n);
}

/* On the store's thread. Without memory nothing is passed on: the heartbeat notices that the log has moved. */
static void on_commit(struct store_commit *c, void *arg)
{
	struct feed *feed = arg;
	struct news *n = malloc(sizeof *n);
	if (!n)
		return;
	store_commit_hold(c);
	*n = (struct news){feed, c};
	loop_post(feed->loop, run_news, n);
}

static void on_heartbeat(evutil_socket_t fd, short what, void *arg)
{
	struct feed *feed = arg;
	struct store_stats stats;
	(void)fd, (void)what;
	store_stats(feed->store, &stats);
	if (stats.last_seq > feed->last_seq)
		feed->last_seq = stats.last_seq;
	for (struct stream *s = feed->streams, *next; s; s = next) {
		next = s->next;
		stream_heartbeat(s);
	}
}

/* ---- start and stop ---- */

/* feed_start waits for what the store has of brokers: a change that is asked for before would be called effective without
 * them. */
struct feed_loading {
	sem_t read;
	bool failed;
	struct fault fault; /* where it failed */
};
enum { LOADED_LISTS = 2 };

void feed_loaded(struct feed *feed, const struct fault *f)
{
	struct feed_loading *l = feed->loading;
	if (f) {
		l->failed = true;
		l->fault = *f;
	}
	sem_post(&l->read);
}

static void on_brokers(const char *const *names, size_t count, const struct fault *f, void *arg)
{
	for (size_t i = 0; i < count; i++)
		broker_get(arg, names[i]);
	feed_loaded(arg, f);
}

static void on_policy(const struct store_changed *answer, const struct fault *f, void *arg)
{
	(void)arg;
	if (f)
		log_fault(LOG_LEVEL_ERROR, NULL, f, "the default policy could not be stored");
	else if (answer->count)
		log_line(LOG_LEVEL_INFO, NULL, "the default policy has changed");
}

static void run_start(void *arg)
{
	struct feed *feed = arg;
	struct store_caller who = {.request_id = "", .actor = "gateway"};
	struct timeval period = {.tv_sec = FEED_HEARTBEAT_S};
	struct buf document = {0};
	struct store_stats stats;
	store_stats(feed->store, &stats);
	note_commit(feed, stats.last_seq, 0); /* of an earlier run: nobody knows when */
	event_assign(&feed->heartbeat, loop_base(feed->loop), -1, EV_PERSIST, on_heartbeat, feed);
	event_add(&feed->heartbeat, &period);
	buf_bytes(&document, buf_view(&feed->gateway->keys.default_policy));
	char *text = buf_take_str(&document);
	if (text)
		store_policy_ship(feed->store, &who, text, on_policy, feed);
	free(text);
	store_brokers(feed->store, on_brokers, feed);
	revoked_load(feed);
}

static outcome load(struct feed *feed, struct fault *f)
{
	struct feed_loading l = {0};
	sem_init(&l.read, 0, 0);
	feed->loading = &l;
	loop_post(feed->loop, run_start, feed);
	for (int i = 0; i < LOADED_LISTS; i++)
		while (sem_wait(&l.read))
			;
	sem_destroy(&l.read);
	return l.failed ? refuse(f, l.fault.reason, "the known brokers could not be read: %s", l.fault.text)
			: DONE;
}

outcome feed_start(struct gateway *g, struct feed **out, struct fault *f)
{
	struct feed *feed = calloc(1, sizeof *feed);
	struct loop *loop = feed ? loop_start("feed") : NULL;
	if (!loop) {
		free(feed);
		return refuse(f, REASON_NO_MEMORY, "no memory for the feed's thread");
	}
	feed->gateway = g;
	feed->store = g->store;
	feed->loop = loop;
	feed->stall_ms = FEED_STALL_MS;
	feed->alive_ms = FEED_ALIVE_MS;
	store_subscribe(g->store, on_commit, feed);
	*out = feed;
	return load(feed, f);
}

struct barrier {
	struct feed *feed;
	sem_t passed;
};

static void run_quiesce(void *arg)
{
	struct barrier *b = arg;
	struct feed *feed = b->feed;
	feed->quiet = true;
	event_del(&feed->heartbeat);
	waits_finish_all(feed);
	questions_finish_all(feed);
	sem_post(&b->passed);
}

void feed_quiesce(struct feed *feed)
{
	struct barrier b = {.feed = feed};
	sem_init(&b.passed, 0, 0);
	loop_post(feed->loop, run_quiesce, &b);
	while (sem_wait(&b.passed))
		;
	sem_destroy(&b.passed);
}

void feed_stop(struct feed *feed)
{
	if (!feed)
		return;
	loop_stop(feed->loop);
	for (struct stream *s = feed->streams, *next; s; s = next) {
		next = s->next;
		free(s);
	}
	for (struct broker *b = feed->brokers, *next; b; b = next) {
		next = b->next;
		free(b);
	}
	revoked_free(feed);
	free(feed);
}

void feed_stats(struct feed *feed, struct feed_stats *out)
{
	*out = (struct feed_stats){
		.streams = atomic_load(&feed->stream_count),
		.lost = atomic_load(&feed->lost),
		.frames = atomic_load(&feed->frames),
		.bytes = atomic_load(&feed->bytes),
		.revoked = atomic_load(&feed->refused_revoked),
		.rivals = atomic_load(&feed->rivals),
		.replaced = atomic_load(&feed->replaced),
	};
}
