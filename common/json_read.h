/*
 * json_read.h - JSON from outside (RFC 8259), read strictly: objects without repeated members, and the
 * forms that members take.
 */
#ifndef MOORING_JSON_READ_H
#define MOORING_JSON_READ_H

#include "bytes.h"

#include <jansson.h>

/* The whole text is one object, no member twice (RFC 8259 4), no NUL in any text. `what` and the line begin
 * the sentence of REASON_BAD_JSON: "the body", a file's path. The caller json_decrefs *out, which is NULL
 * on failure. */
MUST_USE outcome json_read_object(struct bytes text, const char *what, json_t **out, struct fault *f);
/* Every member is one of `names`, which a NULL ends: REASON_BAD_FIELD names the first that is not. */
MUST_USE outcome json_read_members(const json_t *object, const char *const *names, struct fault *f);

/* Each takes any value, also none (NULL). */

/* Exactly `size` bytes as hex, or as base64url (RFC 4648 5). */
MUST_USE bool json_read_hex(const json_t *value, uint8_t *out, size_t size);
MUST_USE bool json_read_base64url(const json_t *value, uint8_t *out, size_t size);
/* At most `room` bytes as base64 (RFC 4648 4), *n of them. */
MUST_USE bool json_read_base64(const json_t *value, uint8_t *out, size_t room, size_t *n);

#endif
