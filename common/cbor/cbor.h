/*
 * cbor.h - strict CBOR (RFC 8949): a pull reader over bytes from outside, and a deterministic writer.
 *
 * The reader takes definite lengths only, major types 0-5, 7 (false, true, null) and tags where asked for;
 * what is skipped may hold any well-formed item. Over-long integers are accepted (RFC 9783 5.1.1: a verifier
 * tolerates variation); indefinite lengths, reserved additional information 28-30, declared sizes beyond the
 * input, nesting beyond CBOR_DEPTH_MAX, maps of more than CBOR_ENTRIES_MAX entries, duplicate labels, labels
 * other than integers and text, and text that is not UTF-8 are refused. Nothing is allocated.
 */
#ifndef MOORING_CBOR_H
#define MOORING_CBOR_H

#include "common/bytes.h"

enum { CBOR_DEPTH_MAX = 6, CBOR_ENTRIES_MAX = 40 };

enum cbor_type { CBOR_UINT, CBOR_NINT, CBOR_BSTR, CBOR_TSTR, CBOR_ARRAY, CBOR_MAP, CBOR_TAG, CBOR_SIMPLE };

struct cbor_reader {
	const uint8_t *p;
	const uint8_t *end;
};

struct cbor_item {
	enum cbor_type type;
	uint64_t number;    /* UINT value; NINT n of -1-n; ARRAY/MAP count; TAG number; SIMPLE 20, 21, 22 */
	struct bytes bytes; /* BSTR and TSTR contents */
};

/* A map key: integer (text.p NULL) or text. */
struct cbor_label {
	int64_t number;
	struct bytes text;
};

bool cbor_label_equal(struct cbor_label a, struct cbor_label b);
/* The label is this integer. */
bool cbor_label_is(struct cbor_label label, int64_t number);

struct cbor_reader cbor_reader(struct bytes in);
/* The head of the next item; for arrays, maps and tags the contents follow as further items. */
MUST_USE outcome cbor_next(struct cbor_reader *r, struct cbor_item *out, struct fault *f);
/* The next item must be of this type. */
MUST_USE outcome cbor_expect(struct cbor_reader *r, enum cbor_type type, struct cbor_item *out,
			     struct fault *f);
/* Skips one whole item, checking its well-formedness; *whole (may be NULL) gets its encoded bytes. */
MUST_USE outcome cbor_skip(struct cbor_reader *r, struct bytes *whole, struct fault *f);
/* Integers in int64 range. */
MUST_USE outcome cbor_int(struct cbor_reader *r, int64_t *out, struct fault *f);
/* REASON_CBOR_TRAILING unless everything was read. */
MUST_USE outcome cbor_end(const struct cbor_reader *r, struct fault *f);

/* Walks a map: reads its head, checks all labels for duplicates by value, and then calls `field` once an
 * entry with the reader at the entry's value, which `field` must consume exactly one item of. */
typedef outcome cbor_field(void *arg, struct cbor_label label, struct cbor_reader *value, struct fault *f);
MUST_USE outcome cbor_map(struct cbor_reader *r, cbor_field *field, void *arg, struct fault *f);

/* Writer: shortest form. Maps are written by the caller in deterministic order (RFC 8949 4.2.1). */
void cbor_put_uint(struct buf *b, uint64_t v);
void cbor_put_int(struct buf *b, int64_t v);
void cbor_put_bstr(struct buf *b, struct bytes v);
void cbor_put_tstr(struct buf *b, const char *v);
void cbor_put_text(struct buf *b, struct bytes v); /* the same, of a view */
void cbor_put_array(struct buf *b, size_t count);
void cbor_put_map(struct buf *b, size_t count);
void cbor_put_tag(struct buf *b, uint64_t tag);
void cbor_put_null(struct buf *b);

#endif
