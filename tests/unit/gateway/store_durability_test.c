#include "store_fixture.h"

#include "gateway/store/store_internal.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* ---- many at once ---- */

enum { THREADS = 64 };

struct racer {
	pthread_t thread;
	struct ask ask;
	struct got got;
	enum store_reserve_result result;
};

static pthread_barrier_t start_line;

static void *race_to_reserve(void *arg)
{
	struct racer *r = arg;
	pthread_barrier_wait(&start_line);
	reserve(r->ask, &r->got);
	return NULL;
}

static void *race_to_enrol(void *arg)
{
	struct racer *r = arg;
	pthread_barrier_wait(&start_line);
	reserve(r->ask, &r->got);
	r->result = r->got.reserved.result;
	if (!r->got.refused && r->result != STORE_EXISTS)
		record(r->got.reserved.intent.id, &r->got);
	return NULL;
}

static void run_race(struct racer *racers, void *(*run)(void *))
{
	pthread_barrier_init(&start_line, NULL, THREADS);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&racers[i].thread, NULL, run, &racers[i]), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(racers[i].thread, NULL);
	pthread_barrier_destroy(&start_line);
}

static void test_two_keys_of_one_device_at_once_give_one_certificate_at_most(void **state)
{
	static struct racer racers[THREADS];
	int reserved = 0, refused = 0;
	(void)state;
	for (int i = 0; i < THREADS; i++)
		racers[i].ask = (struct ask){.device = 1, .key = i % 2};
	run_race(racers, race_to_reserve);
	for (int i = 0; i < THREADS; i++) {
		reserved += !racers[i].got.refused && racers[i].got.reserved.result == STORE_RESERVED;
		refused += racers[i].got.refused;
	}
	assert_int_equal(reserved, 1);
	assert_true(refused >= THREADS / 2); /* the other key, and after its alarm everybody */
	assert_int_equal(count_rows("SELECT count(*) FROM intents WHERE state = 'open'"), 1);
	assert_int_equal(count_rows("SELECT count(*) FROM log WHERE kind = 'alarm'"), 1);
	assert_int_equal(count_rows("SELECT quarantined FROM devices"), 1);
}

static void test_same_request_from_many_threads_is_one_certificate(void **state)
{
	static struct racer racers[THREADS];
	(void)state;
	for (int i = 0; i < THREADS; i++)
		racers[i].ask = (struct ask){.device = 1, .key = 1};
	run_race(racers, race_to_enrol);
	int reserved = 0;
	for (int i = 0; i < THREADS; i++) {
		assert_false(racers[i].got.refused);
		reserved += racers[i].result == STORE_RESERVED;
	}
	assert_int_equal(reserved, 1);
	assert_int_equal(count_rows("SELECT count(*) FROM certificates"), 1);
	assert_int_equal(count_rows("SELECT count(*) FROM log WHERE kind = 'issued'"), 1);
	assert_int_equal(count_rows("SELECT count(*) FROM intents"), 0);
}

static void test_what_waits_is_committed_together(void **state)
{
	enum { COUNT = 640 };
	static struct got got[COUNT];
	struct store_stats before, after;
	(void)state;
	store_stats(fixture_store, &before);
	for (int i = 0; i < COUNT; i++) {
		struct store_reservation r;
		fixture_reservation(&(struct ask){.device = i, .key = i}, &r);
		got_init(&got[i]);
		store_reserve(fixture_store, &r, on_reserved, &got[i]);
	}
	for (int i = 0; i < COUNT; i++) {
		got_wait(&got[i]);
		assert_false(got[i].refused);
	}
	store_stats(fixture_store, &after);
	assert_true(after.operations - before.operations >= COUNT);
	assert_true(after.commits - before.commits <= COUNT / 4);
	assert_true(after.commits - before.commits >= COUNT / STORE_BATCH_MAX);
}

/* ---- one that fails among others ---- */

static void test_a_failing_operation_does_not_fail_its_neighbours(void **state)
{
	enum { COUNT = 40 };
	static struct got got[COUNT];
	struct store_reservation first;
	(void)state;
	fixture_reservation(&(struct ask){.device = 1, .key = 1}, &first);
	for (int i = 0; i < COUNT; i++) {
		struct store_reservation r;
		fixture_reservation(&(struct ask){.device = i + 1, .key = i + 1}, &r);
		if (i % 2)
			memcpy(r.intent.serial, first.intent.serial,
			       SERIAL_SIZE); /* the database refuses it twice */
		if (i == 0)
			r = first;
		got_init(&got[i]);
		store_reserve(fixture_store, &r, on_reserved, &got[i]);
	}
	for (int i = 0; i < COUNT; i++) {
		got_wait(&got[i]);
		assert_int_equal(got[i].refused, i % 2);
		if (i % 2)
			assert_refused(&got[i], REASON_STORE_UNAVAILABLE);
	}
	assert_int_equal(count_rows("SELECT count(*) FROM intents"), COUNT / 2);
	assert_int_equal(count_rows("SELECT count(*) FROM devices"),
			 COUNT / 2); /* nothing of the failed ones is left */
	assert_int_equal(count_rows("SELECT coalesce(max(seq), 0) - count(*) FROM log"), 0);
}

/* ---- the process dies ---- */

/* In the child: enrols until it is killed, and says after each answer what it was told. */
static void enrol_for_ever(int report)
{
	fixture_open();
	for (int i = 1;; i++) {
		struct got g;
		reserve((struct ask){.device = i, .key = i}, &g);
		if (write(report, "r", 1) != 1)
			_exit(1);
		record(g.reserved.intent.id, &g);
		if (write(report, "c", 1) != 1)
			_exit(1);
	}
}

static int read_reports(int fd, char what, char *last, int until)
{
	char c;
	int seen = 0;
	while ((until == 0 || seen < until) && read(fd, &c, 1) == 1) {
		seen += c == what;
		*last = c;
	}
	return seen;
}

static void test_nothing_acknowledged_is_lost_when_the_process_is_killed(void **state)
{
	(void)state;
	for (int round = 1; round <= 5; round++) {
		int pipe_fds[2], status;
		char last = 0;
		store_close(fixture_store);
		fixture_store = NULL;
		unlink(fixture_path);
		assert_int_equal(pipe(pipe_fds), 0);
		pid_t child = fork();
		assert_true(child >= 0);
		if (child == 0) {
			close(pipe_fds[0]);
			enrol_for_ever(pipe_fds[1]);
		}
		close(pipe_fds[1]);
		int recorded = read_reports(pipe_fds[0], 'c', &last, 10 * round);
		assert_int_equal(kill(child, SIGKILL), 0);
		recorded += read_reports(pipe_fds[0], 'c', &last, 0); /* what it had said before it died */
		close(pipe_fds[0]);
		waitpid(child, &status, 0);
		assert_true(WIFSIGNALED(status));
		fixture_open();
		int64_t kept = count_rows("SELECT count(*) FROM certificates");
		assert_true(kept >= recorded && kept <= recorded + 1);
		assert_int_equal(count_rows("SELECT count(*) FROM log WHERE kind = 'issued'"), kept);
		assert_true(count_rows("SELECT count(*) FROM intents") <= 1);
		assert_int_equal(count_rows("SELECT max(seq) - count(*) FROM log"), 0);
	}
}

static void on_intents(const struct store_intent *intents, size_t count, const struct fault *f, void *arg)
{
	struct got *g = arg;
	got_fault(g, f);
	g->count = count;
	if (count)
		g->reserved.intent = intents[0];
	sem_post(&g->ready);
}

static void test_open_intents_are_found_again(void **state)
{
	struct got first, g;
	uint8_t fp[FINGERPRINT_SIZE];
	(void)state;
	enrol((struct ask){.device = 1, .key = 1}, fp);
	reserve((struct ask){.device = 2, .key = 2}, &first);
	fixture_reopen();
	got_init(&g);
	store_open_intents(fixture_store, on_intents, &g);
	got_wait(&g);
	assert_false(g.refused);
	assert_int_equal(g.count, 1);
	assert_memory_equal(g.reserved.intent.id, first.reserved.intent.id, INTENT_ID_SIZE);
	assert_memory_equal(g.reserved.intent.serial, first.reserved.intent.serial, SERIAL_SIZE);
	assert_string_equal(g.reserved.intent.thing, fixture_thing(2));
	record(g.reserved.intent.id, &g);
	assert_false(g.refused);
	got_init(&g);
	store_open_intents(fixture_store, on_intents, &g);
	got_wait(&g);
	assert_int_equal(g.count, 0);
}

static void test_closing_answers_everything_that_was_asked(void **state)
{
	enum { COUNT = 200 };
	static struct got got[COUNT];
	(void)state;
	for (int i = 0; i < COUNT; i++) {
		struct store_reservation r;
		fixture_reservation(&(struct ask){.device = i, .key = i}, &r);
		got_init(&got[i]);
		store_reserve(fixture_store, &r, on_reserved, &got[i]);
	}
	fixture_reopen();
	for (int i = 0; i < COUNT; i++) {
		assert_int_equal(sem_trywait(&got[i].ready), 0);
		assert_false(got[i].refused);
	}
	assert_int_equal(count_rows("SELECT count(*) FROM intents"), COUNT);
}

/* ---- the disk is full ---- */

static void limit_files(rlim_t size)
{
	struct rlimit limit = {size, RLIM_INFINITY};
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static int64_t until_writable_ms(void)
{
	struct store_stats stats;
	int64_t began = clock_monotonic_ms();
	do {
		usleep(10000);
		store_stats(fixture_store, &stats);
	} while (!stats.writable && clock_monotonic_ms() - began < 10000);
	return clock_monotonic_ms() - began;
}

static void test_full_disk_is_refused_clearly_and_recovers_alone(void **state)
{
	struct got g;
	struct store_stats stats;
	uint8_t fp[FINGERPRINT_SIZE];
	int i, refused = 0;
	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	enrol((struct ask){.device = 1, .key = 1}, fp);
	limit_files(400 * 1024);
	for (i = 2; i < 2000 && !refused; i++) {
		reserve((struct ask){.device = i, .key = i}, &g);
		refused = g.refused;
	}
	assert_refused(&g, REASON_DISK_FULL);
	reserve((struct ask){.device = i, .key = i}, &g);
	assert_refused(&g, REASON_DISK_FULL);
	assert_in_range(until_writable_ms(), 3000, 20000); /* as long as it is full */
	store_stats(fixture_store, &stats);
	assert_false(stats.writable);
	assert_int_equal(state_of(fp), STORE_ACTIVE); /* reading goes on */
	limit_files(RLIM_INFINITY);
	assert_in_range(until_writable_ms(), 0, 2500); /* nobody has to ask for anything */
	reserve((struct ask){.device = i, .key = i}, &g);
	assert_false(g.refused);
	assert_int_equal(g.reserved.result, STORE_RESERVED);
	enrol((struct ask){.device = 5000, .key = 5000}, fp);
	fixture_reopen();
	assert_int_equal(count_rows("SELECT count(*) FROM certificates"), 2);
	assert_int_equal(count_rows("SELECT coalesce(max(seq), 0) - count(*) FROM log"), 0);
	signal(SIGXFSZ, SIG_DFL);
}

static bool write_text(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");
	if (!file)
		return false;
	int n = fputs(text, file);
	return fclose(file) == 0 && n >= 0;
}

/* A mount namespace of our own, as root of a user namespace where we are not root. */
static bool may_mount(void)
{
	char uid[32], gid[32];
	if (geteuid() == 0)
		return unshare(CLONE_NEWNS) == 0;
	snprintf(uid, sizeof uid, "0 %u 1", geteuid());
	snprintf(gid, sizeof gid, "0 %u 1", getegid());
	return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 && write_text("/proc/self/setgroups", "deny") &&
	       write_text("/proc/self/uid_map", uid) && write_text("/proc/self/gid_map", gid);
}

/* A file system of 12 MiB with 2 MiB of other people's files, seen by this process alone. */
static bool mount_small(void)
{
	char filler[96], block[4096] = {1};
	if (!may_mount() || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("tmpfs", fixture_dir, "tmpfs", 0, "size=12m"))
		return false;
	snprintf(filler, sizeof filler, "%s/filler", fixture_dir);
	FILE *file = fopen(filler, "w");
	for (int i = 0; i < 512; i++)
		assert_int_equal(fwrite(block, sizeof block, 1, file), 1);
	return fclose(file) == 0;
}

static void test_a_full_disk_still_takes_revocations(void **state)
{
	struct got g;
	uint8_t fp[FINGERPRINT_SIZE];
	char filler[96];
	int i, refused = 0;
	(void)state;
	store_close(fixture_store);
	fixture_store = NULL;
	if (!mount_small())
		skip(); /* no right to mount here */
	fixture_open();
	enrol((struct ask){.device = 1, .key = 1}, fp);
	for (i = 2; i < 20000 && !refused; i++) {
		reserve((struct ask){.device = i, .key = i}, &g);
		refused = g.refused;
	}
	assert_refused(&g, REASON_DISK_FULL);
	for (int n = 2; n < 22; n++) {
		g = revoke_device(n, "key-compromise");
		assert_false(g.refused);
		reserve((struct ask){.device = i, .key = i}, &g);
		assert_refused(&g, REASON_DISK_FULL);
	}
	g = revoke_device(1, "key-compromise");
	assert_false(g.refused);
	assert_int_equal(state_of(fp), STORE_REVOKED);
	snprintf(filler, sizeof filler, "%s/filler", fixture_dir);
	unlink(filler);
	reserve((struct ask){.device = i, .key = i}, &g);
	assert_false(g.refused);
	fixture_reopen();
	assert_int_equal(state_of(fp), STORE_REVOKED);
	assert_int_equal(count_rows("SELECT count(*) FROM devices WHERE revoked = 1"), 21);
}

static int unmount(void **state)
{
	store_close(fixture_store);
	fixture_store = NULL;
	umount2(fixture_dir, MNT_DETACH);
	return fixture_teardown(state);
}

/* ---- what the database refuses, whatever the code does ---- */

static void assert_sql_refused(const char *sql)
{
	sqlite3 *db;
	assert_int_equal(sqlite3_open(fixture_path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "PRAGMA foreign_keys=ON", NULL, NULL, NULL), SQLITE_OK);
	int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
	sqlite3_close(db);
	if (rc != SQLITE_CONSTRAINT)
		fail_msg("%s: %d", sql, rc);
}

static void test_invariants_hold_in_the_database_itself(void **state)
{
	uint8_t fp[FINGERPRINT_SIZE];
	(void)state;
	enrol((struct ask){.device = 1, .key = 1}, fp);
	enrol((struct ask){.device = 2, .key = 2}, fp);
	revoke_device(2, "unspecified");
	assert_sql_refused("UPDATE certificates SET state = 0 WHERE state = 2");
	assert_sql_refused("UPDATE log SET reason = 'nothing' WHERE seq = 1");
	assert_sql_refused("DELETE FROM log WHERE seq = 1");
	struct got g;
	got_init(&g);
	store_broker_revoke(fixture_store, &fixture_admin, "broker-a", NULL, "lost", on_changed, &g);
	got_wait(&g);
	assert_sql_refused("DELETE FROM revoked_brokers");
	assert_sql_refused("UPDATE revoked_brokers SET name = 'broker-b'");
	assert_sql_refused(
		"INSERT INTO log VALUES (1, 0, 'k', '', '', NULL, NULL, '', NULL, '', '', zeroblob(32))");
	assert_sql_refused("INSERT INTO keys SELECT spki_sha256, 2 FROM keys WHERE device_id = 1");
	assert_sql_refused(
		"INSERT INTO certificates (fingerprint, serial, state, device_id, generation, spki_sha256, "
		"not_before, "
		"not_after, issued_at_ms, request_id, result_id, der) SELECT zeroblob(32), zeroblob(16), 0, "
		"device_id, "
		"generation, spki_sha256, 0, 0, 0, '', result_id, der FROM certificates WHERE state = 0");
	assert_sql_refused("INSERT INTO certificates (fingerprint, serial, state, device_id, generation, "
			   "spki_sha256, not_before, "
			   "not_after, issued_at_ms, request_id, result_id, der) SELECT zeroblob(32), "
			   "serial, 2, device_id, "
			   "9, spki_sha256, 0, 0, 0, '', result_id, der FROM certificates WHERE state = 0");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_two_keys_of_one_device_at_once_give_one_certificate_at_most),
		TEST(test_same_request_from_many_threads_is_one_certificate),
		TEST(test_what_waits_is_committed_together),
		TEST(test_a_failing_operation_does_not_fail_its_neighbours),
		TEST(test_nothing_acknowledged_is_lost_when_the_process_is_killed),
		TEST(test_open_intents_are_found_again),
		TEST(test_closing_answers_everything_that_was_asked),
		TEST(test_full_disk_is_refused_clearly_and_recovers_alone),
		cmocka_unit_test_setup_teardown(test_a_full_disk_still_takes_revocations, fixture_setup,
						unmount),
		TEST(test_invariants_hold_in_the_database_itself),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
