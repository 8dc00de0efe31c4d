#include "admin_internal.h"

#include "gateway/http/http.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct route {
	const char *method;
	const char *path; /* below /v1/admin/; "*" stands for one segment, the name */
	enum admin_role least;
	void (*handle)(struct admin_request *a);
};

static const struct route routes[] = {
	{"GET", "devices", ADMIN_ROLE_VIEWER, admin_devices},
	{"GET", "devices/*", ADMIN_ROLE_VIEWER, admin_device},
	{"GET", "requests/*", ADMIN_ROLE_VIEWER, admin_explain},
	{"GET", "log", ADMIN_ROLE_VIEWER, admin_log},
	{"GET", "alarms", ADMIN_ROLE_VIEWER, admin_alarms},
	{"GET", "brokers", ADMIN_ROLE_VIEWER, admin_broker_list},
	{"GET", "services", ADMIN_ROLE_VIEWER, admin_service_list},
	{"POST", "devices/*/suspend", ADMIN_ROLE_OPERATOR, admin_suspend},
	{"POST", "devices/*/resume", ADMIN_ROLE_OPERATOR, admin_resume},
	{"POST", "devices/*/revoke", ADMIN_ROLE_OPERATOR, admin_revoke},
	{"POST", "devices/*/allow-reenrol", ADMIN_ROLE_ADMIN, admin_allow_reenrol},
	{"POST", "services", ADMIN_ROLE_ADMIN, admin_service_add},
	{"POST", "epoch", ADMIN_ROLE_ADMIN, admin_epoch_raise},
	{"DELETE", "services/*", ADMIN_ROLE_ADMIN, admin_service_remove},
	{"DELETE", "brokers/*", ADMIN_ROLE_ADMIN, admin_broker_remove},
};

/* ---- paths ---- */

/* RFC 3986 2.1, for one segment; false for what is malformed, too long, or holds a character that no name
 * has. */
static bool decode_segment(const char *in, size_t n, char out[ADMIN_NAME_SIZE])
{
	size_t done = 0, got;
	for (size_t i = 0; i < n; i++) {
		uint8_t c = (uint8_t)in[i];
		if (c == '%') {
			if (n - i < 3 || !hex_decode(in + i + 1, 2, &c, 1, &got))
				return false;
			i += 2;
		}
		if (c < 0x21 || c > 0x7e || done + 1 == ADMIN_NAME_SIZE)
			return false;
		out[done++] = (char)c;
	}
	out[done] = '\0';
	return done > 0;
}

static bool path_matches(const char *pattern, const char *path, char name[ADMIN_NAME_SIZE])
{
	while (*pattern) {
		if (*pattern == '*') {
			size_t n = strcspn(path, "/");
			if (!decode_segment(path, n, name))
				return false;
			path += n;
			pattern++;
		} else if (*pattern++ != *path++) {
			return false;
		}
	}
	return *path == '\0';
}

/* The route, or NULL with the fault that says whether the path or the method is wrong. */
static const struct route *find_route(const struct scgi_request *r, char name[ADMIN_NAME_SIZE],
				      struct fault *f)
{
	const char *path = scgi_path(r) + strlen("/v1/admin/"), *method = scgi_method(r);
	bool known = false;
	for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
		name[0] = '\0';
		if (!path_matches(routes[i].path, path, name))
			continue;
		if (!strcmp(routes[i].method, method))
			return &routes[i];
		known = true;
	}
	if (known)
		refuse(f, REASON_METHOD_NOT_ALLOWED, "this resource does not take %.16s", method);
	else
		refuse(f, REASON_NOT_FOUND, "there is no such admin resource");
	return NULL;
}

/* ---- requests ---- */

outcome admin_query_number(const struct admin_request *a, const char *name, int64_t max, int64_t fallback,
			   int64_t *out, struct fault *f)
{
	char text[20];
	*out = fallback;
	if (!scgi_query_has(a->request, name))
		return DONE;
	if (!scgi_query_get(a->request, name, text, sizeof text) || !*text ||
	    strspn(text, "0123456789") != strlen(text) || strlen(text) > 18 ||
	    (*out = strtoll(text, NULL, 10)) > max)
		return refuse(f, REASON_BAD_FIELD, "%s: a number from 0 to %lld is required", name,
			      (long long)max);
	return DONE;
}

static outcome check_members(const json_t *body, const char *const *members, struct fault *f)
{
	const char *key;
	json_t *value;
	json_object_foreach((json_t *)(uintptr_t)body, key, value) {
		size_t i = 0;
		while (members[i] && strcmp(members[i], key) != 0)
			i++;
		if (!members[i])
			return refuse(f, REASON_BAD_FIELD, "%.60s: this request has no such member", key);
	}
	return DONE;
}

outcome admin_body(const struct admin_request *a, const char *const *members, json_t **out, struct fault *f)
{
	struct bytes body = scgi_body(a->request);
	json_error_t error;
	*out = NULL;
	outcome o = body.n ? http_expect_json(a->request, f) : DONE;
	if (!o.ok)
		return o;
	json_t *root = body.n ? json_loadb((const char *)body.p, body.n, JSON_REJECT_DUPLICATES, &error)
			      : json_object();
	if (!root)
		return refuse(f, REASON_BAD_JSON, "RFC 8259: %.200s", body.n ? error.text : "no memory");
	o = json_is_object(root) ? check_members(root, members, f)
				 : refuse(f, REASON_BAD_FIELD, "the body is no JSON object");
	if (o.ok)
		*out = root;
	else
		json_decref(root);
	return o;
}

outcome admin_take_common(struct admin_request *a, const json_t *body, bool reason_required, struct fault *f)
{
	const json_t *reason = json_object_get(body, "reason"), *wait = json_object_get(body, "wait_ms");
	if (reason_required && !json_string_length(reason))
		return refuse(f, REASON_BAD_FIELD, "reason: a text is required");
	if (reason && (!json_is_string(reason) || json_string_length(reason) > ADMIN_REASON_MAX ||
		       strlen(json_string_value(reason)) != json_string_length(reason)))
		return refuse(f, REASON_BAD_FIELD, "reason: a text of at most %d bytes is required",
			      ADMIN_REASON_MAX);
	if (reason)
		snprintf(a->reason, sizeof a->reason, "%s", json_string_value(reason));
	if (!wait)
		return DONE;
	a->wait_ms = json_integer_value(wait);
	if (!json_is_integer(wait) || a->wait_ms < 0 || a->wait_ms > ADMIN_WAIT_MAX_MS)
		return refuse(f, REASON_BAD_FIELD, "wait_ms: a number from 0 to %d is required",
			      ADMIN_WAIT_MAX_MS);
	return DONE;
}

/* ---- answers ---- */

void admin_refuse(struct admin_request *a, const struct fault *f)
{
	scgi_answer_problem_to_operator(a->request, f);
}

void admin_answer(struct admin_request *a, json_t *value)
{
	char *text = value ? json_dumps(value, JSON_COMPACT) : NULL;
	struct fault f;
	json_decref(value);
	if (text) {
		scgi_answer(a->request, 200, "application/json", bytes_str(text));
	} else {
		refuse(&f, REASON_INTERNAL, "an answer could not be written as JSON");
		admin_refuse(a, &f);
	}
	free(text);
}

void admin_handle(struct gateway *g, struct scgi_request *r)
{
	struct fault f;
	struct admin_request *a = scgi_alloc(r, sizeof *a);
	if (!a)
		return;
	*a = (struct admin_request){.gateway = g, .request = r, .wait_ms = ADMIN_WAIT_DEFAULT_MS};
	const struct route *route = find_route(r, a->name, &f);
	/* Who may not ask learns nothing of what there is, so an unknown path needs a signature, too. */
	enum admin_role least = route ? route->least : ADMIN_ROLE_VIEWER;
	struct fault refused;
	if (!admin_auth_check(g->admin_auth, r, least, &a->caller, &refused).ok) {
		scgi_answer_problem(r, &refused);
		return;
	}
	a->who = (struct store_caller){.request_id = scgi_request_id(r), .actor = a->caller.key_id};
	if (route)
		route->handle(a);
	else
		admin_refuse(a, &f);
}
