#include "feed_internal.h"

#include "common/log.h"
#include "common/policy/policy.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char default_policy[] = "default";

/* A certificate with all attributes that its thing may have, and what is around them. */
enum { RECORD_MAX = FEED_ATTRIBUTES_MAX * (FEED_ATTRIBUTE_NAME_MAX + FEED_ATTRIBUTE_VALUE_MAX + 6) + 1024 };
_Static_assert(FEED_RECORDS_BYTES_MAX > 2 * RECORD_MAX + POLICY_BYTES_MAX + 1024,
	       "an entry of the log with a device's two certificates has to fit into a frame");

static void read_more(struct stream *s);

/* ---- frames ---- */

static struct bytes policy_of(const struct store_feed_record *r, char room[FEED_NAME_MAX + 1])
{
	if (!r->is_service)
		return bytes_str(*r->policy ? r->policy : default_policy);
	return bytes_of(room, (size_t)snprintf(room, FEED_NAME_MAX + 1, "service/%s", r->name));
}

/* Views into `attributes`, whose names the store has put in order. */
static void read_thing(const struct store_feed_record *r, json_t *attributes, struct feed_thing *out)
{
	const char *name;
	json_t *value;
	out->type = bytes_str(r->thing_type);
	out->count = 0;
	json_object_foreach(attributes, name, value)
		if (out->count < FEED_ATTRIBUTES_MAX)
			out->attributes[out->count++] =
				(struct feed_attribute){bytes_str(name), bytes_str(json_string_value(value))};
}

static void put_certificate(struct buf *records, const struct store_feed_record *r)
{
	char policy[FEED_NAME_MAX + 1];
	struct feed_thing thing;
	json_t *attributes = r->attributes ? json_loads(r->attributes, 0, NULL) : NULL;
	struct feed_record out = {
		.fingerprint = bytes_of(r->fingerprint, FINGERPRINT_SIZE),
		.state = (enum feed_state)r->state, /* the first three are the same, and no other is put */
		.not_before = r->not_before,
		.not_after = r->not_after,
		.name = bytes_str(r->name),
		.policy = policy_of(r, policy),
		.flags = (r->report_first ? FEED_REPORT_CONNECT : 0u) | (r->is_service ? FEED_SERVICE : 0u) |
			 (r->detached ? FEED_DETACHED : 0u),
	};
	if (attributes || *r->thing_type) {
		read_thing(r, attributes, &thing);
		out.thing = &thing;
	}
	if (r->state == STORE_REMOVED)
		feed_put_removed(records, out.fingerprint);
	else
		feed_put_certificate(records, &out);
	records->failed |= r->attributes && !attributes;
	json_decref(attributes);
}

static void put_record(struct buf *records, const struct store_feed_record *r)
{
	if (!r->is_policy)
		put_certificate(records, r);
	else if (r->document)
		feed_put_policy(records, bytes_str(r->name), bytes_str(r->document));
	else
		feed_put_policy_removed(records, bytes_str(r->name));
}

bool stream_encode(const struct store_commit *c, struct buf *records)
{
	if (c->count > FEED_RECORDS_MAX)
		return false;
	for (size_t i = 0; i < c->count && records->n <= FEED_RECORDS_BYTES_MAX; i++)
		put_record(records, &c->records[i]);
	return !records->failed && records->n <= FEED_RECORDS_BYTES_MAX;
}

/* A frame that cannot be made would be a gap: the stream ends, and the broker comes again. */
static void send_frame(struct stream *s, struct feed_frame *frame)
{
	struct buf out = {0};
	struct fault f;
	if (!s->outlet)
		return;
	frame->epoch = s->epoch;
	frame->time_ms = clock_wall_ms();
	if (!feed_seal(&out, frame, s->digest, s->feed->gateway->keys.feed_key, &f).ok) {
		log_fault(LOG_LEVEL_ERROR, NULL, &f, "a frame for a broker could not be made");
		buf_free(&out);
		stream_end(s);
		return;
	}
	atomic_fetch_add(&s->feed->frames, 1);
	atomic_fetch_add(&s->feed->bytes, out.n);
	if (s->in_flight++ == 0)
		s->stalled_ms = clock_monotonic_ms();
	outlet_send(s->outlet, &out);
}

/* Everything up to `upto` is told by this frame. */
static void send_position(struct stream *s, enum feed_kind kind, struct bytes records, size_t count)
{
	struct feed_frame frame = {
		.first = s->told + 1, .last = s->upto, .kind = kind, .count = count, .records = records};
	memcpy(frame.head, s->head, SHA256_SIZE);
	s->told = s->upto;
	broker_told(s->broker, s->epoch, s->told);
	s->greeted = true;
	send_frame(s, &frame);
}

static void send_snapshot(struct stream *s, enum feed_kind kind, struct buf *records, size_t count)
{
	struct feed_frame frame = {
		.first = 0, .last = s->upto, .kind = kind, .count = count, .records = buf_view(records)};
	memcpy(frame.head, s->head, SHA256_SIZE);
	send_frame(s, &frame);
	records->n = 0;
}

/* ---- changes ---- */

static void become_live(struct stream *s)
{
	s->state = STREAM_LIVE;
	if (!s->greeted)
		send_position(s, FEED_HEARTBEAT, bytes_of(NULL, 0), 0);
	questions_stream_live(s);
}

static void take_position(struct stream *s, const struct store_commit *c)
{
	s->upto = c->last;
	memcpy(s->head, c->head, SHA256_SIZE);
}

static void catch_up(struct stream *s)
{
	s->state = STREAM_CATCHING_UP;
	read_more(s);
}

void stream_commit(struct stream *s, const struct store_commit *c, const struct buf *records)
{
	if (s->state != STREAM_LIVE || !s->outlet)
		return;
	if (c->epoch != s->epoch) {
		stream_end(s);
		return;
	}
	if (c->first != s->upto + 1 || !records) {
		catch_up(s);
		return;
	}
	take_position(s, c);
	if (c->count)
		send_position(s, FEED_CHANGES, buf_view(records), c->count);
}

static void take_changes(struct stream *s, const struct store_commit *c)
{
	struct buf records = {0};
	if (!stream_encode(c, &records)) {
		s->limit = s->limit > 1 ? s->limit / 2 : 1;
	} else if (c->last > s->upto) {
		take_position(s, c);
		if (c->count)
			send_position(s, FEED_CHANGES, buf_view(&records), c->count);
		s->limit = STORE_PAGE_MAX;
	}
	buf_free(&records);
}

static void on_changes(struct store_commit *c, const struct fault *f, void *arg);
static void on_snapshot(struct store_commit *c, int64_t next, const struct fault *f, void *arg);

/* The next page, as soon as the edge has taken most of what was sent. */
static void read_more(struct stream *s)
{
	if (s->reading || !s->outlet || s->feed->quiet)
		return;
	s->paused = s->in_flight >= FEED_IN_FLIGHT_MAX;
	if (s->paused)
		return;
	s->reading = true;
	if (s->state == STREAM_SNAPSHOT)
		store_feed_snapshot(s->feed->store, s->cursor, s->end, s->limit, on_snapshot, s);
	else
		store_feed_changes(s->feed->store, s->upto, s->limit, on_changes, s);
}

static void stream_free(struct stream *s)
{
	*s->link = s->next;
	if (s->next)
		s->next->link = s->link;
	free(s);
}

/* An answer of the store: true where the stream goes on. */
static bool read_answered(struct stream *s, const struct store_commit *c, const struct fault *f)
{
	s->reading = false;
	if (!s->outlet) {
		stream_free(s);
		return false;
	}
	if (!f && c->epoch == s->epoch)
		return true;
	if (f)
		log_fault(LOG_LEVEL_WARN, NULL, f, "a broker's feed cannot be read");
	stream_end(s);
	return false;
}

static void on_changes(struct store_commit *c, const struct fault *f, void *arg)
{
	struct stream *s = arg;
	if (!read_answered(s, c, f))
		return;
	take_changes(s, c);
	if (s->upto < s->feed->last_seq)
		read_more(s);
	else
		become_live(s);
}

/* ---- snapshots ---- */

static void send_records(struct stream *s, const struct store_commit *c, bool last)
{
	struct buf records = {0};
	size_t count = 0;
	for (size_t i = 0; i < c->count; i++) {
		put_record(&records, &c->records[i]);
		if (++count < FEED_RECORDS_MAX && records.n < FEED_RECORDS_BYTES_MAX - RECORD_MAX)
			continue;
		send_snapshot(s, FEED_SNAPSHOT, &records, count);
		count = 0;
	}
	if (records.failed)
		stream_end(s);
	else if (last || count)
		send_snapshot(s, last ? FEED_SNAPSHOT_LAST : FEED_SNAPSHOT, &records, count);
	buf_free(&records);
}

static void on_snapshot(struct store_commit *c, int64_t next, const struct fault *f, void *arg)
{
	struct stream *s = arg;
	if (!read_answered(s, c, f))
		return;
	send_records(s, c, next < 0);
	s->cursor = next;
	if (next < 0) {
		s->state = STREAM_CATCHING_UP;
		s->told = s->upto;
		broker_told(s->broker, s->epoch, s->told);
	}
	read_more(s);
}

/* ---- life ---- */

void stream_open(struct feed *feed, struct outlet *outlet, struct broker *b, const struct stream_start *start)
{
	struct stream *s = calloc(1, sizeof *s);
	if (!s)
		abort();
	s->feed = feed;
	s->outlet = outlet;
	outlet->stream = s;
	s->broker = b;
	s->heard_ms = clock_monotonic_ms();
	memcpy(s->spki_sha256, outlet->broker.spki_sha256, SHA256_SIZE);
	crypto_random(s->id, sizeof s->id);
	broker_connected(b, s);
	outlet_begin(outlet, s->id);
	s->epoch = start->head.epoch;
	s->version = start->version;
	s->limit = STORE_PAGE_MAX;
	s->state = start->after ? STREAM_CATCHING_UP : STREAM_SNAPSHOT;
	s->told = start->after;
	broker_told(s->broker, s->epoch, s->told);
	s->upto = start->after ? start->after : start->head.seq;
	memcpy(s->head, start->head.hash, SHA256_SIZE);
	s->end = start->head.certificates_end;
	s->link = &feed->streams;
	if ((s->next = feed->streams))
		s->next->link = &s->next;
	feed->streams = s;
	atomic_fetch_add(&feed->stream_count, 1);
	if (feed->quiet)
		stream_end(s);
	else
		read_more(s);
}

/* No frames from now on; it may stay for an answer of the store. */
static void part(struct stream *s)
{
	s->outlet->stream = NULL;
	s->outlet = NULL;
	atomic_fetch_sub(&s->feed->stream_count, 1);
	broker_disconnected(s->broker, s);
	waits_check(s->feed);
	questions_stream_gone(s->feed, s->broker);
}

void stream_left(struct stream *s)
{
	if (s->outlet)
		part(s);
	if (!s->reading)
		stream_free(s);
}

/* The outlet answers with run_left once it has ended; until then this stream has no outlet any more. */
void stream_end(struct stream *s)
{
	if (!s->outlet)
		return;
	struct outlet *o = s->outlet;
	part(s);
	outlet_end(o);
}

void stream_taken(struct stream *s, unsigned frames)
{
	s->in_flight -= frames <= s->in_flight ? frames : s->in_flight;
	s->stalled_ms = clock_monotonic_ms();
	if (!s->receipted)
		s->heard_ms = s->stalled_ms;
	if (s->paused)
		read_more(s);
}

static bool is_stalled(const struct stream *s)
{
	return s->in_flight && clock_monotonic_ms() - s->stalled_ms > s->feed->stall_ms;
}

void stream_heartbeat(struct stream *s)
{
	if (!s->outlet && !s->reading) {
		stream_free(s); /* ended by this side */
		return;
	}
	if (!s->outlet)
		return;
	if (is_stalled(s)) {
		log_line(LOG_LEVEL_WARN, NULL, "the feed of broker %s is too slow and is ended",
			 s->broker->name);
		atomic_fetch_add(&s->feed->lost, 1);
		stream_end(s);
	} else if (s->state == STREAM_LIVE) {
		if (s->upto < s->feed->last_seq)
			catch_up(s);
		else
			send_position(s, FEED_HEARTBEAT, bytes_of(NULL, 0), 0);
	}
}

void stream_flush(struct stream *s, int64_t seq)
{
	if (s->outlet && s->state == STREAM_LIVE && s->told < seq && s->upto >= seq)
		send_position(s, FEED_HEARTBEAT, bytes_of(NULL, 0), 0);
}

void stream_ask(struct stream *s, const struct buf *record)
{
	send_position(s, FEED_QUESTION, buf_view(record), 1);
}
