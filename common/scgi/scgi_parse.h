/*
 * scgi_parse.h - the SCGI request format, as pure functions over bytes.
 *
 * A request is a netstring of NUL-terminated names and values, and a body:
 *   "70:" "CONTENT_LENGTH" 00 "27" 00 "SCGI" 00 "1" 00 ... "," body
 * Source: the SCGI specification (python.ca/scgi/protocol.txt). Stricter than it: each parameter once,
 * no leading zeros, no byte after the body.
 */
#ifndef MOORING_SCGI_PARSE_H
#define MOORING_SCGI_PARSE_H

#include "common/bytes.h"

enum { SCGI_PARAMS_MAX = 128 };

struct scgi_pair {
	const char *name; /* NUL-terminated inside the input */
	const char *value;
};

struct scgi_head {
	struct scgi_pair params[SCGI_PARAMS_MAX];
	size_t count;
	struct bytes body;
};

/* How long the whole request that starts with `in` is: *length = 0 while too little has come to tell.
 * REASON_BAD_REQUEST, REASON_TOO_LARGE where the head or the body is over its limit. */
MUST_USE outcome scgi_measure(struct bytes in, size_t *length, struct fault *f);
/* Splits a whole request, exactly as long as scgi_measure said; `out` views into it. */
MUST_USE outcome scgi_split(struct bytes whole, struct scgi_head *out, struct fault *f);
/* "" where absent. */
const char *scgi_find(const struct scgi_head *head, const char *name);
/* %41 -> A, into `out` with a NUL; false for a malformed escape, an escaped NUL, or too little room. `plus` turns
 * + into a space (application/x-www-form-urlencoded). */
MUST_USE bool scgi_percent_decode(struct bytes in, bool plus, char *out, size_t room, size_t *n_out);

#endif
