/* SQLite as Mooring uses it: pragmas, schema versions, and which reason an error becomes. */
#include "common/db/db.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const char schema[] = "CREATE TABLE parent(id INTEGER PRIMARY KEY) STRICT;"
			     "CREATE TABLE child(id INTEGER REFERENCES parent(id), data BLOB) STRICT;";

static char folder[] = "/tmp/db_test.XXXXXX";
static char path[64];

static int make_folder(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof path, "%s/x.db", folder);
	return 0;
}

static int remove_files(void **state)
{
	(void)state;
	char other[80];
	unlink(path);
	snprintf(other, sizeof other, "%s-wal", path);
	unlink(other);
	snprintf(other, sizeof other, "%s-shm", path);
	unlink(other);
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	return rmdir(folder);
}

static sqlite3 *open_ok(int version)
{
	sqlite3 *db = NULL;
	struct fault f = {0};
	if (!db_open(path, schema, version, &db, &f).ok)
		fail_msg("%s", f.text);
	return db;
}

static int64_t pragma(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *q = NULL;
	assert_true(db_prepare(db, sql, &q, NULL).ok);
	assert_int_equal(sqlite3_step(q), SQLITE_ROW);
	int64_t v = sqlite3_column_int64(q, 0);
	sqlite3_finalize(q);
	return v;
}

static void test_new_database_is_durable_and_strict(void **state)
{
	(void)state;
	sqlite3 *db = open_ok(3);
	sqlite3_stmt *q = NULL;
	assert_true(db_prepare(db, "PRAGMA journal_mode", &q, NULL).ok);
	assert_int_equal(sqlite3_step(q), SQLITE_ROW);
	assert_string_equal((const char *)sqlite3_column_text(q, 0), "wal");
	sqlite3_finalize(q);
	assert_int_equal(pragma(db, "PRAGMA synchronous"), 2);
	assert_int_equal(pragma(db, "PRAGMA foreign_keys"), 1);
	assert_int_equal(pragma(db, "PRAGMA user_version"), 3);
	struct fault f = {0};
	assert_false(db_exec(db, "INSERT INTO child VALUES(1, NULL)", &f).ok);
	assert_int_equal(f.reason, REASON_STORE_UNAVAILABLE);
	assert_non_null(strstr(f.text, "FOREIGN KEY"));
	struct stat st;
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	sqlite3_close(db);
}

static void test_schema_is_applied_once(void **state)
{
	(void)state;
	sqlite3 *db = open_ok(3);
	assert_true(db_exec(db, "INSERT INTO parent VALUES(7)", NULL).ok);
	sqlite3_close(db);
	db = open_ok(3);
	assert_int_equal(pragma(db, "SELECT id FROM parent"), 7);
	sqlite3_close(db);
}

static void test_other_schema_version_is_refused(void **state)
{
	(void)state;
	sqlite3_close(open_ok(3));
	sqlite3 *db = NULL;
	struct fault f = {0};
	assert_false(db_open(path, schema, 4, &db, &f).ok);
	assert_null(db);
	assert_non_null(strstr(f.text, "schema version 3, this program needs 4"));
}

static void test_a_guest_leaves_the_version_alone(void **state)
{
	(void)state;
	sqlite3 *db = NULL;
	static const char guest[] = "CREATE TABLE IF NOT EXISTS guest(x INT) STRICT";
	assert_true(db_open(path, guest, 0, &db, NULL).ok);
	assert_int_equal(pragma(db, "PRAGMA user_version"), 0);
	sqlite3_close(db);
	sqlite3_close(open_ok(3));
	assert_true(db_open(path, guest, 0, &db, NULL).ok);
	assert_int_equal(pragma(db, "PRAGMA user_version"), 3);
	assert_int_equal(pragma(db, "SELECT count(*) FROM sqlite_schema"), 3);
	sqlite3_close(db);
}

static void test_failing_schema_leaves_an_empty_database(void **state)
{
	(void)state;
	sqlite3 *db = NULL;
	struct fault f = {0};
	assert_false(db_open(path, "CREATE TABLE t(x INT) STRICT; CREATE nonsense", 1, &db, &f).ok);
	assert_int_equal(f.reason, REASON_STORE_UNAVAILABLE);
	db = open_ok(3);
	assert_int_equal(pragma(db, "SELECT count(*) FROM sqlite_schema WHERE name='t'"), 0);
	sqlite3_close(db);
}

static void test_a_file_that_is_no_database_is_refused(void **state)
{
	(void)state;
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	for (int i = 0; i < 2000; i++)
		fputc('x', file);
	fclose(file);
	sqlite3 *db = NULL;
	struct fault f = {0};
	assert_false(db_open(path, schema, 3, &db, &f).ok);
	assert_int_equal(f.reason, REASON_STORE_UNAVAILABLE);
}

/* A file size limit stands for a full disk: write(2) fails the same way. */
static int write_until_refused(void)
{
	struct rlimit small = {200000, 200000};
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &small);
	struct fault f = {0};
	sqlite3 *db = NULL;
	if (!db_open(path, schema, 3, &db, &f).ok)
		return 2;
	for (int i = 0; i < 200; i++)
		if (!db_exec(db, "INSERT INTO child VALUES(NULL, randomblob(100000))", &f).ok)
			return f.reason == REASON_DISK_FULL ? 0 : 3;
	return 4;
}

static void test_a_write_that_does_not_fit_is_disk_full(void **state)
{
	(void)state;
	int status;
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(write_until_refused());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_new_database_is_durable_and_strict, remove_files),
		cmocka_unit_test_teardown(test_schema_is_applied_once, remove_files),
		cmocka_unit_test_teardown(test_other_schema_version_is_refused, remove_files),
		cmocka_unit_test_teardown(test_a_guest_leaves_the_version_alone, remove_files),
		cmocka_unit_test_teardown(test_failing_schema_leaves_an_empty_database, remove_files),
		cmocka_unit_test_teardown(test_a_file_that_is_no_database_is_refused, remove_files),
		cmocka_unit_test_teardown(test_a_write_that_does_not_fit_is_disk_full, remove_files),
	};
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
