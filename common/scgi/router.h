/*
 * router.h - which handler a request is for: a table of method and path, and what follows from it (405,
 * Allow).
 */
#ifndef MOORING_ROUTER_H
#define MOORING_ROUTER_H

#include "common/fault.h"

#include <stddef.h>

/* The first member of a table's row; what else is in the row (handler, who may) is for the table's owner. */
struct route {
	const char *method; /* GET answers HEAD, too; NULL: every method, the handler decides */
	const char *path;   /* a segment "*" stands for a name; one that ends in "/": everything below it */
};

enum { ROUTE_NAMES_MAX = 2, ROUTE_NAME_SIZE = 137, ROUTE_ALLOW_SIZE = 64 };

struct route_match {
	size_t row;
	/* What stands where the path has a "*", percent-decoded (RFC 3986 2.1): 0x21 to 0x7e, never empty. */
	char names[ROUTE_NAMES_MAX][ROUTE_NAME_SIZE];
	char allow[ROUTE_ALLOW_SIZE]; /* for the Allow header (RFC 9110 10.2.1) of METHOD_NOT_ALLOWED */
};

/* The first of `count` rows of `row_size` bytes that takes the request; `path` is as on the wire, without
 * the query. REASON_NOT_FOUND where no row has the path, REASON_METHOD_NOT_ALLOWED where others of its
 * methods are there. */
MUST_USE outcome router_find(const void *table, size_t count, size_t row_size, const char *method,
			     const char *path, struct route_match *out, struct fault *f);

#endif
