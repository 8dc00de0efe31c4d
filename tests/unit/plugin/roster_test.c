#include "plugin/roster.h"

#include "broker_stub.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { MANY = 20000, A_WHILE_US = 10000000 };

static struct fault f;
static struct retire retire;
static struct {
	struct roster roster;
	struct table *table;
	struct sessions *sessions;
	struct mosquitto *clients;
} t;

static const uint8_t *fingerprint(unsigned n)
{
	static uint8_t fp[SHA256_SIZE];
	sha256(bytes_of(&n, sizeof n), fp);
	return fp;
}

static void put(unsigned n, const char *name, unsigned flags)
{
	struct feed_record r = {.type = FEED_CERTIFICATE,
				.fingerprint = {fingerprint(n), SHA256_SIZE},
				.not_after = 4000000000,
				.name = bytes_str(name),
				.policy = bytes_str("p"),
				.flags = flags};
	assert_true(table_put(t.table, &r, &f, &f).ok);
}

static void come(unsigned n, const char *client_id)
{
	struct session *s = sessions_add(t.sessions, &t.clients[n], t.table,
					 table_find(t.table, fingerprint(n)), client_id, INT64_MAX);
	assert_non_null(s);
	s->address = strdup("192.0.2.1");
	s->protocol = 5;
}

static int set_up(void **state)
{
	(void)state;
	memset(&t, 0, sizeof t);
	t.table = table_new(&retire);
	t.sessions = sessions_new();
	t.clients = calloc(MANY, sizeof *t.clients);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	roster_free(&t.roster);
	sessions_free(t.sessions);
	table_free(t.table);
	retire_all(&retire);
	free(t.clients);
	return 0;
}

static void ask(const char *name, int64_t after_us, int64_t limit)
{
	static const uint8_t id[FEED_QUESTION_SIZE] = {0xab};
	const struct feed_record q = {.type = FEED_SESSIONS,
				      .question = bytes_of(id, sizeof id),
				      .after_us = after_us,
				      .limit = limit,
				      .name = bytes_str(name)};
	roster_ask(&t.roster, &q);
}

/* The page that comes back; caller json_decref. */
static json_t *page(void)
{
	struct buf body = {0};
	assert_true(roster_put(&t.roster));
	while (roster_copy(&t.roster, t.sessions, A_WHILE_US) == ROSTER_BROKER)
		;
	assert_true(roster_answer(&t.roster, "b", "5678", &body));
	json_t *root = json_loadb((const char *)body.p, body.n, 0, NULL);
	assert_non_null(root);
	buf_free(&body);
	return root;
}

static json_t *ask_page(const char *name, int64_t after_us, int64_t limit)
{
	ask(name, after_us, limit);
	return page();
}

static const char *text(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static json_t *row(const json_t *answer, size_t i)
{
	return json_array_get(json_object_get(answer, "sessions"), i);
}

static size_t rows(const json_t *answer)
{
	return json_array_size(json_object_get(answer, "sessions"));
}

static void test_a_page_says_who_is_connected(void **state)
{
	(void)state;
	put(1, "lamp", 0);
	put(2, "reader", FEED_SERVICE);
	come(1, "lamp \"1\" \xc3\xa9");
	come(2, "r");
	json_t *a = ask_page("", 0, 10);
	assert_string_equal(text(a, "broker"), "b");
	assert_string_equal(text(a, "stream"), "5678");
	assert_string_equal(text(a, "question"), "ab000000000000000000000000000000");
	assert_int_equal(json_integer_value(json_object_get(a, "live")), 2);
	assert_true(json_is_false(json_object_get(a, "more")));
	assert_int_equal(rows(a), 2);
	assert_string_equal(text(row(a, 0), "name"), "lamp");
	assert_true(json_is_false(json_object_get(row(a, 0), "service")));
	assert_string_equal(text(row(a, 0), "client_id"), "lamp \"1\" \xc3\xa9");
	assert_string_equal(text(row(a, 0), "address"), "192.0.2.1");
	assert_int_equal(json_integer_value(json_object_get(row(a, 0), "protocol")), 5);
	assert_int_equal(strlen(text(row(a, 0), "certificateId")), 64);
	assert_true(json_integer_value(json_object_get(row(a, 0), "since_us")) > 1600000000000000);
	assert_true(json_is_true(json_object_get(row(a, 1), "service")));
	json_decref(a);
}

static void test_nothing_is_asked_of_tick_while_nobody_asks(void **state)
{
	struct buf body = {0};
	(void)state;
	put(1, "lamp", 0);
	come(1, "lamp");
	assert_false(roster_put(&t.roster));
	assert_int_equal(roster_copy(&t.roster, t.sessions, A_WHILE_US), ROSTER_NOBODY);
	assert_false(roster_answer(&t.roster, "b", "s", &body));
	json_decref(ask_page("", 0, 10));
	assert_null(t.roster.rows); /* nothing is kept either */
	assert_int_equal(roster_copy(&t.roster, t.sessions, A_WHILE_US), ROSTER_NOBODY);
}

static void test_one_thing_is_found_among_many(void **state)
{
	char name[16];
	(void)state;
	for (unsigned n = 0; n < 2000; n++) {
		snprintf(name, sizeof name, "thing-%u", n);
		put(n, name, 0);
		come(n, name);
	}
	json_t *a = ask_page("thing-1234", 0, 10);
	assert_int_equal(rows(a), 1);
	assert_string_equal(text(row(a, 0), "client_id"), "thing-1234");
	assert_int_equal(json_integer_value(json_object_get(a, "live")), 2000);
	json_decref(a);
	a = ask_page("thing-12345", 0, 10);
	assert_int_equal(rows(a), 0);
	json_decref(a);
}

static void fill(unsigned count)
{
	char id[16];
	put(0, "thing", 0);
	for (unsigned n = 0; n < count; n++) {
		snprintf(id, sizeof id, "id-%u", n);
		assert_non_null(sessions_add(t.sessions, &t.clients[n], t.table,
					     table_find(t.table, fingerprint(0)), id, INT64_MAX));
	}
}

/* Each once, in order, although others go meanwhile. */
static void test_pages_follow_each_other_while_sessions_come_and_go(void **state)
{
	int64_t after = 0;
	unsigned expected = 0, pages = 0;
	bool more = true;
	(void)state;
	fill(MANY);
	while (more) {
		char id[16];
		json_t *a = ask_page("", after, FEED_SESSIONS_MAX);
		assert_true(rows(a) > 0 && rows(a) <= FEED_SESSIONS_MAX);
		for (size_t i = 0; i < rows(a); i++) {
			snprintf(id, sizeof id, "id-%u", expected++);
			assert_string_equal(text(row(a, i), "client_id"), id);
		}
		after = json_integer_value(json_object_get(row(a, rows(a) - 1), "since_us"));
		more = json_is_true(json_object_get(a, "more"));
		json_decref(a);
		for (unsigned n = pages++; n < expected; n += 7)
			sessions_depart(t.sessions, &t.clients[n]);
		sessions_forget_departed(t.sessions);
	}
	assert_int_equal(expected, MANY);
	assert_int_equal(pages, MANY / FEED_SESSIONS_MAX);
}

static void test_the_brokers_thread_looks_for_a_short_while_at_once(void **state)
{
	(void)state;
	fill(MANY);
	ask("nobody", 0, 1);
	assert_true(roster_put(&t.roster));
	assert_int_equal(roster_copy(&t.roster, t.sessions, 0), ROSTER_BROKER);
	unsigned turns = 1;
	while (roster_copy(&t.roster, t.sessions, 0) == ROSTER_BROKER)
		turns++;
	assert_in_range(turns, 100, MANY);
	assert_int_equal(atomic_load(&t.roster.turn), ROSTER_FEED);
}

/* Client ids that are long as JSON: a page ends before it is larger than the gateway takes, and says so. */
static void test_a_page_of_long_names_is_shorter(void **state)
{
	char id[ROSTER_CLIENT_ID_SIZE];
	struct buf body = {0};
	(void)state;
	memset(id, '"', sizeof id - 1);
	id[sizeof id - 1] = '\0';
	put(0, "thing", 0);
	for (unsigned n = 0; n < FEED_SESSIONS_MAX; n++)
		assert_non_null(sessions_add(t.sessions, &t.clients[n], t.table,
					     table_find(t.table, fingerprint(0)), id, INT64_MAX));
	ask("", 0, FEED_SESSIONS_MAX);
	assert_true(roster_put(&t.roster));
	while (roster_copy(&t.roster, t.sessions, A_WHILE_US) == ROSTER_BROKER)
		;
	assert_true(roster_answer(&t.roster, "b", "s", &body));
	assert_in_range(body.n, ROSTER_BODY_MAX - 1000, ROSTER_BODY_MAX + 1000);
	json_t *a = json_loadb((const char *)body.p, body.n, 0, NULL);
	assert_in_range(rows(a), 300, FEED_SESSIONS_MAX - 1);
	assert_true(json_is_true(json_object_get(a, "more")));
	json_decref(a);
	buf_free(&body);
}

static void test_questions_wait_for_each_other_and_are_bounded(void **state)
{
	(void)state;
	put(1, "lamp", 0);
	come(1, "lamp");
	for (int i = 0; i < 100; i++)
		ask("", i, 1);
	assert_int_equal(t.roster.waiting_count, ROSTER_WAITING_MAX);
	assert_true(roster_put(&t.roster));
	assert_false(roster_put(&t.roster)); /* one at a time */
	assert_int_equal(t.roster.question.after_us, 0);
	assert_int_equal(t.roster.waiting[0].after_us, 1);
	roster_forget(&t.roster);
	assert_int_equal(t.roster.waiting_count, 0);
}

static void test_a_certificate_that_is_registered_no_more_has_no_name(void **state)
{
	(void)state;
	put(1, "lamp", 0);
	come(1, "lamp");
	struct feed_record gone = {.type = FEED_REMOVED, .fingerprint = {fingerprint(1), SHA256_SIZE}};
	assert_true(table_put(t.table, &gone, &f, &f).ok);
	json_t *a = ask_page("", 0, 1);
	assert_string_equal(text(row(a, 0), "name"), "");
	assert_string_equal(text(row(a, 0), "client_id"), "lamp");
	json_decref(a);
	a = ask_page("lamp", 0, 1);
	assert_int_equal(rows(a), 0);
	json_decref(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_page_says_who_is_connected, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_nothing_is_asked_of_tick_while_nobody_asks, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_one_thing_is_found_among_many, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_pages_follow_each_other_while_sessions_come_and_go,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_the_brokers_thread_looks_for_a_short_while_at_once,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_page_of_long_names_is_shorter, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_questions_wait_for_each_other_and_are_bounded, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_a_certificate_that_is_registered_no_more_has_no_name,
						set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
