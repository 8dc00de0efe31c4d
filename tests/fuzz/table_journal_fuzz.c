/*
 * A table's two files. The first byte says whether they are taken as they are, or made of the input's pieces
 * with heads and hashes that fit, which no fuzzer finds by itself. What can be read is the same when it is
 * written and read again.
 *
 * links: plugin/table.c plugin/table_policies.c plugin/table_texts.c plugin/table_blocks.c plugin/retire.c
 */
#include "plugin/table_blocks.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct retire retire;

/* Pieces are a length byte and so many bytes; the one of length 0 ends the snapshot and begins the journal. */
static void add_block(struct buf *file, uint8_t chain[SHA256_SIZE], struct bytes payload)
{
	struct bytes parts[] = {{chain, SHA256_SIZE}, payload};
	uint8_t next[SHA256_SIZE];
	buf_be32(file, (uint32_t)payload.n);
	buf_be32(file, ~(uint32_t)payload.n);
	buf_bytes(file, payload);
	sha256_parts(parts, 2, next);
	memcpy(chain, next, SHA256_SIZE);
	buf_add(file, chain, SHA256_SIZE);
}

static void make_files(struct bytes in, struct buf *snapshot, struct buf *journal)
{
	uint8_t chain[SHA256_SIZE];
	struct buf *file = snapshot;
	blocks_start(chain);
	buf_str(snapshot, blocks_snapshot_magic);
	buf_str(journal, blocks_journal_magic);
	while (in.n) {
		size_t n = in.p[0] < in.n ? in.p[0] : in.n - 1;
		if (n == 0)
			file = journal;
		else
			add_block(file, chain, bytes_of(in.p + 1, n));
		in = bytes_of(in.p + 1 + n, in.n - 1 - n);
	}
}

static void take_files(struct bytes in, struct buf *snapshot, struct buf *journal)
{
	size_t half = in.n ? in.p[0] * in.n / 256 : 0;
	buf_bytes(snapshot, bytes_of(in.p, half));
	buf_bytes(journal, bytes_of(in.p + half, in.n - half));
}

static outcome read_files(struct bytes snapshot, struct bytes journal, struct table *table,
			  struct table_position *position, size_t *good, struct fault *f)
{
	uint8_t chain[SHA256_SIZE];
	struct fault refused;
	outcome o = blocks_read_snapshot(snapshot, chain, table, position, &refused, f);
	return o.ok ? blocks_read_journal(journal, chain, table, position, good, &refused, f) : o;
}

struct writing {
	struct buf records;
	size_t count;
};

static outcome write_record(void *arg, const struct feed_record *record, struct fault *f)
{
	struct writing *w = arg;
	(void)f;
	if (record->type == FEED_POLICY)
		feed_put_policy(&w->records, record->policy, record->document);
	else
		feed_put_certificate(&w->records, record);
	w->count++;
	return DONE;
}

static void write_again(const struct table *table, const struct table_position *position)
{
	uint8_t chain[SHA256_SIZE];
	struct writing w = {0};
	struct buf file = {0};
	struct fault f, refused;
	struct table *again = table_new(&retire);
	struct table_position there;
	if (!again || !table_each(table, INT64_MIN, write_record, &w, &f).ok)
		abort();
	blocks_start(chain);
	buf_str(&file, blocks_snapshot_magic);
	blocks_put(&file, chain, BLOCK_LAST, position, buf_view(&w.records), w.count);
	if (!blocks_read_snapshot(buf_view(&file), chain, again, &there, &refused, &f).ok)
		abort();
	if (table_count(again) != table_count(table) || memcmp(&there, position, sizeof there) != 0)
		abort();
	table_free(again);
	buf_free(&w.records);
	buf_free(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf snapshot = {0}, journal = {0};
	struct table *table = table_new(&retire);
	struct table_position position;
	struct fault f = {0};
	size_t good = 0;
	if (size == 0 || !table)
		goto out;
	memset(&position, 0, sizeof position);
	if (data[0] & 1)
		make_files(bytes_of(data + 1, size - 1), &snapshot, &journal);
	else
		take_files(bytes_of(data + 1, size - 1), &snapshot, &journal);
	if (read_files(buf_view(&snapshot), buf_view(&journal), table, &position, &good, &f).ok) {
		if (good > journal.n)
			abort();
		write_again(table, &position);
	} else if (f.reason != REASON_JOURNAL && f.reason != REASON_TOO_LARGE) {
		abort();
	}
out:
	table_free(table);
	retire_all(&retire);
	buf_free(&snapshot);
	buf_free(&journal);
	return 0;
}
