#include "common/feed/feed_format.h"

#include "common/cbor/cbor.h"
#include "common/cbor/cose.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static EVP_PKEY *key, *other_key;
static const uint8_t fp_a[32] = {0xaa}, fp_b[32] = {0xbb};

static int make_keys(void **state)
{
	(void)state;
	key = p256_key_generate();
	other_key = p256_key_generate();
	return key && other_key ? 0 : -1;
}

static int free_keys(void **state)
{
	(void)state;
	EVP_PKEY_free(key);
	EVP_PKEY_free(other_key);
	return 0;
}

static struct feed_record certificate(const uint8_t fp[32])
{
	return (struct feed_record){.type = FEED_CERTIFICATE,
				    .fingerprint = bytes_of(fp, 32),
				    .state = FEED_INACTIVE,
				    .not_before = 1000,
				    .not_after = 2000,
				    .name = bytes_str("thing-1"),
				    .policy = bytes_str("default"),
				    .flags = FEED_REPORT_CONNECT};
}

static struct buf seal(struct feed_frame frame, uint8_t previous[32])
{
	struct buf out = {0};
	struct fault f;
	assert_true(feed_seal(&out, &frame, previous, key, &f).ok);
	return out;
}

/* The stream's next frame, opened. `stream` keeps the bytes. */
static outcome open_next(const struct buf *stream, struct feed_frame *out, struct fault *f)
{
	struct bytes frame;
	size_t used;
	assert_true(feed_next(buf_view(stream), &frame, &used, f).ok);
	assert_int_equal(used, stream->n);
	return feed_open(frame, key, out, f);
}

struct seen {
	struct feed_record records[8];
	size_t count;
};

static outcome see(void *arg, const struct feed_record *r, struct fault *f)
{
	struct seen *s = arg;
	(void)f;
	s->records[s->count++] = *r;
	return DONE;
}

static void test_frame_and_records_come_back_as_they_were(void **state)
{
	struct buf records = {0};
	uint8_t previous[32] = {7}, before[32] = {7};
	struct feed_frame got;
	struct seen seen = {.count = 0};
	struct fault f;
	(void)state;
	struct feed_record c = certificate(fp_a);
	feed_put_policy(&records, bytes_str("default"), bytes_str("{}"));
	feed_put_certificate(&records, &c);
	feed_put_removed(&records, bytes_of(fp_b, 32));
	struct buf stream = seal((struct feed_frame){.epoch = 3,
						     .first = 10,
						     .last = 12,
						     .time_ms = 99,
						     .kind = FEED_CHANGES,
						     .head = {5},
						     .count = 3,
						     .records = buf_view(&records)},
				 previous);
	assert_true(open_next(&stream, &got, &f).ok);
	assert_int_equal(got.epoch, 3);
	assert_int_equal(got.first, 10);
	assert_int_equal(got.last, 12);
	assert_int_equal(got.time_ms, 99);
	assert_int_equal(got.kind, FEED_CHANGES);
	assert_int_equal(got.head[0], 5);
	assert_memory_equal(got.previous, before, 32);
	assert_memory_equal(got.digest, previous, 32); /* what the next frame has to name */
	assert_true(feed_records(&got, see, &seen, &f).ok);
	assert_int_equal(seen.count, 3);
	assert_int_equal(seen.records[0].type, FEED_POLICY);
	assert_true(bytes_equal(seen.records[0].document, bytes_str("{}")));
	assert_int_equal(seen.records[1].type, FEED_CERTIFICATE);
	assert_true(bytes_equal(seen.records[1].fingerprint, c.fingerprint));
	assert_int_equal(seen.records[1].state, FEED_INACTIVE);
	assert_int_equal(seen.records[1].not_after, 2000);
	assert_true(bytes_equal(seen.records[1].name, c.name));
	assert_int_equal(seen.records[1].flags, FEED_REPORT_CONNECT);
	assert_int_equal(seen.records[2].type, FEED_REMOVED);
	buf_free(&stream);
	buf_free(&records);
}

static void test_frame_of_another_key_is_refused(void **state)
{
	uint8_t previous[32] = {0};
	struct feed_frame got;
	struct bytes frame;
	size_t used;
	struct fault f;
	(void)state;
	struct buf stream =
		seal((struct feed_frame){.epoch = 1, .first = 1, .kind = FEED_HEARTBEAT}, previous);
	assert_true(feed_next(buf_view(&stream), &frame, &used, &f).ok);
	assert_false(feed_open(frame, other_key, &got, &f).ok);
	assert_string_equal(reason_code(f.reason), "feed-signature");
	buf_free(&stream);
}

static void test_any_changed_byte_is_refused(void **state)
{
	uint8_t previous[32] = {0};
	struct feed_frame got;
	struct bytes frame;
	size_t used;
	struct fault f;
	(void)state;
	struct buf stream =
		seal((struct feed_frame){.epoch = 1, .first = 1, .kind = FEED_HEARTBEAT}, previous);
	assert_true(feed_next(buf_view(&stream), &frame, &used, &f).ok);
	for (size_t i = 0; i < frame.n; i++) {
		stream.p[used - frame.n + i] ^= 1;
		assert_false(feed_open(frame, key, &got, &f).ok);
		stream.p[used - frame.n + i] ^= 1;
	}
	assert_true(feed_open(frame, key, &got, &f).ok);
	buf_free(&stream);
}

/* ---- what a signer that is wrong could send: signed, and still refused ---- */

static void put_frame(struct buf *b, int64_t first, int64_t last, int kind, size_t count,
		      struct bytes records)
{
	static const uint8_t zero[32];
	const int64_t numbers[] = {1, first, last, 5};
	cbor_put_map(b, 8);
	for (unsigned i = 0; i < 4; i++) {
		cbor_put_uint(b, i + 1);
		cbor_put_int(b, numbers[i]);
	}
	cbor_put_uint(b, 5);
	cbor_put_bstr(b, bytes_of(zero, 32));
	cbor_put_uint(b, 6);
	cbor_put_uint(b, (uint64_t)kind);
	cbor_put_uint(b, 7);
	cbor_put_array(b, count);
	buf_bytes(b, records);
	cbor_put_uint(b, 8);
	cbor_put_bstr(b, bytes_of(zero, 32));
}

static void assert_payload_refused(struct bytes payload, const char *code)
{
	static const uint8_t es256[] = {0xa1, 0x01, 0x26};
	struct buf frame = {0};
	struct feed_frame got;
	struct fault f = {0};
	assert_true(cose_sign(&frame, bytes_of(es256, sizeof es256), payload, key, &f).ok);
	assert_false(feed_open(buf_view(&frame), key, &got, &f).ok);
	assert_string_equal(reason_code(f.reason), code);
	buf_free(&frame);
}

static void assert_numbers_refused(int64_t first, int64_t last, int kind)
{
	struct buf payload = {0};
	put_frame(&payload, first, last, kind, 0, bytes_of(NULL, 0));
	assert_payload_refused(buf_view(&payload), "feed-malformed");
	buf_free(&payload);
}

static void test_impossible_numbers_are_refused(void **state)
{
	(void)state;
	assert_numbers_refused(1, 5, FEED_SNAPSHOT);  /* a snapshot's first is 0 */
	assert_numbers_refused(0, 5, FEED_CHANGES);   /* entries are numbered from 1 */
	assert_numbers_refused(5, 4, FEED_CHANGES);   /* changes have an entry */
	assert_numbers_refused(5, 3, FEED_HEARTBEAT); /* backwards */
	assert_numbers_refused(-1, 3, FEED_HEARTBEAT);
	assert_numbers_refused(5, -1, FEED_HEARTBEAT);
	assert_numbers_refused(5, 5, 5);		    /* no such kind */
	assert_numbers_refused(5, INT64_MAX, FEED_CHANGES); /* the number after it could not be told */
}

static void assert_records_refused(size_t count, struct buf *records)
{
	struct buf payload = {0};
	put_frame(&payload, 5, 5, FEED_CHANGES, count, buf_view(records));
	assert_payload_refused(buf_view(&payload), "feed-malformed");
	buf_free(&payload);
	buf_free(records);
}

static void test_malformed_records_are_refused(void **state)
{
	struct buf b = {0};
	uint8_t name[FEED_NAME_MAX + 1];
	(void)state;
	memset(name, 'x', sizeof name);
	struct feed_record c = certificate(fp_a);
	c.state = (enum feed_state)3;
	feed_put_certificate(&b, &c);
	assert_records_refused(1, &b);
	c = certificate(fp_a);
	c.flags = 8;
	feed_put_certificate(&b, &c);
	assert_records_refused(1, &b);
	c = certificate(fp_a);
	c.fingerprint.n = 31;
	feed_put_certificate(&b, &c);
	assert_records_refused(1, &b);
	c = certificate(fp_a);
	c.not_after = 999;
	feed_put_certificate(&b, &c);
	assert_records_refused(1, &b);
	c = certificate(fp_a);
	c.name = bytes_str("");
	feed_put_certificate(&b, &c);
	assert_records_refused(1, &b);
	c = certificate(fp_a);
	c.name = bytes_str("a b");
	feed_put_certificate(&b, &c);
	assert_records_refused(1, &b);
	c = certificate(fp_a);
	c.policy = bytes_of(name, sizeof name);
	feed_put_certificate(&b, &c);
	assert_records_refused(1, &b);
	static const uint8_t document[8193] = {[0 ... 8192] = ' '};
	feed_put_policy(&b, bytes_str("p"), bytes_of(document, sizeof document));
	assert_records_refused(1, &b);
	cbor_put_array(&b, 2); /* a type that does not exist */
	cbor_put_uint(&b, 3);
	cbor_put_bstr(&b, bytes_of(fp_a, 32));
	assert_records_refused(1, &b);
	cbor_put_array(&b, 3); /* one item too many */
	cbor_put_uint(&b, FEED_REMOVED);
	cbor_put_bstr(&b, bytes_of(fp_a, 32));
	cbor_put_uint(&b, 0);
	assert_records_refused(1, &b);
	feed_put_removed(&b, bytes_of(fp_a, 32)); /* fewer than announced */
	assert_records_refused(2, &b);
	for (int i = 0; i <= FEED_RECORDS_MAX; i++)
		feed_put_removed(&b, bytes_of(fp_a, 32));
	assert_records_refused(FEED_RECORDS_MAX + 1, &b);
}

/* ---- things ---- */

static struct feed_thing thing(const char *type, size_t count, const char *const *texts)
{
	struct feed_thing out = {.type = bytes_str(type), .count = count};
	for (size_t i = 0; i < count; i++)
		out.attributes[i] =
			(struct feed_attribute){bytes_str(texts[2 * i]), bytes_str(texts[2 * i + 1])};
	return out;
}

static outcome check_lamp(void *arg, const struct feed_record *r, struct fault *f)
{
	int *seen = arg;
	(void)f;
	if (r->type == FEED_POLICY_REMOVED) {
		assert_true(bytes_equal(r->policy, bytes_str("old")));
	} else if (++*seen == 1) {
		assert_int_equal(r->flags, FEED_DETACHED);
		assert_true(bytes_equal(r->thing->type, bytes_str("lamp")));
		assert_int_equal(r->thing->count, 2);
		assert_true(bytes_equal(r->thing->attributes[0].name, bytes_str("room")));
		assert_true(bytes_equal(r->thing->attributes[1].value, bytes_str("2")));
	} else {
		assert_null(r->thing);
	}
	return DONE;
}

static void test_a_certificate_comes_with_what_is_known_of_its_thing(void **state)
{
	static const char *const texts[] = {"room", "kitchen", "site", "2"};
	struct buf records = {0};
	uint8_t previous[32] = {0};
	struct feed_frame got;
	struct fault f;
	int seen = 0;
	(void)state;
	struct feed_thing lamp = thing("lamp", 2, texts);
	struct feed_record c = certificate(fp_a), plain = certificate(fp_b);
	c.flags = FEED_DETACHED;
	c.thing = &lamp;
	feed_put_certificate(&records, &c);
	feed_put_certificate(&records, &plain);
	feed_put_policy_removed(&records, bytes_str("old"));
	struct buf stream = seal((struct feed_frame){.epoch = 1,
						     .first = 1,
						     .last = 1,
						     .kind = FEED_CHANGES,
						     .count = 3,
						     .records = buf_view(&records)},
				 previous);
	assert_true(open_next(&stream, &got, &f).ok);
	assert_true(feed_records(&got, check_lamp, &seen, &f).ok);
	assert_int_equal(seen, 2);
	buf_free(&stream);
	buf_free(&records);
}

static void assert_thing_refused(struct feed_thing t, unsigned flags)
{
	struct buf b = {0};
	struct feed_record c = certificate(fp_a);
	c.flags = flags;
	c.thing = &t;
	feed_put_certificate(&b, &c);
	assert_records_refused(1, &b);
}

static void test_malformed_things_are_refused(void **state)
{
	static const char *const twice[] = {"a", "1", "a", "2"}, *const falling[] = {"b", "1", "a", "2"},
				 *const prefix[] = {"ab", "1", "a", "2"}, *const empty[] = {"a", ""},
				 *const nameless[] = {"", "1"}, *const blank[] = {"a", "x y"},
				 *const good[] = {"a", "1"};
	static char type[FEED_TYPE_MAX + 2], value[FEED_ATTRIBUTE_VALUE_MAX + 2];
	const char *const longer[] = {"a", value};
	static char names[FEED_ATTRIBUTES_MAX][4];
	struct feed_thing many = {.count = FEED_ATTRIBUTES_MAX};
	(void)state;
	memset(type, 't', sizeof type - 1);
	memset(value, 'v', sizeof value - 1);
	assert_thing_refused(thing("", 0, NULL), 0);
	assert_thing_refused(thing("", 2, twice), 0);
	assert_thing_refused(thing("", 2, falling), 0);
	assert_thing_refused(thing("", 2, prefix), 0);
	assert_thing_refused(thing("", 1, empty), 0);
	assert_thing_refused(thing("", 1, nameless), 0);
	assert_thing_refused(thing("", 1, blank), 0);
	assert_thing_refused(thing("", 1, longer), 0);
	assert_thing_refused(thing(type, 0, NULL), 0);
	assert_thing_refused(thing("lamp", 1, good), FEED_SERVICE);
	for (size_t i = 0; i < FEED_ATTRIBUTES_MAX; i++) {
		snprintf(names[i], sizeof names[i], "%02zu", i);
		many.attributes[i] = (struct feed_attribute){bytes_str(names[i]), bytes_str("1")};
	}
	struct buf b = {0};
	struct feed_record c = certificate(fp_a);
	c.thing = &many;
	feed_put_certificate(&b, &c);
	uint8_t *head = memmem(b.p, b.n, "\x98\x64", 2); /* an array of 100 items */
	assert_non_null(head);
	head[1] = 102; /* more than there may be, and than there are */
	assert_records_refused(1, &b);
}

static void test_labels_are_exactly_these(void **state)
{
	struct buf payload = {0};
	(void)state;
	put_frame(&payload, 5, 5, FEED_CHANGES, 0, bytes_of(NULL, 0));
	payload.p[0] = 0xa7; /* seven entries, then trailing bytes */
	assert_payload_refused(buf_view(&payload), "feed-malformed");
	payload.p[0] = 0xa8;
	payload.p[1] = 9; /* epoch under an unknown label */
	assert_payload_refused(buf_view(&payload), "feed-malformed");
	payload.p[1] = 2; /* `first` twice */
	assert_payload_refused(buf_view(&payload), "feed-malformed");
	payload.p[1] = 1;
	buf_byte(&payload, 0);
	assert_payload_refused(buf_view(&payload), "feed-malformed");
	buf_free(&payload);
}

static void test_heartbeat_has_no_records(void **state)
{
	struct buf payload = {0}, records = {0};
	(void)state;
	feed_put_removed(&records, bytes_of(fp_a, 32));
	put_frame(&payload, 5, 5, FEED_HEARTBEAT, 1, buf_view(&records));
	assert_payload_refused(buf_view(&payload), "feed-malformed");
	buf_free(&payload);
	buf_free(&records);
}

/* ---- questions ---- */

static const uint8_t question_name[FEED_QUESTION_SIZE] = {0xcc};

static struct feed_record question(const char *name)
{
	return (struct feed_record){.type = FEED_SESSIONS,
				    .question = bytes_of(question_name, sizeof question_name),
				    .after_us = 1700000000000000,
				    .limit = FEED_SESSIONS_MAX,
				    .name = bytes_str(name)};
}

static void assert_question_comes_back(const char *name)
{
	struct buf records = {0};
	uint8_t previous[32] = {0};
	struct feed_frame got;
	struct seen seen = {.count = 0};
	struct fault f;
	struct feed_record r = question(name);
	feed_put_sessions(&records, &r);
	struct buf stream = seal((struct feed_frame){.epoch = 1,
						     .first = 5,
						     .last = 4,
						     .kind = FEED_QUESTION,
						     .count = 1,
						     .records = buf_view(&records)},
				 previous);
	assert_true(open_next(&stream, &got, &f).ok);
	assert_int_equal(got.kind, FEED_QUESTION);
	assert_true(feed_records(&got, see, &seen, &f).ok);
	assert_int_equal(seen.count, 1);
	assert_int_equal(seen.records[0].type, FEED_SESSIONS);
	assert_true(bytes_equal(seen.records[0].question, r.question));
	assert_int_equal(seen.records[0].after_us, r.after_us);
	assert_int_equal(seen.records[0].limit, FEED_SESSIONS_MAX);
	assert_true(bytes_equal(seen.records[0].name, bytes_str(name)));
	buf_free(&stream);
	buf_free(&records);
}

static void test_questions_come_back_as_they_were(void **state)
{
	(void)state;
	assert_question_comes_back("");
	assert_question_comes_back("thing-1");
}

static void assert_frame_refused(int kind, size_t count, struct buf *records)
{
	struct buf payload = {0};
	put_frame(&payload, 5, 5, kind, count, buf_view(records));
	assert_payload_refused(buf_view(&payload), "feed-malformed");
	buf_free(&payload);
	buf_free(records);
}

static void assert_question_refused(struct feed_record r)
{
	struct buf b = {0};
	feed_put_sessions(&b, &r);
	assert_frame_refused(FEED_QUESTION, 1, &b);
}

static void test_malformed_questions_are_refused(void **state)
{
	(void)state;
	struct feed_record r = question("");
	r.limit = 0;
	assert_question_refused(r);
	r.limit = FEED_SESSIONS_MAX + 1;
	assert_question_refused(r);
	r = question("");
	r.question.n--;
	assert_question_refused(r);
	assert_question_refused(question("a b"));
}

/* What a table is made of is never in a question, and a question in nothing that a table is made of. */
static void test_a_question_has_a_frame_of_its_own(void **state)
{
	struct buf b = {0};
	struct feed_record r = question("");
	(void)state;
	assert_frame_refused(FEED_QUESTION, 0, &b);
	feed_put_removed(&b, bytes_of(fp_a, 32));
	assert_frame_refused(FEED_QUESTION, 1, &b);
	feed_put_sessions(&b, &r);
	assert_frame_refused(FEED_CHANGES, 1, &b);
	feed_put_sessions(&b, &r);
	feed_put_removed(&b, bytes_of(fp_a, 32));
	assert_frame_refused(FEED_QUESTION, 2, &b);
	feed_put_sessions(&b, &r);
	feed_put_sessions(&b, &r);
	assert_frame_refused(FEED_QUESTION, 2, &b);
}

/* ---- the sequence ---- */

static void test_stream_is_cut_into_frames_however_it_arrives(void **state)
{
	struct buf stream = {0}, records = {0};
	uint8_t previous[32] = {0};
	struct bytes frame;
	size_t used, at = 0, ends[3], frames = 0;
	struct fault f;
	(void)state;
	for (int i = 0; i < 300; i++)
		feed_put_removed(&records, bytes_of(fp_a, 32));
	for (int i = 0; i < 3; i++) {
		struct feed_frame h = {.epoch = 1,
				       .first = 1 + i,
				       .last = 1 + i,
				       .kind = FEED_CHANGES,
				       .count = i == 1 ? 300 : 0,
				       .records = i == 1 ? buf_view(&records) : bytes_of(NULL, 0)};
		assert_true(feed_seal(&stream, &h, previous, key, &f).ok);
		ends[i] = stream.n;
	}
	for (size_t have = 0; have <= stream.n; have++) {
		assert_true(feed_next(bytes_of(stream.p + at, have - at), &frame, &used, &f).ok);
		if (!used)
			continue;
		at += used;
		assert_int_equal(at, ends[frames++]); /* at the first byte at which it is whole */
		assert_int_equal(have, at);
	}
	assert_int_equal(frames, 3);
	buf_free(&stream);
	buf_free(&records);
}

static void assert_head_refused(const uint8_t *p, size_t n)
{
	struct bytes frame;
	size_t used;
	struct fault f = {0};
	assert_false(feed_next(bytes_of(p, n), &frame, &used, &f).ok);
	assert_string_equal(reason_code(f.reason), "feed-malformed");
}

static void test_anything_but_a_byte_string_ends_the_stream(void **state)
{
	static const uint8_t text[] = {0x61, 'a'}, map[] = {0xa0}, indefinite[] = {0x5f}, reserved[] = {0x5c},
			     eight[] = {0x5b, 0, 0, 0, 0, 0, 0, 0, 1, 0},
			     large[] = {0x5a, 0x00, 0x02, 0x00, 0x01};
	(void)state;
	assert_head_refused(text, sizeof text);
	assert_head_refused(map, sizeof map);
	assert_head_refused(indefinite, sizeof indefinite);
	assert_head_refused(reserved, sizeof reserved);
	assert_head_refused(eight, sizeof eight);
	assert_head_refused(large, sizeof large); /* before its 128 KiB and a byte have arrived */
}

/* ---- the chain ---- */

static struct feed_frame opened(struct feed_frame frame, uint8_t previous[32])
{
	static struct buf keep;
	struct feed_frame got;
	struct fault f;
	buf_free(&keep);
	keep = seal(frame, previous);
	assert_true(open_next(&keep, &got, &f).ok);
	return got;
}

static void assert_not_taken(struct feed_chain c, const struct feed_frame *frame, const char *code)
{
	struct feed_chain before = c;
	struct fault f = {0};
	assert_false(feed_chain_take(&c, frame, &f).ok);
	assert_string_equal(reason_code(f.reason), code);
	assert_memory_equal(&c, &before, sizeof c);
}

static void test_snapshot_then_changes_then_heartbeat(void **state)
{
	struct feed_chain c = {.epoch = 0};
	uint8_t previous[32] = {0};
	struct fault f;
	(void)state;
	struct feed_frame part = opened(
		(struct feed_frame){.epoch = 2, .last = 9, .kind = FEED_SNAPSHOT, .head = {9}}, previous);
	assert_true(feed_chain_take(&c, &part, &f).ok);
	assert_int_equal(c.seq, 0); /* nothing counts until the snapshot is whole */
	struct feed_frame last =
		opened((struct feed_frame){.epoch = 2, .last = 9, .kind = FEED_SNAPSHOT_LAST, .head = {9}},
		       previous);
	assert_true(feed_chain_take(&c, &last, &f).ok);
	assert_int_equal(c.seq, 9);
	assert_int_equal(c.epoch, 2);
	struct feed_frame changes = opened(
		(struct feed_frame){.epoch = 2, .first = 10, .last = 12, .kind = FEED_CHANGES, .head = {12}},
		previous);
	assert_true(feed_chain_take(&c, &changes, &f).ok);
	assert_int_equal(c.seq, 12);
	struct feed_frame beat = opened(
		(struct feed_frame){
			.epoch = 2, .first = 13, .last = 12, .kind = FEED_HEARTBEAT, .head = {12}},
		previous);
	assert_true(feed_chain_take(&c, &beat, &f).ok);
	assert_int_equal(c.seq, 12);
	struct feed_frame quiet = /* entries that concern no broker */
		opened(
			(struct feed_frame){
				.epoch = 2, .first = 13, .last = 20, .kind = FEED_HEARTBEAT, .head = {20}},
			previous);
	assert_true(feed_chain_take(&c, &quiet, &f).ok);
	assert_int_equal(c.seq, 20);
	assert_int_equal(c.head[0], 20);
}

static void test_frames_out_of_turn_are_not_taken(void **state)
{
	struct feed_chain c = {.epoch = 2, .seq = 9, .head = {9}};
	uint8_t zero[32] = {0}, wrong[32] = {1};
	(void)state;
	struct feed_frame gap =
		opened((struct feed_frame){.epoch = 2, .first = 11, .last = 12, .kind = FEED_CHANGES}, zero);
	assert_not_taken(c, &gap, "feed-gap");
	memset(zero, 0, 32);
	struct feed_frame again =
		opened((struct feed_frame){.epoch = 2, .first = 9, .last = 12, .kind = FEED_CHANGES}, zero);
	assert_not_taken(c, &again, "feed-gap");
	struct feed_frame other =
		opened((struct feed_frame){.epoch = 2, .first = 10, .last = 12, .kind = FEED_CHANGES}, wrong);
	assert_not_taken(c, &other, "feed-gap"); /* does not follow the frame before it */
	memset(zero, 0, 32);
	struct feed_frame fork = opened(
		(struct feed_frame){.epoch = 2, .first = 10, .last = 9, .kind = FEED_HEARTBEAT, .head = {8}},
		zero);
	assert_not_taken(c, &fork, "feed-gap"); /* two hashes for one number */
	memset(zero, 0, 32);
	struct feed_frame epoch =
		opened((struct feed_frame){.epoch = 3, .first = 10, .last = 12, .kind = FEED_CHANGES}, zero);
	assert_not_taken(c, &epoch, "feed-epoch");
}

static void test_older_snapshot_does_not_replace_the_table(void **state)
{
	struct feed_chain c = {.epoch = 2, .seq = 9};
	uint8_t zero[32] = {0};
	struct fault f;
	(void)state;
	struct feed_frame old =
		opened((struct feed_frame){.epoch = 1, .last = 50, .kind = FEED_SNAPSHOT_LAST}, zero);
	assert_not_taken(c, &old, "feed-epoch");
	memset(zero, 0, 32);
	struct feed_frame back =
		opened((struct feed_frame){.epoch = 2, .last = 8, .kind = FEED_SNAPSHOT_LAST}, zero);
	assert_not_taken(c, &back, "feed-epoch");
	memset(zero, 0, 32);
	struct feed_frame new =
		opened((struct feed_frame){.epoch = 3, .last = 1, .kind = FEED_SNAPSHOT_LAST}, zero);
	assert_true(feed_chain_take(&c, &new, &f).ok);
	assert_int_equal(c.seq, 1);
}

static void test_snapshot_is_neither_interrupted_nor_mixed(void **state)
{
	struct feed_chain c = {.epoch = 0};
	uint8_t previous[32] = {0}, kept[32];
	struct fault f;
	(void)state;
	struct feed_frame part = opened(
		(struct feed_frame){.epoch = 2, .last = 9, .kind = FEED_SNAPSHOT, .head = {9}}, previous);
	assert_true(feed_chain_take(&c, &part, &f).ok);
	memcpy(kept, previous, 32);
	struct feed_frame changes = opened(
		(struct feed_frame){.epoch = 0, .first = 1, .last = 1, .kind = FEED_CHANGES}, previous);
	assert_not_taken(c, &changes, "feed-gap");
	memcpy(previous, kept, 32);
	struct feed_frame mixed =
		opened((struct feed_frame){.epoch = 2, .last = 10, .kind = FEED_SNAPSHOT_LAST, .head = {9}},
		       previous);
	assert_not_taken(c, &mixed, "feed-gap");
	memcpy(previous, kept, 32);
	struct feed_frame last =
		opened((struct feed_frame){.epoch = 2, .last = 9, .kind = FEED_SNAPSHOT_LAST, .head = {9}},
		       previous);
	assert_true(feed_chain_take(&c, &last, &f).ok);
	struct feed_frame second =
		opened((struct feed_frame){.epoch = 2, .last = 9, .kind = FEED_SNAPSHOT_LAST}, previous);
	assert_not_taken(c, &second, "feed-gap"); /* only a new stream brings a new snapshot */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frame_and_records_come_back_as_they_were),
		cmocka_unit_test(test_frame_of_another_key_is_refused),
		cmocka_unit_test(test_any_changed_byte_is_refused),
		cmocka_unit_test(test_impossible_numbers_are_refused),
		cmocka_unit_test(test_malformed_records_are_refused),
		cmocka_unit_test(test_a_certificate_comes_with_what_is_known_of_its_thing),
		cmocka_unit_test(test_malformed_things_are_refused),
		cmocka_unit_test(test_labels_are_exactly_these),
		cmocka_unit_test(test_heartbeat_has_no_records),
		cmocka_unit_test(test_questions_come_back_as_they_were),
		cmocka_unit_test(test_malformed_questions_are_refused),
		cmocka_unit_test(test_a_question_has_a_frame_of_its_own),
		cmocka_unit_test(test_stream_is_cut_into_frames_however_it_arrives),
		cmocka_unit_test(test_anything_but_a_byte_string_ends_the_stream),
		cmocka_unit_test(test_snapshot_then_changes_then_heartbeat),
		cmocka_unit_test(test_frames_out_of_turn_are_not_taken),
		cmocka_unit_test(test_older_snapshot_does_not_replace_the_table),
		cmocka_unit_test(test_snapshot_is_neither_interrupted_nor_mixed),
	};
	return cmocka_run_group_tests(tests, make_keys, free_keys);
}
