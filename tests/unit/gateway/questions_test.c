#include "site_fixture.h"

#include "gateway/feed/feed_internal.h"

enum { SINCE = 1700000000 };
#define CERTIFICATE "abababababababababababababababababababababababababababababababab"

/* ---- a broker that answers ---- */

static struct site_broker *live_broker(const char *name, int version)
{
	struct site_broker *b = site_broker_new(name);
	b->version = version;
	site_broker_dial(b);
	do
		site_broker_frame(b);
	while (b->kind != FEED_HEARTBEAT);
	return b;
}

static void wait_for_question(struct site_broker *b)
{
	do
		site_broker_frame(b);
	while (b->kind != FEED_QUESTION);
}

/* Sessions number `from` to `to`, in the words of the plugin. */
static void add_sessions(struct buf *body, int from, int to)
{
	for (int i = from; i <= to; i++)
		buf_printf(
			body,
			"%s{\"name\":\"thing-%d\",\"service\":%s,\"client_id\":\"id-%d\",\"certificateId\":"
			"\"" CERTIFICATE "\",\"since_us\":%lld,\"address\":\"192.0.2.1\",\"protocol\":%d}",
			i == from ? "" : ",", i, i % 2 ? "false" : "true", i, SINCE * 1000000LL + i,
			3 + i % 3);
}

static char *page(const struct site_broker *b, const char *name, int from, int to, bool more)
{
	char id[HEX_SIZE(FEED_QUESTION_SIZE)];
	struct buf body = {0};
	hex_encode(bytes_of(b->asked.id, FEED_QUESTION_SIZE), id);
	buf_printf(&body,
		   "{\"broker\":\"%s\",\"stream\":\"%s\",\"question\":\"%s\",\"live\":100,\"sessions\":[",
		   name, b->stream, id);
	add_sessions(&body, from, to);
	buf_printf(&body, "],\"more\":%s}", more ? "true" : "false");
	return buf_take_str(&body);
}

static void assert_posted(struct site_broker *b, const char *body, int status, const char *code)
{
	struct site_answer a = site_broker_post_to(b, "/v1/feed/sessions", body);
	if (a.status != status || strcmp(site_code(&a), code) != 0)
		fail_msg("%d %s instead of %d %s: %s", a.status, site_code(&a), status, code, a.text);
	site_answer_free(&a);
}

static void answer(struct site_broker *b, const char *name, int from, int to, bool more)
{
	wait_for_question(b);
	char *body = page(b, name, from, to, more);
	assert_posted(b, body, 204, "");
	free(body);
}

/* ---- an operator who asks ---- */

static int ask(const char *query)
{
	char uri[256];
	snprintf(uri, sizeof uri, "/v1/admin/sessions%s", query);
	return site_admin_send(site.viewer, "GET", uri, "");
}

static struct site_answer answered(int fd)
{
	struct site_answer a = site_receive(fd);
	if (a.status != 200)
		fail_msg("%s", a.text);
	return a;
}

static const char *text(const json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));
	return s ? s : "";
}

static const json_t *item(const struct site_answer *a, const char *list, size_t i)
{
	return json_array_get(json_object_get(a->json, list), i);
}

static size_t count(const struct site_answer *a)
{
	return json_array_size(json_object_get(a->json, "sessions"));
}

/* "broker-a answered, broker-b silent" */
static const char *states(const struct site_answer *a)
{
	static char out[256];
	size_t n = 0;
	*out = '\0';
	for (size_t i = 0; i < json_array_size(json_object_get(a->json, "brokers")); i++)
		n += (size_t)snprintf(out + n, sizeof out - n, "%s%s %s", i ? ", " : "",
				      text(item(a, "brokers", i), "name"),
				      text(item(a, "brokers", i), "state"));
	return out;
}

/* ---- what is answered ---- */

static void test_sessions_of_all_brokers_are_listed(void **state)
{
	struct site_broker *b = live_broker("broker-b", 2), *a = live_broker("broker-a", 2);
	(void)state;
	int question = ask("?limit=7");
	answer(b, "broker-b", 3, 4, false);
	assert_int_equal(b->asked.limit, 7);
	assert_int_equal(b->asked.after_us, 0);
	assert_string_equal(b->asked.name, "");
	answer(a, "broker-a", 1, 2, false);
	struct site_answer s = answered(question);
	assert_string_equal(states(&s), "broker-a answered, broker-b answered");
	assert_int_equal(json_integer_value(json_object_get(item(&s, "brokers", 0), "sessions")), 100);
	assert_int_equal(count(&s), 4);
	assert_true(json_is_null(json_object_get(s.json, "next")));
	const json_t *first = item(&s, "sessions", 0), *second = item(&s, "sessions", 1);
	assert_string_equal(text(first, "thing"), "thing-1");
	assert_true(json_is_null(json_object_get(first, "service")));
	assert_string_equal(text(first, "client_id"), "id-1");
	assert_string_equal(text(first, "certificateId"), CERTIFICATE);
	assert_string_equal(text(first, "broker"), "broker-a");
	assert_string_equal(text(first, "address"), "192.0.2.1");
	assert_string_equal(text(first, "protocol"), "3.1.1");
	assert_int_equal(json_integer_value(json_object_get(first, "connected_ms")), SINCE * 1000LL);
	assert_true(json_is_null(json_object_get(second, "thing")));
	assert_string_equal(text(second, "service"), "thing-2");
	assert_string_equal(text(item(&s, "sessions", 3), "broker"), "broker-b");
	site_answer_free(&s);
	site_broker_free(a);
	site_broker_free(b);
}

static void test_one_broker_or_one_thing_can_be_asked_for(void **state)
{
	struct site_broker *a = live_broker("broker-a", 2), *b = live_broker("broker-b", 2);
	(void)state;
	int question = ask("?thing=thing-9&broker=broker-b");
	answer(b, "broker-b", 9, 9, false);
	assert_string_equal(b->asked.name, "thing-9");
	struct site_answer s = answered(question);
	assert_string_equal(states(&s), "broker-b answered");
	assert_int_equal(count(&s), 1);
	site_answer_free(&s);
	s = answered(ask("?broker=nobody"));
	assert_string_equal(states(&s), "");
	site_answer_free(&s);
	site_broker_free(a);
	site_broker_free(b);
}

static void test_a_page_goes_on_where_the_one_before_ended(void **state)
{
	struct site_broker *a = live_broker("broker-a", 2), *b = live_broker("broker-b", 2);
	char query[128];
	(void)state;
	int question = ask("?limit=3");
	answer(a, "broker-a", 1, 2, false);
	answer(b, "broker-b", 5, 7, true);
	struct site_answer s = answered(question);
	assert_int_equal(count(&s), 3);
	assert_string_equal(text(s.json, "next"), "broker-b:1700000000000005");
	snprintf(query, sizeof query, "?limit=3&after=%s", text(s.json, "next"));
	site_answer_free(&s);
	question = ask(query);
	answer(b, "broker-b", 6, 8, false);
	assert_int_equal(b->asked.after_us, SINCE * 1000000LL + 5);
	s = answered(question);
	assert_string_equal(states(&s), "broker-b answered"); /* broker-a is through */
	assert_int_equal(count(&s), 3);
	assert_true(json_is_null(json_object_get(s.json, "next")));
	site_answer_free(&s);
	question = ask("?limit=2"); /* the first broker fills it to the brim */
	answer(a, "broker-a", 1, 2, false);
	answer(b, "broker-b", 5, 6, true);
	s = answered(question);
	assert_int_equal(count(&s), 2);
	assert_string_equal(text(s.json, "next"), "broker-b:0");
	site_answer_free(&s);
	question = ask("?limit=50"); /* a broker that says less than it was asked for has more */
	answer(a, "broker-a", 1, 4, true);
	answer(b, "broker-b", 5, 6, false);
	s = answered(question);
	assert_int_equal(count(&s), 4);
	assert_string_equal(text(s.json, "next"), "broker-a:1700000000000004");
	site_answer_free(&s);
	site_broker_free(a);
	site_broker_free(b);
}

/* ---- who does not answer ---- */

static void test_who_does_not_answer_is_named_after_two_seconds(void **state)
{
	struct site_broker *a = live_broker("broker-a", 2), *old = live_broker("broker-old", 0),
			   *silent = live_broker("broker-s", 2), *lost = live_broker("broker-x", 2);
	(void)state;
	site_broker_free(lost);
	int64_t began = clock_monotonic_ms();
	do {
		int question = ask("");
		answer(a, "broker-a", 1, 1, false);
		struct site_answer s = answered(question);
		bool noticed = !strcmp(states(&s), "broker-a answered, broker-old outdated, broker-s silent, "
						   "broker-x lost");
		assert_int_equal(count(&s), 1);
		site_answer_free(&s);
		if (noticed)
			break;
	} while (clock_monotonic_ms() - began < 20000);
	int64_t took = clock_monotonic_ms() - began;
	assert_in_range(took, 1900, 19999);
	wait_for_question(silent);
	char *late = page(silent, "broker-s", 1, 1, false);
	assert_posted(silent, late, 404, "not-found");
	free(late);
	site_broker_free(a);
	site_broker_free(silent);
	site_broker_free(old);
}

static void test_a_plugin_that_knows_no_questions_is_sent_none(void **state)
{
	struct site_broker *old = live_broker("broker-old", 0), *older = live_broker("broker-older", 1);
	uint8_t fp[FINGERPRINT_SIZE];
	struct store_stats stats;
	(void)state;
	struct site_answer s = answered(ask(""));
	assert_string_equal(states(&s), "broker-old outdated, broker-older outdated");
	site_answer_free(&s);
	enrol((struct ask){.device = 1, .key = 1}, fp);
	store_stats(fixture_store, &stats);
	for (int i = 0; i < 2; i++) {
		struct site_broker *b = i ? older : old;
		do {
			site_broker_frame(b);
			assert_int_not_equal(b->kind, FEED_QUESTION);
		} while (b->chain.seq < stats.last_seq);
		assert_int_equal(site_broker_state(b, fp), FEED_ACTIVE);
	}
	site_broker_free(old);
	site_broker_free(older);
}

static void test_a_broker_that_leaves_is_not_waited_for(void **state)
{
	struct site_broker *a = live_broker("broker-a", 2);
	(void)state;
	int question = ask("");
	wait_for_question(a);
	int64_t began = clock_monotonic_ms();
	site_broker_hang_up(a);
	struct site_answer s = answered(question);
	assert_true(clock_monotonic_ms() - began < 1500);
	assert_string_equal(states(&s), "broker-a lost");
	site_answer_free(&s);
	site_broker_free(a);
}

static void test_a_broker_that_is_still_catching_up_is_asked_when_it_has(void **state)
{
	enum { MANY = 600 };
	uint8_t fp[FINGERPRINT_SIZE];
	(void)state;
	for (int i = 0; i < MANY; i++)
		enrol((struct ask){.device = i + 1, .key = i + 1}, fp);
	struct site_broker *a = site_broker_new("broker-a");
	a->version = 2;
	site_broker_dial(a);
	int question = ask("");
	answer(a, "broker-a", 1, 1, false);
	struct site_answer s = answered(question);
	assert_string_equal(states(&s), "broker-a answered");
	site_answer_free(&s);
	assert_int_equal(a->row_count, MANY); /* the snapshot was whole before */
	site_broker_free(a);
}

/* ---- what is refused ---- */

static void assert_answer_refused(struct site_broker *b, const char *body, const char *from, const char *to)
{
	const char *at = strstr(body, from);
	struct buf changed = {0};
	assert_non_null(at);
	buf_add(&changed, body, (size_t)(at - body));
	buf_str(&changed, to);
	buf_str(&changed, at + strlen(from));
	char *text = buf_take_str(&changed);
	assert_posted(b, text, 400, "bad-request");
	free(text);
}

static void test_malformed_answers_are_refused(void **state)
{
	static const char *const changes[][2] = {
		{"\"broker-a\"", "\"broker-b\""},
		{"\"live\":100", "\"live\":-1"},
		{"\"live\":100", "\"dead\":100"},
		{"\"more\":false", "\"more\":0"},
		{"\"name\":\"thing-1\"", "\"name\":\"thing 1\""},
		{"\"name\":\"thing-1\"", "\"name\":1"},
		{"\"service\":false", "\"service\":false,\"also\":1"},
		{"\"service\":false,", ""},
		{"\"" CERTIFICATE "\"", "\"abab\""},
		{"\"since_us\":1700000000000001", "\"since_us\":0"},
		{"\"since_us\":1700000000000001", "\"since_us\":1700000000000002"},
		{"\"address\":\"192.0.2.1\"", "\"address\":\"192.0.2.1\\n\""},
		{"\"protocol\":4", "\"protocol\":6"},
	};
	struct site_broker *a = live_broker("broker-a", 2);
	(void)state;
	int question = ask("?limit=2");
	wait_for_question(a);
	char *good = page(a, "broker-a", 1, 2, false);
	for (size_t i = 0; i < sizeof changes / sizeof *changes; i++)
		assert_answer_refused(a, good, changes[i][0], changes[i][1]);
	char *many = page(a, "broker-a", 1, 3, false); /* more than were asked for */
	assert_posted(a, many, 400, "bad-request");
	assert_posted(a, good, 204, "");
	assert_posted(a, good, 404, "not-found"); /* once */
	struct site_answer s = answered(question);
	assert_int_equal(count(&s), 2);
	site_answer_free(&s);
	free(good);
	free(many);
	site_broker_free(a);
}

static void test_an_answer_belongs_to_the_stream_that_was_asked(void **state)
{
	struct site_broker *a = live_broker("broker-a", 2), *b = live_broker("broker-b", 2);
	(void)state;
	int question = ask("?broker=broker-a");
	wait_for_question(a);
	memcpy(b->asked.id, a->asked.id, FEED_QUESTION_SIZE);
	char *stranger = page(b, "broker-b", 1, 1, false);
	assert_posted(b, stranger, 404, "not-found"); /* it was not asked */
	char *other = page(a, "broker-a", 1, 1, false);
	memset(strstr(other, a->stream), '0', strlen(a->stream));
	assert_posted(a, other, 409, "conflict");
	char *good = page(a, "broker-a", 1, 1, false);
	assert_posted(a, good, 204, "");
	struct site_answer s = answered(question);
	assert_string_equal(states(&s), "broker-a answered");
	site_answer_free(&s);
	free(stranger);
	free(other);
	free(good);
	site_broker_free(a);
	site_broker_free(b);
}

static void test_malformed_questions_are_refused(void **state)
{
	static const char *const queries[] = {"?limit=501",	  "?limit=x",	       "?thing=",
					      "?broker=",	  "?after=broker-a",   "?after=:1",
					      "?after=broker-a:", "?after=broker-a:1x"};
	(void)state;
	for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
		struct site_answer s = site_receive(ask(queries[i]));
		assert_int_equal(s.status, 400);
		site_answer_free(&s);
	}
}

static void test_only_so_many_questions_are_open_at_once(void **state)
{
	enum { MORE = 40 };
	struct site_broker *silent = live_broker("broker-s", 2);
	int questions[MORE], refused = 0;
	(void)state;
	for (int i = 0; i < MORE; i++)
		questions[i] = ask("");
	for (int i = 0; i < MORE; i++) {
		struct site_answer s = site_receive(questions[i]);
		refused += s.status == 503;
		assert_true(s.status == 200 || s.status == 503);
		site_answer_free(&s);
	}
	assert_int_equal(refused, MORE - 32);
	site_broker_free(silent);
}

static void test_a_gateway_that_stops_answers_who_asked(void **state)
{
	struct site_broker *silent = live_broker("broker-s", 2);
	(void)state;
	int question = ask("");
	wait_for_question(silent);
	site_restart();
	struct site_answer s = site_receive(question);
	assert_true(s.status == 200 || s.status == 503);
	site_answer_free(&s);
	site_broker_free(silent);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, site_setup, site_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_sessions_of_all_brokers_are_listed),
		TEST(test_one_broker_or_one_thing_can_be_asked_for),
		TEST(test_a_page_goes_on_where_the_one_before_ended),
		TEST(test_who_does_not_answer_is_named_after_two_seconds),
		TEST(test_a_plugin_that_knows_no_questions_is_sent_none),
		TEST(test_a_broker_that_leaves_is_not_waited_for),
		TEST(test_a_broker_that_is_still_catching_up_is_asked_when_it_has),
		TEST(test_malformed_answers_are_refused),
		TEST(test_an_answer_belongs_to_the_stream_that_was_asked),
		TEST(test_malformed_questions_are_refused),
		TEST(test_only_so_many_questions_are_open_at_once),
		TEST(test_a_gateway_that_stops_answers_who_asked),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
