/* What the normal world remembers: whole files, old or new, and nothing half written. */
#include "device/store.h"

#include "common/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char device[64];
static struct store store;

static int make(void **state)
{
	struct fault f;
	(void)state;
	strcpy(device, "/tmp/store_test.XXXXXX");
	return mkdtemp(device) && store_create(device, &store, &f).ok ? 0 : -1;
}

static int remove_all(void **state)
{
	char command[128];
	(void)state;
	snprintf(command, sizeof command, "rm -rf %s", device);
	return system(command);
}

static void write_file(const char *name, const char *text)
{
	char path[4096];
	snprintf(path, sizeof path, "%s/%s", store.folder, name);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

static bool exists(const char *name)
{
	char path[4096];
	snprintf(path, sizeof path, "%s/%s", store.folder, name);
	return access(path, F_OK) == 0;
}

static void test_new_device_starts_with_key_one_and_nothing_else(void **state)
{
	(void)state;
	struct device_state s;
	struct fault f;
	struct buf pem;
	assert_true(store_load_state(&store, &s, &f).ok);
	assert_int_equal(s.key, 1);
	assert_int_equal(s.clock, 0);
	assert_int_equal(s.certified_at, 0);
	assert_true(store_load_certificate(&store, &pem, &f).ok);
	assert_int_equal(pem.n, 0);
	buf_free(&pem);
}

static void test_folder_is_the_owners_alone_and_is_taken_as_it_is_the_second_time(void **state)
{
	(void)state;
	struct fault f;
	struct stat st;
	assert_int_equal(stat(store.folder, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_true(store_create(device, &store, &f).ok);
	struct store none;
	assert_false(store_create("/nonexistent/device", &none, &f).ok);
	assert_int_equal(f.reason, REASON_IO);
}

static void test_state_and_certificate_come_back(void **state)
{
	(void)state;
	const struct device_state saved = {.key = 4, .clock = 1795305600, .certified_at = 1795305601};
	struct device_state s;
	struct fault f;
	struct buf pem;
	assert_true(store_save_state(&store, &saved, &f).ok);
	assert_true(store_load_state(&store, &s, &f).ok);
	assert_int_equal(s.key, saved.key);
	assert_int_equal(s.clock, saved.clock);
	assert_int_equal(s.certified_at, saved.certified_at);
	assert_false(s.reenrolling);
	const struct device_state asking = {.key = 4, .reenrolling = true};
	assert_true(store_save_state(&store, &asking, &f).ok);
	assert_true(store_load_state(&store, &s, &f).ok);
	assert_true(s.reenrolling);
	assert_true(store_save_certificate(&store, bytes_str("certificate"), &f).ok);
	assert_true(store_load_certificate(&store, &pem, &f).ok);
	assert_true(bytes_equal(buf_view(&pem), bytes_str("certificate")));
	buf_free(&pem);
}

static void test_damaged_state_is_refused_and_says_where(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		enum reason reason;
	} damaged[] = {
		{"", REASON_BAD_JSON},
		{"{\"key\":1,\"clock\":0,", REASON_BAD_JSON},
		{"[1]", REASON_BAD_JSON},
		{"{\"key\":1,\"key\":2,\"clock\":0,\"certified_at\":0}", REASON_BAD_JSON},
		{"{\"key\":1,\"clock\":0}", REASON_BAD_FIELD},
		{"{\"key\":1,\"clock\":0,\"certified_at\":0,\"more\":0}", REASON_BAD_FIELD},
		{"{\"key\":\"1\",\"clock\":0,\"certified_at\":0}", REASON_BAD_FIELD},
		{"{\"key\":0,\"clock\":0,\"certified_at\":0}", REASON_BAD_FIELD},
		{"{\"key\":1073741824,\"clock\":0,\"certified_at\":0}", REASON_BAD_FIELD},
		{"{\"key\":1,\"clock\":-1,\"certified_at\":0}", REASON_BAD_FIELD},
	};
	for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++) {
		struct device_state s;
		struct fault f = {0};
		write_file("state.json", damaged[i].text);
		assert_false(store_load_state(&store, &s, &f).ok);
		assert_int_equal(f.reason, damaged[i].reason);
		assert_non_null(strstr(f.text, "state.json"));
	}
}

static void test_what_a_power_cut_left_is_removed_and_nothing_else(void **state)
{
	(void)state;
	struct fault f;
	static const char *const left[] = {"state.json.aB3xY9", "certificate.pem.000000"};
	static const char *const kept[] = {"state.json", "certificate.pem", "certificate.pem.old",
					   "state.json.backup7"};
	for (size_t i = 0; i < 2; i++)
		write_file(left[i], "half");
	for (size_t i = 0; i < 4; i++)
		write_file(kept[i], "whole");
	assert_true(store_clean(&store, &f).ok);
	for (size_t i = 0; i < 2; i++)
		assert_false(exists(left[i]));
	for (size_t i = 0; i < 4; i++)
		assert_true(exists(kept[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_new_device_starts_with_key_one_and_nothing_else, make,
						remove_all),
		cmocka_unit_test_setup_teardown(
			test_folder_is_the_owners_alone_and_is_taken_as_it_is_the_second_time, make,
			remove_all),
		cmocka_unit_test_setup_teardown(test_state_and_certificate_come_back, make, remove_all),
		cmocka_unit_test_setup_teardown(test_damaged_state_is_refused_and_says_where, make,
						remove_all),
		cmocka_unit_test_setup_teardown(test_what_a_power_cut_left_is_removed_and_nothing_else, make,
						remove_all),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
