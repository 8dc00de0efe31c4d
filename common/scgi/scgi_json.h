/*
 * scgi_json.h - requests and answers whose body is JSON.
 */
#ifndef MOORING_SCGI_JSON_H
#define MOORING_SCGI_JSON_H

#include "common/json_read.h"
#include "scgi.h"

/* REASON_MEDIA_TYPE unless the body is declared as application/json, with or without parameters (RFC 9110
 * 8.3). */
MUST_USE outcome scgi_json_expect(const struct scgi_request *r, struct fault *f);
/* Answers and releases `body`; NULL, for want of memory to make it, becomes a problem document. */
void scgi_json_answer(struct scgi_request *r, int status, const char *content_type, json_t *body);

#endif
