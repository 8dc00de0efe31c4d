#include "der.h"

#include <string.h>

enum { DEPTH_MAX = 12, CONSTRUCTED = 0x20, LONG_TAG = 0x1f };

static bool read_length(struct bytes *in, size_t *length)
{
	if (in->n == 0)
		return false;
	size_t width = *in->p & 0x7f, value = *in->p;
	bool is_short = *in->p < 0x80;
	*in = bytes_of(in->p + 1, in->n - 1);
	*length = value;
	if (is_short)
		return true;
	if (width == 0 || width > 3 || width > in->n)
		return false;
	value = 0;
	for (size_t i = 0; i < width; i++)
		value = value << 8 | in->p[i];
	*in = bytes_of(in->p + width, in->n - width);
	*length = value;
	return value >= 0x80 && value >> (8 * (width - 1)); /* X.690 10.1: the shortest form */
}

bool der_next(struct bytes *in, struct der_item *out)
{
	struct bytes rest = *in;
	size_t length;
	if (rest.n == 0 || *rest.p == 0 || (*rest.p & LONG_TAG) == LONG_TAG)
		return false;
	out->tag = *rest.p;
	rest = bytes_of(rest.p + 1, rest.n - 1);
	if (!read_length(&rest, &length) || length > rest.n)
		return false;
	out->contents = bytes_of(rest.p, length);
	out->whole = bytes_of(in->p, (size_t)(rest.p - in->p) + length);
	*in = bytes_of(rest.p + length, rest.n - length);
	return true;
}

bool der_take(struct bytes *in, uint8_t tag, struct der_item *out)
{
	return der_next(in, out) && out->tag == tag;
}

bool der_take_oid(struct bytes *in, struct der_item *out)
{
	if (!der_take(in, DER_OID, out) || out->contents.n == 0 ||
	    out->contents.p[out->contents.n - 1] & 0x80)
		return false;
	for (size_t i = 0; i < out->contents.n; i++)
		if (out->contents.p[i] == 0x80 && (i == 0 || !(out->contents.p[i - 1] & 0x80)))
			return false;
	return true;
}

static bool well_formed(struct bytes in, int depth)
{
	struct der_item item;
	while (in.n) {
		if (!der_next(&in, &item))
			return false;
		if (item.tag & CONSTRUCTED && (depth == 0 || !well_formed(item.contents, depth - 1)))
			return false;
	}
	return true;
}

bool der_well_formed(struct bytes in)
{
	return well_formed(in, DEPTH_MAX);
}

bool der_bits(const struct der_item *item, struct bytes *out)
{
	if (item->tag != DER_BIT_STRING || item->contents.n == 0 || item->contents.p[0] != 0)
		return false;
	*out = bytes_of(item->contents.p + 1, item->contents.n - 1);
	return true;
}

/* X.690 10.1: the shortest form of the length. Returns the size of tag and length. */
static size_t make_head(uint8_t tag, size_t n, uint8_t out[5])
{
	size_t width = n < 0x80 ? 0 : n <= 0xff ? 1 : n <= 0xffff ? 2 : 3, at = 0;
	out[at++] = tag;
	if (width)
		out[at++] = (uint8_t)(0x80 | width);
	for (size_t i = width ? width : 1; i-- > 0;)
		out[at++] = (uint8_t)(n >> (8 * i));
	return at;
}

void der_put(struct buf *b, uint8_t tag, struct bytes contents)
{
	uint8_t head[5];
	buf_add(b, head, make_head(tag, contents.n, head));
	buf_bytes(b, contents);
}

void der_wrap(struct buf *b, size_t start, uint8_t tag)
{
	uint8_t head[5];
	size_t n = b->n - start, head_size = make_head(tag, n, head);
	buf_add(b, head, head_size);
	if (b->failed)
		return;
	memmove(b->p + start + head_size, b->p + start, n);
	memcpy(b->p + start, head, head_size);
}
