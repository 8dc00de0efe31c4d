/* The journal: what was committed is there again, what was torn is cut, and whatever else happened to it is
 * noticed. */
#include "ca_fixture.h"

#include "ca/journal.h"
#include "common/file.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/journal_test.XXXXXX";
static char path[64];

/* What a reading of the whole journal saw. */
struct seen {
	size_t count;
	uint8_t last_intent[INTENT_ID_SIZE];
	uint64_t offsets[8];
	size_t refuse_at; /* refuse the n-th visit; 0: none */
};

static int make_folder(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof path, "%s/journal", folder);
	return 0;
}

static int remove_file(void **state)
{
	(void)state;
	unlink(path);
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	return rmdir(folder);
}

static outcome see(void *arg, const struct journal_record *r, uint64_t offset, struct fault *f)
{
	struct seen *seen = arg;
	if (seen->count < 8)
		seen->offsets[seen->count] = offset;
	memcpy(seen->last_intent, r->intent, INTENT_ID_SIZE);
	if (++seen->count == seen->refuse_at)
		return refuse(f, REASON_JOURNAL, "refused by the visitor");
	return DONE;
}

static struct journal *open_ok(struct seen *seen)
{
	struct journal *j = NULL;
	struct fault f = {0};
	*seen = (struct seen){0};
	done(journal_open(path, see, seen, &j, &f), &f);
	return j;
}

static void open_refused(enum reason reason, const char *says)
{
	struct journal *j = NULL;
	struct fault f = {0};
	struct seen seen = {0};
	refused(journal_open(path, see, &seen, &j, &f), &f, reason, says);
	assert_null(j);
}

static uint8_t certificate[700];

static struct journal_record record_of(uint8_t number)
{
	struct journal_record r = {.kind = JOURNAL_CERTIFICATE, .time = NOW + number, .attested = true};
	memset(r.intent, number, sizeof r.intent);
	memset(r.serial, number + 100, sizeof r.serial);
	memset(r.binding, number, sizeof r.binding);
	memset(r.tbs_sha256, number, sizeof r.tbs_sha256);
	memset(r.request_sha256, number, sizeof r.request_sha256);
	memset(certificate, number, sizeof certificate);
	r.certificate = bytes_of(certificate, sizeof certificate);
	return r;
}

static uint64_t append(struct journal *j, uint8_t number)
{
	struct journal_record r = record_of(number);
	struct fault f = {0};
	uint64_t offset = journal_end(j);
	done(journal_append(j, &r, &f), &f);
	return offset;
}

static void commit(struct journal *j)
{
	struct fault f = {0};
	done(journal_commit(j, &f), &f);
}

static void must_hold(struct journal *j, uint64_t offset, uint8_t number)
{
	struct journal_record want = record_of(number), got;
	struct buf raw = {0};
	struct fault f = {0};
	done(journal_read(j, offset, &raw, &got, &f), &f);
	assert_int_equal(got.kind, want.kind);
	assert_int_equal(got.time, want.time);
	assert_memory_equal(got.intent, want.intent, sizeof want.intent);
	assert_memory_equal(got.serial, want.serial, sizeof want.serial);
	assert_true(got.attested);
	assert_memory_equal(got.binding, want.binding, sizeof want.binding);
	assert_memory_equal(got.tbs_sha256, want.tbs_sha256, sizeof want.tbs_sha256);
	assert_memory_equal(got.request_sha256, want.request_sha256, sizeof want.request_sha256);
	assert_true(bytes_equal(got.certificate, want.certificate));
	buf_free(&raw);
}

static off_t file_size(void)
{
	struct stat st;
	assert_int_equal(stat(path, &st), 0);
	return st.st_size;
}

static struct buf contents(void)
{
	struct buf b = {0};
	struct fault f = {0};
	done(file_read(path, 1 << 24, &b, &f), &f);
	return b;
}

static void write_file(struct bytes b)
{
	struct fault f = {0};
	done(file_replace(path, b, 0600, &f), &f);
}

/* A file of the header and three records; where each starts. */
static struct buf three_records(uint64_t offsets[3])
{
	struct seen seen;
	struct journal *j = open_ok(&seen);
	for (uint8_t i = 0; i < 3; i++)
		offsets[i] = append(j, i + 1);
	commit(j);
	journal_close(j);
	return contents();
}

static void test_what_was_committed_is_there_again(void **state)
{
	(void)state;
	struct seen seen;
	struct journal *j = open_ok(&seen);
	assert_true(journal_facts(j).created);
	assert_int_equal(seen.count, 0);
	uint64_t first = append(j, 1);
	commit(j);
	uint64_t second = append(j, 2), third = append(j, 3);
	commit(j);
	must_hold(j, second, 2);
	journal_close(j);
	j = open_ok(&seen);
	assert_false(journal_facts(j).created);
	assert_int_equal(journal_facts(j).records, 3);
	assert_int_equal(journal_facts(j).bytes, file_size());
	assert_int_equal(seen.count, 3);
	assert_int_equal(seen.offsets[0], first);
	assert_int_equal(seen.offsets[1], second);
	assert_int_equal(seen.offsets[2], third);
	must_hold(j, first, 1);
	must_hold(j, third, 3);
	append(j, 4);
	commit(j);
	journal_close(j);
	journal_close(open_ok(&seen));
	assert_int_equal(seen.count, 4);
}

static void test_a_record_without_evidence_and_a_void_one_come_back_as_such(void **state)
{
	(void)state;
	struct seen seen;
	struct fault f = {0};
	struct buf raw = {0};
	struct journal_record got, plain = record_of(1), gone = {.kind = JOURNAL_VOID, .time = NOW};
	struct journal *j = open_ok(&seen);
	uint64_t first = journal_end(j);
	plain.attested = false;
	done(journal_append(j, &plain, &f), &f);
	uint64_t second = journal_end(j);
	done(journal_append(j, &gone, &f), &f);
	commit(j);
	done(journal_read(j, first, &raw, &got, &f), &f);
	assert_false(got.attested);
	done(journal_read(j, second, &raw, &got, &f), &f);
	assert_int_equal(got.kind, JOURNAL_VOID);
	assert_int_equal(got.certificate.n, 0);
	buf_free(&raw);
	journal_close(j);
}

static void test_nothing_is_in_the_file_before_the_commit(void **state)
{
	(void)state;
	struct seen seen;
	struct journal *j = open_ok(&seen);
	off_t size = file_size();
	uint64_t offset = append(j, 1);
	assert_int_equal(file_size(), size);
	assert_true(journal_is_pending(j, offset));
	must_hold(j, offset, 1);
	commit(j);
	assert_false(journal_is_pending(j, offset));
	assert_true(file_size() > size);
	must_hold(j, offset, 1);
	journal_close(j);
}

static void test_a_journal_longer_than_the_window_is_read_whole(void **state)
{
	(void)state;
	enum { COUNT = 5000 };
	struct seen seen;
	struct journal *j = open_ok(&seen);
	for (int i = 0; i < COUNT; i++)
		append(j, (uint8_t)i);
	commit(j);
	journal_close(j);
	assert_true(file_size() > 3 << 20);
	j = open_ok(&seen);
	assert_int_equal(seen.count, COUNT);
	must_hold(j, seen.offsets[7], 7);
	journal_close(j);
}

static void test_a_last_record_torn_anywhere_is_cut_off(void **state)
{
	(void)state;
	uint64_t offsets[3];
	struct buf whole = three_records(offsets);
	for (size_t n = offsets[2] + 1; n < whole.n; n++) {
		struct seen seen;
		write_file(bytes_of(whole.p, n));
		struct journal *j = open_ok(&seen);
		assert_int_equal(seen.count, 2);
		assert_int_equal(journal_facts(j).cut, n - offsets[2]);
		assert_int_equal(file_size(), offsets[2]);
		journal_close(j);
	}
	buf_free(&whole);
}

static void test_after_a_cut_it_goes_on(void **state)
{
	(void)state;
	struct seen seen;
	uint64_t offsets[3];
	struct buf whole = three_records(offsets);
	write_file(bytes_of(whole.p, whole.n - 1));
	struct journal *j = open_ok(&seen);
	assert_int_equal(append(j, 9), offsets[2]);
	commit(j);
	journal_close(j);
	journal_close(open_ok(&seen));
	assert_int_equal(seen.count, 3);
	assert_int_equal(seen.last_intent[0], 9);
	buf_free(&whole);
}

static void test_every_changed_byte_refuses_to_open(void **state)
{
	(void)state;
	uint64_t offsets[3];
	struct buf whole = three_records(offsets);
	for (size_t i = 0; i < whole.n; i++) {
		whole.p[i] ^= (uint8_t)(1 << (i % 8));
		write_file(buf_view(&whole));
		open_refused(REASON_JOURNAL, path);
		assert_int_equal(file_size(), whole.n); /* and it is left as it is */
		whole.p[i] ^= (uint8_t)(1 << (i % 8));
	}
	buf_free(&whole);
}

/* One bit more in the last record's length would have it reach beyond the file, as if it were torn. */
static void test_a_damaged_length_is_not_taken_for_a_torn_record(void **state)
{
	(void)state;
	uint64_t offsets[3];
	struct buf whole = three_records(offsets);
	for (size_t record = 0; record < 3; record++)
		for (size_t bit = 0; bit < 32; bit++) {
			uint8_t *at = whole.p + offsets[record] + bit / 8, mask = (uint8_t)(1 << bit % 8);
			*at ^= mask;
			write_file(buf_view(&whole));
			open_refused(REASON_JOURNAL, "hash chain");
			*at ^= mask;
		}
	buf_free(&whole);
}

static void test_records_taken_out_or_swapped_refuse_to_open(void **state)
{
	(void)state;
	uint64_t o[3];
	struct buf whole = three_records(o), changed = {0};
	buf_add(&changed, whole.p, o[0]);
	buf_add(&changed, whole.p + o[1], whole.n - o[1]);
	write_file(buf_view(&changed));
	open_refused(REASON_JOURNAL, "record 1 ");
	changed.n = o[0];
	buf_add(&changed, whole.p + o[1], o[2] - o[1]);
	buf_add(&changed, whole.p + o[0], o[1] - o[0]);
	buf_add(&changed, whole.p + o[2], whole.n - o[2]);
	write_file(buf_view(&changed));
	open_refused(REASON_JOURNAL, "record 1 ");
	changed.n = 0;
	buf_add(&changed, whole.p, whole.n);
	buf_add(&changed, whole.p + o[2], whole.n - o[2]);
	write_file(buf_view(&changed));
	open_refused(REASON_JOURNAL, "record 4 ");
	write_file(bytes_of(whole.p, 0));
	open_refused(REASON_JOURNAL, "empty");
	write_file(bytes_of(whole.p, o[0] - 1));
	open_refused(REASON_JOURNAL, "record 0 ");
	buf_free(&whole);
	buf_free(&changed);
}

static void test_a_visitor_that_refuses_ends_the_opening(void **state)
{
	(void)state;
	uint64_t offsets[3];
	struct buf whole = three_records(offsets);
	struct seen seen = {.refuse_at = 2};
	struct journal *j = NULL;
	struct fault f = {0};
	refused(journal_open(path, see, &seen, &j, &f), &f, REASON_JOURNAL, "visitor");
	assert_int_equal(seen.count, 2);
	assert_int_equal(file_size(), whole.n);
	buf_free(&whole);
}

static void test_only_one_may_have_it(void **state)
{
	(void)state;
	struct seen seen;
	struct journal *j = open_ok(&seen);
	open_refused(REASON_CONFIG, "another signer");
	journal_close(j);
	journal_close(open_ok(&seen));
}

static void limit_file_size(rlim_t bytes)
{
	struct rlimit limit;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = bytes;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* The write stops in the middle of a record, as on a disk that fills up. */
static void test_a_write_cut_short_leaves_nothing_and_is_made_good(void **state)
{
	(void)state;
	struct seen seen;
	struct fault f = {0};
	struct journal *j = open_ok(&seen);
	uint64_t first = append(j, 1);
	commit(j);
	off_t size = file_size();
	signal(SIGXFSZ, SIG_IGN);
	for (int room = 0; room < 900; room += 300) {
		limit_file_size((rlim_t)(size + room));
		append(j, 2);
		append(j, 3);
		refused(journal_commit(j, &f), &f, REASON_DISK_FULL, path);
		assert_false(journal_is_lost(j));
		assert_int_equal(file_size(), size);
		assert_int_equal(journal_end(j), size);
		must_hold(j, first, 1);
	}
	limit_file_size(RLIM_INFINITY);
	uint64_t second = append(j, 2);
	assert_int_equal(second, size);
	commit(j);
	journal_close(j);
	j = open_ok(&seen);
	assert_int_equal(seen.count, 2);
	must_hold(j, second, 2);
	journal_close(j);
}

static void test_a_record_beyond_the_limit_is_refused_and_the_rest_goes_on(void **state)
{
	(void)state;
	static uint8_t huge[CERT_DER_MAX + 1024];
	struct seen seen;
	struct fault f = {0};
	struct journal *j = open_ok(&seen);
	struct journal_record r = record_of(1);
	r.certificate = bytes_of(huge, sizeof huge);
	refused(journal_append(j, &r, &f), &f, REASON_TOO_LARGE, NULL);
	uint64_t offset = append(j, 2);
	commit(j);
	must_hold(j, offset, 2);
	journal_close(j);
	journal_close(open_ok(&seen));
	assert_int_equal(seen.count, 1);
}

static void test_no_record_is_read_from_between(void **state)
{
	(void)state;
	uint64_t offsets[3];
	struct buf whole = three_records(offsets), raw = {0};
	struct seen seen;
	struct journal_record got;
	struct fault f = {0};
	struct journal *j = open_ok(&seen);
	for (uint64_t at = offsets[0] + 1; at < offsets[1]; at++)
		assert_false(journal_read(j, at, &raw, &got, &f).ok);
	journal_close(j);
	buf_free(&whole);
	buf_free(&raw);
}

#define TEST(name) cmocka_unit_test_teardown(name, remove_file)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_what_was_committed_is_there_again),
		TEST(test_a_record_without_evidence_and_a_void_one_come_back_as_such),
		TEST(test_nothing_is_in_the_file_before_the_commit),
		TEST(test_a_journal_longer_than_the_window_is_read_whole),
		TEST(test_a_last_record_torn_anywhere_is_cut_off),
		TEST(test_after_a_cut_it_goes_on),
		TEST(test_every_changed_byte_refuses_to_open),
		TEST(test_a_damaged_length_is_not_taken_for_a_torn_record),
		TEST(test_records_taken_out_or_swapped_refuse_to_open),
		TEST(test_a_visitor_that_refuses_ends_the_opening),
		TEST(test_only_one_may_have_it),
		TEST(test_a_write_cut_short_leaves_nothing_and_is_made_good),
		TEST(test_a_record_beyond_the_limit_is_refused_and_the_rest_goes_on),
		TEST(test_no_record_is_read_from_between),
	};
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
