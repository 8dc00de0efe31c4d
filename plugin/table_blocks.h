/*
 * table_blocks.h - the bytes of the table's files: chained blocks of records.
 *
 *   block = length (4 bytes, big endian) || its complement || payload || SHA-256(chain before || payload)
 * A payload is a CBOR sequence: kind, epoch, seq, time in ms, head, number of records, and then the records
 * as the feed encodes them. A snapshot starts with its magic, and the chain with the magic's hash; a journal
 * starts with its magic, and the chain with the last link of the snapshot that it continues.
 */
#ifndef MOORING_PLUGIN_TABLE_BLOCKS_H
#define MOORING_PLUGIN_TABLE_BLOCKS_H

#include "plugin/table.h"

enum { BLOCKS_MAGIC_SIZE = 16, BLOCK_PAYLOAD_MAX = 2 * FEED_FRAME_MAX };

extern const char blocks_snapshot_magic[BLOCKS_MAGIC_SIZE + 1];
extern const char blocks_journal_magic[BLOCKS_MAGIC_SIZE + 1];

enum block_kind {
	BLOCK_PART = 0,	   /* of a snapshot */
	BLOCK_LAST = 1,	   /* of a snapshot; its position is the snapshot's */
	BLOCK_CHANGES = 2, /* of a journal */
};

/* The chain as it is before a snapshot's first block. */
void blocks_start(uint8_t chain[SHA256_SIZE]);
/* Appends a block and moves the chain on. */
void blocks_put(struct buf *out, uint8_t chain[SHA256_SIZE], enum block_kind kind,
		const struct table_position *position, struct bytes records, size_t count);

/* Both read into `table` and set *position; REASON_JOURNAL for damage. `chain` ends as the last link. */
MUST_USE outcome blocks_read_snapshot(struct bytes file, uint8_t chain[SHA256_SIZE], struct table *table,
				      struct table_position *position, struct fault *refused,
				      struct fault *f);
/* What a power cut can leave, an unfinished last block, is not damage: *good is the length without it. */
MUST_USE outcome blocks_read_journal(struct bytes file, uint8_t chain[SHA256_SIZE], struct table *table,
				     struct table_position *position, size_t *good, struct fault *refused,
				     struct fault *f);

#endif
