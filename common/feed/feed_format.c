#include "feed_format_internal.h"

#include "common/cbor/cbor.h"
#include "common/cbor/cose.h"

#include <string.h>

enum { BSTR_MAJOR = 2 };

/* ---- the sequence ---- */

/* The first byte decides: a definite byte string with a length that fits. */
static outcome check_head(uint8_t head, struct fault *f)
{
	if (head >> 5 != BSTR_MAJOR || (head & 31) > 26)
		return refuse(f, REASON_FEED_FORMAT,
			      "the stream is a sequence of byte strings; this starts with 0x%02x", head);
	return DONE;
}

outcome feed_next(struct bytes in, struct bytes *frame, size_t *used, struct fault *f)
{
	*used = 0;
	if (in.n == 0)
		return DONE;
	outcome o = check_head(in.p[0], f);
	if (!o.ok)
		return o;
	unsigned info = in.p[0] & 31;
	size_t width = info < 24 ? 0 : (size_t)1 << (info - 24);
	if (in.n < 1 + width)
		return DONE;
	size_t length = info;
	if (width)
		length = 0;
	for (size_t i = 0; i < width; i++)
		length = length << 8 | in.p[1 + i];
	if (length > FEED_FRAME_MAX)
		return refuse(f, REASON_FEED_FORMAT, "a frame of %zu bytes; %d is the limit", length,
			      FEED_FRAME_MAX);
	if (in.n - 1 - width < length)
		return DONE;
	*frame = bytes_of(in.p + 1 + width, length);
	*used = 1 + width + length;
	return DONE;
}

/* ---- the frame ---- */

struct open_frame {
	struct feed_frame *out;
	unsigned seen;	/* bit per label */
	unsigned types; /* bit per type of record */
};

static outcome copy_digest(struct cbor_reader *r, uint8_t out[SHA256_SIZE], struct fault *f)
{
	struct bytes digest;
	outcome o = feed_read_digest(r, &digest, f);
	if (o.ok)
		memcpy(out, digest.p, SHA256_SIZE);
	return o;
}

static outcome note_type(void *arg, const struct feed_record *record, struct fault *f)
{
	struct open_frame *open = arg;
	(void)f;
	open->types |= 1u << record->type;
	return DONE;
}

static outcome take_records(struct cbor_reader *r, struct open_frame *open, struct fault *f)
{
	struct feed_frame *out = open->out;
	struct cbor_item head;
	outcome o = cbor_expect(r, CBOR_ARRAY, &head, f);
	if (!o.ok)
		return o;
	if (head.number > FEED_RECORDS_MAX)
		return refuse(f, REASON_FEED_FORMAT, "%llu records; %d is the limit",
			      (unsigned long long)head.number, FEED_RECORDS_MAX);
	out->count = (size_t)head.number;
	out->records = bytes_of(r->p, (size_t)(r->end - r->p));
	o = feed_records(out, note_type, open, f);
	r->p = r->end;
	return o;
}

static outcome take_kind(struct cbor_reader *r, struct feed_frame *out, struct fault *f)
{
	int64_t kind = 0;
	outcome o = feed_read_uint(r, FEED_QUESTION, &kind, f);
	out->kind = (enum feed_kind)kind;
	return o;
}

static outcome frame_field(void *arg, struct cbor_label label, struct cbor_reader *value, struct fault *f)
{
	struct open_frame *open = arg;
	struct feed_frame *out = open->out;
	if (label.text.p || label.number < LABEL_EPOCH || label.number >= LABELS_END)
		return refuse(f, REASON_FEED_FORMAT, "a frame with an unknown label");
	open->seen |= 1u << label.number;
	switch (label.number) {
	case LABEL_EPOCH:
		return feed_read_uint(value, INT64_MAX, &out->epoch, f);
	case LABEL_FIRST:
		return feed_read_uint(value, INT64_MAX, &out->first, f);
	case LABEL_LAST:
		return feed_read_uint(value, INT64_MAX - 1, &out->last, f);
	case LABEL_TIME:
		return feed_read_uint(value, INT64_MAX, &out->time_ms, f);
	case LABEL_PREVIOUS:
		return copy_digest(value, out->previous, f);
	case LABEL_KIND:
		return take_kind(value, out, f);
	case LABEL_RECORDS:
		return take_records(value, open, f);
	default:
		return copy_digest(value, out->head, f);
	}
}

/* What must hold within a frame, whatever came before it. */
static outcome check_numbers(const struct feed_frame *frame, struct fault *f)
{
	bool snapshot = frame->kind == FEED_SNAPSHOT || frame->kind == FEED_SNAPSHOT_LAST;
	if (snapshot && frame->first != 0)
		return refuse(f, REASON_FEED_FORMAT, "a snapshot's first number is 0");
	if (!snapshot && (frame->first == 0 || frame->last < frame->first - 1))
		return refuse(f, REASON_FEED_FORMAT, "numbers %lld to %lld", (long long)frame->first,
			      (long long)frame->last);
	if (frame->kind == FEED_CHANGES && frame->last < frame->first)
		return refuse(f, REASON_FEED_FORMAT, "changes without a log entry");
	if (frame->kind == FEED_HEARTBEAT && frame->count)
		return refuse(f, REASON_FEED_FORMAT, "a heartbeat with records");
	if (frame->kind == FEED_QUESTION && frame->count != 1)
		return refuse(f, REASON_FEED_FORMAT, "a question with %zu records", frame->count);
	return DONE;
}

/* A question is none of what a table is made of, and nothing else is asked. */
static outcome check_types(const struct open_frame *open, struct fault *f)
{
	const unsigned question = 1u << FEED_SESSIONS;
	bool asks = open->types & question, tells = open->types & ~question;
	if (open->out->kind == FEED_QUESTION ? tells : asks)
		return refuse(f, REASON_FEED_FORMAT, "a record that has no place in a frame of kind %d",
			      (int)open->out->kind);
	return DONE;
}

static outcome parse_payload(struct bytes payload, struct feed_frame *out, struct fault *f)
{
	struct cbor_reader r = cbor_reader(payload);
	struct open_frame open = {.out = out};
	outcome o = cbor_map(&r, frame_field, &open, f);
	if (o.ok)
		o = cbor_end(&r, f);
	if (o.ok && open.seen != (1u << LABELS_END) - (1u << LABEL_EPOCH))
		return refuse(f, REASON_FEED_FORMAT, "a frame lacks a label");
	if (o.ok)
		o = check_numbers(out, f);
	return o.ok ? check_types(&open, f) : o;
}

/* A reader needs one reason for "not our format", whichever rule of CBOR or COSE was broken. Want of memory breaks
 * none. */
static outcome malformed(struct fault *f, const struct fault *why)
{
	return refuse(f, why->reason == REASON_NO_MEMORY ? why->reason : REASON_FEED_FORMAT, "%s", why->text);
}

static outcome unsigned_frame(struct fault *f, const struct fault *why)
{
	if (why->reason == REASON_NO_MEMORY)
		return refuse(f, why->reason, "%s", why->text);
	return refuse(f, REASON_FEED_SIGNATURE, "the frame is not signed by the pinned feed key: %s",
		      why->text);
}

outcome feed_open(struct bytes frame, EVP_PKEY *key, struct feed_frame *out, struct fault *f)
{
	struct cose_sign1 cose;
	struct fault why = {0};
	*out = (struct feed_frame){0};
	if (frame.n > FEED_FRAME_MAX)
		return refuse(f, REASON_FEED_FORMAT, "a frame of %zu bytes; %d is the limit", frame.n,
			      FEED_FRAME_MAX);
	if (!cose_parse(frame, &cose, &why).ok)
		return malformed(f, &why);
	if (!cose_verify(&cose, key, &why).ok)
		return unsigned_frame(f, &why);
	if (!parse_payload(cose.payload, out, &why).ok)
		return malformed(f, &why);
	sha256(cose.payload, out->digest);
	return DONE;
}
