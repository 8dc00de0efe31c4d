#include "plugin/keeper.h"

#include "broker_stub.h"

#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

static const char allow[] = "{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Allow\",\"Action\":"
			    "\"iot:*\",\"Resource\":\"*\"}}";

static struct {
	char dir[64];
	EVP_PKEY *key;
	struct ring log;
	struct retire retire;
	_Atomic(struct table *) table;
	struct keeper keeper;
	int cuts, questions;
	bool cut_before_disk; /* the journal had not grown when the cut was asked for */
	uint8_t digest[SHA256_SIZE];
	int64_t time_ms;
} t;
static struct fault f;

static void on_cut(void *arg)
{
	(void)arg;
	t.cuts++;
	t.cut_before_disk = t.keeper.written_ms == 0;
}

static void open_keeper(void)
{
	t.keeper = (struct keeper){
		.published = &t.table, .retire = &t.retire, .log = &t.log, .key = t.key, .cut = on_cut};
	if (!keeper_open(&t.keeper, t.dir, &f).ok)
		fail_msg("%s", f.text);
}

static void begin_stream(void)
{
	memset(t.digest, 0, sizeof t.digest);
	keeper_stream(&t.keeper);
}

static int set_up(void **state)
{
	(void)state;
	memset(&t, 0, sizeof t);
	f = (struct fault){0};
	strcpy(t.dir, "/tmp/mooring-keeper-XXXXXX");
	t.key = p256_key_generate();
	t.time_ms = 1800000000000;
	ring_init(&t.log);
	if (!t.key || !mkdtemp(t.dir))
		return -1;
	open_keeper();
	begin_stream();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	keeper_close(&t.keeper);
	retire_all(&t.retire);
	EVP_PKEY_free(t.key);
	DIR *d = opendir(t.dir);
	for (struct dirent *e; (e = readdir(d));)
		unlinkat(dirfd(d), e->d_name, 0);
	closedir(d);
	return rmdir(t.dir);
}

static struct bytes fingerprint(unsigned n)
{
	static uint8_t fp[SHA256_SIZE];
	sha256(bytes_of(&n, sizeof n), fp);
	return bytes_of(fp, sizeof fp);
}

static void add(struct buf *records, unsigned n, enum feed_state state)
{
	struct feed_record r = {.type = FEED_CERTIFICATE,
				.fingerprint = fingerprint(n),
				.state = state,
				.not_before = 1,
				.not_after = 2000000000, /* after what the gateway says the time is */
				.name = bytes_str("thing"),
				.policy = bytes_str("default")};
	feed_put_certificate(records, &r);
}

struct sent {
	enum feed_kind kind;
	int64_t epoch, first, last;
	struct buf records;
	size_t count;
};

/* Seals and hands it to the keeper; the stream goes on behind it only if it was taken. */
static outcome send(struct sent s, int64_t monotonic_ms, bool *newer)
{
	struct feed_frame frame = {.epoch = s.epoch,
				   .first = s.first,
				   .last = s.last,
				   .time_ms = t.time_ms,
				   .kind = s.kind,
				   .head = {(uint8_t)s.last},
				   .count = s.count,
				   .records = buf_view(&s.records)};
	struct buf element = {0};
	struct bytes bytes;
	size_t used;
	assert_true(feed_seal(&element, &frame, t.digest, t.key, &f).ok);
	assert_true(feed_next(buf_view(&element), &bytes, &used, &f).ok);
	outcome o = keeper_take(&t.keeper, bytes, monotonic_ms, newer, &f);
	buf_free(&element);
	buf_free(&s.records);
	return o;
}

static void assert_taken(struct sent s)
{
	bool newer;
	t.time_ms += 10;
	if (!send(s, 1, &newer).ok)
		fail_msg("%s: %s", reason_code(f.reason), f.text);
	assert_true(newer);
}

/* Certificates 0 to count-1, active, at number 10 of epoch 1. */
static void snapshot(unsigned count)
{
	struct sent s = {FEED_SNAPSHOT_LAST, 1, 0, 10, {0}, count + 1};
	feed_put_policy(&s.records, bytes_str("default"), bytes_str(allow));
	for (unsigned n = 0; n < count; n++)
		add(&s.records, n, FEED_ACTIVE);
	assert_taken(s);
}

static void change(unsigned n, enum feed_state state, int64_t seq)
{
	struct sent s = {FEED_CHANGES, 1, seq, seq, {0}, 1};
	add(&s.records, n, state);
	assert_taken(s);
}

static enum feed_state state_of(unsigned n)
{
	const struct table *table = atomic_load(&t.table);
	const struct table_entry *e = table ? table_find(table, fingerprint(n).p) : NULL;
	assert_non_null(e);
	return table_standing(table, e).state;
}

static void restart(void)
{
	keeper_close(&t.keeper);
	retire_all(&t.retire);
	open_keeper();
	begin_stream();
}

static bool logged(const char *text)
{
	char line[RING_LINE_MAX];
	int level;
	bool found = false;
	while (ring_take(&t.log, &level, line))
		found |= strstr(line, text) != NULL;
	return found;
}

static void test_a_snapshot_then_changes_survive_a_restart(void **state)
{
	(void)state;
	assert_null(atomic_load(&t.table));
	snapshot(3);
	assert_non_null(atomic_load(&t.table));
	assert_int_equal(t.cuts, 1); /* whoever is not in it */
	change(7, FEED_ACTIVE, 11);
	assert_int_equal(t.cuts, 1);
	change(1, FEED_REVOKED, 12);
	assert_int_equal(t.cuts, 2);
	assert_true(t.keeper.durable);
	restart();
	assert_int_equal(t.keeper.position.seq, 12);
	assert_int_equal(t.keeper.chain.seq, 12);
	assert_int_equal(state_of(1), FEED_REVOKED);
	assert_int_equal(state_of(7), FEED_ACTIVE);
	change(7, FEED_INACTIVE, 13);
	assert_int_equal(state_of(7), FEED_INACTIVE);
}

static void test_sessions_need_not_wait_for_the_disk(void **state)
{
	(void)state;
	snapshot(3);
	t.keeper.written_ms = 0;
	change(1, FEED_REVOKED, 11);
	assert_true(t.cut_before_disk);
	assert_int_not_equal(t.keeper.written_ms, 0);
}

static void on_asked(void *arg, const struct feed_record *question)
{
	(void)arg;
	t.questions++;
	assert_int_equal(question->limit, 7);
}

/* It is handed on, moves the number as a heartbeat does, and is none of the table: not in memory, not on disk. */
static void test_a_question_is_none_of_the_table(void **state)
{
	static const uint8_t id[FEED_QUESTION_SIZE] = {1};
	const struct feed_record q = {.question = bytes_of(id, sizeof id), .limit = 7, .name = bytes_str("")};
	struct sent asked = {FEED_QUESTION, 1, 11, 15, {0}, 1}, again = {FEED_QUESTION, 1, 16, 15, {0}, 1};
	(void)state;
	snapshot(3);
	t.keeper.asked = on_asked;
	feed_put_sessions(&asked.records, &q);
	feed_put_sessions(&again.records, &q);
	assert_taken(asked);
	assert_int_equal(t.keeper.position.seq, 15);
	assert_taken(again);
	assert_int_equal(t.questions, 2);
	assert_int_equal(t.cuts, 1);   /* the snapshot's */
	t.keeper.written_ms = -100000; /* the position is written now and then */
	struct sent beat = {FEED_QUESTION, 1, 16, 20, {0}, 1};
	feed_put_sessions(&beat.records, &q);
	assert_taken(beat);
	restart();
	assert_int_equal(t.keeper.position.seq, 20);
	assert_int_equal(table_count(atomic_load(&t.table)), 3);
	assert_int_equal(t.questions, 3);
}

static void test_a_table_in_parts_is_published_with_its_last(void **state)
{
	(void)state;
	struct sent first = {FEED_SNAPSHOT, 1, 0, 10, {0}, 1}, last = {FEED_SNAPSHOT_LAST, 1, 0, 10, {0}, 1};
	add(&first.records, 1, FEED_ACTIVE);
	add(&last.records, 2, FEED_ACTIVE);
	assert_taken(first);
	assert_null(atomic_load(&t.table));
	assert_taken(last);
	assert_int_equal(table_count(atomic_load(&t.table)), 2);
}

static void test_half_a_snapshot_is_forgotten_with_its_stream(void **state)
{
	(void)state;
	snapshot(3);
	begin_stream();
	struct sent part = {FEED_SNAPSHOT, 2, 0, 20, {0}, 1};
	add(&part.records, 9, FEED_ACTIVE);
	assert_taken(part);
	begin_stream();
	change(1, FEED_REVOKED, 11);
	assert_int_equal(table_count(atomic_load(&t.table)), 3);
	assert_int_equal(state_of(1), FEED_REVOKED);
}

static void assert_left(struct sent s, enum reason reason)
{
	bool newer;
	int64_t seq = t.keeper.position.seq;
	size_t count = t.keeper.table ? table_count(t.keeper.table) : 0;
	assert_false(send(s, 1, &newer).ok);
	assert_int_equal(f.reason, reason);
	assert_false(newer);
	assert_int_equal(t.keeper.position.seq, seq);
	assert_int_equal(t.keeper.table ? table_count(t.keeper.table) : 0, count);
	begin_stream();
}

static void test_frames_out_of_turn_change_nothing(void **state)
{
	(void)state;
	assert_left((struct sent){FEED_HEARTBEAT, 0, 1, 0, {0}, 0}, REASON_FEED_GAP); /* no table */
	snapshot(3);
	begin_stream();
	assert_left((struct sent){FEED_HEARTBEAT, 1, 12, 11, {0}, 0}, REASON_FEED_GAP);
	assert_left((struct sent){FEED_HEARTBEAT, 0, 11, 10, {0}, 0}, REASON_FEED_EPOCH);
	assert_left((struct sent){FEED_SNAPSHOT_LAST, 1, 0, 9, {0}, 0}, REASON_FEED_EPOCH);
	t.time_ms -= 3600000;
	assert_left((struct sent){FEED_HEARTBEAT, 1, 11, 10, {0}, 0}, REASON_FEED_REPLAYED);
	t.time_ms += 3600000;
	EVP_PKEY *own = t.key;
	t.key = p256_key_generate();
	assert_left((struct sent){FEED_HEARTBEAT, 1, 11, 10, {0}, 0}, REASON_FEED_SIGNATURE);
	EVP_PKEY_free(t.key);
	t.key = own;
	assert_taken((struct sent){FEED_HEARTBEAT, 1, 11, 10, {0}, 0});
}

/* A gateway's clock may be set back a little; such a frame counts, and freshens nothing. */
static void test_a_frame_of_an_earlier_second_is_taken_and_is_not_newer(void **state)
{
	(void)state;
	bool newer = true;
	snapshot(3);
	t.time_ms -= 3000;
	assert_true(send((struct sent){FEED_HEARTBEAT, 1, 11, 10, {0}, 0}, 1, &newer).ok);
	assert_false(newer);
}

static void test_heartbeats_are_written_once_a_minute(void **state)
{
	(void)state;
	bool newer;
	snapshot(3);
	for (int64_t ms = 5000; ms <= 65000; ms += 5000) {
		t.time_ms += 5000;
		assert_true(send((struct sent){FEED_HEARTBEAT, 1, 11, 10, {0}, 0}, ms, &newer).ok);
	}
	int64_t last = t.time_ms;
	restart();
	assert_true(t.keeper.position.time_ms > 1800000000000 + 50000 && t.keeper.position.time_ms <= last);
}

/* No receipt may be sent for what a power cut would undo. */
static void test_a_full_disk_is_not_durable_until_it_is_written_anew(void **state)
{
	(void)state;
	struct rlimit before, small;
	bool newer;
	snapshot(3);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &before);
	small = (struct rlimit){10, before.rlim_max};
	setrlimit(RLIMIT_FSIZE, &small);
	change(1, FEED_REVOKED, 11);
	assert_false(t.keeper.durable);
	assert_int_equal(state_of(1), FEED_REVOKED);
	setrlimit(RLIMIT_FSIZE, &before);
	assert_true(logged("changes are in force but not receipted"));
	t.time_ms += 10;
	assert_true(send((struct sent){FEED_HEARTBEAT, 1, 12, 11, {0}, 0}, 30000, &newer).ok);
	assert_false(t.keeper.durable); /* too early to try again */
	t.time_ms += 10;
	assert_true(send((struct sent){FEED_HEARTBEAT, 1, 12, 11, {0}, 0}, 70000, &newer).ok);
	assert_true(t.keeper.durable);
	restart();
	assert_int_equal(state_of(1), FEED_REVOKED);
	assert_int_equal(t.keeper.position.seq, 11);
}

static void test_a_damaged_table_is_none_and_is_sent_again(void **state)
{
	(void)state;
	char path[80];
	snapshot(3);
	keeper_close(&t.keeper);
	snprintf(path, sizeof path, "%s/table", t.dir);
	assert_int_equal(truncate(path, 100), 0);
	open_keeper();
	assert_null(atomic_load(&t.table));
	assert_true(logged("journal-damaged"));
	begin_stream();
	snapshot(2);
	restart();
	assert_int_equal(table_count(atomic_load(&t.table)), 2);
}

int main(void)
{
#define KEEPER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		KEEPER(test_a_snapshot_then_changes_survive_a_restart),
		KEEPER(test_sessions_need_not_wait_for_the_disk),
		KEEPER(test_a_question_is_none_of_the_table),
		KEEPER(test_a_table_in_parts_is_published_with_its_last),
		KEEPER(test_half_a_snapshot_is_forgotten_with_its_stream),
		KEEPER(test_frames_out_of_turn_change_nothing),
		KEEPER(test_a_frame_of_an_earlier_second_is_taken_and_is_not_newer),
		KEEPER(test_heartbeats_are_written_once_a_minute),
		KEEPER(test_a_full_disk_is_not_durable_until_it_is_written_anew),
		KEEPER(test_a_damaged_table_is_none_and_is_sent_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
