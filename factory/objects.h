/*
 * objects.h - work orders and line records as files, and lines by their id.
 *
 * A file holds one object, or several, one after the other (a CBOR sequence, RFC 8742): a line's outbox.
 */
#ifndef MOORING_FACTORY_OBJECTS_H
#define MOORING_FACTORY_OBJECTS_H

#include "common/provenance/programme.h"

enum { LINE_ID_HEX = HEX_SIZE(KEY_ID_SIZE), OBJECTS_FILE_MAX = 1 << 30 };

/* Each owns the bytes that it looks into; freed with buf_free(&x.bytes). */
struct held_order {
	struct buf bytes;
	struct work_order order;
};
struct held_record {
	struct buf bytes;
	struct line_record record;
};

/* Format, programme and signature. The fault names the file. */
MUST_USE outcome held_order_load(const char *path, const struct programme *programme, struct held_order *out,
				 struct fault *f);
MUST_USE outcome held_record_load(const char *path, const struct programme *programme,
				  struct held_record *out, struct fault *f);
/* Signs and writes; 0644, durable. */
MUST_USE outcome held_record_save(const char *path, const struct line_record *record, EVP_PKEY *authority,
				  struct fault *f);

/* The next object of a sequence; false at its end, and where what follows is no whole object: then rest->n is not
 * 0. What kind of object it is, and whether it is right, is not looked at. */
MUST_USE bool objects_next(struct bytes *rest, struct bytes *object);

/* 32 hex digits, or a file with the line's record. */
MUST_USE outcome line_id_of(const char *text, const struct programme *programme, uint8_t out[KEY_ID_SIZE],
			    struct fault *f);
/* Its first 8 digits are enough for people. */
void line_id_hex(const uint8_t id[KEY_ID_SIZE], char out[LINE_ID_HEX]);

#endif
