#include "admin_internal.h"

#include "common/json_read.h"
#include "gateway/provenance/provenance.h"

#include <string.h>

/* What the OEM's offices bring: line records, work orders, the register's entries. All of it is signed, so that who brings
 * it can hold it back and not make it up. */

/* ---- lines and orders ---- */

struct bringing {
	struct admin_request *request;
	struct store_object objects[STORE_OBJECTS_MAX];
	struct provenance_object_room rooms[STORE_OBJECTS_MAX];
	uint8_t bytes[STORE_OBJECTS_MAX][PROVENANCE_OBJECT_MAX];
	size_t count;
};

static outcome take_object(struct bringing *b, size_t i, const json_t *item, struct fault *f)
{
	struct fault own = {0};
	size_t n = 0;
	if (!json_is_string(item) || !base64url_decode(json_string_value(item), json_string_length(item),
						       b->bytes[i], PROVENANCE_OBJECT_MAX, &n))
		return refuse(f, REASON_BAD_FIELD, "objects[%zu]: base64url of at most %d bytes is required",
			      i, PROVENANCE_OBJECT_MAX);
	outcome o = provenance_read_object(b->request->gateway->provenance, bytes_of(b->bytes[i], n),
					   &b->rooms[i], &b->objects[i], &own);
	return o.ok ? o : refuse(f, own.reason, "objects[%zu]: %s", i, own.text);
}

static outcome take_objects(struct bringing *b, struct fault *f)
{
	static const char *const members[] = {"objects", NULL};
	json_t *body;
	outcome o = admin_body(b->request, members, &body, f);
	if (!o.ok)
		return o;
	const json_t *list = json_object_get(body, "objects");
	b->count = json_array_size(list);
	if (!json_is_array(list) || b->count == 0 || b->count > STORE_OBJECTS_MAX)
		o = refuse(f, REASON_BAD_FIELD, "objects: a list of 1 to %d is required", STORE_OBJECTS_MAX);
	for (size_t i = 0; o.ok && i < b->count; i++)
		o = take_object(b, i, json_array_get(list, i), f);
	json_decref(body);
	return o;
}

/* Nobody hears that it is there before it counts. */
static void on_added(const struct store_added *answer, const struct fault *f, void *arg)
{
	struct bringing *b = arg;
	struct admin_request *a = b->request;
	struct fault own = {0};
	if (!f && !provenance_apply(a->gateway->provenance, answer, &own).ok)
		f = &own;
	if (f)
		admin_refuse(a, f);
	else
		admin_answer(a, json_pack("{s:I, s:I, s:I, s:I}", "seq", (json_int_t)answer->change.seq,
					  "lines", (json_int_t)answer->line_count, "orders",
					  (json_int_t)answer->order_count, "unchanged",
					  (json_int_t)answer->unchanged));
}

void admin_provenance_add(struct admin_request *a)
{
	struct bringing *b = scgi_alloc(a->request, sizeof *b);
	struct fault f;
	if (!b)
		return;
	b->request = a;
	if (take_objects(b, &f).ok)
		store_provenance_add(a->gateway->store, &a->who, b->objects, b->count, on_added, b);
	else
		admin_refuse(a, &f);
}

/* ---- the register ---- */

struct pushing {
	struct admin_request *request;
	struct store_register_push push;
	struct register_entry entries[STORE_ENTRIES_MAX];
	struct register_head head;
	uint8_t word[PROVENANCE_OBJECT_MAX];
};

static outcome take_entry(struct pushing *p, size_t i, const json_t *item, int64_t first, struct fault *f)
{
	static const char *const members[] = {"time", "object", NULL};
	const json_t *time = json_object_get(item, "time");
	struct register_entry *e = &p->entries[i];
	struct fault own = {0};
	e->index = first + (int64_t)i;
	e->time = json_integer_value(time);
	if (!json_is_object(item) || !json_read_members(item, members, &own).ok || !json_is_integer(time) ||
	    e->time < 0 || e->time > PROVENANCE_TIME_MAX ||
	    !json_read_hex(json_object_get(item, "object"), e->object, SHA256_SIZE))
		return refuse(
			f, REASON_BAD_FIELD,
			"entries[%zu]: {\"time\": Unix seconds, \"object\": SHA-256 in hex} is required", i);
	return DONE;
}

static outcome take_entries(struct pushing *p, const json_t *body, struct fault *f)
{
	const json_t *list = json_object_get(body, "entries"), *first = json_object_get(body, "first");
	int64_t from = json_integer_value(first);
	outcome o = DONE;
	p->push.count = json_array_size(list);
	if (!json_is_integer(first) || from < 1 || from > INT64_MAX - STORE_ENTRIES_MAX)
		return refuse(f, REASON_BAD_FIELD, "first: the number of the first entry is required");
	if (!json_is_array(list) || p->push.count == 0 || p->push.count > STORE_ENTRIES_MAX)
		return refuse(f, REASON_BAD_FIELD, "entries: a list of 1 to %d is required",
			      STORE_ENTRIES_MAX);
	for (size_t i = 0; o.ok && i < p->push.count; i++)
		o = take_entry(p, i, json_array_get(list, i), from, f);
	return o;
}

static outcome take_word(struct pushing *p, const json_t *body, struct fault *f)
{
	const json_t *word = json_object_get(body, "head");
	size_t n = 0;
	struct fault own = {0};
	if (!json_is_string(word) ||
	    !base64url_decode(json_string_value(word), json_string_length(word), p->word, sizeof p->word, &n))
		return refuse(f, REASON_BAD_FIELD, "head: base64url of the register's word is required");
	p->push.word = bytes_of(p->word, n);
	outcome o = provenance_read_word(p->request->gateway->provenance, p->push.word, &p->head,
					 &p->push.programme, &own);
	if (!o.ok)
		return refuse(f, own.reason, "head: %s", own.text);
	if (p->head.size != p->entries[p->push.count - 1].index)
		return refuse(f, REASON_BAD_FIELD,
			      "head: it is of %lld entries, and the last of these is number %lld",
			      (long long)p->head.size, (long long)p->entries[p->push.count - 1].index);
	memcpy(p->push.programme_id, p->head.programme, PROGRAMME_ID_SIZE);
	return DONE;
}

static void on_pushed(const struct store_changed *answer, const struct fault *f, void *arg)
{
	struct pushing *p = arg;
	if (f)
		admin_refuse(p->request, f);
	else
		admin_answer(p->request, json_pack("{s:I, s:I}", "size", (json_int_t)p->head.size, "added",
						   (json_int_t)answer->count));
}

static outcome take_push(struct pushing *p, struct fault *f)
{
	static const char *const members[] = {"first", "entries", "head", NULL};
	json_t *body;
	outcome o = admin_body(p->request, members, &body, f);
	if (o.ok)
		o = take_entries(p, body, f);
	if (o.ok)
		o = take_word(p, body, f);
	json_decref(body);
	p->push.entries = p->entries;
	p->push.head = &p->head;
	return o;
}

void admin_register_push(struct admin_request *a)
{
	struct pushing *p = scgi_alloc(a->request, sizeof *p);
	struct fault f;
	if (!p)
		return;
	memset(p, 0, sizeof *p);
	p->request = a;
	if (take_push(p, &f).ok)
		store_register_push(a->gateway->store, &a->who, &p->push, on_pushed, p);
	else
		admin_refuse(a, &f);
}

/* ---- how it all stands ---- */

static json_t *classes_json(const struct provenance *p)
{
	const struct provenance_classes *c = provenance_classes(p);
	json_t *list = json_array();
	for (size_t i = 0; i < c->count; i++) {
		const struct provenance_class *one = &c->items[i];
		json_array_append_new(list,
				      json_pack("{s:s, s:s, s:s, s:o}", "class", one->name, "mode",
						class_mode_name(one->mode), "programme", one->programme.name,
						"implementation_id",
						one->any ? json_null()
							 : admin_json_hex(one->implementation_id,
									  sizeof one->implementation_id)));
	}
	return list;
}

static json_t *programme_json(const struct provenance *p, const struct store_provenance_state *s)
{
	const char *name = provenance_programme_name(p, s->programme);
	return json_pack("{s:o, s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "programme",
			 admin_json_hex(s->programme, PROGRAMME_ID_SIZE), "name", name ? name : "", "lines",
			 (json_int_t)s->lines, "orders", (json_int_t)s->orders, "devices",
			 (json_int_t)s->devices, "register_size", (json_int_t)s->register_size,
			 "register_time", (json_int_t)s->register_time, "register_said",
			 (json_int_t)s->word_time);
}

static json_t *frozen_json(const struct store_frozen *frozen, const struct store_provenance_state *programmes,
			   size_t count)
{
	size_t at = 0;
	while (at < count && programmes[at].id != frozen->programme)
		at++;
	return json_pack("{s:s, s:o, s:I}", "batch", frozen->batch, "programme",
			 at < count ? admin_json_hex(programmes[at].programme, PROGRAMME_ID_SIZE)
				    : json_null(),
			 "since_ms", (json_int_t)frozen->since_ms);
}

static void on_state(const struct store_provenance_state *programmes, size_t count,
		     const struct store_frozen *frozen, size_t frozen_count, const struct fault *f, void *arg)
{
	struct admin_request *a = arg;
	const struct provenance *p = a->gateway->provenance;
	if (f) {
		admin_refuse(a, f);
		return;
	}
	json_t *list = json_array(), *batches = json_array();
	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, programme_json(p, &programmes[i]));
	for (size_t i = 0; i < frozen_count; i++)
		json_array_append_new(batches, frozen_json(&frozen[i], programmes, count));
	admin_answer(a, json_pack("{s:o, s:o, s:o}", "classes", classes_json(p), "programmes", list, "frozen",
				  batches));
}

void admin_provenance_state(struct admin_request *a)
{
	store_provenance_state(a->gateway->store, on_state, a);
}
