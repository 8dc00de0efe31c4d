#include "journal_internal.h"

#include "cbor.h"

#include <string.h>

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

#define BIT(key) (1u << (key))
#define VOID_KEYS (BIT(KEY_KIND) | BIT(KEY_TIME) | BIT(KEY_INTENT))
#define CERTIFICATE_KEYS                                                                                     \
	(VOID_KEYS | BIT(KEY_SERIAL) | BIT(KEY_TBS) | BIT(KEY_REQUEST) | BIT(KEY_CERTIFICATE))

static void put_number(struct buf *b, int key, uint64_t v)
{
	cbor_put_uint(b, (uint64_t)key);
	cbor_put_uint(b, v);
}

static void put_bytes(struct buf *b, int key, const void *p, size_t n)
{
	cbor_put_uint(b, (uint64_t)key);
	cbor_put_bstr(b, bytes_of(p, n));
}

void journal_record_encode(const struct journal_record *r, struct buf *out)
{
	bool certificate = r->kind == JOURNAL_CERTIFICATE;
	cbor_put_map(out, !certificate ? 3 : r->attested ? 8 : 7);
	put_number(out, KEY_KIND, r->kind);
	put_number(out, KEY_TIME, (uint64_t)r->time);
	put_bytes(out, KEY_INTENT, r->intent, sizeof r->intent);
	if (!certificate)
		return;
	put_bytes(out, KEY_SERIAL, r->serial, sizeof r->serial);
	if (r->attested)
		put_bytes(out, KEY_BINDING, r->binding, sizeof r->binding);
	put_bytes(out, KEY_TBS, r->tbs_sha256, sizeof r->tbs_sha256);
	put_bytes(out, KEY_REQUEST, r->request_sha256, sizeof r->request_sha256);
	put_bytes(out, KEY_CERTIFICATE, r->certificate.p, r->certificate.n);
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

struct decoding {
	struct journal_record *record;
	unsigned seen;
};

static outcome get_fixed(struct cbor_reader *v, uint8_t *out, size_t n, struct fault *f)
{
	struct cbor_item item;
	outcome o = cbor_expect(v, CBOR_BSTR, &item, f);
	if (!o.ok)
		return o;
	if (item.bytes.n != n)
		return refuse(f, REASON_JOURNAL, "%zu bytes where %zu belong", item.bytes.n, n);
	memcpy(out, item.bytes.p, n);
	return DONE;
}

static outcome get_number(struct cbor_reader *v, int64_t *out, struct fault *f)
{
	outcome o = cbor_int(v, out, f);
	return o.ok && *out < 0 ? refuse(f, REASON_JOURNAL, "a negative number") : o;
}

static outcome get_certificate(struct cbor_reader *v, struct bytes *out, struct fault *f)
{
	struct cbor_item item;
	outcome o = cbor_expect(v, CBOR_BSTR, &item, f);
	if (o.ok && (item.bytes.n == 0 || item.bytes.n > CERT_DER_MAX))
		return refuse(f, REASON_JOURNAL, "a certificate of %zu bytes", item.bytes.n);
	*out = item.bytes;
	return o;
}

static outcome take_value(struct journal_record *r, int64_t key, struct cbor_reader *v, struct fault *f)
{
	int64_t number = 0;
	outcome o;
	switch (key) {
	case KEY_KIND:
		o = get_number(v, &number, f);
		r->kind = (enum journal_kind)number;
		return o.ok && number != JOURNAL_CERTIFICATE && number != JOURNAL_VOID
			       ? refuse(f, REASON_JOURNAL, "an unknown kind of record")
			       : o;
	case KEY_TIME:
		return get_number(v, &r->time, f);
	case KEY_INTENT:
		return get_fixed(v, r->intent, sizeof r->intent, f);
	case KEY_SERIAL:
		return get_fixed(v, r->serial, sizeof r->serial, f);
	case KEY_BINDING:
		r->attested = true;
		return get_fixed(v, r->binding, sizeof r->binding, f);
	case KEY_TBS:
		return get_fixed(v, r->tbs_sha256, sizeof r->tbs_sha256, f);
	case KEY_REQUEST:
		return get_fixed(v, r->request_sha256, sizeof r->request_sha256, f);
	default:
		return get_certificate(v, &r->certificate, f);
	}
}

static outcome take_field(void *arg, struct cbor_label label, struct cbor_reader *value, struct fault *f)
{
	struct decoding *d = arg;
	if (label.text.p || label.number < 0 || label.number >= KEYS)
		return refuse(f, REASON_JOURNAL, "a record with an unknown key");
	d->seen |= BIT(label.number);
	return take_value(d->record, label.number, value, f);
}

outcome journal_record_decode(struct bytes in, struct journal_record *out, struct fault *f)
{
	struct cbor_reader r = cbor_reader(in);
	struct decoding d = {.record = out};
	*out = (struct journal_record){0};
	outcome o = cbor_map(&r, take_field, &d, f);
	if (o.ok)
		o = cbor_end(&r, f);
	if (!o.ok)
		return o;
	bool whole = out->kind == JOURNAL_VOID ? d.seen == VOID_KEYS
					       : (d.seen & ~BIT(KEY_BINDING)) == CERTIFICATE_KEYS;
	return whole ? DONE : refuse(f, REASON_JOURNAL, "a record with the keys %#x", d.seen);
}
