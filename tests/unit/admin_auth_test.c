/* Access keys: made by `admin init`, checked by the daemons. */
#include "common/admin/admin_auth.h"
#include "common/admin/admin_seen.h"
#include "common/clock.h"
#include "common/db/db.h"
#include "common/file.h"
#include "common/log.h"

#include <jansson.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { NOW = 1795347173 }; /* 2026-11-22T11:32:53Z */

static char folder[] = "/tmp/admin_auth_test.XXXXXX";
static char db_path[80], seen_path[80], master_path[80], key_path[80];

static int make_folder(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(db_path, sizeof db_path, "%s/gateway.db", folder);
	snprintf(seen_path, sizeof seen_path, "%s/gateway.db.seen", folder);
	snprintf(master_path, sizeof master_path, "%s/master", folder);
	snprintf(key_path, sizeof key_path, "%s/admin.key", folder);
	return 0;
}

static int remove_files(void **state)
{
	(void)state;
	char path[100];
	static const char *const names[] = {"gateway.db",      "gateway.db-wal", "gateway.db-shm",
					    "gateway.db.seen", "master",	 "admin.key",
					    "second.key"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		snprintf(path, sizeof path, "%s/%s", folder, names[i]);
		unlink(path);
	}
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	return rmdir(folder);
}

struct key {
	char id[ACCESS_KEY_ID_MAX];
	char secret[SECRET_SIZE];
};

static struct key read_key(const char *path)
{
	struct key key;
	json_error_t e;
	json_t *json = json_load_file(path, 0, &e);
	assert_non_null(json);
	snprintf(key.id, sizeof key.id, "%s", json_string_value(json_object_get(json, "access_key_id")));
	snprintf(key.secret, sizeof key.secret, "%s",
		 json_string_value(json_object_get(json, "secret_access_key")));
	assert_string_equal(json_string_value(json_object_get(json, "region")), "mooring-1");
	json_decref(json);
	return key;
}

static struct key make_key(enum admin_role role)
{
	char id[ACCESS_KEY_ID_MAX];
	struct fault f = {0};
	struct admin_key_request request = {.db_path = db_path,
					    .master_file = master_path,
					    .role = role,
					    .region = "mooring-1",
					    .key_file = key_path};
	if (!admin_key_create(&request, id, &f).ok)
		fail_msg("%s", f.text);
	struct key key = read_key(key_path);
	assert_string_equal(key.id, id);
	return key;
}

static struct admin_auth *open_auth(void)
{
	struct admin_auth *a = NULL;
	struct fault f = {0};
	if (!admin_auth_open(db_path, master_path, "mooring-1", &a, &f).ok)
		fail_msg("%s", f.text);
	return a;
}

/* A signed request; `n` makes it differ from others of the same second. */
struct signed_request {
	struct sigv4_header headers[4];
	struct sigv4_request request;
	char date[20], number[12];
	char *authorization;
};

static void make_request(struct signed_request *s, const struct key *key, const char *method, int64_t time,
			 int n, const char *region, const char *service)
{
	char when[CLOCK_RFC3339_SIZE];
	struct buf out = {0};
	clock_rfc3339_ms(time * 1000, when);
	snprintf(s->date, sizeof s->date, "%.4s%.2s%.2sT%.2s%.2s%.2sZ", when, when + 5, when + 8, when + 11,
		 when + 14, when + 17);
	snprintf(s->number, sizeof s->number, "%d", n);
	s->headers[0] = (struct sigv4_header){"host", "localhost:8444"};
	s->headers[1] = (struct sigv4_header){"x-amz-date", s->date};
	s->headers[2] = (struct sigv4_header){"x-number", s->number};
	s->request = (struct sigv4_request){.method = method,
					    .raw_path = "/v1/admin/devices",
					    .raw_query = "limit=5",
					    .headers = s->headers,
					    .header_count = 3,
					    .body = bytes_str("{}")};
	assert_true(sigv4_sign(&s->request, key->id, key->secret, region, service, &out, NULL).ok);
	s->authorization = buf_take_str(&out);
	s->headers[3] = (struct sigv4_header){"authorization", s->authorization};
	s->request.header_count = 4;
}

static outcome ask(struct admin_auth *a, const struct key *key, const char *method, int64_t time, int n,
		   enum admin_role least, struct admin_caller *caller, struct fault *f)
{
	struct signed_request s;
	make_request(&s, key, method, time, n, "mooring-1", "mooring");
	outcome result = admin_auth_check_request(a, &s.request, NOW, least, caller, f);
	free(s.authorization);
	return result;
}

static void expect_refused(outcome result, const struct fault *f, enum reason reason)
{
	assert_false(result.ok);
	assert_string_equal(reason_code(f->reason), reason_code(reason));
}

static void test_a_made_key_is_accepted_with_its_role(void **state)
{
	(void)state;
	struct key key = make_key(ADMIN_ROLE_OPERATOR);
	struct admin_auth *a = open_auth();
	struct admin_caller caller;
	struct fault f = {0};
	assert_true(ask(a, &key, "GET", NOW, 1, ADMIN_ROLE_VIEWER, &caller, &f).ok);
	assert_string_equal(caller.key_id, key.id);
	assert_int_equal(caller.role, ADMIN_ROLE_OPERATOR);
	assert_string_equal(caller.service, "mooring");
	assert_true(ask(a, &key, "POST", NOW, 2, ADMIN_ROLE_OPERATOR, &caller, &f).ok);
	expect_refused(ask(a, &key, "POST", NOW, 3, ADMIN_ROLE_ADMIN, &caller, &f), &f, REASON_ROLE);
	assert_non_null(strstr(f.text, "is operator, this needs admin"));
	admin_auth_close(a);
}

static void test_files_of_keys_are_private(void **state)
{
	(void)state;
	struct stat st;
	make_key(ADMIN_ROLE_ADMIN);
	assert_int_equal(stat(key_path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(stat(master_path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_size, 32);
}

static void test_key_and_master_are_never_overwritten(void **state)
{
	(void)state;
	struct key first = make_key(ADMIN_ROLE_ADMIN);
	char second_path[100], id[ACCESS_KEY_ID_MAX];
	struct fault f = {0};
	struct admin_key_request again = {.db_path = db_path,
					  .master_file = master_path,
					  .role = ADMIN_ROLE_VIEWER,
					  .region = "mooring-1",
					  .key_file = key_path};
	expect_refused(admin_key_create(&again, id, &f), &f, REASON_CONFLICT);
	snprintf(second_path, sizeof second_path, "%s/second.key", folder);
	again.key_file = second_path;
	again.id = first.id;
	expect_refused(admin_key_create(&again, id, &f), &f, REASON_CONFLICT);
	assert_int_not_equal(access(second_path, F_OK), 0);
	again.id = "a/b";
	expect_refused(admin_key_create(&again, id, &f), &f, REASON_BAD_FIELD);
	again.id = "second-key";
	assert_true(admin_key_create(&again, id, &f).ok);
	struct admin_auth *a = open_auth();
	struct admin_caller caller;
	struct key second = read_key(second_path);
	assert_true(ask(a, &first, "GET", NOW, 1, ADMIN_ROLE_ADMIN, &caller, &f).ok);
	assert_true(ask(a, &second, "GET", NOW, 1, ADMIN_ROLE_VIEWER, &caller, &f).ok);
	admin_auth_close(a);
}

static void test_a_master_that_others_can_read_is_refused(void **state)
{
	(void)state;
	make_key(ADMIN_ROLE_ADMIN);
	struct admin_auth *a = NULL;
	struct fault f = {0};
	assert_int_equal(chmod(master_path, 0640), 0);
	expect_refused(admin_auth_open(db_path, master_path, "mooring-1", &a, &f), &f, REASON_IO);
	assert_non_null(strstr(f.text, "chmod 600"));
	assert_int_equal(chmod(master_path, 0600), 0);
	assert_int_equal(truncate(master_path, 16), 0);
	expect_refused(admin_auth_open(db_path, master_path, "mooring-1", &a, &f), &f, REASON_CONFIG);
	assert_null(a);
}

/* The daemon runs before the first key is made, and needs no restart after. */
static void test_before_init_all_are_refused_and_after_it_none(void **state)
{
	(void)state;
	struct key stranger = {"MOORSTRANGER", "bm90IGEgc2VjcmV0IG9mIHRoaXMgbWFzdGVyIGFs"};
	struct admin_auth *a = open_auth();
	struct admin_caller caller;
	struct fault f = {0};
	expect_refused(ask(a, &stranger, "GET", NOW, 1, ADMIN_ROLE_VIEWER, &caller, &f), &f,
		       REASON_UNKNOWN_KEY);
	assert_non_null(strstr(f.text, "mooringctl admin init"));
	struct key key = make_key(ADMIN_ROLE_VIEWER);
	assert_true(ask(a, &key, "GET", NOW, 1, ADMIN_ROLE_VIEWER, &caller, &f).ok);
	expect_refused(ask(a, &stranger, "GET", NOW, 1, ADMIN_ROLE_VIEWER, &caller, &f), &f,
		       REASON_SIGV4_MISMATCH);
	admin_auth_close(a);
}

static void test_a_key_taken_out_of_the_store_ends_at_once(void **state)
{
	(void)state;
	struct key key = make_key(ADMIN_ROLE_ADMIN);
	struct admin_auth *a = open_auth();
	struct admin_caller caller;
	struct fault f = {0};
	sqlite3 *db = NULL;
	assert_true(ask(a, &key, "GET", NOW, 1, ADMIN_ROLE_VIEWER, &caller, &f).ok);
	assert_true(db_open(db_path, "", 0, &db, &f).ok);
	assert_true(db_exec(db, "UPDATE admin_keys SET state = 'inactive'", &f).ok);
	expect_refused(ask(a, &key, "GET", NOW, 1, ADMIN_ROLE_VIEWER, &caller, &f), &f, REASON_UNKNOWN_KEY);
	assert_true(db_exec(db, "UPDATE admin_keys SET state = 'active', role = 'emperor'", &f).ok);
	expect_refused(ask(a, &key, "GET", NOW, 1, ADMIN_ROLE_VIEWER, &caller, &f), &f, REASON_UNKNOWN_KEY);
	sqlite3_close(db);
	admin_auth_close(a);
}

static void take_row(const struct admin_key_row *key, void *arg)
{
	char *text = arg;
	sprintf(text + strlen(text), "%s %s %s;", key->id, key->role, key->state);
	assert_true(key->created > 0);
}

static void test_an_ended_key_is_refused_and_stays_listed(void **state)
{
	(void)state;
	struct key key = make_key(ADMIN_ROLE_OPERATOR);
	struct admin_auth *a = open_auth();
	struct admin_caller caller;
	struct fault f = {0};
	char list[200] = "", expected[200];
	assert_true(ask(a, &key, "GET", NOW, 1, ADMIN_ROLE_VIEWER, &caller, &f).ok);
	assert_true(admin_key_end(db_path, key.id, &f).ok);
	expect_refused(ask(a, &key, "GET", NOW, 1, ADMIN_ROLE_VIEWER, &caller, &f), &f, REASON_UNKNOWN_KEY);
	expect_refused(admin_key_end(db_path, key.id, &f), &f, REASON_NOT_FOUND);
	expect_refused(admin_key_end(db_path, "nobody", &f), &f, REASON_NOT_FOUND);
	assert_true(admin_key_list(db_path, take_row, list, &f).ok);
	snprintf(expected, sizeof expected, "%s operator ended;", key.id);
	assert_string_equal(list, expected);
	expect_refused(admin_key_end("/nonexistent/gateway.db", "x", &f), &f, REASON_IO);
	admin_auth_close(a);
}

static void test_other_region_service_time_and_secret_are_refused(void **state)
{
	(void)state;
	struct key key = make_key(ADMIN_ROLE_ADMIN), other = key;
	struct admin_auth *a = open_auth();
	struct admin_caller caller;
	struct fault f = {0};
	struct signed_request s;
	make_request(&s, &key, "GET", NOW, 1, "us-east-1", "mooring");
	expect_refused(admin_auth_check_request(a, &s.request, NOW, ADMIN_ROLE_VIEWER, &caller, &f), &f,
		       REASON_SIGV4_MISMATCH);
	assert_non_null(strstr(f.text, "region us-east-1"));
	free(s.authorization);
	make_request(&s, &key, "GET", NOW, 1, "mooring-1", "s3");
	expect_refused(admin_auth_check_request(a, &s.request, NOW, ADMIN_ROLE_VIEWER, &caller, &f), &f,
		       REASON_SIGV4_MISMATCH);
	assert_non_null(strstr(f.text, "service s3"));
	s.request.header_count = 3;
	expect_refused(admin_auth_check_request(a, &s.request, NOW, ADMIN_ROLE_VIEWER, &caller, &f), &f,
		       REASON_NO_SIGNATURE);
	free(s.authorization);
	make_request(&s, &key, "GET", NOW, 1, "mooring-1", "iot");
	assert_true(admin_auth_check_request(a, &s.request, NOW, ADMIN_ROLE_VIEWER, &caller, &f).ok);
	assert_string_equal(caller.service, "iot");
	free(s.authorization);
	expect_refused(ask(a, &key, "GET", NOW - 301, 1, ADMIN_ROLE_VIEWER, &caller, &f), &f,
		       REASON_SIGV4_SKEW);
	expect_refused(ask(a, &key, "GET", NOW + 301, 1, ADMIN_ROLE_VIEWER, &caller, &f), &f,
		       REASON_SIGV4_SKEW);
	other.secret[0] ^= 1;
	expect_refused(ask(a, &other, "GET", NOW, 1, ADMIN_ROLE_VIEWER, &caller, &f), &f,
		       REASON_SIGV4_MISMATCH);
	admin_auth_close(a);
}

static void test_a_change_is_accepted_once_also_over_a_restart(void **state)
{
	(void)state;
	struct key key = make_key(ADMIN_ROLE_ADMIN);
	struct admin_auth *a = open_auth();
	struct admin_caller caller;
	struct fault f = {0};
	static const char *const changing[] = {"POST", "PUT", "PATCH", "DELETE"};
	for (size_t i = 0; i < 4; i++) {
		assert_true(ask(a, &key, changing[i], NOW, 1, ADMIN_ROLE_ADMIN, &caller, &f).ok);
		expect_refused(ask(a, &key, changing[i], NOW, 1, ADMIN_ROLE_ADMIN, &caller, &f), &f,
			       REASON_SIGV4_REPLAY);
	}
	for (int i = 0; i < 2; i++)
		assert_true(ask(a, &key, "GET", NOW, 1, ADMIN_ROLE_ADMIN, &caller, &f).ok);
	admin_auth_close(a);
	a = open_auth();
	expect_refused(ask(a, &key, "POST", NOW, 1, ADMIN_ROLE_ADMIN, &caller, &f), &f, REASON_SIGV4_REPLAY);
	assert_true(ask(a, &key, "POST", NOW, 2, ADMIN_ROLE_ADMIN, &caller, &f).ok);
	admin_auth_close(a);
}

static void test_a_change_refused_by_role_can_be_made_later(void **state)
{
	(void)state;
	struct key key = make_key(ADMIN_ROLE_VIEWER);
	struct admin_auth *a = open_auth();
	struct admin_caller caller;
	struct fault f = {0};
	expect_refused(ask(a, &key, "POST", NOW, 1, ADMIN_ROLE_ADMIN, &caller, &f), &f, REASON_ROLE);
	sqlite3 *db = NULL;
	assert_true(db_open(db_path, "", 0, &db, &f).ok);
	assert_true(db_exec(db, "UPDATE admin_keys SET role = 'admin'", &f).ok);
	sqlite3_close(db);
	assert_true(ask(a, &key, "POST", NOW, 1, ADMIN_ROLE_ADMIN, &caller, &f).ok);
	admin_auth_close(a);
}

struct race {
	struct admin_auth *auth;
	const struct sigv4_request *request;
	bool accepted;
};

static void *run_race(void *arg)
{
	struct race *race = arg;
	struct admin_caller caller;
	race->accepted =
		admin_auth_check_request(race->auth, race->request, NOW, ADMIN_ROLE_ADMIN, &caller, NULL).ok;
	return NULL;
}

static void test_of_threads_with_the_same_change_one_wins(void **state)
{
	(void)state;
	enum { THREADS = 8 };
	struct key key = make_key(ADMIN_ROLE_ADMIN);
	struct admin_auth *a = open_auth();
	struct signed_request s;
	struct race races[THREADS];
	pthread_t threads[THREADS];
	unsigned accepted = 0;
	make_request(&s, &key, "POST", NOW, 1, "mooring-1", "mooring");
	for (size_t i = 0; i < THREADS; i++) {
		races[i] = (struct race){a, &s.request, false};
		assert_int_equal(pthread_create(&threads[i], NULL, run_race, &races[i]), 0);
	}
	for (size_t i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		accepted += races[i].accepted;
	}
	assert_int_equal(accepted, 1);
	free(s.authorization);
	admin_auth_close(a);
}

static void test_memory_of_signatures_is_bounded_and_forgets_what_is_past(void **state)
{
	(void)state;
	struct admin_seen *s = NULL;
	uint8_t signature[SHA256_SIZE] = {0};
	assert_true(admin_seen_open(seen_path, &s, NULL).ok);
	for (uint8_t i = 0; i < 16; i++) { /* one bucket: the first two bytes stay the same */
		signature[31] = i;
		assert_int_equal(admin_seen_add(s, signature, NOW + 300, NOW), SEEN_NEW);
		assert_int_equal(admin_seen_add(s, signature, NOW + 300, NOW), SEEN_BEFORE);
	}
	signature[31] = 16;
	assert_int_equal(admin_seen_add(s, signature, NOW + 300, NOW + 300), SEEN_FULL);
	assert_int_equal(admin_seen_add(s, signature, NOW + 600, NOW + 301), SEEN_NEW);
	signature[0] = 1;
	assert_int_equal(admin_seen_add(s, signature, NOW + 300, NOW), SEEN_NEW);
	admin_seen_close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_a_made_key_is_accepted_with_its_role, remove_files),
		cmocka_unit_test_teardown(test_files_of_keys_are_private, remove_files),
		cmocka_unit_test_teardown(test_key_and_master_are_never_overwritten, remove_files),
		cmocka_unit_test_teardown(test_a_master_that_others_can_read_is_refused, remove_files),
		cmocka_unit_test_teardown(test_before_init_all_are_refused_and_after_it_none, remove_files),
		cmocka_unit_test_teardown(test_a_key_taken_out_of_the_store_ends_at_once, remove_files),
		cmocka_unit_test_teardown(test_an_ended_key_is_refused_and_stays_listed, remove_files),
		cmocka_unit_test_teardown(test_other_region_service_time_and_secret_are_refused,
					  remove_files),
		cmocka_unit_test_teardown(test_a_change_is_accepted_once_also_over_a_restart, remove_files),
		cmocka_unit_test_teardown(test_a_change_refused_by_role_can_be_made_later, remove_files),
		cmocka_unit_test_teardown(test_of_threads_with_the_same_change_one_wins, remove_files),
		cmocka_unit_test_teardown(test_memory_of_signatures_is_bounded_and_forgets_what_is_past,
					  remove_files),
	};
	log_init("admin_auth_test", LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
