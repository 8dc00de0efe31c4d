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
	if (take_page(a, &q))
		store_log(a->gateway->store, &q, on_entries, a);
}

void admin_alarms(struct admin_request *a)
{
	struct store_log_query q = {.alarms = true};
	if (take_page(a, &q))
		store_log(a->gateway->store, &q, on_alarms, a);
}
