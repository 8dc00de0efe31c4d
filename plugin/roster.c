#include "plugin/roster.h"

#include "common/clock.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOOK_AT_CLOCK = 32 }; /* sessions looked at from one look at the clock to the next */

void roster_free(struct roster *r)
{
	free(r->rows);
	r->rows = NULL;
}

/* ---- the feed's thread ---- */

void roster_ask(struct roster *r, const struct feed_record *asked)
{
	if (r->waiting_count == ROSTER_WAITING_MAX)
		return;
	struct roster_question *q = &r->waiting[r->waiting_count++];
	*q = (struct roster_question){.after_us = asked->after_us, .limit = (size_t)asked->limit};
	memcpy(q->id, asked->question.p, sizeof q->id);
	memcpy(q->name, asked->name.p, asked->name.n);
}

bool roster_put(struct roster *r)
{
	if (!r->waiting_count || atomic_load(&r->turn) != ROSTER_NOBODY)
		return false;
	r->rows = calloc(r->waiting[0].limit, sizeof *r->rows);
	if (!r->rows)
		return false; /* the next turn tries again */
	r->question = r->waiting[0];
	r->count = 0;
	r->more = false;
	r->seen_us = r->question.after_us;
	memmove(r->waiting, r->waiting + 1, --r->waiting_count * sizeof *r->waiting);
	atomic_store(&r->turn, ROSTER_BROKER);
	return true;
}

void roster_forget(struct roster *r)
{
	r->waiting_count = 0;
}

/* A client id is UTF-8 (MQTT 3.1.1 1.5.3), which the broker has checked; were it none, it is not told. */
static char *row_json(const struct roster_row *row)
{
	bool told = bytes_are_utf8(bytes_str(row->client_id));
	json_t *object = json_pack("{s:s, s:b, s:s, s:s, s:I, s:s, s:i}", "name", row->name, "service",
				   row->is_service, "client_id", told ? row->client_id : "", "certificateId",
				   row->username, "since_us", (json_int_t)row->since_us, "address",
				   row->address, "protocol", row->protocol);
	char *text = json_dumps(object, JSON_COMPACT);
	json_decref(object);
	return text;
}

static void add_rows(struct roster *r, struct buf *body)
{
	size_t start = body->n;
	for (size_t i = 0; i < r->count; i++) {
		char *text = row_json(&r->rows[i]);
		if (!text) {
			body->failed = true;
			return;
		}
		if (body->n - start + strlen(text) > ROSTER_BODY_MAX) {
			r->more = true;
			free(text);
			return;
		}
		buf_printf(body, "%s%s", i ? "," : "", text);
		free(text);
	}
}

bool roster_answer(struct roster *r, const char *broker, const char *stream, struct buf *body)
{
	char id[HEX_SIZE(FEED_QUESTION_SIZE)];
	if (atomic_load(&r->turn) != ROSTER_FEED)
		return false;
	hex_encode(bytes_of(r->question.id, sizeof r->question.id), id);
	buf_printf(body,
		   "{\"broker\":\"%s\",\"stream\":\"%s\",\"question\":\"%s\",\"live\":%zu,\"sessions\":[",
		   broker, stream, id, r->live);
	add_rows(r, body);
	buf_printf(body, "],\"more\":%s}", r->more ? "true" : "false");
	roster_free(r);
	atomic_store(&r->turn, ROSTER_NOBODY);
	return true;
}

/* ---- the broker's thread ---- */

static void copy_row(struct roster_row *out, const struct session *s, const struct table_standing *standing)
{
	out->is_service = standing->registered && standing->flags & FEED_SERVICE;
	snprintf(out->name, sizeof out->name, "%s", standing->registered ? standing->name : "");
	snprintf(out->client_id, sizeof out->client_id, "%s", s->client_id);
	memcpy(out->username, s->username, sizeof out->username);
	snprintf(out->address, sizeof out->address, "%s", s->address ? s->address : "");
	out->since_us = s->since_us;
	out->protocol = s->protocol;
}

static void take(struct roster *r, const struct session *s)
{
	const char *name = r->question.name;
	struct table_standing standing = {0};
	if (s->entry)
		standing = table_standing(s->table, s->entry);
	if (*name && (!standing.registered || strcmp(standing.name, name) != 0))
		return;
	copy_row(&r->rows[r->count++], s, &standing);
}

static enum roster_turn hand_over(struct roster *r, const struct sessions *sessions, bool more)
{
	r->more = more;
	r->live = sessions_count(sessions);
	atomic_store(&r->turn, ROSTER_FEED);
	return ROSTER_FEED;
}

enum roster_turn roster_copy(struct roster *r, const struct sessions *sessions, int64_t slice_us)
{
	const struct session *s = NULL;
	if (atomic_load(&r->turn) != ROSTER_BROKER)
		return ROSTER_NOBODY;
	int64_t until_us = clock_monotonic_us() + slice_us;
	for (unsigned looked = 1; (s = sessions_next(sessions, r->seen_us)); looked++) {
		if (r->count == r->question.limit)
			break;
		take(r, s);
		r->seen_us = s->since_us;
		if (looked % LOOK_AT_CLOCK == 0 && clock_monotonic_us() >= until_us)
			return ROSTER_BROKER;
	}
	return hand_over(r, sessions, s != NULL);
}
