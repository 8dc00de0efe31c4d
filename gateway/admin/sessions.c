#include "admin_internal.h"

#include "common/feed/feed_format.h"
#include "common/peers.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ANSWER_WAIT_MS = 2000, CURSOR_SIZE = PEER_NAME_SIZE + 24, DEFAULT_LIMIT = 100 };

/* ---- the answer ---- */

static json_t *text_or_null(const char *text, bool there)
{
	return there && *text ? json_string(text) : json_null();
}

static json_t *session_json(const char *broker, const struct feed_session *s)
{
	static const char *const protocols[] = {[3] = "3.1", [4] = "3.1.1", [5] = "5"};
	return json_pack("{s:o, s:o, s:s, s:s, s:s, s:I, s:o, s:s}", "thing",
			 text_or_null(s->name, !s->service), "service", text_or_null(s->name, s->service),
			 "client_id", s->client_id, "certificateId", s->certificate_id, "broker", broker,
			 "connected_ms", (json_int_t)(s->since_us / 1000), "address",
			 text_or_null(s->address, true), "protocol", protocols[s->protocol]);
}

static json_t *broker_json(const struct feed_page *p)
{
	static const char *const states[] = {"answered", "silent", "lost", "outdated"};
	return json_pack("{s:s, s:s, s:o}", "name", p->broker, "state", states[p->answer], "sessions",
			 p->answer == FEED_ANSWERED ? json_integer(p->live) : json_null());
}

/* Broker by broker in order of their names, until the page is full: where it ended is the next one's beginning. */
struct listing {
	json_t *sessions, *brokers;
	size_t room;
	char next[CURSOR_SIZE]; /* "": it is the last page */
	bool failed;
};

static void add_page(struct listing *l, const struct feed_page *p)
{
	size_t taken = 0;
	l->failed |= json_array_append_new(l->brokers, broker_json(p)) != 0;
	if (*l->next)
		return;
	for (; taken < p->count && l->room; taken++, l->room--)
		l->failed |=
			json_array_append_new(l->sessions, session_json(p->broker, &p->sessions[taken])) != 0;
	if (taken && (p->more || taken < p->count))
		snprintf(l->next, sizeof l->next, "%s:%" PRId64, p->broker, p->sessions[taken - 1].since_us);
	else if (p->count && !taken)
		snprintf(l->next, sizeof l->next, "%s:0", p->broker);
}

static void on_asked(const struct feed_page *pages, size_t count, const struct fault *f, void *arg)
{
	struct admin_request *a = arg;
	if (f) {
		admin_refuse(a, f);
		return;
	}
	struct listing l = {.sessions = json_array(), .brokers = json_array(), .room = (size_t)a->page_limit};
	for (size_t i = 0; i < count; i++)
		add_page(&l, &pages[i]);
	json_t *answer = json_pack("{s:o, s:s?, s:o}", "sessions", l.sessions, "next",
				   *l.next ? l.next : NULL, "brokers", l.brokers);
	if (l.failed) {
		json_decref(answer);
		answer = NULL;
	}
	admin_answer(a, answer);
}

/* ---- the question ---- */

/* "broker:number", as `next` of the page before. */
static outcome take_cursor(const char *text, char broker[PEER_NAME_SIZE], int64_t *after_us, struct fault *f)
{
	const char *colon = strrchr(text, ':');
	char *end = NULL;
	if (colon && colon > text && colon - text < PEER_NAME_SIZE && strspn(colon + 1, "0123456789") > 0) {
		snprintf(broker, PEER_NAME_SIZE, "%.*s", (int)(colon - text), text);
		*after_us = strtoll(colon + 1, &end, 10);
	}
	return end && !*end ? DONE
			    : refuse(f, REASON_BAD_FIELD, "after: the next of the page before is required");
}

static outcome take_text(const struct scgi_request *r, const char *name, char *out, size_t room,
			 struct fault *f)
{
	*out = '\0';
	if (!scgi_query_has(r, name) || (scgi_query_get(r, name, out, room) && *out))
		return DONE;
	return refuse(f, REASON_BAD_FIELD, "%s: a name is required", name);
}

void admin_sessions(struct admin_request *a)
{
	char broker[PEER_NAME_SIZE], thing[FEED_NAME_MAX + 1], cursor[CURSOR_SIZE],
		after[PEER_NAME_SIZE] = "";
	struct feed_question q = {
		.broker = broker, .name = thing, .after_broker = after, .wait_ms = ANSWER_WAIT_MS};
	struct fault f;
	outcome o =
		scgi_query_number(a->request, "limit", FEED_SESSIONS_MAX, DEFAULT_LIMIT, &a->page_limit, &f);
	if (o.ok)
		o = take_text(a->request, "thing", thing, sizeof thing, &f);
	if (o.ok)
		o = take_text(a->request, "broker", broker, sizeof broker, &f);
	if (o.ok)
		o = take_text(a->request, "after", cursor, sizeof cursor, &f);
	if (o.ok && *cursor)
		o = take_cursor(cursor, after, &q.after_us, &f);
	if (!o.ok) {
		admin_refuse(a, &f);
		return;
	}
	a->page_limit = a->page_limit ? a->page_limit : 1;
	q.limit = (size_t)a->page_limit;
	feed_ask(a->gateway->feed, &q, on_asked, a);
}
