#include "bytes.h"

#include <openssl/crypto.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct bytes bytes_of(const void *p, size_t n)
{
	return (struct bytes){p, n};
}

struct bytes bytes_str(const char *s)
{
	return (struct bytes){(const uint8_t *)s, strlen(s)};
}

uint32_t bytes_be32(const uint8_t p[4])
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

uint64_t bytes_be64(const uint8_t p[8])
{
	return (uint64_t)bytes_be32(p) << 32 | bytes_be32(p + 4);
}

bool bytes_equal(struct bytes a, struct bytes b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool bytes_equal_ct(struct bytes a, struct bytes b)
{
	return a.n == b.n && (a.n == 0 || CRYPTO_memcmp(a.p, b.p, a.n) == 0);
}

/* RFC 3629 4: length of the well-formed UTF-8 sequence at p, 0 where there is none. */
static size_t utf8_sequence(const uint8_t *p, size_t n)
{
	size_t more = p[0] < 0x80	      ? 0
		      : (p[0] & 0xe0) == 0xc0 ? 1
		      : (p[0] & 0xf0) == 0xe0 ? 2
		      : (p[0] & 0xf8) == 0xf0 ? 3
					      : 4;
	static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
	if (more > 3 || more >= n)
		return 0;
	uint32_t c = more ? p[0] & (0x3fu >> more) : p[0];
	for (size_t i = 1; i <= more; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	return c < least[more] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? 0 : more + 1;
}

bool bytes_are_utf8(struct bytes s)
{
	for (size_t i = 0, step; i < s.n; i += step)
		if (!(step = utf8_sequence(s.p + i, s.n - i)))
			return false;
	return true;
}

static bool buf_reserve(struct buf *b, size_t more)
{
	if (b->failed || more > SIZE_MAX / 2 - b->n)
		return !(b->failed = true);
	if (b->n + more <= b->cap)
		return true;
	size_t cap = b->cap ? b->cap : 64;
	while (cap < b->n + more)
		cap *= 2;
	uint8_t *p = realloc(b->p, cap);
	if (!p)
		return !(b->failed = true);
	b->p = p;
	b->cap = cap;
	return true;
}

void buf_add(struct buf *b, const void *p, size_t n)
{
	if (n == 0 || !buf_reserve(b, n))
		return;
	memcpy(b->p + b->n, p, n);
	b->n += n;
}

void buf_bytes(struct buf *b, struct bytes s)
{
	buf_add(b, s.p, s.n);
}

void buf_str(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void buf_byte(struct buf *b, uint8_t v)
{
	buf_add(b, &v, 1);
}

void buf_be32(struct buf *b, uint32_t v)
{
	uint8_t be[4] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
	buf_add(b, be, sizeof be);
}

void buf_be64(struct buf *b, uint64_t v)
{
	buf_be32(b, (uint32_t)(v >> 32));
	buf_be32(b, (uint32_t)v);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list args, again;
	va_start(args, fmt);
	va_copy(again, args);
	int n = vsnprintf(NULL, 0, fmt, args);
	if (n >= 0 && buf_reserve(b, (size_t)n + 1)) {
		vsnprintf((char *)b->p + b->n, (size_t)n + 1, fmt, again);
		b->n += (size_t)n;
	}
	va_end(again);
	va_end(args);
}

void buf_consume(struct buf *b, size_t n)
{
	if (n == 0)
		return;
	if (n >= b->n) {
		b->n = 0;
		return;
	}
	memmove(b->p, b->p + n, b->n - n);
	b->n -= n;
}

struct bytes buf_view(const struct buf *b)
{
	return (struct bytes){b->p, b->n};
}

char *buf_take_str(struct buf *b)
{
	buf_byte(b, 0);
	if (b->failed) {
		buf_free(b);
		return NULL;
	}
	char *s = (char *)b->p;
	*b = (struct buf){0};
	return s;
}

void buf_free(struct buf *b)
{
	free(b->p);
	*b = (struct buf){0};
}

void hex_encode(struct bytes in, char *out)
{
	static const char digits[] = "0123456789abcdef";
	for (size_t i = 0; i < in.n; i++) {
		*out++ = digits[in.p[i] >> 4];
		*out++ = digits[in.p[i] & 15];
	}
	*out = '\0';
}

static const char base64_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char base64url_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
static const char base32_alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";

/* RFC 4648: `bits` bits a character, last group filled with zero bits. */
static char *encode_bits(struct bytes in, unsigned bits, const char *alphabet, char *out)
{
	uint32_t acc = 0;
	unsigned held = 0;
	for (size_t i = 0; i < in.n; i++) {
		acc = (acc << 8) | in.p[i];
		for (held += 8; held >= bits; held -= bits)
			*out++ = alphabet[(acc >> (held - bits)) & ((1u << bits) - 1)];
	}
	if (held)
		*out++ = alphabet[(acc << (bits - held)) & ((1u << bits) - 1)];
	return out;
}

void base64_encode(struct bytes in, char *out)
{
	char *end = encode_bits(in, 6, base64_alphabet, out);
	while ((end - out) % 4)
		*end++ = '=';
	*end = '\0';
}

void base64url_encode(struct bytes in, char *out)
{
	*encode_bits(in, 6, base64url_alphabet, out) = '\0';
}

void base32_encode_lower(struct bytes in, char *out)
{
	*encode_bits(in, 5, base32_alphabet, out) = '\0';
}

static bool decode_bits(const char *in, size_t n, unsigned bits, const signed char *values, uint8_t *out,
			size_t room, size_t *n_out)
{
	uint32_t acc = 0;
	unsigned held = 0;
	size_t done = 0;
	for (size_t i = 0; i < n; i++) {
		int v = values[(unsigned char)in[i]];
		if (v < 0)
			return false;
		acc = ((acc << bits) | (uint32_t)v) & 0xffff;
		held += bits;
		if (held < 8)
			continue;
		if (done == room)
			return false;
		held -= 8;
		out[done++] = (uint8_t)(acc >> held);
	}
	*n_out = done;
	return held < bits && (acc & ((1u << held) - 1)) == 0;
}

static void fill_values(signed char values[256], const char *alphabet)
{
	memset(values, -1, 256);
	for (int i = 0; alphabet[i]; i++)
		values[(unsigned char)alphabet[i]] = (signed char)i;
}

bool hex_decode(const char *in, size_t n, uint8_t *out, size_t room, size_t *n_out)
{
	signed char values[256];
	fill_values(values, "0123456789abcdef");
	for (int c = 'A'; c <= 'F'; c++)
		values[c] = (signed char)(c - 'A' + 10);
	return n % 2 == 0 && decode_bits(in, n, 4, values, out, room, n_out);
}

bool base64_decode(const char *in, size_t n, uint8_t *out, size_t room, size_t *n_out)
{
	signed char values[256];
	fill_values(values, base64_alphabet);
	if (n % 4)
		return false;
	for (int pad = 0; pad < 2 && n && in[n - 1] == '='; pad++)
		n--;
	return decode_bits(in, n, 6, values, out, room, n_out);
}

bool base64url_decode(const char *in, size_t n, uint8_t *out, size_t room, size_t *n_out)
{
	signed char values[256];
	fill_values(values, base64url_alphabet);
	if (n % 4 == 0)
		for (int pad = 0; pad < 2 && n && in[n - 1] == '='; pad++)
			n--;
	return n % 4 != 1 && decode_bits(in, n, 6, values, out, room, n_out);
}
