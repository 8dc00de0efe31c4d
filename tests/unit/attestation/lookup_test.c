#include "attestation/import.h"
#include "attestation/lookup.h"
#include "chip.h"
#include "store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { A_TIME = 5000, BATCHES = 8 }; /* together more than are looked up in memory */

static struct store store;
static struct chip chip;

static int open_store(void **state)
{
	(void)state;
	chip = chip_make();
	store_open(&store);
	return 0;
}

static int close_store(void **state)
{
	(void)state;
	store_close(&store);
	chip_free(&chip);
	return 0;
}

/* The n-th of many devices that differ in nothing but their IDs. */
static struct record numbered(uint32_t n)
{
	struct record r = chip.record;
	uint8_t hash[SHA256_SIZE];
	sha256(bytes_of(&n, sizeof n), hash);
	memcpy(r.instance_id + 1, hash, sizeof hash);
	return r;
}

/* A batch of records from `first` on; `import` and number name it. */
static struct import_batch batch_from(const char *import, uint32_t first, size_t count)
{
	struct import_batch b = {.number = first};
	struct fault f;
	char *line = chip_line(&chip);
	strcpy(b.import, import);
	memcpy(b.hash, &first, sizeof first);
	assert_true(import_batch_parse(bytes_str(line), false, &b, &f).ok);
	free(line);
	b.records = realloc(b.records, count * sizeof *b.records);
	b.count = count;
	for (size_t i = 0; i < count; i++)
		b.records[i] = numbered(first + (uint32_t)i);
	return b;
}

static int64_t import(const char *name, uint32_t first, size_t count)
{
	struct import_batch b = batch_from(name, first, count);
	if (!store_run(&store, &b.change))
		fail_msg("%s", b.change.fault.text);
	import_batch_clear(&b);
	return b.inserted;
}

static bool is_known(uint32_t n)
{
	struct record r, wanted = numbered(n);
	struct fault f = {0};
	bool found;
	if (!records_find(&store.reader, wanted.instance_id, &r, &found, &f).ok)
		fail_msg("%s", f.text);
	assert_true(!found || record_same(&r, &wanted));
	return found;
}

static void test_records_are_found_before_and_after_they_are_indexed(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < BATCHES; i++) {
		assert_false(is_known(i * A_TIME));
		assert_int_equal(import("i", i * A_TIME, A_TIME), A_TIME);
		for (uint32_t j = 0; j <= i; j++) {
			assert_true(is_known(j * A_TIME));
			assert_true(is_known(j * A_TIME + A_TIME - 1));
		}
	}
	assert_false(is_known(BATCHES * A_TIME));
	int64_t indexed = store_number(&store, "SELECT id FROM indexed");
	assert_int_equal(indexed, 7 * A_TIME);
	assert_int_equal(store_number(&store, "SELECT count(*) FROM lookup"), indexed);
	assert_int_equal(store_number(&store, "SELECT count(*) FROM records"), BATCHES * A_TIME);
	store_restart(&store);
	assert_true(is_known(0) && is_known(7 * A_TIME - 1) && is_known(7 * A_TIME));
	assert_false(is_known(BATCHES * A_TIME));
	/* Indexed or not, none is stored twice. */
	assert_int_equal(import("j", 0, A_TIME), 0);
	assert_int_equal(import("j", 7 * A_TIME - 10, 20), 0);
	assert_int_equal(import("j", BATCHES * A_TIME - 10, 20), 10);
	assert_int_equal(store_number(&store, "SELECT count(*) FROM records"), BATCHES * A_TIME + 10);
}

static void test_a_record_twice_in_a_batch_is_stored_once(void **state)
{
	struct import_batch b = batch_from("i", 1, 3);
	(void)state;
	b.records[2] = b.records[0];
	assert_true(store_run(&store, &b.change));
	assert_int_equal(b.inserted, 2);
	import_batch_clear(&b);
	b = batch_from("i", 10, 3);
	b.records[2] = b.records[0];
	b.records[2].model[0] = 'x';
	assert_false(store_run(&store, &b.change));
	assert_int_equal(b.change.fault.reason, REASON_CONFLICT);
	assert_non_null(strstr(b.change.fault.text, "line 3"));
	import_batch_clear(&b);
}

static void test_what_was_rolled_back_is_not_remembered(void **state)
{
	struct import_batch b = batch_from("i", 0, 100);
	(void)state;
	assert_int_equal(import("h", 50, 1), 1);
	b.records[50].model[0] = 'x';
	assert_false(store_run(&store, &b.change));
	assert_int_equal(b.change.fault.reason, REASON_CONFLICT);
	import_batch_clear(&b);
	assert_false(is_known(0));
	/* Other records take the numbers that the refused ones had for a moment. */
	assert_int_equal(import("i", 200, 100), 100);
	assert_int_equal(import("i", 0, 100), 99);
	assert_true(is_known(0) && is_known(49) && is_known(99) && is_known(200) && is_known(299));
	assert_int_equal(import("j", 0, 300), 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_records_are_found_before_and_after_they_are_indexed,
						open_store, close_store),
		cmocka_unit_test_setup_teardown(test_a_record_twice_in_a_batch_is_stored_once, open_store,
						close_store),
		cmocka_unit_test_setup_teardown(test_what_was_rolled_back_is_not_remembered, open_store,
						close_store),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
