/*
 * der.h - the Distinguished Encoding Rules (X.690 8, 10): a strict pull reader and a small writer.
 *
 * The reader takes one-byte tags and definite lengths in their shortest form. Nothing is allocated.
 */
#ifndef MOORING_DER_H
#define MOORING_DER_H

#include "common/bytes.h"

enum {
	DER_INTEGER = 0x02,
	DER_BIT_STRING = 0x03,
	DER_OID = 0x06,
	DER_UTF8_STRING = 0x0c,
	DER_PRINTABLE_STRING = 0x13,
	DER_TELETEX_STRING = 0x14,
	DER_IA5_STRING = 0x16,
	DER_SEQUENCE = 0x30,
	DER_SET = 0x31,
	DER_CONTEXT_0 = 0xa0, /* constructed */
};

struct der_item {
	uint8_t tag;
	struct bytes contents;
	struct bytes whole; /* with tag and length */
};

/* Takes the first item off `in`; false where there is none. */
MUST_USE bool der_next(struct bytes *in, struct der_item *out);
/* The same, and it must have this tag. */
MUST_USE bool der_take(struct bytes *in, uint8_t tag, struct der_item *out);
/* An OBJECT IDENTIFIER whose arcs are whole and in their shortest form (X.690 8.19). */
MUST_USE bool der_take_oid(struct bytes *in, struct der_item *out);
/* `in` is a sequence of items, well formed all the way down. */
MUST_USE bool der_well_formed(struct bytes in);
/* Contents of a BIT STRING without unused bits; false where there are any. */
MUST_USE bool der_bits(const struct der_item *item, struct bytes *out);

/* Appends one item. */
void der_put(struct buf *b, uint8_t tag, struct bytes contents);
/* Makes what was appended since `start` the contents of one item. */
void der_wrap(struct buf *b, size_t start, uint8_t tag);

#endif
