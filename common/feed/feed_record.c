/* Records of the feed: which certificates there are, under which policies, and what is asked. */
#include "feed_format_internal.h"

#include "common/cbor/cbor.h"
#include "common/policy/policy.h"

#include <string.h>

outcome feed_read_uint(struct cbor_reader *r, int64_t max, int64_t *out, struct fault *f)
{
	struct cbor_item item;
	outcome o = cbor_expect(r, CBOR_UINT, &item, f);
	if (o.ok && item.number > (uint64_t)max)
		return refuse(f, REASON_FEED_FORMAT, "a number beyond its range");
	*out = (int64_t)item.number;
	return o;
}

outcome feed_read_digest(struct cbor_reader *r, struct bytes *out, struct fault *f)
{
	struct cbor_item item;
	outcome o = cbor_expect(r, CBOR_BSTR, &item, f);
	if (o.ok && item.bytes.n != SHA256_SIZE)
		return refuse(f, REASON_FEED_FORMAT, "a hash of %zu bytes", item.bytes.n);
	*out = item.bytes;
	return o;
}

/* Visible ASCII. `what` is for the refusal: "a name". */
static outcome read_text(struct cbor_reader *r, const char *what, size_t min, size_t max, struct bytes *out,
			 struct fault *f)
{
	struct cbor_item item;
	outcome o = cbor_expect(r, CBOR_TSTR, &item, f);
	if (!o.ok)
		return o;
	if (item.bytes.n < min || item.bytes.n > max)
		return refuse(f, REASON_FEED_FORMAT, "%s of %zu characters", what, item.bytes.n);
	for (size_t i = 0; i < item.bytes.n; i++)
		if (item.bytes.p[i] < 0x21 || item.bytes.p[i] > 0x7e)
			return refuse(f, REASON_FEED_FORMAT, "%s with a character outside 0x21..0x7e", what);
	*out = item.bytes;
	return o;
}

static outcome read_name(struct cbor_reader *r, struct bytes *out, struct fault *f)
{
	return read_text(r, "a name", 1, FEED_NAME_MAX, out, f);
}

static outcome read_certificate(struct cbor_reader *r, struct feed_record *out, struct fault *f)
{
	int64_t state = 0, flags = 0;
	outcome o = feed_read_digest(r, &out->fingerprint, f);
	if (o.ok)
		o = feed_read_uint(r, FEED_REVOKED, &state, f);
	if (o.ok)
		o = cbor_int(r, &out->not_before, f);
	if (o.ok)
		o = cbor_int(r, &out->not_after, f);
	if (o.ok)
		o = read_name(r, &out->name, f);
	if (o.ok)
		o = read_name(r, &out->policy, f);
	if (o.ok)
		o = feed_read_uint(r, FEED_REPORT_CONNECT | FEED_SERVICE | FEED_DETACHED, &flags, f);
	if (o.ok && out->not_after < out->not_before)
		return refuse(f, REASON_FEED_FORMAT, "a certificate that ends before it begins");
	out->state = (enum feed_state)state;
	out->flags = (unsigned)flags;
	return o;
}

static bool ascends(struct bytes a, struct bytes b)
{
	int order = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);
	return order < 0 || (order == 0 && a.n < b.n);
}

/* Names ascend, so that none stands twice and the same thing is always the same bytes. */
static outcome read_attributes(struct cbor_reader *r, struct feed_thing *out, struct fault *f)
{
	struct cbor_item head;
	outcome o = cbor_expect(r, CBOR_ARRAY, &head, f);
	if (o.ok && (head.number % 2 || head.number > 2 * FEED_ATTRIBUTES_MAX))
		return refuse(f, REASON_FEED_FORMAT, "attributes of %llu items",
			      (unsigned long long)head.number);
	out->count = o.ok ? (size_t)head.number / 2 : 0;
	for (size_t i = 0; o.ok && i < out->count; i++) {
		struct feed_attribute *a = &out->attributes[i];
		o = read_text(r, "an attribute's name", 1, FEED_ATTRIBUTE_NAME_MAX, &a->name, f);
		if (o.ok)
			o = read_text(r, "an attribute", 1, FEED_ATTRIBUTE_VALUE_MAX, &a->value, f);
		if (o.ok && i && !ascends(a[-1].name, a->name))
			return refuse(f, REASON_FEED_FORMAT, "attributes out of order");
	}
	return o;
}

static outcome read_thing(struct cbor_reader *r, struct feed_record *out, struct feed_thing *thing,
			  struct fault *f)
{
	outcome o = read_certificate(r, out, f);
	if (o.ok && out->flags & FEED_SERVICE)
		return refuse(f, REASON_FEED_FORMAT, "a service with a thing's attributes");
	if (o.ok)
		o = read_text(r, "a type", 0, FEED_TYPE_MAX, &thing->type, f);
	if (o.ok)
		o = read_attributes(r, thing, f);
	if (o.ok && thing->type.n == 0 && thing->count == 0)
		return refuse(f, REASON_FEED_FORMAT, "a thing with neither type nor attributes");
	out->thing = thing;
	return o;
}

static outcome read_policy(struct cbor_reader *r, struct feed_record *out, struct fault *f)
{
	struct cbor_item item = {0};
	outcome o = read_name(r, &out->policy, f);
	if (o.ok)
		o = cbor_expect(r, CBOR_TSTR, &item, f);
	if (o.ok && item.bytes.n > POLICY_BYTES_MAX)
		return refuse(f, REASON_FEED_FORMAT, "a policy document of %zu bytes", item.bytes.n);
	out->document = item.bytes;
	return o;
}

static outcome read_policy_removed(struct cbor_reader *r, struct feed_record *out, struct fault *f)
{
	return read_name(r, &out->policy, f);
}

static outcome read_removed(struct cbor_reader *r, struct feed_record *out, struct fault *f)
{
	return feed_read_digest(r, &out->fingerprint, f);
}

static outcome read_sessions(struct cbor_reader *r, struct feed_record *out, struct fault *f)
{
	struct cbor_item item = {0};
	outcome o = cbor_expect(r, CBOR_BSTR, &item, f);
	if (o.ok && item.bytes.n != FEED_QUESTION_SIZE)
		return refuse(f, REASON_FEED_FORMAT, "a question's name of %zu bytes", item.bytes.n);
	out->question = item.bytes;
	if (o.ok)
		o = feed_read_uint(r, INT64_MAX, &out->after_us, f);
	if (o.ok)
		o = feed_read_uint(r, FEED_SESSIONS_MAX, &out->limit, f);
	if (o.ok && out->limit == 0)
		return refuse(f, REASON_FEED_FORMAT, "a question for 0 sessions");
	return o.ok ? read_text(r, "a name", 0, FEED_NAME_MAX, &out->name, f) : o;
}

static const struct {
	enum feed_record_type type;
	size_t items;
	outcome (*read)(struct cbor_reader *r, struct feed_record *out, struct fault *f);
} record_types[] = {
	{FEED_CERTIFICATE, 8, read_certificate},
	{FEED_POLICY, 3, read_policy},
	{FEED_REMOVED, 2, read_removed},
	{FEED_SESSIONS, 5, read_sessions},
	{FEED_POLICY_REMOVED, 2, read_policy_removed},
};
enum { WITH_THING = 10 }; /* items of a certificate's record */

static outcome read_record(struct cbor_reader *r, struct feed_record *out, struct feed_thing *thing,
			   struct fault *f)
{
	struct cbor_item head;
	int64_t type = 0;
	*out = (struct feed_record){0};
	outcome o = cbor_expect(r, CBOR_ARRAY, &head, f);
	if (o.ok)
		o = feed_read_uint(r, INT32_MAX, &type, f);
	if (!o.ok)
		return o;
	if (type == FEED_CERTIFICATE && head.number == WITH_THING) {
		out->type = FEED_CERTIFICATE;
		return read_thing(r, out, thing, f);
	}
	for (size_t i = 0; i < sizeof record_types / sizeof *record_types; i++) {
		if ((int64_t)record_types[i].type != type || record_types[i].items != head.number)
			continue;
		out->type = record_types[i].type;
		return record_types[i].read(r, out, f);
	}
	return refuse(f, REASON_FEED_FORMAT, "a record of type %lld with %llu items", (long long)type,
		      (unsigned long long)head.number);
}

outcome feed_records(const struct feed_frame *frame, feed_each *each, void *arg, struct fault *f)
{
	struct cbor_reader r = cbor_reader(frame->records);
	struct feed_record record;
	struct feed_thing thing;
	outcome o = DONE;
	for (size_t i = 0; o.ok && i < frame->count; i++) {
		o = read_record(&r, &record, &thing, f);
		if (o.ok && each)
			o = each(arg, &record, f);
	}
	return o.ok ? cbor_end(&r, f) : o;
}
