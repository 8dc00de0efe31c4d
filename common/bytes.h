/*
 * bytes.h - spans of bytes, a growable buffer, and the text encodings of RFC 4648.
 */
#ifndef MOORING_BYTES_H
#define MOORING_BYTES_H

#include "fault.h"

#include <stddef.h>
#include <stdint.h>

/* A view: never owns. */
struct bytes {
	const uint8_t *p;
	size_t n;
};

struct bytes bytes_of(const void *p, size_t n);
struct bytes bytes_str(const char *s);
/* What buf_be32 and buf_be64 wrote. */
uint32_t bytes_be32(const uint8_t p[4]);
uint64_t bytes_be64(const uint8_t p[8]);
bool bytes_equal(struct bytes a, struct bytes b);
/* Constant time in the contents; lengths are public. */
bool bytes_equal_ct(struct bytes a, struct bytes b);
/* RFC 3629: no overlong forms, no surrogates, nothing beyond U+10FFFF. */
bool bytes_are_utf8(struct bytes s);

/* Owns p. After a failed allocation `failed` stays set and appends do nothing: check once, at the end. */
struct buf {
	uint8_t *p;
	size_t n;
	size_t cap;
	bool failed;
};

void buf_add(struct buf *b, const void *p, size_t n);
void buf_bytes(struct buf *b, struct bytes s);
void buf_str(struct buf *b, const char *s);
void buf_byte(struct buf *b, uint8_t v);
void buf_be32(struct buf *b, uint32_t v); /* big-endian */
void buf_be64(struct buf *b, uint64_t v);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Drops the first n bytes. */
void buf_consume(struct buf *b, size_t n);
struct bytes buf_view(const struct buf *b);
/* NUL-terminates and hands the string to the caller, who frees it; NULL if an append failed. */
char *buf_take_str(struct buf *b);
void buf_free(struct buf *b);

/* Encoders write a NUL-terminated string and need the room that the macro gives. */
#define HEX_SIZE(n) (2 * (n) + 1)
#define BASE64_SIZE(n) (4 * (((n) + 2) / 3) + 1)
#define BASE32_SIZE(n) (8 * (((n) + 4) / 5) + 1)

void hex_encode(struct bytes in, char *out);
void base64_encode(struct bytes in, char *out);	      /* padded, RFC 4648 4 */
void base64url_encode(struct bytes in, char *out);    /* unpadded, RFC 4648 5 */
void base32_encode_lower(struct bytes in, char *out); /* unpadded lower case, RFC 4648 6 */

/* Decoders are strict: whole input, no white space, no stray bits. *n_out is the decoded length;
 * more than `room` bytes is a failure. base64url takes padded and unpadded text. */
MUST_USE bool hex_decode(const char *in, size_t n, uint8_t *out, size_t room, size_t *n_out);
MUST_USE bool base64_decode(const char *in, size_t n, uint8_t *out, size_t room, size_t *n_out);
MUST_USE bool base64url_decode(const char *in, size_t n, uint8_t *out, size_t room, size_t *n_out);

#endif
