#include "store_fixture.h"

#include <jansson.h>

/* ---- reading it through the store ---- */

struct entries {
	sem_t ready;
	struct log_chain chain;
	int64_t last;
	size_t count;
	bool intact;
	struct fault fault;
	/* of the last entry */
	char kind[32], reason[64], thing[40], request_id[32], actor[32];
	char detail[1024];
};

static void on_entries(const struct log_entry *entries, size_t count, const struct fault *f, void *arg)
{
	struct entries *e = arg;
	assert_null(f);
	e->count = count;
	for (size_t i = 0; i < count && e->intact; i++) {
		const struct log_entry *x = &entries[i];
		e->intact = log_chain_check(&e->chain, x, &e->fault).ok;
		e->last = x->seq;
		snprintf(e->kind, sizeof e->kind, "%s", x->kind);
		snprintf(e->reason, sizeof e->reason, "%s", x->reason);
		snprintf(e->thing, sizeof e->thing, "%s", x->thing);
		snprintf(e->request_id, sizeof e->request_id, "%s", x->request_id);
		snprintf(e->actor, sizeof e->actor, "%s", x->actor);
		snprintf(e->detail, sizeof e->detail, "%s", x->detail);
	}
	sem_post(&e->ready);
}

static void read_page(struct entries *e, const struct store_log_query *q)
{
	sem_init(&e->ready, 0, 0);
	store_log(fixture_store, q, on_entries, e);
	while (sem_wait(&e->ready))
		;
}

static struct entries read_all(void)
{
	struct entries e = {.intact = true, .chain = log_chain_begin()};
	do
		read_page(&e, &(struct store_log_query){.after = e.last, .limit = 7});
	while (e.count && e.intact);
	return e;
}

static void live_a_little(void)
{
	struct got g;
	uint8_t a[FINGERPRINT_SIZE], b[FINGERPRINT_SIZE];
	enrol((struct ask){.device = 1, .key = 1, .request_id = "REQ-A"}, a);
	enrol((struct ask){.device = 2, .key = 2, .request_id = "REQ-B"}, b);
	enrol((struct ask){.device = 1, .key = 3, .renews = a}, b);
	reserve((struct ask){.device = 2, .key = 9, .request_id = "REQ-CLONE"}, &g);
	revoke_device(1, "key-compromise");
	withdraw(2, true, 4);
	resume(2);
	allow_reenrol(1);
}

static void test_whole_log_verifies(void **state)
{
	(void)state;
	live_a_little();
	struct entries e = read_all();
	assert_true(e.intact);
	assert_int_equal(e.chain.seq, count_rows("SELECT count(*) FROM log"));
	assert_true(e.chain.seq > 10);
	fixture_reopen(); /* and goes on where it was */
	allow_reenrol(2);
	e = read_all();
	assert_true(e.intact);
	assert_string_equal(e.kind, "reenrolment-allowed");
	assert_string_equal(e.actor, "AKADMIN");
	assert_string_equal(e.request_id, "ADMIN-REQ");
}

/* Someone with the file in his hands: the triggers do not hold him. */
static void tamper(const char *sql)
{
	sqlite3 *db;
	char *error = NULL;
	assert_int_equal(sqlite3_open(fixture_path, &db), SQLITE_OK);
	int rc = sqlite3_exec(db, "DROP TRIGGER log_has_no_update; DROP TRIGGER log_has_no_delete;", NULL,
			      NULL, &error);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(db, sql, NULL, NULL, &error);
	sqlite3_close(db);
	if (rc != SQLITE_OK)
		fail_msg("%s", error);
}

static void assert_noticed(const char *sql)
{
	live_a_little();
	assert_true(read_all().intact);
	tamper(sql);
	struct entries e = read_all();
	assert_false(e.intact);
	assert_string_equal(reason_code(e.fault.reason), "log-chain-broken");
}

#define TAMPER_TEST(name, sql)                                                                               \
	static void name(void **state)                                                                       \
	{                                                                                                    \
		(void)state;                                                                                 \
		assert_noticed(sql);                                                                         \
	}

TAMPER_TEST(test_changed_reason_is_noticed,
	    "UPDATE log SET reason = 'unspecified' WHERE reason = 'key-compromise'")
TAMPER_TEST(test_changed_time_is_noticed, "UPDATE log SET time_ms = time_ms + 1 WHERE seq = 3")
TAMPER_TEST(test_changed_actor_is_noticed, "UPDATE log SET actor = 'someone' WHERE seq = 1")
TAMPER_TEST(test_changed_detail_is_noticed,
	    "UPDATE log SET detail = replace(detail, '\"assurance\":1', '\"assurance\":3') WHERE seq = 1")
TAMPER_TEST(test_changed_certificate_is_noticed, "UPDATE log SET fingerprint = NULL WHERE seq = 1")
TAMPER_TEST(test_removed_entry_is_noticed, "DELETE FROM log WHERE seq = 4")
TAMPER_TEST(test_swapped_entries_are_noticed, "UPDATE log SET seq = 1000 WHERE seq = 3; UPDATE log SET seq = "
					      "3 WHERE seq = 4; UPDATE log SET seq = 4 WHERE seq = 1000")
TAMPER_TEST(test_changed_hash_is_noticed, "UPDATE log SET hash = zeroblob(32) WHERE seq = 5")

static void test_entry_moved_between_fields_has_another_hash(void **state)
{
	struct log_entry a = {.seq = 1,
			      .kind = "ab",
			      .actor = "c",
			      .request_id = "",
			      .thing = "",
			      .reason = "",
			      .detail = ""};
	struct log_entry b = a;
	uint8_t start[SHA256_SIZE], x[SHA256_SIZE], y[SHA256_SIZE];
	(void)state;
	b.kind = "a";
	b.actor = "bc";
	log_chain_start(start);
	assert_true(log_chain_next(start, &a, x));
	assert_true(log_chain_next(start, &b, y));
	assert_memory_not_equal(x, y, SHA256_SIZE);
}

/* The page that describes the format is what others write their verifiers from. */
static void test_the_canonical_bytes_are_as_documented(void **state)
{
	static const uint8_t canonical[] = {0x8a, 0x01, 0x19, 0x03, 0xe8, 0x61, 'k',  0x61, 'a',
					    0x61, 'r',	0xf6, 0x61, 't',  0xf6, 0x60, 0x60};
	struct log_entry e = {.seq = 1,
			      .time_ms = 1000,
			      .kind = "k",
			      .actor = "a",
			      .request_id = "r",
			      .thing = "t",
			      .reason = "",
			      .detail = ""};
	uint8_t start[SHA256_SIZE], expected[SHA256_SIZE], got[SHA256_SIZE];
	(void)state;
	sha256(bytes_of("mooring-log/1\0", 14), expected);
	log_chain_start(start);
	assert_memory_equal(start, expected, SHA256_SIZE);
	sha256_parts((struct bytes[]){bytes_of(start, SHA256_SIZE), bytes_of(canonical, sizeof canonical)}, 2,
		     expected);
	assert_true(log_chain_next(start, &e, got));
	assert_memory_equal(got, expected, SHA256_SIZE);
}

/* ---- what is in it ---- */

static void test_request_is_explained_by_its_entries(void **state)
{
	struct entries e = {.intact = true};
	(void)state;
	live_a_little();
	sem_init(&e.ready, 0, 0);
	e.intact = false; /* no chain here: the entries are picked out */
	struct store_log_query q = {.request_id = "REQ-CLONE"};
	store_log(fixture_store, &q, on_entries, &e);
	sem_wait(&e.ready);
	assert_int_equal(e.count, 4); /* alarm, quarantine, certificate inactive, refusal */
}

/* The one alarm of live_a_little. */
static void on_alarms(const struct store_alarm *alarms, size_t count, const struct fault *f, void *arg)
{
	assert_null(f);
	assert_int_equal(count, 1);
	assert_string_equal(alarms->entry.reason, "clone-suspect");
	assert_string_equal(alarms->device_state, "suspended");
	sem_post(arg);
}

static void test_alarms_are_found_with_how_their_devices_stand(void **state)
{
	sem_t ready;
	(void)state;
	live_a_little();
	sem_init(&ready, 0, 0);
	store_alarms(fixture_store, &(struct store_alarm_query){.reason = ""}, on_alarms, &ready);
	sem_wait(&ready);
}

static void test_issuance_says_what_it_rests_on(void **state)
{
	uint8_t fp[FINGERPRINT_SIZE];
	(void)state;
	enrol((struct ask){.device = 1, .key = 1}, fp);
	struct entries e = {.intact = true, .chain = log_chain_begin()};
	read_page(&e, &(struct store_log_query){.limit = 1});
	assert_string_equal(e.kind, "issued");
	json_t *detail = json_loads(e.detail, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(detail);
	assert_string_equal(json_string_value(json_object_get(detail, "evidence")), "cose-csr");
	assert_int_equal(json_string_length(json_object_get(detail, "serial")), 32);
	assert_int_equal(json_string_length(json_object_get(detail, "ear_sha256")), 64);
	assert_int_equal(json_integer_value(json_object_get(detail, "generation")), 1);
	assert_string_equal(json_string_value(json_object_get(detail, "state")), "active");
	json_decref(detail);
}

static void test_refusal_with_hostile_text_stays_readable(void **state)
{
	struct fault f;
	(void)state;
	refuse(&f, REASON_BAD_FIELD, "a quote \" a backslash \\ a line\nand half a character \xc3");
	store_refused(fixture_store, "REQ-1", NULL, false, "", &f, "{\"stage\":\"receive\"}");
	allow_reenrol(99); /* refused, and its answer comes after the entry */
	struct entries e = {.intact = true, .chain = log_chain_begin()};
	read_page(&e, &(struct store_log_query){.limit = 1});
	assert_true(e.intact);
	assert_string_equal(e.kind, "refused");
	assert_string_equal(e.reason, "field-invalid");
	json_t *detail = json_loads(e.detail, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(detail);
	assert_string_equal(json_string_value(json_object_get(detail, "stage")), "receive");
	assert_string_equal(json_string_value(json_object_get(detail, "rule")),
			    "a quote \" a backslash \\ a line\nand half a character ?");
	json_decref(detail);
}

static void test_refusals_beyond_the_limit_are_counted(void **state)
{
	enum { MANY = 20000 };
	struct store_stats stats;
	struct fault f;
	(void)state;
	refuse(&f, REASON_BAD_JSON, "no JSON");
	for (int i = 0; i < MANY; i++)
		store_refused(fixture_store, "REQ", NULL, false, "", &f, "");
	for (;;) { /* until the queue has room for one that is kept, which tells the count */
		store_stats(fixture_store, &stats);
		if (!stats.queued)
			break;
		allow_reenrol(99);
	}
	store_refused(fixture_store, "REQ", NULL, true, "", &f, "");
	allow_reenrol(99);
	store_stats(fixture_store, &stats);
	int64_t kept = count_rows("SELECT count(*) FROM log WHERE kind = 'refused'");
	int64_t told = count_rows(
		"SELECT coalesce(sum(detail ->> 'count'), 0) FROM log WHERE kind = 'refusals-not-kept'");
	assert_true(stats.refusals_dropped > 0);
	assert_int_equal(kept + (int64_t)stats.refusals_dropped, MANY + 1);
	assert_int_equal(told, stats.refusals_dropped);
	assert_true(read_all().intact);
}

static void wait_for_writer(void)
{
	struct store_stats stats;
	do {
		allow_reenrol(99);
		store_stats(fixture_store, &stats);
	} while (stats.queued);
}

/* Each round finds the queue empty, so that it is not what limits. */
static void test_strangers_cannot_fill_the_log(void **state)
{
	enum { ROUNDS = 8, ROUND = 1000, BURST = 5000, SLACK = 200 };
	struct fault f;
	(void)state;
	refuse(&f, REASON_BAD_JSON, "no JSON");
	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < ROUND; i++)
			store_refused(fixture_store, "REQ", NULL, false, "", &f, "");
		wait_for_writer();
	}
	int64_t kept = count_rows("SELECT count(*) FROM log WHERE kind = 'refused'");
	assert_in_range(kept, BURST, BURST + SLACK);
	store_refused(fixture_store, "PROVEN", NULL, true, "", &f, "");
	wait_for_writer();
	assert_int_equal(count_rows("SELECT count(*) FROM log WHERE request_id = 'PROVEN'"), 1);
}

static void test_strangers_write_nothing_into_a_devices_history(void **state)
{
	uint8_t fp[FINGERPRINT_SIZE], instance[INSTANCE_ID_SIZE];
	struct fault f;
	(void)state;
	enrol((struct ask){.device = 1, .key = 1}, fp);
	fixture_instance(1, instance);
	refuse(&f, REASON_SIGNATURE, "forged");
	store_refused(fixture_store, "STRANGER", instance, false, "", &f, "");
	store_refused(fixture_store, "DEVICE", instance, true, "", &f, "");
	wait_for_writer();
	assert_int_equal(count_rows("SELECT count(*) FROM log WHERE request_id = 'STRANGER' AND "
				    "device_id IS NULL AND thing = '' AND length(instance_id) = 33"),
			 1);
	assert_int_equal(count_rows("SELECT count(*) FROM log WHERE request_id = 'DEVICE' AND "
				    "device_id IS NOT NULL AND thing <> ''"),
			 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_whole_log_verifies),
		TEST(test_changed_reason_is_noticed),
		TEST(test_changed_time_is_noticed),
		TEST(test_changed_actor_is_noticed),
		TEST(test_changed_detail_is_noticed),
		TEST(test_changed_certificate_is_noticed),
		TEST(test_removed_entry_is_noticed),
		TEST(test_swapped_entries_are_noticed),
		TEST(test_changed_hash_is_noticed),
		cmocka_unit_test(test_entry_moved_between_fields_has_another_hash),
		cmocka_unit_test(test_the_canonical_bytes_are_as_documented),
		TEST(test_request_is_explained_by_its_entries),
		TEST(test_alarms_are_found_with_how_their_devices_stand),
		TEST(test_issuance_says_what_it_rests_on),
		TEST(test_refusal_with_hostile_text_stays_readable),
		TEST(test_refusals_beyond_the_limit_are_counted),
		TEST(test_strangers_cannot_fill_the_log),
		TEST(test_strangers_write_nothing_into_a_devices_history),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
