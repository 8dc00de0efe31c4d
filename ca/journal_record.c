#include "journal_internal.h"

#include "common/cbor/cbor_fields.h"

static const char format[] = "mooring-journal/1";

enum key {
	KEY_KIND,
	KEY_TIME,
	KEY_INTENT,
	KEY_SERIAL,
	KEY_BINDING,
	KEY_TBS,
	KEY_REQUEST,
	KEY_CERTIFICATE,
	KEYS
};

struct line {
	int64_t kind;
	struct journal_record is;
};

static const struct cbor_fields_row rows[KEYS] = {
	[KEY_KIND] = {CBOR_FIELD_UINT, offsetof(struct line, kind), 0},
	[KEY_TIME] = {CBOR_FIELD_UINT, offsetof(struct line, is.time), 0},
	[KEY_INTENT] = {CBOR_FIELD_FIXED, offsetof(struct line, is.intent), INTENT_ID_SIZE},
	[KEY_SERIAL] = {CBOR_FIELD_FIXED, offsetof(struct line, is.serial), SERIAL_SIZE},
	[KEY_BINDING] = {CBOR_FIELD_FIXED, offsetof(struct line, is.binding), BINDING_SIZE},
	[KEY_TBS] = {CBOR_FIELD_FIXED, offsetof(struct line, is.tbs_sha256), SHA256_SIZE},
	[KEY_REQUEST] = {CBOR_FIELD_FIXED, offsetof(struct line, is.request_sha256), SHA256_SIZE},
	[KEY_CERTIFICATE] = {CBOR_FIELD_BYTES, offsetof(struct line, is.certificate), CERT_DER_MAX},
};
static const struct cbor_fields fields = {rows, KEYS, REASON_JOURNAL};

#define BIT CBOR_FIELD_BIT
#define VOID_KEYS (BIT(KEY_KIND) | BIT(KEY_TIME) | BIT(KEY_INTENT))
#define CERTIFICATE_KEYS                                                                                     \
	(VOID_KEYS | BIT(KEY_SERIAL) | BIT(KEY_TBS) | BIT(KEY_REQUEST) | BIT(KEY_CERTIFICATE))

void journal_record_encode(const struct journal_record *r, struct buf *out)
{
	const struct line line = {.kind = r->kind, .is = *r};
	uint32_t keys = r->kind != JOURNAL_CERTIFICATE ? VOID_KEYS
			: r->attested		       ? CERTIFICATE_KEYS | BIT(KEY_BINDING)
						       : CERTIFICATE_KEYS;
	cbor_fields_write(out, &fields, keys, &line);
}

outcome journal_record_decode(struct bytes in, struct journal_record *out, struct fault *f)
{
	struct line line = {0};
	uint32_t keys;
	*out = (struct journal_record){0};
	outcome o = cbor_fields_read(in, &fields, &line, &keys, f);
	if (!o.ok)
		return o;
	bool whole = line.kind == JOURNAL_VOID		? keys == VOID_KEYS
		     : line.kind == JOURNAL_CERTIFICATE ? (keys & ~BIT(KEY_BINDING)) == CERTIFICATE_KEYS
							: false;
	if (!whole)
		return refuse(f, REASON_JOURNAL, "a record of kind %lld with the keys %#x",
			      (long long)line.kind, keys);
	*out = line.is;
	out->kind = (enum journal_kind)line.kind;
	out->attested = keys & BIT(KEY_BINDING);
	return DONE;
}

void journal_header_encode(int64_t time, struct buf *out)
{
	cbor_put_array(out, 2);
	cbor_put_tstr(out, format);
	cbor_put_uint(out, (uint64_t)time);
}

outcome journal_header_decode(struct bytes in, struct fault *f)
{
	struct cbor_reader r = cbor_reader(in);
	struct cbor_item item;
	int64_t time;
	outcome o = cbor_expect(&r, CBOR_ARRAY, &item, f);
	if (o.ok && item.number != 2)
		o = refuse(f, REASON_JOURNAL, "the first record is no header");
	if (o.ok)
		o = cbor_expect(&r, CBOR_TSTR, &item, f);
	if (o.ok && !bytes_equal(item.bytes, bytes_str(format)))
		o = refuse(f, REASON_JOURNAL, "the format is not \"%s\"", format);
	if (o.ok)
		o = cbor_int(&r, &time, f);
	return o.ok ? cbor_end(&r, f) : o;
}
