#include "admin_internal.h"

#include "gateway/store/store_policy.h"

#include <stdlib.h>
#include <string.h>

/* ---- looking ---- */

static void on_thing(const struct store_thing *t, const struct fault *f, void *arg)
{
	struct admin_request *a = arg;
	if (f) {
		admin_refuse(a, f);
		return;
	}
	admin_answer(a, json_pack("{s:s, s:s?, s:o, s:s, s:b, s:I}", "thing", t->name, "type",
				  *t->type ? t->type : NULL, "attributes", json_loads(t->attributes, 0, NULL),
				  "policy", *t->policy ? t->policy : "default", "attached", t->attached,
				  "certificates", (json_int_t)t->certificates));
}

void admin_thing(struct admin_request *a)
{
	store_thing(a->gateway->store, a->name, on_thing, a);
}

/* ---- setting ---- */

/* The texts are in the body. */
struct wanted {
	struct store_thing_change change;
	/* Some to be set, some to be taken away. */
	struct store_attribute attributes[2 * STORE_ATTRIBUTES_MAX];
};

static outcome take_type(const json_t *type, struct wanted *w, struct fault *f)
{
	if (type && !json_is_string(type) && !json_is_null(type))
		return refuse(f, REASON_BAD_FIELD, "type: a text is required, or null for none");
	if (type)
		w->change.type = json_is_null(type) ? "" : json_string_value(type);
	return DONE;
}

static outcome take_attributes(json_t *attributes, struct wanted *w, struct fault *f)
{
	const char *name;
	json_t *value;
	if (attributes && !json_is_object(attributes))
		return refuse(f, REASON_BAD_FIELD, "attributes: an object is required");
	if (json_object_size(attributes) > sizeof w->attributes / sizeof *w->attributes)
		return refuse(f, REASON_BAD_FIELD, "attributes: %zu at most in one request",
			      sizeof w->attributes / sizeof *w->attributes);
	json_object_foreach(attributes, name, value) {
		if (!json_is_string(value) && !json_is_null(value))
			return refuse(f, REASON_BAD_FIELD,
				      "attributes.%.40s: a text is required, or null for none", name);
		w->attributes[w->change.count++] =
			(struct store_attribute){name, json_is_null(value) ? "" : json_string_value(value)};
	}
	w->change.attributes = w->attributes;
	return DONE;
}

void admin_thing_set(struct admin_request *a)
{
	static const char *const members[] = {"type", "attributes", "wait_ms", NULL};
	struct wanted w = {.change = {.type = NULL}};
	struct fault f;
	json_t *body;
	outcome o = admin_body(a, members, &body, &f);
	if (o.ok)
		o = take_type(json_object_get(body, "type"), &w, &f);
	if (o.ok)
		o = take_attributes(json_object_get(body, "attributes"), &w, &f);
	if (o.ok && !w.change.type && !w.change.count)
		o = refuse(&f, REASON_BAD_FIELD, "type or attributes: one of them is required");
	if (o.ok)
		o = admin_take_common(a, body, false, &f);
	if (o.ok)
		store_thing_set(a->gateway->store, &a->who, a->name, &w.change, admin_changed, a);
	else
		admin_refuse(a, &f);
	json_decref(body);
}

/* ---- attached, detached ---- */

void admin_thing_attach(struct admin_request *a)
{
	if (admin_take_nothing(a))
		store_thing_attach(a->gateway->store, &a->who, a->name, true, admin_changed, a);
}

void admin_thing_detach(struct admin_request *a)
{
	if (admin_take_nothing(a))
		store_thing_attach(a->gateway->store, &a->who, a->name, false, admin_changed, a);
}
