/* A line's outbox: what a power cut leaves of the last statement goes, anything else that is wrong is refused. */
#include "factory/line_outbox.h"

#include "common/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { STATEMENTS = 3 };

static char folder[64], path[128];
static EVP_PKEY *key;
static struct work_order order = {.batch = "B1", .stage = 2, .quota = 9};
static struct buf statements[STATEMENTS];

static void sign(int64_t seq, struct buf *out)
{
	struct stage_statement s = {.stage = 2, .seq = seq, .time = 1};
	struct fault f;
	strcpy(s.batch, order.batch);
	if (!stage_statement_sign(out, &s, key, &f).ok)
		fail_msg("%s", f.text);
}

static int make(void **state)
{
	uint8_t point[P256_POINT_SIZE];
	(void)state;
	strcpy(folder, "/tmp/outbox_test.XXXXXX");
	key = p256_key_generate();
	if (!mkdtemp(folder) || !key || !provenance_point(key, point))
		return -1;
	provenance_key_id(point, order.line);
	snprintf(path, sizeof path, "%s/B1.2.%02x%02x%02x%02x", folder, order.line[0], order.line[1],
		 order.line[2], order.line[3]);
	for (int i = 0; i < STATEMENTS; i++)
		sign(i + 1, &statements[i]);
	return 0;
}

static int remove_all(void **state)
{
	char command[128];
	(void)state;
	for (int i = 0; i < STATEMENTS; i++)
		buf_free(&statements[i]);
	EVP_PKEY_free(key);
	snprintf(command, sizeof command, "rm -rf %s", folder);
	return system(command);
}

/* The first `whole` statements, then `rest`. */
static void write_file(int whole, struct bytes rest)
{
	struct buf all = {0};
	struct fault f;
	for (int i = 0; i < whole; i++)
		buf_bytes(&all, buf_view(&statements[i]));
	buf_bytes(&all, rest);
	assert_true(file_replace(path, buf_view(&all), 0644, &f).ok);
	buf_free(&all);
}

static void check_contents(int whole)
{
	struct buf all;
	struct fault f;
	size_t at = 0;
	assert_true(file_read(path, 65536, &all, &f).ok);
	for (int i = 0; i < whole; i++) {
		assert_true(all.n >= at + statements[i].n);
		assert_memory_equal(all.p + at, statements[i].p, statements[i].n);
		at += statements[i].n;
	}
	assert_int_equal(all.n, at);
	buf_free(&all);
}

static void test_statements_are_there_after_a_restart(void **state)
{
	struct line_outbox o;
	struct fault f;
	bool torn;
	(void)state;
	for (int i = 0; i < STATEMENTS; i++) {
		assert_true(line_outbox_open(folder, &order, &o, &torn, &f).ok);
		assert_false(torn);
		assert_int_equal(o.count, i);
		assert_int_equal(o.last, i);
		assert_true(line_outbox_append(&o, buf_view(&statements[i]), &f).ok);
		line_outbox_close(&o);
	}
	check_contents(STATEMENTS);
}

static void test_a_statement_cut_anywhere_goes_and_the_next_takes_its_place(void **state)
{
	struct line_outbox o;
	struct fault f;
	bool torn;
	(void)state;
	for (size_t cut = 1; cut < statements[1].n; cut++) {
		write_file(1, bytes_of(statements[1].p, cut));
		assert_true(line_outbox_open(folder, &order, &o, &torn, &f).ok);
		assert_true(torn);
		assert_int_equal(o.last, 1);
		assert_true(line_outbox_append(&o, buf_view(&statements[1]), &f).ok);
		line_outbox_close(&o);
		check_contents(2);
	}
}

static void test_zeros_of_a_file_that_had_grown_go(void **state)
{
	static const uint8_t zeros[PROVENANCE_OBJECT_MAX + 1];
	struct line_outbox o;
	struct fault f;
	bool torn;
	(void)state;
	write_file(2, bytes_of(zeros, statements[2].n));
	assert_true(line_outbox_open(folder, &order, &o, &torn, &f).ok);
	assert_true(torn);
	line_outbox_close(&o);
	check_contents(2);
	write_file(2, bytes_of(zeros, sizeof zeros));
	assert_false(line_outbox_open(folder, &order, &o, &torn, &f).ok);
	assert_int_equal(f.reason, REASON_REGISTER_HISTORY);
}

static void test_damage_in_the_middle_and_statements_of_others_are_refused(void **state)
{
	struct line_outbox o;
	struct fault f;
	bool torn;
	struct buf rest = {0};
	struct work_order other = order;
	(void)state;
	buf_bytes(&rest, buf_view(&statements[1]));
	buf_bytes(&rest, buf_view(&statements[2]));
	rest.p[0] ^= 1;
	write_file(1, buf_view(&rest));
	buf_free(&rest);
	assert_false(line_outbox_open(folder, &order, &o, &torn, &f).ok);
	assert_int_equal(f.reason, REASON_REGISTER_HISTORY);
	write_file(2, (struct bytes){0});
	other.line[KEY_ID_SIZE - 1] ^= 1; /* which the name does not tell */
	assert_false(line_outbox_open(folder, &other, &o, &torn, &f).ok);
	assert_int_equal(f.reason, REASON_REGISTER_HISTORY);
	check_contents(2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make, remove_all)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_statements_are_there_after_a_restart),
		TEST(test_a_statement_cut_anywhere_goes_and_the_next_takes_its_place),
		TEST(test_zeros_of_a_file_that_had_grown_go),
		TEST(test_damage_in_the_middle_and_statements_of_others_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
