/*
 * provenance_internal.h - how the objects of provenance.h are read and written: one table a kind.
 */
#ifndef MOORING_PROVENANCE_INTERNAL_H
#define MOORING_PROVENANCE_INTERNAL_H

#include "common/cbor/cbor_fields.h"
#include "provenance.h"

enum { PROVENANCE_FORMAT_VERSION = 1 };

/* What goes for the value of a key: of a number itself, of text and bytes their length. */
struct provenance_limit {
	const char *name; /* as docs/provenance.cddl has it */
	int64_t least, most;
};

struct provenance_format {
	const char *name; /* as docs/provenance.cddl has it */
	enum provenance_type type;
	struct cbor_fields fields;
	const struct provenance_limit *limits; /* one a key */
	uint32_t optional;		       /* bits of keys that may be left out */
};

extern const struct provenance_format stage_statement_format, work_order_format, line_record_format,
	receipt_format, register_head_format;

/* The structs that the tables read into begin with this. */
struct provenance_head {
	int64_t version, type;
};

/* Rows of the first two keys of every table. */
#define PROVENANCE_HEAD_ROWS                                                                                 \
	{CBOR_FIELD_UINT, offsetof(struct provenance_head, version), 0},                                     \
	{                                                                                                    \
		CBOR_FIELD_UINT, offsetof(struct provenance_head, type), 0                                   \
	}
#define PROVENANCE_HEAD_LIMITS(type)                                                                         \
	{"version", PROVENANCE_FORMAT_VERSION, PROVENANCE_FORMAT_VERSION},                                   \
	{                                                                                                    \
		"type", type, type                                                                           \
	}

/* The whole of `in` into `wire`, of this format and in its one encoding; *seen has the bits of its keys. */
MUST_USE outcome provenance_read(struct bytes in, const struct provenance_format *format, void *wire,
				 uint32_t *seen, struct provenance_object *object, struct fault *f);
/* Appends the object with these optional keys, if it keeps to the limits; sets the head of `wire`. */
MUST_USE outcome provenance_write(struct buf *out, const struct provenance_format *format, uint32_t optional,
				  void *wire, EVP_PKEY *key, struct fault *f);
/* The bytes are the ones that were written again from what was read in them. */
MUST_USE outcome provenance_one_form(struct bytes in, const struct buf *written, const char *what,
				     struct fault *f);

#endif
