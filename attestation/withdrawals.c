#include "withdrawals.h"

#include "common/crypto/jws.h"
#include "common/scgi/scgi_json.h"

#include <event2/event_struct.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct withdrawals {
	pthread_mutex_t lock; /* guards the list of workers */
	struct worker **workers;
	unsigned count, room;
	atomic_bool stopping;
};

struct parked {
	struct worker *worker;
	struct scgi_request *request;
	int64_t after;
	struct event deadline;
	struct parked *next, **link;
};

struct withdrawals *withdrawals_new(unsigned workers)
{
	struct withdrawals *w = calloc(1, sizeof *w);
	if (w && !(w->workers = calloc(workers, sizeof(struct worker *)))) {
		free(w);
		w = NULL;
	}
	if (!w)
		return NULL;
	pthread_mutex_init(&w->lock, NULL);
	w->room = workers;
	return w;
}

void withdrawals_free(struct withdrawals *w)
{
	if (!w)
		return;
	pthread_mutex_destroy(&w->lock);
	free(w->workers);
	free(w);
}

void withdrawals_attach(struct withdrawals *w, struct worker *worker)
{
	pthread_mutex_lock(&w->lock);
	if (w->count < w->room)
		w->workers[w->count++] = worker;
	pthread_mutex_unlock(&w->lock);
}

static json_t *payload_of(const struct withdrawal *w)
{
	char id[INSTANCE_ID_HEX], mark[HEX_SIZE(WITHDRAWAL_MARK_SIZE)];
	hex_encode(bytes_of(w->instance_id, INSTANCE_ID_SIZE), id);
	hex_encode(bytes_of(w->mark, WITHDRAWAL_MARK_SIZE), mark);
	return json_pack("{sI sI ss ss ss ss sb}", "seq", (json_int_t)w->seq, "time", (json_int_t)w->time,
			 "instance_id", id, "state", w->suspended ? "suspended" : "active", "reason",
			 w->reason, "mark", mark, "superseded", w->superseded);
}

static outcome sign(struct worker *worker, const struct withdrawal *w, json_t *entries, struct fault *f)
{
	char *jws = NULL;
	json_t *payload = payload_of(w);
	outcome r = payload ? jws_sign(payload, worker->ear, worker->service->keys.ear_id,
				       "mooring-withdrawal+jwt", &jws, f)
			    : refuse(f, REASON_OVERLOADED, "no memory for a withdrawal");
	if (r.ok && json_array_append_new(entries, json_string(jws)))
		r = refuse(f, REASON_OVERLOADED, "no memory for a withdrawal");
	free(jws);
	json_decref(payload);
	return r;
}

static outcome read_after(struct worker *worker, int64_t after, json_t *entries, int64_t *last,
			  struct fault *f)
{
	size_t count = 0;
	struct withdrawal *list = calloc(WITHDRAWALS_A_TIME, sizeof *list);
	if (!list || !entries) {
		free(list);
		return refuse(f, REASON_OVERLOADED, "no memory for withdrawals");
	}
	outcome r = records_withdrawals(&worker->records, after, list, WITHDRAWALS_A_TIME, &count, last, f);
	for (size_t i = 0; r.ok && i < count; i++)
		r = sign(worker, &list[i], entries, f);
	if (r.ok && count)
		*last = list[count - 1].seq;
	free(list);
	return r;
}

/* True when the request was answered; false where there is nothing to say and `wait` allows to say nothing. */
static bool try_answer(struct worker *worker, struct scgi_request *r, int64_t after, bool wait)
{
	struct fault f;
	int64_t last = 0;
	json_t *entries = json_array();
	outcome o = read_after(worker, after, entries, &last, &f);
	/* A number that was never given out is told at once: the asker's memory is of another life of this
	 * service. */
	if (o.ok && wait && !json_array_size(entries) && last == after) {
		json_decref(entries);
		return false;
	}
	if (o.ok) {
		scgi_json_answer(r, 200, "application/json",
				 json_pack("{so sI}", "entries", entries, "last", (json_int_t)last));
	} else {
		json_decref(entries);
		scgi_answer_problem(r, &f);
	}
	return true;
}

static void unpark(struct parked *p)
{
	event_del(&p->deadline);
	*p->link = p->next;
	if (p->next)
		p->next->link = p->link;
	p->worker->parked_count--;
	free(p);
}

static void answer_parked(struct parked *p, bool wait)
{
	if (try_answer(p->worker, p->request, p->after, wait))
		unpark(p);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	answer_parked(arg, false);
}

static bool park(struct worker *worker, struct scgi_request *r, int64_t after, int wait_s)
{
	struct timeval t = {.tv_sec = wait_s};
	struct parked *p = worker->parked_count < PARKED_MAX ? calloc(1, sizeof *p) : NULL;
	if (!p)
		return false;
	*p = (struct parked){.worker = worker,
			     .request = r,
			     .after = after,
			     .next = worker->parked,
			     .link = &worker->parked};
	if (p->next)
		p->next->link = &p->next;
	worker->parked = p;
	worker->parked_count++;
	event_assign(&p->deadline, loop_base(worker->loop), -1, 0, on_deadline, p);
	event_add(&p->deadline, &t);
	return true;
}

static void look_again(void *arg)
{
	struct worker *worker = arg;
	bool wait = !atomic_load(&worker->service->withdrawals->stopping);
	for (struct parked *p = worker->parked, *next; p; p = next) {
		next = p->next;
		answer_parked(p, wait);
	}
}

void withdrawals_wake(void *arg)
{
	struct withdrawals *w = arg;
	pthread_mutex_lock(&w->lock);
	for (unsigned i = 0; i < w->count; i++)
		loop_post(w->workers[i]->loop, look_again, w->workers[i]);
	pthread_mutex_unlock(&w->lock);
}

void withdrawals_stop(struct withdrawals *w)
{
	atomic_store(&w->stopping, true);
	withdrawals_wake(w);
}

/* Whoever asks has read the entry before from this list, and not from what it was before a copy was put back. */
static outcome check_mark(struct worker *worker, const struct scgi_request *r, int64_t after, struct fault *f)
{
	char text[HEX_SIZE(WITHDRAWAL_MARK_SIZE)];
	uint8_t mark[WITHDRAWAL_MARK_SIZE];
	size_t n = 0;
	bool known;
	if (!scgi_query_has(r, "mark"))
		return DONE;
	if (!scgi_query_get(r, "mark", text, sizeof text) ||
	    !hex_decode(text, strlen(text), mark, sizeof mark, &n) || n != sizeof mark)
		return refuse(f, REASON_BAD_FIELD, "mark: not %zu bytes in hexadecimal", sizeof mark);
	outcome o = records_withdrawal_known(&worker->records, after, mark, &known, f);
	if (!o.ok || known)
		return o;
	return refuse(f, REASON_CONFLICT,
		      "entry %lld of this list is another one, or not there: read it from the start",
		      (long long)after);
}

void withdrawals_get(struct worker *worker, struct scgi_request *r)
{
	struct fault f;
	int64_t after, wait_s;
	outcome o = scgi_query_number(r, "after", INT64_MAX, 0, &after, &f);
	if (o.ok)
		o = scgi_query_number(r, "wait", WITHDRAWALS_WAIT_MAX_S, 0, &wait_s, &f);
	if (o.ok)
		o = check_mark(worker, r, after, &f);
	if (!o.ok) {
		scgi_answer_problem(r, &f);
		return;
	}
	bool wait = wait_s > 0 && !atomic_load(&worker->service->withdrawals->stopping);
	if (try_answer(worker, r, after, wait) || park(worker, r, after, (int)wait_s))
		return;
	try_answer(worker, r, after, false);
}
