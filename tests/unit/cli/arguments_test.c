/* The command line of mooringctl, read against a command's options. */
#include "cli/arguments.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct option_spec globals[] = {
	{"endpoint", "URL", ""},
	{"json", NULL, ""},
	{NULL, NULL, NULL},
};

static const struct option_spec specs[] = {
	{"state", "active|suspended", ""},
	{"certificate", "FILE|HASH", ""},
	{"wait", "MS", ""},
	{"stages", "N,N", ""},
	{NULL, NULL, NULL},
};

static struct arguments parsed;
static const char *global_values[2];

static outcome parse(const char *const *words, struct fault *f)
{
	memset(global_values, 0, sizeof global_values);
	return arguments_parse((char *const *)(uintptr_t)words, specs, globals, global_values, &parsed, f);
}

#define PARSE(f, ...) parse((const char *const[]){__VA_ARGS__, NULL}, f)

static void assert_wrong(const char *text, outcome o, const struct fault *f)
{
	assert_false(o.ok);
	assert_string_equal(f->text, text);
}

static void test_options_may_stand_anywhere_and_have_two_forms(void **state)
{
	struct fault f;
	(void)state;
	assert_true(PARSE(&f, "--wait", "5", "thing", "--json", "--state=active", "--", "--wait").ok);
	assert_int_equal(parsed.word_count, 2);
	assert_string_equal(parsed.words[1], "--wait");
	assert_string_equal(argument(&parsed, "wait"), "5");
	assert_string_equal(argument(&parsed, "state"), "active");
	assert_null(argument(&parsed, "certificate"));
	assert_string_equal(global_values[1], "");
}

static void test_an_option_of_choices_takes_no_other_value(void **state)
{
	struct fault f;
	(void)state;
	assert_wrong("--state must be active or suspended, not \"dead\"", PARSE(&f, "--state", "dead"), &f);
	assert_wrong("--state must be active or suspended, not \"act\"", PARSE(&f, "--state=act"), &f);
	assert_wrong("--state must be active or suspended, not \"\"", PARSE(&f, "--state="), &f);
	assert_true(PARSE(&f, "--state", "suspended").ok);
}

static void test_alternatives_in_capitals_are_no_choices(void **state)
{
	struct fault f;
	(void)state;
	assert_true(PARSE(&f, "--certificate", "broker.pem").ok);
	assert_string_equal(argument(&parsed, "certificate"), "broker.pem");
}

static void test_mistakes_are_named(void **state)
{
	struct fault f;
	(void)state;
	assert_wrong("there is no option --stat: did you mean --state?", PARSE(&f, "--stat", "active"), &f);
	assert_wrong("there is no option --endpiont: did you mean --endpoint?", PARSE(&f, "--endpiont=x"),
		     &f);
	assert_wrong("there is no option --frobnicate", PARSE(&f, "--frobnicate"), &f);
	assert_wrong("there is no option -x", PARSE(&f, "-x"), &f);
	assert_wrong("--wait needs a value: MS", PARSE(&f, "--wait"), &f);
	assert_wrong("--wait is given twice", PARSE(&f, "--wait", "1", "--wait=2"), &f);
	assert_wrong("--json takes no value", PARSE(&f, "--json=1"), &f);
}

static void test_choices_are_told_one_by_one(void **state)
{
	const char *at = specs[0].value, *choice;
	(void)state;
	assert_int_equal(option_next_choice(&at, &choice), 6);
	assert_memory_equal(choice, "active", 6);
	assert_int_equal(option_next_choice(&at, &choice), 9);
	assert_memory_equal(choice, "suspended", 9);
	assert_null(at);
}

static void test_a_list_of_numbers_rises_and_is_bounded(void **state)
{
	static const char *const wrong[] = {"", ",", "1,", "0", "256", "2,1", "1,1", "1;2", "1,2,3,4", "x"};
	uint8_t numbers[3];
	size_t count;
	struct fault f;
	(void)state;
	assert_true(PARSE(&f, "--stages", "1,20,255").ok);
	assert_true(argument_numbers(&parsed, "stages", 255, numbers, 3, &count, &f).ok);
	assert_true(count == 3 && numbers[0] == 1 && numbers[1] == 20 && numbers[2] == 255);
	assert_true(PARSE(&f, "thing").ok);
	assert_true(argument_numbers(&parsed, "stages", 255, numbers, 3, &count, &f).ok && count == 0);
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		assert_true(PARSE(&f, "--stages", wrong[i]).ok);
		assert_false(argument_numbers(&parsed, "stages", 255, numbers, 3, &count, &f).ok);
		assert_non_null(strstr(f.text, "--stages: 1 to 3 numbers from 1 to 255, rising"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_list_of_numbers_rises_and_is_bounded),
		cmocka_unit_test(test_options_may_stand_anywhere_and_have_two_forms),
		cmocka_unit_test(test_an_option_of_choices_takes_no_other_value),
		cmocka_unit_test(test_alternatives_in_capitals_are_no_choices),
		cmocka_unit_test(test_mistakes_are_named),
		cmocka_unit_test(test_choices_are_told_one_by_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
