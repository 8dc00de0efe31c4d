/*
 * admin_internal.h - what the files of the admin interface share: a request on its way, and the JSON of each
 * noun.
 */
#ifndef MOORING_ADMIN_INTERNAL_H
#define MOORING_ADMIN_INTERNAL_H

#include "admin.h"

#include "common/admin/admin_auth.h"
#include "common/scgi/router.h"
#include "gateway/feed/feed.h"
#include "gateway/store/store_feed.h"
#include "gateway/store/store_query.h"

#include <jansson.h>

enum { ADMIN_WAIT_DEFAULT_MS = 2000, ADMIN_WAIT_MAX_MS = 30000, ADMIN_REASON_MAX = 256 };

/* Lives as long as its request, on the request's loop. */
struct admin_request {
	struct gateway *gateway;
	struct scgi_request *request;
	struct admin_caller caller;
	struct store_caller who;    /* for the log */
	char name[ROUTE_NAME_SIZE]; /* the path's variable part, decoded */
	char reason[ADMIN_REASON_MAX + 1];
	int64_t wait_ms;
	int64_t page_limit;
	struct store_changed change;
	json_t *revoked;  /* brokers, on their way into a list */
	json_t *findings; /* of a policy's lint, on their way into the answer to a change; NULL: none */
	char certificate_id[HEX_SIZE(FINGERPRINT_SIZE)]; /* "" where the answer names none */
};

/* Handlers: each answers the request, once. */
void admin_devices(struct admin_request *a);
void admin_device(struct admin_request *a);
void admin_revoke(struct admin_request *a);
void admin_suspend(struct admin_request *a);
void admin_resume(struct admin_request *a);
void admin_allow_reenrol(struct admin_request *a);
void admin_lookup(struct admin_request *a);
void admin_revoke_many(struct admin_request *a);
void admin_suspend_many(struct admin_request *a);
void admin_reattest_many(struct admin_request *a);
void admin_epoch_raise(struct admin_request *a);
void admin_change(struct admin_request *a);
void admin_service_list(struct admin_request *a);
void admin_service_add(struct admin_request *a);
void admin_service_remove(struct admin_request *a);
void admin_broker_list(struct admin_request *a);
void admin_broker_remove(struct admin_request *a);
void admin_broker_revoke(struct admin_request *a);
void admin_sessions(struct admin_request *a);
void admin_policy_list(struct admin_request *a);
void admin_policy(struct admin_request *a);
void admin_policy_set(struct admin_request *a);
void admin_policy_reset(struct admin_request *a);
void admin_policy_delete(struct admin_request *a);
void admin_policy_attach(struct admin_request *a);
void admin_policy_detach(struct admin_request *a);
void admin_thing(struct admin_request *a);
void admin_thing_set(struct admin_request *a);
void admin_thing_attach(struct admin_request *a);
void admin_thing_detach(struct admin_request *a);
void admin_explain(struct admin_request *a);
void admin_log(struct admin_request *a);
void admin_alarms(struct admin_request *a);
void admin_provenance_state(struct admin_request *a);
void admin_provenance_add(struct admin_request *a);
void admin_register_push(struct admin_request *a);
void admin_line_list(struct admin_request *a);
void admin_line_devices(struct admin_request *a);
void admin_line_suspend(struct admin_request *a);
void admin_line_resume(struct admin_request *a);
void admin_line_revoke(struct admin_request *a);
void admin_order_list(struct admin_request *a);
void admin_batch_release(struct admin_request *a);

/* Answers 200 with the value, which is taken over; NULL is an internal error. */
void admin_answer(struct admin_request *a, json_t *value);
void admin_refuse(struct admin_request *a, const struct fault *f);
/* The answer to a change (a->change), with how these brokers stand. */
void admin_answer_change(struct admin_request *a, const struct feed_broker *brokers, size_t count);
json_t *admin_json_change(const struct admin_request *a, const struct feed_broker *brokers, size_t count);
/* "wait_ms" from the query; false where it was refused, and answered. */
MUST_USE bool admin_take_wait(struct admin_request *a);
/* Done-function of every change: waits for the brokers, then answers. */
void admin_changed(const struct store_changed *answer, const struct fault *f, void *admin_request);

/* The body as an object whose members are all among `members` (NULL-terminated); an empty body is {}. Caller
 * json_decref. */
MUST_USE outcome admin_body(const struct admin_request *a, const char *const *members, json_t **out,
			    struct fault *f);
/* Takes "reason" (where `required`, it must be there) and "wait_ms" from a body. */
MUST_USE outcome admin_take_common(struct admin_request *a, const json_t *body, bool reason_required,
				   struct fault *f);

/* A body that says "wait_ms" and nothing else; false where it was refused, and answered. */
MUST_USE bool admin_take_nothing(struct admin_request *a);

json_t *admin_json_hex(const void *p, size_t n);
json_t *admin_json_entry(const struct log_entry *e);
json_t *admin_json_entries(const struct log_entry *entries, size_t count);
json_t *admin_json_device(const struct store_device *d);
json_t *admin_json_certificate(const struct store_certificate *c);

#endif
