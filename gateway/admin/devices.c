#include "admin_internal.h"

#include <stdlib.h>

/* ---- lists ---- */

static json_t *list_json(const struct store_device *devices, size_t count)
{
	json_t *list = json_array();
	for (size_t i = 0; list && i < count; i++) {
		if (json_array_append_new(list, admin_json_device(&devices[i]))) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static void on_devices(const struct store_device *devices, size_t count, const struct fault *f, void *arg)
{
	struct admin_request *a = arg;
	if (f) {
		admin_refuse(a, f);
		return;
	}
	/* A page that is full may be the last one; then the next is empty. */
	admin_answer(a, json_pack("{s:o, s:s?}", "devices", list_json(devices, count), "next",
				  (int64_t)count == a->page_limit ? devices[count - 1].thing : NULL));
}

void admin_devices(struct admin_request *a)
{
	char state[16] = "", after[ROUTE_NAME_SIZE] = "";
	struct fault f;
	int64_t limit;
	outcome o = scgi_query_number(a->request, "limit", STORE_PAGE_MAX, 100, &limit, &f);
	if (o.ok && scgi_query_has(a->request, "state") &&
	    !scgi_query_get(a->request, "state", state, sizeof state))
		o = refuse(&f, REASON_BAD_FIELD, "state: active, suspended or revoked");
	if (o.ok && scgi_query_has(a->request, "after") &&
	    !scgi_query_get(a->request, "after", after, sizeof after))
		o = refuse(&f, REASON_BAD_FIELD, "after: the name of a thing");
	if (!o.ok) {
		admin_refuse(a, &f);
		return;
	}
	a->page_limit = limit ? limit : 1;
	struct store_device_query q = {
		.state = *state ? state : NULL, .after = after, .limit = (size_t)a->page_limit};
	store_devices(a->gateway->store, &q, on_devices, a);
}

/* ---- one ---- */

static json_t *certificates_json(const struct store_dossier *d)
{
	json_t *list = json_array();
	for (size_t i = 0; list && i < d->certificate_count; i++) {
		if (json_array_append_new(list, admin_json_certificate(&d->certificates[i]))) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static void on_device(const struct store_dossier *d, const struct fault *f, void *arg)
{
	struct admin_request *a = arg;
	if (f)
		admin_refuse(a, f);
	else
		admin_answer(a, json_pack("{s:o, s:o, s:o}", "device", admin_json_device(&d->device),
					  "certificates", certificates_json(d), "history",
					  admin_json_entries(d->history, d->history_count)));
}

void admin_device(struct admin_request *a)
{
	store_device(a->gateway->store, a->name, on_device, a);
}
