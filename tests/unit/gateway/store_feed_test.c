#include "gateway/store/store_policy.h"
#include "store_fixture.h"

#include "tests/unit/attestation/certs.h"

#include <pthread.h>

/* ---- what is pushed after each commit ---- */

enum { PUSHED_MAX = 64 };

static struct {
	pthread_mutex_t lock;
	struct store_commit *commits[PUSHED_MAX];
	size_t count;
} pushed = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void on_commit(struct store_commit *c, void *arg)
{
	(void)arg;
	pthread_mutex_lock(&pushed.lock);
	if (pushed.count < PUSHED_MAX) {
		store_commit_hold(c);
		pushed.commits[pushed.count++] = c;
	}
	pthread_mutex_unlock(&pushed.lock);
}

static int setup(void **state)
{
	pushed.count = 0;
	fixture_setup(state);
	store_subscribe(fixture_store, on_commit, NULL);
	return 0;
}

static int teardown(void **state)
{
	int rc = fixture_teardown(state);
	for (size_t i = 0; i < pushed.count; i++)
		store_commit_release(pushed.commits[i]);
	return rc;
}

static const struct store_commit *last_pushed(void)
{
	pthread_mutex_lock(&pushed.lock);
	assert_true(pushed.count > 0);
	const struct store_commit *c = pushed.commits[pushed.count - 1];
	pthread_mutex_unlock(&pushed.lock);
	return c;
}

static void test_each_commit_is_pushed_with_its_records(void **state)
{
	uint8_t fp[FINGERPRINT_SIZE];
	(void)state;
	enrol((struct ask){.device = 1, .key = 1}, fp);
	const struct store_commit *c = last_pushed();
	assert_int_equal(c->count, 1);
	assert_int_equal(c->first, 1);
	assert_int_equal(c->last, 1);
	assert_true(c->epoch > 0);
	assert_memory_equal(c->records[0].fingerprint, fp, FINGERPRINT_SIZE);
	assert_int_equal(c->records[0].state, STORE_ACTIVE);
	assert_string_equal(c->records[0].name, fixture_thing(1));
	assert_false(c->records[0].report_first);
	assert_false(c->records[0].is_service);
	struct got g = revoke_device(1, "unspecified");
	c = last_pushed();
	assert_int_equal(c->last, g.changed.seq);
	assert_int_equal(c->count, 1);
	assert_int_equal(c->records[0].state, STORE_REVOKED);
	assert_int_equal(c->records[0].seq, g.changed.seq);
}

static void test_pushed_commits_leave_no_gap(void **state)
{
	struct got g;
	uint8_t fp[FINGERPRINT_SIZE];
	(void)state;
	for (int i = 1; i < 8; i++) {
		enrol((struct ask){.device = i, .key = i}, fp);
		reserve((struct ask){.device = i, .key = 100 + i}, &g);
	}
	int64_t next = 1;
	for (size_t i = 0; i < pushed.count; i++) {
		assert_int_equal(pushed.commits[i]->first, next);
		assert_true(pushed.commits[i]->last >= next);
		next = pushed.commits[i]->last + 1;
	}
	assert_int_equal(next - 1, count_rows("SELECT max(seq) FROM log"));
}

static void test_renewal_asks_brokers_to_report_the_first_connection(void **state)
{
	uint8_t old[FINGERPRINT_SIZE], new[FINGERPRINT_SIZE];
	struct got g;
	(void)state;
	enrol((struct ask){.device = 1, .key = 1}, old);
	enrol((struct ask){.device = 1, .key = 2, .renews = old}, new);
	const struct store_commit *c = last_pushed();
	assert_int_equal(c->count, 1);
	assert_memory_equal(c->records[0].fingerprint, new, FINGERPRINT_SIZE);
	assert_true(c->records[0].report_first);
	got_init(&g);
	store_connected(fixture_store, (const uint8_t(*)[FINGERPRINT_SIZE]) new, 1, "broker-a", on_changed,
			&g);
	got_wait(&g);
	c = last_pushed();
	assert_int_equal(c->count, 1);
	assert_memory_equal(c->records[0].fingerprint, old, FINGERPRINT_SIZE);
	assert_int_equal(c->records[0].state, STORE_REVOKED);
}

/* ---- snapshot and changes, read back ---- */

struct table {
	sem_t ready;
	struct {
		uint8_t fingerprint[FINGERPRINT_SIZE];
		enum store_state state;
		bool report_first;
	} rows[256];
	size_t count, policies, services, pages;
	int64_t at, next;
	uint8_t head[SHA256_SIZE];
	bool changes_over;
};

static void apply(struct table *t, const struct store_feed_record *r)
{
	size_t i = 0;
	t->policies += r->is_policy;
	t->services += r->is_service;
	if (r->is_policy || r->is_service)
		return;
	while (i < t->count && memcmp(t->rows[i].fingerprint, r->fingerprint, FINGERPRINT_SIZE) != 0)
		i++;
	if (i == t->count)
		t->count++;
	memcpy(t->rows[i].fingerprint, r->fingerprint, FINGERPRINT_SIZE);
	t->rows[i].state = r->state;
	t->rows[i].report_first = r->report_first;
}

static void on_snapshot(struct store_commit *c, int64_t next, const struct fault *f, void *arg)
{
	struct table *t = arg;
	assert_null(f);
	t->pages++;
	for (size_t i = 0; i < c->count; i++)
		apply(t, &c->records[i]);
	t->next = next;
	sem_post(&t->ready);
}

static void on_head(const struct store_head *head, bool known, const struct fault *f, void *arg)
{
	struct got *g = arg;
	got_fault(g, f);
	g->number = known;
	g->changed.seq = head->seq;
	g->changed.count = head->certificates_end;
	memcpy(g->reserved.fingerprint, head->hash, SHA256_SIZE);
	sem_post(&g->ready);
}

static struct got head_of(int64_t after, const uint8_t hash[SHA256_SIZE])
{
	struct got g;
	got_init(&g);
	store_feed_head(fixture_store, after, hash, on_head, &g);
	got_wait(&g);
	assert_false(g.refused);
	return g;
}

static struct table snapshot(size_t limit)
{
	struct table t = {.count = 0};
	struct got head = head_of(0, NULL);
	sem_init(&t.ready, 0, 0);
	do {
		store_feed_snapshot(fixture_store, t.next, head.changed.count, limit, on_snapshot, &t);
		while (sem_wait(&t.ready))
			;
	} while (t.next >= 0);
	t.at = head.changed.seq;
	return t;
}

static void on_changes(struct store_commit *c, const struct fault *f, void *arg)
{
	struct table *t = arg;
	assert_null(f);
	assert_int_equal(c->first, t->at + 1);
	for (size_t i = 0; i < c->count; i++) {
		assert_true(c->records[i].seq > t->at && c->records[i].seq <= c->last);
		apply(t, &c->records[i]);
	}
	t->changes_over = c->last < c->first;
	t->at = c->last;
	if (!t->changes_over)
		memcpy(t->head, c->head, SHA256_SIZE);
	t->pages++;
	sem_post(&t->ready);
}

static void follow(struct table *t, size_t limit)
{
	do {
		store_feed_changes(fixture_store, t->at, limit, on_changes, t);
		while (sem_wait(&t->ready))
			;
	} while (!t->changes_over);
}

static enum store_state table_state(const struct table *t, const uint8_t fp[FINGERPRINT_SIZE])
{
	for (size_t i = 0; i < t->count; i++)
		if (!memcmp(t->rows[i].fingerprint, fp, FINGERPRINT_SIZE))
			return t->rows[i].state;
	return STORE_REMOVED;
}

static void test_snapshot_holds_what_counts_and_nothing_else(void **state)
{
	uint8_t a[FINGERPRINT_SIZE], b[FINGERPRINT_SIZE], c[FINGERPRINT_SIZE], d[FINGERPRINT_SIZE];
	(void)state;
	enrol((struct ask){.device = 1, .key = 1}, a);
	enrol((struct ask){.device = 2, .key = 2}, b);
	enrol((struct ask){.device = 3, .key = 3}, c);
	enrol((struct ask){.device = 4, .key = 4, .lifetime_s = -1}, d);
	suspend(2);
	revoke_device(3, "unspecified");
	struct table t = snapshot(500);
	assert_int_equal(t.count, 3);
	assert_int_equal(table_state(&t, a), STORE_ACTIVE);
	assert_int_equal(table_state(&t, b), STORE_INACTIVE);
	assert_int_equal(table_state(&t, c), STORE_REVOKED);
	assert_int_equal(table_state(&t, d), STORE_REMOVED); /* expired: its date has ended it */
}

static void test_snapshot_in_pages_is_the_same(void **state)
{
	uint8_t fp[FINGERPRINT_SIZE];
	(void)state;
	for (int i = 1; i <= 50; i++)
		enrol((struct ask){.device = i, .key = i}, fp);
	struct table whole = snapshot(500), pages = snapshot(7);
	assert_int_equal(whole.count, 50);
	assert_int_equal(pages.count, 50);
	assert_int_equal(pages.pages, 8);
	for (size_t i = 0; i < whole.count; i++)
		assert_int_equal(table_state(&pages, whole.rows[i].fingerprint), whole.rows[i].state);
}

static void test_changes_bring_an_old_table_up_to_date(void **state)
{
	uint8_t a[FINGERPRINT_SIZE], b[FINGERPRINT_SIZE], c[FINGERPRINT_SIZE];
	struct got g;
	(void)state;
	enrol((struct ask){.device = 1, .key = 1}, a);
	enrol((struct ask){.device = 2, .key = 2}, b);
	struct table t = snapshot(500);
	suspend(1);
	enrol((struct ask){.device = 3, .key = 3}, c);
	reserve((struct ask){.device = 2, .key = 9}, &g); /* a clone: quarantine */
	revoke_device(3, "unspecified");
	follow(&t, 3);
	assert_int_equal(t.at, count_rows("SELECT max(seq) FROM log"));
	struct table fresh = snapshot(500);
	assert_int_equal(fresh.count, t.count);
	for (size_t i = 0; i < fresh.count; i++)
		assert_int_equal(table_state(&t, fresh.rows[i].fingerprint), fresh.rows[i].state);
	assert_int_equal(table_state(&t, a), STORE_INACTIVE);
	assert_int_equal(table_state(&t, b), STORE_INACTIVE);
	assert_int_equal(table_state(&t, c), STORE_REVOKED);
	struct got head = head_of(t.at, t.head);
	assert_true(head.number); /* the position that a broker would journal is of this log */
}

static void test_position_of_another_log_is_not_known(void **state)
{
	uint8_t fp[FINGERPRINT_SIZE], other[SHA256_SIZE] = {1};
	(void)state;
	enrol((struct ask){.device = 1, .key = 1}, fp);
	struct got head = head_of(0, NULL);
	assert_false(head.number);
	uint8_t hash[SHA256_SIZE];
	memcpy(hash, head.reserved.fingerprint, SHA256_SIZE);
	assert_true(head_of(head.changed.seq, hash).number);
	assert_false(head_of(head.changed.seq, other).number);
	assert_false(head_of(head.changed.seq + 1, hash).number);
}

/* ---- policies and services ---- */

static struct got set_policy(const char *document)
{
	struct got g;
	got_init(&g);
	store_policy_set(fixture_store, &fixture_admin, "default", document, on_changed, &g);
	got_wait(&g);
	return g;
}

static void test_policy_is_pushed_when_it_changes(void **state)
{
	(void)state;
	assert_int_equal(set_policy("{\"a\":1}").changed.count, 1);
	const struct store_commit *c = last_pushed();
	assert_int_equal(c->count, 1);
	assert_true(c->records[0].is_policy);
	assert_string_equal(c->records[0].name, "default");
	assert_string_equal(c->records[0].document, "{\"a\":1}");
	size_t before = pushed.count;
	assert_int_equal(set_policy("{\"a\":1}").changed.count, 0);
	assert_int_equal(pushed.count, before);
	assert_int_equal(set_policy("{\"a\":2}").changed.count, 1);
	assert_int_equal(snapshot(500).policies, 1);
}

static struct got add_service(const char *name, struct bytes der, const char *policy)
{
	struct got g;
	struct store_service s = {.name = name, .certificate = der, .policy = policy};
	got_init(&g);
	store_service_add(fixture_store, &fixture_admin, &s, on_changed, &g);
	got_wait(&g);
	return g;
}

static struct got remove_service(const char *name)
{
	struct got g;
	got_init(&g);
	store_service_remove(fixture_store, &fixture_admin, name, on_changed, &g);
	got_wait(&g);
	return g;
}

static struct buf service_der(void)
{
	static const struct cert_form form = {.san = "URI:spiffe://example.com/service/backend/backend",
					      .purpose = "clientAuth",
					      .basic = "critical,CA:FALSE",
					      .from_s = -3600,
					      .to_s = 3600};
	struct authority ca = authority_make("service CA");
	EVP_PKEY *key = p256_key_generate();
	X509 *cert = cert_make("backend", key, &ca, &form);
	struct buf der = {0};
	assert_true(cert_to_der(cert, &der));
	X509_free(cert);
	EVP_PKEY_free(key);
	authority_free(&ca);
	return der;
}

static void test_service_comes_with_its_policy_and_goes(void **state)
{
	struct buf der = service_der();
	(void)state;
	struct got g = add_service("backend", buf_view(&der), "{}");
	assert_false(g.refused);
	const struct store_commit *c = last_pushed();
	assert_int_equal(c->count, 2);
	assert_true(c->records[0].is_policy); /* before the certificate that names it */
	assert_string_equal(c->records[0].name, "service/backend");
	assert_true(c->records[1].is_service);
	assert_string_equal(c->records[1].name, "backend");
	assert_true(c->records[1].not_after > clock_wall_s());
	struct table t = snapshot(500);
	assert_int_equal(t.services, 1);
	assert_int_equal(t.policies, 1);
	assert_false(remove_service("backend").refused);
	c = last_pushed();
	assert_int_equal(c->count, 1);
	assert_int_equal(c->records[0].state, STORE_REMOVED);
	assert_int_equal(snapshot(500).services, 0);
	g = remove_service("backend");
	assert_refused(&g, REASON_NOT_FOUND);
	assert_false(add_service("backend", buf_view(&der), "{}").refused); /* and may come back */
	assert_int_equal(snapshot(500).services, 1);
	buf_free(&der);
}

static void test_service_is_refused_by_reason(void **state)
{
	struct buf der = service_der();
	static char long_policy[8200];
	(void)state;
	memset(long_policy, ' ', sizeof long_policy - 1);
	struct got g = add_service("no spaces", buf_view(&der), "{}");
	assert_refused(&g, REASON_BAD_FIELD);
	g = add_service("", buf_view(&der), "{}");
	assert_refused(&g, REASON_BAD_FIELD);
	g = add_service("backend", bytes_str("no certificate"), "{}");
	assert_refused(&g, REASON_BAD_FIELD);
	g = add_service("backend", buf_view(&der), long_policy);
	assert_refused(&g, REASON_POLICY_SYNTAX);
	assert_false(add_service("backend", buf_view(&der), "{}").refused);
	g = add_service("other", buf_view(&der), "{}");
	assert_refused(&g, REASON_CONFLICT);
	buf_free(&der);
}

static void on_brokers(const char *const *names, size_t count, const struct fault *f, void *arg)
{
	struct got *g = arg;
	got_fault(g, f);
	g->count = count;
	snprintf(g->fault.text, sizeof g->fault.text, "%s", count ? names[0] : "");
	sem_post(&g->ready);
}

static void broker_asks(const char *name, uint8_t key, struct got *g)
{
	uint8_t spki_sha256[SHA256_SIZE];
	memset(spki_sha256, key, sizeof spki_sha256);
	got_init(g);
	store_broker_add(fixture_store, &fixture_admin, name, spki_sha256, on_changed, g);
	got_wait(g);
}

static void remove_broker(const char *name, struct got *g)
{
	got_init(g);
	store_broker_remove(fixture_store, &fixture_admin, name, on_changed, g);
	got_wait(g);
}

/* key 0: the name. */
static void revoke_broker(const char *name, uint8_t key, const char *reason, struct got *g)
{
	uint8_t spki_sha256[SHA256_SIZE];
	memset(spki_sha256, key, sizeof spki_sha256);
	got_init(g);
	store_broker_revoke(fixture_store, &fixture_admin, name, key ? spki_sha256 : NULL, reason, on_changed,
			    g);
	got_wait(g);
	assert_false(g->refused);
}

static void test_brokers_are_remembered_until_removed(void **state)
{
	struct got g;
	(void)state;
	broker_asks("broker-a", 1, &g);
	assert_int_equal(g.changed.count, 1);
	broker_asks("broker-a", 2, &g);
	assert_int_equal(g.changed.count, 0);
	fixture_reopen();
	got_init(&g);
	store_brokers(fixture_store, on_brokers, &g);
	got_wait(&g);
	assert_int_equal(g.count, 1);
	assert_string_equal(g.fault.text, "broker-a");
	remove_broker("broker-a", &g);
	assert_false(g.refused);
	remove_broker("broker-a", &g);
	assert_refused(&g, REASON_NOT_FOUND);
}

static void test_a_revoked_key_has_no_feed_under_any_name_and_the_name_goes_on(void **state)
{
	struct got g, first;
	(void)state;
	broker_asks("broker-a", 1, &g);
	revoke_broker("broker-a", 1, "stolen", &first);
	assert_false(first.changed.already);
	fixture_reopen();
	broker_asks("broker-a", 1, &g);
	assert_refused(&g, REASON_BROKER_REVOKED);
	broker_asks("broker-b", 1, &g);
	assert_refused(&g, REASON_BROKER_REVOKED);
	broker_asks("broker-a", 2, &g);
	assert_false(g.refused);
	revoke_broker("broker-a", 1, "again", &g);
	assert_true(g.changed.already);
	assert_int_equal(g.changed.seq, first.changed.seq);
	assert_string_equal(g.changed.reason, "stolen");
	assert_int_equal(
		count_rows(
			"SELECT count(*) FROM log WHERE kind = 'broker-revoked' AND thing = 'broker-a' AND "
			"reason = 'stolen' AND detail LIKE '%0101%'"),
		1);
	assert_int_equal(count_rows("SELECT count(*) FROM brokers"), 1);
}

static void test_a_revoked_name_has_no_feed_and_is_not_waited_for(void **state)
{
	struct got g;
	(void)state;
	broker_asks("broker-a", 1, &g);
	broker_asks("broker-b", 2, &g);
	revoke_broker("broker-a", 0, "lost", &g);
	assert_int_equal(g.changed.count, 1);
	fixture_reopen();
	broker_asks("broker-a", 1, &g);
	assert_refused(&g, REASON_BROKER_REVOKED);
	broker_asks("broker-a", 3, &g);
	assert_refused(&g, REASON_BROKER_REVOKED);
	broker_asks("broker-b", 2, &g);
	assert_false(g.refused);
	assert_int_equal(count_rows("SELECT count(*) FROM brokers WHERE name = 'broker-a'"), 0);
	revoke_broker("broker-never-seen", 0, "lost before it was used", &g);
	assert_int_equal(g.changed.count, 0);
	broker_asks("broker-never-seen", 4, &g);
	assert_refused(&g, REASON_BROKER_REVOKED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_each_commit_is_pushed_with_its_records),
		TEST(test_pushed_commits_leave_no_gap),
		TEST(test_renewal_asks_brokers_to_report_the_first_connection),
		TEST(test_snapshot_holds_what_counts_and_nothing_else),
		TEST(test_snapshot_in_pages_is_the_same),
		TEST(test_changes_bring_an_old_table_up_to_date),
		TEST(test_position_of_another_log_is_not_known),
		TEST(test_policy_is_pushed_when_it_changes),
		TEST(test_service_comes_with_its_policy_and_goes),
		TEST(test_service_is_refused_by_reason),
		TEST(test_brokers_are_remembered_until_removed),
		TEST(test_a_revoked_key_has_no_feed_under_any_name_and_the_name_goes_on),
		TEST(test_a_revoked_name_has_no_feed_and_is_not_waited_for),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
