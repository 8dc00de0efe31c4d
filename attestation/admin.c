#include "admin.h"

#include "import.h"
#include "standing.h"
#include "status.h"
#include "common/admin/admin_auth.h"
#include "common/log.h"
#include "common/scgi/scgi_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void answer_fault(struct scgi_request *r, const struct fault *f)
{
	if (reason_public(f->reason)->status >= 500)
		log_fault(LOG_LEVEL_ERROR, scgi_request_id(r), f, "an admin request failed");
	scgi_answer_problem_to_operator(r, f);
}

/* ---- import ---- */

struct import_call {
	struct import_batch batch; /* first */
	struct scgi_request *request;
	char caller[ACCESS_KEY_ID_MAX];
};

static void imported(struct change *c)
{
	struct import_call *call = (struct import_call *)c;
	struct import_batch *b = &call->batch;
	int64_t unchanged = (int64_t)b->count - b->inserted;
	if (c->ok) {
		if (!b->repeated)
			status_imported(b->inserted, unchanged);
		log_line(LOG_LEVEL_INFO, scgi_request_id(call->request),
			 "%s: import %s, batch %lld%s: %lld new records, %lld unchanged", call->caller,
			 b->import, (long long)b->number, b->repeated ? " (again)" : "",
			 (long long)b->inserted, (long long)unchanged);
		scgi_json_answer(call->request, 200, "application/json",
				 json_pack("{ss sI sI sI sI sI sb}", "import", b->import, "number",
					   (json_int_t)b->number, "records", (json_int_t)b->count, "inserted",
					   (json_int_t)b->inserted, "unchanged", (json_int_t)unchanged,
					   "total", (json_int_t)b->total, "repeated", b->repeated));
	} else {
		answer_fault(call->request, &c->fault);
	}
	import_batch_clear(b);
	free(call);
}

static outcome read_batch_name(struct import_batch *b, const char *import, const char *number,
			       struct fault *f)
{
	size_t digits = strlen(number);
	if (!record_name_ok(import))
		return refuse(f, REASON_BAD_FIELD, "the import's id is not 1 to 64 of [A-Za-z0-9._-]");
	if (digits == 0 || digits > 9 || strspn(number, "0123456789") != digits ||
	    (digits > 1 && *number == '0'))
		return refuse(f, REASON_BAD_FIELD, "the batch's number is not one of 0 to %d",
			      IMPORT_NUMBER_MAX);
	memcpy(b->import, import, strlen(import) + 1);
	b->number = strtoll(number, NULL, 10);
	return DONE;
}

void admin_import(struct worker *w, struct scgi_request *r, const char *caller, const char *import,
		  const char *number)
{
	struct fault f;
	struct import_call *call = calloc(1, sizeof *call);
	outcome o = call ? DONE : refuse(&f, REASON_OVERLOADED, "no memory for a batch");
	if (o.ok)
		o = read_batch_name(&call->batch, import, number, &f);
	if (o.ok) {
		sha256(scgi_body(r), call->batch.hash);
		o = import_batch_parse(scgi_body(r), w->service->config.allow_test_keys, &call->batch, &f);
	}
	if (!o.ok) {
		if (call)
			import_batch_clear(&call->batch);
		free(call);
		answer_fault(r, &f);
		return;
	}
	snprintf(call->caller, sizeof call->caller, "%s", caller);
	call->request = r;
	call->batch.change.done = imported;
	call->batch.change.loop = w->loop;
	writer_submit(w->service->writer, &call->batch.change);
}

/* ---- suspend, resume ---- */

struct standing_call {
	struct standing standing; /* first */
	struct scgi_request *request;
	char caller[ACCESS_KEY_ID_MAX];
};

static void stood(struct change *c)
{
	struct standing_call *call = (struct standing_call *)c;
	const struct standing *s = &call->standing;
	struct scgi_request *r = call->request;
	const char *state = s->suspended ? "suspended" : "active";
	char id[INSTANCE_ID_HEX];
	hex_encode(bytes_of(s->instance_id, INSTANCE_ID_SIZE), id);
	if (c->ok) {
		status_withdrawn(s->devices);
		log_line(LOG_LEVEL_INFO, scgi_request_id(r), "%s: %s %s is %s now, %lld changed: %s",
			 call->caller, s->whole_batch ? "batch" : "record", s->whole_batch ? s->batch : id,
			 state, (long long)s->devices, s->reason);
		scgi_json_answer(r, 200, "application/json",
				 json_pack("{ss ss sI}", s->whole_batch ? "batch" : "instance_id",
					   s->whole_batch ? s->batch : id, "state", state, "devices",
					   (json_int_t)s->devices));
	} else {
		answer_fault(r, &c->fault);
	}
	free(call);
}

static void stand(struct worker *w, struct scgi_request *r, const char *caller, const struct standing *what)
{
	struct fault f;
	struct standing_call *call = calloc(1, sizeof *call);
	outcome o = call ? DONE : refuse(&f, REASON_OVERLOADED, "no memory for a change");
	if (o.ok) {
		call->standing = *what;
		o = standing_reason_parse(scgi_body(r), call->standing.reason, &f);
	}
	if (!o.ok) {
		free(call);
		answer_fault(r, &f);
		return;
	}
	snprintf(call->caller, sizeof call->caller, "%s", caller);
	call->request = r;
	call->standing.change.done = stood;
	call->standing.change.loop = w->loop;
	standing_prepare(&call->standing);
	writer_submit(w->service->writer, &call->standing.change);
}

static outcome read_instance(const char *text, uint8_t out[INSTANCE_ID_SIZE], struct fault *f)
{
	if (!record_instance_id(text, out))
		return refuse(f, REASON_BAD_FIELD,
			      "the instance ID is not the hexadecimal form of 01 and 32 bytes");
	return DONE;
}

void admin_stand_record(struct worker *w, struct scgi_request *r, const char *caller, const char *instance,
			bool suspended)
{
	struct fault f;
	struct standing s = {.suspended = suspended};
	if (read_instance(instance, s.instance_id, &f).ok)
		stand(w, r, caller, &s);
	else
		answer_fault(r, &f);
}

void admin_stand_batch(struct worker *w, struct scgi_request *r, const char *caller, const char *batch,
		       bool suspended)
{
	struct fault f;
	struct standing s = {.suspended = suspended, .whole_batch = true};
	if (record_name_ok(batch)) {
		memcpy(s.batch, batch, strlen(batch) + 1);
		stand(w, r, caller, &s);
		return;
	}
	refuse(&f, REASON_BAD_FIELD, "the batch's name is not 1 to 64 of [A-Za-z0-9._-]");
	answer_fault(r, &f);
}

/* ---- reading ---- */

static outcome show(struct worker *w, const char *instance, json_t **out, struct fault *f)
{
	struct record d;
	struct withdrawal last;
	uint8_t id[INSTANCE_ID_SIZE];
	bool found, changed;
	outcome o = read_instance(instance, id, f);
	if (o.ok)
		o = records_find(&w->records, id, &d, &found, f);
	if (o.ok && !found)
		return refuse(f, REASON_NOT_FOUND, "there is no such record");
	if (o.ok)
		o = records_withdrawal_of(&w->records, id, &last, &changed, f);
	if (!o.ok)
		return o;
	*out = record_json(&d);
	if (*out && changed &&
	    (json_object_set_new(*out, "changed", json_integer(last.time)) ||
	     json_object_set_new(*out, "reason", json_string(last.reason)))) {
		json_decref(*out);
		*out = NULL;
	}
	return DONE;
}

void admin_show(struct worker *w, struct scgi_request *r, const char *instance)
{
	struct fault f;
	json_t *o = NULL;
	if (show(w, instance, &o, &f).ok)
		scgi_json_answer(r, 200, "application/json", o);
	else
		answer_fault(r, &f);
}

/* What a list is asked for. */
struct page {
	char batch[RECORD_NAME_SIZE];
	bool of_batch, has_after;
	uint8_t after[INSTANCE_ID_SIZE];
	size_t limit;
};

static outcome read_page(const struct scgi_request *r, struct page *p, struct fault *f)
{
	char after[INSTANCE_ID_HEX];
	int64_t limit;
	*p = (struct page){.of_batch = scgi_query_has(r, "batch"), .has_after = scgi_query_has(r, "after")};
	if (p->of_batch &&
	    (!scgi_query_get(r, "batch", p->batch, sizeof p->batch) || !record_name_ok(p->batch)))
		return refuse(f, REASON_BAD_FIELD, "batch: not 1 to 64 of [A-Za-z0-9._-]");
	if (p->has_after &&
	    (!scgi_query_get(r, "after", after, sizeof after) || !record_instance_id(after, p->after)))
		return refuse(f, REASON_BAD_FIELD, "after: not an instance ID");
	outcome o = scgi_query_number(r, "limit", RECORDS_PAGE_MAX, RECORDS_PAGE, &limit, f);
	if (o.ok && limit == 0)
		return refuse(f, REASON_BAD_FIELD, "limit: not one of 1 to %d", RECORDS_PAGE_MAX);
	p->limit = (size_t)limit;
	return o;
}

/* {"records": [...], "next": instance ID to go on after, where there may be more} */
static json_t *page_json(const struct record *list, size_t count, size_t limit)
{
	char last[INSTANCE_ID_HEX] = "";
	json_t *records = json_array();
	bool ok = records != NULL;
	for (size_t i = 0; ok && i < count; i++)
		ok = json_array_append_new(records, record_json(&list[i])) == 0;
	if (count)
		hex_encode(bytes_of(list[count - 1].instance_id, INSTANCE_ID_SIZE), last);
	if (ok)
		return json_pack("{so ss*}", "records", records, "next", count == limit ? last : NULL);
	json_decref(records);
	return NULL;
}

void admin_list(struct worker *w, struct scgi_request *r)
{
	struct fault f;
	struct page p;
	size_t count = 0;
	struct record *list = NULL;
	outcome o = read_page(r, &p, &f);
	if (o.ok && !(list = calloc(p.limit, sizeof *list)))
		o = refuse(&f, REASON_OVERLOADED, "no memory for a list");
	if (o.ok)
		o = records_list(&w->records, p.of_batch ? p.batch : NULL, p.has_after ? p.after : NULL, list,
				 p.limit, &count, &f);
	if (o.ok)
		scgi_json_answer(r, 200, "application/json", page_json(list, count, p.limit));
	else
		answer_fault(r, &f);
	free(list);
}
