#include "router.h"

#include "scgi_parse.h"

#include <stdio.h>
#include <string.h>

static bool take_name(const char **path, char out[ROUTE_NAME_SIZE])
{
	size_t n = strcspn(*path, "/"), decoded;
	if (!scgi_percent_decode(bytes_of(*path, n), false, out, ROUTE_NAME_SIZE, &decoded) || decoded == 0)
		return false;
	for (const char *c = out; *c; c++)
		if (*c < 0x21 || *c > 0x7e)
			return false;
	*path += n;
	return true;
}

static bool path_matches(const char *pattern, const char *path, struct route_match *m)
{
	const char *p = pattern;
	size_t names = 0;
	for (size_t i = 0; i < ROUTE_NAMES_MAX; i++)
		m->names[i][0] = '\0';
	for (; *p; p++) {
		if (*p != '*') {
			if (*p != *path++)
				return false;
		} else if (names == ROUTE_NAMES_MAX || !take_name(&path, m->names[names++])) {
			return false;
		}
	}
	return !*path || p[-1] == '/';
}

static bool takes(const struct route *route, const char *method)
{
	return !route->method || !strcmp(route->method, method) ||
	       (!strcmp(route->method, "GET") && !strcmp(method, "HEAD"));
}

static void allow(struct route_match *m, const char *method)
{
	size_t n = strlen(m->allow);
	snprintf(m->allow + n, sizeof m->allow - n, "%s%s%s", n ? ", " : "", method,
		 strcmp(method, "GET") ? "" : ", HEAD");
}

outcome router_find(const void *table, size_t count, size_t row_size, const char *method, const char *path,
		    struct route_match *out, struct fault *f)
{
	*out = (struct route_match){0};
	for (size_t i = 0; i < count; i++) {
		const struct route *route = (const void *)((const char *)table + i * row_size);
		if (!path_matches(route->path, path, out))
			continue;
		out->row = i;
		if (takes(route, method))
			return DONE;
		allow(out, route->method);
	}
	if (*out->allow)
		return refuse(f, REASON_METHOD_NOT_ALLOWED,
			      "RFC 9110 15.5.6: this resource takes %s, not %.16s", out->allow, method);
	return refuse(f, REASON_NOT_FOUND, "no resource has this path");
}
