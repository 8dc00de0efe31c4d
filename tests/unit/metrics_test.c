#include "common/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_counter_and_gauge_have_help_type_and_value(void **state)
{
	(void)state;
	struct metric m = {METRIC_COUNTER, "x_total", "What it counts.", 0};
	struct buf out = {0};
	metric_add(&m, 2);
	metric_add(&m, 40);
	metrics_write(&out, &m);
	char *text = buf_take_str(&out);
	assert_string_equal(text, "# HELP x_total What it counts.\n# TYPE x_total counter\nx_total 42\n");
	free(text);
}

static void test_time_is_counted_in_seconds(void **state)
{
	(void)state;
	struct buf out = {0};
	metrics_write_seconds(&out, METRIC_COUNTER, "t_seconds_total", "Time.", 1500042);
	metrics_write_value(&out, METRIC_GAUGE, "x", "One.", 7);
	char *text = buf_take_str(&out);
	assert_string_equal(
		text,
		"# HELP t_seconds_total Time.\n# TYPE t_seconds_total counter\nt_seconds_total 1.500042\n"
		"# HELP x One.\n# TYPE x gauge\nx 7\n");
	free(text);
}

static void test_histogram_buckets_accumulate(void **state)
{
	(void)state;
	struct metric_histogram h = {.name = "t_seconds", .help = "Time."};
	struct buf out = {0};
	metric_observe_us(&h, 100);
	metric_observe_us(&h, 101);
	metric_observe_us(&h, 60000000);
	metrics_write_histogram(&out, &h);
	char *text = buf_take_str(&out);
	assert_non_null(strstr(text, "t_seconds_bucket{le=\"0.0001\"} 1\n"));
	assert_non_null(strstr(text, "t_seconds_bucket{le=\"0.00025\"} 2\n"));
	assert_non_null(strstr(text, "t_seconds_bucket{le=\"10\"} 2\n"));
	assert_non_null(strstr(text, "t_seconds_bucket{le=\"+Inf\"} 3\n"));
	assert_non_null(strstr(text, "t_seconds_sum 60.000201\n"));
	assert_non_null(strstr(text, "t_seconds_count 3\n"));
	free(text);
}

static void test_reasons_are_labels_and_unknown_ones_count_as_internal(void **state)
{
	(void)state;
	struct metric_reasons m = {.name = "refused_total", .help = "Refusals."};
	struct buf out = {0};
	metric_count_reason(&m, REASON_NONCE_SPENT);
	metric_count_reason(&m, REASON_COUNT);
	metrics_write_reasons(&out, &m);
	char *text = buf_take_str(&out);
	assert_non_null(strstr(text, "refused_total{reason=\"nonce-spent\"} 1\n"));
	assert_non_null(strstr(text, "refused_total{reason=\"internal\"} 1\n"));
	assert_null(strstr(text, "nonce-expired"));
	free(text);
}

static void test_process_metrics_show_this_process(void **state)
{
	(void)state;
	struct buf out = {0};
	metrics_write_process(&out);
	char *text = buf_take_str(&out);
	assert_non_null(strstr(text, "process_cpu_seconds_total "));
	assert_null(strstr(text, "process_resident_memory_bytes 0\n"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counter_and_gauge_have_help_type_and_value),
		cmocka_unit_test(test_time_is_counted_in_seconds),
		cmocka_unit_test(test_histogram_buckets_accumulate),
		cmocka_unit_test(test_reasons_are_labels_and_unknown_ones_count_as_internal),
		cmocka_unit_test(test_process_metrics_show_this_process),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
