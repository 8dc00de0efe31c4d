#include "feed_internal.h"

#include <stdlib.h>
#include <string.h>

/* ---- to the feed's thread ---- */

static void run_refuse(void *arg)
{
	struct outlet *o = arg;
	scgi_answer_problem(o->request, &o->fault);
	free(o);
}

/* Revoked it may be since the store has let it in. */
static outcome claim(struct outlet *o, struct broker **out)
{
	struct feed *feed = o->feed;
	outcome may = revoked_check(feed, o->broker.name, o->broker.spki_sha256, &o->fault);
	if (!may.ok) {
		revoked_report(feed, scgi_request_id(o->request), o->broker.name, &o->fault);
		return may;
	}
	*out = broker_get(feed, o->broker.name);
	return claim_take(feed, *out, &o->fault);
}

static void run_open(void *arg)
{
	struct outlet *o = arg;
	struct broker *b = NULL;
	if (claim(o, &b).ok)
		stream_open(o->feed, o, b, &o->start);
	else
		loop_post(o->loop, run_refuse, o);
}

static void run_taken(void *arg)
{
	struct outlet *o = arg;
	unsigned taken = atomic_exchange(&o->taken, 0);
	if (o->stream && taken)
		stream_taken(o->stream, taken);
}

static void run_free(void *arg)
{
	free(arg);
}

/* The last thing: freed on its loop. */
static void run_left(void *arg)
{
	struct outlet *o = arg;
	if (o->stream)
		stream_left(o->stream);
	loop_post(o->loop, run_free, o);
}

/* ---- on the worker's loop ---- */

static void on_drained(void *arg)
{
	struct outlet *o = arg;
	if (!o->sent)
		return;
	atomic_fetch_add(&o->taken, o->sent);
	o->sent = 0;
	loop_post(o->feed->loop, run_taken, o);
}

static void on_left(void *arg)
{
	struct outlet *o = arg;
	o->request = NULL;
	loop_post(o->feed->loop, run_left, o);
}

void outlet_open(struct feed *feed, struct scgi_request *r, const struct peer *broker,
		 const struct stream_start *start)
{
	struct outlet *o = calloc(1, sizeof *o);
	if (!o) {
		struct fault f;
		refuse(&f, REASON_NO_MEMORY, "no memory for a feed");
		scgi_answer_problem(r, &f);
		return;
	}
	o->feed = feed;
	o->loop = scgi_request_loop(r);
	o->request = r;
	o->start = *start;
	o->broker = *broker;
	loop_post(feed->loop, run_open, o);
}

static void run_begin(void *arg)
{
	struct outlet *o = arg;
	char id[HEX_SIZE(FEED_STREAM_SIZE)];
	hex_encode(bytes_of(o->id, sizeof o->id), id);
	scgi_answer_header(o->request, FEED_STREAM_HEADER, id);
	scgi_stream_begin(o->request, "application/cbor-seq", FEED_STREAM_LIMIT, on_left, o);
	scgi_stream_on_drained(o->request, on_drained);
}

struct delivery {
	struct outlet *outlet;
	struct buf frame;
};

static void run_delivery(void *arg)
{
	struct delivery *d = arg;
	struct outlet *o = d->outlet;
	if (o->request) {
		o->sent++;
		scgi_stream_send(o->request, buf_view(&d->frame));
	}
	buf_free(&d->frame);
	free(d);
}

static void run_end(void *arg)
{
	struct outlet *o = arg;
	struct scgi_request *r = o->request;
	if (!r)
		return;
	o->request = NULL;
	scgi_stream_on_drained(r, NULL); /* `o` may be gone before the last bytes are */
	scgi_stream_end(r);
	loop_post(o->feed->loop, run_left, o);
}

/* ---- from the feed's thread ---- */

void outlet_begin(struct outlet *o, const uint8_t id[FEED_STREAM_SIZE])
{
	memcpy(o->id, id, sizeof o->id);
	loop_post(o->loop, run_begin, o);
}

void outlet_send(struct outlet *o, struct buf *frame)
{
	struct delivery *d = malloc(sizeof *d);
	if (!d)
		abort(); /* a frame left out is a gap that nobody would see until the next one */
	*d = (struct delivery){.outlet = o, .frame = *frame};
	*frame = (struct buf){0};
	loop_post(o->loop, run_delivery, d);
}

void outlet_end(struct outlet *o)
{
	loop_post(o->loop, run_end, o);
}
