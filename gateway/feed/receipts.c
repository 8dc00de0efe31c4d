/* POST /v1/feed/receipts: how far a broker is. A receipt belongs to a stream, the one that its broker has now. */
#include "feed_internal.h"

#include "common/json_read.h"

#include <stdlib.h>
#include <string.h>

enum { CONNECTED_MAX = 2048 };

struct receipt {
	struct feed *feed;
	struct scgi_request *request;
	struct loop *loop; /* the request's */
	struct peer peer;
	uint8_t stream[FEED_STREAM_SIZE];
	int64_t epoch, seq;
	int64_t at_us;
	uint8_t (*connected)[FINGERPRINT_SIZE];
	size_t connected_count;
	bool refused;
	struct fault fault;
};

static void free_receipt(struct receipt *x)
{
	free(x->connected);
	free(x);
}

/* ---- on the feed's thread ---- */

static void run_answer(void *arg)
{
	struct receipt *x = arg;
	if (x->refused)
		scgi_answer_problem(x->request, &x->fault);
	else
		scgi_answer(x->request, 204, NULL, bytes_of(NULL, 0));
	free_receipt(x);
}

static void answer(struct receipt *x, const struct fault *f)
{
	x->refused = f != NULL;
	if (f)
		x->fault = *f;
	loop_post(x->loop, run_answer, x);
}

static struct broker *broker_of(const struct receipt *x, struct fault *f)
{
	return claim_check(x->feed, &x->peer, x->stream, scgi_request_id(x->request), f);
}

static void count_receipt(struct receipt *x)
{
	struct fault f;
	struct broker *b = broker_of(x, &f);
	if (!b) {
		answer(x, &f);
		return;
	}
	b->stream->heard_ms = clock_monotonic_ms();
	b->stream->receipted = true;
	broker_receipted(b, x->epoch, x->seq, x->at_us);
	claim_heard(x->feed, b);
	waits_check(x->feed);
	answer(x, NULL);
}

/* The receipt counts once the successors' first connections are durable: the broker reports them once. */
static void on_connected(const struct store_changed *changed, const struct fault *f, void *arg)
{
	(void)changed;
	if (f)
		answer(arg, f);
	else
		count_receipt(arg);
}

static void run_receipt(void *arg)
{
	struct receipt *x = arg;
	struct fault f;
	if (x->feed->quiet) {
		refuse(&f, REASON_OVERLOADED, "the gateway is stopping");
		answer(x, &f);
	} else if (!x->connected_count) {
		count_receipt(x);
	} else if (!broker_of(x, &f)) {
		answer(x, &f);
	} else {
		store_connected(x->feed->store, (const uint8_t(*)[FINGERPRINT_SIZE])x->connected,
				x->connected_count, x->peer.name, on_connected, x);
	}
}

/* ---- on the worker's loop ---- */

static outcome take_connected(struct receipt *x, const json_t *list, struct fault *f)
{
	size_t count = json_array_size(list);
	if (!json_is_array(list) || count > CONNECTED_MAX)
		return refuse(f, REASON_BAD_FIELD, "connected: a list of at most %d fingerprints is required",
			      CONNECTED_MAX);
	x->connected = calloc(count + 1, FINGERPRINT_SIZE);
	if (!x->connected)
		return refuse(f, REASON_NO_MEMORY, "no memory for a receipt");
	for (size_t i = 0; i < count; i++)
		if (!json_read_hex(json_array_get(list, i), x->connected[i], FINGERPRINT_SIZE))
			return refuse(f, REASON_BAD_FIELD, "connected: %d bytes in hex are required",
				      FINGERPRINT_SIZE);
	x->connected_count = count;
	return DONE;
}

static outcome take_members(struct receipt *x, json_t *root, struct fault *f)
{
	json_error_t error;
	const char *broker;
	json_int_t epoch, seq;
	json_t *stream, *connected;
	if (json_unpack_ex(root, &error, JSON_STRICT, "{s:s, s:o, s:I, s:I, s:o}", "broker", &broker,
			   "stream", &stream, "epoch", &epoch, "seq", &seq, "connected", &connected))
		return refuse(f, REASON_BAD_FIELD, "%.200s", error.text);
	if (strcmp(broker, x->peer.name) != 0)
		return refuse(f, REASON_BAD_FIELD, "broker: the client certificate is for %s", x->peer.name);
	if (!json_read_hex(stream, x->stream, FEED_STREAM_SIZE))
		return refuse(f, REASON_BAD_FIELD, "stream: %d bytes in hex are required", FEED_STREAM_SIZE);
	if (epoch < 0 || seq < 0)
		return refuse(f, REASON_BAD_FIELD, "epoch and seq are not negative");
	x->epoch = epoch;
	x->seq = seq;
	return take_connected(x, connected, f);
}

static outcome parse_receipt(struct receipt *x, struct fault *f)
{
	json_t *root;
	outcome o = json_read_object(scgi_body(x->request), "the receipt", &root, f);
	if (o.ok)
		o = take_members(x, root, f);
	json_decref(root);
	return o;
}

void feed_handle_receipts(struct gateway *g, struct scgi_request *r)
{
	struct fault f;
	struct receipt *x = calloc(1, sizeof *x);
	if (!x) {
		refuse(&f, REASON_NO_MEMORY, "no memory for a receipt");
		scgi_answer_problem(r, &f);
		return;
	}
	x->feed = g->feed;
	x->request = r;
	x->loop = scgi_request_loop(r);
	x->at_us = clock_monotonic_us();
	outcome o = broker_authenticate(g, r, &x->peer, &f);
	if (o.ok)
		o = parse_receipt(x, &f);
	if (o.ok) {
		loop_post(x->feed->loop, run_receipt, x);
		return;
	}
	scgi_answer_problem(r, &f);
	free_receipt(x);
}
