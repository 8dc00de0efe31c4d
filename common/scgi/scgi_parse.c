#include "scgi_parse.h"

#include "scgi.h"

#include <string.h>

/* Decimal digits without a leading zero, at most `max`. */
static bool parse_length(const char *p, size_t n, size_t max, size_t *out)
{
	size_t v = 0;
	if (n == 0 || n > 7 || (n > 1 && p[0] == '0'))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (p[i] < '0' || p[i] > '9')
			return false;
		v = v * 10 + (size_t)(p[i] - '0');
	}
	*out = v;
	return v <= max;
}

/* "<digits>:" in front of the block; *block = 0 while the colon has not come. */
static outcome measure_block(struct bytes in, size_t *start, size_t *block, struct fault *f)
{
	const uint8_t *colon = in.n ? memchr(in.p, ':', in.n < 8 ? in.n : 8) : NULL;
	*block = 0;
	if (!colon && in.n < 8)
		return DONE;
	if (!colon || !parse_length((const char *)in.p, (size_t)(colon - in.p), 9999999, block))
		return refuse(f, REASON_BAD_REQUEST,
			      "SCGI: the request does not begin with a netstring length");
	if (*block > SCGI_HEADERS_MAX)
		return refuse(f, REASON_TOO_LARGE, "SCGI: parameters of %zu bytes, the limit is %d", *block,
			      SCGI_HEADERS_MAX);
	*start = (size_t)(colon - in.p) + 1;
	return DONE;
}

static outcome measure_body(struct bytes block, size_t *body, struct fault *f)
{
	static const char name[] = "CONTENT_LENGTH";
	size_t skip = sizeof name;
	if (block.n <= skip || memcmp(block.p, name, skip) != 0)
		return refuse(f, REASON_BAD_REQUEST, "SCGI: the first parameter is not CONTENT_LENGTH");
	const char *value = (const char *)block.p + skip;
	const char *end = memchr(value, 0, block.n - skip);
	if (!end || !parse_length(value, (size_t)(end - value), 9999999, body))
		return refuse(f, REASON_BAD_REQUEST, "SCGI: CONTENT_LENGTH is not a plain decimal number");
	if (*body > SCGI_BODY_MAX)
		return refuse(f, REASON_TOO_LARGE, "SCGI: a body of %zu bytes, the limit is %d", *body,
			      SCGI_BODY_MAX);
	return DONE;
}

outcome scgi_measure(struct bytes in, size_t *length, struct fault *f)
{
	size_t start = 0, block = 0, body = 0;
	*length = 0;
	outcome r = measure_block(in, &start, &block, f);
	if (!r.ok)
		return r;
	if (start == 0 || in.n < start + block + 1)
		return DONE;
	if (in.p[start + block] != ',')
		return refuse(f, REASON_BAD_REQUEST, "SCGI: the netstring does not end with a comma");
	r = measure_body(bytes_of(in.p + start, block), &body, f);
	if (!r.ok)
		return r;
	*length = start + block + 1 + body;
	return in.n <= *length ? DONE : refuse(f, REASON_BAD_REQUEST, "SCGI: bytes after the body");
}

const char *scgi_find(const struct scgi_head *head, const char *name)
{
	for (size_t i = 0; i < head->count; i++)
		if (!strcmp(head->params[i].name, name))
			return head->params[i].value;
	return "";
}

static bool is_new(const struct scgi_head *head, const char *name)
{
	for (size_t i = 0; i < head->count; i++)
		if (!strcmp(head->params[i].name, name))
			return false;
	return true;
}

static outcome split_params(struct bytes block, struct scgi_head *out, struct fault *f)
{
	const char *p = (const char *)block.p, *end = p + block.n;
	while (p < end) {
		const char *name = p, *stop = memchr(p, 0, (size_t)(end - p));
		const char *value = stop ? stop + 1 : end;
		const char *last = value < end ? memchr(value, 0, (size_t)(end - value)) : NULL;
		if (!last || !*name)
			return refuse(f, REASON_BAD_REQUEST,
				      "SCGI: a parameter without a name or without its end");
		if (!is_new(out, name))
			return refuse(f, REASON_BAD_REQUEST, "SCGI: parameter %.64s comes twice", name);
		if (out->count == SCGI_PARAMS_MAX)
			return refuse(f, REASON_BAD_REQUEST, "SCGI: more than %d parameters",
				      SCGI_PARAMS_MAX);
		out->params[out->count++] = (struct scgi_pair){name, value};
		p = last + 1;
	}
	return DONE;
}

outcome scgi_split(struct bytes whole, struct scgi_head *out, struct fault *f)
{
	size_t start = 0, block = 0, length;
	out->count = 0;
	outcome r = scgi_measure(whole, &length, f);
	if (!r.ok)
		return r;
	if (length == 0 || length != whole.n)
		return refuse(f, REASON_BAD_REQUEST, "SCGI: the request is cut off");
	r = measure_block(whole, &start, &block, f);
	if (r.ok)
		r = split_params(bytes_of(whole.p + start, block), out, f);
	if (!r.ok)
		return r;
	if (strcmp(scgi_find(out, "SCGI"), "1") != 0)
		return refuse(f, REASON_BAD_REQUEST, "SCGI: parameter SCGI is not 1");
	out->body = bytes_of(whole.p + start + block + 1, length - start - block - 1);
	return DONE;
}

static int hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool scgi_percent_decode(struct bytes in, bool plus, char *out, size_t room, size_t *n_out)
{
	size_t n = 0;
	for (size_t i = 0; i < in.n; i++) {
		int c = in.p[i];
		if (c == '%') {
			int high = i + 2 < in.n ? hex_digit(in.p[i + 1]) : -1;
			int low = high >= 0 ? hex_digit(in.p[i + 2]) : -1;
			c = low >= 0 ? high * 16 + low : 0;
			i += 2;
		} else if (c == '+' && plus) {
			c = ' ';
		}
		if (c == 0 || n + 1 >= room)
			return false;
		out[n++] = (char)c;
	}
	if (room == 0)
		return false;
	out[n] = '\0';
	*n_out = n;
	return true;
}
