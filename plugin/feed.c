#include "plugin/feed.h"

#include "common/backoff.h"
#include "common/clock.h"
#include "common/thread.h"
#include "plugin/broker.h"
#include "plugin/feed_http.h"

#include <errno.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
	PAUSE_START_MS = 500,
	PAUSE_MAX_MS = 30000,
	RECEIPT_RETRY_MS = 1000,
	IDLE_MS = 1000,
	NEWS_MS = 6 * FEED_HEARTBEAT_S * 1000,
	ANSWER_SHOWN = 160,
};

struct feed {
	struct feed_parts parts;

	pthread_t thread;
	_Atomic bool stop;
	int bell; /* an eventfd that both sides have: all other files of the thread are its own */
	sem_t opened;
	outcome open;
	struct fault *open_fault; /* feed_start's, until it has returned */
	CURLM *multi;

	CURL *stream;				      /* NULL between two streams */
	char stream_name[HEX_SIZE(FEED_STREAM_SIZE)]; /* "" until the answer has begun */
	struct buf received;			      /* of the stream, less than a whole frame */
	struct fault fault;			      /* why the stream is left */
	bool good;	       /* the stream has brought the table up to the gateway, or confirmed it */
	struct backoff reopen; /* after streams that were not good */
	int64_t open_at_ms;
	int64_t opened_ms;

	CURLSH *connections; /* of the posts, as long as the stream: the certificate may be another later */
	struct feed_post receipt, page;
	int64_t receipt_at_ms;
};

/* ---- the stream ---- */

static void tell(struct feed *feed, int64_t now)
{
	const struct table_position *position = &feed->parts.keeper->position;
	atomic_store(&feed->parts.view->gateway_ms, position->time_ms - now);
	atomic_store(&feed->parts.view->fresh_ms, now);
	atomic_store(&feed->parts.view->seq, position->seq);
	atomic_store(&feed->parts.view->live, true);
	atomic_fetch_add(&feed->parts.view->heard, 1);
}

static outcome take_frame(struct feed *feed, struct bytes frame, struct fault *f)
{
	struct keeper *k = feed->parts.keeper;
	bool newer;
	int64_t now = clock_monotonic_ms();
	outcome o = keeper_take(k, frame, now, &newer, f);
	if (!o.ok) {
		atomic_fetch_add(&feed->parts.view->refused, f->reason != REASON_NO_MEMORY);
		return o;
	}
	if (newer)
		tell(feed, now);
	if (k->chain.in_snapshot)
		return o;
	if (k->durable)
		receipts_note(feed->parts.receipts, k->position.epoch, k->position.seq);
	feed->good = true;
	backoff_reset(&feed->reopen);
	return o;
}

static outcome take_frames(struct feed *feed, struct fault *f)
{
	size_t at = 0, used = 0;
	outcome o;
	do {
		struct bytes frame;
		o = feed_next(bytes_of(feed->received.p + at, feed->received.n - at), &frame, &used, f);
		if (o.ok && used)
			o = take_frame(feed, frame, f);
		at += used;
	} while (o.ok && used);
	buf_consume(&feed->received, at);
	return o;
}

/* libcurl's write function: anything but `n` ends the stream. */
static size_t on_stream(char *p, size_t size, size_t n, void *arg)
{
	struct feed *feed = arg;
	long status = feed_http_status(feed->stream);
	outcome o = DONE;
	(void)size;
	if (status != 200)
		o = refuse(&feed->fault, REASON_FEED_LOST, "the gateway answers %ld: %.*s", status,
			   (int)(n < ANSWER_SHOWN ? n : ANSWER_SHOWN), p);
	else if (!*feed->stream_name && !feed_http_stream_name(feed->stream, feed->stream_name))
		o = refuse(&feed->fault, REASON_FEED_FORMAT, "the answer has no good " FEED_STREAM_HEADER);
	if (o.ok) {
		buf_add(&feed->received, p, n);
		o = feed->received.failed ? refuse(&feed->fault, REASON_NO_MEMORY, "no memory for a frame")
					  : take_frames(feed, &feed->fault);
	}
	return o.ok ? n : 0;
}

/* ---- posts ---- */

static bool post(struct feed *feed, struct feed_post *p)
{
	return feed_http_send(p, feed->multi, &feed->connections, feed->parts.options);
}

/* With the stream: a receipt that was under way stays due. */
static void end_posts(struct feed *feed)
{
	struct feed_post *posts[] = {&feed->receipt, &feed->page};
	if (feed->receipt.busy)
		receipts_sent(feed->parts.receipts, false);
	for (size_t i = 0; i < sizeof posts / sizeof *posts; i++) {
		if (posts[i]->busy)
			feed_http_end(posts[i], feed->multi);
		curl_easy_cleanup(posts[i]->easy);
		posts[i]->easy = NULL;
	}
	curl_share_cleanup(feed->connections);
	feed->connections = NULL;
}

/* ---- streams begin and end ---- */

static void leave_stream(struct feed *feed)
{
	curl_easy_cleanup(feed->stream);
	feed->stream = NULL;
	end_posts(feed);
	roster_forget(feed->parts.roster);
	atomic_store(&feed->parts.view->live, false);
	/* A gateway that comes back is not met by all brokers at once. */
	feed->open_at_ms = clock_monotonic_ms() + backoff_next_ms(&feed->reopen, -1, crypto_random_u32());
	ring_fault(feed->parts.log, MOSQ_LOG_WARNING, &feed->fault, "mooring: the feed is lost");
}

static void open_stream(struct feed *feed)
{
	keeper_stream(feed->parts.keeper);
	feed->received.n = 0;
	feed->received.failed = false;
	feed->fault = (struct fault){0};
	feed->good = false;
	*feed->stream_name = '\0';
	feed->opened_ms = clock_monotonic_ms();
	feed->stream = feed_http_stream(feed->parts.options, &feed->parts.keeper->position, on_stream, feed);
	if (feed->stream && curl_multi_add_handle(feed->multi, feed->stream) == CURLM_OK)
		return;
	refuse(&feed->fault, REASON_NO_MEMORY, "no memory for a stream");
	leave_stream(feed);
}

static void close_stream(struct feed *feed, CURLcode code)
{
	if (feed->fault.reason == REASON_NONE)
		refuse(&feed->fault, REASON_FEED_LOST, "%s (HTTP %ld)",
		       code == CURLE_OK ? "the gateway ended the stream" : curl_easy_strerror(code),
		       feed_http_status(feed->stream));
	curl_multi_remove_handle(feed->multi, feed->stream);
	leave_stream(feed);
}

/* A byte now and then, or frames of the past, keep a connection up and a broker in the dark. */
static void leave_without_news(struct feed *feed, int64_t now)
{
	int64_t fresh = atomic_load(&feed->parts.view->fresh_ms);
	if (!feed->stream || now - (fresh > feed->opened_ms ? fresh : feed->opened_ms) < NEWS_MS)
		return;
	refuse(&feed->fault, REASON_FEED_LOST, "no frame that is new for %d s", NEWS_MS / 1000);
	close_stream(feed, CURLE_OK);
}

/* ---- receipts ---- */

static void send_receipt(struct feed *feed)
{
	struct feed_post *p = &feed->receipt;
	p->body.n = 0;
	if (!receipts_due(feed->parts.receipts, feed->parts.options->broker, feed->stream_name, &p->body) ||
	    post(feed, p))
		return;
	receipts_sent(feed->parts.receipts, false);
	feed->receipt_at_ms = clock_monotonic_ms() + RECEIPT_RETRY_MS;
}

static void end_receipt(struct feed *feed, CURLcode code)
{
	long status = feed_http_status(feed->receipt.easy);
	bool taken = code == CURLE_OK && status == 204;
	struct fault f;
	feed_http_end(&feed->receipt, feed->multi);
	receipts_sent(feed->parts.receipts, taken);
	if (taken) {
		feed_poke(feed); /* there may be more to tell than one receipt holds */
		return;
	}
	feed->receipt_at_ms = clock_monotonic_ms() + RECEIPT_RETRY_MS;
	refuse(&f, REASON_FEED_LOST, "%s (%ld)", curl_easy_strerror(code), status);
	ring_fault(feed->parts.log, MOSQ_LOG_WARNING, &f, "mooring: a receipt was not taken");
}

/* ---- who is connected ---- */

static void on_asked(void *arg, const struct feed_record *question)
{
	struct feed *feed = arg;
	roster_ask(feed->parts.roster, question);
}

/* One page is sent while the next is copied. Who asked waits for two seconds and may be gone: a page is sent once,
 * and whether it was taken is nothing to this side. */
static void tell_roster(struct feed *feed)
{
	struct feed_post *p = &feed->page;
	if (!p->busy) {
		p->body.n = 0;
		if (roster_answer(feed->parts.roster, feed->parts.options->broker, feed->stream_name,
				  &p->body))
			(void)post(feed, p);
	}
	if (roster_put(feed->parts.roster))
		wake_request(feed->parts.wake);
}

static void end_page(struct feed *feed)
{
	feed_http_end(&feed->page, feed->multi);
	buf_free(&feed->page.body); /* the next may be in an hour */
	feed_poke(feed);
}

/* ---- the thread ---- */

static void take_ended(struct feed *feed)
{
	int left;
	for (CURLMsg *m; (m = curl_multi_info_read(feed->multi, &left));) {
		CURLcode code = m->data.result;
		if (m->msg == CURLMSG_DONE && m->easy_handle == feed->stream)
			close_stream(feed, code);
		else if (m->msg == CURLMSG_DONE && m->easy_handle == feed->page.easy)
			end_page(feed);
		else if (m->msg == CURLMSG_DONE)
			end_receipt(feed, code);
	}
}

/* What frames have given reason to send is sent in the same turn: the next one may be a second away. */
static void turn(struct feed *feed)
{
	int running;
	if (!feed->stream && clock_monotonic_ms() >= feed->open_at_ms)
		open_stream(feed);
	curl_multi_perform(feed->multi, &running);
	take_ended(feed);
	leave_without_news(feed, clock_monotonic_ms());
	if (feed->good && !feed->receipt.busy && clock_monotonic_ms() >= feed->receipt_at_ms)
		send_receipt(feed);
	if (feed->good)
		tell_roster(feed);
	retire_reap(feed->parts.keeper->retire);
	int64_t wait = feed->stream ? IDLE_MS : feed->open_at_ms - clock_monotonic_ms();
	struct curl_waitfd bell = {.fd = feed->bell, .events = CURL_WAIT_POLLIN};
	eventfd_t rung;
	curl_multi_poll(feed->multi, &bell, 1, wait < 0 ? 0 : wait > IDLE_MS ? IDLE_MS : (int)wait, NULL);
	(void)eventfd_read(feed->bell, &rung);
}

static outcome open_all(struct feed *feed, struct fault *f)
{
	outcome o = crypto_ready(f);
	if (o.ok)
		o = keeper_open(feed->parts.keeper, feed->parts.options->state_dir, f);
	if (!o.ok)
		return o;
	feed->parts.opened(feed->parts.arg);
	feed->multi = curl_multi_init();
	return feed->multi ? DONE : refuse(f, REASON_NO_MEMORY, "no memory for the feed");
}

static void close_all(struct feed *feed)
{
	if (feed->stream) {
		curl_multi_remove_handle(feed->multi, feed->stream);
		curl_easy_cleanup(feed->stream);
	}
	end_posts(feed);
	curl_multi_cleanup(feed->multi);
	keeper_close(feed->parts.keeper);
}

static void *run(void *arg)
{
	struct feed *feed = arg;
	thread_own_files(feed->bell);
	outcome o = feed->open = open_all(feed, feed->open_fault);
	sem_post(&feed->opened);
	while (o.ok && !atomic_load(&feed->stop))
		turn(feed);
	close_all(feed);
	return NULL;
}

/* Memory denies already; now the broker's thread has to come and cut. It need not wait for the disk. */
static void on_cut(void *arg)
{
	struct feed *feed = arg;
	receipts_cut_wanted(feed->parts.receipts);
	wake_request(feed->parts.wake);
}

static struct feed *feed_new(const struct feed_parts *parts, struct fault *f)
{
	struct feed *feed = calloc(1, sizeof *feed);
	if (!feed)
		return NULL;
	*feed = (struct feed){
		.parts = *parts, .open_fault = f, .bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
	feed->reopen = (struct backoff){.base_ms = PAUSE_START_MS, .cap_ms = PAUSE_MAX_MS};
	feed->receipt.path = FEED_HTTP_RECEIPTS;
	feed->page.path = FEED_HTTP_SESSIONS;
	sem_init(&feed->opened, 0, 0);
	return feed;
}

static void feed_free(struct feed *feed)
{
	if (!feed)
		return;
	if (feed->bell >= 0)
		close(feed->bell);
	sem_destroy(&feed->opened);
	buf_free(&feed->received);
	buf_free(&feed->receipt.body);
	buf_free(&feed->page.body);
	free(feed);
}

static outcome start_thread(struct feed *feed, struct fault *f)
{
	outcome o = thread_start(&feed->thread, "mooring-feed", run, feed, f);
	if (!o.ok)
		return o;
	while (sem_wait(&feed->opened)) {
	}
	if (!feed->open.ok)
		pthread_join(feed->thread, NULL);
	return feed->open;
}

outcome feed_start(const struct feed_parts *parts, struct feed **out, struct fault *f)
{
	struct feed *feed = feed_new(parts, f);
	outcome o = !feed	     ? refuse(f, REASON_NO_MEMORY, "no memory for the feed")
		    : feed->bell < 0 ? refuse(f, REASON_IO, "eventfd: %s", strerror(errno))
				     : DONE;
	if (o.ok) {
		parts->keeper->cut = on_cut;
		parts->keeper->cut_arg = feed;
		parts->keeper->asked = on_asked;
		parts->keeper->asked_arg = feed;
		o = start_thread(feed, f);
	}
	if (o.ok)
		*out = feed;
	else
		feed_free(feed);
	return o;
}

void feed_stop(struct feed *feed)
{
	if (!feed)
		return;
	atomic_store(&feed->stop, true);
	feed_poke(feed);
	pthread_join(feed->thread, NULL);
	feed_free(feed);
}

void feed_poke(struct feed *feed)
{
	(void)eventfd_write(feed->bell, 1);
}
