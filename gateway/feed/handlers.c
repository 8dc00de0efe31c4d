#include "feed_internal.h"

#include "common/log.h"
#include "gateway/worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* GET /v1/feed: a stream, from where the broker's table stands. */
outcome broker_authenticate(struct gateway *g, const struct scgi_request *r, struct peer *out,
			    struct fault *f)
{
	return peers_check(worker_of(g, r)->peers, scgi_client_cert(r), "broker", clock_wall_s(), out, f);
}

struct opening {
	struct gateway *gateway;
	struct scgi_request *request;
	struct peer peer;
	int64_t epoch, after, version;
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
	struct stream_start start = {
		.after = same_epoch ? o->after : 0, .version = o->version, .head = *head};
	if (same_epoch)
		memcpy(start.head.hash, o->head, SHA256_SIZE);
	outlet_open(o->gateway->feed, o->request, &o->peer, &start);
	free(o);
}

/* The broker is known for good before it is told anything. */
static void on_broker(const struct store_changed *answer, const struct fault *f, void *arg)
{
	struct opening *o = arg;
	(void)answer;
	if (f && f->reason == REASON_BROKER_REVOKED)
		revoked_report(o->gateway->feed, scgi_request_id(o->request), o->peer.name, f);
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
		ok = scgi_query_number(r, "version", INT32_MAX, 1, &o->version, &f);
	if (ok.ok)
		ok = query_head(r, o->head, &f);
	if (!ok.ok) {
		refuse_opening(o, &f);
		return;
	}
	struct store_caller who = {.request_id = scgi_request_id(r), .actor = o->peer.name};
	store_broker_add(g->store, &who, o->peer.name, o->peer.spki_sha256, on_broker, o);
}
