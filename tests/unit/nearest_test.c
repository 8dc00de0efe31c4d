#include "common/nearest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *near_of(const char *word)
{
	static const char *const names[] = {"devices", "show", "revoke",  "suspend",	   "resume",
					    "brokers", "log",  "explain", "allow-reenrol", "records"};
	static struct nearest n;
	n = nearest_begin(word);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		nearest_offer(&n, names[i]);
	return n.best;
}

static void test_a_misspelt_word_finds_its_name(void **state)
{
	(void)state;
	assert_string_equal(near_of("revok"), "revoke");
	assert_string_equal(near_of("rveoke"), "revoke");
	assert_string_equal(near_of("Revoke"), "revoke");
	assert_string_equal(near_of("resmue"), "resume");
	assert_string_equal(near_of("device"), "devices");
	assert_string_equal(near_of("allow_reenroll"), "allow-reenrol");
	assert_string_equal(near_of("logs"), "log");
}

static void test_the_beginning_of_a_name_finds_it(void **state)
{
	(void)state;
	assert_string_equal(near_of("allow"), "allow-reenrol");
	assert_string_equal(near_of("exp"), "explain");
}

static void test_a_word_that_is_near_to_none_finds_none(void **state)
{
	char long_word[200];
	(void)state;
	memset(long_word, 'r', sizeof long_word - 1);
	long_word[sizeof long_word - 1] = '\0';
	assert_string_equal(near_of("frobnicate"), "");
	assert_string_equal(near_of("ls"), "");
	assert_string_equal(near_of("x"), "");
	assert_string_equal(near_of(""), "");
	assert_string_equal(near_of(long_word), "");
}

/* What getopt_long makes of one command line, in words. */
static const char *complaint(const char *const *words)
{
	static const struct option options[] = {
		{"lifetime", required_argument, NULL, 256},
		{"help", no_argument, NULL, 257},
		{"test", no_argument, NULL, 't'},
		{NULL, 0, NULL, 0},
	};
	static char text[NEAREST_TEXT_MAX];
	char *argv[8] = {NULL};
	int argc = 0, got;
	while (words[argc]) {
		argv[argc] = strdup(words[argc]);
		argc++;
	}
	optind = 0; /* glibc: begin anew */
	opterr = 0;
	while ((got = getopt_long(argc, argv, "t", options, NULL)) != -1 && got != '?')
		;
	assert_int_equal(got, '?');
	nearest_option(argv, options, text);
	for (int i = 0; i < argc; i++)
		free(argv[i]);
	return text;
}

static void test_what_is_wrong_with_an_option_is_said(void **state)
{
	static const struct {
		const char *words[6], *text;
	} cases[] = {
		{{"p", "--lifetme", "60"}, "there is no option --lifetme: did you mean --lifetime?"},
		{{"p", "--lifetme=60"}, "there is no option --lifetme: did you mean --lifetime?"},
		{{"p", "--frobnicate"}, "there is no option --frobnicate"},
		{{"p", "--lifetime"}, "--lifetime needs a value"},
		{{"p", "--life"}, "--lifetime needs a value"},
		{{"p", "--help=1"}, "--help takes no value"},
		{{"p", "-x"}, "there is no option -x"},
		{{"p", "--test", "-xy"}, "there is no option -x"},
		{{"p", "word", "-t", "--tset"}, "there is no option --tset: did you mean --test?"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		assert_string_equal(complaint(cases[i].words), cases[i].text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_misspelt_word_finds_its_name),
		cmocka_unit_test(test_the_beginning_of_a_name_finds_it),
		cmocka_unit_test(test_a_word_that_is_near_to_none_finds_none),
		cmocka_unit_test(test_what_is_wrong_with_an_option_is_said),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
