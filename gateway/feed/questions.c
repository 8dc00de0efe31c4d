/*
 * Questions to the brokers: who is connected? Each is put on the streams that are live, and is over when all have
 * answered or nobody else can. What a broker says is kept until then, a page of each: the number of questions at once and
 * of sessions in a page bound what that is.
 */
#include "feed_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { QUESTIONS_MAX = 32 };

/* A broker and a question. */
struct asked {
	char name[PEER_NAME_SIZE];
	bool waiting; /* for its answer */
	bool put;     /* on its stream */
	struct page page;
};

struct question {
	struct question *next, **link;
	struct feed *feed;
	struct event timer;
	uint8_t id[FEED_QUESTION_SIZE];
	struct feed_question what; /* its texts are the ones below */
	char broker[PEER_NAME_SIZE], name[STORE_NAME_SIZE], after_broker[PEER_NAME_SIZE];
	struct asked *asked;
	size_t count;
	struct loop *loop;
	feed_asked *done;
	void *arg;
	struct feed_page *answer;
	bool refused;
	struct fault fault;
};

void page_free(struct page *p)
{
	free(p->sessions);
	json_decref(p->root);
	*p = (struct page){0};
}

/* ---- the end ---- */

static void run_answer(void *arg)
{
	struct question *q = arg;
	for (size_t i = 0; i < q->count; i++) {
		q->answer[i] = q->asked[i].page.seen;
		q->answer[i].broker = q->asked[i].name;
	}
	q->done(q->answer, q->refused ? 0 : q->count, q->refused ? &q->fault : NULL, q->arg);
	for (size_t i = 0; i < q->count; i++)
		page_free(&q->asked[i].page);
	free(q->answer);
	free(q->asked);
	free(q);
}

static void finish(struct question *q)
{
	event_del(&q->timer);
	if (q->link) {
		*q->link = q->next;
		if (q->next)
			q->next->link = q->link;
		q->feed->question_count--;
	}
	loop_post(q->loop, run_answer, q);
}

static bool is_over(const struct question *q)
{
	for (size_t i = 0; i < q->count; i++)
		if (q->asked[i].waiting)
			return false;
	return true;
}

static void settle(struct asked *a, enum feed_answer answer)
{
	a->waiting = false;
	a->page.seen.answer = answer;
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	finish(arg);
}

void questions_finish_all(struct feed *feed)
{
	while (feed->questions)
		finish(feed->questions);
}

/* ---- asking ---- */

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct asked *)a)->name, ((const struct asked *)b)->name);
}

static bool concerns(const struct question *q, const struct broker *b)
{
	if (b->gone || (*q->broker && strcmp(q->broker, b->name) != 0))
		return false;
	return strcmp(b->name, q->after_broker) >= 0;
}

static void list_brokers(struct question *q)
{
	size_t room = 1;
	for (const struct broker *b = q->feed->brokers; b; b = b->next)
		room++;
	q->asked = calloc(room, sizeof *q->asked);
	q->answer = calloc(room, sizeof *q->answer);
	if (!q->asked || !q->answer)
		abort();
	for (const struct broker *b = q->feed->brokers; b; b = b->next)
		if (concerns(q, b))
			memcpy(q->asked[q->count++].name, b->name, PEER_NAME_SIZE);
	qsort(q->asked, q->count, sizeof *q->asked, by_name);
}

static void put(struct question *q, struct asked *a, struct stream *s)
{
	struct buf record = {0};
	bool goes_on = !strcmp(a->name, q->after_broker);
	const struct feed_record what = {.question = bytes_of(q->id, sizeof q->id),
					 .after_us = goes_on ? q->what.after_us : 0,
					 .limit = (int64_t)q->what.limit,
					 .name = bytes_str(q->name)};
	feed_put_sessions(&record, &what);
	if (record.failed)
		abort();
	a->put = true;
	stream_ask(s, &record);
	buf_free(&record);
}

/* Asking can end a stream. */
static void ask(struct question *q, struct asked *a)
{
	const struct broker *b = broker_find(q->feed, a->name);
	a->page.seen.answer = FEED_SILENT;
	a->waiting = true;
	if (b->stream && b->stream->version < FEED_VERSION_QUESTIONS)
		settle(a, FEED_OUTDATED);
	else if (b->stream && b->stream->state == STREAM_LIVE)
		put(q, a, b->stream);
	if (!b->stream)
		settle(a, FEED_ABSENT);
}

static void link_question(struct question *q)
{
	struct feed *feed = q->feed;
	struct timeval deadline = {.tv_sec = q->what.wait_ms / 1000,
				   .tv_usec = q->what.wait_ms % 1000 * 1000};
	q->link = &feed->questions;
	if ((q->next = feed->questions))
		q->next->link = &q->next;
	feed->questions = q;
	feed->question_count++;
	event_add(&q->timer, &deadline);
}

static void run_ask(void *arg)
{
	struct question *q = arg;
	struct feed *feed = q->feed;
	event_assign(&q->timer, loop_base(feed->loop), -1, 0, on_deadline, q);
	q->refused = feed->quiet || feed->question_count >= QUESTIONS_MAX;
	if (q->refused) {
		refuse(&q->fault, REASON_OVERLOADED, "%d questions to the brokers are open", QUESTIONS_MAX);
		finish(q);
		return;
	}
	list_brokers(q);
	for (size_t i = 0; i < q->count; i++)
		ask(q, &q->asked[i]);
	if (is_over(q))
		finish(q);
	else
		link_question(q);
}

void feed_ask(struct feed *feed, const struct feed_question *what, feed_asked *done, void *arg)
{
	struct question *q = calloc(1, sizeof *q);
	if (!q)
		abort();
	q->feed = feed;
	q->what = *what;
	snprintf(q->broker, sizeof q->broker, "%s", what->broker);
	snprintf(q->name, sizeof q->name, "%s", what->name);
	snprintf(q->after_broker, sizeof q->after_broker, "%s", what->after_broker);
	crypto_random(q->id, sizeof q->id);
	q->loop = loop_current();
	q->done = done;
	q->arg = arg;
	loop_post(feed->loop, run_ask, q);
}

/* ---- what becomes of it ---- */

static struct asked *asked_of(struct question *q, const struct broker *b)
{
	for (size_t i = 0; i < q->count; i++)
		if (q->asked[i].waiting && !strcmp(q->asked[i].name, b->name))
			return &q->asked[i];
	return NULL;
}

outcome question_take(struct feed *feed, const struct broker *b, const uint8_t id[FEED_QUESTION_SIZE],
		      struct page *page, struct fault *f)
{
	struct question *q = feed->questions;
	while (q && memcmp(q->id, id, FEED_QUESTION_SIZE) != 0)
		q = q->next;
	struct asked *a = q ? asked_of(q, b) : NULL;
	if (!a)
		return refuse(f, REASON_NOT_FOUND,
			      "question: nobody waits for an answer of broker %s to this one", b->name);
	if (page->seen.count > q->what.limit)
		return refuse(f, REASON_BAD_FIELD, "sessions: %zu, where %zu were asked for",
			      page->seen.count, q->what.limit);
	a->page = *page;
	*page = (struct page){0};
	settle(a, FEED_ANSWERED);
	if (is_over(q))
		finish(q);
	return DONE;
}

/* The first question that its broker has not been asked. */
static struct question *unasked(struct stream *s, struct asked **out)
{
	for (struct question *q = s->feed->questions; q; q = q->next)
		if ((*out = asked_of(q, s->broker)) && !(*out)->put)
			return q;
	return NULL;
}

void questions_stream_live(struct stream *s)
{
	struct asked *a;
	for (struct question *q; s->outlet && (q = unasked(s, &a));)
		put(q, a, s);
}

void questions_stream_gone(struct feed *feed, const struct broker *b)
{
	for (struct question *q = feed->questions, *next; q; q = next) {
		struct asked *a = asked_of(q, b);
		next = q->next;
		if (!a)
			continue;
		settle(a, FEED_ABSENT);
		if (is_over(q))
			finish(q);
	}
}
