/* Things: what policies know of a device besides its name, and which policy it is under. */
#include "store_internal.h"
#include "store_policy.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- one change: the row, one entry of the log, a record for each of its certificates ---- */

static outcome tell(struct change *x, const char *kind, const char *detail, struct fault *f)
{
	struct certificate live[LIVE_MAX];
	size_t count = 0;
	struct log_new e = {
		.kind = kind,
		.actor = x->cause.actor,
		.request_id = x->cause.request_id,
		.device_id = x->device.id,
		.instance_id = x->device.instance_id,
		.thing = x->device.thing,
		.reason = x->cause.reason,
		.detail = detail,
	};
	outcome o = log_append(x->w, &e, f);
	if (o.ok)
		o = certificates_live(&x->w->conn, x->device.id, live, &count, f);
	for (size_t i = 0; o.ok && i < count; i++)
		o = feed_note(x->w, live[i].fingerprint, f);
	x->op->count = (int64_t)count;
	return change_made(x, o);
}

/* ---- type and attributes ---- */

static bool is_text_of(const char *text, const char *others, size_t min, size_t max)
{
	static const char alphanumeric[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
	size_t n = 0;
	while (text[n] && (strchr(alphanumeric, text[n]) || strchr(others, text[n])))
		n++;
	return !text[n] && n >= min && n <= max;
}

struct thing_op {
	struct change_op change;
	const char *type; /* NULL: as it is */
	const struct store_attribute *attributes;
	size_t count;
};

/* AWS IoT API: patterns and lengths of ThingTypeName, AttributeName and AttributeValue. */
static outcome check_texts(struct thing_op *t)
{
	if (t->type && *t->type && !is_text_of(t->type, ":_-", 1, STORE_TYPE_SIZE - 1))
		return op_refuse(&t->change.op, REASON_BAD_FIELD,
				 "type: 1 to %d characters of a-z A-Z 0-9 : _ - are required",
				 STORE_TYPE_SIZE - 1);
	for (size_t i = 0; i < t->count; i++) {
		const struct store_attribute *a = &t->attributes[i];
		if (!is_text_of(a->name, "_.,@/:#-", 1, STORE_ATTRIBUTE_NAME_MAX))
			return op_refuse(&t->change.op, REASON_BAD_FIELD,
					 "attributes.%.40s: a name has 1 to %d characters of a-z A-Z 0-9 _ . "
					 ", @ / : # -",
					 a->name, STORE_ATTRIBUTE_NAME_MAX);
		if (!is_text_of(a->value, "_.,@/:#=[]-", 0, STORE_ATTRIBUTE_VALUE_MAX))
			return op_refuse(&t->change.op, REASON_BAD_FIELD,
					 "attributes.%.40s: a value has up to %d characters of a-z A-Z 0-9 _ "
					 ". , @ / : # "
					 "= [ ] -",
					 a->name, STORE_ATTRIBUTE_VALUE_MAX);
	}
	return DONE;
}

static outcome load(struct conn *c, int64_t id, char type[STORE_TYPE_SIZE], json_t **attributes,
		    struct fault *f)
{
	static const char sql[] = "SELECT thing_type, attributes FROM devices WHERE id = ?";
	struct query q = query_start(c, sql);
	bool row;
	query_int(&q, id);
	outcome o = query_row(&q, &row, f);
	if (!o.ok || !row)
		return o;
	column_string(&q, type, STORE_TYPE_SIZE);
	const char *text = column_text(&q);
	*attributes = *text ? json_loads(text, 0, NULL) : json_object();
	query_end(&q);
	return *attributes ? DONE : refuse(f, REASON_NO_MEMORY, "no memory for a thing's attributes");
}

static outcome save(struct conn *c, int64_t id, const char *type, const char *attributes, struct fault *f)
{
	static const char sql[] = "UPDATE devices SET thing_type = ?, attributes = ? WHERE id = ?";
	struct query q = query_start(c, sql);
	query_text(&q, type);
	query_text(&q, attributes);
	query_int(&q, id);
	return query_run(&q, f);
}

/* True where something is other than it was. */
static bool merge(const struct thing_op *t, json_t *attributes)
{
	bool changed = false;
	for (size_t i = 0; i < t->count; i++) {
		const struct store_attribute *a = &t->attributes[i];
		const char *old = json_string_value(json_object_get(attributes, a->name));
		changed |= strcmp(old ? old : "", a->value) != 0;
		if (*a->value)
			json_object_set_new(attributes, a->name, json_string(a->value));
		else
			json_object_del(attributes, a->name);
	}
	return changed;
}

static outcome check_count(struct thing_op *t, const char *type, size_t count)
{
	size_t max = *type ? STORE_ATTRIBUTES_MAX : STORE_ATTRIBUTES_UNTYPED_MAX;
	if (count <= max)
		return DONE;
	return op_refuse(&t->change.op, REASON_CONFLICT,
			 "AWS IoT quotas: a thing %s type has at most %zu attributes; this would be %zu%s",
			 *type ? "with a" : "without", max, count, *type ? "" : ": give it a type first");
}

/* What was set, not what is: "attributes" as they were named. */
static outcome tell_set(struct change *x, const struct thing_op *t, struct fault *f)
{
	struct buf detail = {0};
	json_t *set = json_object();
	for (size_t i = 0; i < t->count; i++)
		json_object_set_new(set, t->attributes[i].name, json_string(t->attributes[i].value));
	char *text = t->count ? json_dumps(set, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
	if (t->type)
		detail_text(&detail, "type", t->type);
	if (text)
		detail_text(&detail, "attributes", text);
	outcome o = tell(x, "thing-set", detail_end(&detail), f);
	json_decref(set);
	free(text);
	buf_free(&detail);
	return o;
}

static outcome run_set(struct op *op, struct conn *c, struct fault *f)
{
	struct thing_op *t = (struct thing_op *)op;
	char type[STORE_TYPE_SIZE] = "";
	json_t *attributes = NULL;
	char *text = NULL;
	struct change x;
	outcome o = change_start(&x, op, f);
	if (!o.ok || x.refused)
		return o;
	o = load(c, x.device.id, type, &attributes, f);
	if (!o.ok)
		return o;
	bool changed = t->type && strcmp(t->type, type) != 0;
	changed |= merge(t, attributes);
	if (t->type)
		snprintf(type, sizeof type, "%s", t->type);
	size_t count = json_object_size(attributes);
	text = count ? json_dumps(attributes, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
	json_decref(attributes);
	if (count && !text)
		return refuse(f, REASON_NO_MEMORY, "no memory for a thing's attributes");
	o = check_count(t, type, count);
	if (o.ok && !op->refused && !changed)
		o = change_is_old(&x, "thing-set", f);
	if (o.ok && !op->refused && changed)
		o = save(c, x.device.id, type, text ? text : "", f);
	if (o.ok && !op->refused && changed)
		o = tell_set(&x, t, f);
	free(text);
	return o;
}

void store_thing_set(struct store *s, const struct store_caller *who, const char *thing,
		     const struct store_thing_change *change, store_changed_done *done, void *arg)
{
	struct thing_op *t = (struct thing_op *)change_new(s, sizeof *t, who, thing, "", run_set, done, arg);
	struct op *op = &t->change.op;
	struct store_attribute *attributes = op_alloc(op, change->count * sizeof *attributes);
	for (size_t i = 0; i < change->count; i++)
		attributes[i] = (struct store_attribute){op_text(op, change->attributes[i].name),
							 op_text(op, change->attributes[i].value)};
	t->type = change->type ? op_text(op, change->type) : NULL;
	t->attributes = attributes;
	t->count = change->count;
	if (check_texts(t).ok && !op->refused)
		op_write(op);
	else
		op_finish(op);
}

/* ---- attached, detached ---- */

struct attach_op {
	struct change_op change;
	bool attached;
};

static outcome set_detached(struct conn *c, int64_t id, bool detached, struct fault *f)
{
	static const char sql[] = "UPDATE devices SET detached = ? WHERE id = ? AND detached <> ?1";
	struct query q = query_start(c, sql);
	query_int(&q, detached);
	query_int(&q, id);
	return query_run(&q, f);
}

static outcome run_attach(struct op *op, struct conn *c, struct fault *f)
{
	struct attach_op *a = (struct attach_op *)op;
	const char *kind = a->attached ? "thing-attached" : "thing-detached";
	struct change x;
	outcome o = change_start(&x, op, f);
	if (!o.ok || x.refused)
		return o;
	o = set_detached(c, x.device.id, !a->attached, f);
	if (o.ok && sqlite3_changes(c->db) == 0)
		return change_is_old(&x, kind, f);
	return o.ok ? tell(&x, kind, "", f) : o;
}

void store_thing_attach(struct store *s, const struct store_caller *who, const char *thing, bool attached,
			store_changed_done *done, void *arg)
{
	struct attach_op *a =
		(struct attach_op *)change_new(s, sizeof *a, who, thing, "", run_attach, done, arg);
	a->attached = attached;
	op_write(&a->change.op);
}

/* ---- a policy of its own ---- */

struct policy_attach_op {
	struct change_op change;
	const char *policy;
	bool attach;
};

static outcome load_policy(struct conn *c, int64_t id, char out[STORE_POLICY_NAME_SIZE], struct fault *f)
{
	static const char sql[] = "SELECT policy FROM devices WHERE id = ?";
	struct query q = query_start(c, sql);
	bool row;
	query_int(&q, id);
	outcome o = query_row(&q, &row, f);
	if (o.ok && row) {
		column_string(&q, out, STORE_POLICY_NAME_SIZE);
		query_end(&q);
	}
	return o;
}

static outcome save_policy(struct conn *c, int64_t id, const char *policy, struct fault *f)
{
	static const char sql[] = "UPDATE devices SET policy = ? WHERE id = ?";
	struct query q = query_start(c, sql);
	query_text(&q, policy);
	query_int(&q, id);
	return query_run(&q, f);
}

/* The policy is there, and is no service's. */
static outcome check_policy(struct policy_attach_op *p, struct conn *c, struct fault *f)
{
	struct buf document = {0};
	bool found;
	if (!strcmp(p->policy, "default") || strchr(p->policy, '/'))
		return op_refuse(
			&p->change.op, REASON_BAD_FIELD,
			"\"default\" holds where no other policy is attached, and a service's is the "
			"service's: a policy with a name of its own is required");
	outcome o = policy_document(c, p->policy, &document, &found, f);
	buf_free(&document);
	if (o.ok && !found && p->attach)
		return op_refuse(&p->change.op, REASON_NOT_FOUND,
				 "there is no policy of this name; mooringctl policy list shows them");
	return o;
}

static outcome run_policy_attach(struct op *op, struct conn *c, struct fault *f)
{
	struct policy_attach_op *p = (struct policy_attach_op *)op;
	const char *kind = p->attach ? "policy-attached" : "policy-detached";
	char old[STORE_POLICY_NAME_SIZE] = "";
	struct buf detail = {0};
	struct change x;
	outcome o = change_start(&x, op, f);
	if (o.ok && !x.refused)
		o = check_policy(p, c, f);
	if (!o.ok || op->refused)
		return o;
	o = load_policy(c, x.device.id, old, f);
	if (!o.ok)
		return o;
	if (p->attach ? !strcmp(old, p->policy) : !*old)
		return change_is_old(&x, kind, f);
	if (!p->attach && strcmp(old, p->policy) != 0)
		return op_refuse(op, REASON_CONFLICT, "not this policy but %s is attached to the thing", old);
	o = save_policy(c, x.device.id, p->attach ? p->policy : "", f);
	detail_text(&detail, "policy", p->policy);
	if (p->attach && *old)
		detail_text(&detail, "instead_of", old);
	if (o.ok)
		o = tell(&x, kind, detail_end(&detail), f);
	buf_free(&detail);
	return o;
}

static void attach_policy(struct store *s, const struct store_caller *who, const char *name,
			  const char *thing, bool attach, store_changed_done *done, void *arg)
{
	struct policy_attach_op *p = (struct policy_attach_op *)change_new(s, sizeof *p, who, thing, "",
									   run_policy_attach, done, arg);
	p->policy = op_text(&p->change.op, name);
	p->attach = attach;
	op_write(&p->change.op);
}

void store_policy_attach(struct store *s, const struct store_caller *who, const char *name, const char *thing,
			 store_changed_done *done, void *arg)
{
	attach_policy(s, who, name, thing, true, done, arg);
}

void store_policy_detach(struct store *s, const struct store_caller *who, const char *name, const char *thing,
			 store_changed_done *done, void *arg)
{
	attach_policy(s, who, name, thing, false, done, arg);
}
