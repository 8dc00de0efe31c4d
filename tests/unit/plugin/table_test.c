#include "plugin/table.h"

#include "../counted_heap.h"
#include "broker_stub.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <time.h>

#include <cmocka.h>

enum { MANY = 200000 };

static const char policy_text[] = "{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Allow\","
				  "\"Action\":\"iot:*\",\"Resource\":\"*\"}}";

static struct fault f;

static void fingerprint_of(uint64_t n, uint8_t out[SHA256_SIZE])
{
	sha256(bytes_of(&n, sizeof n), out);
}

static void put(struct table *t, uint64_t n, enum feed_state state, const char *name, const char *policy)
{
	uint8_t fp[SHA256_SIZE];
	fingerprint_of(n, fp);
	struct feed_record r = {.type = FEED_CERTIFICATE,
				.fingerprint = {fp, sizeof fp},
				.state = state,
				.not_before = 1,
				.not_after = (int64_t)n,
				.name = bytes_str(name),
				.policy = bytes_str(policy)};
	assert_true(table_put(t, &r, &f, &f).ok);
}

static void put_policy(struct table *t, const char *name, const char *document, struct fault *refused)
{
	struct feed_record r = {
		.type = FEED_POLICY, .policy = bytes_str(name), .document = bytes_str(document)};
	assert_true(table_put(t, &r, refused, &f).ok);
}

static void drop(struct table *t, uint64_t n)
{
	uint8_t fp[SHA256_SIZE];
	fingerprint_of(n, fp);
	struct feed_record r = {.type = FEED_REMOVED, .fingerprint = {fp, sizeof fp}};
	assert_true(table_put(t, &r, &f, &f).ok);
}

static const struct table_entry *entry(const struct table *t, uint64_t n)
{
	uint8_t fp[SHA256_SIZE];
	fingerprint_of(n, fp);
	return table_find(t, fp);
}

static struct table_standing standing(const struct table *t, uint64_t n)
{
	const struct table_entry *e = entry(t, n);
	assert_non_null(e);
	return table_standing(t, e);
}

static void test_what_is_put_is_found_as_it_stands_last(void **state)
{
	(void)state;
	struct retire retire = {0};
	struct table *t = table_new(&retire);
	put_policy(t, "p", policy_text, &f);
	assert_null(entry(t, 1));
	put(t, 1, FEED_ACTIVE, "thing-1", "p");
	put(t, 2, FEED_INACTIVE, "thing-2", "q");
	assert_string_equal(standing(t, 1).name, "thing-1");
	assert_int_equal(standing(t, 1).state, FEED_ACTIVE);
	assert_non_null(standing(t, 1).policy);
	assert_null(standing(t, 2).policy);
	const struct table_entry *before = entry(t, 1);
	put(t, 1, FEED_REVOKED, "another-name", "p");
	assert_ptr_equal(before, entry(t, 1));
	assert_int_equal(standing(t, 1).state, FEED_REVOKED);
	assert_string_equal(standing(t, 1).name, "another-name");
	assert_int_equal(table_count(t), 2);
	table_free(t);
	retire_all(&retire);
}

static void test_a_removed_certificate_is_not_registered_until_it_is_put_again(void **state)
{
	(void)state;
	struct retire retire = {0};
	struct table *t = table_new(&retire);
	put(t, 1, FEED_ACTIVE, "thing", "p");
	drop(t, 2);
	drop(t, 1);
	drop(t, 1);
	assert_int_equal(table_count(t), 0);
	assert_false(standing(t, 1).registered);
	assert_int_equal(standing(t, 1).state, FEED_REVOKED);
	put(t, 1, FEED_ACTIVE, "thing", "p");
	assert_true(standing(t, 1).registered);
	assert_int_equal(table_count(t), 1);
	table_free(t);
	retire_all(&retire);
}

static void test_a_policy_that_does_not_compile_denies_and_says_so(void **state)
{
	(void)state;
	struct retire retire = {0};
	struct table *t = table_new(&retire);
	struct fault refused = {0};
	put_policy(t, "p", policy_text, &refused);
	assert_int_equal(refused.reason, REASON_NONE);
	put(t, 1, FEED_ACTIVE, "thing", "p");
	const struct policy *first = standing(t, 1).policy;
	put_policy(t, "p", policy_text, &refused);
	assert_ptr_not_equal(first, standing(t, 1).policy);
	put_policy(t, "p", "{}", &refused);
	assert_int_equal(refused.reason, REASON_POLICY_SYNTAX);
	assert_non_null(strstr(refused.text, "\"p\" denies all"));
	assert_null(standing(t, 1).policy);
	table_free(t);
	retire_all(&retire);
}

/* Each allocation fails once, jansson's too, which calls a good text malformed then or loses a character of it. The policy
 * before stays in force. */
static void test_a_policy_that_there_is_no_memory_for_is_not_taken_for_a_bad_one(void **state)
{
	(void)state;
	static const char longer[] = "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\","
				     "\"Action\":[\"iot:Publish\","
				     "\"iot:Connect\"],\"Resource\":[\"arn:aws:iot:eu-west-1:123456789012:"
				     "topic/a/${iot:ClientId}/b\","
				     "\"*\"],\"Condition\":{\"StringEquals\":{\"iot:ClientId\":[\"one-client-"
				     "id\",\"another-client-id\"]}}}]}";
	struct feed_record r = {.type = FEED_POLICY, .policy = bytes_str("p"), .document = bytes_str(longer)};
	for (size_t n = 1;; n++) {
		struct retire retire = {0};
		struct table *t = table_new(&retire);
		struct fault refused = {0};
		put_policy(t, "p", policy_text, &refused);
		put(t, 1, FEED_ACTIVE, "thing", "p");
		const struct policy *before = standing(t, 1).policy;
		counted_heap.fail_at = counted_heap.allocations + n;
		bool ok = table_put(t, &r, &refused, &f).ok,
		     failed = counted_heap.allocations >= counted_heap.fail_at;
		counted_heap.fail_at = 0;
		assert_int_equal(refused.reason, REASON_NONE);
		assert_int_equal(ok, !failed);
		assert_int_equal(standing(t, 1).policy == before, failed);
		if (failed)
			assert_int_equal(f.reason, REASON_NO_MEMORY);
		table_free(t);
		retire_all(&retire);
		if (!failed) {
			assert_true(n > 20);
			return;
		}
	}
}

/* A fleet may have a policy for each device. Linear search would take minutes here. */
static void test_each_may_have_a_policy_of_its_own_up_to_the_limit(void **state)
{
	(void)state;
	struct retire retire = {0};
	struct table *t = table_new(&retire);
	char name[16];
	for (unsigned n = 0; n < TABLE_POLICIES_MAX; n++) {
		snprintf(name, sizeof name, "p%u", n);
		put_policy(t, name, n % 2 ? policy_text : "{}", &f);
		put(t, n, FEED_ACTIVE, "thing", name);
	}
	for (unsigned n = 0; n < TABLE_POLICIES_MAX; n += 7)
		assert_int_equal(standing(t, n).policy != NULL, n % 2);
	struct feed_record r = {
		.type = FEED_POLICY, .policy = bytes_str("more"), .document = bytes_str(policy_text)};
	assert_false(table_put(t, &r, &f, &f).ok);
	assert_int_equal(f.reason, REASON_TOO_LARGE);
	put_policy(t, "p7", "{}", &f);
	assert_null(standing(t, 7).policy);
	table_free(t);
	retire_all(&retire);
}

static void test_many_are_found_while_the_index_grows(void **state)
{
	(void)state;
	struct retire retire = {0};
	struct table *t = table_new(&retire);
	for (uint64_t n = 0; n < MANY; n++)
		put(t, n, FEED_ACTIVE, "mfrggzdfmztwq2lkobxw4mrq", "p");
	assert_int_equal(table_count(t), MANY);
	uint8_t(*fps)[SHA256_SIZE] = malloc((size_t)MANY * SHA256_SIZE);
	assert_non_null(fps);
	for (uint64_t n = 0; n < MANY; n++)
		fingerprint_of(n, fps[n]);
	clock_t start = clock();
	for (uint64_t n = 0; n < MANY; n++) {
		const struct table_entry *e = table_find(t, fps[n]);
		if (!e || atomic_load(&e->not_after) != (int64_t)n)
			fail_msg("certificate %llu", (unsigned long long)n);
	}
	printf("%.0f ns a look-up among %d\n", (double)(clock() - start) * 1e9 / CLOCKS_PER_SEC / MANY, MANY);
	for (uint64_t n = MANY; n < MANY + 1000; n++)
		assert_null(entry(t, n));
	free(fps);
	table_free(t);
	retire_all(&retire);
}

/* Names are beside the table: here there is one for all, whose block is not counted. */
static void test_a_certificate_takes_at_most_64_bytes(void **state)
{
	(void)state;
	struct retire retire = {0};
	struct table *t = table_new(&retire);
	put(t, 0, FEED_ACTIVE, "thing", "p");
	size_t before = counted_heap.bytes;
	for (uint64_t n = 1; n <= MANY; n++) {
		put(t, n, FEED_ACTIVE, "", "p");
		retire_turn(&retire);
		retire_turn(&retire);
		retire_reap(&retire);
		if (n >= 10000 && counted_heap.bytes - before > 64 * n)
			fail_msg("%zu bytes for %llu certificates", counted_heap.bytes - before,
				 (unsigned long long)n);
	}
	table_free(t);
	retire_all(&retire);
}

/* ---- things ---- */

static void put_thing(struct table *t, uint64_t n, const char *room, unsigned flags)
{
	uint8_t fp[SHA256_SIZE];
	fingerprint_of(n, fp);
	const struct feed_thing thing = {
		.type = bytes_str("lamp"),
		.count = room ? 1 : 0,
		.attributes = {{bytes_str("room"), bytes_str(room ? room : "")}},
	};
	struct feed_record r = {.type = FEED_CERTIFICATE,
				.fingerprint = {fp, sizeof fp},
				.not_before = 1,
				.not_after = 100,
				.name = bytes_str("thing"),
				.policy = bytes_str("p"),
				.thing = &thing,
				.flags = flags};
	assert_true(table_put(t, &r, &f, &f).ok);
}

static void assert_room(const struct table *t, uint64_t n, const char *room)
{
	struct policy_attribute attributes[FEED_ATTRIBUTES_MAX];
	struct table_standing s = standing(t, n);
	const char *type;
	size_t count = table_thing(&s, &type, attributes);
	assert_string_equal(s.name, "thing");
	assert_string_equal(type, "lamp");
	assert_int_equal(count, room ? 1 : 0);
	if (room) {
		assert_string_equal(attributes[0].name, "room");
		assert_string_equal(attributes[0].value, room);
	}
}

static void test_what_is_known_of_a_thing_changes_its_standings_word(void **state)
{
	(void)state;
	struct retire retire = {0};
	struct table *t = table_new(&retire);
	put(t, 1, FEED_ACTIVE, "thing", "p");
	uint64_t plain = standing(t, 1).word;
	put_thing(t, 1, "kitchen", 0);
	uint64_t kitchen = standing(t, 1).word;
	assert_int_not_equal(plain, kitchen);
	assert_room(t, 1, "kitchen");
	put_thing(t, 1, "kitchen", 0);
	assert_int_equal(standing(t, 1).word, kitchen); /* the same again: nothing is made anew */
	put_thing(t, 1, "bath", 0);
	assert_int_not_equal(standing(t, 1).word, kitchen);
	assert_room(t, 1, "bath");
	uint64_t bath = standing(t, 1).word;
	put_thing(t, 1, "bath", FEED_DETACHED);
	assert_int_not_equal(standing(t, 1).word, bath);
	put_thing(t, 1, NULL, 0);
	assert_room(t, 1, NULL);
	put(t, 1, FEED_ACTIVE, "thing", "p");
	struct policy_attribute attributes[FEED_ATTRIBUTES_MAX];
	const char *type;
	struct table_standing s = standing(t, 1);
	assert_int_equal(table_thing(&s, &type, attributes), 0);
	assert_string_equal(type, "");
	table_free(t);
	retire_all(&retire);
}

static outcome put_into(void *arg, const struct feed_record *record, struct fault *unused)
{
	(void)unused;
	return table_put(arg, record, &f, &f);
}

static void test_things_come_back_from_each(void **state)
{
	(void)state;
	struct retire retire = {0};
	struct table *t = table_new(&retire), *copy = table_new(&retire);
	put_thing(t, 1, "kitchen", FEED_DETACHED);
	put_thing(t, 2, NULL, 0);
	put(t, 3, FEED_ACTIVE, "thing", "p");
	assert_true(table_each(t, 0, put_into, copy, &f).ok);
	assert_room(copy, 1, "kitchen");
	assert_int_equal(standing(copy, 1).flags, FEED_DETACHED | TABLE_HAS_THING);
	assert_room(copy, 2, NULL);
	assert_int_equal(standing(copy, 3).flags, 0);
	table_free(t);
	table_free(copy);
	retire_all(&retire);
}

/* An attribute set is kept once a change, and not for others. */
static void test_memory_grows_only_where_something_is_set(void **state)
{
	(void)state;
	struct retire retire = {0};
	struct table *t = table_new(&retire);
	for (uint64_t n = 0; n < 1000; n++)
		put(t, n, FEED_ACTIVE, "thing", "p");
	put_thing(t, 1, "kitchen", 0);
	size_t before = counted_heap.bytes;
	for (int i = 0; i < 1000000; i++)
		put_thing(t, 1, "kitchen", 0);
	assert_int_equal(counted_heap.bytes, before);
	table_free(t);
	retire_all(&retire);
}

static void test_a_policy_that_is_gone_denies(void **state)
{
	(void)state;
	struct retire retire = {0};
	struct table *t = table_new(&retire);
	put_policy(t, "p", policy_text, &f);
	put(t, 1, FEED_ACTIVE, "thing", "p");
	assert_non_null(standing(t, 1).policy);
	struct feed_record gone = {.type = FEED_POLICY_REMOVED, .policy = bytes_str("p")};
	assert_true(table_put(t, &gone, &f, &f).ok);
	assert_null(standing(t, 1).policy);
	assert_true(table_put(t, &gone, &f, &f).ok); /* a second time, or one that was never there */
	put_policy(t, "p", policy_text, &f);
	assert_non_null(standing(t, 1).policy);
	table_free(t);
	retire_all(&retire);
}

static void test_dates_beyond_2106_are_held_as_that(void **state)
{
	(void)state;
	struct retire retire = {0};
	struct table *t = table_new(&retire);
	put(t, UINT32_MAX, FEED_ACTIVE, "thing", "p");
	put(t, INT64_C(253402300799), FEED_ACTIVE, "thing", "p");
	assert_int_equal(atomic_load(&entry(t, UINT32_MAX)->not_after), UINT32_MAX);
	assert_int_equal(atomic_load(&entry(t, INT64_C(253402300799))->not_after), UINT32_MAX);
	table_free(t);
	retire_all(&retire);
}

struct counted {
	size_t policies, certificates;
	int64_t last;
};

static outcome count(void *arg, const struct feed_record *record, struct fault *unused)
{
	struct counted *c = arg;
	(void)unused;
	c->policies += record->type == FEED_POLICY;
	c->certificates += record->type == FEED_CERTIFICATE;
	if (record->type == FEED_CERTIFICATE)
		c->last = record->not_after;
	return DONE;
}

static void test_each_leaves_out_what_is_removed_or_long_expired(void **state)
{
	(void)state;
	struct retire retire = {0};
	struct table *t = table_new(&retire);
	struct counted c = {0};
	put_policy(t, "p", policy_text, &f);
	for (uint64_t n = 1; n <= 10; n++)
		put(t, n, FEED_ACTIVE, "thing", n % 2 ? "p" : "policy without a document");
	drop(t, 10);
	assert_true(table_each(t, 4, count, &c, &f).ok);
	assert_int_equal(c.policies, 1);
	assert_int_equal(c.certificates, 6);
	assert_int_equal(c.last, 9);
	table_free(t);
	retire_all(&retire);
}

static int freed;

static void count_free(void *p)
{
	(void)p;
	freed++;
}

static void test_what_is_replaced_lives_for_two_turns_of_the_reader(void **state)
{
	(void)state;
	struct retire retire = {0};
	freed = 0;
	retire_turn(&retire);
	assert_true(retire_prepare(&retire));
	retire_later(&retire, &freed, count_free);
	retire_reap(&retire);
	assert_int_equal(freed, 0);
	retire_turn(&retire); /* the turn that was under way, and may have looked before */
	retire_reap(&retire);
	assert_int_equal(freed, 0);
	assert_true(retire_prepare(&retire));
	retire_later(&retire, &freed, count_free);
	assert_true(retire_prepare(&retire)); /* for one that does not come */
	retire_turn(&retire);
	retire_reap(&retire);
	assert_int_equal(freed, 1);
	retire_all(&retire);
	assert_int_equal(freed, 2);
}

struct race {
	struct table *t;
	struct retire retire;
	_Atomic bool stop;
	_Atomic uint64_t put;
	uint64_t wrong, looks;
};

/* What has been announced as put must be found, whole; what it finds must make sense. */
static void *read_on(void *arg)
{
	struct race *r = arg;
	uint64_t n = 0;
	while (!atomic_load(&r->stop)) {
		uint64_t there = atomic_load(&r->put);
		for (int i = 0; i < 100 && there; i++) {
			n = (n * 6364136223846793005u + 1442695040888963407u);
			const struct table_entry *e = entry(r->t, n % there);
			if (!e || (table_standing(r->t, e).policy && *table_standing(r->t, e).name != 't'))
				r->wrong++;
			r->looks++;
		}
		retire_turn(&r->retire);
	}
	return NULL;
}

static void test_a_reader_beside_the_writer_sees_whole_entries(void **state)
{
	(void)state;
	struct race r = {0};
	pthread_t reader;
	r.t = table_new(&r.retire);
	assert_int_equal(pthread_create(&reader, NULL, read_on, &r), 0);
	for (uint64_t n = 0; n < MANY / 4; n++) {
		if (n % 64 == 0)
			put_policy(r.t, "p", policy_text, &f);
		put(r.t, n, FEED_ACTIVE, n % 3 ? "thing" : "that", "p");
		atomic_store(&r.put, n + 1);
		if (n % 5 == 0)
			put(r.t, n / 2, FEED_REVOKED, "t", "p");
		retire_reap(&r.retire);
	}
	atomic_store(&r.stop, true);
	pthread_join(reader, NULL);
	assert_int_equal(r.wrong, 0);
	assert_true(r.looks > 0);
	table_free(r.t);
	retire_all(&r.retire);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_put_is_found_as_it_stands_last),
		cmocka_unit_test(test_a_removed_certificate_is_not_registered_until_it_is_put_again),
		cmocka_unit_test(test_a_policy_that_does_not_compile_denies_and_says_so),
		cmocka_unit_test(test_a_policy_that_there_is_no_memory_for_is_not_taken_for_a_bad_one),
		cmocka_unit_test(test_each_may_have_a_policy_of_its_own_up_to_the_limit),
		cmocka_unit_test(test_many_are_found_while_the_index_grows),
		cmocka_unit_test(test_a_certificate_takes_at_most_64_bytes),
		cmocka_unit_test(test_what_is_known_of_a_thing_changes_its_standings_word),
		cmocka_unit_test(test_things_come_back_from_each),
		cmocka_unit_test(test_memory_grows_only_where_something_is_set),
		cmocka_unit_test(test_a_policy_that_is_gone_denies),
		cmocka_unit_test(test_dates_beyond_2106_are_held_as_that),
		cmocka_unit_test(test_each_leaves_out_what_is_removed_or_long_expired),
		cmocka_unit_test(test_what_is_replaced_lives_for_two_turns_of_the_reader),
		cmocka_unit_test(test_a_reader_beside_the_writer_sees_whole_entries),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
