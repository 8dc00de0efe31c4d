#include "receipt.h"

#include "provenance_internal.h"

#include <string.h>

enum { AT_SIZE = 12 }; /* of a statement: index, four bytes; time, eight; big-endian */

static void put_be(uint8_t *out, size_t size, int64_t v)
{
	for (size_t i = size; i-- > 0; v >>= 8)
		out[i] = (uint8_t)v;
}

static int64_t take_be(const uint8_t *p, size_t size)
{
	uint64_t v = 0;
	for (size_t i = 0; i < size; i++)
		v = v << 8 | p[i];
	return (int64_t)v;
}

/* ---- the register's hash chain ---- */

void register_start(const uint8_t programme[PROGRAMME_ID_SIZE], uint8_t out[SHA256_SIZE])
{
	static const char label[] = "mooring-register/1";
	const struct bytes parts[] = {bytes_of(label, sizeof label), bytes_of(programme, PROGRAMME_ID_SIZE)};
	sha256_parts(parts, 2, out);
}

void register_next(const uint8_t head[SHA256_SIZE], const struct register_entry *e, uint8_t out[SHA256_SIZE])
{
	uint8_t place[16];
	put_be(place, 8, e->index);
	put_be(place + 8, 8, e->time);
	const struct bytes parts[] = {bytes_of(head, SHA256_SIZE), bytes_of(place, sizeof place),
				      bytes_of(e->object, SHA256_SIZE)};
	sha256_parts(parts, 3, out);
}

/* ---- receipt ---- */

struct receipt_wire {
	struct provenance_head head;
	struct receipt r;
	struct bytes at;
};

static const struct cbor_fields_row receipt_rows[] = {
	PROVENANCE_HEAD_ROWS,
	{CBOR_FIELD_FIXED, offsetof(struct receipt_wire, r.programme), PROGRAMME_ID_SIZE},
	{CBOR_FIELD_FIXED, offsetof(struct receipt_wire, r.statement), SHA256_SIZE},
	{CBOR_FIELD_BYTES, offsetof(struct receipt_wire, at), STAGES_MAX *AT_SIZE},
	{CBOR_FIELD_FIXED, offsetof(struct receipt_wire, r.head), SHA256_SIZE},
};

static const struct provenance_limit receipt_limits[] = {
	PROVENANCE_HEAD_LIMITS(PROVENANCE_RECEIPT), {"programme", PROGRAMME_ID_SIZE, PROGRAMME_ID_SIZE},
	{"statement", SHA256_SIZE, SHA256_SIZE},    {"times", AT_SIZE, STAGES_MAX *AT_SIZE},
	{"head", SHA256_SIZE, SHA256_SIZE},
};

const struct provenance_format receipt_format = {
	.name = "receipt",
	.type = PROVENANCE_RECEIPT,
	.fields = {receipt_rows, sizeof receipt_rows / sizeof *receipt_rows, REASON_CHAIN_MALFORMED},
	.limits = receipt_limits,
};

static outcome receipt_check(const struct receipt *r, struct fault *f)
{
	int64_t index = 0, time = 0;
	if (r->count > STAGES_MAX)
		return refuse(f, REASON_CHAIN_MALFORMED, "receipt: for more than %d statements", STAGES_MAX);
	for (size_t i = 0; i < r->count; i++) {
		if (r->at[i].index <= index || r->at[i].index > UINT32_MAX)
			return refuse(f, REASON_CHAIN_MALFORMED, "receipt: indices begin at 1 and rise");
		if (r->at[i].time < time || r->at[i].time > PROVENANCE_TIME_MAX)
			return refuse(f, REASON_CHAIN_MALFORMED, "receipt: times are times, and never fall");
		index = r->at[i].index;
		time = r->at[i].time;
	}
	return DONE;
}

outcome receipt_read(struct bytes in, struct receipt *out, struct fault *f)
{
	struct receipt_wire w = {0};
	uint32_t seen;
	outcome o = provenance_read(in, &receipt_format, &w, &seen, &w.r.object, f);
	if (!o.ok)
		return o;
	if (w.at.n % AT_SIZE)
		return refuse(f, REASON_CHAIN_MALFORMED, "receipt: times are of %d bytes each", AT_SIZE);
	*out = w.r;
	out->count = w.at.n / AT_SIZE;
	for (size_t i = 0; i < out->count; i++) {
		out->at[i].index = take_be(w.at.p + i * AT_SIZE, 4);
		out->at[i].time = take_be(w.at.p + i * AT_SIZE + 4, 8);
	}
	return receipt_check(out, f);
}

outcome receipt_sign(struct buf *out, const struct receipt *r, EVP_PKEY *register_key, struct fault *f)
{
	uint8_t at[STAGES_MAX * AT_SIZE] = {0};
	struct receipt_wire w = {.r = *r, .at = bytes_of(at, r->count * AT_SIZE)};
	outcome o = receipt_check(r, f);
	if (!o.ok)
		return o;
	for (size_t i = 0; i < r->count; i++) {
		put_be(at + i * AT_SIZE, 4, r->at[i].index);
		put_be(at + i * AT_SIZE + 4, 8, r->at[i].time);
	}
	return provenance_write(out, &receipt_format, 0, &w, register_key, f);
}

/* ---- head ---- */

struct head_wire {
	struct provenance_head head;
	struct register_head h;
};

static const struct cbor_fields_row head_rows[] = {
	PROVENANCE_HEAD_ROWS,
	{CBOR_FIELD_FIXED, offsetof(struct head_wire, h.programme), PROGRAMME_ID_SIZE},
	{CBOR_FIELD_UINT, offsetof(struct head_wire, h.size), 0},
	{CBOR_FIELD_UINT, offsetof(struct head_wire, h.time), 0},
	{CBOR_FIELD_FIXED, offsetof(struct head_wire, h.head), SHA256_SIZE},
};

static const struct provenance_limit head_limits[] = {
	PROVENANCE_HEAD_LIMITS(PROVENANCE_REGISTER_HEAD),
	{"programme", PROGRAMME_ID_SIZE, PROGRAMME_ID_SIZE},
	{"size", 0, UINT32_MAX},
	{"time", 0, PROVENANCE_TIME_MAX},
	{"head", SHA256_SIZE, SHA256_SIZE},
};

const struct provenance_format register_head_format = {
	.name = "register-head",
	.type = PROVENANCE_REGISTER_HEAD,
	.fields = {head_rows, sizeof head_rows / sizeof *head_rows, REASON_CHAIN_MALFORMED},
	.limits = head_limits,
};

outcome register_head_read(struct bytes in, struct register_head *out, struct fault *f)
{
	struct head_wire w = {0};
	uint32_t seen;
	outcome o = provenance_read(in, &register_head_format, &w, &seen, &w.h.object, f);
	if (o.ok)
		*out = w.h;
	return o;
}

outcome register_head_sign(struct buf *out, const struct register_head *h, EVP_PKEY *register_key,
			   struct fault *f)
{
	struct head_wire w = {.h = *h};
	return provenance_write(out, &register_head_format, 0, &w, register_key, f);
}
