#include "store_fixture.h"

static void test_revocation_ends_every_certificate(void **state)
{
	uint8_t a[FINGERPRINT_SIZE], b[FINGERPRINT_SIZE];
	(void)state;
	enrol((struct ask){.device = 1, .key = 1}, a);
	enrol((struct ask){.device = 1, .key = 2, .renews = a}, b);
	struct got g = revoke_device(1, "key-compromise");
	assert_false(g.refused);
	assert_int_equal(g.changed.count, 2);
	assert_int_equal(g.changed.seq, count_rows("SELECT max(seq) FROM log"));
	assert_true(g.changed.durable_at_us > 0);
	assert_int_equal(state_of(a), STORE_REVOKED);
	assert_int_equal(state_of(b), STORE_REVOKED);
	assert_int_equal(
		count_rows("SELECT count(*) FROM certificates WHERE revocation_reason = 'key-compromise' "
			   "AND revoked_at_ms > 0"),
		2);
}

static void test_revoked_is_final(void **state)
{
	uint8_t fp[FINGERPRINT_SIZE];
	(void)state;
	enrol((struct ask){.device = 1, .key = 1}, fp);
	struct got first = revoke_device(1, "unspecified");
	struct got g = resume(1);
	assert_refused(&g, REASON_CONFLICT);
	g = suspend(1);
	assert_refused(&g, REASON_CONFLICT);
	assert_false(first.changed.already);
	g = revoke_device(1, "superseded");
	assert_false(g.refused);
	assert_int_equal(g.changed.count, 0);
	withdraw(1, true, 1);
	withdraw(1, false, 2);
	assert_int_equal(state_of(fp), STORE_REVOKED);
	assert_int_equal(
		count_rows("SELECT count(*) FROM certificates WHERE revocation_reason = 'unspecified'"), 1);
}

/* The change of this device that was made then, whatever has happened since. */
static void assert_already(const struct got *g, const struct got *first, const char *reason)
{
	assert_false(g->refused);
	assert_true(g->changed.already);
	assert_int_equal(g->changed.count, 0);
	assert_int_equal(g->changed.seq, first->changed.seq);
	assert_int_equal(g->changed.recorded_at_ms, first->changed.recorded_at_ms);
	assert_string_equal(g->changed.reason, reason);
	assert_string_equal(g->changed.actor, "AKADMIN");
}

static void test_a_change_made_already_is_told_as_it_was_made(void **state)
{
	uint8_t fp[FINGERPRINT_SIZE];
	struct got refused;
	(void)state;
	enrol((struct ask){.device = 1, .key = 1}, fp);
	struct got first = suspend(1);
	reserve((struct ask){.device = 1, .key = 1, .request_id = "LATER"}, &refused);
	assert_refused(&refused, REASON_DEVICE_ON_HOLD);
	struct got again = suspend(1);
	assert_already(&again, &first, "lost");

	first = resume(1);
	again = resume(1);
	assert_already(&again, &first, "");

	first = revoke_device(1, "key-compromise");
	reserve((struct ask){.device = 1, .key = 1, .request_id = "LATER"}, &refused);
	assert_refused(&refused, REASON_DEVICE_REVOKED);
	int64_t entries = count_rows("SELECT count(*) FROM log");
	again = revoke_device(1, "superseded");
	assert_already(&again, &first, "key-compromise");

	first = allow_reenrol(1);
	again = allow_reenrol(1);
	assert_already(&again, &first, "board repaired");
	assert_int_equal(count_rows("SELECT count(*) FROM log"), entries + 1);
}

static void test_a_device_that_was_never_suspended_is_active_already(void **state)
{
	uint8_t fp[FINGERPRINT_SIZE];
	(void)state;
	enrol((struct ask){.device = 1, .key = 1}, fp);
	struct got g = resume(1);
	assert_true(g.changed.already);
	assert_int_equal(g.changed.seq, count_rows("SELECT seq FROM log WHERE kind = 'issued'"));
	assert_string_equal(g.changed.actor, "device");
}

static void test_revocation_needs_a_known_reason_and_thing(void **state)
{
	struct got g;
	uint8_t fp[FINGERPRINT_SIZE];
	(void)state;
	enrol((struct ask){.device = 1, .key = 1}, fp);
	g = revoke_device(1, "because");
	assert_refused(&g, REASON_BAD_FIELD);
	g = revoke_device(1, "certificate-hold");
	assert_refused(&g, REASON_BAD_FIELD);
	g = revoke_device(2, "unspecified");
	assert_refused(&g, REASON_NOT_FOUND);
	assert_int_equal(state_of(fp), STORE_ACTIVE);
}

static void test_suspension_and_resumption(void **state)
{
	uint8_t fp[FINGERPRINT_SIZE];
	(void)state;
	enrol((struct ask){.device = 1, .key = 1}, fp);
	struct got g = suspend(1);
	assert_int_equal(g.changed.count, 1);
	assert_int_equal(state_of(fp), STORE_INACTIVE);
	int64_t entries = count_rows("SELECT count(*) FROM log");
	g = suspend(1); /* again: nothing new */
	assert_int_equal(g.changed.count, 0);
	assert_int_equal(count_rows("SELECT count(*) FROM log"), entries);
	g = resume(1);
	assert_int_equal(g.changed.count, 1);
	assert_int_equal(state_of(fp), STORE_ACTIVE);
	g = resume(1);
	assert_false(g.refused);
	assert_int_equal(g.changed.count, 0);
}

static void test_an_operator_does_not_lift_a_withdrawal(void **state)
{
	uint8_t fp[FINGERPRINT_SIZE];
	(void)state;
	enrol((struct ask){.device = 1, .key = 1}, fp);
	withdraw(1, true, 1);
	assert_int_equal(state_of(fp), STORE_INACTIVE);
	struct got g = resume(1);
	assert_refused(&g, REASON_CONFLICT);
	suspend(1);
	g = resume(1); /* lifts the operator's own */
	assert_false(g.refused);
	assert_int_equal(g.changed.count, 0);
	assert_int_equal(state_of(fp), STORE_INACTIVE);
	withdraw(1, false, 2);
	assert_int_equal(state_of(fp), STORE_ACTIVE);
}

static void test_the_attestation_service_does_not_lift_a_suspension(void **state)
{
	uint8_t fp[FINGERPRINT_SIZE];
	(void)state;
	enrol((struct ask){.device = 1, .key = 1}, fp);
	suspend(1);
	withdraw(1, true, 1);
	withdraw(1, false, 2);
	assert_int_equal(state_of(fp), STORE_INACTIVE);
	resume(1);
	assert_int_equal(state_of(fp), STORE_ACTIVE);
}

/* ---- withdrawals ---- */

static struct store_withdrawals_position position;

static void on_position(const struct store_withdrawals_position *at, const struct fault *f, void *arg)
{
	struct got *g = arg;
	got_fault(g, f);
	if (at)
		position = *at;
	sem_post(&g->ready);
}

static int64_t withdrawals_last(void)
{
	struct got g;
	got_init(&g);
	store_withdrawals_position(fixture_store, on_position, &g);
	got_wait(&g);
	assert_false(g.refused);
	return position.last;
}

static void test_withdrawals_are_applied_with_their_number(void **state)
{
	uint8_t fp[FINGERPRINT_SIZE];
	(void)state;
	assert_int_equal(withdrawals_last(), 0);
	enrol((struct ask){.device = 1, .key = 1}, fp);
	withdraw(1, true, 7);
	assert_int_equal(withdrawals_last(), 7);
	withdraw(1, false, 6); /* told again, out of turn: it was before what stands */
	assert_int_equal(state_of(fp), STORE_INACTIVE);
	assert_int_equal(withdrawals_last(), 7);
	fixture_reopen();
	assert_int_equal(withdrawals_last(), 7);
}

static void test_large_recall_is_applied_whole(void **state)
{
	enum { COUNT = 1000 };
	static struct store_withdrawal entries[COUNT];
	uint8_t fp[FINGERPRINT_SIZE];
	struct got g;
	(void)state;
	enrol((struct ask){.device = 500, .key = 1}, fp);
	for (int i = 0; i < COUNT; i++) {
		entries[i] = (struct store_withdrawal){.suspended = true, .seq = i + 1, .reason = "lot B7"};
		fixture_instance(i, entries[i].instance_id);
	}
	got_init(&g);
	store_withdrawals_apply(fixture_store, entries, COUNT, on_changed, &g);
	got_wait(&g);
	assert_false(g.refused);
	assert_int_equal(withdrawals_last(), COUNT);
	assert_int_equal(count_rows("SELECT count(*) FROM devices WHERE withdrawn = 1"), COUNT);
	assert_int_equal(count_rows("SELECT count(*) FROM log WHERE kind = 'device-withdrawn'"), COUNT);
	assert_int_equal(state_of(fp), STORE_INACTIVE);
}

/* An entry as the service tells it, at `time`. */
static struct store_withdrawal told(int device, bool suspended, int64_t seq, int64_t time, bool superseded)
{
	struct store_withdrawal w = {
		.suspended = suspended, .seq = seq, .time = time, .superseded = superseded, .reason = "told"};
	fixture_instance(device, w.instance_id);
	memset(w.mark, (int)seq, sizeof w.mark);
	return w;
}

static void apply(const struct store_withdrawal *entries, size_t count)
{
	struct got g;
	got_init(&g);
	store_withdrawals_apply(fixture_store, entries, count, on_changed, &g);
	got_wait(&g);
	assert_false(g.refused);
}

static void restart_list(void)
{
	struct got g;
	struct fault why;
	got_init(&g);
	refuse(&why, REASON_WITHDRAWALS_ROLLED_BACK, "another list");
	store_withdrawals_restart(fixture_store, &why, on_changed, &g);
	got_wait(&g);
	assert_false(g.refused);
}

static int64_t alarms_of(const char *reason)
{
	char sql[160];
	snprintf(sql, sizeof sql, "SELECT count(*) FROM log WHERE kind = 'alarm' AND reason = '%s'", reason);
	return count_rows(sql);
}

static void test_the_position_has_the_mark_of_its_entry(void **state)
{
	struct store_withdrawal w = told(1, true, 3, 1, false);
	(void)state;
	assert_int_equal(withdrawals_last(), 0);
	assert_false(position.marked);
	apply(&w, 1);
	assert_int_equal(withdrawals_last(), 3);
	assert_true(position.marked);
	assert_memory_equal(position.mark, w.mark, STORE_MARK_SIZE);
	restart_list();
	fixture_reopen();
	assert_int_equal(withdrawals_last(), 0);
	assert_false(position.marked);
}

/* The service's list went back to its second entry: of device 1 it says that it is active, and it does not know
 * that device 2 was withdrawn and that device 3 was given back. */
static void test_a_list_read_anew_lifts_nothing_and_withdraws_what_it_must(void **state)
{
	uint8_t one[FINGERPRINT_SIZE], two[FINGERPRINT_SIZE], three[FINGERPRINT_SIZE], four[FINGERPRINT_SIZE];
	int64_t now = clock_wall_s();
	(void)state;
	enrol((struct ask){.device = 1, .key = 1}, one);
	enrol((struct ask){.device = 2, .key = 2}, two);
	enrol((struct ask){.device = 3, .key = 3}, three);
	enrol((struct ask){.device = 4, .key = 4}, four);
	const struct store_withdrawal before[] = {
		told(1, true, 1, now - 90, true),  told(1, false, 2, now - 80, true),
		told(3, true, 3, now - 70, true),  told(1, true, 4, now - 60, false),
		told(2, true, 5, now - 50, false), told(3, false, 6, now - 40, false)};
	apply(before, 6);
	assert_int_equal(state_of(one), STORE_INACTIVE);
	assert_int_equal(state_of(two), STORE_INACTIVE);
	assert_int_equal(state_of(three), STORE_ACTIVE);
	restart_list();
	assert_int_equal(alarms_of("withdrawals-rolled-back"), 1);
	const struct store_withdrawal anew[] = {
		told(1, true, 1, now - 90, true), told(1, false, 2, now - 80, false),
		told(3, true, 3, now - 70, true), told(4, true, 4, now - 1, false),
		told(3, false, 5, now, false),	  told(5, false, 6, now, false)};
	apply(anew, 6);
	assert_int_equal(state_of(one), STORE_INACTIVE); /* withdrawn in an entry that the list has lost */
	assert_int_equal(state_of(two), STORE_INACTIVE);
	assert_int_equal(state_of(three), STORE_ACTIVE); /* withdrawn once, and given back before and after */
	assert_int_equal(state_of(four), STORE_INACTIVE);
	assert_int_equal(withdrawals_last(), 6);
	assert_int_equal(alarms_of("withdrawal-kept"), 1);
	assert_int_equal(
		count_rows("SELECT count(*) FROM devices d JOIN log l ON l.device_id = d.id WHERE l.reason = "
			   "'withdrawal-kept' AND d.withdrawn = 1"),
		1);
	/* what is said from now on counts as ever */
	const struct store_withdrawal later = told(1, false, 7, now + 1000, false);
	apply(&later, 1);
	assert_int_equal(state_of(one), STORE_ACTIVE);
}

/* ---- lists ---- */

struct listed {
	sem_t ready;
	size_t count;
	char first[THING_NAME_SIZE], last[THING_NAME_SIZE];
	char state[16];
	struct fault fault;
	bool refused;
};

static void on_devices(const struct store_device *devices, size_t count, const struct fault *f, void *arg)
{
	struct listed *l = arg;
	l->refused = f != NULL;
	if (f)
		l->fault = *f;
	l->count = count;
	if (count) {
		snprintf(l->first, sizeof l->first, "%s", devices[0].thing);
		snprintf(l->last, sizeof l->last, "%s", devices[count - 1].thing);
		snprintf(l->state, sizeof l->state, "%s", store_device_state(&devices[0]));
	}
	sem_post(&l->ready);
}

static struct listed list(const char *state, const char *after, size_t limit)
{
	struct listed l = {.count = 0};
	struct store_device_query q = {.state = state, .after = after, .limit = limit};
	sem_init(&l.ready, 0, 0);
	store_devices(fixture_store, &q, on_devices, &l);
	while (sem_wait(&l.ready))
		;
	return l;
}

static void test_devices_are_listed_by_state_and_page(void **state)
{
	uint8_t fp[FINGERPRINT_SIZE];
	(void)state;
	for (int i = 1; i <= 9; i++)
		enrol((struct ask){.device = i, .key = i}, fp);
	suspend(2);
	withdraw(3, true, 1);
	revoke_device(4, "unspecified");
	assert_int_equal(list(NULL, "", 100).count, 9);
	assert_int_equal(list("active", "", 100).count, 6);
	assert_int_equal(list("suspended", "", 100).count, 2);
	struct listed l = list("revoked", "", 100);
	assert_int_equal(l.count, 1);
	assert_string_equal(l.first, fixture_thing(4));
	assert_string_equal(l.state, "revoked");
	l = list(NULL, "", 4);
	assert_int_equal(l.count, 4);
	assert_string_equal(l.last, fixture_thing(4));
	l = list(NULL, l.last, 4);
	assert_string_equal(l.first, fixture_thing(5));
	l = list("odd", "", 4);
	assert_true(l.refused);
	assert_int_equal(l.fault.reason, REASON_BAD_FIELD);
}

static void on_dossier(const struct store_dossier *d, const struct fault *f, void *arg)
{
	struct got *g = arg;
	got_fault(g, f);
	if (d) {
		assert_int_equal(d->certificate_count, 2);
		assert_int_equal(d->certificates[0].state, STORE_ACTIVE); /* newest first */
		assert_int_equal(d->certificates[1].state, STORE_REVOKED);
		assert_string_equal(d->certificates[1].revocation_reason, "unspecified");
		assert_string_equal(d->certificates[0].ear, "e.a.r");
		assert_string_equal(d->certificates[0].evidence, "cose-csr");
		assert_int_equal(d->device.generation, 2);
		assert_int_equal(d->device.certificates, 1);
		assert_string_equal(d->history[0].kind, "issued");
		g->count = d->history_count;
	}
	sem_post(&g->ready);
}

static void test_a_device_is_told_with_its_history(void **state)
{
	uint8_t fp[FINGERPRINT_SIZE];
	struct got g;
	(void)state;
	enrol((struct ask){.device = 1, .key = 1}, fp);
	revoke_device(1, "unspecified");
	allow_reenrol(1);
	enrol((struct ask){.device = 1, .key = 2}, fp);
	got_init(&g);
	store_device(fixture_store, fixture_thing(1), on_dossier, &g);
	got_wait(&g);
	assert_false(g.refused);
	assert_int_equal(g.count, 5); /* issued, device and certificate revoked, grant, issued */
	got_init(&g);
	store_device(fixture_store, "nothing", on_dossier, &g);
	got_wait(&g);
	assert_refused(&g, REASON_NOT_FOUND);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_revocation_ends_every_certificate),
		TEST(test_revoked_is_final),
		TEST(test_a_change_made_already_is_told_as_it_was_made),
		TEST(test_a_device_that_was_never_suspended_is_active_already),
		TEST(test_revocation_needs_a_known_reason_and_thing),
		TEST(test_suspension_and_resumption),
		TEST(test_an_operator_does_not_lift_a_withdrawal),
		TEST(test_the_attestation_service_does_not_lift_a_suspension),
		TEST(test_withdrawals_are_applied_with_their_number),
		TEST(test_large_recall_is_applied_whole),
		TEST(test_the_position_has_the_mark_of_its_entry),
		TEST(test_a_list_read_anew_lifts_nothing_and_withdraws_what_it_must),
		TEST(test_devices_are_listed_by_state_and_page),
		TEST(test_a_device_is_told_with_its_history),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
