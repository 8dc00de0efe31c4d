/*
 * Any bytes as each of the provenance objects. What is read and signed again has the same payload; and since few
 * inputs reach a payload through an envelope, the input is also wrapped into one.
 */
#include "common/provenance/line_record.h"
#include "common/provenance/receipt.h"
#include "common/provenance/stage_statement.h"
#include "common/provenance/work_order.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static EVP_PKEY *key;

#define OBJECT(name)                                                                                         \
	static bool again_##name(struct bytes in, struct provenance_object *o, struct buf *out)              \
	{                                                                                                    \
		struct name object;                                                                          \
		struct fault f = {0};                                                                        \
		if (!name##_read(in, &object, &f).ok) {                                                      \
			if (f.reason == REASON_NONE || f.text[0] == '\0')                                    \
				abort();                                                                     \
			return false;                                                                        \
		}                                                                                            \
		*o = object.object;                                                                          \
		if (!name##_sign(out, &object, key, &f).ok)                                                  \
			abort();                                                                             \
		return true;                                                                                 \
	}

OBJECT(stage_statement)
OBJECT(work_order)
OBJECT(line_record)
OBJECT(receipt)
OBJECT(register_head)

static const struct {
	enum provenance_type type;
	bool (*again)(struct bytes in, struct provenance_object *o, struct buf *out);
} objects[] = {
	{PROVENANCE_STAGE_STATEMENT, again_stage_statement}, {PROVENANCE_WORK_ORDER, again_work_order},
	{PROVENANCE_LINE_RECORD, again_line_record},	     {PROVENANCE_RECEIPT, again_receipt},
	{PROVENANCE_REGISTER_HEAD, again_register_head},
};

static void read_as_each(struct bytes in)
{
	for (size_t i = 0; i < sizeof objects / sizeof *objects; i++) {
		struct provenance_object before, after;
		struct buf out = {0};
		if (objects[i].again(in, &before, &out) &&
		    (provenance_type_of(in) != objects[i].type ||
		     !provenance_open(buf_view(&out), &after, NULL).ok || out.n != in.n ||
		     !bytes_equal(before.cose.payload, after.cose.payload)))
			abort();
		buf_free(&out);
	}
}

static void read_wrapped(struct bytes payload)
{
	static const uint8_t header[21] = {0xa2, 0x01, 0x26, 0x04, 0x50}, signature[P256_SIGNATURE_SIZE];
	struct buf b = {0};
	cbor_put_tag(&b, 18);
	cbor_put_array(&b, 4);
	cbor_put_bstr(&b, bytes_of(header, sizeof header));
	cbor_put_map(&b, 0);
	cbor_put_bstr(&b, payload);
	cbor_put_bstr(&b, bytes_of(signature, sizeof signature));
	read_as_each(buf_view(&b));
	buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!key)
		key = p256_key_generate();
	read_as_each(bytes_of(data, size));
	read_wrapped(bytes_of(data, size));
	return 0;
}
