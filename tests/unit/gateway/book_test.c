#include "gateway/provenance/book.h"

#include "tests/unit/provenance_site.h"

enum { LINES = 5 };

struct shelf {
	struct site site;
	struct book *book;
};

static int set_up(void **state)
{
	struct shelf *s = calloc(1, sizeof *s);
	assert_non_null(s);
	site_make(&s->site, LINES);
	s->book = book_new();
	*state = s;
	return 0;
}

static int tear_down(void **state)
{
	struct shelf *s = *state;
	book_release(s->book);
	site_free(&s->site);
	free(s);
	return 0;
}

/* Line `i` as the store has it at log entry `seq`; `operator_says` may be NULL. */
static void put_line(struct shelf *s, size_t i, int64_t programme, int64_t seq,
		     const struct store_line *operator_says)
{
	struct buf object = {0};
	struct fault f;
	struct store_line line = operator_says ? *operator_says : (struct store_line){0};
	accepted(line_record_sign(&object, &s->site.lines[i], s->site.authority, &f), &f, "a line record");
	line.id = (int64_t)i + 1;
	line.programme = programme;
	line.seq = seq;
	line.record = buf_view(&object);
	memcpy(line.line, s->site.line_ids[i], KEY_ID_SIZE);
	accepted(book_put_line(s->book, &line, &f), &f, "a line");
	buf_free(&object);
}

static void put_order(struct shelf *s, size_t i, int64_t programme, int64_t id)
{
	struct buf object = {0};
	struct fault f;
	accepted(work_order_sign(&object, &s->site.orders[i], s->site.programme_key, &f), &f, "an order");
	accepted(book_put_order(
			 s->book,
			 &(struct store_order){.id = id, .programme = programme, .order = buf_view(&object)},
			 &f),
		 &f, "an order");
	buf_free(&object);
}

static const struct book_line *line(const struct shelf *s, size_t i, int64_t programme)
{
	return book_line(s->book, programme, s->site.line_ids[i]);
}

static const struct book_order *order(const struct shelf *s, size_t i, int64_t programme)
{
	const struct work_order *o = &s->site.orders[i];
	return book_order(s->book, programme, o->line, o->batch, o->stage);
}

/* ---- what is found ---- */

static void test_each_line_is_found_in_its_programme_alone(void **state)
{
	struct shelf *s = *state;
	for (size_t i = 0; i < LINES; i++)
		put_line(s, i, i % 2 ? 1 : 2, 1, NULL);
	assert_int_equal(s->book->line_count, LINES);
	for (size_t i = 0; i < LINES; i++) {
		int64_t own = i % 2 ? 1 : 2;
		assert_int_equal(line(s, i, own)->id, i + 1);
		assert_null(line(s, i, 3 - own));
	}
	assert_null(book_line(s->book, 1, (const uint8_t[KEY_ID_SIZE]){0}));
}

static void test_each_order_is_found_by_all_that_it_is_for(void **state)
{
	struct shelf *s = *state;
	for (size_t i = LINES; i-- > 0;)
		put_order(s, i, 1, (int64_t)i + 1);
	for (size_t i = 0; i < LINES; i++) {
		const struct work_order *o = &s->site.orders[i];
		assert_int_equal(order(s, i, 1)->id, i + 1);
		assert_null(order(s, i, 2));
		assert_null(book_order(s->book, 1, o->line, "another", o->stage));
		assert_null(book_order(s->book, 1, o->line, o->batch, o->stage + 1));
		assert_null(book_order(s->book, 1, s->site.line_ids[(i + 1) % LINES], o->batch, o->stage));
	}
}

static void test_an_order_that_is_there_stays(void **state)
{
	struct shelf *s = *state;
	put_order(s, 0, 1, 7);
	s->site.orders[0].quota++;
	put_order(s, 0, 1, 8);
	assert_int_equal(s->book->order_count, 1);
	assert_int_equal(order(s, 0, 1)->id, 7);
	assert_int_equal(order(s, 0, 1)->order.quota, s->site.orders[0].quota - 1);
}

/* ---- what changes ---- */

static void test_what_is_later_in_the_log_is_in_force_whichever_comes_first(void **state)
{
	struct shelf *s = *state;
	put_line(s, 0, 1, 5, &(struct store_line){.held = true});
	put_line(s, 0, 1, 4, NULL);
	assert_int_equal(line(s, 0, 1)->record.state, LINE_SUSPENDED);
	put_line(s, 0, 1, 6, NULL);
	assert_int_equal(line(s, 0, 1)->record.state, LINE_ACTIVE);
	assert_int_equal(s->book->line_count, 1);
}

static void test_a_copy_is_changed_and_its_original_is_not(void **state)
{
	struct shelf *s = *state;
	struct book *before;
	put_line(s, 0, 1, 1, NULL);
	put_order(s, 0, 1, 1);
	s->book->lines_state = 3;
	before = s->book;
	s->book = book_copy(before);
	assert_int_equal(s->book->lines_state, 3);
	put_line(s, 0, 1, 2, &(struct store_line){.held = true});
	put_line(s, 1, 1, 3, NULL);
	put_order(s, 1, 1, 2);
	assert_int_equal(before->line_count, 1);
	assert_int_equal(before->order_count, 1);
	assert_int_equal(book_line(before, 1, s->site.line_ids[0])->record.state, LINE_ACTIVE);
	assert_int_equal(line(s, 0, 1)->record.state, LINE_SUSPENDED);
	book_release(before);
	assert_int_equal(order(s, 0, 1)->id, 1);
	assert_int_equal(line(s, 1, 1)->id, 2);
}

static void test_a_book_that_is_held_outlives_its_owner(void **state)
{
	struct shelf *s = *state;
	put_line(s, 0, 1, 1, NULL);
	struct book *held = book_hold(s->book);
	book_release(s->book);
	s->book = held;
	assert_non_null(line(s, 0, 1));
	book_release(NULL);
}

/* ---- record and operator: the stricter one ---- */

static void test_the_stricter_of_record_and_operator_is_in_force(void **state)
{
	static const struct {
		enum line_state record;
		int64_t record_from;
		struct store_line operator_says;
		enum line_state state;
		int64_t from;
	} rows[] = {
		{LINE_ACTIVE, 0, {0}, LINE_ACTIVE, 0},
		{LINE_ACTIVE, 0, {.held = true}, LINE_SUSPENDED, 0},
		{LINE_ACTIVE, 0, {.revoked = true, .revoked_from = 70}, LINE_REVOKED, 70},
		{LINE_ACTIVE, 0, {.held = true, .revoked = true, .revoked_from = 70}, LINE_SUSPENDED, 0},
		{LINE_SUSPENDED, 0, {0}, LINE_SUSPENDED, 0},
		{LINE_SUSPENDED, 0, {.revoked = true, .revoked_from = 70}, LINE_SUSPENDED, 0},
		{LINE_REVOKED, 50, {0}, LINE_REVOKED, 50},
		{LINE_REVOKED, 50, {.held = true}, LINE_SUSPENDED, 0},
		{LINE_REVOKED, 50, {.revoked = true, .revoked_from = 70}, LINE_REVOKED, 50},
		{LINE_REVOKED, 50, {.revoked = true, .revoked_from = 30}, LINE_REVOKED, 30},
	};
	struct shelf *s = *state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		s->site.lines[0].state = rows[i].record;
		s->site.lines[0].revoked_from = rows[i].record_from;
		put_line(s, 0, 1, (int64_t)i + 1, &rows[i].operator_says);
		const struct book_line *l = line(s, 0, 1);
		if (l->record.state != rows[i].state ||
		    (l->record.state == LINE_REVOKED && l->record.revoked_from != rows[i].from))
			fail_msg("row %zu: %s from %lld", i, line_state_name(l->record.state),
				 (long long)l->record.revoked_from);
		assert_int_equal(l->signed_record.state, rows[i].record);
	}
}

static void test_what_cannot_be_read_is_not_put(void **state)
{
	struct shelf *s = *state;
	struct fault f;
	assert_false(book_put_line(s->book, &(struct store_line){.record = bytes_str("x")}, &f).ok);
	assert_int_equal(f.reason, REASON_INTERNAL);
	assert_false(book_put_order(s->book, &(struct store_order){.order = bytes_str("x")}, &f).ok);
	assert_int_equal(f.reason, REASON_INTERNAL);
	assert_int_equal(s->book->line_count + s->book->order_count, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_each_line_is_found_in_its_programme_alone),
		TEST(test_each_order_is_found_by_all_that_it_is_for),
		TEST(test_an_order_that_is_there_stays),
		TEST(test_what_is_later_in_the_log_is_in_force_whichever_comes_first),
		TEST(test_a_copy_is_changed_and_its_original_is_not),
		TEST(test_a_book_that_is_held_outlives_its_owner),
		TEST(test_the_stricter_of_record_and_operator_is_in_force),
		TEST(test_what_cannot_be_read_is_not_put),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
