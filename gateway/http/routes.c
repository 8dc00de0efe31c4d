#include "http.h"

#include "gateway/admin/admin.h"
#include "gateway/feed/feed.h"
#include "gateway/worker.h"

#include <string.h>
#include <strings.h>

struct route {
	const char *method; /* GET answers HEAD too; NULL: the handler decides */
	const char *path;   /* one that ends in "/": everything below it */
	void (*handle)(struct gateway *g, struct scgi_request *r);
};

static const struct route routes[] = {
	/* devices: they prove what they are in the request itself */
	{"POST", "/v1/challenges", http_challenges},
	{"POST", "/v1/enrolments", http_enrolments},
	{"POST", "/v1/renewals", http_renewals},
	/* anyone */
	{"GET", "/v1/ca/root.pem", http_root},
	{"GET", "/v1/ca/chain.pem", http_chain},
	{"GET", "/healthz", http_healthz},
	{"GET", "/readyz", http_readyz},
	{"GET", "/metrics", http_metrics},
	/* brokers, by their service certificate */
	{"GET", "/v1/feed", feed_handle_stream},
	{"POST", "/v1/feed/receipts", feed_handle_receipts},
	/* admins, by their signature */
	{NULL, "/v1/admin/", admin_handle},
};

enum { ROUTE_COUNT = sizeof routes / sizeof *routes };

static bool path_is(const struct route *route, const char *path)
{
	size_t n = strlen(route->path);
	return route->path[n - 1] == '/' ? !strncmp(path, route->path, n) : !strcmp(path, route->path);
}

static bool method_is(const struct route *route, const char *method)
{
	return !route->method || !strcmp(route->method, method) ||
	       (!strcmp(route->method, "GET") && !strcmp(method, "HEAD"));
}

static void refuse_unrouted(struct scgi_request *r, const struct route *other)
{
	struct fault f;
	if (other) {
		scgi_answer_header(r, "Allow", other->method);
		refuse(&f, REASON_METHOD_NOT_ALLOWED, "%s takes %s", other->path, other->method);
	} else {
		refuse(&f, REASON_NOT_FOUND, "no resource has this path");
	}
	scgi_answer_problem(r, &f);
}

void http_handle(struct scgi_request *r, void *arg)
{
	struct gateway *g = arg;
	const struct route *other_method = NULL;
	struct fault f;
	if (worker_of(g, r)->stopping) {
		refuse(&f, REASON_OVERLOADED, "the gateway is stopping");
		scgi_answer_problem(r, &f);
		return;
	}
	for (size_t i = 0; i < ROUTE_COUNT; i++) {
		if (!path_is(&routes[i], scgi_path(r)))
			continue;
		if (method_is(&routes[i], scgi_method(r))) {
			routes[i].handle(g, r);
			return;
		}
		other_method = &routes[i];
	}
	refuse_unrouted(r, other_method);
}

outcome http_expect_json(const struct scgi_request *r, struct fault *f)
{
	const char *type = scgi_header(r, "content-type");
	size_t n = strcspn(type, "; \t");
	if (n == strlen("application/json") && !strncasecmp(type, "application/json", n))
		return DONE;
	return refuse(f, REASON_MEDIA_TYPE, "Content-Type must be application/json");
}
