#include "attestation/import.h"
#include "chip.h"
#include "store.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/resource.h>

#include <cmocka.h>

static struct store store;

static int open_store(void **state)
{
	(void)state;
	store_open(&store);
	return 0;
}

static int close_store(void **state)
{
	(void)state;
	store_close(&store);
	return 0;
}

static char *lines_of(const struct chip *chips, size_t count)
{
	struct buf b = {0};
	for (size_t i = 0; i < count; i++) {
		char *line = chip_line(&chips[i]);
		buf_printf(&b, "%s\n", line);
		free(line);
	}
	return buf_take_str(&b);
}

static struct import_batch batch_of(const char *import, int64_t number, const char *body)
{
	struct import_batch b = {.number = number};
	struct fault f = {0};
	strcpy(b.import, import);
	sha256(bytes_str(body), b.hash);
	if (!import_batch_parse(bytes_str(body), false, &b, &f).ok)
		fail_msg("%s", f.text);
	return b;
}

static bool import(const char *name, int64_t number, const char *body, struct import_batch *out)
{
	*out = batch_of(name, number, body);
	bool ok = store_run(&store, &out->change);
	import_batch_clear(out);
	return ok;
}

static int64_t count(void)
{
	return store_number(&store, "SELECT count(*) FROM records");
}

static void test_a_batch_is_stored_and_found(void **state)
{
	(void)state;
	struct chip chips[3] = {chip_make(), chip_make(), chip_make()};
	struct import_batch b;
	struct record r;
	struct fault f;
	bool found;
	char *body = lines_of(chips, 3);
	assert_true(import("i", 0, body, &b));
	assert_int_equal(b.count, 3);
	assert_int_equal(b.inserted, 3);
	assert_int_equal(b.total, 3);
	for (int i = 0; i < 3; i++) {
		assert_true(records_find(&store.reader, chips[i].record.instance_id, &r, &found, &f).ok);
		assert_true(found);
		assert_true(record_same(&r, &chips[i].record));
		assert_true(r.created > 1700000000);
		chip_free(&chips[i]);
	}
	free(body);
}

static void test_the_same_batch_again_has_the_same_answer_also_after_a_restart(void **state)
{
	(void)state;
	struct chip chips[2] = {chip_make(), chip_make()};
	struct import_batch b;
	char *one = lines_of(chips, 1), *both = lines_of(chips, 2);
	assert_true(import("i", 0, one, &b));
	assert_true(import("i", 1, both, &b));
	assert_int_equal(b.inserted, 1);
	assert_int_equal(b.total, 3);
	assert_false(b.repeated);
	store_restart(&store);
	assert_true(import("i", 1, both, &b));
	assert_true(b.repeated);
	assert_int_equal(b.count, 2);
	assert_int_equal(b.inserted, 1);
	assert_int_equal(b.total, 3);
	assert_int_equal(count(), 2);
	/* Another import may send the same records. */
	assert_true(import("j", 1, both, &b));
	assert_false(b.repeated);
	assert_int_equal(b.inserted, 0);
	assert_int_equal(b.total, 2);
	free(one);
	free(both);
	chip_free(&chips[0]);
	chip_free(&chips[1]);
}

static void test_other_contents_under_a_taken_number_are_refused(void **state)
{
	(void)state;
	struct chip chips[2] = {chip_make(), chip_make()};
	struct import_batch b;
	char *one = lines_of(chips, 1), *other = lines_of(chips + 1, 1);
	assert_true(import("i", 7, one, &b));
	assert_false(import("i", 7, other, &b));
	assert_int_equal(b.change.fault.reason, REASON_CONFLICT);
	assert_non_null(strstr(b.change.fault.text, "batch 7 of import i"));
	assert_int_equal(count(), 1);
	free(one);
	free(other);
	chip_free(&chips[0]);
	chip_free(&chips[1]);
}

static void test_a_record_that_differs_from_the_stored_one_refuses_its_whole_batch(void **state)
{
	(void)state;
	struct chip chips[3] = {chip_make(), chip_make(), chip_make()};
	struct import_batch b;
	char *first = lines_of(chips + 1, 1);
	assert_true(import("i", 0, first, &b));
	strcpy(chips[1].record.batch, "B2");
	char *body = lines_of(chips, 3);
	assert_false(import("i", 1, body, &b));
	assert_int_equal(b.change.fault.reason, REASON_CONFLICT);
	assert_non_null(strstr(b.change.fault.text, "line 2: instance ID 01"));
	assert_int_equal(count(), 1);
	/* The number was not taken. */
	strcpy(chips[1].record.batch, "B1");
	free(body);
	body = lines_of(chips, 3);
	assert_true(import("i", 1, body, &b));
	assert_int_equal(count(), 3);
	free(first);
	free(body);
	for (int i = 0; i < 3; i++)
		chip_free(&chips[i]);
}

static void test_a_faulty_line_is_named(void **state)
{
	(void)state;
	struct chip chips[1] = {chip_make()};
	struct import_batch b = {0};
	struct fault f = {0};
	struct buf body = {0};
	char *line = lines_of(chips, 1);
	buf_printf(&body, "%s%s{\"batch\":1}\n", line, line);
	assert_false(import_batch_parse(buf_view(&body), false, &b, &f).ok);
	assert_int_equal(f.reason, REASON_BAD_FIELD);
	assert_true(!strncmp(f.text, "line 3: instance_id: missing", 28));
	import_batch_clear(&b);
	body.n = 0;
	buf_printf(&body, "%s\n%s", line, line); /* an empty line is no record */
	b = (struct import_batch){0};
	assert_false(import_batch_parse(buf_view(&body), false, &b, &f).ok);
	assert_int_equal(f.reason, REASON_BAD_JSON);
	import_batch_clear(&b);
	b = (struct import_batch){0};
	assert_false(import_batch_parse(bytes_of(NULL, 0), false, &b, &f).ok);
	assert_int_equal(f.reason, REASON_BAD_REQUEST);
	import_batch_clear(&b);
	buf_free(&body);
	free(line);
	chip_free(&chips[0]);
}

static void test_a_batch_over_the_limit_is_refused(void **state)
{
	(void)state;
	struct import_batch b = {0};
	struct fault f = {0};
	char *body = malloc(IMPORT_BODY_MAX + 1);
	memset(body, ' ', IMPORT_BODY_MAX + 1);
	assert_false(import_batch_parse(bytes_of(body, IMPORT_BODY_MAX + 1), false, &b, &f).ok);
	assert_int_equal(f.reason, REASON_TOO_LARGE);
	assert_false(import_batch_parse(bytes_of(body, IMPORT_BODY_MAX), false, &b, &f).ok);
	assert_int_equal(f.reason, REASON_BAD_JSON);
	import_batch_clear(&b);
	free(body);
}

static outcome block(struct change *c, struct records *r, struct fault *f);

struct blocker {
	struct change change;
	sem_t entered, go;
};

static outcome block(struct change *c, struct records *r, struct fault *f)
{
	struct blocker *b = (struct blocker *)c;
	(void)r, (void)f;
	sem_post(&b->entered);
	sem_wait(&b->go);
	return DONE;
}

static void test_neighbours_of_a_refused_change_are_committed_in_one_commit(void **state)
{
	(void)state;
	struct chip chips[3] = {chip_make(), chip_make(), chip_make()};
	struct blocker first = {.change = {.run = block, .done = store_note_done, .loop = store.loop}};
	struct import_batch batches[3];
	char *body[3];
	sem_init(&first.entered, 0, 0);
	sem_init(&first.go, 0, 0);
	chips[1].record = chips[0].record;
	strcpy(chips[1].record.model, "other");
	writer_submit(store.writer, &first.change);
	sem_wait(&first.entered); /* the three will wait for the same commit */
	for (int i = 0; i < 3; i++) {
		body[i] = lines_of(&chips[i], 1);
		batches[i] = batch_of("i", i, body[i]);
		batches[i].change.loop = store.loop;
		batches[i].change.done = store_note_done;
		writer_submit(store.writer, &batches[i].change);
	}
	int commits = atomic_load(&store.commits);
	sem_post(&first.go);
	for (int i = 0; i < 4; i++)
		sem_wait(&store_change_done);
	assert_int_equal(atomic_load(&store.commits), commits + 2);
	assert_true(batches[0].change.ok);
	assert_false(batches[1].change.ok);
	assert_int_equal(batches[1].change.fault.reason, REASON_CONFLICT);
	assert_true(batches[2].change.ok);
	assert_int_equal(count(), 2);
	for (int i = 0; i < 3; i++) {
		import_batch_clear(&batches[i]);
		free(body[i]);
		chip_free(&chips[i]);
	}
}

static void test_a_full_disk_is_told_and_passes(void **state)
{
	(void)state;
	struct chip chips[1] = {chip_make()};
	struct import_batch b;
	struct rlimit full = {4096, RLIM_INFINITY}, before;
	struct change probe = {0};
	struct fault f;
	char *body = lines_of(chips, 1);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	full.rlim_max = before.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &full), 0);
	bool ok = import("i", 0, body, &b);
	bool healthy = writer_healthy(store.writer, &f);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_false(ok);
	assert_int_equal(b.change.fault.reason, REASON_DISK_FULL);
	assert_false(healthy);
	assert_int_equal(f.reason, REASON_DISK_FULL);
	probe.loop = store.loop;
	probe.done = store_note_done;
	writer_probe(store.writer, &probe);
	sem_wait(&store_change_done);
	assert_true(probe.ok);
	assert_true(writer_healthy(store.writer, &f));
	assert_int_equal(count(), 0);
	assert_true(import("i", 0, body, &b));
	assert_int_equal(b.inserted, 1);
	free(body);
	chip_free(&chips[0]);
}

static void test_records_are_listed_in_order_by_batch_and_from_a_place(void **state)
{
	(void)state;
	struct chip chips[5];
	struct record list[5];
	struct import_batch b;
	struct fault f;
	size_t n;
	uint8_t nowhere[INSTANCE_ID_SIZE] = {1};
	for (int i = 0; i < 5; i++) {
		chips[i] = chip_make();
		strcpy(chips[i].record.batch, i % 2 ? "odd" : "even");
	}
	char *body = lines_of(chips, 5);
	assert_true(import("i", 0, body, &b));
	assert_true(records_list(&store.reader, NULL, NULL, list, 5, &n, &f).ok);
	assert_int_equal(n, 5);
	for (int i = 0; i < 5; i++)
		assert_true(record_same(&list[i], &chips[i].record));
	assert_true(records_list(&store.reader, "odd", NULL, list, 5, &n, &f).ok);
	assert_int_equal(n, 2);
	assert_true(records_list(&store.reader, "even", chips[0].record.instance_id, list, 1, &n, &f).ok);
	assert_int_equal(n, 1);
	assert_true(record_same(&list[0], &chips[2].record));
	assert_true(records_list(&store.reader, "none", NULL, list, 5, &n, &f).ok);
	assert_int_equal(n, 0);
	assert_false(records_list(&store.reader, NULL, nowhere, list, 5, &n, &f).ok);
	assert_int_equal(f.reason, REASON_NOT_FOUND);
	free(body);
	for (int i = 0; i < 5; i++)
		chip_free(&chips[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_batch_is_stored_and_found, open_store, close_store),
		cmocka_unit_test_setup_teardown(
			test_the_same_batch_again_has_the_same_answer_also_after_a_restart, open_store,
			close_store),
		cmocka_unit_test_setup_teardown(test_other_contents_under_a_taken_number_are_refused,
						open_store, close_store),
		cmocka_unit_test_setup_teardown(
			test_a_record_that_differs_from_the_stored_one_refuses_its_whole_batch, open_store,
			close_store),
		cmocka_unit_test_setup_teardown(test_a_faulty_line_is_named, open_store, close_store),
		cmocka_unit_test_setup_teardown(test_a_batch_over_the_limit_is_refused, open_store,
						close_store),
		cmocka_unit_test_setup_teardown(
			test_neighbours_of_a_refused_change_are_committed_in_one_commit, open_store,
			close_store),
		cmocka_unit_test_setup_teardown(test_a_full_disk_is_told_and_passes, open_store, close_store),
		cmocka_unit_test_setup_teardown(test_records_are_listed_in_order_by_batch_and_from_a_place,
						open_store, close_store),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
