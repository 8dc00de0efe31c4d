#include "admin_internal.h"

#include "common/scgi/router.h"
#include "common/scgi/scgi_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	struct route route; /* "*" is the name */
	enum admin_role least;
	void (*handle)(struct admin_request *a);
} routes[] = {
	{{"GET", "/v1/admin/devices"}, ADMIN_ROLE_VIEWER, admin_devices},
	{{"GET", "/v1/admin/devices/*"}, ADMIN_ROLE_VIEWER, admin_device},
	{{"GET", "/v1/admin/requests/*"}, ADMIN_ROLE_VIEWER, admin_explain},
	{{"GET", "/v1/admin/log"}, ADMIN_ROLE_VIEWER, admin_log},
	{{"GET", "/v1/admin/alarms"}, ADMIN_ROLE_VIEWER, admin_alarms},
	{{"GET", "/v1/admin/brokers"}, ADMIN_ROLE_VIEWER, admin_broker_list},
	{{"GET", "/v1/admin/changes/*"}, ADMIN_ROLE_VIEWER, admin_change},
	{{"GET", "/v1/admin/services"}, ADMIN_ROLE_VIEWER, admin_service_list},
	{{"GET", "/v1/admin/sessions"}, ADMIN_ROLE_VIEWER, admin_sessions},
	{{"GET", "/v1/admin/provenance"}, ADMIN_ROLE_VIEWER, admin_provenance_state},
	{{"GET", "/v1/admin/lines"}, ADMIN_ROLE_VIEWER, admin_line_list},
	{{"GET", "/v1/admin/lines/*/devices"}, ADMIN_ROLE_VIEWER, admin_line_devices},
	{{"GET", "/v1/admin/orders"}, ADMIN_ROLE_VIEWER, admin_order_list},
	{{"POST", "/v1/admin/provenance/objects"}, ADMIN_ROLE_OPERATOR, admin_provenance_add},
	{{"POST", "/v1/admin/provenance/register"}, ADMIN_ROLE_OPERATOR, admin_register_push},
	{{"POST", "/v1/admin/lines/*/suspend"}, ADMIN_ROLE_OPERATOR, admin_line_suspend},
	{{"POST", "/v1/admin/lines/*/resume"}, ADMIN_ROLE_OPERATOR, admin_line_resume},
	{{"POST", "/v1/admin/lines/*/revoke"}, ADMIN_ROLE_OPERATOR, admin_line_revoke},
	{{"POST", "/v1/admin/batches/*/release"}, ADMIN_ROLE_ADMIN, admin_batch_release},
	{{"POST", "/v1/admin/devices/*/suspend"}, ADMIN_ROLE_OPERATOR, admin_suspend},
	{{"POST", "/v1/admin/devices/*/resume"}, ADMIN_ROLE_OPERATOR, admin_resume},
	{{"POST", "/v1/admin/devices/*/revoke"}, ADMIN_ROLE_OPERATOR, admin_revoke},
	{{"POST", "/v1/admin/devices/*/allow-reenrol"}, ADMIN_ROLE_ADMIN, admin_allow_reenrol},
	{{"POST", "/v1/admin/lookups"}, ADMIN_ROLE_VIEWER, admin_lookup},
	{{"POST", "/v1/admin/revocations"}, ADMIN_ROLE_OPERATOR, admin_revoke_many},
	{{"POST", "/v1/admin/suspensions"}, ADMIN_ROLE_OPERATOR, admin_suspend_many},
	{{"POST", "/v1/admin/reattestations"}, ADMIN_ROLE_ADMIN, admin_reattest_many},
	{{"POST", "/v1/admin/services"}, ADMIN_ROLE_ADMIN, admin_service_add},
	{{"POST", "/v1/admin/epoch"}, ADMIN_ROLE_ADMIN, admin_epoch_raise},
	{{"DELETE", "/v1/admin/services/*"}, ADMIN_ROLE_ADMIN, admin_service_remove},
	{{"GET", "/v1/admin/policies"}, ADMIN_ROLE_VIEWER, admin_policy_list},
	{{"GET", "/v1/admin/policies/*"}, ADMIN_ROLE_VIEWER, admin_policy},
	{{"POST", "/v1/admin/policies/*"}, ADMIN_ROLE_ADMIN, admin_policy_set},
	{{"DELETE", "/v1/admin/policies/*"}, ADMIN_ROLE_ADMIN, admin_policy_delete},
	{{"POST", "/v1/admin/policies/*/reset"}, ADMIN_ROLE_ADMIN, admin_policy_reset},
	{{"POST", "/v1/admin/policies/*/attach"}, ADMIN_ROLE_ADMIN, admin_policy_attach},
	{{"POST", "/v1/admin/policies/*/detach"}, ADMIN_ROLE_ADMIN, admin_policy_detach},
	{{"GET", "/v1/admin/things/*"}, ADMIN_ROLE_VIEWER, admin_thing},
	{{"POST", "/v1/admin/things/*"}, ADMIN_ROLE_ADMIN, admin_thing_set},
	{{"POST", "/v1/admin/things/*/attach"}, ADMIN_ROLE_ADMIN, admin_thing_attach},
	{{"POST", "/v1/admin/things/*/detach"}, ADMIN_ROLE_ADMIN, admin_thing_detach},
	{{"POST", "/v1/admin/brokers/*/revoke"}, ADMIN_ROLE_OPERATOR, admin_broker_revoke},
	{{"DELETE", "/v1/admin/brokers/*"}, ADMIN_ROLE_ADMIN, admin_broker_remove},
};

enum { ROUTE_COUNT = sizeof routes / sizeof *routes };

/* ---- requests ---- */

outcome admin_body(const struct admin_request *a, const char *const *members, json_t **out, struct fault *f)
{
	struct bytes body = scgi_body(a->request);
	*out = NULL;
	if (body.n == 0) {
		*out = json_object();
		return *out ? DONE : refuse(f, REASON_NO_MEMORY, "no memory for a request");
	}
	outcome o = scgi_json_expect(a->request, f);
	if (o.ok)
		o = json_read_object(body, "the body", out, f);
	return o.ok ? json_read_members(*out, members, f) : o;
}

outcome admin_take_common(struct admin_request *a, const json_t *body, bool reason_required, struct fault *f)
{
	const json_t *given = json_object_get(body, "reason"), *wait = json_object_get(body, "wait_ms");
	const char *reason = json_string_value(given);
	if (reason_required && (!reason || !*reason))
		return refuse(f, REASON_BAD_FIELD, "reason: a text is required");
	if (given && (!reason || strlen(reason) > ADMIN_REASON_MAX))
		return refuse(f, REASON_BAD_FIELD, "reason: a text of at most %d bytes is required",
			      ADMIN_REASON_MAX);
	if (reason)
		snprintf(a->reason, sizeof a->reason, "%s", reason);
	if (!wait)
		return DONE;
	a->wait_ms = json_integer_value(wait);
	if (!json_is_integer(wait) || a->wait_ms < 0 || a->wait_ms > ADMIN_WAIT_MAX_MS)
		return refuse(f, REASON_BAD_FIELD, "wait_ms: a number from 0 to %d is required",
			      ADMIN_WAIT_MAX_MS);
	return DONE;
}

bool admin_take_wait(struct admin_request *a)
{
	struct fault f;
	outcome o = scgi_query_number(a->request, "wait_ms", ADMIN_WAIT_MAX_MS, ADMIN_WAIT_DEFAULT_MS,
				      &a->wait_ms, &f);
	if (!o.ok)
		admin_refuse(a, &f);
	return o.ok;
}

/* ---- answers ---- */

void admin_refuse(struct admin_request *a, const struct fault *f)
{
	scgi_answer_problem_to_operator(a->request, f);
}

void admin_answer(struct admin_request *a, json_t *value)
{
	scgi_json_answer(a->request, 200, "application/json", value);
}

void admin_handle(struct gateway *g, struct scgi_request *r)
{
	struct fault f;
	struct admin_request *a = scgi_alloc(r, sizeof *a);
	if (!a)
		return;
	*a = (struct admin_request){.gateway = g, .request = r, .wait_ms = ADMIN_WAIT_DEFAULT_MS};
	struct route_match match;
	outcome found =
		router_find(routes, ROUTE_COUNT, sizeof *routes, scgi_method(r), scgi_path(r), &match, &f);
	/* Who may not ask learns nothing of what there is, so an unknown path needs a signature, too. */
	enum admin_role least = found.ok ? routes[match.row].least : ADMIN_ROLE_VIEWER;
	struct fault refused;
	if (!admin_auth_check(g->admin_auth, r, least, &a->caller, &refused).ok) {
		scgi_answer_problem(r, &refused);
		return;
	}
	a->who = (struct store_caller){.request_id = scgi_request_id(r), .actor = a->caller.key_id};
	if (found.ok) {
		memcpy(a->name, match.names[0], sizeof a->name);
		routes[match.row].handle(a);
		return;
	}
	if (f.reason == REASON_METHOD_NOT_ALLOWED)
		scgi_answer_header(r, "Allow", match.allow);
	admin_refuse(a, &f);
}
