/*
 * answer.h - answers in JSON.
 */
#ifndef MOORING_ANSWER_H
#define MOORING_ANSWER_H

#include "scgi.h"

#include <jansson.h>

/* Sends and releases `body`; NULL (no memory to make it) becomes a problem document. */
void answer_json(struct scgi_request *r, int status, const char *content_type, json_t *body);

#endif
