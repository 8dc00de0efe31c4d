#include "admin_internal.h"

#include <inttypes.h>
#include <stdio.h>

static void on_entries(const struct log_entry *entries, size_t count, const struct fault *f, void *arg)
{
	if (f)
		admin_refuse(arg, f);
	else
		admin_answer(arg, json_pack("{s:o}", "entries", admin_json_entries(entries, count)));
}

void admin_explain(struct admin_request *a)
{
	struct store_log_query q = {.request_id = a->name};
	store_log(a->gateway->store, &q, on_entries, a);
}

static bool take_page(struct admin_request *a, int64_t *after)
{
	struct fault f;
	outcome o = scgi_query_number(a->request, "after", INT64_MAX, 0, after, &f);
	if (o.ok)
		o = scgi_query_number(a->request, "limit", STORE_PAGE_MAX, STORE_PAGE_MAX, &a->page_limit,
				      &f);
	if (!o.ok)
		admin_refuse(a, &f);
	return o.ok;
}

void admin_log(struct admin_request *a)
{
	struct store_log_query q = {0};
	struct fault f;
	if (!take_page(a, &q.after))
		return;
	q.limit = (size_t)a->page_limit;
	if (scgi_query_number(a->request, "last", INT32_MAX, 0, &q.last, &f).ok)
		store_log(a->gateway->store, &q, on_entries, a);
	else
		admin_refuse(a, &f);
}

/* ---- alarms ---- */

static void on_alarms(const struct store_alarm *alarms, size_t count, const struct fault *f, void *arg)
{
	struct admin_request *a = arg;
	char next[24];
	if (f) {
		admin_refuse(a, f);
		return;
	}
	json_t *list = json_array();
	for (size_t i = 0; i < count; i++) {
		json_t *alarm = admin_json_entry(&alarms[i].entry);
		json_object_set_new(alarm, "device_state", json_string(alarms[i].device_state));
		json_array_append_new(list, alarm);
	}
	snprintf(next, sizeof next, "%" PRId64, count ? alarms[count - 1].entry.seq : 0);
	admin_answer(a, json_pack("{s:o, s:s?}", "alarms", list, "next",
				  count && (int64_t)count == a->page_limit ? next : NULL));
}

static bool take_filter(struct admin_request *a, struct store_alarm_query *q, char *kind, size_t room)
{
	struct fault f;
	int64_t since;
	outcome o = scgi_query_number(a->request, "since", INT64_MAX / 1000, 0, &since, &f);
	if (o.ok && scgi_query_has(a->request, "kind") &&
	    (!scgi_query_get(a->request, "kind", kind, room) || !reason_find(kind)))
		o = refuse(&f, REASON_BAD_FIELD, "kind: a reason code such as equivocation is required");
	q->since_ms = o.ok ? since * 1000 : 0;
	if (!o.ok)
		admin_refuse(a, &f);
	return o.ok;
}

void admin_alarms(struct admin_request *a)
{
	struct store_alarm_query q = {0};
	char kind[64] = "";
	if (!take_page(a, &q.after) || !take_filter(a, &q, kind, sizeof kind))
		return;
	q.limit = (size_t)a->page_limit;
	q.reason = kind;
	store_alarms(a->gateway->store, &q, on_alarms, a);
}
