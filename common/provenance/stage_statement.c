#include "stage_statement.h"

#include "provenance_internal.h"

#include <string.h>

enum { KEY_ROT_KEY = 9 };

struct wire {
	struct provenance_head head;
	struct stage_statement s;
};

static const struct cbor_fields_row rows[] = {
	PROVENANCE_HEAD_ROWS,
	{CBOR_FIELD_FIXED, offsetof(struct wire, s.programme), PROGRAMME_ID_SIZE},
	{CBOR_FIELD_TEXT, offsetof(struct wire, s.batch), BATCH_SIZE},
	{CBOR_FIELD_UINT, offsetof(struct wire, s.stage), 0},
	{CBOR_FIELD_UINT, offsetof(struct wire, s.seq), 0},
	{CBOR_FIELD_FIXED, offsetof(struct wire, s.dev), DEV_SIZE},
	{CBOR_FIELD_FIXED, offsetof(struct wire, s.previous), SHA256_SIZE},
	{CBOR_FIELD_UINT, offsetof(struct wire, s.time), 0},
	[KEY_ROT_KEY] = {CBOR_FIELD_FIXED, offsetof(struct wire, s.rot_key), P256_POINT_SIZE},
};

static const struct provenance_limit limits[] = {
	PROVENANCE_HEAD_LIMITS(PROVENANCE_STAGE_STATEMENT),
	{"programme", PROGRAMME_ID_SIZE, PROGRAMME_ID_SIZE},
	{"batch", 1, BATCH_SIZE - 1},
	{"stage", 1, STAGE_NUMBER_MAX},
	{"seq", 1, UINT32_MAX},
	{"dev", DEV_SIZE, DEV_SIZE},
	{"previous", SHA256_SIZE, SHA256_SIZE},
	{"time", 0, PROVENANCE_TIME_MAX},
	[KEY_ROT_KEY] = {"rot-key", P256_POINT_SIZE, P256_POINT_SIZE},
};

const struct provenance_format stage_statement_format = {
	.name = "stage-statement",
	.type = PROVENANCE_STAGE_STATEMENT,
	.fields = {rows, sizeof rows / sizeof *rows, REASON_CHAIN_MALFORMED},
	.limits = limits,
	.optional = CBOR_FIELD_BIT(KEY_ROT_KEY),
};

static outcome check(const struct stage_statement *s, struct fault *f)
{
	if (!provenance_batch_valid(s->batch))
		return refuse(f, REASON_CHAIN_MALFORMED,
			      "stage-statement: a batch is 1 to 16 of [A-Za-z0-9._-]");
	if (s->has_rot_key && !provenance_point_on_curve(s->rot_key))
		return refuse(f, REASON_CHAIN_MALFORMED, "stage-statement: the RoT key is not on P-256");
	return DONE;
}

outcome stage_statement_read(struct bytes in, struct stage_statement *out, struct fault *f)
{
	struct wire w = {0};
	uint32_t seen;
	outcome o = provenance_read(in, &stage_statement_format, &w, &seen, &w.s.object, f);
	if (!o.ok)
		return o;
	w.s.has_rot_key = seen & CBOR_FIELD_BIT(KEY_ROT_KEY);
	*out = w.s;
	return check(out, f);
}

outcome stage_statement_sign(struct buf *out, const struct stage_statement *s, EVP_PKEY *line_key,
			     struct fault *f)
{
	struct wire w = {.s = *s};
	outcome o = check(s, f);
	uint32_t optional = s->has_rot_key ? CBOR_FIELD_BIT(KEY_ROT_KEY) : 0;
	return o.ok ? provenance_write(out, &stage_statement_format, optional, &w, line_key, f) : o;
}
