#include "common/provenance/line_record.h"
#include "common/provenance/programme.h"
#include "common/provenance/provenance_internal.h"
#include "common/provenance/receipt.h"
#include "common/provenance/stage_statement.h"
#include "common/provenance/work_order.h"

#include "vectors.h"

#include <sys/stat.h>

static EVP_PKEY *key;
static uint8_t point[P256_POINT_SIZE];

static int setup(void **state)
{
	(void)state;
	key = p256_key_generate();
	return provenance_point(key, point) ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	EVP_PKEY_free(key);
	return 0;
}

/* ---- one valid object of each kind ---- */

static struct stage_statement statement(void)
{
	struct stage_statement s = {.programme = {1}, .batch = "B-1", .stage = 10, .seq = 70000, .dev = {2}};
	s.previous[0] = 3;
	s.time = 1700000000;
	s.has_rot_key = true;
	memcpy(s.rot_key, point, sizeof point);
	return s;
}

static struct work_order order(void)
{
	return (struct work_order){.programme = {1},
				   .batch = "B-1",
				   .stage = 20,
				   .line = {4},
				   .quota = 1000,
				   .not_before = 1700000000,
				   .not_after = 1700086400,
				   .register_within_s = 3600,
				   .previous = {{5}, {6}},
				   .previous_count = 2};
}

static struct line_record record(void)
{
	struct line_record r = {.programme = {1},
				.version = 3,
				.site = "Łódź, hall 2",
				.stages = {10, 20, 255},
				.stage_count = 3,
				.not_before = 1700000000,
				.not_after = 1700000000 + LINE_VALIDITY_MAX_S,
				.state = LINE_REVOKED,
				.revoked_from = 1700001000,
				.per_hour = 120};
	memcpy(r.key, point, sizeof point);
	return r;
}

static struct receipt receipt(void)
{
	return (struct receipt){.programme = {1},
				.statement = {7},
				.at = {{1, 1700000000}, {9, 1700000000}, {UINT32_MAX, PROVENANCE_TIME_MAX}},
				.count = 3,
				.head = {8}};
}

static struct register_head head(void)
{
	return (struct register_head){.programme = {1}, .size = 12, .time = 1700000000, .head = {8}};
}

/* ---- what is signed reads back ---- */

static void test_a_statement_reads_back_as_it_was_signed(void **state)
{
	(void)state;
	struct stage_statement in = statement(), out;
	struct buf b = {0};
	struct fault f;
	accepted(stage_statement_sign(&b, &in, key, &f), &f, "sign");
	accepted(stage_statement_read(buf_view(&b), &out, &f), &f, "read");
	assert_string_equal(out.batch, in.batch);
	assert_true(out.stage == in.stage && out.seq == in.seq && out.time == in.time && out.has_rot_key);
	assert_memory_equal(out.programme, in.programme, sizeof in.programme);
	assert_memory_equal(out.dev, in.dev, sizeof in.dev);
	assert_memory_equal(out.previous, in.previous, sizeof in.previous);
	assert_memory_equal(out.rot_key, in.rot_key, sizeof in.rot_key);
	accepted(provenance_verify(&out.object, point, &f), &f, "verify");
	assert_int_equal(provenance_type_of(buf_view(&b)), PROVENANCE_STAGE_STATEMENT);
	buf_free(&b);
}

static void test_an_order_reads_back_as_it_was_signed(void **state)
{
	(void)state;
	struct work_order in = order(), out;
	struct fault f;
	for (size_t lines = 0; lines <= STAGES_MAX; lines++) {
		struct buf b = {0};
		in.previous_count = lines;
		accepted(work_order_sign(&b, &in, key, &f), &f, "sign");
		accepted(work_order_read(buf_view(&b), &out, &f), &f, "read");
		assert_string_equal(out.batch, in.batch);
		assert_true(out.stage == in.stage && out.quota == in.quota &&
			    out.not_before == in.not_before && out.not_after == in.not_after &&
			    out.register_within_s == in.register_within_s);
		assert_memory_equal(out.line, in.line, sizeof in.line);
		assert_int_equal(out.previous_count, lines);
		assert_memory_equal(out.previous, in.previous, lines * KEY_ID_SIZE);
		accepted(provenance_verify(&out.object, point, &f), &f, "verify");
		assert_int_equal(provenance_type_of(buf_view(&b)), PROVENANCE_WORK_ORDER);
		buf_free(&b);
	}
}

static void test_a_record_reads_back_as_it_was_signed_in_each_state(void **state)
{
	(void)state;
	struct fault f;
	for (int s = LINE_ACTIVE; s <= LINE_REVOKED; s++) {
		struct line_record in = record(), out;
		struct buf b = {0};
		in.state = (enum line_state)s;
		in.per_hour = s == LINE_ACTIVE ? 0 : 120;
		accepted(line_record_sign(&b, &in, key, &f), &f, "sign");
		accepted(line_record_read(buf_view(&b), &out, &f), &f, "read");
		assert_string_equal(out.site, in.site);
		assert_true(out.version == in.version && out.state == in.state &&
			    out.per_hour == in.per_hour);
		assert_true(out.not_before == in.not_before && out.not_after == in.not_after);
		assert_int_equal(out.revoked_from, s == LINE_REVOKED ? in.revoked_from : 0);
		assert_int_equal(out.stage_count, 3);
		assert_memory_equal(out.stages, in.stages, 3);
		assert_memory_equal(out.key, in.key, sizeof in.key);
		assert_int_equal(provenance_type_of(buf_view(&b)), PROVENANCE_LINE_RECORD);
		buf_free(&b);
	}
	assert_string_equal(line_state_name(LINE_SUSPENDED), "suspended");
}

static void test_a_receipt_and_a_head_read_back_as_they_were_signed(void **state)
{
	(void)state;
	struct receipt in = receipt(), out;
	struct register_head h = head(), h2;
	struct buf b = {0}, hb = {0};
	struct fault f;
	accepted(receipt_sign(&b, &in, key, &f), &f, "sign");
	accepted(receipt_read(buf_view(&b), &out, &f), &f, "read");
	assert_int_equal(out.count, 3);
	for (size_t i = 0; i < 3; i++)
		assert_true(out.at[i].index == in.at[i].index && out.at[i].time == in.at[i].time);
	assert_memory_equal(out.statement, in.statement, sizeof in.statement);
	assert_memory_equal(out.head, in.head, sizeof in.head);
	assert_int_equal(provenance_type_of(buf_view(&b)), PROVENANCE_RECEIPT);
	accepted(register_head_sign(&hb, &h, key, &f), &f, "sign a head");
	accepted(register_head_read(buf_view(&hb), &h2, &f), &f, "read a head");
	assert_true(h2.size == h.size && h2.time == h.time && !memcmp(h2.head, h.head, sizeof h.head));
	assert_int_equal(provenance_type_of(buf_view(&hb)), PROVENANCE_REGISTER_HEAD);
	refused_for(receipt_read(buf_view(&hb), &out, &f), &f, REASON_CHAIN_MALFORMED, "a head as a receipt");
	buf_free(&b);
	buf_free(&hb);
}

/* ---- what is out of its bounds is not signed ---- */

#define REFUSED(kind, change, what)                                                                          \
	do {                                                                                                 \
		struct buf b_ = {0};                                                                         \
		struct fault f_;                                                                             \
		kind;                                                                                        \
		change;                                                                                      \
		refused_for(sign(&b_, &x, key, &f_), &f_, REASON_CHAIN_MALFORMED, what);                     \
		assert_int_equal(b_.n, 0);                                                                   \
		buf_free(&b_);                                                                               \
	} while (0)

static void test_what_no_reader_takes_is_not_signed(void **state)
{
	(void)state;
#define sign stage_statement_sign
	REFUSED(struct stage_statement x = statement(), x.stage = 0, "stage 0");
	REFUSED(struct stage_statement x = statement(), x.stage = 256, "stage 256");
	REFUSED(struct stage_statement x = statement(), x.seq = 0, "number 0");
	REFUSED(struct stage_statement x = statement(), x.seq = (int64_t)UINT32_MAX + 1, "number 2^32");
	REFUSED(struct stage_statement x = statement(), x.time = -1, "time before 1970");
	REFUSED(struct stage_statement x = statement(), x.time = PROVENANCE_TIME_MAX + 1, "year 10000");
	REFUSED(struct stage_statement x = statement(), x.batch[0] = '\0', "no batch");
	REFUSED(struct stage_statement x = statement(), x.batch[0] = '/', "a batch with a slash");
	REFUSED(struct stage_statement x = statement(), x.rot_key[0] ^= 1, "a RoT key not on the curve");
#undef sign
#define sign work_order_sign
	REFUSED(struct work_order x = order(), x.quota = 0, "quota 0");
	REFUSED(struct work_order x = order(), x.not_after = x.not_before - 1, "an end before its beginning");
	REFUSED(struct work_order x = order(), x.register_within_s = ORDER_REGISTER_WITHIN_MAX_S + 1,
		"too long");
	REFUSED(struct work_order x = order(), x.batch[1] = ' ', "a batch with a space");
#undef sign
#define sign line_record_sign
	REFUSED(struct line_record x = record(), x.version = 0, "version 0");
	REFUSED(struct line_record x = record(), x.stage_count = 0, "no stage");
	REFUSED(struct line_record x = record(), x.stages[1] = 10, "a stage twice");
	REFUSED(struct line_record x = record(), x.stages[0] = 0, "stage 0");
	REFUSED(struct line_record x = record(), x.not_after++, "91 days");
	REFUSED(struct line_record x = record(), x.not_after = x.not_before - 1,
		"an end before its beginning");
	REFUSED(struct line_record x = record(), x.state = (enum line_state)4, "state 4");
	REFUSED(struct line_record x = record(), x.site[0] = '\0', "no site");
	REFUSED(struct line_record x = record(), x.site[0] = '\x1b', "a site with an escape");
	REFUSED(struct line_record x = record(), x.site[1] = 'x', "a site that is not UTF-8");
	REFUSED(struct line_record x = record(), x.key[0] ^= 1, "a key not on the curve");
#undef sign
#define sign receipt_sign
	REFUSED(struct receipt x = receipt(), x.count = 0, "no times");
	REFUSED(struct receipt x = receipt(), x.count = STAGES_MAX + 1, "nine times");
	REFUSED(struct receipt x = receipt(), x.at[0].index = 0, "index 0");
	REFUSED(struct receipt x = receipt(), x.at[1].index = 1, "an index twice");
	REFUSED(struct receipt x = receipt(), x.at[1].time--, "a time that falls");
	REFUSED(struct receipt x = receipt(), x.at[2].index++, "index 2^32");
	REFUSED(struct receipt x = receipt(), x.at[2].time++, "year 10000");
#undef sign
}

/* ---- reading is strict ---- */

/* `payload` in hex, sealed, as a register head: the smallest of the objects. */
static outcome read_head_of(const char *payload, struct fault *f)
{
	uint8_t bytes[256];
	size_t n;
	struct buf b = {0};
	struct register_head h;
	assert_true(hex_decode(payload, strlen(payload), bytes, sizeof bytes, &n));
	accepted(provenance_seal(&b, bytes_of(bytes, n), key, f), f, "seal");
	outcome o = register_head_read(buf_view(&b), &h, f);
	buf_free(&b);
	return o;
}

#define P16 "00112233445566778899aabbccddeeff"
#define H32 P16 P16

static const struct {
	const char *what, *payload;
	enum reason reason;
} payloads[] = {
	{"the one form", "a6000101050250" P16 "030c041a6553f100055820" H32, REASON_NONE},
	{"another version", "a6000201050250" P16 "030c041a6553f100055820" H32, REASON_CHAIN_MALFORMED},
	{"another type", "a6000101040250" P16 "030c041a6553f100055820" H32, REASON_CHAIN_MALFORMED},
	{"a key too few", "a5000101050250" P16 "030c041a6553f100", REASON_CHAIN_MALFORMED},
	{"a key too many", "a7000101050250" P16 "030c041a6553f100055820" H32 "0601", REASON_CHAIN_MALFORMED},
	{"a text key", "a7000101050250" P16 "030c041a6553f100055820" H32 "616101", REASON_CHAIN_MALFORMED},
	{"a key twice", "a7000101050250" P16 "030c030c041a6553f100055820" H32, REASON_CBOR_DUPLICATE},
	{"keys in another order", "a6010500010250" P16 "030c041a6553f100055820" H32, REASON_CHAIN_MALFORMED},
	{"a number in too many bytes", "a6000101050250" P16 "03180c041a6553f100055820" H32,
	 REASON_CHAIN_MALFORMED},
	{"a length in too many bytes", "a600010105025810" P16 "030c041a6553f100055820" H32,
	 REASON_CHAIN_MALFORMED},
	{"a hash too short",
	 "a6000101050250" P16 "030c041a6553f10005581f" P16 "00112233445566778899aabbccddee",
	 REASON_CHAIN_MALFORMED},
	{"a negative size", "a6000101050250" P16 "032c041a6553f100055820" H32, REASON_CHAIN_MALFORMED},
	{"a size of 2^32", "a6000101050250" P16 "031b0000000100000000041a6553f100055820" H32,
	 REASON_CHAIN_MALFORMED},
	{"bytes after the map", "a6000101050250" P16 "030c041a6553f100055820" H32 "00", REASON_CBOR_TRAILING},
};

static void test_a_payload_has_one_form(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof payloads / sizeof *payloads; i++) {
		struct fault f = {0};
		outcome o = read_head_of(payloads[i].payload, &f);
		if (payloads[i].reason == REASON_NONE)
			accepted(o, &f, payloads[i].what);
		else
			refused_for(o, &f, payloads[i].reason, payloads[i].what);
	}
}

/* An envelope around the head's payload; its parts in hex. */
static outcome open_envelope(const char *before, const char *between, const char *after, struct fault *f)
{
	char hex[1024];
	uint8_t bytes[512];
	size_t n;
	struct provenance_object o;
	snprintf(hex, sizeof hex, "%sa0%s%s%s", before, between, payloads[0].payload, after);
	assert_true(hex_decode(hex, strlen(hex), bytes, sizeof bytes, &n));
	return provenance_open(bytes_of(bytes, n), &o, f);
}

#define HEADER "55a201260450" P16
#define SIGNATURE "5840" H32 H32
/* of n - 1, where n is the order of P-256; and the next */
#define HALF "7fffffff800000007fffffffffffffffde737d56d38bcf4279dce5617e3192a8"
#define HALF_AND_1 "7fffffff800000007fffffffffffffffde737d56d38bcf4279dce5617e3192a9"

static void test_an_envelope_has_one_form(void **state)
{
	(void)state;
	static const struct {
		const char *what, *before, *between, *after;
	} envelopes[] = {
		{"the one form", "d284" HEADER, "5842", SIGNATURE},
		{"the largest s", "d284" HEADER, "5842", "5840" H32 HALF},
		{"an s that is larger than n - s", "d284" HEADER, "5842", "5840" H32 HALF_AND_1},
		{"a tag in two bytes", "d81284" HEADER, "5842", SIGNATURE},
		{"an array in two bytes", "d29804" HEADER, "5842", SIGNATURE},
		{"a header in two bytes", "d2845815a201260450" P16, "5842", SIGNATURE},
		{"a payload in three bytes", "d284" HEADER, "590042", SIGNATURE},
		{"a signature in three bytes", "d284" HEADER, "5842", "590040" H32 H32},
		{"another order in the header", "d28455a20450" P16 "0126", "5842", SIGNATURE},
		{"another algorithm's name", "d28455a201280450" P16, "5842", SIGNATURE},
		{"a key id too short", "d28454a20126044f00112233445566778899aabbccddee", "5842", SIGNATURE},
		{"no key id", "d28443a10126", "5842", SIGNATURE},
		{"a third header",
		 "d2845818a30126034100"
		 "0450" P16,
		 "5842", SIGNATURE},
	};
	for (size_t i = 0; i < sizeof envelopes / sizeof *envelopes; i++) {
		struct fault f = {0};
		outcome o = open_envelope(envelopes[i].before, envelopes[i].between, envelopes[i].after, &f);
		if (i <= 1)
			accepted(o, &f, envelopes[i].what);
		else
			refused_for(o, &f, REASON_CHAIN_MALFORMED, envelopes[i].what);
	}
}

static void test_an_unprotected_header_is_empty_and_an_object_bounded(void **state)
{
	(void)state;
	uint8_t in[PROVENANCE_OBJECT_MAX + 1] = {0};
	struct provenance_object o;
	struct fault f = {0};
	char hex[1024];
	size_t n;
	snprintf(hex, sizeof hex, "d284" HEADER "a10341005842%s" SIGNATURE, payloads[0].payload);
	assert_true(hex_decode(hex, strlen(hex), in, sizeof in, &n));
	refused_for(provenance_open(bytes_of(in, n), &o, &f), &f, REASON_CHAIN_MALFORMED, "not empty");
	refused_for(provenance_open(bytes_of(in, sizeof in), &o, &f), &f, REASON_CHAIN_MALFORMED,
		    "513 bytes");
	assert_int_equal(provenance_type_of(bytes_of(in, n)), 0);
}

static void test_a_signature_holds_for_its_key_alone(void **state)
{
	(void)state;
	struct register_head h = head();
	struct buf b = {0};
	struct fault f;
	uint8_t other_point[P256_POINT_SIZE];
	EVP_PKEY *other = p256_key_generate();
	assert_true(provenance_point(other, other_point));
	accepted(register_head_sign(&b, &h, key, &f), &f, "sign");
	accepted(register_head_read(buf_view(&b), &h, &f), &f, "read");
	refused_for(provenance_verify(&h.object, other_point, &f), &f, REASON_PROVENANCE_SIGNATURE, "other");
	b.p[b.n - 1] ^= 1;
	accepted(register_head_read(buf_view(&b), &h, &f), &f, "read");
	refused_for(provenance_verify(&h.object, point, &f), &f, REASON_PROVENANCE_SIGNATURE, "altered");
	EVP_PKEY_free(other);
	buf_free(&b);
	EVP_PKEY *p384 = EVP_PKEY_Q_keygen(crypto_ctx(), NULL, "EC", "P-384");
	refused_for(register_head_sign(&b, &h, p384, &f), &f, REASON_CRYPTO, "a key on P-384");
	EVP_PKEY_free(p384);
}

/* The signature is right, over a header that names another key. */
static void test_a_key_id_that_is_not_the_signers_is_refused(void **state)
{
	(void)state;
	uint8_t header[21] = {0xa2, 0x01, 0x26, 0x04, 0x50};
	struct provenance_object o;
	struct fault f = {0};
	do {
		struct buf b = {0};
		accepted(cose_sign(&b, bytes_of(header, sizeof header), bytes_str("x"), key, &f), &f, "sign");
		outcome opened = provenance_open(buf_view(&b), &o, &f);
		if (opened.ok)
			refused_for(provenance_verify(&o, point, &f), &f, REASON_PROVENANCE_SIGNATURE,
				    "key id");
		buf_free(&b);
		if (opened.ok)
			return;
	} while (f.reason == REASON_CHAIN_MALFORMED); /* the larger s: as good as tossing a coin */
	fail_msg("%s", f.text);
}

/* ---- what the limits of single fields do not say ---- */

#define READS(kind)                                                                                          \
	static outcome reads_##kind(struct bytes in, struct fault *f)                                        \
	{                                                                                                    \
		struct kind x;                                                                               \
		return kind##_read(in, &x, f);                                                               \
	}
READS(line_record)
READS(work_order)
READS(receipt)

static const struct {
	const char *what;
	outcome (*reads)(struct bytes in, struct fault *f);
	bool good;
	const char *payload;
} wholes[] = {
	{"a record", reads_line_record, true,
	 "aa000101030250000102030405060708090a0b0c0d0e0f03010458406b17d1f2e12c4247f8bce6e563a4"
	 "40f277037d812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ece"
	 "cbb6406837bf51f5056178064101070108020901"},
	{"an active line that is revoked from a time", reads_line_record, false,
	 "ab000101030250000102030405060708090a0b0c0d0e0f03010458406b17d1f2e12c4247f8bce6e563a4"
	 "40f277037d812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ece"
	 "cbb6406837bf51f50561780641010701080209010a01"},
	{"a revoked line without a time", reads_line_record, false,
	 "aa000101030250000102030405060708090a0b0c0d0e0f03010458406b17d1f2e12c4247f8bce6e563a4"
	 "40f277037d812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ece"
	 "cbb6406837bf51f5056178064101070108020903"},
	{"a revoked line", reads_line_record, true,
	 "ab000101030250000102030405060708090a0b0c0d0e0f03010458406b17d1f2e12c4247f8bce6e563a4"
	 "40f277037d812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ece"
	 "cbb6406837bf51f50561780641010701080209030a01"},
	{"an order", reads_work_order, true,
	 "aa000101010250000102030405060708090a0b0c0d0e0f03614204010550000102030405060708090a0b"
	 "0c0d0e0f0601070108020900"},
	{"a key id and a half", reads_work_order, false,
	 "ab000101010250000102030405060708090a0b0c0d0e0f03614204010550000102030405060708090a0b"
	 "0c0d0e0f06010701080209000a5818000000000000000000000000000000000000000000000000"},
	{"a receipt", reads_receipt, true,
	 "a6000101040250000102030405060708090a0b0c0d0e0f03582000000000000000000000000000000000"
	 "00000000000000000000000000000000044c000000010000000000000000055820000000000000000000"
	 "0000000000000000000000000000000000000000000000"},
	{"a time and a byte", reads_receipt, false,
	 "a6000101040250000102030405060708090a0b0c0d0e0f03582000000000000000000000000000000000"
	 "00000000000000000000000000000000044d000000010000000000000000000558200000000000000000"
	 "000000000000000000000000000000000000000000000000"},
	{"a time after year 9999", reads_receipt, false,
	 "a6000101040250000102030405060708090a0b0c0d0e0f03582000000000000000000000000000000000"
	 "00000000000000000000000000000000044c000000010000003afff44180055820000000000000000000"
	 "0000000000000000000000000000000000000000000000"},
	{"a time before 1970", reads_receipt, false,
	 "a6000101040250000102030405060708090a0b0c0d0e0f03582000000000000000000000000000000000"
	 "00000000000000000000000000000000044c00000001ffffffffffffffff055820000000000000000000"
	 "0000000000000000000000000000000000000000000000"},
};

static void test_fields_go_together(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof wholes / sizeof *wholes; i++) {
		uint8_t payload[256];
		size_t n;
		struct buf b = {0};
		struct fault f = {0};
		assert_true(hex_decode(wholes[i].payload, strlen(wholes[i].payload), payload, sizeof payload,
				       &n));
		accepted(provenance_seal(&b, bytes_of(payload, n), key, &f), &f, "seal");
		outcome o = wholes[i].reads(buf_view(&b), &f);
		if (wholes[i].good)
			accepted(o, &f, wholes[i].what);
		else
			refused_for(o, &f, REASON_CHAIN_MALFORMED, wholes[i].what);
		buf_free(&b);
	}
}

static void test_a_batch_is_1_to_16_of_its_characters(void **state)
{
	(void)state;
	assert_true(provenance_batch_valid("A") && provenance_batch_valid("az09._-AZ1234567"));
	assert_false(provenance_batch_valid("") || provenance_batch_valid("az09._-AZ12345678") ||
		     provenance_batch_valid("a/b") || provenance_batch_valid("a b") ||
		     provenance_batch_valid("\xc5\x81"));
}

static void test_every_signature_made_here_is_in_its_smaller_form(void **state)
{
	(void)state;
	for (int i = 0; i < 64; i++) {
		struct register_head h = head();
		struct buf b = {0};
		struct fault f;
		accepted(register_head_sign(&b, &h, key, &f), &f, "sign");
		accepted(register_head_read(buf_view(&b), &h, &f), &f, "read");
		accepted(provenance_verify(&h.object, point, &f), &f, "verify");
		buf_free(&b);
	}
}

/* ---- hashes, against values computed apart ---- */

static void is_hex(const uint8_t *hash, size_t n, const char *expected)
{
	char hex[HEX_SIZE(SHA256_SIZE)];
	hex_encode(bytes_of(hash, n), hex);
	assert_string_equal(hex, expected);
}

static void test_names_and_hashes_are_what_the_formats_say(void **state)
{
	(void)state;
	uint8_t programme[PROGRAMME_ID_SIZE], instance[INSTANCE_ID_SIZE] = {1}, dev[DEV_SIZE], h[SHA256_SIZE];
	memset(programme, 0x11, sizeof programme);
	memset(instance + 1, 0x22, 32);
	provenance_dev(programme, instance, dev);
	is_hex(dev, sizeof dev, "ba5ed64dcb28d1c52da513e2a35cd4aba3e049b00c4011d6556a65ce970882cc");
	provenance_start(programme, dev, h);
	is_hex(h, sizeof h, "92d4a75c9397162ea4ef816848ae1a23899f065478134cf298b56de795d8471a");
	register_start(programme, h);
	is_hex(h, sizeof h, "e37ff59e727569fbae9f9a391d6755f11856ad361a98a2d102ccf22f8ad8c23c");
	struct register_entry e = {.index = 1, .time = 1700000000};
	memset(e.object, 0x33, sizeof e.object);
	register_next(h, &e, h);
	is_hex(h, sizeof h, "78ac568c856bf8ff11f85027b1d6b086603a11a223ea16dbef55294f635bbe02");
	struct stage_statement s = {.batch = "B-1", .stage = 20, .seq = 70000};
	uint8_t line[KEY_ID_SIZE], nonce[STAGE_NONCE_SIZE];
	memcpy(s.programme, programme, sizeof programme);
	memset(s.previous, 0x44, sizeof s.previous);
	memset(line, 0x55, sizeof line);
	memset(nonce, 0x66, sizeof nonce);
	stage_countersigned(&s, line, nonce, h);
	is_hex(h, sizeof h, "48b85fe0dc4624bcb60779fad49eda768f4261cb929199770e7574d31790c7aa");
}

/* ---- countersignatures ---- */

static void test_a_published_test_key_countersigns_only_where_allowed(void **state)
{
	(void)state;
	uint8_t digest[SHA256_SIZE] = {1}, signature[P256_SIGNATURE_SIZE], rot[P256_POINT_SIZE];
	struct fault f;
	EVP_PKEY *iak = read_public_key(DERIVED "iak_pub.pem");
	assert_true(provenance_point(iak, rot));
	accepted(stage_countersign(digest, key, signature, &f), &f, "countersign");
	struct bytes s = bytes_of(signature, sizeof signature);
	accepted(stage_countersignature_verify(digest, s, point, false, &f), &f, "a key of one's own");
	refused_for(stage_countersignature_verify(digest, s, rot, false, &f), &f, REASON_TEST_KEY,
		    "TF-M's key");
	refused_for(stage_countersignature_verify(digest, s, rot, true, &f), &f, REASON_COUNTERSIGNATURE,
		    "allowed, and not signed by it");
	EVP_PKEY_free(iak);
}

/* ---- programme.json ---- */

static struct programme programme(void)
{
	struct programme p = {.id = {0xab}, .name = "Łódź kettle"};
	memcpy(p.programme_key, point, sizeof point);
	memcpy(p.line_authority_key, point, sizeof point);
	memcpy(p.register_key, point, sizeof point);
	return p;
}

static void test_a_programme_loads_as_it_was_saved(void **state)
{
	(void)state;
	struct programme p = programme(), loaded;
	struct fault f;
	struct stat st;
	char folder[] = "/tmp/programme-test-XXXXXX", path[64];
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/programme.json", folder);
	accepted(programme_save(path, &p, &f), &f, "save");
	accepted(programme_load(path, &loaded, &f), &f, "load");
	assert_memory_equal(&p, &loaded, sizeof p);
	assert_true(stat(path, &st) == 0 && (st.st_mode & 0777) == 0644);
	p.register_key[3] ^= 1;
	refused_for(programme_save(path, &p, &f), &f, REASON_CONFIG, "a key not on the curve");
	accepted(programme_load(path, &loaded, &f), &f, "what was there is still there");
	unlink(path);
	rmdir(folder);
	refused_for(programme_load(path, &loaded, &f), &f, REASON_IO, "no file");
}

static void test_a_programme_with_a_member_too_few_or_many_or_wrong_is_refused(void **state)
{
	(void)state;
	static const char *const members[] = {"programme", "name", "programme_key", "line_authority_key",
					      "register_key"};
	char hex[HEX_SIZE(P256_POINT_SIZE)], text[1024];
	struct programme p;
	struct fault f;
	hex_encode(bytes_of(point, sizeof point), hex);
	for (size_t i = 0; i < 8; i++) {
		struct buf b = {0};
		for (size_t k = 0; k < 5; k++) {
			const char *value = k == 0 ? P16 : k == 1 ? "x" : hex;
			if (i != k)
				buf_printf(&b, "%s\"%s\":\"%s\"", b.n ? "," : "", members[k], value);
		}
		if (i == 5)
			buf_str(&b, ",\"secret\":\"\"");
		if (i == 6)
			buf_str(&b, ",\"name\":\"again\"");
		snprintf(text, sizeof text, "{%.*s}", (int)b.n, (const char *)b.p);
		outcome o = programme_parse(bytes_str(text), "p.json", &p, &f);
		if (i == 7)
			accepted(o, &f, text);
		else
			refused_for(o, &f, REASON_CONFIG, text);
		buf_free(&b);
	}
	snprintf(text, sizeof text,
		 "{\"programme\":\"" P16
		 "\",\"name\":\"x\",\"programme_key\":\"%s\",\"line_authority_key\":\"%s\","
		 "\"register_key\":\"" H32 H32 "\"}",
		 hex, hex);
	refused_for(programme_parse(bytes_str(text), "p.json", &p, &f), &f, REASON_CONFIG, "no point");
}

static void test_a_record_and_an_order_are_of_the_programme_and_its_own_keys(void **state)
{
	(void)state;
	struct line_record record_in = record(), record_out;
	struct work_order order_in = order(), order_out;
	struct buf r = {0}, o = {0};
	struct fault f;
	EVP_PKEY *other_key = p256_key_generate();
	struct programme of_orders = {.id = {1}, .name = "x"}, of_records = of_orders;
	assert_true(provenance_point(other_key, of_orders.line_authority_key));
	memcpy(of_orders.programme_key, point, sizeof point);
	memcpy(of_records.line_authority_key, point, sizeof point);
	memcpy(of_records.programme_key, of_orders.line_authority_key, sizeof point);
	accepted(line_record_sign(&r, &record_in, key, &f), &f, "sign");
	accepted(work_order_sign(&o, &order_in, key, &f), &f, "sign");
	accepted(programme_line_record(&of_records, buf_view(&r), &record_out, &f), &f, "its record");
	accepted(programme_work_order(&of_orders, buf_view(&o), &order_out, &f), &f, "its order");
	refused_for(programme_line_record(&of_orders, buf_view(&r), &record_out, &f), &f,
		    REASON_PROVENANCE_SIGNATURE, "a record by the programme key");
	refused_for(programme_work_order(&of_records, buf_view(&o), &order_out, &f), &f,
		    REASON_PROVENANCE_SIGNATURE, "an order by the line authority");
	of_records.id[0] = of_orders.id[0] = 2;
	refused_for(programme_line_record(&of_records, buf_view(&r), &record_out, &f), &f,
		    REASON_CHAIN_PROGRAMME, "another's record");
	refused_for(programme_work_order(&of_orders, buf_view(&o), &order_out, &f), &f,
		    REASON_CHAIN_PROGRAMME, "another's order");
	buf_free(&r);
	buf_free(&o);
	EVP_PKEY_free(other_key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_statement_reads_back_as_it_was_signed),
		cmocka_unit_test(test_an_order_reads_back_as_it_was_signed),
		cmocka_unit_test(test_a_record_reads_back_as_it_was_signed_in_each_state),
		cmocka_unit_test(test_a_receipt_and_a_head_read_back_as_they_were_signed),
		cmocka_unit_test(test_what_no_reader_takes_is_not_signed),
		cmocka_unit_test(test_a_payload_has_one_form),
		cmocka_unit_test(test_an_envelope_has_one_form),
		cmocka_unit_test(test_an_unprotected_header_is_empty_and_an_object_bounded),
		cmocka_unit_test(test_a_signature_holds_for_its_key_alone),
		cmocka_unit_test(test_fields_go_together),
		cmocka_unit_test(test_a_batch_is_1_to_16_of_its_characters),
		cmocka_unit_test(test_a_key_id_that_is_not_the_signers_is_refused),
		cmocka_unit_test(test_every_signature_made_here_is_in_its_smaller_form),
		cmocka_unit_test(test_names_and_hashes_are_what_the_formats_say),
		cmocka_unit_test(test_a_published_test_key_countersigns_only_where_allowed),
		cmocka_unit_test(test_a_programme_loads_as_it_was_saved),
		cmocka_unit_test(test_a_record_and_an_order_are_of_the_programme_and_its_own_keys),
		cmocka_unit_test(test_a_programme_with_a_member_too_few_or_many_or_wrong_is_refused),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
