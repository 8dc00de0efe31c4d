#include "admin_internal.h"

#include "common/feed/feed_format.h"
#include "common/json_read.h"

#include <stdlib.h>
#include <string.h>

/* Many devices in one request: looked up, revoked, suspended. They are named by their things or, as the attestation
 * service knows them, by their instance IDs. */

struct many {
	struct admin_request *request;
	struct store_named devices[STORE_RECALL_MAX];
	size_t count;
	uint8_t instance_ids[STORE_RECALL_MAX][INSTANCE_ID_SIZE];
	char things[STORE_RECALL_MAX][FEED_NAME_MAX + 1];
	struct store_recalled done;
	json_t *unknown;
};

/* ---- the list ---- */

static outcome take_thing(struct many *m, size_t i, const json_t *item, struct fault *f)
{
	const char *name = json_string_value(item);
	if (!name || !*name || strlen(name) > FEED_NAME_MAX)
		return refuse(f, REASON_BAD_FIELD, "things: names of 1 to %d characters are required",
			      FEED_NAME_MAX);
	strcpy(m->things[i], name);
	return DONE;
}

static outcome take_instance(struct many *m, size_t i, const json_t *item, struct fault *f)
{
	if (!json_read_hex(item, m->instance_ids[i], INSTANCE_ID_SIZE))
		return refuse(f, REASON_BAD_FIELD, "instance_ids: %d bytes in hex are required",
			      INSTANCE_ID_SIZE);
	m->devices[i].instance_id = m->instance_ids[i];
	cert_thing_name(bytes_of(m->request->gateway->keys.salt, SALT_SIZE), m->instance_ids[i],
			m->things[i]);
	return DONE;
}

static outcome take_list(struct many *m, const json_t *body, struct fault *f)
{
	const json_t *things = json_object_get(body, "things"), *ids = json_object_get(body, "instance_ids");
	const json_t *list = things ? things : ids;
	outcome o = DONE;
	m->count = json_array_size(list);
	if (!things == !ids || !json_is_array(list) || m->count == 0 || m->count > STORE_RECALL_MAX)
		return refuse(f, REASON_BAD_FIELD,
			      "either things or instance_ids is required: a list of 1 to %d",
			      STORE_RECALL_MAX);
	for (size_t i = 0; o.ok && i < m->count; i++) {
		m->devices[i].thing = m->things[i];
		o = things ? take_thing(m, i, json_array_get(list, i), f)
			   : take_instance(m, i, json_array_get(list, i), f);
	}
	return o;
}

/* The request's memory and its list; NULL where it was refused, and answered. */
static struct many *take(struct admin_request *a, bool changes)
{
	static const char *const of_lookup[] = {"things", "instance_ids", NULL};
	static const char *const of_change[] = {"things", "instance_ids", "reason", "wait_ms", NULL};
	struct many *m = scgi_alloc(a->request, sizeof *m);
	struct fault f;
	json_t *body;
	if (!m)
		return NULL;
	memset(m, 0, sizeof *m);
	m->request = a;
	outcome o = admin_body(a, changes ? of_change : of_lookup, &body, &f);
	if (o.ok)
		o = take_list(m, body, &f);
	if (o.ok && changes)
		o = admin_take_common(a, body, true, &f);
	json_decref(body);
	if (o.ok)
		return m;
	admin_refuse(a, &f);
	return NULL;
}

/* ---- looking up ---- */

static json_t *known_json(const struct many *m, size_t i, const struct store_device *d)
{
	const char *state = d->thing ? store_device_state(d) : "unknown";
	json_t *row = json_pack("{s:s, s:s}", "thing", d->thing && *d->thing ? d->thing : m->things[i],
				"state", state);
	if (row && m->devices[i].instance_id)
		json_object_set_new(row, "instance_id", admin_json_hex(m->instance_ids[i], INSTANCE_ID_SIZE));
	return row;
}

static void on_looked_up(const struct store_device *devices, size_t count, const struct fault *f, void *arg)
{
	struct many *m = arg;
	json_t *list = json_array();
	bool failed = false;
	if (f) {
		json_decref(list);
		admin_refuse(m->request, f);
		return;
	}
	for (size_t i = 0; i < count; i++)
		failed |= json_array_append_new(list, known_json(m, i, &devices[i])) != 0;
	if (failed) {
		json_decref(list);
		list = NULL;
	}
	admin_answer(m->request, list ? json_pack("{s:o}", "devices", list) : NULL);
}

void admin_lookup(struct admin_request *a)
{
	struct many *m = take(a, false);
	if (m)
		store_lookup(a->gateway->store, m->devices, m->count, on_looked_up, m);
}

/* ---- changing ---- */

static void on_waited(const struct feed_broker *brokers, size_t count, void *arg)
{
	struct many *m = arg;
	json_t *answer = admin_json_change(m->request, brokers, count);
	json_t *more = json_pack("{s:I, s:I, s:I, s:o}", "changed", (json_int_t)m->done.changed, "unchanged",
				 (json_int_t)m->done.already, "added", (json_int_t)m->done.added, "unknown",
				 m->unknown);
	if (answer && (!more || json_object_update(answer, more))) {
		json_decref(answer);
		answer = NULL;
	}
	json_decref(more);
	admin_answer(m->request, answer);
}

static void on_recalled(const struct store_recalled *answer, const struct fault *f, void *arg)
{
	struct many *m = arg;
	struct admin_request *a = m->request;
	if (f) {
		admin_refuse(a, f);
		return;
	}
	m->done = *answer;
	m->unknown = json_array();
	for (size_t i = 0; i < answer->unknown_count; i++)
		json_array_append_new(m->unknown, json_string(m->things[answer->unknown[i]]));
	a->change = answer->change;
	feed_wait(a->gateway->feed, &a->change, a->wait_ms, on_waited, m);
}

static void change(struct admin_request *a, struct store_recall r)
{
	struct many *m = take(a, true);
	if (!m)
		return;
	r.devices = m->devices;
	r.count = m->count;
	r.reason = a->reason;
	store_recall(a->gateway->store, &a->who, &r, on_recalled, m);
}

void admin_revoke_many(struct admin_request *a)
{
	change(a, (struct store_recall){0});
}

void admin_suspend_many(struct admin_request *a)
{
	change(a, (struct store_recall){.suspend = true});
}

void admin_reattest_many(struct admin_request *a)
{
	change(a, (struct store_recall){.reattest = true});
}
