/* Configuration files: what is read, what is refused and where, and
 * that what is printed reads back the same. */
#include "common/config/config.h"
#include "common/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct settings {
	char *socket;
	char *level;
	int64_t ttl;
	bool quarantine;
	struct config_strings origins;
	struct config_strings uids;
};

static outcome check_level(const char *value, struct fault *f)
{
	if (!strcmp(value, "info") || !strcmp(value, "debug"))
		return DONE;
	return refuse(f, REASON_CONFIG, "must be debug or info");
}

static const struct config_key keys[] = {
	{.name = "socket",
	 .type = CONFIG_STRING,
	 .offset = offsetof(struct settings, socket),
	 .doc = "where it listens"},
	{.name = "log_level",
	 .type = CONFIG_STRING,
	 .offset = offsetof(struct settings, level),
	 .fallback = "info",
	 .check = check_level,
	 .doc = "least level"},
	{.name = "challenge_ttl_s",
	 .type = CONFIG_INT,
	 .offset = offsetof(struct settings, ttl),
	 .fallback = "300",
	 .min = 1,
	 .max = 600,
	 .doc = "seconds"},
	{.name = "quarantine",
	 .type = CONFIG_BOOL,
	 .offset = offsetof(struct settings, quarantine),
	 .fallback = "true",
	 .doc = "what to do with clones"},
	{.name = "origins",
	 .type = CONFIG_STRINGS,
	 .offset = offsetof(struct settings, origins),
	 .doc = "as devices know them"},
	{.name = "peer_uids",
	 .type = CONFIG_STRINGS,
	 .offset = offsetof(struct settings, uids),
	 .fallback = "[0, 33]",
	 .doc = "who may connect"},
};
enum { KEYS = sizeof keys / sizeof *keys };
static const struct config_part part = {keys, KEYS, 0};

static char path[] = "/tmp/config_test.XXXXXX";

static int make_path(void **state)
{
	(void)state;
	int fd = mkstemp(path);
	return fd < 0 ? -1 : close(fd);
}

static int remove_path(void **state)
{
	(void)state;
	return unlink(path);
}

static outcome load(const char *text, struct settings *into, struct fault *f)
{
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	*into = (struct settings){0};
	*f = (struct fault){0};
	return config_load(path, &part, 1, into, f);
}

static void expect_refusal(const char *text, const char *where_and_why)
{
	struct settings s;
	struct fault f;
	char expected[FAULT_TEXT_MAX];
	assert_false(load(text, &s, &f).ok);
	assert_int_equal(f.reason, REASON_CONFIG);
	snprintf(expected, sizeof expected, "%s%s", path, where_and_why);
	assert_string_equal(f.text, expected);
	assert_null(s.socket);
	assert_null(s.origins.items);
}

static void test_values_and_defaults_are_read(void **state)
{
	(void)state;
	struct settings s;
	struct fault f;
	assert_true(load("# comment\nsocket: /run/x.sock\norigins:\n  - https://a:1\n  - "
			 "https://b\nchallenge_ttl_s: 17\n"
			 "quarantine: false\n",
			 &s, &f)
			    .ok);
	assert_string_equal(s.socket, "/run/x.sock");
	assert_string_equal(s.level, "info");
	assert_int_equal(s.ttl, 17);
	assert_false(s.quarantine);
	assert_int_equal(s.origins.count, 2);
	assert_string_equal(s.origins.items[1], "https://b");
	assert_int_equal(s.uids.count, 2);
	assert_string_equal(s.uids.items[1], "33");
	config_free(&part, 1, &s);
	assert_null(s.socket);
}

static void test_a_given_empty_list_beats_the_default(void **state)
{
	(void)state;
	struct settings s;
	struct fault f;
	assert_true(load("socket: s\norigins: [o]\npeer_uids: []\n", &s, &f).ok);
	assert_int_equal(s.uids.count, 0);
	config_free(&part, 1, &s);
}

static void test_a_mapping_in_one_line_is_read_too(void **state)
{
	(void)state;
	struct settings s;
	struct fault f;
	assert_true(load("{socket: s, origins: [o], challenge_ttl_s: 5}\n", &s, &f).ok);
	assert_int_equal(s.ttl, 5);
	config_free(&part, 1, &s);
}

static void test_unknown_key_is_refused_with_its_line(void **state)
{
	(void)state;
	expect_refusal("socket: s\norigins: [o]\n\nsockets: t\n", ":4: sockets: there is no such key");
}

static void test_duplicate_key_is_refused_with_both_lines(void **state)
{
	(void)state;
	expect_refusal("socket: s\norigins: [o]\nsocket: t\n", ":3: socket: given twice, first on line 1");
	expect_refusal("socket: s\norigins: [o]\n\"origins\": [p]\n",
		       ":3: origins: given twice, first on line 2");
}

static void test_missing_required_key_is_refused(void **state)
{
	(void)state;
	expect_refusal("socket: s\n", ": origins: is required, and missing");
	expect_refusal("", ": socket: is required, and missing");
	expect_refusal("socket: s\norigins: []\n", ":2: origins: is required, and an empty list");
	expect_refusal("socket:\norigins: [o]\n", ":1: socket: is required, and empty");
}

static void test_values_out_of_range_are_refused_with_the_range(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"0", "601", "12x", "", "0x10", "1.5", "+5", " - 5", "99999999999999999999", "-"};
	char text[100];
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct settings s;
		struct fault f;
		snprintf(text, sizeof text, "socket: s\norigins: [o]\nchallenge_ttl_s: '%s'\n", bad[i]);
		assert_false(load(text, &s, &f).ok);
		assert_non_null(strstr(f.text, ":3: challenge_ttl_s: must be a whole number from 1 to 600"));
	}
	expect_refusal("socket: s\norigins: [o]\nquarantine: yes\n", ":3: quarantine: must be true or false");
}

static void test_check_function_has_its_say(void **state)
{
	(void)state;
	expect_refusal("socket: s\norigins: [o]\nlog_level: loud\n", ":3: log_level: must be debug or info");
}

static void test_wrong_shapes_are_refused(void **state)
{
	(void)state;
	struct settings s;
	struct fault f;
	static const char *const bad[] = {
		"socket: [s]\norigins: [o]\n",
		"socket: s\norigins: o\n",
		"- socket\n",
		"socket: \"s\n",
		"socket: s\norigins: [o]\n---\nsocket: t\n",
		"socket: &a s\norigins: [*a]\n",
		"just words\n",
		"socket: {a: b}\norigins: [o]\n",
		"\tsocket: s\n",
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_false(load(bad[i], &s, &f).ok);
		assert_int_equal(f.reason, REASON_CONFIG);
		assert_non_null(strchr(f.text, ':'));
		assert_null(s.socket);
	}
	assert_false(load(bad[0], &s, &f).ok);
	assert_non_null(strstr(f.text, ":1: socket: "));
}

static void test_absent_file_is_a_configuration_error(void **state)
{
	(void)state;
	struct settings s = {0};
	struct fault f = {0};
	assert_false(config_load("/nonexistent/x.yaml", &part, 1, &s, &f).ok);
	assert_int_equal(f.reason, REASON_CONFIG);
	assert_non_null(strstr(f.text, "/nonexistent/x.yaml"));
}

static void test_printed_configuration_reads_back_the_same(void **state)
{
	(void)state;
	static const char *const awkward = "socket: \"a \\\"b\\\" \\\\ c: # d\\n\\x01\\te\"\norigins: "
					   "['true', \"x, y\", 'ü:', '- z', '~']\n"
					   "peer_uids: []\nquarantine: false\nchallenge_ttl_s: 600\n";
	struct settings first, second;
	struct fault f;
	assert_true(load(awkward, &first, &f).ok);
	char *printed = config_print(&part, 1, &first);
	assert_true(load(printed, &second, &f).ok);
	char *again = config_print(&part, 1, &second);
	assert_string_equal(printed, again);
	assert_string_equal(first.socket, "a \"b\" \\ c: # d\n\x01\te");
	assert_string_equal(first.socket, second.socket);
	assert_int_equal(second.origins.count, 5);
	for (size_t i = 0; i < 5; i++)
		assert_string_equal(first.origins.items[i], second.origins.items[i]);
	assert_non_null(strstr(printed, "# where it listens (required)\n"));
	free(printed);
	free(again);
	config_free(&part, 1, &first);
	config_free(&part, 1, &second);
}

static void test_each_part_fills_its_own_struct(void **state)
{
	struct shared {
		int64_t number;
		char *text;
	};
	struct both {
		struct settings own;
		struct shared shared;
	} both = {0};
	static const struct config_key shared_keys[] = {
		{"number", CONFIG_INT, offsetof(struct shared, number), "7", 0, 9, NULL, "A number."},
		{"text", CONFIG_STRING, offsetof(struct shared, text), NULL, 0, 0, NULL, "A text."},
	};
	const struct config_part parts[] = {{shared_keys, 2, offsetof(struct both, shared)},
					    {keys, KEYS, offsetof(struct both, own)}};
	struct settings unused;
	struct fault f = {0};
	(void)state;
	assert_false(load("text: t\nsocket: s\norigins: [o]\n", &unused, &f).ok); /* not of this part */
	assert_false(config_load(path, parts, 1, &both, &f).ok);
	assert_non_null(strstr(f.text, "socket: there is no such key"));
	assert_true(config_load(path, parts, 2, &both, &f).ok);
	assert_string_equal(both.shared.text, "t");
	assert_int_equal(both.shared.number, 7);
	assert_string_equal(both.own.socket, "s");
	assert_int_equal(both.own.ttl, 300);
	char *printed = config_print(parts, 2, &both);
	assert_non_null(strstr(
		printed, "# A number. (0 to 9) (default: 7)\nnumber: 7\n\n# A text. (required)\ntext: t\n"));
	assert_non_null(strstr(printed, "text: t\n\n# where it listens (required)\nsocket: s\n"));
	free(printed);
	config_free(parts, 2, &both);
	assert_null(both.shared.text);
	assert_null(both.own.socket);
}

static void test_a_file_is_blamed_on_its_key(void **state)
{
	struct fault f;
	(void)state;
	assert_true(config_blame("root_cert", DONE, NULL).ok);
	assert_false(config_blame("root_cert", refuse(&f, REASON_IO, "/x: no such file"), &f).ok);
	assert_int_equal(f.reason, REASON_CONFIG);
	assert_string_equal(f.text, "root_cert: /x: no such file");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values_and_defaults_are_read),
		cmocka_unit_test(test_a_given_empty_list_beats_the_default),
		cmocka_unit_test(test_a_mapping_in_one_line_is_read_too),
		cmocka_unit_test(test_unknown_key_is_refused_with_its_line),
		cmocka_unit_test(test_duplicate_key_is_refused_with_both_lines),
		cmocka_unit_test(test_missing_required_key_is_refused),
		cmocka_unit_test(test_values_out_of_range_are_refused_with_the_range),
		cmocka_unit_test(test_check_function_has_its_say),
		cmocka_unit_test(test_wrong_shapes_are_refused),
		cmocka_unit_test(test_absent_file_is_a_configuration_error),
		cmocka_unit_test(test_printed_configuration_reads_back_the_same),
		cmocka_unit_test(test_each_part_fills_its_own_struct),
		cmocka_unit_test(test_a_file_is_blamed_on_its_key),
	};
	return cmocka_run_group_tests(tests, make_path, remove_path);
}
