#include "feed_internal.h"

#include "gateway/worker.h"
#include "json_read.h"
#include "log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONNECTED_MAX = 2048 };

static outcome broker_authenticate(struct gateway *g, const struct scgi_request *r, struct peer *out,
				   struct fault *f)
{
	return peers_check(worker_of(g, r)->peers, scgi_client_cert(r), "broker", clock_wall_s(), out, f);
}

/* ---- GET /v1/feed ---- */

struct opening {
	struct gateway *gateway;
	struct scgi_request *request;
	struct peer peer;
	int64_t epoch, after;
	uint8_t head[SHA256_SIZE];
};

static outcome query_head(const struct scgi_request *r, uint8_t out[SHA256_SIZE], struct fault *f)
{
	char text[HEX_SIZE(SHA256_SIZE)];
	size_t n = 0;
	memset(out, 0, SHA256_SIZE);
	if (!scgi_query_has(r, "head"))
		return DONE;
	if (scgi_query_get(r, "head", text, sizeof text) &&
	    (!*text || (hex_decode(text, strlen(text), out, SHA256_SIZE, &n) && n == SHA256_SIZE)))
		return DONE;
	return refuse(f, REASON_BAD_FIELD, "head: %d bytes in hex are required", SHA256_SIZE);
}

static void refuse_opening(struct opening *o, const struct fault *f)
{
	scgi_answer_problem(o->request, f);
	free(o);
}

/* The broker's table holds entries that this log does not: an older copy of the database was put back. Going
 * on would bring back what was revoked since; the broker keeps what it has, until someone has looked. */
static void refuse_rolled_back(struct opening *o, const struct store_head *head)
{
	struct fault f;
	char detail[160];
	struct store_caller who = {.request_id = scgi_request_id(o->request), .actor = o->peer.name};
	refuse(&f, REASON_LOG_ROLLED_BACK,
	       "broker %s stands at entry %lld of epoch %lld, this log at %lld of %lld", o->peer.name,
	       (long long)o->after, (long long)o->epoch, (long long)head->seq, (long long)head->epoch);
	snprintf(detail, sizeof detail, "{\"broker\":\"%s\"}", o->peer.name);
	store_alarm(o->gateway->store, &who, &f, detail);
	log_fault(LOG_LEVEL_ERROR, scgi_request_id(o->request), &f, "a feed is refused");
	refuse_opening(o, &f);
}

static void on_head(const struct store_head *head, bool known, const struct fault *f, void *arg)
{
	struct opening *o = arg;
	if (f) {
		refuse_opening(o, f);
		return;
	}
	bool same_epoch = o->epoch == head->epoch && o->after > 0;
	if (o->epoch > head->epoch || (same_epoch && !known)) {
		refuse_rolled_back(o, head);
		return;
	}
	struct stream_start start = {.after = same_epoch ? o->after : 0, .head = *head};
	if (same_epoch)
		memcpy(start.head.hash, o->head, SHA256_SIZE);
	outlet_open(o->gateway->feed, o->request, o->peer.name, &start);
	free(o);
}

/* The broker is known for good before it is told anything. */
static void on_broker(const struct store_changed *answer, const struct fault *f, void *arg)
{
	struct opening *o = arg;
	(void)answer;
	if (f)
		refuse_opening(o, f);
	else
		store_feed_head(o->gateway->store, o->after, o->head, on_head, o);
}

void feed_handle_stream(struct gateway *g, struct scgi_request *r)
{
	struct fault f;
	struct opening *o = calloc(1, sizeof *o);
	if (!o) {
		refuse(&f, REASON_NO_MEMORY, "no memory for a feed");
		scgi_answer_problem(r, &f);
		return;
	}
	o->gateway = g;
	o->request = r;
	outcome ok = broker_authenticate(g, r, &o->peer, &f);
	if (ok.ok)
		ok = scgi_query_number(r, "epoch", INT64_MAX, 0, &o->epoch, &f);
	if (ok.ok)
		ok = scgi_query_number(r, "after", INT64_MAX, 0, &o->after, &f);
	if (ok.ok)
		ok = query_head(r, o->head, &f);
	if (!ok.ok) {
		refuse_opening(o, &f);
		return;
	}
	struct store_caller who = {.request_id = scgi_request_id(r), .actor = o->peer.name};
	store_broker_add(g->store, &who, o->peer.name, on_broker, o);
}

/* ---- POST /v1/feed/receipts ---- */

struct receipt {
	struct feed *feed;
	struct scgi_request *request;
	struct peer peer;
	int64_t epoch, seq;
	int64_t at_us;
	uint8_t (*connected)[FINGERPRINT_SIZE];
	size_t connected_count;
};

static void free_receipt(struct receipt *x)
{
	free(x->connected);
	free(x);
}

static void run_receipt(void *arg)
{
	struct receipt *x = arg;
	broker_receipted(broker_get(x->feed, x->peer.name), x->epoch, x->seq, x->at_us);
	waits_check(x->feed);
	free_receipt(x);
}

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

static outcome parse_receipt(struct receipt *x, struct fault *f)
{
	json_error_t error;
	const char *broker;
	json_int_t epoch, seq;
	json_t *connected, *root;
	outcome o = json_read_object(scgi_body(x->request), "the receipt", &root, f);
	if (!o.ok)
		return o;
	if (json_unpack_ex(root, &error, JSON_STRICT, "{s:s, s:I, s:I, s:o}", "broker", &broker, "epoch",
			   &epoch, "seq", &seq, "connected", &connected))
		o = refuse(f, REASON_BAD_FIELD, "%.200s", error.text);
	else if (strcmp(broker, x->peer.name) != 0)
		o = refuse(f, REASON_BAD_FIELD, "broker: the client certificate is for %s", x->peer.name);
	else if (epoch < 0 || seq < 0)
		o = refuse(f, REASON_BAD_FIELD, "epoch and seq are not negative");
	if (o.ok) {
		x->epoch = epoch;
		x->seq = seq;
		o = take_connected(x, connected, f);
	}
	json_decref(root);
	return o;
}

/* The receipt counts once the successors' first connections are durable: the broker reports them once. */
static void on_connected(const struct store_changed *answer, const struct fault *f, void *arg)
{
	struct receipt *x = arg;
	(void)answer;
	if (f) {
		scgi_answer_problem(x->request, f);
		free_receipt(x);
		return;
	}
	scgi_answer(x->request, 204, NULL, bytes_of(NULL, 0));
	loop_post(x->feed->loop, run_receipt, x);
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
	x->at_us = clock_monotonic_us();
	outcome o = broker_authenticate(g, r, &x->peer, &f);
	if (o.ok)
		o = parse_receipt(x, &f);
	if (!o.ok) {
		scgi_answer_problem(r, &f);
		free_receipt(x);
		return;
	}
	if (x->connected_count)
		store_connected(g->store, (const uint8_t(*)[FINGERPRINT_SIZE])x->connected,
				x->connected_count, x->peer.name, on_connected, x);
	else
		on_connected(NULL, NULL, x);
}
