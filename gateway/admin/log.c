#include "admin_internal.h"

#include <stdlib.h>

static void answer_entries(struct admin_request *a, const char *member, const struct log_entry *entries,
			   size_t count, const struct fault *f)
{
	if (f)
		admin_refuse(a, f);
	else
		admin_answer(a, json_pack("{s:o}", member, admin_json_entries(entries, count)));
}

static void on_entries(const struct log_entry *entries, size_t count, const struct fault *f, void *arg)
{
	answer_entries(arg, "entries", entries, count, f);
}

static void on_alarms(const struct log_entry *entries, size_t count, const struct fault *f, void *arg)
{
	answer_entries(arg, "alarms", entries, count, f);
}

void admin_explain(struct admin_request *a)
{
	struct store_log_query q = {.request_id = a->name};
	store_log(a->gateway->store, &q, on_entries, a);
}

static bool take_page(struct admin_request *a, struct store_log_query *q)
{
	struct fault f;
	int64_t limit;
	outcome o = scgi_query_number(a->request, "after", INT64_MAX, 0, &q->after, &f);
	if (o.ok)
		o = scgi_query_number(a->request, "limit", STORE_PAGE_MAX, STORE_PAGE_MAX, &limit, &f);
	if (o.ok)
		q->limit = (size_t)limit;
	else
		admin_refuse(a, &f);
	return o.ok;
}

void admin_log(struct admin_request *a)
{
	struct store_log_query q = {0};
	struct fault f;
	if (!take_page(a, &q))
		return;
	if (scgi_query_number(a->request, "last", INT32_MAX, 0, &q.last, &f).ok)
		store_log(a->gateway->store, &q, on_entries, a);
	else
		admin_refuse(a, &f);
}

static bool take_filter(struct admin_request *a, struct store_log_query *q, char *kind, size_t room)
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
	struct store_log_query q = {.alarms = true};
	char kind[64] = "";
	if (!take_page(a, &q) || !take_filter(a, &q, kind, sizeof kind))
		return;
	q.reason = kind;
	store_log(a->gateway->store, &q, on_alarms, a);
}
