#include "store_fixture.h"

static void test_new_key_is_reserved_and_recorded(void **state)
{
	struct got g;
	(void)state;
	reserve((struct ask){.device = 1, .key = 1}, &g);
	assert_false(g.refused);
	assert_int_equal(g.reserved.result, STORE_RESERVED);
	assert_int_equal(g.reserved.intent.generation, 1);
	record(g.reserved.intent.id, &g);
	assert_false(g.refused);
	assert_true(g.recorded.seq > 0);
	assert_int_equal(state_of(g.recorded.fingerprint), STORE_ACTIVE);
	assert_int_equal(
		count_rows("SELECT count(*) FROM log WHERE kind = 'issued' AND fingerprint IS NOT NULL"), 1);
}

static void test_open_intent_of_same_key_is_pending(void **state)
{
	struct got first, second;
	(void)state;
	reserve((struct ask){.device = 1, .key = 1}, &first);
	reserve((struct ask){.device = 1, .key = 1}, &second);
	assert_false(second.refused);
	assert_int_equal(second.reserved.result, STORE_PENDING);
	assert_memory_equal(second.reserved.intent.id, first.reserved.intent.id, INTENT_ID_SIZE);
	assert_memory_equal(second.reserved.intent.serial, first.reserved.intent.serial, SERIAL_SIZE);
	assert_int_equal(second.reserved.intent.not_after, first.reserved.intent.not_after);
}

static void test_same_key_gets_same_certificate(void **state)
{
	struct got g;
	uint8_t fp[FINGERPRINT_SIZE];
	(void)state;
	reserve((struct ask){.device = 1, .key = 1}, &g);
	uint8_t id[INTENT_ID_SIZE];
	memcpy(id, g.reserved.intent.id, INTENT_ID_SIZE);
	record(id, &g);
	memcpy(fp, g.recorded.fingerprint, FINGERPRINT_SIZE);
	reserve((struct ask){.device = 1, .key = 1}, &g);
	assert_int_equal(g.reserved.result, STORE_EXISTS);
	assert_memory_equal(g.reserved.fingerprint, fp, FINGERPRINT_SIZE);
	struct bytes der = fixture_der(id);
	assert_int_equal(g.der_size, der.n);
	assert_memory_equal(g.der, der.p, der.n);
}

static void test_recording_twice_is_the_same_answer(void **state)
{
	struct got g, again;
	(void)state;
	reserve((struct ask){.device = 1, .key = 1}, &g);
	uint8_t id[INTENT_ID_SIZE];
	memcpy(id, g.reserved.intent.id, INTENT_ID_SIZE);
	record(id, &g);
	record(id, &again);
	assert_false(again.refused);
	assert_memory_equal(again.recorded.fingerprint, g.recorded.fingerprint, FINGERPRINT_SIZE);
	assert_int_equal(count_rows("SELECT count(*) FROM certificates"), 1);
	assert_int_equal(count_rows("SELECT count(*) FROM log WHERE kind = 'issued'"), 1);
}

static void test_unknown_intent_is_not_recorded(void **state)
{
	struct got g;
	uint8_t id[INTENT_ID_SIZE] = {9};
	(void)state;
	record(id, &g);
	assert_refused(&g, REASON_NOT_FOUND);
}

static void test_second_key_raises_clone_alarm_and_quarantines(void **state)
{
	struct got g;
	uint8_t fp[FINGERPRINT_SIZE];
	(void)state;
	enrol((struct ask){.device = 1, .key = 1}, fp);
	reserve((struct ask){.device = 1, .key = 2, .request_id = "CLONE-REQ"}, &g);
	assert_refused(&g, REASON_CLONE_SUSPECT);
	assert_int_equal(state_of(fp), STORE_INACTIVE);
	assert_int_equal(
		count_rows("SELECT count(*) FROM log WHERE kind = 'alarm' AND reason = 'clone-suspect'"), 1);
	assert_int_equal(count_rows("SELECT count(*) FROM log WHERE kind = 'device-quarantined'"), 1);
	assert_int_equal(count_rows("SELECT count(*) FROM log WHERE request_id = 'CLONE-REQ'"), 4);
	/* neither key gets anything until an operator has looked */
	reserve((struct ask){.device = 1, .key = 1}, &g);
	assert_refused(&g, REASON_DEVICE_QUARANTINED);
	reserve((struct ask){.device = 1, .key = 2}, &g);
	assert_refused(&g, REASON_DEVICE_QUARANTINED);
	assert_false(resume(1).refused);
	assert_int_equal(state_of(fp), STORE_ACTIVE);
	reserve((struct ask){.device = 1, .key = 1}, &g);
	assert_int_equal(g.reserved.result, STORE_EXISTS);
}

static void test_clone_without_quarantine_leaves_the_first_alone(void **state)
{
	struct got g;
	uint8_t fp[FINGERPRINT_SIZE];
	(void)state;
	fixture_options.quarantine_clones = false;
	fixture_reopen();
	enrol((struct ask){.device = 1, .key = 1}, fp);
	reserve((struct ask){.device = 1, .key = 2}, &g);
	assert_refused(&g, REASON_CLONE_SUSPECT);
	assert_int_equal(state_of(fp), STORE_ACTIVE);
	assert_int_equal(count_rows("SELECT count(*) FROM log WHERE kind = 'alarm'"), 1);
}

static void test_second_key_during_an_open_intent_is_a_clone(void **state)
{
	struct got first, g;
	(void)state;
	reserve((struct ask){.device = 1, .key = 1}, &first);
	reserve((struct ask){.device = 1, .key = 2}, &g);
	assert_refused(&g, REASON_CLONE_SUSPECT);
	/* the certificate that was on its way is kept back, but recorded */
	record(first.reserved.intent.id, &g);
	assert_refused(&g, REASON_DEVICE_QUARANTINED);
	assert_int_equal(count_rows("SELECT count(*) FROM certificates WHERE state = 1"), 1);
}

static void test_key_of_another_device_is_refused(void **state)
{
	struct got g;
	uint8_t fp[FINGERPRINT_SIZE];
	(void)state;
	enrol((struct ask){.device = 1, .key = 1}, fp);
	reserve((struct ask){.device = 2, .key = 1}, &g);
	assert_refused(&g, REASON_KEY_IN_USE);
}

static void test_suspended_device_is_refused(void **state)
{
	struct got g;
	uint8_t fp[FINGERPRINT_SIZE];
	(void)state;
	enrol((struct ask){.device = 1, .key = 1}, fp);
	suspend(1);
	reserve((struct ask){.device = 1, .key = 1}, &g);
	assert_refused(&g, REASON_DEVICE_ON_HOLD);
}

static void test_withdrawn_device_is_refused_before_its_first_enrolment(void **state)
{
	struct got g;
	uint8_t fp[FINGERPRINT_SIZE];
	(void)state;
	withdraw(7, true, 1);
	reserve((struct ask){.device = 7, .key = 1}, &g);
	assert_refused(&g, REASON_DEVICE_SUSPENDED);
	withdraw(7, false, 2);
	enrol((struct ask){.device = 7, .key = 1}, fp);
}

static void test_revoked_device_cannot_reenrol(void **state)
{
	struct got g;
	uint8_t fp[FINGERPRINT_SIZE];
	(void)state;
	enrol((struct ask){.device = 1, .key = 1}, fp);
	revoke_device(1, "key-compromise");
	reserve((struct ask){.device = 1, .key = 1}, &g);
	assert_refused(&g, REASON_DEVICE_REVOKED);
	reserve((struct ask){.device = 1, .key = 2}, &g);
	assert_refused(&g, REASON_DEVICE_REVOKED);
}

static void test_grant_raises_the_generation_once(void **state)
{
	struct got g;
	uint8_t old[FINGERPRINT_SIZE], new[FINGERPRINT_SIZE];
	(void)state;
	enrol((struct ask){.device = 1, .key = 1}, old);
	revoke_device(1, "key-compromise");
	allow_reenrol(1);
	reserve((struct ask){.device = 1, .key = 1}, &g);
	assert_refused(&g, REASON_KEY_REVOKED); /* the compromised key itself */
	assert_non_null(strstr(g.fault.text, "--new-key"));
	enrol((struct ask){.device = 1, .key = 2}, new);
	assert_int_equal(generation_of(new), 2);
	assert_int_equal(state_of(old), STORE_REVOKED);
	assert_int_equal(state_of(new), STORE_ACTIVE);
	reserve((struct ask){.device = 1, .key = 3}, &g);
	assert_refused(&g, REASON_CLONE_SUSPECT); /* the grant is used up */
}

static void test_grant_ends_the_certificates_of_the_old_generation(void **state)
{
	uint8_t old[FINGERPRINT_SIZE], new[FINGERPRINT_SIZE];
	(void)state;
	enrol((struct ask){.device = 1, .key = 1}, old);
	allow_reenrol(1);
	assert_int_equal(state_of(old), STORE_ACTIVE); /* until the new one is there */
	enrol((struct ask){.device = 1, .key = 2}, new);
	assert_int_equal(state_of(old), STORE_REVOKED);
	assert_int_equal(generation_of(new), 2);
}

static void test_revoked_key_that_is_not_compromised_may_return_by_grant(void **state)
{
	uint8_t old[FINGERPRINT_SIZE], new[FINGERPRINT_SIZE];
	(void)state;
	enrol((struct ask){.device = 1, .key = 1}, old);
	revoke_device(1, "cessation-of-operation");
	allow_reenrol(1);
	enrol((struct ask){.device = 1, .key = 1}, new);
	assert_memory_not_equal(old, new, FINGERPRINT_SIZE);
	assert_int_equal(state_of(old), STORE_REVOKED);
}

static void test_revocation_takes_an_unused_grant_away(void **state)
{
	struct got g;
	uint8_t fp[FINGERPRINT_SIZE];
	(void)state;
	enrol((struct ask){.device = 1, .key = 1}, fp);
	allow_reenrol(1);
	revoke_device(1, "unspecified");
	reserve((struct ask){.device = 1, .key = 2}, &g);
	assert_refused(&g, REASON_DEVICE_REVOKED);
}

static void test_renewal_is_make_before_break(void **state)
{
	struct got g;
	uint8_t old[FINGERPRINT_SIZE], new[FINGERPRINT_SIZE];
	(void)state;
	enrol((struct ask){.device = 1, .key = 1}, old);
	enrol((struct ask){.device = 1, .key = 2, .renews = old}, new);
	assert_int_equal(generation_of(new), 1);
	assert_int_equal(state_of(old), STORE_ACTIVE);
	assert_int_equal(state_of(new), STORE_ACTIVE);
	got_init(&g);
	store_connected(fixture_store, (const uint8_t(*)[FINGERPRINT_SIZE]) new, 1, "broker-a", on_changed,
			&g);
	got_wait(&g);
	assert_int_equal(g.changed.count, 1);
	assert_int_equal(state_of(old), STORE_REVOKED);
	assert_int_equal(state_of(new), STORE_ACTIVE);
	assert_int_equal(
		count_rows("SELECT count(*) FROM certificates WHERE revocation_reason = 'superseded'"), 1);
	/* told again, it changes nothing */
	got_init(&g);
	store_connected(fixture_store, (const uint8_t(*)[FINGERPRINT_SIZE]) new, 1, "broker-a", on_changed,
			&g);
	got_wait(&g);
	assert_int_equal(g.changed.count, 0);
}

static void test_renewed_certificate_ends_by_time(void **state)
{
	struct got g;
	uint8_t old[FINGERPRINT_SIZE], new[FINGERPRINT_SIZE];
	(void)state;
	fixture_options.supersede_after_s = 0;
	fixture_reopen();
	enrol((struct ask){.device = 1, .key = 1}, old);
	enrol((struct ask){.device = 1, .key = 2, .renews = old}, new);
	/* the writer looks by itself, between any two operations at the latest */
	for (int i = 0; i < 200 && state_of(old) != STORE_REVOKED; i++)
		reserve((struct ask){.device = 1, .key = 2}, &g);
	assert_int_equal(state_of(old), STORE_REVOKED);
	assert_int_equal(state_of(new), STORE_ACTIVE);
}

static void test_second_renewal_ends_the_first_predecessor(void **state)
{
	uint8_t a[FINGERPRINT_SIZE], b[FINGERPRINT_SIZE], c[FINGERPRINT_SIZE];
	(void)state;
	enrol((struct ask){.device = 1, .key = 1}, a);
	enrol((struct ask){.device = 1, .key = 2, .renews = a}, b);
	enrol((struct ask){.device = 1, .key = 3, .renews = b}, c);
	assert_int_equal(state_of(a), STORE_REVOKED);
	assert_int_equal(state_of(b), STORE_ACTIVE);
	assert_int_equal(state_of(c), STORE_ACTIVE);
}

static void test_renewals_are_refused_by_reason(void **state)
{
	struct got g;
	uint8_t mine[FINGERPRINT_SIZE], other[FINGERPRINT_SIZE], next[FINGERPRINT_SIZE],
		none[FINGERPRINT_SIZE] = {1};
	(void)state;
	enrol((struct ask){.device = 1, .key = 1}, mine);
	enrol((struct ask){.device = 2, .key = 2}, other);
	reserve((struct ask){.device = 1, .key = 3, .renews = none}, &g);
	assert_refused(&g, REASON_RENEWAL_UNKNOWN);
	reserve((struct ask){.device = 1, .key = 3, .renews = other}, &g);
	assert_refused(&g, REASON_RENEWAL_UNKNOWN);
	reserve((struct ask){.device = 1, .key = 1, .renews = mine}, &g);
	assert_refused(&g, REASON_KEY_IN_USE); /* the same key again is no renewal */
	enrol((struct ask){.device = 1, .key = 3, .renews = mine}, next);
	reserve((struct ask){.device = 1, .key = 4, .renews = mine}, &g);
	assert_refused(&g, REASON_RENEWAL_STATE); /* renewed already */
	reserve((struct ask){.device = 1, .key = 3, .renews = mine}, &g);
	assert_int_equal(g.reserved.result, STORE_EXISTS); /* but the same key again is a retry */
	assert_memory_equal(g.reserved.fingerprint, next, FINGERPRINT_SIZE);
}

static void test_renewal_beside_another_renewal_is_refused(void **state)
{
	struct got g;
	uint8_t fp[FINGERPRINT_SIZE];
	(void)state;
	enrol((struct ask){.device = 1, .key = 1}, fp);
	reserve((struct ask){.device = 1, .key = 2, .renews = fp}, &g);
	assert_int_equal(g.reserved.result, STORE_RESERVED);
	reserve((struct ask){.device = 1, .key = 3, .renews = fp}, &g);
	assert_refused(&g, REASON_RENEWAL_STATE);
	reserve((struct ask){.device = 1, .key = 1}, &g);
	assert_int_equal(g.reserved.result, STORE_EXISTS); /* the current key still has its certificate */
}

static void test_superseded_key_does_not_return(void **state)
{
	struct got g;
	uint8_t old[FINGERPRINT_SIZE], new[FINGERPRINT_SIZE];
	(void)state;
	enrol((struct ask){.device = 1, .key = 1}, old);
	enrol((struct ask){.device = 1, .key = 2, .renews = old}, new);
	got_init(&g);
	store_connected(fixture_store, (const uint8_t(*)[FINGERPRINT_SIZE]) new, 1, "broker-a", on_changed,
			&g);
	got_wait(&g);
	reserve((struct ask){.device = 1, .key = 1, .renews = new}, &g);
	assert_refused(&g, REASON_KEY_REVOKED);
	reserve((struct ask){.device = 1, .key = 1}, &g);
	assert_refused(&g, REASON_CLONE_SUSPECT);
}

static void test_expired_certificate_gives_its_place_to_a_new_one(void **state)
{
	struct got g;
	uint8_t old[FINGERPRINT_SIZE], new[FINGERPRINT_SIZE];
	(void)state;
	enrol((struct ask){.device = 1, .key = 1, .lifetime_s = -1}, old);
	reserve((struct ask){.device = 1, .key = 2, .renews = old}, &g);
	assert_refused(&g, REASON_RENEWAL_STATE);
	enrol((struct ask){.device = 1, .key = 1}, new);
	assert_memory_not_equal(old, new, FINGERPRINT_SIZE);
	assert_int_equal(state_of(old), STORE_EXPIRED);
	assert_int_equal(generation_of(new), 1);
}

static void test_stale_intent_does_not_block_its_device(void **state)
{
	struct got first, g;
	uint8_t fp[FINGERPRINT_SIZE];
	(void)state;
	reserve((struct ask){.device = 1, .key = 1, .lifetime_s = -1}, &first);
	enrol((struct ask){.device = 1, .key = 1}, fp);
	record(first.reserved.intent.id, &g);
	assert_refused(&g, REASON_DEADLINE);
	assert_true(g.settled && g.recorded.logged);
	assert_int_equal(state_of(fp), STORE_ACTIVE);
	assert_int_equal(count_rows("SELECT count(*) FROM certificates WHERE state = 3"), 1);
}

static void test_void_intent_cannot_be_recorded_and_its_serial_stays_used(void **state)
{
	struct got first, g;
	uint8_t fp[FINGERPRINT_SIZE];
	(void)state;
	reserve((struct ask){.device = 1, .key = 1}, &first);
	for (int i = 0; i < 2; i++) { /* twice: the second is the same answer */
		got_init(&g);
		store_void(fixture_store, first.reserved.intent.id, on_void, &g);
		got_wait(&g);
		assert_false(g.refused);
	}
	record(first.reserved.intent.id, &g);
	assert_refused(&g, REASON_CONFLICT);
	struct store_reservation r;
	fixture_reservation(&(struct ask){.device = 2, .key = 2}, &r);
	memcpy(r.intent.serial, first.reserved.intent.serial, SERIAL_SIZE);
	got_init(&g);
	store_reserve(fixture_store, &r, on_reserved, &g);
	got_wait(&g);
	assert_refused(&g, REASON_STORE_UNAVAILABLE);
	enrol((struct ask){.device = 1, .key = 2}, fp); /* the device itself is free again, with any key */
}

static void test_revocation_overtakes_an_open_intent(void **state)
{
	struct got first, g;
	(void)state;
	reserve((struct ask){.device = 1, .key = 1}, &first);
	assert_false(revoke_device(1, "unspecified").refused);
	record(first.reserved.intent.id, &g);
	assert_refused(&g, REASON_DEVICE_REVOKED);
	assert_true(g.settled && g.recorded.logged);
	record(first.reserved.intent.id,
	       &g); /* as a recovery that does not know would: settled, and not logged again */
	assert_refused(&g, REASON_CONFLICT);
	assert_true(g.settled && !g.recorded.logged);
	assert_int_equal(count_rows("SELECT count(*) FROM certificates WHERE state = 2"), 1);
	assert_int_equal(count_rows("SELECT count(*) FROM certificates WHERE state < 2"), 0);
}

static void test_grant_overtakes_an_open_intent(void **state)
{
	struct got first, g;
	uint8_t fp[FINGERPRINT_SIZE];
	(void)state;
	reserve((struct ask){.device = 1, .key = 1}, &first);
	allow_reenrol(1);
	enrol((struct ask){.device = 1, .key = 2}, fp);
	record(first.reserved.intent.id, &g);
	assert_refused(&g, REASON_CONFLICT);
	assert_true(g.settled && g.recorded.logged);
	assert_int_equal(state_of(fp), STORE_ACTIVE);
	assert_int_equal(count_rows("SELECT count(*) FROM certificates WHERE state < 2"), 1);
}

static void test_refusals_of_the_store_are_in_the_log_once(void **state)
{
	struct got g;
	uint8_t fp[FINGERPRINT_SIZE];
	(void)state;
	enrol((struct ask){.device = 1, .key = 1}, fp);
	revoke_device(1, "unspecified");
	reserve((struct ask){.device = 1, .key = 1, .request_id = "REFUSED-REQ"}, &g);
	assert_refused(&g, REASON_DEVICE_REVOKED);
	assert_int_equal(
		count_rows("SELECT count(*) FROM log WHERE request_id = 'REFUSED-REQ' AND kind = 'refused' "
			   "AND reason = 'device-revoked' AND instance_id IS NOT NULL"),
		1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_new_key_is_reserved_and_recorded),
		TEST(test_open_intent_of_same_key_is_pending),
		TEST(test_same_key_gets_same_certificate),
		TEST(test_recording_twice_is_the_same_answer),
		TEST(test_unknown_intent_is_not_recorded),
		TEST(test_second_key_raises_clone_alarm_and_quarantines),
		TEST(test_clone_without_quarantine_leaves_the_first_alone),
		TEST(test_second_key_during_an_open_intent_is_a_clone),
		TEST(test_key_of_another_device_is_refused),
		TEST(test_suspended_device_is_refused),
		TEST(test_withdrawn_device_is_refused_before_its_first_enrolment),
		TEST(test_revoked_device_cannot_reenrol),
		TEST(test_grant_raises_the_generation_once),
		TEST(test_grant_ends_the_certificates_of_the_old_generation),
		TEST(test_revoked_key_that_is_not_compromised_may_return_by_grant),
		TEST(test_revocation_takes_an_unused_grant_away),
		TEST(test_renewal_is_make_before_break),
		TEST(test_renewed_certificate_ends_by_time),
		TEST(test_second_renewal_ends_the_first_predecessor),
		TEST(test_renewals_are_refused_by_reason),
		TEST(test_renewal_beside_another_renewal_is_refused),
		TEST(test_superseded_key_does_not_return),
		TEST(test_expired_certificate_gives_its_place_to_a_new_one),
		TEST(test_stale_intent_does_not_block_its_device),
		TEST(test_void_intent_cannot_be_recorded_and_its_serial_stays_used),
		TEST(test_revocation_overtakes_an_open_intent),
		TEST(test_grant_overtakes_an_open_intent),
		TEST(test_refusals_of_the_store_are_in_the_log_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
