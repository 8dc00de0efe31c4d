#include "store_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- records ---- */

void feed_records_free(struct store_feed_record *records, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(records[i].document);
		free(records[i].attributes);
	}
	free(records);
}

void store_commit_hold(struct store_commit *c)
{
	atomic_fetch_add(&c->refs, 1);
}

void store_commit_release(struct store_commit *c)
{
	if (!c || atomic_fetch_sub(&c->refs, 1) > 1)
		return;
	feed_records_free(c->records, c->count);
	free(c);
}

static struct store_feed_record *list_grow(const struct feed_list *l, struct fault *f)
{
	if (*l->count == *l->room) {
		size_t room = *l->room ? 2 * *l->room : 16;
		struct store_feed_record *more = realloc(*l->records, room * sizeof *more);
		if (!more) {
			refuse(f, REASON_NO_MEMORY, "no memory for %zu feed records", room);
			return NULL;
		}
		*l->records = more;
		*l->room = room;
	}
	struct store_feed_record *r = &(*l->records)[(*l->count)++];
	*r = (struct store_feed_record){0};
	return r;
}

outcome feed_list_policy(const struct feed_list *l, int64_t seq, const char *name, const char *document,
			 struct fault *f)
{
	char *copy = document ? strdup(document) : NULL;
	struct store_feed_record *r = copy || !document ? list_grow(l, f) : NULL;
	if (!r) {
		free(copy);
		return refuse(f, REASON_NO_MEMORY, "no memory for a policy");
	}
	r->seq = seq;
	r->is_policy = true;
	r->document = copy;
	snprintf(r->name, sizeof r->name, "%s", name);
	return DONE;
}

outcome feed_list_row(const struct feed_list *l, struct query *q, int64_t seq, struct fault *f)
{
	struct store_feed_record *r = list_grow(l, f);
	if (!r) {
		query_end(q);
		return (outcome){false};
	}
	r->seq = seq;
	column_copy(q, r->fingerprint, FINGERPRINT_SIZE);
	r->state = (enum store_state)column_int(q);
	r->not_before = column_int(q);
	r->not_after = column_int(q);
	snprintf(r->name, sizeof r->name, "%s", column_text(q));
	r->report_first = column_int(q);
	r->is_service = column_int(q);
	column_string(q, r->policy, sizeof r->policy);
	r->detached = column_int(q);
	column_string(q, r->thing_type, sizeof r->thing_type);
	const char *attributes = column_text(q);
	if (r->state == STORE_EXPIRED) {
		--*l->count;
	} else if (*attributes && !(r->attributes = strdup(attributes))) {
		query_end(q);
		return refuse(f, REASON_NO_MEMORY, "no memory for a thing's attributes");
	}
	return DONE;
}

outcome feed_list_certificate(struct conn *c, const struct feed_list *l, int64_t seq,
			      const uint8_t fingerprint[FINGERPRINT_SIZE], struct fault *f)
{
	static const char device[] = "SELECT " FEED_DEVICE_ROW "WHERE c.fingerprint = ?";
	static const char service[] = "SELECT " FEED_SERVICE_ROW "WHERE fingerprint = ?";
	const char *const both[] = {device, service};
	outcome o = DONE;
	bool row = false;
	for (size_t i = 0; o.ok && !row && i < 2; i++) {
		struct query q = query_start(c, both[i]);
		query_blob(&q, fingerprint, FINGERPRINT_SIZE);
		o = query_row(&q, &row, f);
		if (!o.ok || !row)
			continue;
		o = feed_list_row(l, &q, seq, f);
		query_end(&q);
	}
	return o;
}

static struct feed_list writer_list(struct writer *w)
{
	return (struct feed_list){&w->records, &w->record_count, &w->record_room};
}

outcome feed_note(struct writer *w, const uint8_t fingerprint[FINGERPRINT_SIZE], struct fault *f)
{
	struct feed_list l = writer_list(w);
	return feed_list_certificate(&w->conn, &l, w->head.seq, fingerprint, f);
}

outcome feed_note_record(struct writer *w, const struct store_feed_record *known, struct fault *f)
{
	struct feed_list l = writer_list(w);
	struct store_feed_record *r = list_grow(&l, f);
	if (!r)
		return (outcome){false};
	*r = *known;
	r->seq = w->head.seq;
	return DONE;
}

outcome feed_note_policy(struct writer *w, const char *name, const char *document, struct fault *f)
{
	struct feed_list l = writer_list(w);
	return feed_list_policy(&l, w->head.seq, name, document, f);
}
