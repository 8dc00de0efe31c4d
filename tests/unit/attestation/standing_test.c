#include "attestation/import.h"
#include "attestation/standing.h"
#include "chip.h"
#include "store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { CHIPS = 4 };

static struct store store;
static struct chip chips[CHIPS]; /* of batches even, odd, even, odd */

static int open_store(void **state)
{
	struct buf body = {0};
	struct fault f;
	(void)state;
	store_open(&store);
	for (int i = 0; i < CHIPS; i++) {
		chips[i] = chip_make();
		strcpy(chips[i].record.batch, i % 2 ? "odd" : "even");
		char *line = chip_line(&chips[i]);
		buf_printf(&body, "%s\n", line);
		free(line);
	}
	struct import_batch b = {.import = "i"};
	bool ok = import_batch_parse(buf_view(&body), false, &b, &f).ok && store_run(&store, &b.change);
	import_batch_clear(&b);
	buf_free(&body);
	return ok ? 0 : -1;
}

static int close_store(void **state)
{
	(void)state;
	store_close(&store);
	for (int i = 0; i < CHIPS; i++)
		chip_free(&chips[i]);
	return 0;
}

static bool stand(struct standing *s, bool suspended, const char *reason)
{
	s->suspended = suspended;
	strcpy(s->reason, reason);
	standing_prepare(s);
	return store_run(&store, &s->change);
}

static struct standing of_chip(int i)
{
	struct standing s = {0};
	memcpy(s.instance_id, chips[i].record.instance_id, INSTANCE_ID_SIZE);
	return s;
}

static bool is_suspended(int i)
{
	struct record r;
	struct fault f;
	bool found;
	assert_true(records_find(&store.reader, chips[i].record.instance_id, &r, &found, &f).ok && found);
	return r.suspended;
}

static size_t withdrawals(int64_t after, struct withdrawal *out, int64_t *last)
{
	struct fault f;
	size_t n;
	assert_true(records_withdrawals(&store.reader, after, out, 10, &n, last, &f).ok);
	return n;
}

static void test_a_record_is_suspended_and_resumed_each_once(void **state)
{
	struct standing s = of_chip(1);
	struct withdrawal w[10];
	int64_t last;
	(void)state;
	assert_int_equal(withdrawals(0, w, &last), 0);
	assert_int_equal(last, 0);
	assert_true(stand(&s, true, "stolen"));
	assert_int_equal(s.devices, 1);
	assert_true(stand(&s, true, "stolen again"));
	assert_int_equal(s.devices, 0);
	assert_true(is_suspended(1));
	assert_false(is_suspended(0));
	assert_true(stand(&s, false, "found"));
	assert_int_equal(s.devices, 1);
	assert_false(is_suspended(1));
	assert_int_equal(withdrawals(0, w, &last), 2);
	assert_int_equal(last, 2);
	assert_int_equal(w[0].seq, 1);
	assert_true(w[0].suspended);
	assert_string_equal(w[0].reason, "stolen");
	assert_memory_equal(w[0].instance_id, chips[1].record.instance_id, INSTANCE_ID_SIZE);
	assert_int_equal(w[1].seq, 2);
	assert_false(w[1].suspended);
	assert_int_equal(withdrawals(1, w, &last), 1);
	assert_int_equal(withdrawals(2, w, &last), 0);
}

static void test_a_batch_is_suspended_device_by_device(void **state)
{
	struct standing one = of_chip(3), s = {.whole_batch = true, .batch = "odd"};
	struct withdrawal w[10];
	int64_t last;
	(void)state;
	assert_true(stand(&one, true, "early"));
	assert_true(stand(&s, true, "recall"));
	assert_int_equal(s.devices, 1); /* the other one was suspended already */
	assert_true(is_suspended(1) && is_suspended(3) && !is_suspended(0) && !is_suspended(2));
	assert_int_equal(withdrawals(0, w, &last), 2);
	assert_memory_equal(w[1].instance_id, chips[1].record.instance_id, INSTANCE_ID_SIZE);
	assert_string_equal(w[1].reason, "recall");
	assert_true(stand(&s, false, "repaired"));
	assert_int_equal(s.devices, 2);
	assert_int_equal(withdrawals(2, w, &last), 2);
	assert_int_equal(last, 4);
}

static void test_the_newest_withdrawal_of_a_record_is_found(void **state)
{
	struct standing s = of_chip(0);
	struct withdrawal w;
	struct fault f;
	bool found;
	(void)state;
	assert_true(records_withdrawal_of(&store.reader, s.instance_id, &w, &found, &f).ok);
	assert_false(found);
	assert_true(stand(&s, true, "one") && stand(&s, false, "two"));
	assert_true(records_withdrawal_of(&store.reader, s.instance_id, &w, &found, &f).ok && found);
	assert_string_equal(w.reason, "two");
}

static void test_what_is_not_there_is_not_found(void **state)
{
	struct standing s = {.instance_id = {1}}, batch = {.whole_batch = true, .batch = "none"};
	(void)state;
	assert_false(stand(&s, true, "x"));
	assert_int_equal(s.change.fault.reason, REASON_NOT_FOUND);
	assert_false(stand(&batch, true, "x"));
	assert_int_equal(batch.change.fault.reason, REASON_NOT_FOUND);
}

static void test_suspension_outlives_a_restart_and_another_import(void **state)
{
	struct standing s = of_chip(2);
	struct import_batch b = {.import = "j"};
	struct fault f;
	char *line = chip_line(&chips[2]);
	(void)state;
	assert_true(stand(&s, true, "stolen"));
	store_restart(&store);
	assert_true(import_batch_parse(bytes_str(line), false, &b, &f).ok && store_run(&store, &b.change));
	assert_int_equal(b.inserted, 0);
	assert_true(is_suspended(2));
	import_batch_clear(&b);
	free(line);
}

static void test_a_reason_is_plain_text_of_limited_length(void **state)
{
	char out[WITHDRAWAL_REASON_SIZE], body[256], text[WITHDRAWAL_REASON_SIZE + 1];
	static const char *const bad[] = {"{\"reason\":\"\"}", "{}", "{\"reason\":7}",
					  "{\"reason\":\"a\\nb\"}", "{\"reason\":\"a\",\"more\":1}"};
	static const char *const no_object[] = {"{", "[\"reason\"]", "\"reason\""};
	struct fault f;
	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		f = (struct fault){0};
		assert_false(standing_reason_parse(bytes_str(bad[i]), out, &f).ok);
		assert_int_equal(f.reason, REASON_BAD_FIELD);
	}
	for (size_t i = 0; i < sizeof no_object / sizeof *no_object; i++) {
		assert_false(standing_reason_parse(bytes_str(no_object[i]), out, &f).ok);
		assert_int_equal(f.reason, REASON_BAD_JSON);
	}
	memset(text, 'x', sizeof text);
	text[WITHDRAWAL_REASON_SIZE - 1] = '\0';
	snprintf(body, sizeof body, "{\"reason\":\"%s\"}", text);
	assert_true(standing_reason_parse(bytes_str(body), out, &f).ok);
	assert_string_equal(out, text);
	snprintf(body, sizeof body, "{\"reason\":\"%sx\"}", text);
	assert_false(standing_reason_parse(bytes_str(body), out, &f).ok);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_record_is_suspended_and_resumed_each_once, open_store,
						close_store),
		cmocka_unit_test_setup_teardown(test_a_batch_is_suspended_device_by_device, open_store,
						close_store),
		cmocka_unit_test_setup_teardown(test_the_newest_withdrawal_of_a_record_is_found, open_store,
						close_store),
		cmocka_unit_test_setup_teardown(test_what_is_not_there_is_not_found, open_store, close_store),
		cmocka_unit_test_setup_teardown(test_suspension_outlives_a_restart_and_another_import,
						open_store, close_store),
		cmocka_unit_test(test_a_reason_is_plain_text_of_limited_length),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
