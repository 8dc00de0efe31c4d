#include "plugin/table_blocks.h"

#include "common/cbor/cbor.h"

#include <string.h>

enum { HEAD_SIZE = 8 };

const char blocks_snapshot_magic[] = "mooring-table/1\n";
const char blocks_journal_magic[] = "mooring-chang/1\n";

struct block {
	enum block_kind kind;
	struct table_position position;
	struct feed_frame frame; /* count and records of it */
};

enum found { FOUND_BLOCK, FOUND_END, FOUND_UNFINISHED, FOUND_DAMAGE };

void blocks_start(uint8_t chain[SHA256_SIZE])
{
	sha256(bytes_str(blocks_snapshot_magic), chain);
}

static void link_chain(uint8_t chain[SHA256_SIZE], struct bytes payload)
{
	struct bytes parts[] = {{chain, SHA256_SIZE}, payload};
	uint8_t next[SHA256_SIZE];
	sha256_parts(parts, 2, next);
	memcpy(chain, next, SHA256_SIZE);
}

static void put_head(uint8_t head[HEAD_SIZE], uint32_t n)
{
	for (unsigned i = 0; i < HEAD_SIZE / 2; i++) {
		head[i] = (uint8_t)(n >> (24 - 8 * i));
		head[i + HEAD_SIZE / 2] = (uint8_t)~head[i];
	}
}

/* False where the length is not what its complement says: it must not decide where the file is cut off. */
static bool take_head(const uint8_t head[HEAD_SIZE], size_t *n)
{
	uint8_t expected[HEAD_SIZE];
	*n = bytes_be32(head);
	put_head(expected, (uint32_t)*n);
	return *n > 0 && *n <= BLOCK_PAYLOAD_MAX && !memcmp(head, expected, HEAD_SIZE);
}

void blocks_put(struct buf *out, uint8_t chain[SHA256_SIZE], enum block_kind kind,
		const struct table_position *position, struct bytes records, size_t count)
{
	size_t start = out->n;
	buf_add(out, (const uint8_t[HEAD_SIZE]){0}, HEAD_SIZE);
	cbor_put_uint(out, kind);
	cbor_put_uint(out, (uint64_t)position->epoch);
	cbor_put_uint(out, (uint64_t)position->seq);
	cbor_put_uint(out, (uint64_t)position->time_ms);
	cbor_put_bstr(out, bytes_of(position->head, SHA256_SIZE));
	cbor_put_uint(out, count);
	buf_bytes(out, records);
	if (out->failed)
		return;
	size_t n = out->n - start - HEAD_SIZE;
	put_head(out->p + start, (uint32_t)n);
	link_chain(chain, bytes_of(out->p + start + HEAD_SIZE, n));
	buf_add(out, chain, SHA256_SIZE);
}

static outcome damaged(struct fault *f, const char *file, size_t at)
{
	return refuse(f, REASON_JOURNAL, "%s is damaged at byte %zu", file, at);
}

static bool all_zero(struct bytes b)
{
	for (size_t i = 0; i < b.n; i++)
		if (b.p[i])
			return false;
	return true;
}

/* The block at the start of `rest`. A power cut leaves less than a block, or one that ends where the file
 * ends and does not fit its hash, or bytes that the file system never wrote: zeros. */
static enum found next_block(struct bytes rest, uint8_t chain[SHA256_SIZE], struct bytes *payload)
{
	if (rest.n == 0)
		return FOUND_END;
	if (rest.n < HEAD_SIZE || all_zero(rest))
		return FOUND_UNFINISHED;
	size_t n;
	if (!take_head(rest.p, &n))
		return FOUND_DAMAGE;
	size_t whole = HEAD_SIZE + n + SHA256_SIZE;
	if (rest.n < whole)
		return FOUND_UNFINISHED;
	uint8_t next[SHA256_SIZE];
	memcpy(next, chain, SHA256_SIZE);
	*payload = bytes_of(rest.p + HEAD_SIZE, n);
	link_chain(next, *payload);
	if (memcmp(next, payload->p + n, SHA256_SIZE) != 0)
		return rest.n == whole ? FOUND_UNFINISHED : FOUND_DAMAGE;
	memcpy(chain, next, SHA256_SIZE);
	return FOUND_BLOCK;
}

static outcome read_number(struct cbor_reader *r, int64_t *out, struct fault *f)
{
	outcome o = cbor_int(r, out, f);
	if (o.ok && *out < 0)
		return refuse(f, REASON_CBOR_TYPE, "a negative number");
	return o;
}

static outcome parse_block(struct bytes payload, struct block *out, struct fault *f)
{
	struct cbor_reader r = cbor_reader(payload);
	struct cbor_item head;
	int64_t kind = 0, count = 0;
	*out = (struct block){0};
	outcome o = read_number(&r, &kind, f);
	if (o.ok)
		o = read_number(&r, &out->position.epoch, f);
	if (o.ok)
		o = read_number(&r, &out->position.seq, f);
	if (o.ok)
		o = read_number(&r, &out->position.time_ms, f);
	if (o.ok)
		o = cbor_expect(&r, CBOR_BSTR, &head, f);
	if (o.ok)
		o = read_number(&r, &count, f);
	if (!o.ok)
		return o;
	if (kind > BLOCK_CHANGES || head.bytes.n != SHA256_SIZE)
		return refuse(f, REASON_CBOR_TYPE, "no block");
	out->kind = (enum block_kind)kind;
	memcpy(out->position.head, head.bytes.p, SHA256_SIZE);
	out->frame.count = (size_t)count;
	out->frame.records = bytes_of(r.p, (size_t)(r.end - r.p));
	return DONE;
}

struct putting {
	struct table *table;
	struct fault *refused;
};

static outcome put_record(void *arg, const struct feed_record *record, struct fault *f)
{
	const struct putting *p = arg;
	return table_put(p->table, record, p->refused, f);
}

/* What the chain vouches for but does not parse was written wrongly: damage too, except for want of memory. */
static outcome apply_block(struct bytes payload, struct table *table, struct block *block,
			   struct fault *refused, struct fault *f)
{
	struct putting p = {table, refused};
	struct fault why = {0};
	outcome o = parse_block(payload, block, &why);
	if (o.ok)
		o = feed_records(&block->frame, put_record, &p, &why);
	if (!o.ok && why.reason == REASON_NO_MEMORY)
		return refuse(f, why.reason, "%s", why.text);
	return o.ok ? o : refuse(f, REASON_JOURNAL, "%s", why.text);
}

static bool has_magic(struct bytes file, const char *magic)
{
	return file.n >= BLOCKS_MAGIC_SIZE && !memcmp(file.p, magic, BLOCKS_MAGIC_SIZE);
}

outcome blocks_read_snapshot(struct bytes file, uint8_t chain[SHA256_SIZE], struct table *table,
			     struct table_position *position, struct fault *refused, struct fault *f)
{
	size_t at = BLOCKS_MAGIC_SIZE;
	struct block block = {.kind = BLOCK_PART};
	struct bytes payload = {0};
	blocks_start(chain);
	if (!has_magic(file, blocks_snapshot_magic))
		return damaged(f, "the snapshot", 0);
	while (block.kind == BLOCK_PART) {
		if (next_block(bytes_of(file.p + at, file.n - at), chain, &payload) != FOUND_BLOCK)
			return damaged(f, "the snapshot", at);
		outcome o = apply_block(payload, table, &block, refused, f);
		if (!o.ok)
			return o;
		at += HEAD_SIZE + payload.n + SHA256_SIZE;
	}
	if (block.kind != BLOCK_LAST || at != file.n)
		return damaged(f, "the snapshot", at);
	*position = block.position;
	return DONE;
}

outcome blocks_read_journal(struct bytes file, uint8_t chain[SHA256_SIZE], struct table *table,
			    struct table_position *position, size_t *good, struct fault *refused,
			    struct fault *f)
{
	struct block block;
	struct bytes payload = {0};
	*good = BLOCKS_MAGIC_SIZE;
	if (!has_magic(file, blocks_journal_magic))
		return damaged(f, "the journal", 0);
	for (;;) {
		enum found found = next_block(bytes_of(file.p + *good, file.n - *good), chain, &payload);
		if (found == FOUND_END || found == FOUND_UNFINISHED)
			return DONE;
		if (found == FOUND_DAMAGE)
			return damaged(f, "the journal", *good);
		outcome o = apply_block(payload, table, &block, refused, f);
		if (!o.ok)
			return o;
		if (block.kind != BLOCK_CHANGES || block.position.epoch != position->epoch ||
		    block.position.seq < position->seq)
			return damaged(f, "the journal", *good);
		*position = block.position;
		*good += HEAD_SIZE + payload.n + SHA256_SIZE;
	}
}
