#include "http.h"

#include "common/scgi/router.h"
#include "gateway/admin/admin.h"
#include "gateway/feed/feed.h"
#include "gateway/worker.h"

static const struct {
	struct route route;
	void (*handle)(struct gateway *g, struct scgi_request *r);
} routes[] = {
	/* devices: they prove what they are in the request itself */
	{{"POST", "/v1/challenges"}, http_challenges},
	{{"POST", "/v1/enrolments"}, http_enrolments},
	{{"POST", "/v1/renewals"}, http_renewals},
	/* anyone */
	{{"GET", "/v1/ca/root.pem"}, http_root},
	{{"GET", "/v1/ca/chain.pem"}, http_chain},
	{{"GET", "/healthz"}, http_healthz},
	{{"GET", "/readyz"}, http_readyz},
	{{"GET", "/metrics"}, http_metrics},
	/* brokers, by their service certificate */
	{{"GET", "/v1/feed"}, feed_handle_stream},
	{{"POST", "/v1/feed/receipts"}, feed_handle_receipts},
	{{"POST", "/v1/feed/sessions"}, feed_handle_sessions},
	/* admins, by their signature */
	{{NULL, "/v1/admin/"}, admin_handle},
};

enum { ROUTE_COUNT = sizeof routes / sizeof *routes };

void http_handle(struct scgi_request *r, void *arg)
{
	struct gateway *g = arg;
	struct route_match match;
	struct fault f;
	outcome found;
	if (worker_of(g, r)->stopping)
		found = refuse(&f, REASON_OVERLOADED, "the gateway is stopping");
	else
		found = router_find(routes, ROUTE_COUNT, sizeof *routes, scgi_method(r), scgi_path(r), &match,
				    &f);
	if (found.ok) {
		routes[match.row].handle(g, r);
		return;
	}
	if (f.reason == REASON_METHOD_NOT_ALLOWED)
		scgi_answer_header(r, "Allow", match.allow);
	scgi_answer_problem(r, &f);
}
