/* POST /v1/feed/sessions: a broker's answer to a question, a page of the sessions that are live at it. */
#include "feed_internal.h"

#include "common/json_read.h"

#include <stdlib.h>
#include <string.h>

enum { CLIENT_ID_MAX = 128, ADDRESS_MAX = 64 };

struct answer {
	struct feed *feed;
	struct scgi_request *request;
	struct loop *loop; /* the request's */
	struct peer peer;
	uint8_t stream[FEED_STREAM_SIZE], question[FEED_QUESTION_SIZE];
	struct page page;
	bool refused;
	struct fault fault;
};

static void free_answer(struct answer *x)
{
	page_free(&x->page);
	free(x);
}

/* ---- on the feed's thread ---- */

static void run_answer(void *arg)
{
	struct answer *x = arg;
	if (x->refused)
		scgi_answer_problem(x->request, &x->fault);
	else
		scgi_answer(x->request, 204, NULL, bytes_of(NULL, 0));
	free_answer(x);
}

static outcome take(struct answer *x)
{
	const struct broker *b =
		claim_check(x->feed, &x->peer, x->stream, scgi_request_id(x->request), &x->fault);
	return b ? question_take(x->feed, b, x->question, &x->page, &x->fault) : (outcome){false};
}

static void run_take(void *arg)
{
	struct answer *x = arg;
	x->refused = !take(x).ok;
	loop_post(x->loop, run_answer, x);
}

/* ---- on the worker's loop ---- */

/* A name of a thing or service, or none. */
static bool is_name(const char *s)
{
	size_t n = strlen(s);
	for (size_t i = 0; i < n; i++)
		if (s[i] < 0x21 || s[i] > 0x7e)
			return false;
	return n <= FEED_NAME_MAX;
}

static outcome take_session(json_t *row, struct feed_session *out, struct fault *f)
{
	uint8_t fingerprint[FINGERPRINT_SIZE];
	json_error_t error;
	json_t *certificate;
	json_int_t since;
	int service;
	if (json_unpack_ex(row, &error, JSON_STRICT, "{s:s, s:b, s:s, s:o, s:I, s:s, s:i}", "name",
			   &out->name, "service", &service, "client_id", &out->client_id, "certificateId",
			   &certificate, "since_us", &since, "address", &out->address, "protocol",
			   &out->protocol))
		return refuse(f, REASON_BAD_FIELD, "sessions: %.200s", error.text);
	out->service = service;
	out->since_us = since;
	out->certificate_id = json_string_value(certificate);
	if (!is_name(out->name) || !is_name(out->address) || strlen(out->address) >= ADDRESS_MAX)
		return refuse(f, REASON_BAD_FIELD, "sessions: a name or address that is none");
	if (strlen(out->client_id) > CLIENT_ID_MAX)
		return refuse(f, REASON_BAD_FIELD, "sessions: a client id has at most %d bytes",
			      CLIENT_ID_MAX);
	if (!json_read_hex(certificate, fingerprint, FINGERPRINT_SIZE))
		return refuse(f, REASON_BAD_FIELD, "sessions: certificateId: %d bytes in hex are required",
			      FINGERPRINT_SIZE);
	if (since <= 0 || out->protocol < 3 || out->protocol > 5)
		return refuse(f, REASON_BAD_FIELD, "sessions: since_us or protocol is out of range");
	return DONE;
}

static outcome take_sessions(struct page *p, const json_t *list, struct fault *f)
{
	size_t count = json_array_size(list);
	int64_t before = 0;
	outcome o = DONE;
	if (!json_is_array(list) || count > FEED_SESSIONS_MAX)
		return refuse(f, REASON_BAD_FIELD, "sessions: a list of at most %d is required",
			      FEED_SESSIONS_MAX);
	p->sessions = calloc(count + 1, sizeof *p->sessions);
	if (!p->sessions)
		return refuse(f, REASON_NO_MEMORY, "no memory for a broker's answer");
	for (size_t i = 0; o.ok && i < count; i++) {
		o = take_session(json_array_get(list, i), &p->sessions[i], f);
		if (o.ok && p->sessions[i].since_us <= before)
			o = refuse(f, REASON_BAD_FIELD,
				   "sessions: each has a later since_us than the one before");
		before = p->sessions[i].since_us;
	}
	p->seen.sessions = p->sessions;
	p->seen.count = count;
	return o;
}

static outcome take_members(struct answer *x, json_t *root, struct fault *f)
{
	json_error_t error;
	const char *broker;
	json_int_t live;
	json_t *stream, *question, *sessions;
	int more;
	if (json_unpack_ex(root, &error, JSON_STRICT, "{s:s, s:o, s:o, s:I, s:o, s:b}", "broker", &broker,
			   "stream", &stream, "question", &question, "live", &live, "sessions", &sessions,
			   "more", &more))
		return refuse(f, REASON_BAD_FIELD, "%.200s", error.text);
	if (strcmp(broker, x->peer.name) != 0)
		return refuse(f, REASON_BAD_FIELD, "broker: the client certificate is for %s", x->peer.name);
	if (!json_read_hex(stream, x->stream, FEED_STREAM_SIZE))
		return refuse(f, REASON_BAD_FIELD, "stream: %d bytes in hex are required", FEED_STREAM_SIZE);
	if (!json_read_hex(question, x->question, FEED_QUESTION_SIZE))
		return refuse(f, REASON_BAD_FIELD, "question: %d bytes in hex are required",
			      FEED_QUESTION_SIZE);
	if (live < 0)
		return refuse(f, REASON_BAD_FIELD, "live is not negative");
	x->page.seen.live = live;
	x->page.seen.more = more;
	return take_sessions(&x->page, sessions, f);
}

static outcome parse_answer(struct answer *x, struct fault *f)
{
	outcome o = json_read_object(scgi_body(x->request), "the answer", &x->page.root, f);
	return o.ok ? take_members(x, x->page.root, f) : o;
}

void feed_handle_sessions(struct gateway *g, struct scgi_request *r)
{
	struct fault f;
	struct answer *x = calloc(1, sizeof *x);
	if (!x) {
		refuse(&f, REASON_NO_MEMORY, "no memory for a broker's answer");
		scgi_answer_problem(r, &f);
		return;
	}
	x->feed = g->feed;
	x->request = r;
	x->loop = scgi_request_loop(r);
	outcome o = broker_authenticate(g, r, &x->peer, &f);
	if (o.ok)
		o = parse_answer(x, &f);
	if (o.ok) {
		loop_post(x->feed->loop, run_take, x);
		return;
	}
	scgi_answer_problem(r, &f);
	free_answer(x);
}
