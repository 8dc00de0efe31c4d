#include "plugin/receipts.h"

#include "broker_stub.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct receipts r;
static struct buf body;

static int set_up(void **state)
{
	(void)state;
	receipts_init(&r);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	receipts_destroy(&r);
	buf_free(&body);
	return 0;
}

/* The due receipt's text; NULL where none is due. */
static const char *due(void)
{
	buf_free(&body);
	if (!receipts_due(&r, "b", "00ff", &body))
		return NULL;
	buf_byte(&body, 0);
	return (const char *)body.p;
}

static void test_a_number_waits_for_the_cuts_before_it(void **state)
{
	(void)state;
	receipts_note(&r, 1, 10);
	assert_string_equal(due(),
			    "{\"broker\":\"b\",\"stream\":\"00ff\",\"epoch\":1,\"seq\":10,\"connected\":[]}");
	assert_null(due());
	receipts_cut_wanted(&r);
	receipts_note(&r, 1, 11);
	assert_null(due());
	receipts_cuts_done(&r, receipts_cuts_wanted(&r));
	assert_non_null(strstr(due(), "\"seq\":11"));
}

static void test_a_busy_feed_does_not_put_the_first_off(void **state)
{
	(void)state;
	receipts_cut_wanted(&r);
	receipts_note(&r, 1, 10);
	uint64_t first = receipts_cuts_wanted(&r);
	for (int64_t seq = 11; seq < 20; seq++) {
		receipts_cut_wanted(&r);
		receipts_note(&r, 1, seq);
	}
	receipts_cuts_done(&r, first);
	assert_non_null(strstr(due(), "\"seq\":10"));
	assert_null(due());
	receipts_cuts_done(&r, receipts_cuts_wanted(&r));
	assert_non_null(strstr(due(), "\"seq\":19"));
}

static void test_what_is_not_taken_stays_due(void **state)
{
	(void)state;
	receipts_note(&r, 1, 10);
	assert_non_null(due());
	receipts_sent(&r, false);
	assert_non_null(due());
	receipts_sent(&r, true);
	assert_null(due());
}

static void test_connected_certificates_are_told_once_taken_and_not_forgotten(void **state)
{
	(void)state;
	uint8_t a[TABLE_FINGERPRINT_SIZE] = {0xaa}, b[TABLE_FINGERPRINT_SIZE] = {0xbb};
	assert_true(receipts_connected(&r, a));
	assert_null(due()); /* there is nothing to be a receipt for */
	receipts_note(&r, 1, 10);
	assert_non_null(strstr(due(), "[\"aa00"));
	assert_true(receipts_connected(&r, b));
	receipts_sent(&r, false);
	assert_non_null(strstr(due(), "\",\"bb00"));
	receipts_sent(&r, true);
	assert_null(due());
}

static void fingerprint_of(unsigned number, uint8_t out[TABLE_FINGERPRINT_SIZE])
{
	uint8_t text[] = {(uint8_t)(number >> 8), (uint8_t)number};
	sha256(bytes_of(text, sizeof text), out);
}

static size_t told_in(const char *text, bool told[], size_t count)
{
	uint8_t fingerprint[TABLE_FINGERPRINT_SIZE];
	char hex[HEX_SIZE(TABLE_FINGERPRINT_SIZE)];
	size_t n = 0;
	for (unsigned i = 0; i < count; i++) {
		fingerprint_of(i, fingerprint);
		hex_encode(bytes_of(fingerprint, sizeof fingerprint), hex);
		if (!strstr(text, hex))
			continue;
		assert_false(told[i]);
		told[i] = true;
		n++;
	}
	return n;
}

/* A fleet that renews while the gateway is away: more than one receipt holds, each connects many times. */
static void test_of_a_crowd_each_certificate_is_told_once_and_none_is_lost(void **state)
{
	(void)state;
	enum { CROWD = 2 * RECEIPTS_CONNECTED_MAX + 100 };
	bool told[CROWD] = {false};
	uint8_t fingerprint[TABLE_FINGERPRINT_SIZE];
	for (int turn = 0; turn < 3; turn++) {
		for (unsigned i = 0; i < CROWD; i++) {
			fingerprint_of(i, fingerprint);
			assert_true(receipts_connected(&r, fingerprint));
		}
	}
	assert_int_equal(r.connected.count, CROWD);
	receipts_note(&r, 1, 10);
	assert_non_null(due());
	receipts_sent(&r, false);
	assert_int_equal(told_in(due(), told, CROWD), RECEIPTS_CONNECTED_MAX);
	fingerprint_of(3, fingerprint);
	assert_true(receipts_connected(&r, fingerprint)); /* is under way */
	receipts_sent(&r, true);
	assert_int_equal(told_in(due(), told, CROWD), RECEIPTS_CONNECTED_MAX);
	receipts_sent(&r, true);
	assert_int_equal(told_in(due(), told, CROWD), CROWD - 2 * RECEIPTS_CONNECTED_MAX);
	receipts_sent(&r, true);
	assert_null(due());
	assert_null(r.connected.fingerprints); /* nothing is kept for what has been told */
}

int main(void)
{
#define WITH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		WITH(test_a_number_waits_for_the_cuts_before_it),
		WITH(test_a_busy_feed_does_not_put_the_first_off),
		WITH(test_what_is_not_taken_stays_due),
		WITH(test_connected_certificates_are_told_once_taken_and_not_forgotten),
		WITH(test_of_a_crowd_each_certificate_is_told_once_and_none_is_lost),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
