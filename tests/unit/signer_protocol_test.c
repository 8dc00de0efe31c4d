/* The signer's protocol: what one side encodes the other decodes, and nothing else is a message. */
#include "common/signer_protocol.h"

#include "common/cbor/cbor.h"
#include "vectors.h"

static struct signer_request issue_request(void)
{
	static const uint8_t csr[] = {1, 2, 3};
	struct signer_request r = {.op = SIGNER_ISSUE,
				   .profile = "device",
				   .not_before = 1795363200,
				   .not_after = 1826899200,
				   .csr = {csr, sizeof csr},
				   .ear = bytes_str("a.b.c"),
				   .audience = "https://enrol.example.com"};
	memset(r.intent, 1, sizeof r.intent);
	memset(r.serial, 2, sizeof r.serial);
	memset(r.nonce, 3, sizeof r.nonce);
	return r;
}

static struct bytes message_of(const struct buf *framed)
{
	struct bytes message;
	struct fault f = {0};
	accepted(signer_frame(buf_view(framed), &message, &f), &f, "frame");
	assert_int_equal(message.n + SIGNER_PREFIX_SIZE, framed->n);
	return message;
}

static void test_requests_come_through_unchanged(void **state)
{
	(void)state;
	struct signer_request cases[4] = {issue_request(), issue_request(), issue_request(), issue_request()};
	cases[1].ear = (struct bytes){0};
	cases[2].op = SIGNER_FIND;
	cases[3].op = SIGNER_VOID;
	for (size_t i = 0; i < 4; i++) {
		const struct signer_request *r = &cases[i];
		struct signer_request got;
		struct buf b = {0};
		struct fault f = {0};
		accepted(signer_request_encode(r, &b, &f), &f, "encode");
		accepted(signer_request_decode(message_of(&b), &got, &f), &f, "decode");
		assert_int_equal(got.op, r->op);
		assert_memory_equal(got.intent, r->intent, sizeof r->intent);
		if (r->op == SIGNER_ISSUE) {
			assert_string_equal(got.profile, r->profile);
			assert_memory_equal(got.serial, r->serial, sizeof r->serial);
			assert_true(got.not_before == r->not_before && got.not_after == r->not_after);
			assert_true(bytes_equal(got.csr, r->csr) && bytes_equal(got.ear, r->ear));
		}
		if (r->op == SIGNER_ISSUE && r->ear.n) {
			assert_memory_equal(got.nonce, r->nonce, sizeof r->nonce);
			assert_string_equal(got.audience, r->audience);
		}
		buf_free(&b);
	}
}

static void test_answers_come_through_unchanged(void **state)
{
	(void)state;
	struct signer_answer cases[] = {
		{.status = SIGNER_OK, .certificate = bytes_str("certificate")},
		{.status = SIGNER_OK},
		{.status = SIGNER_NONE},
		{.status = SIGNER_REFUSED,
		 .certificate = bytes_str("of a commit that failed"),
		 .refusal = {.reason = REASON_EAR_AGE, .text = "the result was issued 400 s ago"}},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct signer_answer got;
		struct buf b = {0};
		struct fault f = {0};
		memset(cases[i].intent, (int)i, INTENT_ID_SIZE);
		accepted(signer_answer_encode(&cases[i], &b, &f), &f, "encode");
		accepted(signer_answer_decode(message_of(&b), &got, &f), &f, "decode");
		assert_int_equal(got.status, cases[i].status);
		assert_memory_equal(got.intent, cases[i].intent, INTENT_ID_SIZE);
		if (cases[i].status == SIGNER_REFUSED) {
			assert_int_equal(got.certificate.n, 0); /* a refusal never carries one */
			assert_int_equal(got.refusal.reason, cases[i].refusal.reason);
			assert_string_equal(got.refusal.text, cases[i].refusal.text);
		} else {
			assert_true(bytes_equal(got.certificate, cases[i].certificate));
		}
		buf_free(&b);
	}
}

static void test_a_message_is_taken_when_it_is_whole(void **state)
{
	(void)state;
	struct signer_request r = issue_request();
	struct buf b = {0};
	struct bytes message;
	struct fault f = {0};
	accepted(signer_request_encode(&r, &b, &f), &f, "encode");
	for (size_t n = 0; n < b.n; n++) {
		accepted(signer_frame(bytes_of(b.p, n), &message, &f), &f, "a part");
		assert_int_equal(message.n, 0);
	}
	size_t one = b.n;
	accepted(signer_request_encode(&r, &b, &f), &f, "encode a second behind it");
	accepted(signer_frame(buf_view(&b), &message, &f), &f, "two");
	assert_int_equal(message.n + SIGNER_PREFIX_SIZE, one);
	buf_free(&b);
}

static void test_lengths_are_bounded(void **state)
{
	(void)state;
	static const uint8_t wrong[][4] = {
		{0, 0, 0, 0}, {0, 0, 0x80, 1}, {0xff, 0xff, 0xff, 0xff}, {0, 1, 0, 0}};
	static uint8_t csr[SIGNER_MESSAGE_MAX];
	struct bytes message;
	struct fault f = {0};
	struct buf b = {0};
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		refused_for(signer_frame(bytes_of(wrong[i], 4), &message, &f), &f, REASON_SIGNER_PROTOCOL,
			    "length");
	struct signer_request r = issue_request();
	r.csr = bytes_of(csr, sizeof csr);
	refused_for(signer_request_encode(&r, &b, &f), &f, REASON_TOO_LARGE, "a message beyond the limit");
	buf_free(&b);
}

/* One entry of a request or answer written by hand: 'u' uint, 'b' bytes of that length, 't' text of that
 * length. */
struct entry {
	int key;
	char type;
	uint64_t n;
	const char *text; /* instead of a text of n letters */
};

static struct buf map_of(const struct entry *entries, size_t count)
{
	static uint8_t filler[600];
	memset(filler, 'a', sizeof filler);
	struct buf b = {0};
	cbor_put_map(&b, count);
	for (size_t i = 0; i < count; i++) {
		cbor_put_int(&b, entries[i].key);
		if (entries[i].type == 'u')
			cbor_put_uint(&b, entries[i].n);
		else if (entries[i].type == 'b')
			cbor_put_bstr(&b, bytes_of(filler, entries[i].n));
		else if (entries[i].text)
			cbor_put_tstr(&b, entries[i].text);
		else
			cbor_put_text(&b, bytes_of(filler, entries[i].n));
	}
	return b;
}

enum { WHOLE = 11 };

static const struct entry whole_issue[WHOLE] = {
	{0, 'u', 1, NULL},  {1, 't', 0, "issue"}, {2, 'b', 16, NULL}, {3, 't', 0, "device"},
	{4, 'b', 16, NULL}, {5, 'u', 1, NULL},	  {6, 'u', 2, NULL},  {7, 'b', 9, NULL},
	{8, 't', 9, NULL},  {9, 'b', 32, NULL},	  {10, 't', 9, NULL},
};

static void request_must_be(bool ok, const struct entry *entries, size_t count, const char *what)
{
	struct signer_request r;
	struct fault f = {0};
	struct buf b = map_of(entries, count);
	outcome o = signer_request_decode(buf_view(&b), &r, &f);
	if (o.ok != ok)
		fail_msg("%s: %s", what, o.ok ? "was taken" : f.text);
	if (!ok)
		assert_true(f.reason != REASON_NONE && f.text[0]);
	buf_free(&b);
}

static void test_every_field_must_be_there_and_be_right(void **state)
{
	(void)state;
	static const struct entry wrong[] = {
		{0, 'u', 2, NULL},    {0, 't', 1, NULL},	  {1, 't', 0, "sign"}, {1, 'b', 4, NULL},
		{2, 'b', 15, NULL},   {2, 'b', 17, NULL},	  {3, 't', 16, NULL},  {4, 'b', 15, NULL},
		{5, 't', 1, NULL},    {6, 'u', 1ULL << 63, NULL}, {7, 'b', 0, NULL},   {7, 't', 9, NULL},
		{8, 't', 0, NULL},    {8, 'b', 9, NULL},	  {9, 'b', 31, NULL},  {9, 't', 32, NULL},
		{10, 't', 256, NULL}, {11, 'u', 1, NULL},	  {-1, 'u', 1, NULL},
	};
	struct entry entries[WHOLE + 1];
	request_must_be(true, whole_issue, WHOLE, "the whole");
	request_must_be(true, whole_issue, 8, "without evidence");
	for (size_t left_out = 0; left_out < WHOLE; left_out++) {
		size_t n = 0;
		for (size_t i = 0; i < WHOLE; i++)
			if (i != left_out)
				entries[n++] = whole_issue[i];
		request_must_be(false, entries, n, "one field less");
	}
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		size_t n = WHOLE, at = wrong[i].key >= 0 && wrong[i].key < WHOLE ? (size_t)wrong[i].key : n++;
		memcpy(entries, whole_issue, sizeof whole_issue);
		entries[at] = wrong[i];
		request_must_be(false, entries, n, "a wrong field");
	}
	memcpy(entries, whole_issue, sizeof whole_issue);
	entries[WHOLE] = whole_issue[3];
	request_must_be(false, entries, WHOLE + 1, "a field twice");
	entries[1].text = "find";
	request_must_be(true, entries, 3, "find");
	request_must_be(false, entries, 4, "find with a profile");
	request_must_be(false, entries, WHOLE, "find with all of an issue");
}

/* The audience is compared as a C string: a NUL would cut it. */
static void test_no_text_holds_a_nul(void **state)
{
	(void)state;
	struct signer_request r = issue_request(), got;
	struct buf b = {0};
	struct fault f = {0};
	accepted(signer_request_encode(&r, &b, &f), &f, "encode");
	uint8_t *at = memmem(b.p, b.n, "https://enrol", 13);
	at[8] = '\0';
	refused_for(signer_request_decode(message_of(&b), &got, &f), &f, REASON_SIGNER_PROTOCOL, "NUL");
	buf_free(&b);
}

static void test_answers_hold_what_their_status_says(void **state)
{
	(void)state;
	static const struct {
		bool ok;
		size_t n;
		struct entry entries[5];
	} cases[] = {
		{true, 3, {{0, 'u', 1, NULL}, {1, 't', 0, "none"}, {2, 'b', 16, NULL}}},
		{true, 4, {{0, 'u', 1, NULL}, {1, 't', 0, "ok"}, {2, 'b', 16, NULL}, {3, 'b', 9, NULL}}},
		{false, 4, {{0, 'u', 1, NULL}, {1, 't', 0, "none"}, {2, 'b', 16, NULL}, {3, 'b', 9, NULL}}},
		{false, 3, {{0, 'u', 1, NULL}, {1, 't', 0, "refused"}, {2, 'b', 16, NULL}}},
		{false,
		 4,
		 {{0, 'u', 1, NULL}, {1, 't', 0, "refused"}, {2, 'b', 16, NULL}, {4, 't', 0, "io"}}},
		{true,
		 5,
		 {{0, 'u', 1, NULL},
		  {1, 't', 0, "refused"},
		  {2, 'b', 16, NULL},
		  {4, 't', 0, "io"},
		  {5, 't', 3, NULL}}},
		{false,
		 5,
		 {{0, 'u', 1, NULL},
		  {1, 't', 0, "refused"},
		  {2, 'b', 16, NULL},
		  {4, 't', 0, "no-such"},
		  {5, 't', 3, NULL}}},
		{false,
		 5,
		 {{0, 'u', 1, NULL},
		  {1, 't', 0, "refused"},
		  {2, 'b', 16, NULL},
		  {4, 't', 0, "io"},
		  {5, 't', 320, NULL}}},
		{false,
		 5,
		 {{0, 'u', 1, NULL},
		  {1, 't', 0, "refused"},
		  {2, 'b', 16, NULL},
		  {3, 'b', 9, NULL},
		  {4, 't', 0, "io"}}},
		{false, 2, {{0, 'u', 1, NULL}, {1, 't', 0, "none"}}},
		{false, 3, {{0, 'u', 2, NULL}, {1, 't', 0, "none"}, {2, 'b', 16, NULL}}},
		{false, 4, {{0, 'u', 1, NULL}, {1, 't', 0, "ok"}, {2, 'b', 16, NULL}, {6, 'u', 1, NULL}}},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct signer_answer a;
		struct fault f = {0};
		struct buf b = map_of(cases[i].entries, cases[i].n);
		outcome o = signer_answer_decode(buf_view(&b), &a, &f);
		if (o.ok != cases[i].ok)
			fail_msg("case %zu: %s", i, o.ok ? "was taken" : f.text);
		buf_free(&b);
	}
}

static void test_nothing_may_follow_a_message(void **state)
{
	(void)state;
	struct signer_request r = issue_request(), got;
	struct buf b = {0};
	struct fault f = {0};
	accepted(signer_request_encode(&r, &b, &f), &f, "encode");
	buf_byte(&b, 0);
	refused_for(
		signer_request_decode(bytes_of(b.p + SIGNER_PREFIX_SIZE, b.n - SIGNER_PREFIX_SIZE), &got, &f),
		&f, REASON_CBOR_TRAILING, "a byte more");
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests_come_through_unchanged),
		cmocka_unit_test(test_answers_come_through_unchanged),
		cmocka_unit_test(test_a_message_is_taken_when_it_is_whole),
		cmocka_unit_test(test_lengths_are_bounded),
		cmocka_unit_test(test_every_field_must_be_there_and_be_right),
		cmocka_unit_test(test_no_text_holds_a_nul),
		cmocka_unit_test(test_answers_hold_what_their_status_says),
		cmocka_unit_test(test_nothing_may_follow_a_message),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
