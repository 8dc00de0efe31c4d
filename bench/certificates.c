/*
 * certificates - what the plugin's table of certificates costs: memory, loading, and a snapshot that takes its place.
 *
 *   certificates COUNT FOLDER      a folder for the table's files, empty; one JSON object
 */
#include "heap.h"
#include "common/clock.h"
#include "plugin/keeper.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { FRAME_RECORDS = 500, NAME_SIZE = 25, ARENA_BLOCK = 1 << 20 };

static const char policy[] =
	"{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Allow\",\"Action\":\"iot:Publish\","
	"\"Resource\":\"arn:aws:iot:*:*:topic/dt/${iot:Connection.Thing.ThingName}/*\"}}";
static const int64_t now_ms = 1795363200000;

static struct fault f;

static void must(outcome o, const char *what)
{
	if (o.ok)
		return;
	fprintf(stderr, "certificates: %s: %s\n", what, f.text);
	exit(1);
}

static double cpu_s(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* As the gateway names devices: 24 characters. */
static struct feed_record record_of(uint32_t i)
{
	static uint8_t fingerprint[SHA256_SIZE];
	static char name[NAME_SIZE];
	sha256(bytes_of(&i, sizeof i), fingerprint);
	base32_encode_lower(bytes_of(fingerprint, 15), name);
	return (struct feed_record){
		.type = FEED_CERTIFICATE,
		.fingerprint = {fingerprint, sizeof fingerprint},
		.state = FEED_ACTIVE,
		.not_before = now_ms / 1000 - 3600,
		.not_after = now_ms / 1000 + 31536000,
		.name = bytes_str(name),
		.policy = bytes_str("default"),
	};
}

static const struct feed_record policy_record = {
	.type = FEED_POLICY,
	.policy = {(const uint8_t *)"default", 7},
	.document = {(const uint8_t *)policy, sizeof policy - 1},
};

/* ---- memory ---- */

struct sizes {
	size_t empty, names, rest; /* bytes: a table without certificates; what each of them adds */
};

static struct table *fill(uint32_t count, struct retire *retire, struct sizes *sizes)
{
	size_t before = heap_now().bytes;
	struct table *t = table_new(retire);
	struct fault refused;
	if (!t)
		must(refuse(&f, REASON_NO_MEMORY, "no memory"), "table");
	must(table_put(t, &policy_record, &refused, &f), "policy");
	sizes->empty = heap_now().bytes - before;
	for (uint32_t i = 0; i < count; i++) {
		struct feed_record record = record_of(i);
		must(table_put(t, &record, &refused, &f), "certificate");
	}
	retire_all(retire);
	sizes->names = ((size_t)count * NAME_SIZE + ARENA_BLOCK - 1) / ARENA_BLOCK * ARENA_BLOCK;
	sizes->rest = heap_now().bytes - before - sizes->empty - sizes->names;
	return t;
}

static void save(const char *dir, const struct table *t)
{
	struct table_journal *j;
	const struct table_position position = {.epoch = 1, .seq = 1, .time_ms = now_ms};
	must(table_journal_open(dir, &j, &f), "open");
	must(table_journal_replace(j, t, &position, 0, &f), "save");
	table_journal_close(j);
}

/* ---- a snapshot of the gateway's takes the place of what was loaded ---- */

struct feed_end {
	struct keeper *keeper;
	uint8_t digest[SHA256_SIZE];
	struct buf records;
	size_t count;
};

/* As the feed's thread does between frames, with a broker that turns meanwhile. */
static void turn(struct keeper *k)
{
	retire_turn(k->retire);
	retire_reap(k->retire);
}

static void send(struct feed_end *e, enum feed_kind kind)
{
	struct feed_frame frame = {.epoch = 1,
				   .last = 2,
				   .time_ms = now_ms + 1,
				   .kind = kind,
				   .count = e->count,
				   .records = buf_view(&e->records)};
	struct buf out = {0};
	struct bytes bytes;
	size_t used;
	bool newer;
	must(feed_seal(&out, &frame, e->digest, e->keeper->key, &f), "seal");
	must(feed_next(buf_view(&out), &bytes, &used, &f), "cut");
	must(keeper_take(e->keeper, bytes, 1, &newer, &f), "take");
	buf_free(&out);
	e->records.n = e->count = 0;
	turn(e->keeper);
}

static void send_snapshot(struct keeper *k, uint32_t count)
{
	struct feed_end e = {.keeper = k};
	keeper_stream(k);
	feed_put_policy(&e.records, policy_record.policy, policy_record.document);
	e.count = 1;
	for (uint32_t i = 0; i < count; i++) {
		struct feed_record record = record_of(i);
		feed_put_certificate(&e.records, &record);
		if (++e.count == FRAME_RECORDS)
			send(&e, FEED_SNAPSHOT);
	}
	send(&e, FEED_SNAPSHOT_LAST);
	buf_free(&e.records);
	turn(k);
}

static void on_cut(void *arg)
{
	(void)arg;
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "usage: certificates COUNT FOLDER\n");
		return 2;
	}
	uint32_t count = (uint32_t)atol(argv[1]);
	static _Atomic(struct table *) published;
	static struct retire retire;
	static struct ring log;
	struct keeper keeper = {.published = &published,
				.retire = &retire,
				.log = &log,
				.key = p256_key_generate(),
				.cut = on_cut};
	struct sizes sizes;
	ring_init(&log);
	struct table *t = fill(count, &retire, &sizes);
	save(argv[2], t);
	table_free(t);

	size_t before = heap_now().bytes;
	double cpu = cpu_s();
	int64_t start = clock_monotonic_us();
	heap_forget_peak();
	must(keeper_open(&keeper, argv[2], &f), "load");
	cpu = cpu_s() - cpu;
	double wall = (double)(clock_monotonic_us() - start) / 1e6,
	       held = (double)(heap_now().bytes - before);
	double load_peak = (double)(heap_now().peak - before) / held;
	if (!keeper.table || table_count(keeper.table) != count)
		must(refuse(&f, REASON_JOURNAL, "not all of it is there"), "load");
	heap_forget_peak();
	send_snapshot(&keeper, count);
	double swap_peak = (double)(heap_now().peak - before) / held;

	printf("{\"count\":%u,\"empty\":%zu,\"entry_bytes\":%.1f,\"name_bytes\":%.1f,\"load_s\":%.3f,\"load_"
	       "cpu_s\":%.3f,"
	       "\"load_peak\":%.2f,\"swap_peak\":%.2f}\n",
	       count, sizes.empty, (double)sizes.rest / count, (double)sizes.names / count, wall, cpu,
	       load_peak, swap_peak);
	keeper_close(&keeper);
	retire_all(&retire);
	EVP_PKEY_free(keeper.key);
	return 0;
}
