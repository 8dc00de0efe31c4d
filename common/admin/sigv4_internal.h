/*
 * sigv4_internal.h - what the files of SigV4 share: sigv4.c signs and verifies, sigv4_canonical.c makes the
 * one form, sigv4_claim.c reads what a request claims.
 */
#ifndef MOORING_SIGV4_INTERNAL_H
#define MOORING_SIGV4_INTERNAL_H

#include "sigv4.h"

#define SIGV4_ALGORITHM "AWS4-HMAC-SHA256"

/* First value of the header, any case; NULL where absent. */
const char *sigv4_header_value(const struct sigv4_request *r, const char *name);
/* Takes the next name off a list joined by ';'; false at its end. */
bool sigv4_next_name(struct bytes *list, struct bytes *name);
/* YYYYMMDDThhmmssZ to Unix seconds. */
bool sigv4_parse_date_time(const char *text, int64_t *out);
/* host, x-amz-date and every x-amz-* header must be signed. */
MUST_USE outcome sigv4_check_coverage(const struct sigv4_request *r, const char *signed_headers,
				      struct fault *f);
/* REASON_SIGV4_MALFORMED with the rule. */
outcome sigv4_malformed(struct fault *f, const char *rule);

#endif
