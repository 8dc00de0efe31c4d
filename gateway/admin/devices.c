#include "admin_internal.h"

#include "gateway/provenance/provenance.h"

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

static json_t *stage_json(const struct store_built *b, size_t i, const struct book *book)
{
	const struct stage_statement *s = &b->chain.statements[i];
	const struct book_line *line = book_line(book, b->programme, s->object.key_id);
	return json_pack("{s:I, s:s, s:I, s:o, s:s?, s:I}", "stage", (json_int_t)s->stage, "batch", s->batch,
			 "seq", (json_int_t)s->seq, "line", admin_json_hex(s->object.key_id, KEY_ID_SIZE),
			 "site", line ? line->record.site : NULL, "registered", (json_int_t)b->times[i]);
}

/* The batch is the last stage's: that of the finished device. */
static json_t *built_json(struct provenance *p, const struct store_built *b)
{
	struct book *book;
	json_t *stages;
	if (!b->programme)
		return json_null();
	book = provenance_book(p);
	stages = json_array();
	for (size_t i = 0; i < b->chain.count; i++)
		json_array_append_new(stages, stage_json(b, i, book));
	book_release(book);
	return json_pack("{s:o, s:s?, s:s, s:o}", "programme",
			 admin_json_hex(b->programme_id, PROGRAMME_ID_SIZE), "name",
			 provenance_programme_name(p, b->programme_id), "batch",
			 b->chain.statements[b->chain.count - 1].batch, "stages", stages);
}

static void on_device(const struct store_dossier *d, const struct fault *f, void *arg)
{
	struct admin_request *a = arg;
	if (f)
		admin_refuse(a, f);
	else
		admin_answer(a, json_pack("{s:o, s:o, s:o, s:o}", "device", admin_json_device(&d->device),
					  "provenance", built_json(a->gateway->provenance, &d->built),
					  "certificates", certificates_json(d), "history",
					  admin_json_entries(d->history, d->history_count)));
}

void admin_device(struct admin_request *a)
{
	store_device(a->gateway->store, a->name, on_device, a);
}
