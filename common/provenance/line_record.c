#include "line_record.h"

#include "provenance_internal.h"

#include <string.h>

enum { KEY_REVOKED_FROM = 10, KEY_PER_HOUR = 11 };

struct wire {
	struct provenance_head head;
	struct line_record r;
	struct bytes stages; /* a byte each */
	int64_t state;
};

static const struct cbor_fields_row rows[] = {
	PROVENANCE_HEAD_ROWS,
	{CBOR_FIELD_FIXED, offsetof(struct wire, r.programme), PROGRAMME_ID_SIZE},
	{CBOR_FIELD_UINT, offsetof(struct wire, r.version), 0},
	{CBOR_FIELD_FIXED, offsetof(struct wire, r.key), P256_POINT_SIZE},
	{CBOR_FIELD_TEXT, offsetof(struct wire, r.site), LINE_SITE_SIZE},
	{CBOR_FIELD_BYTES, offsetof(struct wire, stages), STAGES_MAX},
	{CBOR_FIELD_UINT, offsetof(struct wire, r.not_before), 0},
	{CBOR_FIELD_UINT, offsetof(struct wire, r.not_after), 0},
	{CBOR_FIELD_UINT, offsetof(struct wire, state), 0},
	[KEY_REVOKED_FROM] = {CBOR_FIELD_UINT, offsetof(struct wire, r.revoked_from), 0},
	[KEY_PER_HOUR] = {CBOR_FIELD_UINT, offsetof(struct wire, r.per_hour), 0},
};

static const struct provenance_limit limits[] = {
	PROVENANCE_HEAD_LIMITS(PROVENANCE_LINE_RECORD),
	{"programme", PROGRAMME_ID_SIZE, PROGRAMME_ID_SIZE},
	{"record-version", 1, UINT32_MAX},
	{"key", P256_POINT_SIZE, P256_POINT_SIZE},
	{"site", 1, LINE_SITE_SIZE - 1},
	{"stages", 1, STAGES_MAX},
	{"not-before", 0, PROVENANCE_TIME_MAX},
	{"not-after", 0, PROVENANCE_TIME_MAX},
	{"state", LINE_ACTIVE, LINE_REVOKED},
	[KEY_REVOKED_FROM] = {"revoked-from", 0, PROVENANCE_TIME_MAX},
	[KEY_PER_HOUR] = {"per-hour", 1, UINT32_MAX},
};

const struct provenance_format line_record_format = {
	.name = "line-record",
	.type = PROVENANCE_LINE_RECORD,
	.fields = {rows, sizeof rows / sizeof *rows, REASON_CHAIN_MALFORMED},
	.limits = limits,
	.optional = CBOR_FIELD_BIT(KEY_REVOKED_FROM) | CBOR_FIELD_BIT(KEY_PER_HOUR),
};

static bool stages_ascend(const struct line_record *r)
{
	for (size_t i = 0; i < r->stage_count && i < STAGES_MAX; i++)
		if (r->stages[i] <= (i ? r->stages[i - 1] : 0))
			return false;
	return true;
}

static outcome check(const struct line_record *r, struct fault *f)
{
	if (!provenance_name_valid(r->site))
		return refuse(f, REASON_CHAIN_MALFORMED,
			      "line-record: its site is not UTF-8 without control characters");
	if (!stages_ascend(r))
		return refuse(f, REASON_CHAIN_MALFORMED, "line-record: stages begin at 1 and ascend");
	if (r->not_after < r->not_before || r->not_after - r->not_before > LINE_VALIDITY_MAX_S)
		return refuse(f, REASON_CHAIN_MALFORMED,
			      "line-record: a line's key is valid for 0 to %d days",
			      LINE_VALIDITY_MAX_S / 86400);
	if (!provenance_point_on_curve(r->key))
		return refuse(f, REASON_CHAIN_MALFORMED, "line-record: the key is not on P-256");
	return DONE;
}

outcome line_record_read(struct bytes in, struct line_record *out, struct fault *f)
{
	struct wire w = {0};
	uint32_t seen;
	outcome o = provenance_read(in, &line_record_format, &w, &seen, &w.r.object, f);
	if (!o.ok)
		return o;
	if (!(seen & CBOR_FIELD_BIT(KEY_REVOKED_FROM)) != (w.state != LINE_REVOKED))
		return refuse(f, REASON_CHAIN_MALFORMED,
			      "line-record: revoked-from goes with the state revoked, and with no other");
	*out = w.r;
	out->state = (enum line_state)w.state;
	out->stage_count = w.stages.n;
	memcpy(out->stages, w.stages.p, w.stages.n);
	return check(out, f);
}

outcome line_record_sign(struct buf *out, const struct line_record *r, EVP_PKEY *authority_key,
			 struct fault *f)
{
	struct wire w = {.r = *r, .stages = bytes_of(r->stages, r->stage_count), .state = r->state};
	outcome o = check(r, f);
	uint32_t optional = (r->state == LINE_REVOKED ? CBOR_FIELD_BIT(KEY_REVOKED_FROM) : 0) |
			    (r->per_hour ? CBOR_FIELD_BIT(KEY_PER_HOUR) : 0);
	return o.ok ? provenance_write(out, &line_record_format, optional, &w, authority_key, f) : o;
}

bool line_record_may_do(const struct line_record *r, int64_t stage)
{
	for (size_t i = 0; i < r->stage_count; i++)
		if (r->stages[i] == stage)
			return true;
	return false;
}

const char *line_state_name(enum line_state state)
{
	switch (state) {
	case LINE_ACTIVE:
		return "active";
	case LINE_SUSPENDED:
		return "suspended";
	case LINE_REVOKED:
		return "revoked";
	}
	return "unknown";
}
