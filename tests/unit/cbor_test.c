#include "common/cbor/cbor.h"

#include "common/cbor/cose.h"
#include "vectors.h"

static struct bytes from_hex(const char *hex, uint8_t *out, size_t room)
{
	size_t n;
	assert_true(hex_decode(hex, strlen(hex), out, room, &n));
	return heap_copy(bytes_of(out, n));
}

/* One whole item, and nothing after it. */
static outcome well_formed(struct bytes in, struct fault *f)
{
	struct cbor_reader r = cbor_reader(in);
	struct bytes whole;
	*f = (struct fault){0};
	outcome o = cbor_skip(&r, &whole, f);
	return o.ok ? cbor_end(&r, f) : o;
}

static const char *const good[] = {
	"00",
	"17",
	"1818",
	"1900ff",
	"1a00000000",
	"1bffffffffffffffff",
	"20",
	"3bffffffffffffffff",
	"40",
	"43010203",
	"580100",
	"5900010a",
	"5b0000000000000001aa",
	"60",
	"6161",
	"62c3bc",
	"63e282ac",
	"64f09f9880",
	"80",
	"83010203",
	"a0",
	"a10102",
	"a201020203",
	"a2613002613103",
	"a3010263616263042005",
	"c100",
	"d818410a",
	"f4",
	"f5",
	"f6",
	"f7",
	"f820",
	"f90000",
	"fa00000000",
	"fb0000000000000000",
	"818181818180",
	"a101a101a101a101a101a0",
};

static void test_well_formed_items_are_skipped_whole(void **state)
{
	(void)state;
	uint8_t room[64];
	struct fault f;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		struct bytes in = from_hex(good[i], room, sizeof room);
		accepted(well_formed(in, &f), &f, good[i]);
		heap_free(in);
	}
}

static const struct {
	const char *hex;
	enum reason reason;
} bad[] = {
	{"", REASON_CBOR_TRUNCATED},
	{"18", REASON_CBOR_TRUNCATED},
	{"1900", REASON_CBOR_TRUNCATED},
	{"1b00000000000000", REASON_CBOR_TRUNCATED},
	{"41", REASON_CBOR_OVERRUN},
	{"5affffffff00", REASON_CBOR_OVERRUN},
	{"5bffffffffffffffff", REASON_CBOR_OVERRUN},
	{"5b8000000000000000", REASON_CBOR_OVERRUN},
	{"6261", REASON_CBOR_OVERRUN},
	{"8200", REASON_CBOR_OVERRUN},
	{"9b7fffffffffffffff00", REASON_CBOR_OVERRUN},
	{"bb7fffffffffffffff00", REASON_CBOR_OVERRUN},
	{"bbffffffffffffffff00", REASON_CBOR_OVERRUN},
	{"a101", REASON_CBOR_OVERRUN},
	{"a2010203", REASON_CBOR_OVERRUN},
	{"c1", REASON_CBOR_TRUNCATED},
	{"5f4101ff", REASON_CBOR_INDEFINITE},
	{"7f6161ff", REASON_CBOR_INDEFINITE},
	{"9f00ff", REASON_CBOR_INDEFINITE},
	{"bf0000ff", REASON_CBOR_INDEFINITE},
	{"ff", REASON_CBOR_INDEFINITE},
	{"1c", REASON_CBOR_RESERVED},
	{"5d00", REASON_CBOR_RESERVED},
	{"fe", REASON_CBOR_RESERVED},
	{"f800", REASON_CBOR_RESERVED},
	{"f81f", REASON_CBOR_RESERVED},
	{"a201020103", REASON_CBOR_DUPLICATE},
	{"a20102180103", REASON_CBOR_DUPLICATE},
	{"a20a001a0000000a00", REASON_CBOR_DUPLICATE},
	{"a2200038000000", REASON_CBOR_DUPLICATE},
	{"a2613001613002", REASON_CBOR_DUPLICATE},
	{"a260016002", REASON_CBOR_DUPLICATE},
	{"81a201020103", REASON_CBOR_DUPLICATE},
	{"a101a201020103", REASON_CBOR_DUPLICATE},
	{"a1410001", REASON_CBOR_TYPE},
	{"a1f500", REASON_CBOR_TYPE},
	{"a1f9000000", REASON_CBOR_TYPE},
	{"a11bffffffffffffffff00", REASON_CBOR_TYPE},
	{"a13bffffffffffffffff00", REASON_CBOR_TYPE},
	{"8181818181818100", REASON_CBOR_DEPTH},
	{"c1c1c1c1c1c1c100", REASON_CBOR_DEPTH},
	{"a101a101a101a101a101a101a10100", REASON_CBOR_DEPTH},
	{"61ff", REASON_CBOR_UTF8},
	{"6180", REASON_CBOR_UTF8},
	{"61c3", REASON_CBOR_UTF8},
	{"62c080", REASON_CBOR_UTF8},
	{"63e08080", REASON_CBOR_UTF8},
	{"63eda080", REASON_CBOR_UTF8},
	{"64f4908080", REASON_CBOR_UTF8},
	{"64f8808080", REASON_CBOR_UTF8},
	{"0000", REASON_CBOR_TRAILING},
	{"a000", REASON_CBOR_TRAILING},
};

static void test_bad_items_are_refused_for_their_reason(void **state)
{
	(void)state;
	uint8_t room[64];
	struct fault f;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct bytes in = from_hex(bad[i].hex, room, sizeof room);
		refused_for(well_formed(in, &f), &f, bad[i].reason, bad[i].hex);
		heap_free(in);
	}
}

static void test_deep_nesting_and_wide_maps_are_refused(void **state)
{
	(void)state;
	struct fault f;
	struct buf b = {0};
	for (int i = 0; i < 2000; i++)
		cbor_put_array(&b, 1);
	cbor_put_uint(&b, 0);
	refused_for(well_formed(buf_view(&b), &f), &f, REASON_CBOR_DEPTH, "2000 deep");
	for (unsigned entries = CBOR_ENTRIES_MAX; entries <= CBOR_ENTRIES_MAX + 1; entries++) {
		b.n = 0;
		cbor_put_map(&b, entries);
		for (unsigned i = 0; i < entries; i++) {
			cbor_put_uint(&b, i);
			cbor_put_null(&b);
		}
		outcome o = well_formed(buf_view(&b), &f);
		if (entries == CBOR_ENTRIES_MAX)
			accepted(o, &f, "40 entries");
		else
			refused_for(o, &f, REASON_CBOR_TOO_MANY, "41 entries");
	}
	buf_free(&b);
}

static outcome sum_field(void *arg, struct cbor_label label, struct cbor_reader *value, struct fault *f)
{
	int64_t *sum = arg, v;
	if (label.text.p)
		return cbor_skip(value, NULL, f);
	outcome o = cbor_int(value, &v, f);
	if (o.ok)
		*sum += label.number * v;
	return o;
}

static void test_a_map_is_walked_entry_by_entry(void **state)
{
	(void)state;
	uint8_t room[64];
	struct fault f;
	int64_t sum = 0;
	struct bytes in = from_hex("a30203617882010221390100", room, sizeof room);
	struct cbor_reader r = cbor_reader(in);
	accepted(cbor_map(&r, sum_field, &sum, &f), &f, "map");
	accepted(cbor_end(&r, &f), &f, "map");
	assert_int_equal(sum, 2 * 3 + -2 * -257);
	heap_free(in);
}

static outcome head_only(void *arg, struct cbor_label label, struct cbor_reader *value, struct fault *f)
{
	(void)arg, (void)label;
	struct cbor_item item;
	return cbor_expect(value, CBOR_ARRAY, &item, f);
}

static void test_a_field_that_leaves_something_unread_refuses_the_map(void **state)
{
	(void)state;
	uint8_t room[64];
	struct fault f;
	struct bytes in = from_hex("a1018101", room, sizeof room);
	struct cbor_reader r = cbor_reader(in);
	refused_for(cbor_map(&r, head_only, NULL, &f), &f, REASON_CBOR_TYPE, "array left unread");
	heap_free(in);
}

static void test_integers_have_64_bits_with_sign(void **state)
{
	(void)state;
	static const struct {
		const char *hex;
		bool ok;
		int64_t value;
	} cases[] = {
		{"00", true, 0},
		{"1b7fffffffffffffff", true, INT64_MAX},
		{"1b8000000000000000", false, 0},
		{"20", true, -1},
		{"3b7fffffffffffffff", true, INT64_MIN},
		{"3b8000000000000000", false, 0},
		{"6161", false, 0},
		{"f90000", false, 0},
	};
	uint8_t room[64];
	struct fault f;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct bytes in = from_hex(cases[i].hex, room, sizeof room);
		struct cbor_reader r = cbor_reader(in);
		int64_t v = 0;
		outcome o = cbor_int(&r, &v, &f);
		if (cases[i].ok)
			accepted(o, &f, cases[i].hex);
		else
			refused_for(o, &f, REASON_CBOR_TYPE, cases[i].hex);
		assert_int_equal(v, cases[i].value);
		heap_free(in);
	}
}

static void test_the_writer_uses_the_shortest_form(void **state)
{
	(void)state;
	static const struct {
		int64_t value;
		const char *hex;
	} cases[] = {
		{0, "00"},
		{23, "17"},
		{24, "1818"},
		{255, "18ff"},
		{256, "190100"},
		{65535, "19ffff"},
		{65536, "1a00010000"},
		{4294967295, "1affffffff"},
		{4294967296, "1b0000000100000000"},
		{INT64_MAX, "1b7fffffffffffffff"},
		{-1, "20"},
		{-24, "37"},
		{-25, "3818"},
		{-257, "390100"},
		{INT64_MIN, "3b7fffffffffffffff"},
	};
	char hex[64];
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf b = {0};
		cbor_put_int(&b, cases[i].value);
		hex_encode(buf_view(&b), hex);
		assert_string_equal(hex, cases[i].hex);
		buf_free(&b);
	}
}

static void test_what_is_written_is_read_again(void **state)
{
	(void)state;
	struct buf b = {0};
	struct fault f;
	char hex[64];
	cbor_put_tag(&b, 18);
	cbor_put_array(&b, 4);
	cbor_put_bstr(&b, bytes_str("ab"));
	cbor_put_tstr(&b, "\xc3\xbc");
	cbor_put_map(&b, 0);
	cbor_put_null(&b);
	hex_encode(buf_view(&b), hex);
	assert_string_equal(hex, "d28442616262c3bca0f6");
	accepted(well_formed(buf_view(&b), &f), &f, hex);
	buf_free(&b);
}

static void test_a_thousand_claims_are_too_many(void **state)
{
	(void)state;
	struct buf token = read_path(DERIVED "psa/many-claims.cbor");
	struct cose_sign1 c;
	struct fault f;
	accepted(cose_parse(buf_view(&token), &c, &f), &f, "the envelope");
	refused_for(well_formed(c.payload, &f), &f, REASON_CBOR_TOO_MANY, "many-claims");
	buf_free(&token);
}

static void test_documents_of_others_are_well_formed(void **state)
{
	(void)state;
	need_third_party();
	static const char *const files[] = {"rfc9783/psa-sign1.cbor", "rfc9783/psa-mac0.cbor",
					    "veraison-corim/psa-valid.cbor",
					    "veraison-corim/no-profile.cbor"};
	struct fault f;
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		struct buf b = read_third_party(files[i]);
		struct cbor_reader r = cbor_reader(buf_view(&b));
		accepted(cbor_skip(&r, NULL, &f), &f, files[i]);
		accepted(cbor_end(&r, &f), &f, files[i]);
		buf_free(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_well_formed_items_are_skipped_whole),
		cmocka_unit_test(test_bad_items_are_refused_for_their_reason),
		cmocka_unit_test(test_deep_nesting_and_wide_maps_are_refused),
		cmocka_unit_test(test_a_map_is_walked_entry_by_entry),
		cmocka_unit_test(test_a_field_that_leaves_something_unread_refuses_the_map),
		cmocka_unit_test(test_integers_have_64_bits_with_sign),
		cmocka_unit_test(test_the_writer_uses_the_shortest_form),
		cmocka_unit_test(test_what_is_written_is_read_again),
		cmocka_unit_test(test_a_thousand_claims_are_too_many),
		cmocka_unit_test(test_documents_of_others_are_well_formed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
