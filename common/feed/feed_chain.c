#include "feed_format.h"

#include <string.h>

static outcome take_snapshot(struct feed_chain *c, const struct feed_frame *frame, struct fault *f)
{
	if (c->started && !c->in_snapshot)
		return refuse(f, REASON_FEED_GAP, "a snapshot begins within a stream");
	if (frame->epoch < c->epoch || (frame->epoch == c->epoch && frame->last < c->seq))
		return refuse(f, REASON_FEED_EPOCH,
			      "a snapshot at %lld of epoch %lld; the table stands at %lld of %lld",
			      (long long)frame->last, (long long)frame->epoch, (long long)c->seq,
			      (long long)c->epoch);
	if (c->in_snapshot && (frame->last != c->snapshot_last || frame->epoch != c->snapshot_epoch ||
			       memcmp(frame->head, c->snapshot_head, SHA256_SIZE) != 0))
		return refuse(f, REASON_FEED_GAP, "parts of different snapshots");
	return DONE;
}

static outcome take_changes(const struct feed_chain *c, const struct feed_frame *frame, struct fault *f)
{
	if (c->in_snapshot)
		return refuse(f, REASON_FEED_GAP, "a snapshot is interrupted");
	if (frame->epoch != c->epoch)
		return refuse(f, REASON_FEED_EPOCH, "epoch %lld where the table is of %lld",
			      (long long)frame->epoch, (long long)c->epoch);
	if (frame->first != c->seq + 1)
		return refuse(f, REASON_FEED_GAP, "number %lld follows %lld", (long long)frame->first,
			      (long long)c->seq);
	if (frame->last == c->seq && memcmp(frame->head, c->head, SHA256_SIZE) != 0)
		return refuse(f, REASON_FEED_GAP, "two log hashes at number %lld", (long long)c->seq);
	return DONE;
}

outcome feed_chain_take(struct feed_chain *c, const struct feed_frame *frame, struct fault *f)
{
	bool snapshot = frame->kind == FEED_SNAPSHOT || frame->kind == FEED_SNAPSHOT_LAST;
	if (memcmp(frame->previous, c->digest, SHA256_SIZE) != 0)
		return refuse(f, REASON_FEED_GAP, "the frame does not follow the one before it");
	outcome o = snapshot ? take_snapshot(c, frame, f) : take_changes(c, frame, f);
	if (!o.ok)
		return o;
	c->started = true;
	memcpy(c->digest, frame->digest, SHA256_SIZE);
	c->in_snapshot = frame->kind == FEED_SNAPSHOT;
	if (c->in_snapshot) {
		c->snapshot_epoch = frame->epoch;
		c->snapshot_last = frame->last;
		memcpy(c->snapshot_head, frame->head, SHA256_SIZE);
		return DONE;
	}
	c->epoch = frame->epoch;
	c->seq = frame->last;
	memcpy(c->head, frame->head, SHA256_SIZE);
	return DONE;
}
