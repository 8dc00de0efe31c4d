#include "plugin/table_blocks.h"
#include "plugin/table_journal.h"

#include "common/clock.h"
#include "common/file.h"
#include "broker_stub.h"

#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static struct fault f;
static struct retire retire;
static char dir[64];

static int make_dir(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/mooring-journal-XXXXXX");
	f = (struct fault){0};
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	(void)state;
	DIR *d = opendir(dir);
	for (struct dirent *e; d && (e = readdir(d));)
		unlinkat(dirfd(d), e->d_name, 0);
	closedir(d);
	retire_all(&retire);
	return rmdir(dir);
}

static struct bytes fingerprint(unsigned n)
{
	static uint8_t fp[SHA256_SIZE];
	sha256(bytes_of(&n, sizeof n), fp);
	return bytes_of(fp, sizeof fp);
}

static struct feed_record certificate(unsigned n, enum feed_state state)
{
	return (struct feed_record){.type = FEED_CERTIFICATE,
				    .fingerprint = fingerprint(n),
				    .state = state,
				    .not_before = 1,
				    .not_after = 1000 + n,
				    .name = bytes_str("mfrggzdfmztwq2lkobxw4mrq"),
				    .policy = bytes_str("default")};
}

static void put(struct table *t, unsigned n, enum feed_state state)
{
	struct feed_record r = certificate(n, state);
	assert_true(table_put(t, &r, &f, &f).ok);
}

static struct table_position at(int64_t seq)
{
	return (struct table_position){.epoch = 3, .seq = seq, .time_ms = 1000 * seq, .head = {(uint8_t)seq}};
}

static struct table_journal *opened(void)
{
	struct table_journal *j = NULL;
	if (!table_journal_open(dir, &j, &f).ok)
		fail_msg("%s", f.text);
	return j;
}

/* A snapshot of `count` certificates, all active, at number 10. */
static struct table_journal *saved(unsigned count, struct table **table)
{
	struct table_journal *j = opened();
	struct table_position position = at(10);
	*table = table_new(&retire);
	struct feed_record policy = {
		.type = FEED_POLICY, .policy = bytes_str("default"), .document = bytes_str("{}")};
	assert_true(table_put(*table, &policy, &f, &f).ok);
	for (unsigned n = 0; n < count; n++)
		put(*table, n, FEED_ACTIVE);
	if (!table_journal_replace(j, *table, &position, 0, &f).ok)
		fail_msg("%s", f.text);
	return j;
}

static void append(struct table_journal *j, unsigned n, enum feed_state state, int64_t seq)
{
	struct buf records = {0};
	struct feed_record r = certificate(n, state);
	struct table_position position = at(seq);
	feed_put_certificate(&records, &r);
	if (!table_journal_append(j, &position, buf_view(&records), 1, &f).ok)
		fail_msg("%s", f.text);
	buf_free(&records);
}

/* Opens anew and loads; -1 where it is damaged, else the number it stands at, 0 for no table. */
static int64_t loaded(struct table **table, struct table_journal **keep)
{
	struct table_journal *j = opened();
	struct table_position position = {0};
	struct fault refused = {0};
	*table = NULL;
	f = (struct fault){0};
	bool ok = table_journal_load(j, &retire, table, &position, &refused, &f).ok;
	if (keep)
		*keep = j;
	else
		table_journal_close(j);
	return ok ? *table ? position.seq : 0 : -1;
}

static enum feed_state state_of(const struct table *t, unsigned n)
{
	const struct table_entry *e = table_find(t, fingerprint(n).p);
	assert_non_null(e);
	return table_standing(t, e).state;
}

static void journal_path(char out[160])
{
	DIR *d = opendir(dir);
	out[0] = '\0';
	for (struct dirent *e; (e = readdir(d));)
		if (!strncmp(e->d_name, "journal-", 8)) {
			assert_string_equal(out, ""); /* there is one */
			snprintf(out, 160, "%s/%.90s", dir, e->d_name);
		}
	closedir(d);
}

static struct buf contents(const char *path)
{
	struct buf b = {0};
	if (!file_read(path, 1 << 24, &b, &f).ok)
		fail_msg("%s", f.text);
	return b;
}

static void rewrite(const char *path, struct bytes b)
{
	FILE *out = fopen(path, "w");
	assert_non_null(out);
	assert_int_equal(fwrite(b.p, 1, b.n, out), b.n);
	assert_int_equal(fclose(out), 0);
}

static void test_an_empty_folder_has_no_table(void **state)
{
	(void)state;
	struct table *t;
	assert_int_equal(loaded(&t, NULL), 0);
	assert_null(t);
}

static void test_what_was_saved_and_appended_is_loaded(void **state)
{
	(void)state;
	struct table *t;
	struct table_journal *j = saved(2000, &t);
	append(j, 5, FEED_REVOKED, 11);
	append(j, 3000, FEED_ACTIVE, 12);
	table_journal_close(j);
	table_free(t);
	assert_int_equal(loaded(&t, &j), 12);
	assert_int_equal(table_count(t), 2001);
	assert_int_equal(state_of(t, 5), FEED_REVOKED);
	assert_int_equal(state_of(t, 6), FEED_ACTIVE);
	const struct table_entry *e = table_find(t, fingerprint(6).p);
	assert_int_equal(atomic_load(&e->not_after), 1006);
	assert_string_equal(table_standing(t, e).name, "mfrggzdfmztwq2lkobxw4mrq");
	append(j, 6, FEED_INACTIVE, 13);
	table_journal_close(j);
	table_free(t);
	assert_int_equal(loaded(&t, NULL), 13);
	assert_int_equal(state_of(t, 6), FEED_INACTIVE);
	table_free(t);
}

static void test_a_new_snapshot_leaves_one_journal(void **state)
{
	(void)state;
	struct table *t;
	struct table_journal *j = saved(10, &t);
	char path[160];
	append(j, 5, FEED_REVOKED, 11);
	put(t, 5, FEED_REVOKED);
	struct table_position position = at(20);
	assert_true(table_journal_replace(j, t, &position, 1003, &f).ok);
	append(j, 7, FEED_REVOKED, 21);
	table_journal_close(j);
	table_free(t);
	journal_path(path);
	assert_int_equal(loaded(&t, NULL), 21);
	assert_int_equal(table_count(t), 7); /* three had ended */
	assert_int_equal(state_of(t, 5), FEED_REVOKED);
	assert_int_equal(state_of(t, 7), FEED_REVOKED);
	table_free(t);
}

/* Cut anywhere within the last entry, with or without zeros that the file system has left: the entry before
 * is the last. */
static void test_an_unfinished_last_entry_is_cut_off(void **state)
{
	(void)state;
	struct table *t;
	struct table_journal *j = saved(3, &t);
	char path[160];
	append(j, 0, FEED_REVOKED, 11);
	journal_path(path);
	struct buf before = contents(path);
	append(j, 1, FEED_REVOKED, 12);
	table_journal_close(j);
	table_free(t);
	struct buf whole = contents(path);
	for (size_t n = before.n; n < whole.n; n++) {
		struct buf cut = {0};
		buf_add(&cut, whole.p, n);
		rewrite(path, buf_view(&cut));
		assert_int_equal(loaded(&t, &j), 11);
		assert_int_equal(table_journal_cut_off(j), n - before.n);
		assert_int_equal(state_of(t, 1), FEED_ACTIVE);
		table_free(t);
		buf_free(&cut);
		if (n % 16) { /* each costs two syncs */
			table_journal_close(j);
			continue;
		}
		append(j, 2, FEED_REVOKED, 12); /* what follows is good again */
		table_journal_close(j);
		assert_int_equal(loaded(&t, NULL), 12);
		assert_int_equal(state_of(t, 2), FEED_REVOKED);
		table_free(t);
	}
	struct buf zeros = {0};
	buf_bytes(&zeros, buf_view(&before));
	for (int i = 0; i < 5000; i++)
		buf_byte(&zeros, 0);
	rewrite(path, buf_view(&zeros));
	assert_int_equal(loaded(&t, NULL), 11);
	table_free(t);
	buf_free(&zeros);
	buf_free(&before);
	buf_free(&whole);
}

/* Every bit of every byte but the last entry's: no table. In the last entry: no table, or one without that
 * entry. */
static void test_damage_anywhere_else_is_noticed(void **state)
{
	(void)state;
	struct table *t;
	struct table_journal *j = saved(3, &t);
	char path[160], snapshot[160];
	append(j, 0, FEED_REVOKED, 11);
	journal_path(path);
	struct buf first = contents(path);
	append(j, 1, FEED_REVOKED, 12);
	table_journal_close(j);
	table_free(t);
	struct buf whole = contents(path);
	for (size_t bit = 0; bit < 8 * whole.n; bit++) {
		whole.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
		rewrite(path, buf_view(&whole));
		int64_t seq = loaded(&t, NULL);
		if (seq != -1 && (bit / 8 < first.n || seq != 11))
			fail_msg("bit %zu: number %lld", bit, (long long)seq);
		if (seq == -1)
			assert_int_equal(f.reason, REASON_JOURNAL);
		table_free(t);
		whole.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	rewrite(path, buf_view(&whole));
	snprintf(snapshot, sizeof snapshot, "%s/table", dir);
	struct buf table = contents(snapshot);
	for (size_t bit = 0; bit < 8 * table.n; bit += 3) {
		table.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
		rewrite(snapshot, buf_view(&table));
		assert_int_equal(loaded(&t, NULL), -1);
		table.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t n = 0; n < table.n; n++) {
		rewrite(snapshot, bytes_of(table.p, n));
		assert_int_equal(loaded(&t, NULL), -1);
	}
	rewrite(snapshot, buf_view(&table));
	assert_int_equal(loaded(&t, NULL), 12);
	table_free(t);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(loaded(&t, NULL), -1);
	buf_free(&table);
	buf_free(&whole);
	buf_free(&first);
}

/* Under the right name, too: the chain starts with the snapshot's. */
static void test_a_journal_of_another_snapshot_does_not_fit(void **state)
{
	(void)state;
	struct table *t;
	struct table_journal *j = saved(3, &t);
	char path[160], other[160];
	append(j, 0, FEED_REVOKED, 11);
	append(j, 1, FEED_REVOKED, 12);
	journal_path(path);
	struct buf old = contents(path);
	struct table_position position = at(10);
	assert_true(table_journal_replace(j, t, &position, 1001, &f).ok);
	table_journal_close(j);
	table_free(t);
	journal_path(other);
	assert_string_not_equal(path, other);
	rewrite(other, buf_view(&old));
	assert_int_equal(loaded(&t, NULL), -1);
	assert_int_equal(f.reason, REASON_JOURNAL);
	buf_free(&old);
}

static void test_a_full_disk_stops_appending_until_there_is_room(void **state)
{
	(void)state;
	struct table *t;
	struct table_journal *j = saved(3, &t);
	struct rlimit before, small;
	struct buf records = {0};
	struct feed_record r = certificate(0, FEED_REVOKED);
	struct table_position position = at(11);
	feed_put_certificate(&records, &r);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &before);
	small = (struct rlimit){100, before.rlim_max};
	setrlimit(RLIMIT_FSIZE, &small);
	assert_false(table_journal_append(j, &position, buf_view(&records), 1, &f).ok);
	assert_int_equal(f.reason, REASON_DISK_FULL);
	assert_true(table_journal_wants_replacing(j));
	assert_false(table_journal_replace(j, t, &position, 0, &f).ok);
	setrlimit(RLIMIT_FSIZE, &before);
	assert_false(table_journal_append(j, &position, buf_view(&records), 1, &f).ok);
	assert_int_equal(f.reason, REASON_JOURNAL);
	put(t, 0, FEED_REVOKED);
	assert_true(table_journal_replace(j, t, &position, 0, &f).ok);
	assert_false(table_journal_wants_replacing(j));
	append(j, 1, FEED_REVOKED, 12);
	table_journal_close(j);
	table_free(t);
	assert_int_equal(loaded(&t, NULL), 12);
	assert_int_equal(state_of(t, 0), FEED_REVOKED);
	table_free(t);
	buf_free(&records);
}

static void test_a_folder_belongs_to_one_broker(void **state)
{
	(void)state;
	struct table_journal *j = opened(), *second = NULL;
	assert_false(table_journal_open(dir, &second, &f).ok);
	assert_int_equal(f.reason, REASON_CONFLICT);
	table_journal_close(j);
	assert_false(table_journal_open("/nonexistent/folder", &second, &f).ok);
	assert_int_equal(f.reason, REASON_IO);
}

static void test_the_time_to_load(void **state)
{
	(void)state;
	enum { COUNT = 200000 };
	struct table *t;
	struct table_journal *j = saved(COUNT, &t);
	table_journal_close(j);
	table_free(t);
	int64_t start = clock_monotonic_us();
	clock_t cpu = clock();
	assert_int_equal(loaded(&t, NULL), 10);
	cpu = clock() - cpu;
	printf("%d certificates loaded in %lld ms, %lld ms of it CPU\n", COUNT,
	       (long long)(clock_monotonic_us() - start) / 1000, (long long)(cpu * 1000 / CLOCKS_PER_SEC));
	assert_int_equal(table_count(t), COUNT);
	table_free(t);
}

int main(void)
{
#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, make_dir, remove_dir)
	const struct CMUnitTest tests[] = {
		IN_DIR(test_an_empty_folder_has_no_table),
		IN_DIR(test_what_was_saved_and_appended_is_loaded),
		IN_DIR(test_a_new_snapshot_leaves_one_journal),
		IN_DIR(test_an_unfinished_last_entry_is_cut_off),
		IN_DIR(test_damage_anywhere_else_is_noticed),
		IN_DIR(test_a_journal_of_another_snapshot_does_not_fit),
		IN_DIR(test_a_full_disk_stops_appending_until_there_is_room),
		IN_DIR(test_a_folder_belongs_to_one_broker),
		IN_DIR(test_the_time_to_load),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
