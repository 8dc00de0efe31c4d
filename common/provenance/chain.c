#include "chain.h"

#include "provenance_internal.h"

#include <string.h>

static outcome malformed(struct fault *f, const char *text)
{
	return refuse(f, REASON_CHAIN_MALFORMED, "chain: %s", text);
}

/* ---- writing ---- */

void chain_write(struct buf *out, const struct chain_parts *p)
{
	cbor_put_array(out, 3);
	cbor_put_array(out, p->count);
	for (size_t i = 0; i < p->count; i++)
		buf_bytes(out, p->statements[i]);
	cbor_put_array(out, 2);
	cbor_put_bstr(out, bytes_of(p->nonce, STAGE_NONCE_SIZE));
	cbor_put_bstr(out, p->countersignature);
	if (p->receipt.n)
		buf_bytes(out, p->receipt);
	else
		cbor_put_null(out);
}

/* ---- reading ---- */

static outcome read_array(struct cbor_reader *r, uint64_t *count, struct fault *f)
{
	struct cbor_item item;
	outcome o = cbor_expect(r, CBOR_ARRAY, &item, f);
	*count = o.ok ? item.number : 0;
	return o;
}

static outcome take_statements(struct cbor_reader *r, struct chain_parts *out, struct fault *f)
{
	uint64_t count;
	outcome o = read_array(r, &count, f);
	if (o.ok && (count < 1 || count > STAGES_MAX))
		return malformed(f, "it has 1 to 8 statements");
	while (o.ok && out->count < count)
		o = cbor_skip(r, &out->statements[out->count++], f);
	return o;
}

static outcome take_countersignature(struct cbor_reader *r, struct chain_parts *out, struct fault *f)
{
	uint64_t count;
	struct cbor_item nonce = {0}, countersignature = {0};
	outcome o = read_array(r, &count, f);
	if (o.ok && count != 2)
		return malformed(f, "after the statements come a nonce and a countersignature");
	if (o.ok)
		o = cbor_expect(r, CBOR_BSTR, &nonce, f);
	if (o.ok)
		o = cbor_expect(r, CBOR_BSTR, &countersignature, f);
	if (!o.ok)
		return o;
	if (nonce.bytes.n != STAGE_NONCE_SIZE)
		return malformed(f, "the nonce is not of 16 bytes");
	if (countersignature.bytes.n < P256_SIGNATURE_SIZE || countersignature.bytes.n > COUNTERSIGNATURE_MAX)
		return malformed(f, "the countersignature is not of 64 to 1024 bytes");
	memcpy(out->nonce, nonce.bytes.p, STAGE_NONCE_SIZE);
	out->countersignature = countersignature.bytes;
	return DONE;
}

static outcome take_receipt(struct cbor_reader *r, struct chain_parts *out, struct fault *f)
{
	static const uint8_t null = 0xf6; /* RFC 8949 3.3 */
	outcome o = cbor_skip(r, &out->receipt, f);
	if (o.ok && bytes_equal(out->receipt, bytes_of(&null, 1)))
		out->receipt = bytes_of(NULL, 0);
	return o.ok ? cbor_end(r, f) : o;
}

outcome chain_take_apart(struct bytes in, struct chain_parts *out, struct fault *f)
{
	struct cbor_reader r = cbor_reader(in);
	struct buf written = {0};
	uint64_t count;
	*out = (struct chain_parts){0};
	if (in.n > CHAIN_MAX)
		return malformed(f, "it is larger than 4096 bytes");
	outcome o = read_array(&r, &count, f);
	if (o.ok && count != 3)
		return malformed(f, "it is an array of statements, countersignature, and receipt or null");
	if (o.ok)
		o = take_statements(&r, out, f);
	if (o.ok)
		o = take_countersignature(&r, out, f);
	if (o.ok)
		o = take_receipt(&r, out, f);
	if (!o.ok)
		return o;
	chain_write(&written, out);
	o = provenance_one_form(in, &written, "chain", f);
	buf_free(&written);
	return o;
}

static outcome read_statement(const struct chain_parts *parts, size_t i, struct chain *out, struct fault *f)
{
	outcome o = stage_statement_read(parts->statements[i], &out->statements[i], f);
	if (o.ok && out->statements[i].has_rot_key != (i == 0))
		return malformed(f, "the first statement, and no other, has the RoT key");
	return o;
}

outcome chain_read(struct bytes in, struct chain *out, struct fault *f)
{
	struct chain_parts parts;
	outcome o = chain_take_apart(in, &parts, f);
	if (!o.ok)
		return o;
	*out = (struct chain){.countersignature = parts.countersignature,
			      .has_receipt = parts.receipt.n != 0,
			      .receipt_object = parts.receipt};
	memcpy(out->nonce, parts.nonce, sizeof out->nonce);
	while (o.ok && out->count < parts.count)
		o = read_statement(&parts, out->count++, out, f);
	return o.ok && out->has_receipt ? receipt_read(parts.receipt, &out->receipt, f) : o;
}
