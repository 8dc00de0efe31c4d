#include "store_fixture.h"

enum { MANY = 300, NOBODY = 100000 };

/* ---- lists ---- */

struct list {
	struct store_named devices[STORE_RECALL_MAX + 1];
	char things[STORE_RECALL_MAX + 1][THING_NAME_SIZE];
	uint8_t ids[STORE_RECALL_MAX + 1][INSTANCE_ID_SIZE];
	size_t count;
};

static struct list *list;

static void add(int device, bool by_instance)
{
	size_t i = list->count++;
	fixture_instance(device, list->ids[i]);
	strcpy(list->things[i], fixture_thing(device));
	list->devices[i] = (struct store_named){by_instance ? list->ids[i] : NULL, list->things[i]};
}

static void add_range(int from, int to, bool by_instance)
{
	for (int i = from; i <= to; i++)
		add(i, by_instance);
}

static int setup(void **state)
{
	list = calloc(1, sizeof *list);
	return fixture_setup(state);
}

static int teardown(void **state)
{
	free(list);
	return fixture_teardown(state);
}

struct outcome_of {
	struct got got;
	struct store_recalled recalled;
	size_t unknown[STORE_RECALL_MAX];
	struct store_device *rows;
};

static void on_recalled(const struct store_recalled *a, const struct fault *f, void *arg)
{
	struct outcome_of *x = arg;
	got_fault(&x->got, f);
	if (a) {
		x->recalled = *a;
		memcpy(x->unknown, a->unknown, a->unknown_count * sizeof *x->unknown);
	}
	sem_post(&x->got.ready);
}

static struct outcome_of recall(bool suspend, const char *reason)
{
	struct outcome_of x = {.rows = NULL};
	const struct store_recall r = {
		.devices = list->devices, .count = list->count, .suspend = suspend, .reason = reason};
	got_init(&x.got);
	store_recall(fixture_store, &fixture_admin, &r, on_recalled, &x);
	got_wait(&x.got);
	return x;
}

static void assert_recalled(const struct outcome_of *x, int64_t changed, int64_t already, int64_t added,
			    size_t unknown)
{
	assert_false(x->got.refused);
	assert_int_equal(x->recalled.changed, changed);
	assert_int_equal(x->recalled.already, already);
	assert_int_equal(x->recalled.added, added);
	assert_int_equal(x->recalled.unknown_count, unknown);
}

static uint64_t commits(void)
{
	struct store_stats stats;
	store_stats(fixture_store, &stats);
	return stats.commits;
}

/* ---- tests ---- */

static void test_many_are_revoked_in_one_commit_each_with_its_entries(void **state)
{
	static uint8_t fp[MANY][FINGERPRINT_SIZE];
	(void)state;
	for (int i = 0; i < MANY; i++)
		enrol((struct ask){.device = i + 1, .key = i + 1}, fp[i]);
	add_range(1, MANY, false);
	uint64_t before = commits();
	struct outcome_of x = recall(false, "key-compromise");
	assert_int_equal(commits(), before + 1);
	assert_recalled(&x, MANY, 0, 0, 0);
	assert_int_equal(x.recalled.change.count, MANY);
	assert_int_equal(x.recalled.change.seq, count_rows("SELECT max(seq) FROM log"));
	assert_true(x.recalled.change.durable_at_us > 0 && x.recalled.change.recorded_at_ms > 0);
	for (int i = 0; i < MANY; i++)
		assert_int_equal(state_of(fp[i]), STORE_REVOKED);
	assert_int_equal(count_rows("SELECT count(*) FROM log WHERE kind = 'device-revoked' AND reason = "
				    "'key-compromise' AND actor = 'AKADMIN'"),
			 MANY);
	assert_int_equal(count_rows("SELECT count(*) FROM log WHERE kind = 'certificate-revoked'"), MANY);
	assert_int_equal(count_rows("SELECT count(DISTINCT time_ms) FROM log WHERE kind = 'device-revoked'"),
			 1);
}

static void test_what_is_done_already_is_counted_and_covered_by_the_answer(void **state)
{
	uint8_t fp[FINGERPRINT_SIZE];
	(void)state;
	for (int i = 1; i <= 5; i++)
		enrol((struct ask){.device = i, .key = i}, fp);
	struct got first = revoke_device(2, "unspecified");
	add_range(1, 3, false);
	struct outcome_of x = recall(false, "superseded");
	assert_recalled(&x, 2, 1, 0, 0);
	int64_t entries = count_rows("SELECT count(*) FROM log");
	struct outcome_of again = recall(false, "unspecified");
	assert_recalled(&again, 0, 3, 0, 0);
	assert_int_equal(count_rows("SELECT count(*) FROM log"), entries);
	assert_true(again.recalled.change.seq >= x.recalled.change.seq);
	assert_true(again.recalled.change.seq > first.changed.seq);
	assert_int_equal(
		count_rows(
			"SELECT count(*) FROM devices WHERE revoked = 1 AND revocation_reason = 'superseded'"),
		2);
	add(4, false);
	add(4, false); /* twice in one list */
	x = recall(false, "superseded");
	assert_recalled(&x, 1, 4, 0, 0);
}

static void test_a_grant_that_was_not_used_is_gone(void **state)
{
	uint8_t fp[FINGERPRINT_SIZE];
	struct got g;
	(void)state;
	enrol((struct ask){.device = 1, .key = 1}, fp);
	revoke_device(1, "unspecified");
	allow_reenrol(1);
	add(1, false);
	struct outcome_of x = recall(false, "unspecified");
	assert_recalled(&x, 1, 0, 0, 0);
	reserve((struct ask){.device = 1, .key = 2}, &g);
	assert_refused(&g, REASON_DEVICE_REVOKED);
}

static void test_many_are_suspended_and_the_revoked_stay_so(void **state)
{
	uint8_t fp[4][FINGERPRINT_SIZE];
	(void)state;
	for (int i = 0; i < 4; i++)
		enrol((struct ask){.device = i + 1, .key = i + 1}, fp[i]);
	revoke_device(1, "unspecified");
	suspend(2);
	withdraw(3, true, 1);
	add_range(1, 4, false);
	struct outcome_of x = recall(true, "recall of July"); /* of a suspension any text */
	assert_recalled(&x, 2, 2, 0, 0);
	assert_int_equal(x.recalled.change.count, 1);
	assert_int_equal(state_of(fp[0]), STORE_REVOKED);
	for (int i = 1; i < 4; i++)
		assert_int_equal(state_of(fp[i]), STORE_INACTIVE);
	withdraw(3, false, 2); /* lifts what the service did, not what the operator did */
	assert_int_equal(state_of(fp[2]), STORE_INACTIVE);
	resume(3);
	assert_int_equal(state_of(fp[2]), STORE_ACTIVE);
}

static void test_names_that_no_device_has_are_told_and_hold_nothing_up(void **state)
{
	uint8_t fp[FINGERPRINT_SIZE];
	(void)state;
	enrol((struct ask){.device = 1, .key = 1}, fp);
	add(NOBODY, false);
	add(1, false);
	add(NOBODY + 1, false);
	struct outcome_of x = recall(false, "unspecified");
	assert_recalled(&x, 1, 0, 0, 2);
	assert_int_equal(x.unknown[0], 0);
	assert_int_equal(x.unknown[1], 2);
	assert_int_equal(state_of(fp), STORE_REVOKED);
	assert_int_equal(count_rows("SELECT count(*) FROM devices"), 1);
}

/* A batch is recalled as a whole: also those of it that are still in their boxes. */
static void test_a_device_that_never_enrolled_is_refused_when_it_comes(void **state)
{
	struct got g;
	uint8_t fp[FINGERPRINT_SIZE];
	(void)state;
	enrol((struct ask){.device = 1, .key = 1}, fp);
	add(1, true);
	add(2, true);
	withdraw(3, true, 1);
	add(3, true); /* known, and never asked */
	struct outcome_of x = recall(false, "unspecified");
	assert_recalled(&x, 3, 0, 1, 0);
	assert_int_equal(state_of(fp), STORE_REVOKED);
	for (int i = 2; i <= 3; i++) {
		reserve((struct ask){.device = i, .key = i}, &g);
		assert_refused(&g, REASON_DEVICE_REVOKED);
		g = allow_reenrol(i); /* by its name, as any other */
		assert_false(g.refused);
	}
	enrol((struct ask){.device = 2, .key = 2}, fp);
	assert_int_equal(state_of(fp), STORE_ACTIVE);
	x = recall(true, "again");
	assert_recalled(&x, 1, 2, 0, 0);
}

static void test_a_revocation_needs_a_reason_that_there_is_and_a_list_has_an_end(void **state)
{
	uint8_t fp[FINGERPRINT_SIZE];
	(void)state;
	enrol((struct ask){.device = 1, .key = 1}, fp);
	add(1, false);
	struct outcome_of x = recall(false, "because");
	assert_refused(&x.got, REASON_BAD_FIELD);
	add_range(2, STORE_RECALL_MAX + 1, false);
	x = recall(true, "lost");
	assert_refused(&x.got, REASON_BAD_FIELD);
	assert_int_equal(state_of(fp), STORE_ACTIVE);
}

/* ---- looking up ---- */

static void on_rows(const struct store_device *rows, size_t count, const struct fault *f, void *arg)
{
	struct outcome_of *x = arg;
	got_fault(&x->got, f);
	x->rows = calloc(count, sizeof *rows);
	for (size_t i = 0; i < count; i++) {
		x->rows[i] = rows[i];
		x->rows[i].thing = rows[i].thing ? strdup(rows[i].thing) : NULL;
	}
	sem_post(&x->got.ready);
}

static void test_devices_are_looked_up_by_name_and_by_instance(void **state)
{
	uint8_t fp[FINGERPRINT_SIZE];
	struct outcome_of x = {.rows = NULL};
	(void)state;
	for (int i = 1; i <= 3; i++)
		enrol((struct ask){.device = i, .key = i}, fp);
	revoke_device(2, "unspecified");
	suspend(3);
	withdraw(4, true, 1);
	add(1, false);
	add(2, true);
	add(NOBODY, true);
	add(3, false);
	add(4, true);
	add(NOBODY, false);
	got_init(&x.got);
	store_lookup(fixture_store, list->devices, list->count, on_rows, &x);
	got_wait(&x.got);
	assert_string_equal(x.rows[0].thing, fixture_thing(1));
	assert_string_equal(store_device_state(&x.rows[0]), "active");
	assert_string_equal(store_device_state(&x.rows[1]), "revoked");
	assert_null(x.rows[2].thing);
	assert_string_equal(store_device_state(&x.rows[3]), "suspended");
	assert_string_equal(x.rows[4].thing, "");
	assert_string_equal(store_device_state(&x.rows[4]), "suspended");
	assert_null(x.rows[5].thing);
	for (size_t i = 0; i < list->count; i++)
		free((void *)(uintptr_t)x.rows[i].thing);
	free(x.rows);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_many_are_revoked_in_one_commit_each_with_its_entries),
		TEST(test_what_is_done_already_is_counted_and_covered_by_the_answer),
		TEST(test_a_grant_that_was_not_used_is_gone),
		TEST(test_many_are_suspended_and_the_revoked_stay_so),
		TEST(test_names_that_no_device_has_are_told_and_hold_nothing_up),
		TEST(test_a_device_that_never_enrolled_is_refused_when_it_comes),
		TEST(test_a_revocation_needs_a_reason_that_there_is_and_a_list_has_an_end),
		TEST(test_devices_are_looked_up_by_name_and_by_instance),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
