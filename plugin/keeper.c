#include "plugin/keeper.h"

#include "plugin/broker.h"

#include <string.h>

enum {
	BACK_MAX_MS = 5000,	   /* a gateway's clock may be set back by this much */
	WRITE_POSITION_MS = 60000, /* how old the written position may be where nothing else changes */
	RETRY_MS = 60000,
	KEEP_EXPIRED_S = 86400,
};

static void report_policy(struct keeper *k, const struct fault *refused)
{
	if (refused->reason != REASON_NONE)
		ring_fault(k->log, MOSQ_LOG_ERR, refused, "mooring: a policy is not understood");
}

outcome keeper_open(struct keeper *k, const char *state_dir, struct fault *f)
{
	struct fault why = {0}, refused = {0};
	outcome o = table_journal_open(state_dir, &k->journal, f);
	if (!o.ok)
		return o;
	if (!table_journal_load(k->journal, k->retire, &k->table, &k->position, &refused, &why).ok) {
		ring_fault(k->log, MOSQ_LOG_ERR, &why,
			   "mooring: THE SAVED TABLE IS UNUSABLE; nobody is admitted until the gateway sends "
			   "it again");
		k->position = (struct table_position){0};
	} else if (!k->table) {
		ring_printf(k->log, MOSQ_LOG_NOTICE,
			    "mooring: no saved table in %s; nobody is admitted until the gateway sends one",
			    state_dir);
	} else {
		k->durable = true;
		ring_printf(k->log, MOSQ_LOG_NOTICE,
			    "mooring: %zu certificates loaded from %s, at %lld of epoch %lld",
			    table_count(k->table), state_dir, (long long)k->position.seq,
			    (long long)k->position.epoch);
	}
	if (table_journal_cut_off(k->journal))
		ring_printf(
			k->log, MOSQ_LOG_WARNING,
			"mooring: an unfinished last entry was cut off the saved table; nobody is admitted "
			"until the gateway is heard");
	report_policy(k, &refused);
	atomic_store(k->published, k->table);
	return DONE;
}

void keeper_close(struct keeper *k)
{
	table_journal_close(k->journal);
	table_free(k->table);
	table_free(k->building);
	k->journal = NULL;
	k->table = k->building = NULL;
}

void keeper_stream(struct keeper *k)
{
	table_free(k->building);
	k->building = NULL;
	k->chain = (struct feed_chain){.epoch = k->position.epoch, .seq = k->position.seq};
	memcpy(k->chain.head, k->position.head, SHA256_SIZE);
}

/* ---- disk ---- */

static outcome publish(struct keeper *k, struct table *table, struct fault *f)
{
	struct table *old = k->table;
	if (!retire_prepare(k->retire))
		return refuse(f, REASON_NO_MEMORY, "no memory to replace the table of certificates");
	k->table = table;
	atomic_store(k->published, table);
	if (old)
		retire_later(k->retire, old, table_free);
	return DONE;
}

static outcome put_into(void *arg, const struct feed_record *record, struct fault *f)
{
	struct fault refused;
	return table_put(arg, record, &refused, f);
}

/* Ends what never shrinks by itself: removed and long expired certificates, names, the journal. */
static outcome renew_table(struct keeper *k, int64_t not_after, struct fault *f)
{
	struct table *fresh = table_new(k->retire);
	outcome o = fresh ? table_each(k->table, not_after, put_into, fresh, f)
			  : refuse(f, REASON_NO_MEMORY, "no memory for the table of certificates");
	if (o.ok)
		o = publish(k, fresh, f);
	if (!o.ok)
		table_free(fresh);
	return o;
}

static void replace_files(struct keeper *k, bool renew, int64_t monotonic_ms)
{
	int64_t not_after = k->position.time_ms / 1000 - KEEP_EXPIRED_S;
	struct fault f = {0};
	outcome o = renew ? renew_table(k, not_after, &f) : DONE;
	if (o.ok)
		o = table_journal_replace(k->journal, k->table, &k->position, not_after, &f);
	k->durable = o.ok;
	k->written_ms = monotonic_ms;
	k->retry_ms = monotonic_ms + (o.ok ? 0 : RETRY_MS);
	if (!o.ok)
		ring_fault(k->log, MOSQ_LOG_ERR, &f,
			   "mooring: the table cannot be saved; changes are in force but not receipted");
}

static void append(struct keeper *k, const struct feed_frame *frame, int64_t monotonic_ms)
{
	struct fault f = {0};
	k->durable = table_journal_append(k->journal, &k->position, frame->records, frame->count, &f).ok;
	k->written_ms = monotonic_ms;
	if (!k->durable)
		ring_fault(k->log, MOSQ_LOG_ERR, &f, "mooring: the table's journal cannot be written");
}

/* A heartbeat need not be on disk at once: what it says is the time and a number without records. */
static void save(struct keeper *k, const struct feed_frame *frame, int64_t monotonic_ms)
{
	bool due = frame->count || monotonic_ms - k->written_ms >= WRITE_POSITION_MS;
	if (k->durable && due)
		append(k, frame, monotonic_ms);
	if (table_journal_wants_replacing(k->journal) && monotonic_ms >= k->retry_ms)
		replace_files(k, true, monotonic_ms);
}

/* ---- frames ---- */

struct applying {
	struct table *table;
	bool cuts;
	struct fault refused;
};

static outcome apply_record(void *arg, const struct feed_record *record, struct fault *f)
{
	struct applying *a = arg;
	a->cuts |= record->type == FEED_REMOVED ||
		   (record->type == FEED_CERTIFICATE && record->state != FEED_ACTIVE);
	return table_put(a->table, record, &a->refused, f);
}

static void move_to(struct keeper *k, const struct feed_frame *frame)
{
	k->position.epoch = frame->epoch;
	k->position.seq = frame->last;
	memcpy(k->position.head, frame->head, SHA256_SIZE);
}

static outcome take_snapshot(struct keeper *k, const struct feed_frame *frame, int64_t monotonic_ms,
			     struct fault *f)
{
	if (!k->building && !(k->building = table_new(k->retire)))
		return refuse(f, REASON_NO_MEMORY, "no memory for the table of certificates");
	struct applying a = {.table = k->building};
	outcome o = feed_records(frame, apply_record, &a, f);
	report_policy(k, &a.refused);
	if (!o.ok || frame->kind != FEED_SNAPSHOT_LAST)
		return o;
	o = publish(k, k->building, f);
	if (!o.ok)
		return o;
	k->building = NULL;
	move_to(k, frame);
	k->cut(k->cut_arg);
	ring_printf(k->log, MOSQ_LOG_NOTICE,
		    "mooring: the gateway sent a table of %zu certificates, at %lld of epoch %lld",
		    table_count(k->table), (long long)k->position.seq, (long long)k->position.epoch);
	replace_files(k, false, monotonic_ms);
	return DONE;
}

/* A table that could take only a part of a frame (no memory) is still right in what it has; the stream ends,
 * and the next one starts at the position before the frame. */
static outcome take_changes(struct keeper *k, const struct feed_frame *frame, int64_t monotonic_ms,
			    struct fault *f)
{
	struct applying a = {.table = k->table};
	outcome o = feed_records(frame, apply_record, &a, f);
	report_policy(k, &a.refused);
	if (a.cuts)
		k->cut(k->cut_arg);
	if (!o.ok)
		return o;
	move_to(k, frame);
	save(k, frame, monotonic_ms);
	return DONE;
}

static outcome hand_on(void *arg, const struct feed_record *question, struct fault *f)
{
	struct keeper *k = arg;
	(void)f;
	k->asked(k->asked_arg, question);
	return DONE;
}

/* To the table it is a heartbeat. */
static outcome take_question(struct keeper *k, const struct feed_frame *frame, int64_t monotonic_ms,
			     struct fault *f)
{
	struct feed_frame heartbeat = *frame;
	outcome o = feed_records(frame, hand_on, k, f);
	heartbeat.count = 0;
	heartbeat.records = bytes_of(NULL, 0);
	return o.ok ? take_changes(k, &heartbeat, monotonic_ms, f) : o;
}

/* Every signed frame tells the time: one that tells an earlier one has been recorded and is played again. */
static outcome check_time(const struct keeper *k, const struct feed_frame *frame, struct fault *f)
{
	if (frame->time_ms + BACK_MAX_MS < k->position.time_ms)
		return refuse(f, REASON_FEED_REPLAYED, "the frame is %lld s older than one already seen",
			      (long long)(k->position.time_ms - frame->time_ms) / 1000);
	return DONE;
}

outcome keeper_take(struct keeper *k, struct bytes bytes, int64_t monotonic_ms, bool *newer, struct fault *f)
{
	struct feed_frame frame;
	*newer = false;
	outcome o = feed_open(bytes, k->key, &frame, f);
	if (o.ok)
		o = check_time(k, &frame, f);
	if (o.ok)
		o = feed_chain_take(&k->chain, &frame, f);
	if (o.ok && !k->table && frame.kind != FEED_SNAPSHOT && frame.kind != FEED_SNAPSHOT_LAST)
		o = refuse(f, REASON_FEED_GAP, "changes to a table that is not there");
	if (!o.ok)
		return o;
	*newer = frame.time_ms > k->position.time_ms;
	if (*newer)
		k->position.time_ms = frame.time_ms;
	switch (frame.kind) {
	case FEED_SNAPSHOT:
	case FEED_SNAPSHOT_LAST:
		return take_snapshot(k, &frame, monotonic_ms, f);
	case FEED_QUESTION:
		return take_question(k, &frame, monotonic_ms, f);
	default:
		return take_changes(k, &frame, monotonic_ms, f);
	}
}
