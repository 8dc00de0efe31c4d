#include "gateway/store/store_provenance.h"

#include "store_fixture.h"

/* ---- a programme with two lines' orders, and chains of two statements ---- */

enum { QUOTA = 5, T0 = 1700000000 };

static const uint8_t programme_id[PROGRAMME_ID_SIZE] = {9};
static int64_t programme, orders[2], lines_state;

static void on_programme(int64_t number, const struct fault *f, void *arg)
{
	struct got *g = arg;
	got_fault(g, f);
	g->number = number;
	sem_post(&g->ready);
}

static void on_added(const struct store_added *a, const struct fault *f, void *arg)
{
	struct got *g = arg;
	got_fault(g, f);
	for (size_t i = 0; a && i < a->order_count; i++)
		orders[i] = a->orders[i].id;
	if (a)
		g->number = a->unchanged;
	sem_post(&g->ready);
}

static struct got add_orders(int64_t quota)
{
	struct work_order order[2];
	struct store_object objects[2];
	struct got g;
	for (size_t i = 0; i < 2; i++) {
		order[i] = (struct work_order){.batch = "B1", .stage = (int64_t)i + 1, .quota = quota};
		memset(order[i].line, (int)i + 1, KEY_ID_SIZE);
		objects[i] = (struct store_object){.programme = programme,
						   .object = bytes_of(&order[i], sizeof order[i]),
						   .order = &order[i]};
	}
	got_init(&g);
	store_provenance_add(fixture_store, &fixture_admin, objects, 2, on_added, &g);
	got_wait(&g);
	return g;
}

static int set_up(void **state)
{
	struct got g;
	fixture_setup(state);
	got_init(&g);
	store_programme(fixture_store, programme_id, on_programme, &g);
	got_wait(&g);
	assert_false(g.refused);
	programme = g.number;
	lines_state = 0;
	g = add_orders(QUOTA);
	assert_false(g.refused);
	return 0;
}

/* Statement `i` of a device, under number `seq`; what it says is `content`. */
static struct store_statement statement(size_t i, int64_t seq, uint8_t content)
{
	struct store_statement s = {.order = orders[i],
				    .line = (int64_t)i + 1,
				    .batch = "B1",
				    .stage = (int64_t)i + 1,
				    .seq = seq,
				    .time = T0 + seq};
	memset(s.sha256, content, SHA256_SIZE);
	return s;
}

static struct store_chain chain(int64_t seq, uint8_t content)
{
	static const uint8_t bytes[] = {0x83};
	return (struct store_chain){
		.programme = programme,
		.lines_state = lines_state,
		.statements = {statement(0, seq, content), statement(1, seq, (uint8_t)(content + 1))},
		.count = 2,
		.chain = bytes_of(bytes, sizeof bytes),
		.freeze = true};
}

/* Under a key that nobody has asked for before: a known one is answered without a look at the chain. */
static struct got reserve_with(int device, const struct store_chain *c)
{
	static int keys;
	struct store_reservation r;
	struct got g;
	fixture_reservation(&(struct ask){.device = device, .key = ++keys}, &r);
	r.chain = c;
	got_init(&g);
	store_reserve(fixture_store, &r, on_reserved, &g);
	got_wait(&g);
	return g;
}

static void is_reserved(int device, const struct store_chain *c)
{
	struct got g = reserve_with(device, c);
	if (g.refused)
		fail_msg("%s: %s", reason_code(g.fault.reason), g.fault.text);
}

/* Has its certificate, and may come with another key. */
static void is_enrolled(int device, const struct store_chain *c)
{
	struct got g = reserve_with(device, c);
	if (g.refused)
		fail_msg("%s: %s", reason_code(g.fault.reason), g.fault.text);
	record(g.reserved.intent.id, &g);
	assert_false(g.refused);
	assert_false(allow_reenrol(device).refused);
}

static void is_refused(int device, const struct store_chain *c, enum reason reason)
{
	struct got g = reserve_with(device, c);
	assert_refused(&g, reason);
}

static int64_t uses(void)
{
	return count_rows("SELECT count(*) FROM statement_uses");
}

/* ---- numbers are used once ---- */

static void test_a_chain_is_used_with_the_reservation(void **state)
{
	struct store_chain c = chain(1, 10);
	(void)state;
	is_reserved(1, &c);
	assert_int_equal(uses(), 2);
	assert_int_equal(count_rows("SELECT count(*) FROM chains"), 1);
}

static void test_the_same_chain_of_the_same_device_is_used_once(void **state)
{
	struct store_chain c = chain(1, 10);
	(void)state;
	is_enrolled(1, &c);
	is_reserved(1, &c);
	assert_int_equal(uses(), 2);
}

static void test_another_chain_of_a_device_is_refused_and_uses_nothing(void **state)
{
	struct store_chain c = chain(1, 10), other = chain(2, 20), shorter = chain(1, 10);
	(void)state;
	is_enrolled(1, &c);
	is_refused(1, &other, REASON_CHAIN_USED);
	shorter.count = 1;
	is_refused(1, &shorter, REASON_CHAIN_USED);
	assert_int_equal(uses(), 2);
}

static void test_what_a_chain_has_grown_by_is_used(void **state)
{
	struct store_chain c = chain(1, 10);
	(void)state;
	c.count = 1;
	is_enrolled(1, &c);
	assert_int_equal(uses(), 1);
	c.count = 2;
	is_reserved(1, &c);
	assert_int_equal(uses(), 2);
}

static void test_a_number_above_the_quota_is_never_written(void **state)
{
	struct store_chain c = chain(QUOTA, 10), over = chain(QUOTA + 1, 20);
	(void)state;
	is_reserved(1, &c);
	assert_true(reserve_with(2, &over).refused);
	assert_int_equal(uses(), 2);
	assert_int_equal(count_rows("SELECT count(*) FROM devices"), 1);
}

static void test_no_order_takes_the_place_of_another(void **state)
{
	struct got g = add_orders(QUOTA);
	(void)state;
	assert_false(g.refused);
	assert_int_equal(g.number, 2);
	g = add_orders(QUOTA + 1);
	assert_refused(&g, REASON_CONFLICT);
	assert_int_equal(count_rows("SELECT max(quota) FROM orders"), QUOTA);
}

static void test_a_chain_that_was_checked_against_lines_as_they_were_is_not_used(void **state)
{
	struct store_chain c = chain(1, 10);
	(void)state;
	c.lines_state = lines_state + 1;
	is_refused(1, &c, REASON_OVERLOADED);
	assert_int_equal(uses(), 0);
}

/* ---- two statements under one number ---- */

static void test_two_statements_under_one_number_are_an_alarm_and_freeze_the_batch(void **state)
{
	struct store_chain first = chain(1, 10), second = chain(1, 20), third = chain(2, 30);
	(void)state;
	is_enrolled(1, &first);
	is_refused(2, &second, REASON_EQUIVOCATION);
	assert_int_equal(uses(), 2);
	assert_int_equal(
		count_rows("SELECT count(*) FROM log WHERE kind = 'alarm' AND reason = 'equivocation'"), 1);
	is_refused(3, &third, REASON_BATCH_FROZEN);
	is_reserved(1, &first); /* which used its numbers before */
}

static void test_a_class_that_does_not_freeze_goes_on(void **state)
{
	struct store_chain first = chain(1, 10), second = chain(1, 20), third = chain(2, 30);
	(void)state;
	second.freeze = false;
	is_reserved(1, &first);
	is_refused(2, &second, REASON_EQUIVOCATION);
	is_reserved(3, &third);
}

static struct got release(const char *batch)
{
	struct got g;
	got_init(&g);
	store_batch_release(fixture_store, &fixture_admin, batch, programme_id, "the tester was put right",
			    on_changed, &g);
	got_wait(&g);
	return g;
}

static void test_a_released_batch_goes_on_and_its_numbers_stay_used(void **state)
{
	struct store_chain first = chain(1, 10), second = chain(1, 20), third = chain(2, 30);
	(void)state;
	is_reserved(1, &first);
	is_refused(2, &second, REASON_EQUIVOCATION);
	struct got g = release("B1");
	assert_false(g.refused);
	is_reserved(3, &third);
	is_refused(2, &second, REASON_EQUIVOCATION);
}

/* ---- the register ---- */

enum { ENTRIES = 4 };

struct history {
	struct register_entry entries[ENTRIES];
	uint8_t heads[ENTRIES + 1][SHA256_SIZE];
};

/* Histories of the same seed are the same. */
static void write_history(struct history *h, uint8_t seed)
{
	register_start(programme_id, h->heads[0]);
	for (size_t i = 0; i < ENTRIES; i++) {
		h->entries[i] = (struct register_entry){.index = (int64_t)i + 1, .time = T0 + (int64_t)i};
		memset(h->entries[i].object, seed + (int)i, SHA256_SIZE);
		register_next(h->heads[i], &h->entries[i], h->heads[i + 1]);
	}
}

/* Entries first to last, and the register's word of that size at that time. */
static struct got push(const struct history *h, size_t first, size_t last, int64_t time)
{
	struct register_head head = {.size = (int64_t)last, .time = time};
	struct store_register_push p = {.programme = programme,
					.entries = &h->entries[first - 1],
					.count = last - first + 1,
					.head = &head,
					.word = bytes_of(&time, sizeof time)};
	struct got g;
	memcpy(head.head, h->heads[last], SHA256_SIZE);
	memcpy(head.programme, programme_id, PROGRAMME_ID_SIZE);
	memcpy(p.programme_id, programme_id, PROGRAMME_ID_SIZE);
	got_init(&g);
	store_register_push(fixture_store, &fixture_admin, &p, on_changed, &g);
	got_wait(&g);
	return g;
}

static void is_pushed(const struct history *h, size_t first, size_t last, int64_t time)
{
	struct got g = push(h, first, last, time);
	if (g.refused)
		fail_msg("%s: %s", reason_code(g.fault.reason), g.fault.text);
}

static void is_another_history(struct got g)
{
	assert_refused(&g, REASON_REGISTER_HISTORY);
	assert_int_equal(
		count_rows("SELECT count(*) FROM log WHERE kind = 'alarm' AND reason = 'register-history'"),
		1);
}

static int64_t copied(void)
{
	return count_rows("SELECT count(*) FROM register_entries");
}

static void test_the_register_grows_and_may_be_pushed_again(void **state)
{
	struct history h;
	(void)state;
	write_history(&h, 50);
	is_pushed(&h, 1, 2, T0 + 10);
	is_pushed(&h, 1, 2, T0 + 10);
	is_pushed(&h, 2, ENTRIES, T0 + 20);
	is_pushed(&h, 1, 2, T0 + 10); /* an older word about less */
	assert_int_equal(copied(), ENTRIES);
}

static void test_entries_that_leave_some_out_are_not_taken(void **state)
{
	struct history h;
	(void)state;
	write_history(&h, 50);
	is_pushed(&h, 1, 1, T0 + 10);
	struct got g = push(&h, 3, ENTRIES, T0 + 20);
	assert_refused(&g, REASON_CONFLICT);
	assert_int_equal(copied(), 1);
}

static void test_another_entry_under_a_known_number_is_another_history(void **state)
{
	struct history h, other;
	(void)state;
	write_history(&h, 50);
	write_history(&other, 60);
	is_pushed(&h, 1, 2, T0 + 10);
	is_another_history(push(&other, 1, ENTRIES, T0 + 20));
	assert_int_equal(copied(), 2);
}

static void test_entries_that_do_not_lead_to_the_word_are_another_history(void **state)
{
	struct history h;
	(void)state;
	write_history(&h, 50);
	h.heads[ENTRIES][0] ^= 1;
	is_another_history(push(&h, 1, ENTRIES, T0 + 10));
	assert_int_equal(copied(), 0);
}

static void test_a_newer_word_about_a_shorter_register_is_another_history(void **state)
{
	struct history h;
	(void)state;
	write_history(&h, 50);
	is_pushed(&h, 1, ENTRIES, T0 + 10);
	is_another_history(push(&h, 1, 2, T0 + 20));
	assert_int_equal(copied(), ENTRIES);
}

static void test_times_of_a_register_never_fall(void **state)
{
	struct history h;
	(void)state;
	write_history(&h, 50);
	h.entries[2].time = T0;
	struct got g = push(&h, 1, ENTRIES, T0 + 10);
	assert_refused(&g, REASON_BAD_FIELD);
	assert_int_equal(copied(), 0);
}

/* ---- receipts ---- */

/* A chain whose statements are entries 1 and 2 of the history. */
static struct store_chain receipted(const struct history *h, int64_t seq)
{
	static const uint8_t word[] = {0xd2};
	struct store_chain c = chain(seq, h->entries[0].object[0]);
	for (size_t i = 0; i < 2; i++) {
		c.statements[i].index = h->entries[i].index;
		c.statements[i].time = h->entries[i].time;
	}
	c.receipt = bytes_of(word, sizeof word);
	c.receipt_count = 2;
	memcpy(c.head, h->heads[2], SHA256_SIZE);
	return c;
}

static void test_a_receipt_of_the_copy_s_history_is_taken(void **state)
{
	struct history h;
	(void)state;
	write_history(&h, 50);
	struct store_chain c = receipted(&h, 1);
	is_pushed(&h, 1, ENTRIES, T0 + 10);
	is_reserved(1, &c);
	assert_int_equal(count_rows("SELECT count(*) FROM register_heads"), 0);
}

static void test_a_receipt_against_the_copy_is_another_history(void **state)
{
	struct history h, other;
	(void)state;
	write_history(&h, 50);
	write_history(&other, 60);
	struct store_chain c = receipted(&other, 1);
	is_pushed(&h, 1, ENTRIES, T0 + 10);
	is_another_history(reserve_with(1, &c));
	assert_int_equal(uses(), 0);
}

static void test_two_receipts_of_two_histories_are_told_apart_before_any_push(void **state)
{
	struct history h, other;
	(void)state;
	write_history(&h, 50);
	write_history(&other, 60);
	struct store_chain one = receipted(&h, 1), two = receipted(&other, 2);
	is_reserved(1, &one);
	is_another_history(reserve_with(2, &two));
	assert_int_equal(uses(), 2);
}

static void test_a_push_against_a_receipt_that_was_seen_is_another_history(void **state)
{
	struct history h, other;
	(void)state;
	write_history(&h, 50);
	write_history(&other, 60);
	struct store_chain c = receipted(&h, 1);
	is_reserved(1, &c);
	is_another_history(push(&other, 1, ENTRIES, T0 + 10));
	assert_int_equal(copied(), 0);
}

static void test_a_receipt_s_head_is_kept_until_its_entry_comes(void **state)
{
	struct history h;
	(void)state;
	write_history(&h, 50);
	struct store_chain c = receipted(&h, 1);
	is_reserved(1, &c);
	assert_int_equal(count_rows("SELECT count(*) FROM register_heads"), 1);
	is_pushed(&h, 1, ENTRIES, T0 + 10);
	assert_int_equal(count_rows("SELECT count(*) FROM register_heads"), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_chain_is_used_with_the_reservation),
		TEST(test_the_same_chain_of_the_same_device_is_used_once),
		TEST(test_another_chain_of_a_device_is_refused_and_uses_nothing),
		TEST(test_what_a_chain_has_grown_by_is_used),
		TEST(test_a_number_above_the_quota_is_never_written),
		TEST(test_no_order_takes_the_place_of_another),
		TEST(test_a_chain_that_was_checked_against_lines_as_they_were_is_not_used),
		TEST(test_two_statements_under_one_number_are_an_alarm_and_freeze_the_batch),
		TEST(test_a_class_that_does_not_freeze_goes_on),
		TEST(test_a_released_batch_goes_on_and_its_numbers_stay_used),
		TEST(test_the_register_grows_and_may_be_pushed_again),
		TEST(test_entries_that_leave_some_out_are_not_taken),
		TEST(test_another_entry_under_a_known_number_is_another_history),
		TEST(test_entries_that_do_not_lead_to_the_word_are_another_history),
		TEST(test_a_newer_word_about_a_shorter_register_is_another_history),
		TEST(test_times_of_a_register_never_fall),
		TEST(test_a_receipt_of_the_copy_s_history_is_taken),
		TEST(test_a_receipt_against_the_copy_is_another_history),
		TEST(test_two_receipts_of_two_histories_are_told_apart_before_any_push),
		TEST(test_a_push_against_a_receipt_that_was_seen_is_another_history),
		TEST(test_a_receipt_s_head_is_kept_until_its_entry_comes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
