#include "routes.h"

#include "admin.h"
#include "challenge.h"
#include "discovery.h"
#include "status.h"
#include "withdrawals.h"
#include "worker.h"
#include "common/admin/admin_auth.h"
#include "common/clock.h"
#include "common/edge.h"
#include "common/log.h"
#include "common/scgi/router.h"

enum access { ACCESS_OPEN, ACCESS_RELYING_PARTY, ACCESS_VIEWER, ACCESS_OPERATOR };

struct call {
	struct worker *worker;
	struct scgi_request *request;
	struct route_match match;
	struct admin_caller caller; /* where one was needed */
};

static void discovery(struct call *c)
{
	scgi_answer_header(c->request, "Cache-Control", "max-age=60");
	scgi_answer(c->request, 200, DISCOVERY_MEDIA_TYPE, bytes_str(c->worker->service->discovery));
}

static void session_new(struct call *c)
{
	challenge_new(c->worker, c->request);
}

static void session_evidence(struct call *c)
{
	challenge_evidence(c->worker, c->request, c->match.names[0]);
}

static void session_get(struct call *c)
{
	challenge_get(c->worker, c->request, c->match.names[0]);
}

static void session_end(struct call *c)
{
	challenge_end(c->worker, c->request, c->match.names[0]);
}

static void withdrawals(struct call *c)
{
	withdrawals_get(c->worker, c->request);
}

static void import(struct call *c)
{
	admin_import(c->worker, c->request, c->caller.key_id, c->match.names[0], c->match.names[1]);
}

static void record_list(struct call *c)
{
	admin_list(c->worker, c->request);
}

static void record_show(struct call *c)
{
	admin_show(c->worker, c->request, c->match.names[0]);
}

static void record_suspend(struct call *c)
{
	admin_stand_record(c->worker, c->request, c->caller.key_id, c->match.names[0], true);
}

static void record_resume(struct call *c)
{
	admin_stand_record(c->worker, c->request, c->caller.key_id, c->match.names[0], false);
}

static void batch_suspend(struct call *c)
{
	admin_stand_batch(c->worker, c->request, c->caller.key_id, c->match.names[0], true);
}

static void batch_resume(struct call *c)
{
	admin_stand_batch(c->worker, c->request, c->caller.key_id, c->match.names[0], false);
}

static void health(struct call *c)
{
	edge_answer_alive(c->request);
}

static void ready(struct call *c)
{
	status_ready(c->worker, c->request);
}

static void metrics(struct call *c)
{
	status_metrics(c->worker, c->request);
}

static const struct {
	struct route route;
	enum access access;
	void (*handle)(struct call *c);
} routes[] = {
	{{"GET", "/.well-known/veraison/verification"}, ACCESS_OPEN, discovery},
	{{"POST", "/challenge-response/v1/newSession"}, ACCESS_RELYING_PARTY, session_new},
	{{"POST", "/challenge-response/v1/session/*"}, ACCESS_RELYING_PARTY, session_evidence},
	{{"GET", "/challenge-response/v1/session/*"}, ACCESS_RELYING_PARTY, session_get},
	{{"DELETE", "/challenge-response/v1/session/*"}, ACCESS_RELYING_PARTY, session_end},
	{{"GET", "/v1/withdrawals"}, ACCESS_RELYING_PARTY, withdrawals},
	{{"POST", "/v1/records/imports/*/batches/*"}, ACCESS_OPERATOR, import},
	{{"GET", "/v1/records"}, ACCESS_VIEWER, record_list},
	{{"GET", "/v1/records/*"}, ACCESS_VIEWER, record_show},
	{{"POST", "/v1/records/*/suspend"}, ACCESS_OPERATOR, record_suspend},
	{{"POST", "/v1/records/*/resume"}, ACCESS_OPERATOR, record_resume},
	{{"POST", "/v1/batches/*/suspend"}, ACCESS_OPERATOR, batch_suspend},
	{{"POST", "/v1/batches/*/resume"}, ACCESS_OPERATOR, batch_resume},
	{{"GET", "/healthz"}, ACCESS_OPEN, health},
	{{"GET", "/readyz"}, ACCESS_OPEN, ready},
	{{"GET", "/metrics"}, ACCESS_OPEN, metrics},
};
enum { ROUTE_COUNT = sizeof routes / sizeof *routes };

static outcome check_access(struct call *c, enum access access, struct fault *f)
{
	if (access == ACCESS_OPEN)
		return DONE;
	struct peer gateway;
	if (access == ACCESS_RELYING_PARTY)
		return peers_check(c->worker->peers, scgi_client_cert(c->request), "gateway", clock_wall_s(),
				   &gateway, f);
	enum admin_role least = access == ACCESS_VIEWER ? ADMIN_ROLE_VIEWER : ADMIN_ROLE_OPERATOR;
	return admin_auth_check(c->worker->service->admin_auth, c->request, least, &c->caller, f);
}

void routes_handle(struct scgi_request *r, void *arg)
{
	struct attestd *a = arg;
	struct fault f;
	struct call c = {.worker = &a->workers[scgi_worker_index(r)], .request = r};
	outcome o =
		router_find(routes, ROUTE_COUNT, sizeof *routes, scgi_method(r), scgi_path(r), &c.match, &f);
	if (o.ok) {
		o = check_access(&c, routes[c.match.row].access, &f);
		if (!o.ok)
			log_fault(LOG_LEVEL_WARN, scgi_request_id(r), &f, "%s %s was refused", scgi_method(r),
				  scgi_path(r));
	} else if (f.reason == REASON_METHOD_NOT_ALLOWED) {
		scgi_answer_header(r, "Allow", c.match.allow);
	}
	if (o.ok)
		routes[c.match.row].handle(&c);
	else
		scgi_answer_problem(r, &f);
}
