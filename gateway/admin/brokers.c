#include "admin_internal.h"

#include "common/json_read.h"
#include "common/peers.h"

#include <stdlib.h>
#include <string.h>

/* ---- listing ---- */

static json_t *broker_json(const struct feed_broker *b)
{
	json_t *lag = b->lag_s < 0 ? json_null() : json_integer(b->lag_s);
	return json_pack("{s:s, s:s, s:I, s:o, s:I, s:o}", "name", b->name, "state",
			 b->live ? "live" : "lost", "connected_s", (json_int_t)b->connected_s, "lag_s", lag,
			 "seq", (json_int_t)b->seq, "spki_sha256",
			 b->live ? admin_json_hex(b->spki_sha256, sizeof b->spki_sha256) : json_null());
}

static json_t *revoked_json(const struct store_revoked_broker *r)
{
	return json_pack("{s:s, s:o, s:I, s:s, s:s}", "name", r->name, "spki_sha256",
			 r->whole ? json_null() : admin_json_hex(r->spki_sha256, sizeof r->spki_sha256),
			 "revoked_at_ms", (json_int_t)r->revoked_at_ms, "reason", r->reason, "actor",
			 r->actor);
}

static void on_brokers(const struct feed_broker *brokers, size_t count, void *arg)
{
	struct admin_request *a = arg;
	json_t *list = json_array();
	bool failed = false;
	for (size_t i = 0; i < count; i++)
		failed |= json_array_append_new(list, broker_json(&brokers[i])) != 0;
	json_t *answer = json_pack("{s:o, s:o}", "brokers", list, "revoked", a->revoked);
	if (failed) {
		json_decref(answer);
		answer = NULL;
	}
	admin_answer(a, answer);
}

static void on_revoked(const struct store_revoked_broker *revoked, size_t count, const struct fault *f,
		       void *arg)
{
	struct admin_request *a = arg;
	if (f) {
		admin_refuse(a, f);
		return;
	}
	a->revoked = json_array();
	for (size_t i = 0; i < count; i++) {
		if (!json_array_append_new(a->revoked, revoked_json(&revoked[i])))
			continue;
		json_decref(a->revoked); /* NULL makes the answer fail */
		a->revoked = NULL;
	}
	feed_wait(a->gateway->feed, NULL, 0, on_brokers, a);
}

void admin_broker_list(struct admin_request *a)
{
	store_brokers_revoked(a->gateway->store, on_revoked, a);
}

/* ---- removing ---- */

/* A broker that is gone for good: until then every change waits for it in vain. */
static void on_removed(const struct store_changed *answer, const struct fault *f, void *arg)
{
	struct admin_request *a = arg;
	if (!f)
		feed_forget(a->gateway->feed, a->name);
	admin_changed(answer, f, arg);
}

static void remove_if_lost(const struct feed_broker *brokers, size_t count, void *arg)
{
	struct admin_request *a = arg;
	struct fault f;
	for (size_t i = 0; i < count; i++) {
		if (strcmp(brokers[i].name, a->name) || !brokers[i].live)
			continue;
		refuse(&f, REASON_CONFLICT,
		       "broker %s has a live feed and would be back at once: stop it first, or revoke it",
		       a->name);
		admin_refuse(a, &f);
		return;
	}
	store_broker_remove(a->gateway->store, &a->who, a->name, on_removed, a);
}

void admin_broker_remove(struct admin_request *a)
{
	if (admin_take_wait(a))
		feed_wait(a->gateway->feed, NULL, 0, remove_if_lost, a);
}

/* ---- revoking ---- */

struct revoking {
	struct admin_request *request;
	bool whole;
	uint8_t spki_sha256[SHA256_SIZE];
};

/* It is the gateway itself that no longer feeds it: no broker has to say so. */
static void on_broker_revoked(const struct store_changed *answer, const struct fault *f, void *arg)
{
	struct revoking *x = arg;
	struct admin_request *a = x->request;
	if (f) {
		admin_refuse(a, f);
		return;
	}
	if (!answer->already)
		feed_revoke(a->gateway->feed, a->name, x->whole ? NULL : x->spki_sha256);
	a->change = *answer;
	admin_answer_change(a, NULL, 0);
}

static outcome take_revoking(struct admin_request *a, struct revoking *x, struct fault *f)
{
	static const char *const members[] = {"reason", "spki_sha256", NULL};
	json_t *body;
	outcome o = admin_body(a, members, &body, f);
	if (!o.ok)
		return o;
	const json_t *key = json_object_get(body, "spki_sha256");
	x->whole = !key;
	if (key && !json_read_hex(key, x->spki_sha256, SHA256_SIZE))
		o = refuse(f, REASON_BAD_FIELD,
			   "spki_sha256: the SHA-256 of a public key is required, %d bytes in hex",
			   SHA256_SIZE);
	if (o.ok)
		o = admin_take_common(a, body, true, f);
	json_decref(body);
	return o;
}

void admin_broker_revoke(struct admin_request *a)
{
	struct fault f;
	struct revoking *x = scgi_alloc(a->request, sizeof *x);
	if (!x)
		return;
	*x = (struct revoking){.request = a};
	if (strlen(a->name) >= PEER_NAME_SIZE) {
		refuse(&f, REASON_BAD_FIELD, "a broker's name has at most %d characters", PEER_NAME_SIZE - 1);
		admin_refuse(a, &f);
	} else if (!take_revoking(a, x, &f).ok) {
		admin_refuse(a, &f);
	} else {
		store_broker_revoke(a->gateway->store, &a->who, a->name, x->whole ? NULL : x->spki_sha256,
				    a->reason, on_broker_revoked, x);
	}
}
