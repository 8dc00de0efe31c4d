/* Statements and rows: bound and read from the left, prepared once a connection; a reader changes nothing. */
#include "common/db/db_query.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char schema[] = "CREATE TABLE things(id INTEGER PRIMARY KEY, name TEXT, data BLOB) STRICT;";
static const char sql_insert[] = "INSERT INTO things(id, name, data) VALUES(?, ?, ?)";
static const char sql_all[] = "SELECT id, name, data FROM things ORDER BY id";

static char folder[] = "/tmp/db_query_test.XXXXXX";
static char path[64];
static struct conn conn;

static int open_folder(void **state)
{
	struct fault f;
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof path, "%s/x.db", folder);
	return db_open(path, schema, 1, &conn.db, &f).ok ? 0 : -1;
}

static int remove_folder(void **state)
{
	char command[100];
	(void)state;
	conn_close(&conn);
	snprintf(command, sizeof command, "rm -r %s", folder);
	return system(command);
}

static int no_things(void **state)
{
	struct fault f;
	(void)state;
	return query_exec(&conn, "DELETE FROM things", &f).ok ? 0 : -1;
}

static void insert(int64_t id, const char *name, const void *data, size_t n)
{
	struct query q = query_start(&conn, sql_insert);
	struct fault f;
	query_int(&q, id);
	query_text(&q, name);
	query_blob(&q, data, n);
	if (!query_run(&q, &f).ok)
		fail_msg("%s", f.text);
}

static void test_what_is_bound_is_read_again(void **state)
{
	struct query q = query_start(&conn, sql_all);
	struct fault f;
	bool row;
	char name[4];
	uint8_t data[3];
	(void)state;
	insert(-7, "seven", "abc", 3);
	insert(8, "", NULL, 0);
	assert_true(query_row(&q, &row, &f).ok && row);
	assert_int_equal(column_int(&q), -7);
	assert_string_equal(column_text(&q), "seven");
	column_copy(&q, data, sizeof data);
	assert_memory_equal(data, "abc", 3);
	assert_true(query_row(&q, &row, &f).ok && row);
	assert_int_equal(column_int(&q), 8);
	assert_string_equal(column_text(&q), "");
	assert_int_equal(column_blob(&q).n, 0);
	assert_true(query_row(&q, &row, &f).ok && !row);
	q = query_start(&conn, sql_all);
	assert_true(query_row(&q, &row, &f).ok && row);
	column_int(&q);
	column_string(&q, name, sizeof name);
	assert_string_equal(name, "sev");
	memset(data, 1, sizeof data);
	column_copy(&q, data, 2); /* not its size */
	assert_memory_equal(data, "\0\0\1", 3);
	query_end(&q);
}

static void test_a_statement_is_prepared_once_and_used_often(void **state)
{
	(void)state;
	insert(1, "a", NULL, 0);
	sqlite3_stmt *first = query_start(&conn, sql_insert).statement;
	for (int64_t i = 2; i < 10; i++)
		insert(i, "a", "x", 1);
	assert_non_null(first);
	assert_ptr_equal(query_start(&conn, sql_insert).statement, first);
}

/* However many statements a program has: all stay prepared, and each is found again. */
static void test_a_connection_holds_any_number_of_statements(void **state)
{
	enum { MANY = 1000 };
	static char texts[MANY][24];
	struct fault f;
	(void)state;
	for (int round = 0; round < 2; round++)
		for (int i = 0; i < MANY; i++) {
			int64_t n;
			snprintf(texts[i], sizeof texts[i], "SELECT %d", i);
			struct query q = query_start(&conn, texts[i]);
			assert_true(query_number(&q, -1, &n, &f).ok);
			assert_int_equal(n, i);
			assert_ptr_equal(query_start(&conn, texts[i]).statement, q.statement);
		}
}

static void test_one_number_is_read_or_its_default(void **state)
{
	static const char sql[] = "SELECT id FROM things WHERE name = ?";
	struct query q = query_start(&conn, sql);
	struct fault f;
	int64_t id;
	(void)state;
	insert(5, "five", NULL, 0);
	query_text(&q, "five");
	assert_true(query_number(&q, -1, &id, &f).ok);
	assert_int_equal(id, 5);
	q = query_start(&conn, sql);
	query_text(&q, "six");
	assert_true(query_number(&q, -1, &id, &f).ok);
	assert_int_equal(id, -1);
}

static void test_what_the_database_refuses_is_told_with_its_sql(void **state)
{
	static const char no_sql[] = "SELECT id FROM nowhere";
	struct query q = query_start(&conn, sql_insert);
	struct fault f = {0};
	(void)state;
	insert(1, "a", NULL, 0);
	query_int(&q, 1);
	query_text(&q, "again");
	query_blob(&q, NULL, 0);
	assert_false(query_run(&q, &f).ok);
	assert_int_equal(f.reason, REASON_STORE_UNAVAILABLE);
	assert_non_null(strstr(f.text, sql_insert));
	assert_false(query_exec(&conn, no_sql, &f).ok);
	if (!strstr(f.text, "nowhere"))
		fail_msg("%s", f.text);
	insert(2, "b", NULL, 0); /* the connection goes on */
}

static void test_a_reader_reads_and_changes_nothing(void **state)
{
	static const char sql[] = "SELECT count(*) FROM things";
	struct conn reader = {0};
	struct fault f = {0};
	int64_t count;
	(void)state;
	insert(1, "a", NULL, 0);
	assert_true(db_open_reader(path, &reader.db, &f).ok);
	struct query q = query_start(&reader, sql);
	assert_true(query_number(&q, -1, &count, &f).ok);
	assert_int_equal(count, 1);
	assert_false(query_exec(&reader, "DELETE FROM things", &f).ok);
	conn_close(&reader);
	assert_false(db_open_reader("/nonexistent/x.db", &reader.db, &f).ok);
	assert_int_equal(f.reason, REASON_STORE_UNAVAILABLE);
	assert_non_null(strstr(f.text, "/nonexistent/x.db"));
	conn_close(&reader);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_what_is_bound_is_read_again, no_things),
		cmocka_unit_test_setup(test_a_statement_is_prepared_once_and_used_often, no_things),
		cmocka_unit_test_setup(test_a_connection_holds_any_number_of_statements, no_things),
		cmocka_unit_test_setup(test_one_number_is_read_or_its_default, no_things),
		cmocka_unit_test_setup(test_what_the_database_refuses_is_told_with_its_sql, no_things),
		cmocka_unit_test_setup(test_a_reader_reads_and_changes_nothing, no_things),
	};
	return cmocka_run_group_tests(tests, open_folder, remove_folder);
}
