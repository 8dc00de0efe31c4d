#include "gateway/store/store_policy.h"
#include "site_fixture.h"

#include "gateway/feed/feed_internal.h"

#define NO_STREAM "00112233445566778899aabbccddeeff"

static int64_t last_seq(void)
{
	struct store_stats stats;
	store_stats(fixture_store, &stats);
	return stats.last_seq;
}

/* ---- streams ---- */

static void test_first_stream_brings_a_snapshot_and_then_lives(void **state)
{
	uint8_t a[FINGERPRINT_SIZE], b[FINGERPRINT_SIZE];
	struct site_broker *broker = site_broker_new("broker-a");
	(void)state;
	enrol((struct ask){.device = 1, .key = 1}, a);
	enrol((struct ask){.device = 2, .key = 2}, b);
	suspend(2);
	site_broker_dial(broker);
	site_broker_frame(broker);
	assert_int_equal(broker->kind, FEED_SNAPSHOT_LAST);
	assert_int_equal(broker->policies, 1);
	assert_int_equal(site_broker_state(broker, a), FEED_ACTIVE);
	assert_int_equal(site_broker_state(broker, b), FEED_INACTIVE);
	site_broker_frame(broker); /* at once: the reader knows that it is up to date */
	assert_int_equal(broker->kind, FEED_HEARTBEAT);
	assert_int_equal(broker->chain.seq, last_seq());
	site_broker_free(broker);
}

static void test_changes_are_pushed_as_they_happen(void **state)
{
	uint8_t a[FINGERPRINT_SIZE];
	struct site_broker *broker = site_broker_new("broker-a");
	(void)state;
	site_broker_dial(broker);
	site_broker_follow(broker, last_seq());
	enrol((struct ask){.device = 1, .key = 1}, a);
	site_broker_follow(broker, last_seq());
	assert_int_equal(site_broker_state(broker, a), FEED_ACTIVE);
	struct got g = revoke_device(1, "unspecified");
	site_broker_follow(broker, g.changed.seq);
	assert_int_equal(broker->kind, FEED_CHANGES);
	assert_int_equal(site_broker_state(broker, a), FEED_REVOKED);
	site_broker_free(broker);
}

static void test_a_known_position_is_continued(void **state)
{
	uint8_t a[FINGERPRINT_SIZE], b[FINGERPRINT_SIZE];
	struct site_broker *broker = site_broker_new("broker-a");
	(void)state;
	enrol((struct ask){.device = 1, .key = 1}, a);
	site_broker_dial(broker);
	site_broker_follow(broker, last_seq());
	site_broker_hang_up(broker);
	enrol((struct ask){.device = 2, .key = 2}, b);
	revoke_device(1, "unspecified");
	site_restart();
	site_broker_dial(broker);
	site_broker_frame(broker);
	assert_int_equal(broker->kind, FEED_CHANGES);
	assert_int_equal(broker->records, 2);
	assert_int_equal(site_broker_state(broker, a), FEED_REVOKED);
	assert_int_equal(site_broker_state(broker, b), FEED_ACTIVE);
	assert_int_equal(broker->chain.seq, last_seq());
	site_broker_free(broker);
}

static void test_entries_that_concern_no_broker_move_the_number_by_heartbeat(void **state)
{
	struct site_broker *broker = site_broker_new("broker-a");
	uint8_t a[FINGERPRINT_SIZE];
	struct got g;
	(void)state;
	enrol((struct ask){.device = 1, .key = 1}, a);
	revoke_device(1, "unspecified");
	site_broker_dial(broker);
	do
		site_broker_frame(broker);
	while (broker->kind != FEED_HEARTBEAT); /* up to date */
	for (int i = 0; i < 5; i++)
		reserve((struct ask){.device = 1, .key = 1}, &g); /* refused, and logged */
	size_t before = broker->frames;
	site_broker_follow(broker, last_seq());
	assert_int_equal(broker->frames - before, 1);
	assert_int_equal(broker->kind, FEED_HEARTBEAT);
	site_broker_free(broker);
}

static void test_a_large_snapshot_comes_in_parts_and_changes_meanwhile_are_not_lost(void **state)
{
	enum { MANY = 1500, MORE = 50 };
	static uint8_t fp[MANY + MORE][FINGERPRINT_SIZE];
	struct site_broker *broker = site_broker_new("broker-a");
	(void)state;
	for (int i = 0; i < MANY; i++)
		enrol((struct ask){.device = i + 1, .key = i + 1}, fp[i]);
	site_broker_dial(broker);
	site_broker_frame(broker);
	assert_int_equal(broker->kind, FEED_SNAPSHOT);
	for (int i = 0; i < MORE; i++) {
		enrol((struct ask){.device = MANY + i + 1, .key = MANY + i + 1}, fp[MANY + i]);
		revoke_device(1 + 7 * i, "unspecified");
	}
	site_broker_follow(broker, last_seq());
	assert_true(broker->frames >= 4);
	for (int i = 0; i < MANY + MORE; i++) {
		bool revoked = i < 7 * MORE && i % 7 == 0;
		assert_int_equal(site_broker_state(broker, fp[i]), revoked ? FEED_REVOKED : FEED_ACTIVE);
	}
	assert_int_equal(broker->row_count, MANY + MORE);
	site_broker_free(broker);
}

static void test_a_commit_larger_than_a_frame_is_told_in_several(void **state)
{
	enum { MANY = 700 };
	static struct store_withdrawal entries[MANY];
	static uint8_t fp[MANY][FINGERPRINT_SIZE];
	struct site_broker *broker = site_broker_new("broker-a");
	struct got g;
	(void)state;
	for (int i = 0; i < MANY; i++) {
		enrol((struct ask){.device = i + 1, .key = i + 1}, fp[i]);
		entries[i] = (struct store_withdrawal){.suspended = true, .seq = i + 1, .reason = "recall"};
		fixture_instance(i + 1, entries[i].instance_id);
	}
	site_broker_dial(broker);
	site_broker_follow(broker, last_seq());
	got_init(&g);
	store_withdrawals_apply(fixture_store, entries, MANY, on_changed, &g);
	got_wait(&g);
	site_broker_follow(broker, last_seq());
	for (int i = 0; i < MANY; i++)
		assert_int_equal(site_broker_state(broker, fp[i]), FEED_INACTIVE);
	site_broker_free(broker);
}

/* ---- positions that cannot be ---- */

static int64_t alarms(void)
{
	return count_rows("SELECT count(*) FROM log WHERE kind = 'alarm' AND reason = 'log-rolled-back'");
}

static void assert_rolled_back(struct site_broker *broker)
{
	int64_t before = alarms();
	site_broker_dial(broker);
	assert_int_equal(site_broker_status(broker), 503);
	resume(12345); /* answered after the alarm has been written */
	assert_int_equal(alarms(), before + 1);
}

static void test_a_log_that_was_rolled_back_feeds_no_broker(void **state)
{
	uint8_t a[FINGERPRINT_SIZE];
	struct site_broker *broker = site_broker_new("broker-a");
	(void)state;
	enrol((struct ask){.device = 1, .key = 1}, a);
	site_broker_dial(broker);
	site_broker_follow(broker, last_seq());
	struct feed_chain good = broker->chain;
	broker->chain.seq += 10; /* entries that this log does not have */
	assert_rolled_back(broker);
	broker->chain = good;
	broker->chain.head[0] ^= 1; /* other entries than this log has */
	assert_rolled_back(broker);
	broker->chain = good;
	broker->chain.epoch += 1; /* this log is of an older epoch */
	assert_rolled_back(broker);
	broker->chain = good;
	site_broker_dial(broker);
	site_broker_frame(broker);
	assert_int_equal(broker->kind, FEED_HEARTBEAT);
	site_broker_free(broker);
}

static void test_a_table_of_an_older_epoch_is_replaced(void **state)
{
	uint8_t a[FINGERPRINT_SIZE];
	struct site_broker *broker = site_broker_new("broker-a");
	(void)state;
	enrol((struct ask){.device = 1, .key = 1}, a);
	broker->chain.epoch = 5;
	broker->chain.seq = 1000;
	site_broker_dial(broker);
	site_broker_frame(broker);
	assert_int_equal(broker->kind, FEED_SNAPSHOT_LAST);
	assert_int_equal(site_broker_state(broker, a), FEED_ACTIVE);
	site_broker_free(broker);
}

static void test_a_raised_epoch_lets_a_rolled_back_log_feed_again(void **state)
{
	uint8_t a[FINGERPRINT_SIZE];
	struct site_broker *broker = site_broker_new("broker-a");
	(void)state;
	enrol((struct ask){.device = 1, .key = 1}, a);
	site_broker_dial(broker);
	site_broker_follow(broker, last_seq());
	broker->chain.seq += 10;
	assert_rolled_back(broker);
	struct site_answer answer =
		site_admin_ask(site.operator, "POST", "/v1/admin/epoch", "{\"reason\":\"restored\"}");
	assert_int_equal(answer.status, 403);
	site_answer_free(&answer);
	answer = site_admin_ask(site.admin, "POST", "/v1/admin/epoch",
				"{\"reason\":\"restored\",\"wait_ms\":0}");
	assert_int_equal(answer.status, 200);
	site_answer_free(&answer);
	int64_t epoch = broker->chain.epoch;
	site_broker_dial(broker);
	site_broker_frame(broker);
	assert_int_equal(broker->kind, FEED_SNAPSHOT_LAST);
	assert_true(broker->chain.epoch > epoch);
	assert_int_equal(site_broker_state(broker, a), FEED_ACTIVE);
	site_broker_free(broker);
}

static void test_a_raised_epoch_ends_the_streams_of_the_old_one(void **state)
{
	struct site_broker *broker = site_broker_new("broker-a");
	struct got g;
	uint8_t rest[4096];
	(void)state;
	site_broker_dial(broker);
	do
		site_broker_frame(broker);
	while (broker->kind != FEED_HEARTBEAT);
	got_init(&g);
	store_epoch_raise(fixture_store, &fixture_admin, "restored", on_changed, &g);
	got_wait(&g);
	while (read(broker->fd, rest, sizeof rest) > 0)
		; /* until the gateway hangs up */
	site_broker_dial(broker);
	site_broker_frame(broker);
	assert_int_equal(broker->kind, FEED_SNAPSHOT_LAST);
	site_broker_free(broker);
}

static void test_a_raised_epoch_is_effective_when_the_brokers_have_come_back(void **state)
{
	struct site_broker *broker = site_broker_new("broker-a");
	uint8_t rest[4096];
	(void)state;
	site_broker_dial(broker);
	site_broker_follow(broker, last_seq());
	int question = site_admin_send(site.admin, "POST", "/v1/admin/epoch",
				       "{\"reason\":\"restored\",\"wait_ms\":20000}");
	while (read(broker->fd, rest, sizeof rest) > 0)
		; /* until the gateway hangs up */
	site_broker_dial(broker);
	site_broker_follow(broker, last_seq());
	site_broker_receipt(broker, "broker-a", "");
	struct site_answer answer = site_receive(question);
	assert_true(json_is_true(json_object_get(answer.json, "effective")));
	site_answer_free(&answer);
	site_broker_free(broker);
}

/* ---- slow ones ---- */

static void on_ignored(const struct store_changed *answer, const struct fault *f, void *arg)
{
	(void)answer, (void)arg;
	assert_null(f);
}

static void test_a_broker_that_does_not_read_is_dropped_and_the_others_live(void **state)
{
	struct site_broker *slow = site_broker_new("broker-slow"), *good = site_broker_new("broker-good");
	struct feed_stats stats;
	char document[2000];
	uint8_t fp[FINGERPRINT_SIZE];
	(void)state;
	site.gateway.feed->stall_ms = 100;
	site_broker_dial(slow);
	site_broker_follow(slow, 1);
	site_broker_dial(good);
	site_broker_follow(good, 1);
	memset(document, ' ', sizeof document);
	for (int i = 0; i < 2000; i++) { /* more than sockets hold */
		snprintf(document, sizeof document, "{\"n\":%d}%1900s", i, "");
		store_policy_set(fixture_store, &fixture_admin, "large", document, on_ignored, NULL);
	}
	enrol((struct ask){.device = 1, .key = 1}, fp);
	site_broker_follow(good, last_seq());
	assert_int_equal(site_broker_state(good, fp), FEED_ACTIVE);
	do {
		feed_stats(site.gateway.feed, &stats);
		site_broker_frame(good); /* heartbeats at least */
	} while (!stats.lost);
	assert_int_equal(stats.lost, 1);
	enrol((struct ask){.device = 2, .key = 2}, fp);
	site_broker_follow(good, last_seq());
	assert_int_equal(site_broker_state(good, fp), FEED_ACTIVE);
	site_broker_free(slow);
	site_broker_free(good);
}

/* ---- who may ---- */

static void assert_peer_refused(const struct authority *ca, const char *role, int status, const char *code)
{
	struct buf pem = site_leaf(ca, role, "broker-a");
	char *escaped = site_escape(buf_view(&pem));
	const char *const params[] = {"CLIENT_CERT", escaped, "CONTENT_TYPE", "application/json", NULL};
	struct site_answer a =
		site_receive(site_send("GET", "/v1/feed?epoch=0&after=0", bytes_of(NULL, 0), params));
	assert_int_equal(a.status, status);
	assert_string_equal(site_code(&a), code);
	site_answer_free(&a);
	a = site_receive(site_send("POST", "/v1/feed/receipts",
				   bytes_str("{\"broker\":\"broker-a\",\"stream\":\"" NO_STREAM
					     "\",\"epoch\":1,\"seq\":1,\"connected\":[]}"),
				   params));
	assert_int_equal(a.status, status);
	site_answer_free(&a);
	free(escaped);
	buf_free(&pem);
}

static void test_only_brokers_of_the_service_ca_are_fed(void **state)
{
	(void)state;
	assert_peer_refused(&site.service_ca, "backend", 403, "forbidden");
	assert_peer_refused(&site.other_ca, "broker", 401, "unauthenticated");
	struct site_answer a = site_receive(site_send("GET", "/v1/feed", bytes_of(NULL, 0), NULL));
	assert_int_equal(a.status, 401);
	site_answer_free(&a);
	assert_int_equal(count_rows("SELECT count(*) FROM brokers"), 0);
}

static void test_malformed_questions_are_refused(void **state)
{
	static const char *const uris[] = {"/v1/feed?epoch=x", "/v1/feed?epoch=1&after=-1",
					   "/v1/feed?after=", "/v1/feed?epoch=1&after=2&head=00",
					   "/v1/feed?epoch=1234567890123456789012"};
	static const char *const bodies[] = {
		"",
		"{}",
		"[]",
		"{\"broker\":\"broker-a\",\"stream\":\"" NO_STREAM "\",\"epoch\":1,\"seq\":1}",
		"{\"broker\":\"broker-b\",\"stream\":\"" NO_STREAM
		"\",\"epoch\":1,\"seq\":1,\"connected\":[]}",
		"{\"broker\":\"broker-a\",\"stream\":\"" NO_STREAM
		"\",\"epoch\":1,\"seq\":-1,\"connected\":[]}",
		"{\"broker\":\"broker-a\",\"stream\":\"" NO_STREAM
		"\",\"epoch\":1,\"seq\":1,\"connected\":[\"zz\"]}",
		"{\"broker\":\"broker-a\",\"stream\":\"" NO_STREAM
		"\",\"epoch\":1,\"seq\":1,\"connected\":[],\"more\":1}",
		"{\"broker\":\"broker-a\",\"epoch\":1,\"seq\":1,\"connected\":[]}",
		"{\"broker\":\"broker-a\",\"stream\":\"0011\",\"epoch\":1,\"seq\":1,\"connected\":[]}",
		"{\"broker\":\"broker-a\",\"stream\":7,\"epoch\":1,\"seq\":1,\"connected\":[]}",
	};
	struct site_broker *broker = site_broker_new("broker-a");
	const char *const params[] = {"CLIENT_CERT", broker->escaped, NULL};
	(void)state;
	for (size_t i = 0; i < sizeof uris / sizeof *uris; i++) {
		struct site_answer a = site_receive(site_send("GET", uris[i], bytes_of(NULL, 0), params));
		assert_int_equal(a.status, 400);
		site_answer_free(&a);
	}
	for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
		struct site_answer a = site_broker_post(broker, bodies[i]);
		assert_int_equal(a.status, 400);
		site_answer_free(&a);
	}
	site_broker_free(broker);
}

/* ---- effective ---- */

static int ask_to_revoke(int device, int wait_ms)
{
	char uri[128], body[96];
	snprintf(uri, sizeof uri, "/v1/admin/devices/%s/revoke", fixture_thing(device));
	snprintf(body, sizeof body, "{\"reason\":\"key-compromise\",\"wait_ms\":%d}", wait_ms);
	return site_admin_send(site.operator, "POST", uri, body);
}

static const json_t *broker_of(const struct site_answer *a, size_t i)
{
	return json_array_get(json_object_get(a->json, "brokers"), i);
}

static const char *broker_text(const struct site_answer *a, size_t i, const char *key)
{
	const char *text = json_string_value(json_object_get(broker_of(a, i), key));
	return text ? text : "";
}

static void test_revocation_is_effective_when_every_broker_says_so(void **state)
{
	uint8_t fp[FINGERPRINT_SIZE];
	struct site_broker *a = site_broker_new("broker-a"), *b = site_broker_new("broker-b");
	struct pollfd p = {.events = POLLIN};
	(void)state;
	enrol((struct ask){.device = 1, .key = 1}, fp);
	site_broker_dial(a);
	site_broker_dial(b);
	site_broker_follow(a, 1);
	site_broker_follow(b, 1);
	int admin = p.fd = ask_to_revoke(1, 20000);
	while (site_broker_state(a, fp) != FEED_REVOKED)
		site_broker_frame(a);
	while (site_broker_state(b, fp) != FEED_REVOKED)
		site_broker_frame(b);
	site_broker_receipt(a, "broker-a", "");
	assert_int_equal(poll(&p, 1, 100), 0); /* one of two is not all */
	site_broker_receipt(b, "broker-b", "");
	struct site_answer answer = site_receive(admin);
	assert_int_equal(answer.status, 200);
	assert_true(json_is_true(json_object_get(answer.json, "effective")));
	assert_int_equal(json_array_size(json_object_get(answer.json, "brokers")), 2);
	for (size_t i = 0; i < 2; i++) {
		assert_string_equal(broker_text(&answer, i, "state"), "effective");
		assert_true(json_is_integer(json_object_get(broker_of(&answer, i), "effective_ms")));
	}
	assert_int_equal(json_integer_value(json_object_get(answer.json, "certificates")), 1);
	site_answer_free(&answer);
	site_broker_free(a);
	site_broker_free(b);
}

static void test_a_broker_that_does_not_answer_is_named(void **state)
{
	uint8_t fp[FINGERPRINT_SIZE];
	struct site_broker *a = site_broker_new("broker-a");
	(void)state;
	enrol((struct ask){.device = 1, .key = 1}, fp);
	site_broker_dial(a);
	site_broker_follow(a, 1);
	struct site_answer answer = site_receive(ask_to_revoke(1, 50));
	assert_int_equal(answer.status, 200);
	assert_true(json_is_false(json_object_get(answer.json, "effective")));
	assert_string_equal(broker_text(&answer, 0, "name"), "broker-a");
	assert_string_equal(broker_text(&answer, 0, "state"), "pending");
	site_answer_free(&answer);
	/* a receipt for what came before, and one beyond what was told, do not count */
	a->chain.seq = 1;
	site_broker_receipt(a, "broker-a", "");
	a->chain.seq = last_seq() + 1000;
	site_broker_receipt(a, "broker-a", "");
	answer = site_receive(ask_to_revoke(1, 50));
	assert_string_equal(broker_text(&answer, 0, "state"), "pending");
	site_answer_free(&answer);
	site_broker_free(a);
}

static void test_a_lost_broker_is_not_waited_for_and_not_forgotten(void **state)
{
	uint8_t fp[FINGERPRINT_SIZE];
	struct site_broker *a = site_broker_new("broker-a");
	(void)state;
	enrol((struct ask){.device = 1, .key = 1}, fp);
	site_broker_dial(a);
	site_broker_follow(a, 1);
	site_broker_free(a);
	site_restart(); /* what was known of it in memory is gone as well */
	int64_t started = clock_monotonic_ms();
	struct site_answer answer = site_receive(ask_to_revoke(1, 20000));
	assert_true(clock_monotonic_ms() - started < 15000);
	assert_true(json_is_false(json_object_get(answer.json, "effective")));
	assert_string_equal(broker_text(&answer, 0, "state"), "lost");
	assert_true(json_is_null(json_object_get(broker_of(&answer, 0), "lag_s")));
	site_answer_free(&answer);
	answer = site_admin_ask(site.operator, "DELETE", "/v1/admin/brokers/broker-a", "");
	assert_int_equal(answer.status, 403);
	site_answer_free(&answer);
	answer = site_admin_ask(site.admin, "DELETE", "/v1/admin/brokers/broker-a", "");
	assert_int_equal(answer.status, 200);
	site_answer_free(&answer);
	answer = site_receive(ask_to_revoke(1, 20000));
	assert_true(json_is_true(json_object_get(answer.json, "effective")));
	site_answer_free(&answer);
}

/* ---- watched ---- */

static int ask_watch(int64_t seq, int known, int wait_ms)
{
	char uri[128];
	snprintf(uri, sizeof uri, "/v1/admin/changes/%lld?known=%d&wait_ms=%d", (long long)seq, known,
		 wait_ms);
	return site_admin_send(site.viewer, "GET", uri, "");
}

static void test_a_watch_is_answered_with_each_receipt(void **state)
{
	uint8_t fp[FINGERPRINT_SIZE];
	struct site_broker *a = site_broker_new("broker-a"), *b = site_broker_new("broker-b");
	struct pollfd p = {.events = POLLIN};
	(void)state;
	enrol((struct ask){.device = 1, .key = 1}, fp);
	site_broker_dial(a);
	site_broker_dial(b);
	site_broker_follow(a, 1);
	site_broker_follow(b, 1);
	struct site_answer answer = site_receive(ask_to_revoke(1, 0));
	int64_t seq = json_integer_value(json_object_get(answer.json, "seq"));
	site_answer_free(&answer);
	int watch = p.fd = ask_watch(seq, 0, 20000);
	assert_int_equal(poll(&p, 1, 100), 0); /* nobody has confirmed, and that is known */
	site_broker_follow(a, seq);
	site_broker_receipt(a, "broker-a", "");
	answer = site_receive(watch);
	assert_true(json_is_false(json_object_get(answer.json, "effective")));
	bool first = !strcmp(broker_text(&answer, 0, "name"), "broker-a");
	assert_string_equal(broker_text(&answer, first ? 0 : 1, "state"), "effective");
	assert_true(json_is_integer(json_object_get(broker_of(&answer, first ? 0 : 1), "effective_ms")));
	assert_string_equal(broker_text(&answer, first ? 1 : 0, "state"), "pending");
	site_answer_free(&answer);
	watch = p.fd = ask_watch(seq, 1, 20000);
	assert_int_equal(poll(&p, 1, 100), 0);
	site_broker_follow(b, seq);
	site_broker_receipt(b, "broker-b", "");
	answer = site_receive(watch);
	assert_true(json_is_true(json_object_get(answer.json, "effective")));
	site_answer_free(&answer);
	answer = site_receive(ask_watch(seq, 2, 20000)); /* nothing is left to wait for */
	assert_true(json_is_true(json_object_get(answer.json, "effective")));
	site_answer_free(&answer);
	site_broker_free(a);
	site_broker_free(b);
}

/* Unlike a change's own answer: who watches wants to see it come. */
static void test_a_watch_waits_for_a_lost_broker(void **state)
{
	uint8_t fp[FINGERPRINT_SIZE];
	struct site_broker *a = site_broker_new("broker-a");
	struct pollfd p = {.events = POLLIN};
	(void)state;
	enrol((struct ask){.device = 1, .key = 1}, fp);
	site_broker_dial(a);
	site_broker_follow(a, last_seq());
	site_broker_hang_up(a);
	int64_t seq = revoke_device(1, "unspecified").changed.seq;
	int watch = p.fd = ask_watch(seq, 0, 20000);
	assert_int_equal(poll(&p, 1, 100), 0);
	site_broker_dial(a);
	site_broker_follow(a, seq);
	site_broker_receipt(a, "broker-a", "");
	struct site_answer answer = site_receive(watch);
	assert_true(json_is_true(json_object_get(answer.json, "effective")));
	site_answer_free(&answer);
	site_broker_free(a);
}

static void test_how_long_a_change_of_an_earlier_run_took_is_not_known(void **state)
{
	uint8_t fp[FINGERPRINT_SIZE];
	struct site_broker *a = site_broker_new("broker-a");
	(void)state;
	enrol((struct ask){.device = 1, .key = 1}, fp);
	int64_t seq = revoke_device(1, "unspecified").changed.seq;
	site_restart();
	site_broker_dial(a);
	site_broker_follow(a, seq);
	do {
		site_broker_frame(a);
	} while (a->kind != FEED_HEARTBEAT);
	site_broker_receipt(a, "broker-a", "");
	struct site_answer answer = site_receive(ask_watch(seq, 0, 20000));
	assert_string_equal(broker_text(&answer, 0, "state"), "effective");
	assert_true(json_is_null(json_object_get(broker_of(&answer, 0), "effective_ms")));
	site_answer_free(&answer);
	site_broker_free(a);
}

static void test_a_watch_is_of_an_entry_that_there_is(void **state)
{
	static const char *const seqs[] = {"0", "-1", "x", "1x", "999999", "99999999999999999999"};
	uint8_t fp[FINGERPRINT_SIZE];
	(void)state;
	enrol((struct ask){.device = 1, .key = 1}, fp);
	for (size_t i = 0; i < sizeof seqs / sizeof *seqs; i++) {
		char uri[96];
		snprintf(uri, sizeof uri, "/v1/admin/changes/%s", seqs[i]);
		struct site_answer answer = site_admin_ask(site.viewer, "GET", uri, "");
		assert_int_equal(answer.status, 404);
		site_answer_free(&answer);
	}
	struct site_answer answer =
		site_admin_ask(site.viewer, "GET", "/v1/admin/changes/1?wait_ms=30001", "");
	assert_int_equal(answer.status, 400);
	site_answer_free(&answer);
}

static void test_a_receipt_before_the_question_counts(void **state)
{
	uint8_t fp[FINGERPRINT_SIZE];
	struct site_broker *a = site_broker_new("broker-a");
	(void)state;
	enrol((struct ask){.device = 1, .key = 1}, fp);
	site_broker_dial(a);
	revoke_device(1, "key-compromise");
	site_broker_follow(a, last_seq());
	site_broker_receipt(a, "broker-a", "");
	struct site_answer answer =
		site_receive(ask_to_revoke(1, 20000)); /* revoked already: the same entry */
	assert_true(json_is_true(json_object_get(answer.json, "effective")));
	assert_true(json_is_null(json_object_get(broker_of(&answer, 0), "effective_ms")));
	assert_int_equal(json_integer_value(json_object_get(answer.json, "certificates")), 0);
	site_answer_free(&answer);
	site_broker_free(a);
}

static void test_the_first_connection_ends_the_predecessor(void **state)
{
	uint8_t old[FINGERPRINT_SIZE], new[FINGERPRINT_SIZE];
	char hex[HEX_SIZE(FINGERPRINT_SIZE)], list[80];
	struct site_broker *a = site_broker_new("broker-a");
	(void)state;
	enrol((struct ask){.device = 1, .key = 1}, old);
	site_broker_dial(a);
	site_broker_follow(a, last_seq());
	enrol((struct ask){.device = 1, .key = 2, .renews = old}, new);
	site_broker_follow(a, last_seq());
	assert_int_equal(a->rows[1].flags, FEED_REPORT_CONNECT);
	assert_int_equal(site_broker_state(a, old), FEED_ACTIVE);
	hex_encode(bytes_of(new, sizeof new), hex);
	snprintf(list, sizeof list, "\"%s\"", hex);
	site_broker_receipt(a, "broker-a", list);
	site_broker_follow(a, last_seq());
	assert_int_equal(site_broker_state(a, old), FEED_REVOKED);
	assert_int_equal(site_broker_state(a, new), FEED_ACTIVE);
	assert_int_equal(count_rows("SELECT count(*) FROM log WHERE kind = 'certificate-revoked' AND reason "
				    "= 'superseded' "
				    "AND actor = 'broker-a'"),
			 1);
	site_broker_free(a);
}

/* ---- a name has one stream ---- */

static struct site_broker *site_broker_twin(const struct site_broker *of)
{
	struct site_broker *twin = site_broker_new("twin");
	buf_free(&twin->certificate);
	free(twin->escaped);
	buf_bytes(&twin->certificate, buf_view(&of->certificate));
	twin->escaped = site_escape(buf_view(&twin->certificate));
	return twin;
}

static void assert_taken(struct site_broker *b)
{
	site_broker_ask(b);
	assert_int_equal(site_broker_status(b), 409);
	struct site_answer a = {0};
	while (!(a.json = json_loadb((const char *)b->received.p, b->received.n, 0, NULL)))
		site_read_more(b);
	assert_string_equal(site_code(&a), "broker-name-taken");
	site_answer_free(&a);
}

static int64_t taken_alarms(void)
{
	resume(12345); /* answered after what was asked of the store before */
	return count_rows("SELECT count(*) FROM log WHERE kind = 'alarm' AND reason = 'broker-name-taken'");
}

static void test_a_second_broker_of_a_name_is_refused_and_an_alarm(void **state)
{
	struct site_broker *first = site_broker_new("broker-a"), *second = site_broker_twin(first);
	struct feed_stats stats;
	uint8_t fp[FINGERPRINT_SIZE];
	(void)state;
	enrol((struct ask){.device = 1, .key = 1}, fp);
	site_broker_dial(first);
	site_broker_follow(first, last_seq());
	site_broker_receipt(first, "broker-a", "");
	assert_taken(second);
	site_broker_receipt(first, "broker-a", "");
	assert_int_equal(taken_alarms(), 0); /* it may have been under way */
	for (int64_t began = clock_monotonic_ms(); clock_monotonic_ms() - began < 2500;)
		site_broker_frame(first);
	site_broker_receipt(first, "broker-a", "");
	for (int i = 0; i < 100 && !taken_alarms(); i++)
		;
	assert_int_equal(taken_alarms(), 1);
	assert_taken(second);
	feed_stats(site.gateway.feed, &stats);
	assert_int_equal(stats.rivals, 2);
	/* the first has noticed nothing */
	revoke_device(1, "key-compromise");
	site_broker_follow(first, last_seq());
	assert_int_equal(site_broker_state(first, fp), FEED_REVOKED);
	site_broker_free(first);
	site_broker_free(second);
}

static void test_a_broker_that_is_back_takes_the_place_of_its_silent_stream(void **state)
{
	struct site_broker *before = site_broker_new("broker-a"), *after = site_broker_twin(before);
	struct feed_stats stats;
	uint8_t rest[4096], fp[FINGERPRINT_SIZE];
	(void)state;
	enrol((struct ask){.device = 1, .key = 1}, fp);
	site.gateway.feed->alive_ms = 300;
	site_broker_dial(before); /* its connection stays open: the machine has lost its power */
	site_broker_follow(before, last_seq());
	site_broker_receipt(before, "broker-a", "");
	assert_taken(after);
	site_broker_dial(after);
	site_broker_follow(after, last_seq());
	while (read(before->fd, rest, sizeof rest) > 0)
		; /* until the gateway hangs up */
	feed_stats(site.gateway.feed, &stats);
	assert_int_equal(stats.replaced, 1);
	assert_int_equal(taken_alarms(), 0);
	site_broker_free(before);
	site_broker_free(after);
}

/* Whoever has the certificate and not the stream makes nothing effective, and ends no predecessor. */
static void test_a_receipt_counts_for_its_own_stream_alone(void **state)
{
	uint8_t fp[FINGERPRINT_SIZE], new[FINGERPRINT_SIZE];
	char hex[HEX_SIZE(FINGERPRINT_SIZE)], body[512];
	struct site_broker *broker = site_broker_new("broker-a");
	(void)state;
	enrol((struct ask){.device = 1, .key = 1}, fp);
	enrol((struct ask){.device = 2, .key = 2}, fp);
	site_broker_dial(broker);
	site_broker_follow(broker, last_seq());
	enrol((struct ask){.device = 2, .key = 3, .renews = fp}, new);
	hex_encode(bytes_of(new, sizeof new), hex);
	struct site_answer answer = site_receive(ask_to_revoke(1, 50));
	assert_string_equal(broker_text(&answer, 0, "state"), "pending");
	site_answer_free(&answer);
	site_broker_follow(broker, last_seq());
	snprintf(body, sizeof body,
		 "{\"broker\":\"broker-a\",\"stream\":\"" NO_STREAM
		 "\",\"epoch\":%lld,\"seq\":%lld,\"connected\":[\"%s\"]}",
		 (long long)broker->chain.epoch, (long long)broker->chain.seq, hex);
	answer = site_broker_post(broker, body);
	assert_int_equal(answer.status, 409);
	assert_non_null(strstr(answer.text, "no such stream"));
	site_answer_free(&answer);
	answer = site_receive(ask_to_revoke(1, 50));
	assert_string_equal(broker_text(&answer, 0, "state"), "pending");
	site_answer_free(&answer);
	assert_int_equal(state_of(fp), STORE_ACTIVE);
	site_broker_receipt(broker, "broker-a", "");
	answer = site_receive(ask_to_revoke(1, 50));
	assert_string_equal(broker_text(&answer, 0, "state"), "effective");
	site_answer_free(&answer);
	site_broker_free(broker);
}

/* ---- revoked brokers ---- */

static void broker_key(const struct site_broker *b, char hex[HEX_SIZE(SHA256_SIZE)])
{
	uint8_t spki_sha256[SHA256_SIZE];
	X509 *cert = cert_from_pem(buf_view(&b->certificate));
	assert_true(cert_spki_sha256(cert, spki_sha256));
	hex_encode(bytes_of(spki_sha256, sizeof spki_sha256), hex);
	X509_free(cert);
}

/* Of the key alone where there is one. */
static struct site_answer revoke_broker(const char *key_file, const char *name, const char *key)
{
	char uri[128], body[256], member[128] = "";
	if (key)
		snprintf(member, sizeof member, ",\"spki_sha256\":\"%s\"", key);
	snprintf(uri, sizeof uri, "/v1/admin/brokers/%s/revoke", name);
	snprintf(body, sizeof body, "{\"reason\":\"stolen\"%s}", member);
	return site_admin_ask(key_file, "POST", uri, body);
}

static void assert_revoked(struct site_broker *b)
{
	char body[256];
	site_broker_ask(b);
	assert_int_equal(site_broker_status(b), 403);
	struct site_answer a = {0};
	while (!(a.json = json_loadb((const char *)b->received.p, b->received.n, 0, NULL)))
		site_read_more(b);
	assert_string_equal(site_code(&a), "broker-revoked");
	site_answer_free(&a);
	snprintf(body, sizeof body,
		 "{\"broker\":\"broker-a\",\"stream\":\"%s\",\"epoch\":1,\"seq\":1,\"connected\":[]}",
		 b->stream);
	a = site_broker_post(b, body);
	assert_int_equal(a.status, 403);
	assert_string_equal(site_code(&a), "broker-revoked");
	site_answer_free(&a);
}

static int64_t revoked_alarms(void)
{
	resume(12345); /* answered after what was asked of the store before */
	return count_rows("SELECT count(*) FROM log WHERE kind = 'alarm' AND reason = 'broker-revoked'");
}

static void test_a_revoked_broker_loses_its_stream_at_once_and_for_good(void **state)
{
	struct site_broker *a = site_broker_new("broker-a"), *b = site_broker_new("broker-b");
	struct feed_stats stats;
	uint8_t rest[4096], fp[FINGERPRINT_SIZE];
	(void)state;
	enrol((struct ask){.device = 1, .key = 1}, fp);
	site_broker_dial(a);
	site_broker_dial(b);
	site_broker_follow(a, last_seq());
	site_broker_follow(b, last_seq());
	struct site_answer answer = revoke_broker(site.viewer, "broker-a", NULL);
	assert_int_equal(answer.status, 403);
	site_answer_free(&answer);
	answer = revoke_broker(site.operator, "broker-a", NULL);
	assert_int_equal(answer.status, 200);
	assert_true(json_is_true(json_object_get(answer.json, "effective")));
	site_answer_free(&answer);
	while (read(a->fd, rest, sizeof rest) > 0)
		; /* until the gateway hangs up */
	for (int i = 0; i < 2; i++) {
		assert_revoked(a);
		if (i == 0) {
			assert_int_equal(revoked_alarms(), 1); /* not one for each time */
			feed_stats(site.gateway.feed, &stats);
			assert_int_equal(stats.revoked, 2);
			site_broker_hang_up(b);
			site_restart();
			site_broker_dial(b);
		}
	}
	site_broker_follow(b, last_seq());
	site_broker_receipt(b, "broker-b", "");
	int admin = ask_to_revoke(1, 20000); /* waits for the other alone */
	while (site_broker_state(b, fp) != FEED_REVOKED)
		site_broker_frame(b);
	site_broker_receipt(b, "broker-b", "");
	answer = site_receive(admin);
	assert_true(json_is_true(json_object_get(answer.json, "effective")));
	assert_int_equal(json_array_size(json_object_get(answer.json, "brokers")), 1);
	site_answer_free(&answer);
	answer = site_admin_ask(site.viewer, "GET", "/v1/admin/brokers", "");
	const json_t *revoked = json_array_get(json_object_get(answer.json, "revoked"), 0);
	assert_string_equal(json_string_value(json_object_get(revoked, "name")), "broker-a");
	assert_string_equal(json_string_value(json_object_get(revoked, "reason")), "stolen");
	assert_true(json_is_null(json_object_get(revoked, "spki_sha256")));
	site_answer_free(&answer);
	site_broker_free(a);
	site_broker_free(b);
}

static void test_a_broker_whose_key_is_revoked_goes_on_with_another(void **state)
{
	struct site_broker *stolen = site_broker_new("broker-a"), *renewed = site_broker_new("broker-a");
	char key[HEX_SIZE(SHA256_SIZE)];
	uint8_t rest[4096];
	(void)state;
	broker_key(stolen, key);
	site_broker_dial(stolen);
	site_broker_follow(stolen, last_seq());
	struct site_answer answer = site_admin_ask(site.viewer, "GET", "/v1/admin/brokers", "");
	assert_string_equal(broker_text(&answer, 0, "spki_sha256"), key);
	site_answer_free(&answer);
	answer = revoke_broker(site.operator, "broker-a", key);
	assert_int_equal(answer.status, 200);
	site_answer_free(&answer);
	while (read(stolen->fd, rest, sizeof rest) > 0)
		; /* until the gateway hangs up */
	assert_revoked(stolen);
	site_broker_dial(renewed);
	site_broker_follow(renewed, last_seq());
	/* a connection for receipts that is older than the stream is of the old certificate */
	memcpy(stolen->stream, renewed->stream, sizeof stolen->stream);
	assert_revoked(stolen);
	site_broker_receipt(renewed, "broker-a", "");
	answer = revoke_broker(site.operator, "broker-a", "00");
	assert_int_equal(answer.status, 400);
	site_answer_free(&answer);
	site_broker_free(stolen);
	site_broker_free(renewed);
}

static void test_a_live_broker_is_not_forgotten(void **state)
{
	struct site_broker *a = site_broker_new("broker-a");
	(void)state;
	site_broker_dial(a);
	struct site_answer answer = site_admin_ask(site.admin, "DELETE", "/v1/admin/brokers/broker-a", "");
	assert_int_equal(answer.status, 409);
	assert_non_null(strstr(answer.text, "stop it first, or revoke it"));
	site_answer_free(&answer);
	assert_int_equal(count_rows("SELECT count(*) FROM brokers"), 1);
	site_broker_free(a);
}

static void test_brokers_are_listed(void **state)
{
	struct site_broker *a = site_broker_new("broker-a"), *b = site_broker_new("broker-b");
	(void)state;
	site_broker_dial(a);
	site_broker_dial(b);
	site_broker_follow(a, last_seq());
	site_broker_follow(b, last_seq());
	site_broker_receipt(a, "broker-a", "");
	site_broker_hang_up(b);
	struct site_answer answer;
	for (;;) { /* until the gateway has noticed that one is gone */
		answer = site_admin_ask(site.viewer, "GET", "/v1/admin/brokers", "");
		if (!strcmp(broker_text(&answer, 0, "state"), "lost") ||
		    !strcmp(broker_text(&answer, 1, "state"), "lost"))
			break;
		site_answer_free(&answer);
	}
	assert_int_equal(json_array_size(json_object_get(answer.json, "brokers")), 2);
	size_t live = strcmp(broker_text(&answer, 0, "state"), "live") ? 1 : 0;
	assert_string_equal(broker_text(&answer, live, "name"), "broker-a");
	assert_int_equal(json_integer_value(json_object_get(broker_of(&answer, live), "lag_s")), 0);
	site_answer_free(&answer);
	site_broker_free(a);
	site_broker_free(b);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, site_setup, site_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_first_stream_brings_a_snapshot_and_then_lives),
		TEST(test_changes_are_pushed_as_they_happen),
		TEST(test_a_known_position_is_continued),
		TEST(test_entries_that_concern_no_broker_move_the_number_by_heartbeat),
		TEST(test_a_large_snapshot_comes_in_parts_and_changes_meanwhile_are_not_lost),
		TEST(test_a_commit_larger_than_a_frame_is_told_in_several),
		TEST(test_a_log_that_was_rolled_back_feeds_no_broker),
		TEST(test_a_table_of_an_older_epoch_is_replaced),
		TEST(test_a_raised_epoch_lets_a_rolled_back_log_feed_again),
		TEST(test_a_raised_epoch_ends_the_streams_of_the_old_one),
		TEST(test_a_raised_epoch_is_effective_when_the_brokers_have_come_back),
		TEST(test_a_broker_that_does_not_read_is_dropped_and_the_others_live),
		TEST(test_only_brokers_of_the_service_ca_are_fed),
		TEST(test_malformed_questions_are_refused),
		TEST(test_revocation_is_effective_when_every_broker_says_so),
		TEST(test_a_broker_that_does_not_answer_is_named),
		TEST(test_a_lost_broker_is_not_waited_for_and_not_forgotten),
		TEST(test_a_watch_is_answered_with_each_receipt),
		TEST(test_a_watch_waits_for_a_lost_broker),
		TEST(test_how_long_a_change_of_an_earlier_run_took_is_not_known),
		TEST(test_a_watch_is_of_an_entry_that_there_is),
		TEST(test_a_receipt_before_the_question_counts),
		TEST(test_the_first_connection_ends_the_predecessor),
		TEST(test_a_second_broker_of_a_name_is_refused_and_an_alarm),
		TEST(test_a_broker_that_is_back_takes_the_place_of_its_silent_stream),
		TEST(test_a_receipt_counts_for_its_own_stream_alone),
		TEST(test_a_revoked_broker_loses_its_stream_at_once_and_for_good),
		TEST(test_a_broker_whose_key_is_revoked_goes_on_with_another),
		TEST(test_a_live_broker_is_not_forgotten),
		TEST(test_brokers_are_listed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
