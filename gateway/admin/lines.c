#include "admin_internal.h"

#include "common/json_read.h"
#include "gateway/provenance/provenance.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- a line ---- */

static json_t *stages_json(const struct line_record *r)
{
	json_t *list = json_array();
	for (size_t i = 0; i < r->stage_count; i++)
		json_array_append_new(list, json_integer(r->stages[i]));
	return list;
}

static json_t *time_or_null(bool there, int64_t time)
{
	return there ? json_integer(time) : json_null();
}

/* What is in force, and the two words that it is the stricter of: neither hides the other. */
static json_t *line_json(const struct book_line *l)
{
	const struct line_record *r = &l->record, *signed_record = &l->signed_record;
	return json_pack("{s:o, s:o, s:s, s:s, s:o, s:s, s:o, s:b, s:o, s:o, s:I, s:I, s:I, s:I}", "line",
			 admin_json_hex(l->line, KEY_ID_SIZE), "programme",
			 admin_json_hex(r->programme, PROGRAMME_ID_SIZE), "site", r->site, "state",
			 line_state_name(r->state), "revoked_from",
			 time_or_null(r->state == LINE_REVOKED, r->revoked_from), "record_state",
			 line_state_name(signed_record->state), "record_revoked_from",
			 time_or_null(signed_record->state == LINE_REVOKED, signed_record->revoked_from),
			 "suspended_by_operator", l->held, "operator_revoked_from",
			 time_or_null(l->revoked, l->revoked_from), "stages", stages_json(r), "version",
			 (json_int_t)r->version, "not_before", (json_int_t)r->not_before, "not_after",
			 (json_int_t)r->not_after, "per_hour", (json_int_t)r->per_hour);
}

void admin_line_list(struct admin_request *a)
{
	struct book *book = provenance_book(a->gateway->provenance);
	json_t *list = json_array();
	for (size_t i = 0; i < book->line_count; i++)
		json_array_append_new(list, line_json(book->lines[i]));
	book_release(book);
	admin_answer(a, json_pack("{s:o}", "lines", list));
}

/* ---- what an operator says of one ---- */

static outcome take_line(const struct admin_request *a, uint8_t line[KEY_ID_SIZE], struct fault *f)
{
	size_t n = 0;
	bool ok = hex_decode(a->name, strlen(a->name), line, KEY_ID_SIZE, &n) && n == KEY_ID_SIZE;
	return ok ? DONE
		  : refuse(f, REASON_BAD_FIELD, "a line is named by its key id, %d bytes in hex",
			   KEY_ID_SIZE);
}

static void on_line_set(const struct store_added *answer, const struct fault *f, void *arg)
{
	struct admin_request *a = arg;
	struct fault own = {0};
	if (!f && !provenance_apply(a->gateway->provenance, answer, &own).ok)
		f = &own;
	if (f) {
		admin_refuse(a, f);
		return;
	}
	struct book *book = provenance_book(a->gateway->provenance);
	const struct book_line *line = book_line(book, answer->lines[0].programme, answer->lines[0].line);
	admin_answer(a, json_pack("{s:I, s:b, s:o}", "seq", (json_int_t)answer->change.seq, "already",
				  answer->change.already, "line", line ? line_json(line) : json_null()));
	book_release(book);
}

static outcome take_from(const json_t *body, struct store_line_order *order, struct fault *f)
{
	const json_t *from = json_object_get(body, "from");
	bool wanted = order->verb == STORE_LINE_REVOKE;
	order->from = json_integer_value(from);
	if (wanted ? json_is_integer(from) && order->from >= 0 && order->from <= PROVENANCE_TIME_MAX : !from)
		return DONE;
	return refuse(f, REASON_BAD_FIELD,
		      wanted ? "from: Unix seconds are required: what the register got from then on is worth "
			       "nothing"
			     : "from: a time belongs to a revocation");
}

static void set_line(struct admin_request *a, enum store_line_verb verb)
{
	static const char *const members[] = {"reason", "from", NULL};
	struct store_line_order order = {.verb = verb};
	struct fault f;
	json_t *body;
	outcome o = admin_body(a, members, &body, &f);
	if (o.ok)
		o = take_line(a, order.line, &f);
	if (o.ok)
		o = admin_take_common(a, body, verb != STORE_LINE_RESUME, &f);
	if (o.ok)
		o = take_from(body, &order, &f);
	json_decref(body);
	order.reason = a->reason;
	if (o.ok)
		store_line_set(a->gateway->store, &a->who, &order, on_line_set, a);
	else
		admin_refuse(a, &f);
}

void admin_line_suspend(struct admin_request *a)
{
	set_line(a, STORE_LINE_SUSPEND);
}

void admin_line_resume(struct admin_request *a)
{
	set_line(a, STORE_LINE_RESUME);
}

void admin_line_revoke(struct admin_request *a)
{
	set_line(a, STORE_LINE_REVOKE);
}

/* ---- its devices ---- */

static json_t *device_json(const struct store_line_device *d)
{
	return json_pack("{s:s, s:o, s:s, s:I, s:I, s:I}", "thing", d->thing, "instance_id",
			 admin_json_hex(d->instance_id, INSTANCE_ID_SIZE), "batch", d->batch, "stage",
			 (json_int_t)d->stage, "seq", (json_int_t)d->seq, "registered", (json_int_t)d->time);
}

static void on_devices(const struct store_line_device *devices, size_t count, const struct fault *f,
		       void *arg)
{
	struct admin_request *a = arg;
	if (f) {
		admin_refuse(a, f);
		return;
	}
	json_t *list = json_array();
	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, device_json(&devices[i]));
	admin_answer(a, json_pack("{s:o, s:s?}", "devices", list, "next",
				  (int64_t)count == a->page_limit ? devices[count - 1].cursor : NULL));
}

void admin_line_devices(struct admin_request *a)
{
	uint8_t line[KEY_ID_SIZE];
	char after[ROUTE_NAME_SIZE] = "";
	int64_t since;
	struct fault f;
	outcome o = take_line(a, line, &f);
	if (o.ok)
		o = scgi_query_number(a->request, "since", PROVENANCE_TIME_MAX, 0, &since, &f);
	if (o.ok)
		o = scgi_query_number(a->request, "limit", STORE_PAGE_MAX, STORE_PAGE_MAX, &a->page_limit,
				      &f);
	if (o.ok && scgi_query_has(a->request, "after") &&
	    !scgi_query_get(a->request, "after", after, sizeof after))
		o = refuse(&f, REASON_BAD_FIELD, "after: the next of the page before is required");
	if (!o.ok) {
		admin_refuse(a, &f);
		return;
	}
	a->page_limit = a->page_limit ? a->page_limit : 1;
	store_line_devices(a->gateway->store, line, since, after, (size_t)a->page_limit, on_devices, a);
}

/* ---- orders ---- */

static json_t *order_json(const struct store_order *row)
{
	struct work_order o;
	struct fault ignored;
	json_t *previous = json_array();
	if (!work_order_read(row->order, &o, &ignored).ok)
		return NULL;
	for (size_t i = 0; i < o.previous_count; i++)
		json_array_append_new(previous, admin_json_hex(o.previous[i], KEY_ID_SIZE));
	return json_pack("{s:o, s:o, s:s, s:I, s:o, s:I, s:I, s:b, s:I, s:I, s:I, s:o}", "order",
			 admin_json_hex(o.object.sha256, SHA256_SIZE), "programme",
			 admin_json_hex(o.programme, PROGRAMME_ID_SIZE), "batch", o.batch, "stage",
			 (json_int_t)o.stage, "line", admin_json_hex(o.line, KEY_ID_SIZE), "quota",
			 (json_int_t)o.quota, "used", (json_int_t)row->used, "frozen", row->frozen,
			 "not_before", (json_int_t)o.not_before, "not_after", (json_int_t)o.not_after,
			 "register_within_s", (json_int_t)o.register_within_s, "previous", previous);
}

static void on_orders(const struct store_order *orders, size_t count, const struct fault *f, void *arg)
{
	struct admin_request *a = arg;
	char next[24];
	if (f) {
		admin_refuse(a, f);
		return;
	}
	json_t *list = json_array();
	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, order_json(&orders[i]));
	if (count)
		snprintf(next, sizeof next, "%" PRId64, orders[count - 1].id);
	admin_answer(a, json_pack("{s:o, s:s?}", "orders", list, "next",
				  (int64_t)count == a->page_limit ? next : NULL));
}

static outcome take_order_query(struct admin_request *a, struct store_order_query *q, char batch[BATCH_SIZE],
				uint8_t line[KEY_ID_SIZE], struct fault *f)
{
	char hex[HEX_SIZE(KEY_ID_SIZE)];
	size_t n;
	outcome o = scgi_query_number(a->request, "after", INT64_MAX, 0, &q->after, f);
	if (o.ok)
		o = scgi_query_number(a->request, "limit", STORE_PAGE_MAX, 100, &a->page_limit, f);
	if (o.ok && scgi_query_has(a->request, "batch") &&
	    !scgi_query_get(a->request, "batch", batch, BATCH_SIZE))
		return refuse(f, REASON_BAD_FIELD, "batch: a batch's name is required");
	if (!o.ok || !scgi_query_has(a->request, "line"))
		return o;
	if (!scgi_query_get(a->request, "line", hex, sizeof hex) ||
	    !hex_decode(hex, strlen(hex), line, KEY_ID_SIZE, &n) || n != KEY_ID_SIZE)
		return refuse(f, REASON_BAD_FIELD, "line: a key id, %d bytes in hex, is required",
			      KEY_ID_SIZE);
	q->line = line;
	return DONE;
}

void admin_order_list(struct admin_request *a)
{
	char batch[BATCH_SIZE] = "";
	uint8_t line[KEY_ID_SIZE];
	struct store_order_query q = {.batch = batch, .counted = true};
	struct fault f;
	if (!take_order_query(a, &q, batch, line, &f).ok) {
		admin_refuse(a, &f);
		return;
	}
	a->page_limit = a->page_limit ? a->page_limit : 1;
	q.limit = (size_t)a->page_limit;
	store_orders(a->gateway->store, &q, on_orders, a);
}

/* ---- batches ---- */

static void on_released(const struct store_changed *answer, const struct fault *f, void *arg)
{
	struct admin_request *a = arg;
	if (f)
		admin_refuse(a, f);
	else
		admin_answer(a, json_pack("{s:I, s:s}", "seq", (json_int_t)answer->seq, "batch", a->name));
}

void admin_batch_release(struct admin_request *a)
{
	static const char *const members[] = {"reason", "programme", NULL};
	uint8_t programme[PROGRAMME_ID_SIZE];
	struct fault f;
	json_t *body;
	outcome o = admin_body(a, members, &body, &f);
	const json_t *named = json_object_get(body, "programme");
	bool is_named = named != NULL;
	if (o.ok)
		o = admin_take_common(a, body, true, &f);
	if (o.ok && is_named && !json_read_hex(named, programme, PROGRAMME_ID_SIZE))
		o = refuse(&f, REASON_BAD_FIELD, "programme: its id, %d bytes in hex, is required",
			   PROGRAMME_ID_SIZE);
	json_decref(body);
	if (o.ok)
		store_batch_release(a->gateway->store, &a->who, a->name, is_named ? programme : NULL,
				    a->reason, on_released, a);
	else
		admin_refuse(a, &f);
}
