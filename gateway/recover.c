#include "recover.h"

#include "common/log.h"
#include "gateway/signer_client.h"

#include <event2/event_struct.h>
#include <stdlib.h>
#include <string.h>

enum { RETRY_S = 1 };

/* ---- one intent ---- */

struct settle {
	struct worker *worker;
	uint8_t intent[INTENT_ID_SIZE];
	void (*done)(const struct fault *f, void *arg);
	void *arg;
	struct fault fault;
};

static void finish(struct settle *s, const struct fault *f)
{
	s->done(f, s->arg);
	free(s);
}

/* A certificate that may not be handed out any more settles its intent as well: the store has it on record. */
static void on_recorded(const struct store_recorded *answer, const struct fault *f, void *arg)
{
	finish(arg, answer ? NULL : f);
}

static void on_closed(const struct fault *f, void *arg)
{
	finish(arg, f);
}

static outcome usable(const struct settle *s, const struct signer_answer *answer, const struct fault *f,
		      struct fault *out)
{
	if (f)
		*out = *f;
	else if (answer->status == SIGNER_REFUSED)
		*out = answer->refusal;
	else if (s->worker->stopping)
		return refuse(out, REASON_OVERLOADED, "the gateway is stopping");
	else
		return DONE;
	return (outcome){false};
}

static void on_voided(const struct signer_answer *answer, const struct fault *f, void *arg)
{
	struct settle *s = arg;
	struct store *store = s->worker->gateway->store;
	struct fault why;
	if (!usable(s, answer, f, &why).ok)
		finish(s, &why);
	else if (answer->certificate.n) /* it was signed after all */
		store_record(store, s->intent, answer->certificate, on_recorded, s);
	else
		store_void(store, s->intent, on_closed, s);
}

static void on_unsent(void *arg)
{
	struct settle *s = arg;
	finish(s, &s->fault);
}

static void ask(struct settle *s, enum signer_op op, signer_done *done)
{
	struct signer_request request = {.op = op};
	memcpy(request.intent, s->intent, INTENT_ID_SIZE);
	if (!signer_client_send(s->worker->signer, &request, done, s, &s->fault).ok)
		loop_post(s->worker->loop, on_unsent, s);
}

static void on_found(const struct signer_answer *answer, const struct fault *f, void *arg)
{
	struct settle *s = arg;
	struct fault why;
	if (!usable(s, answer, f, &why).ok)
		finish(s, &why);
	else if (answer->status == SIGNER_OK && answer->certificate.n)
		store_record(s->worker->gateway->store, s->intent, answer->certificate, on_recorded, s);
	else
		ask(s, SIGNER_VOID, on_voided);
}

void recover_settle(struct worker *w, const uint8_t intent[INTENT_ID_SIZE],
		    void (*done)(const struct fault *f, void *arg), void *arg)
{
	struct settle *s = calloc(1, sizeof *s);
	if (!s)
		abort(); /* nobody could be told */
	s->worker = w;
	s->done = done;
	s->arg = arg;
	memcpy(s->intent, intent, INTENT_ID_SIZE);
	ask(s, SIGNER_FIND, on_found);
}

/* ---- all of them, at start ---- */

struct recover {
	struct worker *worker;
	struct event timer;
	bool listed;
	uint8_t (*intents)[INTENT_ID_SIZE];
	size_t count, next;
};

static void settle_next(struct recover *r);

static void try_later(struct recover *r, const struct fault *f)
{
	struct timeval wait = {.tv_sec = RETRY_S};
	if (r->worker->stopping)
		return;
	log_fault(LOG_LEVEL_WARN, NULL, f, "what an earlier run left open cannot be settled yet");
	event_add(&r->timer, &wait);
}

static void on_settled(const struct fault *f, void *arg)
{
	struct recover *r = arg;
	if (f) {
		try_later(r, f);
		return;
	}
	r->next++;
	settle_next(r);
}

static void settle_next(struct recover *r)
{
	if (r->next < r->count) {
		recover_settle(r->worker, r->intents[r->next], on_settled, r);
		return;
	}
	log_line(LOG_LEVEL_INFO, NULL, "settled %zu intents of an earlier run", r->count);
	atomic_store(&r->worker->gateway->recovered, true);
}

static void on_listed(const struct store_intent *intents, size_t count, const struct fault *f, void *arg)
{
	struct recover *r = arg;
	struct fault none;
	r->intents = calloc(count + 1, sizeof *r->intents);
	if (!f && !r->intents) {
		refuse(&none, REASON_NO_MEMORY, "no memory for %zu intents", count);
		f = &none;
	}
	if (f) {
		free(r->intents);
		r->intents = NULL;
		try_later(r, f);
		return;
	}
	r->listed = true;
	r->count = count;
	for (size_t i = 0; i < count; i++)
		memcpy(r->intents[i], intents[i].id, INTENT_ID_SIZE);
	settle_next(r);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct recover *r = arg;
	(void)fd, (void)what;
	if (r->listed)
		settle_next(r);
	else
		store_open_intents(r->worker->gateway->store, on_listed, r);
}

outcome recover_start(struct worker *w, struct recover **out, struct fault *f)
{
	struct recover *r = calloc(1, sizeof *r);
	if (!r)
		return refuse(f, REASON_NO_MEMORY, "no memory to settle what is open");
	r->worker = w;
	event_assign(&r->timer, loop_base(w->loop), -1, 0, on_timer, r);
	*out = r;
	on_timer(-1, 0, r);
	return DONE;
}

void recover_free(struct recover *r)
{
	if (!r)
		return;
	event_del(&r->timer);
	free(r->intents);
	free(r);
}
