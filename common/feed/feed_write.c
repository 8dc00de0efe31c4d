#include "feed_format_internal.h"

#include "common/cbor/cbor.h"
#include "common/cbor/cose.h"

#include <string.h>

static const uint8_t protected_header[] = {0xa1, 0x01, 0x26}; /* {1: -7} */

static void put_text(struct buf *b, struct bytes text)
{
	/* A text string's head differs from a byte string's in the major type alone. */
	size_t at = b->n;
	cbor_put_bstr(b, text);
	if (!b->failed)
		b->p[at] = (uint8_t)(b->p[at] + (1 << 5));
}

static void put_thing(struct buf *records, const struct feed_thing *thing)
{
	put_text(records, thing->type);
	cbor_put_array(records, 2 * thing->count);
	for (size_t i = 0; i < thing->count; i++) {
		put_text(records, thing->attributes[i].name);
		put_text(records, thing->attributes[i].value);
	}
}

void feed_put_certificate(struct buf *records, const struct feed_record *r)
{
	cbor_put_array(records, r->thing ? 10 : 8);
	cbor_put_uint(records, FEED_CERTIFICATE);
	cbor_put_bstr(records, r->fingerprint);
	cbor_put_uint(records, r->state);
	cbor_put_int(records, r->not_before);
	cbor_put_int(records, r->not_after);
	put_text(records, r->name);
	put_text(records, r->policy);
	cbor_put_uint(records, r->flags);
	if (r->thing)
		put_thing(records, r->thing);
}

void feed_put_policy(struct buf *records, struct bytes name, struct bytes document)
{
	cbor_put_array(records, 3);
	cbor_put_uint(records, FEED_POLICY);
	put_text(records, name);
	put_text(records, document);
}

void feed_put_policy_removed(struct buf *records, struct bytes name)
{
	cbor_put_array(records, 2);
	cbor_put_uint(records, FEED_POLICY_REMOVED);
	put_text(records, name);
}

void feed_put_removed(struct buf *records, struct bytes fingerprint)
{
	cbor_put_array(records, 2);
	cbor_put_uint(records, FEED_REMOVED);
	cbor_put_bstr(records, fingerprint);
}

void feed_put_sessions(struct buf *records, const struct feed_record *r)
{
	cbor_put_array(records, 5);
	cbor_put_uint(records, FEED_SESSIONS);
	cbor_put_bstr(records, r->question);
	cbor_put_uint(records, (uint64_t)r->after_us);
	cbor_put_uint(records, (uint64_t)r->limit);
	put_text(records, r->name);
}

static void put_payload(struct buf *b, const struct feed_frame *frame)
{
	cbor_put_map(b, LABELS_END - LABEL_EPOCH);
	cbor_put_uint(b, LABEL_EPOCH);
	cbor_put_uint(b, (uint64_t)frame->epoch);
	cbor_put_uint(b, LABEL_FIRST);
	cbor_put_uint(b, (uint64_t)frame->first);
	cbor_put_uint(b, LABEL_LAST);
	cbor_put_uint(b, (uint64_t)frame->last);
	cbor_put_uint(b, LABEL_TIME);
	cbor_put_uint(b, (uint64_t)frame->time_ms);
	cbor_put_uint(b, LABEL_PREVIOUS);
	cbor_put_bstr(b, bytes_of(frame->previous, SHA256_SIZE));
	cbor_put_uint(b, LABEL_KIND);
	cbor_put_uint(b, frame->kind);
	cbor_put_uint(b, LABEL_RECORDS);
	cbor_put_array(b, frame->count);
	buf_bytes(b, frame->records);
	cbor_put_uint(b, LABEL_HEAD);
	cbor_put_bstr(b, bytes_of(frame->head, SHA256_SIZE));
}

outcome feed_seal(struct buf *out, struct feed_frame *frame, uint8_t previous[SHA256_SIZE], EVP_PKEY *key,
		  struct fault *f)
{
	struct buf payload = {0}, signed_frame = {0};
	outcome o = {false};
	memcpy(frame->previous, previous, SHA256_SIZE);
	put_payload(&payload, frame);
	if (payload.failed) {
		o = refuse(f, REASON_NO_MEMORY, "a frame of %zu records", frame->count);
		goto out;
	}
	o = cose_sign(&signed_frame, bytes_of(protected_header, sizeof protected_header), buf_view(&payload),
		      key, f);
	if (!o.ok)
		goto out;
	sha256(buf_view(&payload), frame->digest);
	memcpy(previous, frame->digest, SHA256_SIZE);
	cbor_put_bstr(out, buf_view(&signed_frame));
	if (out->failed)
		o = refuse(f, REASON_NO_MEMORY, "a frame of %zu records", frame->count);
out:
	buf_free(&payload);
	buf_free(&signed_frame);
	return o;
}
