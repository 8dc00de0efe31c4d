#include "plugin/feed.h"

#include "common/backoff.h"
#include "common/clock.h"
#include "common/thread.h"
#include "plugin/broker.h"
#include "plugin/feed_http.h"

#include <stdlib.h>
#include <string.h>

enum {
	PAUSE_START_MS = 500,
	PAUSE_MAX_MS = 30000,
	RECEIPT_RETRY_MS = 1000,
	IDLE_MS = 1000,
	ANSWER_SHOWN = 160,
};

struct feed {
	const struct options *options;
	struct keeper *keeper;
	struct receipts *receipts;
	struct wake *wake;
	struct ring *log;
	struct feed_view *view;

	pthread_t thread;
	_Atomic bool stop;
	CURLM *multi;

	CURL *stream;				      /* NULL between two streams */
	char stream_name[HEX_SIZE(FEED_STREAM_SIZE)]; /* "" until the answer has begun */
	struct buf received;			      /* of the stream, less than a whole frame */
	struct fault fault;			      /* why the stream is left */
	bool good;	       /* the stream has brought the table up to the gateway, or confirmed it */
	struct backoff reopen; /* after streams that were not good */
	int64_t open_at_ms;

	CURL *receipt; /* kept as long as the stream, with a connection of its own: the certificate may be another later */
	CURLSH *receipt_connection;
	struct buf body;
	bool receipt_busy;
	int64_t receipt_at_ms;
};

/* ---- the stream ---- */

static void tell(struct feed *feed, int64_t now)
{
	const struct table_position *position = &feed->keeper->position;
	atomic_store(&feed->view->gateway_ms, position->time_ms - now);
	atomic_store(&feed->view->fresh_ms, now);
	atomic_store(&feed->view->seq, position->seq);
	atomic_store(&feed->view->live, true);
	atomic_fetch_add(&feed->view->heard, 1);
}

static outcome take_frame(struct feed *feed, struct bytes frame, struct fault *f)
{
	struct keeper *k = feed->keeper;
	bool newer;
	int64_t now = clock_monotonic_ms();
	outcome o = keeper_take(k, frame, now, &newer, f);
	if (!o.ok) {
		atomic_fetch_add(&feed->view->refused, 1);
		return o;
	}
	if (newer)
		tell(feed, now);
	if (k->chain.in_snapshot)
		return o;
	if (k->durable)
		receipts_note(feed->receipts, k->position.epoch, k->position.seq);
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

/* What was under way stays due. */
static void end_receipts(struct feed *feed)
{
	if (feed->receipt_busy) {
		curl_multi_remove_handle(feed->multi, feed->receipt);
		feed->receipt_busy = false;
		receipts_sent(feed->receipts, false);
	}
	curl_easy_cleanup(feed->receipt);
	feed->receipt = NULL;
	curl_share_cleanup(feed->receipt_connection);
	feed->receipt_connection = NULL;
}

static void leave_stream(struct feed *feed)
{
	curl_easy_cleanup(feed->stream);
	feed->stream = NULL;
	end_receipts(feed);
	atomic_store(&feed->view->live, false);
	/* A gateway that comes back is not met by all brokers at once. */
	feed->open_at_ms = clock_monotonic_ms() + backoff_next_ms(&feed->reopen, -1, crypto_random_u32());
	ring_fault(feed->log, MOSQ_LOG_WARNING, &feed->fault, "mooring: the feed is lost");
}

static void open_stream(struct feed *feed)
{
	keeper_stream(feed->keeper);
	feed->received.n = 0;
	feed->received.failed = false;
	feed->fault = (struct fault){0};
	feed->good = false;
	*feed->stream_name = '\0';
	feed->stream = feed_http_stream(feed->options, &feed->keeper->position, on_stream, feed);
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

/* ---- receipts ---- */

static void begin_receipts(struct feed *feed)
{
	feed->receipt_connection = curl_share_init();
	if (feed->receipt_connection)
		feed->receipt = feed_http_receipts(feed->options, feed->receipt_connection);
	if (feed->receipt)
		return;
	curl_share_cleanup(feed->receipt_connection);
	feed->receipt_connection = NULL;
}

static void put_receipt_off(struct feed *feed)
{
	receipts_sent(feed->receipts, false);
	feed->receipt_at_ms = clock_monotonic_ms() + RECEIPT_RETRY_MS;
}

static void send_receipt(struct feed *feed)
{
	feed->body.n = 0;
	if (!receipts_due(feed->receipts, feed->options->broker, feed->stream_name, &feed->body))
		return;
	if (!feed->receipt)
		begin_receipts(feed);
	if (!feed->receipt || feed->body.failed) {
		buf_free(&feed->body);
		put_receipt_off(feed);
		return;
	}
	feed_http_set_body(feed->receipt, buf_view(&feed->body));
	feed->receipt_busy = curl_multi_add_handle(feed->multi, feed->receipt) == CURLM_OK;
	if (!feed->receipt_busy)
		put_receipt_off(feed);
}

static void end_receipt(struct feed *feed, CURLcode code)
{
	long status = feed_http_status(feed->receipt);
	bool taken = code == CURLE_OK && status == 204;
	struct fault f;
	curl_multi_remove_handle(feed->multi, feed->receipt);
	feed->receipt_busy = false;
	receipts_sent(feed->receipts, taken);
	if (taken) {
		feed_poke(feed); /* there may be more to tell than one receipt holds */
		return;
	}
	feed->receipt_at_ms = clock_monotonic_ms() + RECEIPT_RETRY_MS;
	refuse(&f, REASON_FEED_LOST, "%s (%ld)", curl_easy_strerror(code), status);
	ring_fault(feed->log, MOSQ_LOG_WARNING, &f, "mooring: a receipt was not taken");
}

/* ---- the thread ---- */

static void take_ended(struct feed *feed)
{
	int left;
	for (CURLMsg *m; (m = curl_multi_info_read(feed->multi, &left));) {
		CURLcode code = m->data.result;
		if (m->msg == CURLMSG_DONE && m->easy_handle == feed->stream)
			close_stream(feed, code);
		else if (m->msg == CURLMSG_DONE)
			end_receipt(feed, code);
	}
}

static void turn(struct feed *feed)
{
	int64_t now = clock_monotonic_ms();
	int running;
	if (!feed->stream && now >= feed->open_at_ms)
		open_stream(feed);
	if (feed->good && !feed->receipt_busy && now >= feed->receipt_at_ms)
		send_receipt(feed);
	curl_multi_perform(feed->multi, &running);
	take_ended(feed);
	retire_reap(feed->keeper->retire);
	int64_t wait = feed->stream ? IDLE_MS : feed->open_at_ms - clock_monotonic_ms();
	curl_multi_poll(feed->multi, NULL, 0, wait < 0 ? 0 : wait > IDLE_MS ? IDLE_MS : (int)wait, NULL);
}

static void *run(void *arg)
{
	struct feed *feed = arg;
	while (!atomic_load(&feed->stop))
		turn(feed);
	return NULL;
}

/* Memory denies already; now the broker's thread has to come and cut. It need not wait for the disk. */
static void on_cut(void *arg)
{
	struct feed *feed = arg;
	receipts_cut_wanted(feed->receipts);
	wake_request(feed->wake);
}

outcome feed_start(const struct options *options, struct keeper *keeper, struct receipts *receipts,
		   struct wake *wake, struct ring *log, struct feed_view *view, struct feed **out,
		   struct fault *f)
{
	struct feed *feed = calloc(1, sizeof *feed);
	if (!feed || !(feed->multi = curl_multi_init())) {
		free(feed);
		return refuse(f, REASON_NO_MEMORY, "no memory for the feed");
	}
	feed->options = options;
	feed->reopen = (struct backoff){.base_ms = PAUSE_START_MS, .cap_ms = PAUSE_MAX_MS};
	feed->keeper = keeper;
	feed->receipts = receipts;
	feed->wake = wake;
	feed->log = log;
	feed->view = view;
	keeper->cut = on_cut;
	keeper->cut_arg = feed;
	outcome o = thread_start(&feed->thread, "mooring-feed", run, feed, f);
	if (!o.ok) {
		curl_multi_cleanup(feed->multi);
		free(feed);
		return o;
	}
	*out = feed;
	return DONE;
}

void feed_stop(struct feed *feed)
{
	if (!feed)
		return;
	atomic_store(&feed->stop, true);
	curl_multi_wakeup(feed->multi);
	pthread_join(feed->thread, NULL);
	if (feed->stream) {
		curl_multi_remove_handle(feed->multi, feed->stream);
		curl_easy_cleanup(feed->stream);
	}
	end_receipts(feed);
	curl_multi_cleanup(feed->multi);
	buf_free(&feed->received);
	buf_free(&feed->body);
	free(feed);
}

void feed_poke(struct feed *feed)
{
	curl_multi_wakeup(feed->multi);
}
