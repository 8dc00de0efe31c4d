/*
 * cbor_fields.h - messages of our own as CBOR maps (RFC 8949) with keys from 0 upwards: one table a
 * message, read and written by it.
 */
#ifndef MOORING_CBOR_FIELDS_H
#define MOORING_CBOR_FIELDS_H

#include "cbor.h"

#include <stddef.h>

enum cbor_field_type {
	CBOR_FIELD_UINT,      /* int64_t, not negative */
	CBOR_FIELD_FIXED,     /* uint8_t[size], a bstr of exactly that size */
	CBOR_FIELD_BYTES,     /* struct bytes, a bstr of 1 to `size` bytes; a view into the message */
	CBOR_FIELD_TEXT,      /* char[size], a tstr without NUL that fits with its end */
	CBOR_FIELD_TEXT_VIEW, /* struct bytes, a tstr of 1 to `size` bytes; a view into the message */
};

/* The key is the row's number in its table. */
struct cbor_fields_row {
	enum cbor_field_type type;
	size_t offset; /* in the struct that the message is read into */
	size_t size;   /* of the member, or the most that a view may hold; not used for UINT */
};

struct cbor_fields {
	const struct cbor_fields_row *rows;
	size_t count;	    /* at most 32 */
	enum reason reason; /* why a message with another key or a value out of its bounds is refused */
};

/* Reads one map that is the whole of `in`; *seen has bit K set where key K was there. What makes a message
 * of keys that are each right is for the caller to say. The table's reason, or the CBOR reader's. */
MUST_USE outcome cbor_fields_read(struct bytes in, const struct cbor_fields *fields, void *into,
				  uint32_t *seen, struct fault *f);
/* Appends a map of the keys whose bit is set in `which`, in ascending order (RFC 8949 4.2.1). */
void cbor_fields_write(struct buf *out, const struct cbor_fields *fields, uint32_t which, const void *from);

#define CBOR_FIELD_BIT(key) (UINT32_C(1) << (key))

#endif
