#include "admin_internal.h"

#include <stdlib.h>
#include <string.h>

/* ---- what a change has come to ---- */

static json_t *number_or_null(int64_t n)
{
	return n < 0 ? json_null() : json_integer(n);
}

static json_t *brokers_json(const struct feed_broker *brokers, size_t count, bool *effective)
{
	static const char *const states[] = {"effective", "pending", "lost"};
	json_t *list = json_array();
	*effective = true;
	for (size_t i = 0; list && i < count; i++) {
		const struct feed_broker *b = &brokers[i];
		*effective &= b->state == FEED_BROKER_EFFECTIVE;
		json_t *one =
			json_pack("{s:s, s:s, s:o, s:o}", "name", b->name, "state", states[b->state], "lag_s",
				  number_or_null(b->lag_s), "effective_ms", number_or_null(b->effective_ms));
		if (json_array_append_new(list, one)) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

/* What was there before had its own way to the brokers: how long that took is not known any more. */
static void add_before(json_t *answer, const struct store_changed *change)
{
	json_t *broker;
	size_t i;
	json_object_set_new(answer, "already", json_boolean(change->already));
	if (!change->already)
		return;
	json_object_set_new(answer, "reason", json_string(change->reason));
	json_object_set_new(answer, "actor", json_string(change->actor));
	json_array_foreach(json_object_get(answer, "brokers"), i, broker)
		json_object_set_new(broker, "effective_ms", json_null());
}

json_t *admin_json_change(const struct admin_request *a, const struct feed_broker *brokers, size_t count)
{
	bool effective;
	json_t *list = brokers_json(brokers, count, &effective);
	json_t *answer = json_pack("{s:I, s:I, s:I, s:b, s:o}", "seq", (json_int_t)a->change.seq,
				   "recorded_at_ms", (json_int_t)a->change.recorded_at_ms, "certificates",
				   (json_int_t)a->change.count, "effective", effective, "brokers", list);
	if (answer)
		add_before(answer, &a->change);
	if (answer && a->findings)
		json_object_set(answer, "findings", a->findings);
	if (answer && *a->certificate_id)
		json_object_set_new(answer, "certificateId", json_string(a->certificate_id));
	return answer;
}

void admin_answer_change(struct admin_request *a, const struct feed_broker *brokers, size_t count)
{
	admin_answer(a, admin_json_change(a, brokers, count));
}

static void on_waited(const struct feed_broker *brokers, size_t count, void *arg)
{
	struct admin_request *a = arg;
	json_t *answer = admin_json_change(a, brokers, count);
	json_decref(a->findings);
	admin_answer(a, answer);
}

void admin_changed(const struct store_changed *answer, const struct fault *f, void *arg)
{
	struct admin_request *a = arg;
	if (f) {
		json_decref(a->findings);
		admin_refuse(a, f);
		return;
	}
	a->change = *answer;
	feed_wait(a->gateway->feed, &a->change, a->wait_ms, on_waited, a);
}

/* ---- how far a change has come ---- */

static void on_watched(const struct feed_broker *brokers, size_t count, void *arg)
{
	struct admin_request *a = arg;
	bool effective;
	json_t *list = brokers_json(brokers, count, &effective);
	admin_answer(a, json_pack("{s:I, s:b, s:o}", "seq", (json_int_t)a->change.seq, "effective", effective,
				  "brokers", list));
}

static outcome take_seq(struct admin_request *a, struct fault *f)
{
	struct store_stats stats;
	char *end;
	store_stats(a->gateway->store, &stats);
	a->change.seq = strtoll(a->name, &end, 10);
	if (strspn(a->name, "0123456789") == 0 || *end || a->change.seq < 1 || a->change.seq > stats.last_seq)
		return refuse(f, REASON_NOT_FOUND, "the log has no entry of this number");
	return DONE;
}

void admin_change(struct admin_request *a)
{
	struct fault f;
	int64_t known;
	outcome o = take_seq(a, &f);
	if (o.ok)
		o = scgi_query_number(a->request, "known", INT32_MAX, 0, &known, &f);
	if (o.ok)
		o = scgi_query_number(a->request, "wait_ms", ADMIN_WAIT_MAX_MS, 0, &a->wait_ms, &f);
	if (o.ok)
		feed_watch(a->gateway->feed, a->change.seq, known, a->wait_ms, on_watched, a);
	else
		admin_refuse(a, &f);
}

/* ---- devices ---- */

static bool take_body(struct admin_request *a, bool reason_required)
{
	static const char *const members[] = {"reason", "wait_ms", NULL};
	struct fault f;
	json_t *body;
	outcome o = admin_body(a, members, &body, &f);
	if (o.ok)
		o = admin_take_common(a, body, reason_required, &f);
	json_decref(body);
	if (!o.ok)
		admin_refuse(a, &f);
	return o.ok;
}

bool admin_take_nothing(struct admin_request *a)
{
	static const char *const members[] = {"wait_ms", NULL};
	struct fault f;
	json_t *body;
	outcome o = admin_body(a, members, &body, &f);
	if (o.ok)
		o = admin_take_common(a, body, false, &f);
	json_decref(body);
	if (!o.ok)
		admin_refuse(a, &f);
	return o.ok;
}

void admin_revoke(struct admin_request *a)
{
	if (take_body(a, true))
		store_revoke(a->gateway->store, &a->who, a->name, a->reason, admin_changed, a);
}

void admin_suspend(struct admin_request *a)
{
	if (take_body(a, true))
		store_suspend(a->gateway->store, &a->who, a->name, a->reason, admin_changed, a);
}

void admin_resume(struct admin_request *a)
{
	if (take_body(a, false))
		store_resume(a->gateway->store, &a->who, a->name, admin_changed, a);
}

void admin_allow_reenrol(struct admin_request *a)
{
	if (take_body(a, true))
		store_allow_reenrol(a->gateway->store, &a->who, a->name, a->reason, admin_changed, a);
}

void admin_epoch_raise(struct admin_request *a)
{
	if (take_body(a, true))
		store_epoch_raise(a->gateway->store, &a->who, a->reason, admin_changed, a);
}
