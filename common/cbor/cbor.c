#include "cbor.h"

#include <string.h>

enum { SIMPLE_FALSE = 20, SIMPLE_NULL = 22 };

struct cbor_reader cbor_reader(struct bytes in)
{
	return (struct cbor_reader){in.p, in.n ? in.p + in.n : in.p};
}

static size_t left(const struct cbor_reader *r)
{
	return (size_t)(r->end - r->p);
}

/* RFC 8949 3: initial byte and argument. */
static outcome read_argument(struct cbor_reader *r, unsigned *major, unsigned *info, uint64_t *number,
			     struct fault *f)
{
	if (left(r) == 0)
		return refuse(f, REASON_CBOR_TRUNCATED,
			      "RFC 8949 3: the input ends where an item should start");
	*major = *r->p >> 5;
	*info = *r->p & 31;
	r->p++;
	*number = *info;
	if (*info < 24)
		return DONE;
	if (*info == 31)
		return refuse(f, REASON_CBOR_INDEFINITE, "RFC 9783 5.1.1: an indefinite length");
	if (*info > 27)
		return refuse(f, REASON_CBOR_RESERVED, "RFC 8949 3: reserved additional information %u",
			      *info);
	size_t width = (size_t)1 << (*info - 24);
	if (left(r) < width)
		return refuse(f, REASON_CBOR_TRUNCATED, "RFC 8949 3: the input ends inside an argument");
	*number = 0;
	for (size_t i = 0; i < width; i++)
		*number = *number << 8 | *r->p++;
	return DONE;
}

static outcome read_string(struct cbor_reader *r, struct cbor_item *item, struct fault *f)
{
	if (item->number > left(r))
		return refuse(f, REASON_CBOR_OVERRUN, "RFC 8949 3: a string of %llu bytes where %zu are left",
			      (unsigned long long)item->number, left(r));
	item->bytes = bytes_of(r->p, (size_t)item->number);
	r->p += item->number;
	if (item->type == CBOR_TSTR && !bytes_are_utf8(item->bytes))
		return refuse(f, REASON_CBOR_UTF8, "RFC 8949 3.1: a text string that is not UTF-8");
	return DONE;
}

/* An entry takes a byte at least, so what is declared cannot be more than what is left. */
static outcome check_count(const struct cbor_reader *r, const struct cbor_item *item, struct fault *f)
{
	if (item->number > left(r) / (item->type == CBOR_MAP ? 2 : 1))
		return refuse(f, REASON_CBOR_OVERRUN,
			      "RFC 8949 3: a container of %llu entries where %zu bytes are left",
			      (unsigned long long)item->number, left(r));
	if (item->type == CBOR_MAP && item->number > CBOR_ENTRIES_MAX)
		return refuse(f, REASON_CBOR_TOO_MANY, "a map of %llu entries; %d is the limit",
			      (unsigned long long)item->number, CBOR_ENTRIES_MAX);
	return DONE;
}

/* The head of any well-formed item. *common is false for what only cbor_skip takes: floats, other simple
 * values. */
static outcome read_head(struct cbor_reader *r, struct cbor_item *out, bool *common, struct fault *f)
{
	unsigned major = 0, info = 0;
	*out = (struct cbor_item){0};
	outcome o = read_argument(r, &major, &info, &out->number, f);
	if (!o.ok)
		return o;
	out->type = (enum cbor_type)major; /* in the order of RFC 8949 3.1 */
	*common = true;
	if (out->type == CBOR_BSTR || out->type == CBOR_TSTR)
		return read_string(r, out, f);
	if (out->type == CBOR_ARRAY || out->type == CBOR_MAP)
		return check_count(r, out, f);
	if (out->type == CBOR_SIMPLE) {
		if (info == 24 && out->number < 32)
			return refuse(f, REASON_CBOR_RESERVED,
				      "RFC 8949 3.3: a simple value below 32 in two bytes");
		*common = info >= SIMPLE_FALSE && info <= SIMPLE_NULL;
	}
	return DONE;
}

outcome cbor_next(struct cbor_reader *r, struct cbor_item *out, struct fault *f)
{
	bool common;
	outcome o = read_head(r, out, &common, f);
	if (o.ok && !common)
		return refuse(f, REASON_CBOR_TYPE,
			      "a float or a simple value other than false, true and null");
	return o;
}

outcome cbor_expect(struct cbor_reader *r, enum cbor_type type, struct cbor_item *out, struct fault *f)
{
	static const char *const names[] = {"an unsigned integer",
					    "a negative integer",
					    "a byte string",
					    "a text string",
					    "an array",
					    "a map",
					    "a tag",
					    "a simple value"};
	outcome o = cbor_next(r, out, f);
	if (o.ok && out->type != type)
		return refuse(f, REASON_CBOR_TYPE, "%s where %s is required", names[out->type], names[type]);
	return o;
}

static outcome number_of(const struct cbor_item *item, int64_t *out, struct fault *f)
{
	if (item->type != CBOR_UINT && item->type != CBOR_NINT)
		return refuse(f, REASON_CBOR_TYPE, "no integer where one is required");
	if (item->number > INT64_MAX)
		return refuse(f, REASON_CBOR_TYPE, "an integer beyond 64 bits with sign");
	*out = item->type == CBOR_UINT ? (int64_t)item->number : -1 - (int64_t)item->number;
	return DONE;
}

outcome cbor_int(struct cbor_reader *r, int64_t *out, struct fault *f)
{
	struct cbor_item item;
	outcome o = cbor_next(r, &item, f);
	return o.ok ? number_of(&item, out, f) : o;
}

outcome cbor_end(const struct cbor_reader *r, struct fault *f)
{
	if (left(r))
		return refuse(f, REASON_CBOR_TRAILING, "%zu bytes follow the last item", left(r));
	return DONE;
}

static outcome read_label(struct cbor_reader *r, struct cbor_label *out, struct fault *f)
{
	struct cbor_item item;
	*out = (struct cbor_label){0};
	outcome o = cbor_next(r, &item, f);
	if (!o.ok)
		return o;
	if (item.type == CBOR_TSTR) {
		out->text = item.bytes;
		return DONE;
	}
	return number_of(&item, &out->number, f);
}

bool cbor_label_equal(struct cbor_label a, struct cbor_label b)
{
	if (a.text.p || b.text.p)
		return a.text.p && b.text.p && bytes_equal(a.text, b.text);
	return a.number == b.number;
}

bool cbor_label_is(struct cbor_label label, int64_t number)
{
	return !label.text.p && label.number == number;
}

struct entry {
	struct cbor_label label;
	struct bytes value;
};

static outcome skip(struct cbor_reader *r, int depth, struct fault *f);

/* Labels are compared by value: 0a and 1a 0000000a are the same label (RFC 8949 5.6). */
static outcome read_entries(struct cbor_reader *r, size_t count, int depth, struct entry *out,
			    struct fault *f)
{
	for (size_t i = 0; i < count; i++) {
		outcome o = read_label(r, &out[i].label, f);
		if (!o.ok)
			return o;
		for (size_t j = 0; j < i; j++)
			if (cbor_label_equal(out[i].label, out[j].label))
				return refuse(f, REASON_CBOR_DUPLICATE,
					      "RFC 8949 5.6: a map holds a label twice");
		const uint8_t *start = r->p;
		o = skip(r, depth, f);
		if (!o.ok)
			return o;
		out[i].value = bytes_of(start, (size_t)(r->p - start));
	}
	return DONE;
}

static outcome skip(struct cbor_reader *r, int depth, struct fault *f)
{
	struct cbor_item item;
	struct entry entries[CBOR_ENTRIES_MAX];
	bool common;
	outcome o = read_head(r, &item, &common, f);
	if (!o.ok || (item.type != CBOR_ARRAY && item.type != CBOR_MAP && item.type != CBOR_TAG))
		return o;
	if (depth == 0)
		return refuse(f, REASON_CBOR_DEPTH, "items are nested deeper than %d", CBOR_DEPTH_MAX);
	if (item.type == CBOR_MAP)
		return read_entries(r, (size_t)item.number, depth - 1, entries, f);
	uint64_t count = item.type == CBOR_TAG ? 1 : item.number;
	for (uint64_t i = 0; o.ok && i < count; i++)
		o = skip(r, depth - 1, f);
	return o;
}

outcome cbor_skip(struct cbor_reader *r, struct bytes *whole, struct fault *f)
{
	const uint8_t *start = r->p;
	outcome o = skip(r, CBOR_DEPTH_MAX, f);
	if (o.ok && whole)
		*whole = bytes_of(start, (size_t)(r->p - start));
	return o;
}

outcome cbor_map(struct cbor_reader *r, cbor_field *field, void *arg, struct fault *f)
{
	struct cbor_item head;
	struct entry entries[CBOR_ENTRIES_MAX];
	outcome o = cbor_expect(r, CBOR_MAP, &head, f);
	if (!o.ok)
		return o;
	o = read_entries(r, (size_t)head.number, CBOR_DEPTH_MAX - 1, entries, f);
	for (size_t i = 0; o.ok && i < head.number; i++) {
		struct cbor_reader value = cbor_reader(entries[i].value);
		o = field(arg, entries[i].label, &value, f);
		if (o.ok && left(&value))
			o = refuse(f, REASON_CBOR_TYPE, "an entry holds more than is expected there");
	}
	return o;
}

static void put_head(struct buf *b, unsigned major, uint64_t number)
{
	unsigned info = number < 24	       ? (unsigned)number
			: number <= UINT8_MAX  ? 24
			: number <= UINT16_MAX ? 25
			: number <= UINT32_MAX ? 26
					       : 27;
	buf_byte(b, (uint8_t)(major << 5 | info));
	size_t width = info < 24 ? 0 : (size_t)1 << (info - 24);
	for (size_t i = width; i-- > 0;)
		buf_byte(b, (uint8_t)(number >> (8 * i)));
}

void cbor_put_uint(struct buf *b, uint64_t v)
{
	put_head(b, 0, v);
}

void cbor_put_int(struct buf *b, int64_t v)
{
	if (v < 0)
		put_head(b, 1, (uint64_t)(-1 - v));
	else
		put_head(b, 0, (uint64_t)v);
}

void cbor_put_bstr(struct buf *b, struct bytes v)
{
	put_head(b, 2, v.n);
	buf_bytes(b, v);
}

void cbor_put_text(struct buf *b, struct bytes v)
{
	put_head(b, 3, v.n);
	buf_bytes(b, v);
}

void cbor_put_tstr(struct buf *b, const char *v)
{
	cbor_put_text(b, bytes_str(v));
}

void cbor_put_array(struct buf *b, size_t count)
{
	put_head(b, 4, count);
}

void cbor_put_map(struct buf *b, size_t count)
{
	put_head(b, 5, count);
}

void cbor_put_tag(struct buf *b, uint64_t tag)
{
	put_head(b, 6, tag);
}

void cbor_put_null(struct buf *b)
{
	put_head(b, 7, 22);
}
