#include "chip.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* TF-M's dummy initial attestation key, as a record would carry it. */
static const char published[] = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEeeupDov0UKZ1FXatRZmwet+TjaO7"
				"C9F9ADbtSaLQ/D+/zfqJVrVov9uGc+ZI2LWNkplVsUomwwgPNBF9lx1oZA==";

static struct chip chip;

static void test_a_record_is_read_and_written_the_same(void **state)
{
	(void)state;
	struct record r;
	struct fault f;
	char *line = chip_line(&chip);
	assert_true(record_parse(bytes_str(line), false, &r, &f).ok);
	assert_true(record_same(&r, &chip.record));
	assert_false(r.suspended);
	json_t *o = record_json(&r);
	assert_string_equal(json_string_value(json_object_get(o, "state")), "active");
	json_decref(o);
	free(line);
}

static void test_any_difference_makes_another_record(void **state)
{
	(void)state;
	struct record r = chip.record;
	r.suspended = true; /* not what the factory says */
	assert_true(record_same(&r, &chip.record));
	r.model[0] ^= 1;
	assert_false(record_same(&r, &chip.record));
	r = chip.record;
	r.evidence ^= 1u << EVIDENCE_COSE_CSR;
	assert_false(record_same(&r, &chip.record));
	r = chip.record;
	r.public_key[40] ^= 1;
	assert_false(record_same(&r, &chip.record));
	r = chip.record;
	r.has_implementation = false;
	assert_false(record_same(&r, &chip.record));
}

/* The chip's line with one member replaced, or left out where `value` is NULL. */
static void expect_refusal(const char *member, json_t *value, enum reason reason, const char *rule)
{
	struct record r;
	struct fault f = {0};
	char *line = chip_line(&chip);
	json_t *o = json_loads(line, 0, NULL);
	free(line);
	if (value)
		json_object_set_new(o, member, value);
	else
		json_object_del(o, member);
	line = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	if (record_parse(bytes_str(line), false, &r, &f).ok)
		fail_msg("accepted: %s", line);
	free(line);
	assert_int_equal(f.reason, reason);
	if (!strstr(f.text, rule))
		fail_msg("\"%s\" does not say \"%s\"", f.text, rule);
}

static void test_each_member_has_its_form(void **state)
{
	(void)state;
	const enum reason bad = REASON_BAD_FIELD;
	const char *long_name = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
	expect_refusal("instance_id", NULL, bad, "instance_id: missing");
	expect_refusal("instance_id", json_string("01ff"), bad, "instance_id");
	expect_refusal("instance_id", json_integer(1), bad, "instance_id");
	expect_refusal("instance_id",
		       json_string("020000000000000000000000000000000000000000000000000000000000000000"), bad,
		       "instance_id");
	expect_refusal("implementation_id", json_string("00"), bad, "implementation_id");
	expect_refusal("implementation_id", NULL, bad, "psa-token needs it");
	expect_refusal("public_key", NULL, bad, "public_key: missing");
	expect_refusal("public_key", json_string("not base64"), bad, "base64");
	expect_refusal("public_key", json_string("AAAA"), bad, "not a point");
	expect_refusal("batch", json_string(""), bad, "batch");
	expect_refusal("batch", json_string("a b"), bad, "batch");
	expect_refusal("batch", json_string(long_name), bad, "batch");
	expect_refusal("batch", json_stringn("a\0b", 3), REASON_BAD_JSON, "RFC 8259");
	expect_refusal("model", json_string("a/b"), bad, "model");
	expect_refusal("evidence", json_array(), bad, "evidence");
	expect_refusal("evidence", json_string("psa-token"), bad, "evidence");
	expect_refusal("evidence", json_pack("[s]", "tpm"), bad, "evidence");
	expect_refusal("evidence", json_pack("[ss]", "cose-csr", "cose-csr"), bad, "at most once");
	expect_refusal("color", json_string("red"), bad, "does not have");
}

static void test_a_point_that_is_not_on_its_curve_is_refused(void **state)
{
	(void)state;
	char text[BASE64_SIZE(RECORD_KEY_MAX)];
	uint8_t key[RECORD_KEY_MAX];
	memcpy(key, chip.record.public_key, chip.record.public_key_size);
	key[chip.record.public_key_size - 1] ^= 1;
	base64_encode(bytes_of(key, chip.record.public_key_size), text);
	expect_refusal("public_key", json_string(text), REASON_BAD_FIELD, "not a point");
}

static void test_published_test_keys_are_refused_unless_allowed(void **state)
{
	(void)state;
	struct record r;
	struct fault f;
	char line[1024];
	expect_refusal("public_key", json_string(published), REASON_TEST_KEY, "published test key");
	snprintf(line, sizeof line,
		 "{\"instance_id\":\"01%064d\",\"public_key\":\"%s\",\"batch\":\"b\",\"model\":\"m\","
		 "\"evidence\":[\"cose-csr\"]}",
		 7, published);
	assert_true(record_parse(bytes_str(line), true, &r, &f).ok);
	assert_false(r.has_implementation);
}

static void test_what_is_not_one_json_object_is_refused(void **state)
{
	(void)state;
	static const char *const bad[] = {"",	 "{", "[]", "7", "{} {}", "{\"batch\":\"a\",\"batch\":\"b\"}",
					  "\xff"};
	struct record r;
	struct fault f;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		f = (struct fault){0};
		assert_false(record_parse(bytes_str(bad[i]), false, &r, &f).ok);
		assert_int_equal(f.reason, REASON_BAD_JSON);
	}
}

static int make_chip(void **state)
{
	(void)state;
	chip = chip_make();
	return 0;
}

static int free_chip(void **state)
{
	(void)state;
	chip_free(&chip);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_record_is_read_and_written_the_same),
		cmocka_unit_test(test_any_difference_makes_another_record),
		cmocka_unit_test(test_each_member_has_its_form),
		cmocka_unit_test(test_a_point_that_is_not_on_its_curve_is_refused),
		cmocka_unit_test(test_published_test_keys_are_refused_unless_allowed),
		cmocka_unit_test(test_what_is_not_one_json_object_is_refused),
	};
	return cmocka_run_group_tests(tests, make_chip, free_chip);
}
