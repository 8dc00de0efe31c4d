#include "cbor_fields.h"

#include <string.h>

struct reading {
	const struct cbor_fields *fields;
	char *into;
	uint32_t seen;
};

static bool is_text(enum cbor_field_type type)
{
	return type == CBOR_FIELD_TEXT || type == CBOR_FIELD_TEXT_VIEW;
}

static bool fits(const struct cbor_fields_row *row, struct bytes v)
{
	if (row->type == CBOR_FIELD_FIXED)
		return v.n == row->size;
	if (row->type == CBOR_FIELD_TEXT)
		return v.n < row->size && !memchr(v.p, 0, v.n);
	return v.n > 0 && v.n <= row->size;
}

static outcome read_string(const struct cbor_fields_row *row, struct cbor_reader *value, char *into,
			   int64_t key, enum reason reason, struct fault *f)
{
	struct cbor_item item;
	outcome o = cbor_expect(value, is_text(row->type) ? CBOR_TSTR : CBOR_BSTR, &item, f);
	if (!o.ok)
		return o;
	if (!fits(row, item.bytes))
		return refuse(f, reason, "key %lld: a string of %zu bytes, or with a NUL, does not fit",
			      (long long)key, item.bytes.n);
	if (row->type == CBOR_FIELD_BYTES || row->type == CBOR_FIELD_TEXT_VIEW) {
		memcpy(into, &item.bytes, sizeof item.bytes);
		return DONE;
	}
	memcpy(into, item.bytes.p, item.bytes.n);
	if (row->type == CBOR_FIELD_TEXT)
		into[item.bytes.n] = '\0';
	return DONE;
}

static outcome read_field(void *arg, struct cbor_label label, struct cbor_reader *value, struct fault *f)
{
	struct reading *r = arg;
	const struct cbor_fields *fields = r->fields;
	int64_t number;
	if (label.text.p || label.number < 0 || label.number >= (int64_t)fields->count)
		return refuse(f, fields->reason, "an unknown key");
	const struct cbor_fields_row *row = &fields->rows[label.number];
	r->seen |= CBOR_FIELD_BIT(label.number);
	if (row->type != CBOR_FIELD_UINT)
		return read_string(row, value, r->into + row->offset, label.number, fields->reason, f);
	outcome o = cbor_int(value, &number, f);
	if (!o.ok)
		return o;
	if (number < 0)
		return refuse(f, fields->reason, "key %lld: a negative number", (long long)label.number);
	memcpy(r->into + row->offset, &number, sizeof number);
	return DONE;
}

outcome cbor_fields_read(struct bytes in, const struct cbor_fields *fields, void *into, uint32_t *seen,
			 struct fault *f)
{
	struct cbor_reader r = cbor_reader(in);
	struct reading reading = {.fields = fields, .into = into};
	outcome o = cbor_map(&r, read_field, &reading, f);
	*seen = reading.seen;
	return o.ok ? cbor_end(&r, f) : o;
}

static void write_field(struct buf *out, const struct cbor_fields_row *row, const char *at)
{
	int64_t number;
	struct bytes view;
	switch (row->type) {
	case CBOR_FIELD_UINT:
		memcpy(&number, at, sizeof number);
		cbor_put_uint(out, (uint64_t)number);
		break;
	case CBOR_FIELD_FIXED:
		cbor_put_bstr(out, bytes_of(at, row->size));
		break;
	case CBOR_FIELD_TEXT:
		cbor_put_tstr(out, at);
		break;
	case CBOR_FIELD_BYTES:
	case CBOR_FIELD_TEXT_VIEW:
		memcpy(&view, at, sizeof view);
		if (row->type == CBOR_FIELD_BYTES)
			cbor_put_bstr(out, view);
		else
			cbor_put_text(out, view);
		break;
	}
}

void cbor_fields_write(struct buf *out, const struct cbor_fields *fields, uint32_t which, const void *from)
{
	cbor_put_map(out, (size_t)__builtin_popcount(which));
	for (size_t key = 0; key < fields->count; key++) {
		if (!(which & CBOR_FIELD_BIT(key)))
			continue;
		cbor_put_uint(out, key);
		write_field(out, &fields->rows[key], (const char *)from + fields->rows[key].offset);
	}
}
