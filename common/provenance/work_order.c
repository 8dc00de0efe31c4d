#include "work_order.h"

#include "provenance_internal.h"

#include <string.h>

enum { KEY_PREVIOUS = 10 };

struct wire {
	struct provenance_head head;
	struct work_order o;
	struct bytes previous; /* the key ids, one after the other */
};

static const struct cbor_fields_row rows[] = {
	PROVENANCE_HEAD_ROWS,
	{CBOR_FIELD_FIXED, offsetof(struct wire, o.programme), PROGRAMME_ID_SIZE},
	{CBOR_FIELD_TEXT, offsetof(struct wire, o.batch), BATCH_SIZE},
	{CBOR_FIELD_UINT, offsetof(struct wire, o.stage), 0},
	{CBOR_FIELD_FIXED, offsetof(struct wire, o.line), KEY_ID_SIZE},
	{CBOR_FIELD_UINT, offsetof(struct wire, o.quota), 0},
	{CBOR_FIELD_UINT, offsetof(struct wire, o.not_before), 0},
	{CBOR_FIELD_UINT, offsetof(struct wire, o.not_after), 0},
	{CBOR_FIELD_UINT, offsetof(struct wire, o.register_within_s), 0},
	[KEY_PREVIOUS] = {CBOR_FIELD_BYTES, offsetof(struct wire, previous), STAGES_MAX *KEY_ID_SIZE},
};

static const struct provenance_limit limits[] = {
	PROVENANCE_HEAD_LIMITS(PROVENANCE_WORK_ORDER),
	{"programme", PROGRAMME_ID_SIZE, PROGRAMME_ID_SIZE},
	{"batch", 1, BATCH_SIZE - 1},
	{"stage", 1, STAGE_NUMBER_MAX},
	{"line", KEY_ID_SIZE, KEY_ID_SIZE},
	{"quota", 1, UINT32_MAX},
	{"not-before", 0, PROVENANCE_TIME_MAX},
	{"not-after", 0, PROVENANCE_TIME_MAX},
	{"register-within", 0, ORDER_REGISTER_WITHIN_MAX_S},
	[KEY_PREVIOUS] = {"previous-lines", KEY_ID_SIZE, STAGES_MAX *KEY_ID_SIZE},
};

const struct provenance_format work_order_format = {
	.name = "work-order",
	.type = PROVENANCE_WORK_ORDER,
	.fields = {rows, sizeof rows / sizeof *rows, REASON_CHAIN_MALFORMED},
	.limits = limits,
	.optional = CBOR_FIELD_BIT(KEY_PREVIOUS),
};

static outcome check(const struct work_order *o, struct fault *f)
{
	if (!provenance_batch_valid(o->batch))
		return refuse(f, REASON_CHAIN_MALFORMED, "work-order: a batch is 1 to 16 of [A-Za-z0-9._-]");
	if (o->not_after < o->not_before)
		return refuse(f, REASON_CHAIN_MALFORMED, "work-order: it ends before it begins");
	return DONE;
}

outcome work_order_read(struct bytes in, struct work_order *out, struct fault *f)
{
	struct wire w = {0};
	uint32_t seen;
	outcome o = provenance_read(in, &work_order_format, &w, &seen, &w.o.object, f);
	if (!o.ok)
		return o;
	if (w.previous.n % KEY_ID_SIZE)
		return refuse(f, REASON_CHAIN_MALFORMED,
			      "work-order: previous-lines is not of whole key ids");
	*out = w.o;
	out->previous_count = w.previous.n / KEY_ID_SIZE;
	if (w.previous.n)
		memcpy(out->previous, w.previous.p, w.previous.n);
	return check(out, f);
}

outcome work_order_sign(struct buf *out, const struct work_order *o, EVP_PKEY *programme_key, struct fault *f)
{
	struct wire w = {.o = *o, .previous = bytes_of(o->previous, o->previous_count * KEY_ID_SIZE)};
	outcome ok = check(o, f);
	uint32_t optional = o->previous_count ? CBOR_FIELD_BIT(KEY_PREVIOUS) : 0;
	return ok.ok ? provenance_write(out, &work_order_format, optional, &w, programme_key, f) : ok;
}
