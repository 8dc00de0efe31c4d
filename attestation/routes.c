#include "routes.h"

#include "admin.h"
#include "admin_auth.h"
#include "challenge.h"
#include "clock.h"
#include "discovery.h"
#include "log.h"
#include "status.h"
#include "withdrawals.h"
#include "worker.h"

#include <string.h>

enum { PART_SIZE = 80, PARTS_MAX = 2 };

enum access { ACCESS_OPEN, ACCESS_RELYING_PARTY, ACCESS_VIEWER, ACCESS_OPERATOR };

struct call {
	struct worker *worker;
	struct scgi_request *request;
	char parts[PARTS_MAX][PART_SIZE]; /* what stood where the path has a * */
	size_t part_count;
	const char *caller; /* access key id, where one was needed */
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
	challenge_evidence(c->worker, c->request, c->parts[0]);
}

static void session_get(struct call *c)
{
	challenge_get(c->worker, c->request, c->parts[0]);
}

static void session_end(struct call *c)
{
	challenge_end(c->worker, c->request, c->parts[0]);
}

static void withdrawals(struct call *c)
{
	withdrawals_get(c->worker, c->request);
}

static void import(struct call *c)
{
	admin_import(c->worker, c->request, c->caller, c->parts[0], c->parts[1]);
}

static void record_list(struct call *c)
{
	admin_list(c->worker, c->request);
}

static void record_show(struct call *c)
{
	admin_show(c->worker, c->request, c->parts[0]);
}

static void record_suspend(struct call *c)
{
	admin_stand_record(c->worker, c->request, c->caller, c->parts[0], true);
}

static void record_resume(struct call *c)
{
	admin_stand_record(c->worker, c->request, c->caller, c->parts[0], false);
}

static void batch_suspend(struct call *c)
{
	admin_stand_batch(c->worker, c->request, c->caller, c->parts[0], true);
}

static void batch_resume(struct call *c)
{
	admin_stand_batch(c->worker, c->request, c->caller, c->parts[0], false);
}

static void health(struct call *c)
{
	status_health(c->worker, c->request);
}

static void ready(struct call *c)
{
	status_ready(c->worker, c->request);
}

static void metrics(struct call *c)
{
	status_metrics(c->worker, c->request);
}

static const struct route {
	const char *method;
	const char *path; /* * stands for one part */
	enum access access;
	void (*handle)(struct call *c);
} routes[] = {
	{"GET", "/.well-known/veraison/verification", ACCESS_OPEN, discovery},
	{"POST", "/challenge-response/v1/newSession", ACCESS_RELYING_PARTY, session_new},
	{"POST", "/challenge-response/v1/session/*", ACCESS_RELYING_PARTY, session_evidence},
	{"GET", "/challenge-response/v1/session/*", ACCESS_RELYING_PARTY, session_get},
	{"DELETE", "/challenge-response/v1/session/*", ACCESS_RELYING_PARTY, session_end},
	{"GET", "/v1/withdrawals", ACCESS_RELYING_PARTY, withdrawals},
	{"POST", "/v1/records/imports/*/batches/*", ACCESS_OPERATOR, import},
	{"GET", "/v1/records", ACCESS_VIEWER, record_list},
	{"GET", "/v1/records/*", ACCESS_VIEWER, record_show},
	{"POST", "/v1/records/*/suspend", ACCESS_OPERATOR, record_suspend},
	{"POST", "/v1/records/*/resume", ACCESS_OPERATOR, record_resume},
	{"POST", "/v1/batches/*/suspend", ACCESS_OPERATOR, batch_suspend},
	{"POST", "/v1/batches/*/resume", ACCESS_OPERATOR, batch_resume},
	{"GET", "/healthz", ACCESS_OPEN, health},
	{"GET", "/readyz", ACCESS_OPEN, ready},
	{"GET", "/metrics", ACCESS_OPEN, metrics},
};
enum { ROUTE_COUNT = sizeof routes / sizeof *routes };

/* Part by part. A part that a * takes is as it was sent: names here
 * have no character that would be escaped. */
static bool matches(const char *pattern, const char *path, struct call *c)
{
	c->part_count = 0;
	while (*pattern && *path) {
		size_t want = strcspn(pattern + 1, "/"), have = strcspn(path + 1, "/");
		if (*path != '/')
			return false;
		if (want == 1 && pattern[1] == '*') {
			if (have == 0 || have >= PART_SIZE)
				return false;
			memcpy(c->parts[c->part_count], path + 1, have);
			c->parts[c->part_count++][have] = '\0';
		} else if (want != have || memcmp(pattern + 1, path + 1, want)) {
			return false;
		}
		pattern += 1 + want;
		path += 1 + have;
	}
	return !*pattern && !*path;
}

static bool takes(const struct route *route, const char *method)
{
	return !strcmp(route->method, method) || (!strcmp(method, "HEAD") && !strcmp(route->method, "GET"));
}

static const struct route *find(struct call *c)
{
	for (size_t i = 0; i < ROUTE_COUNT; i++)
		if (takes(&routes[i], scgi_method(c->request)) &&
		    matches(routes[i].path, scgi_path(c->request), c))
			return &routes[i];
	return NULL;
}

/* Why there is no route: the path is not there, or it is and takes other methods. */
static void refuse_route(struct call *c, struct fault *f)
{
	refuse(f, REASON_NOT_FOUND, "no such path");
	for (size_t i = 0; i < ROUTE_COUNT; i++) {
		if (!matches(routes[i].path, scgi_path(c->request), c))
			continue;
		scgi_answer_header(c->request, "Allow", routes[i].method);
		refuse(f, REASON_METHOD_NOT_ALLOWED, "RFC 9110 15.5.6: this path does not take %.16s",
		       scgi_method(c->request));
	}
}

static outcome check_access(const struct call *c, enum access access, struct admin_caller *caller,
			    struct fault *f)
{
	if (access == ACCESS_OPEN)
		return DONE;
	if (access == ACCESS_RELYING_PARTY)
		return peers_check(c->worker->peers, scgi_client_cert(c->request), clock_wall_s(), f);
	enum admin_role least = access == ACCESS_VIEWER ? ADMIN_ROLE_VIEWER : ADMIN_ROLE_OPERATOR;
	return admin_auth_check(c->worker->service->admin_auth, c->request, least, caller, f);
}

void routes_handle(struct scgi_request *r, void *arg)
{
	struct attestd *a = arg;
	struct fault f;
	struct admin_caller caller = {0};
	struct call c = {.worker = &a->workers[scgi_worker_index(r)], .request = r, .caller = caller.key_id};
	const struct route *route = find(&c);
	if (route && check_access(&c, route->access, &caller, &f).ok) {
		route->handle(&c);
		return;
	}
	if (!route)
		refuse_route(&c, &f);
	else
		log_fault(LOG_LEVEL_WARN, scgi_request_id(r), &f, "%s %s was refused", scgi_method(r),
			  scgi_path(r));
	scgi_answer_problem(r, &f);
}
