#include "store_internal.h"

#include <string.h>

#define CERTIFICATE_COLUMNS                                                                                  \
	"id, fingerprint, state, device_id, generation, not_before, not_after, renews_id, outgoing, "        \
	"spki_sha256"

static void read_columns(struct query *q, struct certificate *out)
{
	out->id = column_int(q);
	column_copy(q, out->fingerprint, FINGERPRINT_SIZE);
	out->state = (enum store_state)column_int(q);
	out->device_id = column_int(q);
	out->generation = column_int(q);
	out->not_before = column_int(q);
	out->not_after = column_int(q);
	out->renews_id = column_int(q);
	out->outgoing = column_int(q);
	column_copy(q, out->spki_sha256, SHA256_SIZE);
}

outcome certificates_live(struct conn *c, int64_t device_id, struct certificate out[LIVE_MAX], size_t *count,
			  struct fault *f)
{
	static const char sql[] = "SELECT " CERTIFICATE_COLUMNS
				  " FROM certificates WHERE device_id = ? AND state < 2 ORDER BY id";
	struct query q = query_start(c, sql);
	bool row = true;
	outcome o = DONE;
	query_int(&q, device_id);
	for (*count = 0; o.ok && row;) {
		o = query_row(&q, &row, f);
		if (!o.ok || !row)
			break;
		if (*count == LIVE_MAX) {
			query_end(&q);
			return refuse(f, REASON_INTERNAL, "a device with more than %d live certificates",
				      LIVE_MAX);
		}
		read_columns(&q, &out[(*count)++]);
	}
	return o;
}

outcome certificate_find(struct conn *c, const uint8_t fingerprint[FINGERPRINT_SIZE], struct certificate *out,
			 struct fault *f)
{
	static const char sql[] = "SELECT " CERTIFICATE_COLUMNS " FROM certificates WHERE fingerprint = ?";
	struct query q = query_start(c, sql);
	bool row;
	*out = (struct certificate){0};
	query_blob(&q, fingerprint, FINGERPRINT_SIZE);
	outcome o = query_row(&q, &row, f);
	if (o.ok && row) {
		read_columns(&q, out);
		query_end(&q);
	}
	return o;
}

static outcome update_state(struct writer *w, int64_t id, enum store_state state, const char *reason,
			    struct fault *f)
{
	static const char sql[] =
		"UPDATE certificates SET state = ?, revocation_reason = ?, revoked_at_ms = ? WHERE id = ?";
	bool revoked = state == STORE_REVOKED;
	struct query q = query_start(&w->conn, sql);
	query_int(&q, state);
	query_text(&q, revoked ? reason : "");
	query_int(&q, revoked ? w->now_ms : 0);
	query_int(&q, id);
	return query_run(&q, f);
}

outcome certificate_set_state(struct writer *w, const struct device *d, const struct certificate *c,
			      enum store_state state, const struct cause *cause, struct fault *f)
{
	static const char *const kinds[] = {"certificate-active", "certificate-inactive",
					    "certificate-revoked"};
	struct log_new e = {
		.kind = kinds[state],
		.actor = cause->actor,
		.request_id = cause->request_id,
		.device_id = d->id,
		.instance_id = d->instance_id,
		.thing = d->thing,
		.fingerprint = c->fingerprint,
		.reason = cause->reason,
	};
	outcome o = update_state(w, c->id, state, cause->reason, f);
	if (o.ok)
		o = log_append(w, &e, f);
	return o.ok ? feed_note(w, c->fingerprint, f) : o;
}

outcome device_apply(struct writer *w, const struct device *d, const struct cause *cause, int64_t *count,
		     struct fault *f)
{
	struct certificate live[LIVE_MAX];
	size_t n;
	enum store_state state = d->revoked		  ? STORE_REVOKED
				 : device_is_suspended(d) ? STORE_INACTIVE
							  : STORE_ACTIVE;
	outcome o = certificates_live(&w->conn, d->id, live, &n, f);
	*count = 0;
	for (size_t i = 0; o.ok && i < n; i++) {
		if (live[i].state == state)
			continue;
		o = certificate_set_state(w, d, &live[i], state, cause, f);
		++*count;
	}
	return o;
}

/* ---- what was renewed ---- */

outcome certificate_supersede(struct writer *w, const struct certificate *c, const struct cause *cause,
			      struct fault *f)
{
	struct device d;
	outcome o = device_find_id(&w->conn, c->device_id, &d, f);
	return o.ok ? certificate_set_state(w, &d, c, STORE_REVOKED, cause, f) : o;
}

/* When the next one is due; far away where there is none. */
static outcome next_due(struct conn *c, int64_t *next_s, struct fault *f)
{
	static const char sql[] = "SELECT coalesce(min(supersede_at), 1 << 60) FROM certificates "
				  "WHERE outgoing = 1 AND state < 2";
	struct query q = query_start(c, sql);
	bool row;
	outcome o = query_row(&q, &row, f);
	*next_s = INT64_MAX / 2;
	if (o.ok && row) {
		*next_s = column_int(&q);
		query_end(&q);
	}
	return o;
}

static outcome read_due(struct conn *c, int64_t now_s, struct certificate out[STORE_BATCH_MAX], size_t *count,
			struct fault *f)
{
	static const char sql[] =
		"SELECT " CERTIFICATE_COLUMNS " FROM certificates "
		"WHERE outgoing = 1 AND state < 2 AND supersede_at <= ? ORDER BY supersede_at LIMIT ?";
	struct query q = query_start(c, sql);
	bool row = true;
	outcome o = DONE;
	query_int(&q, now_s);
	query_int(&q, STORE_BATCH_MAX);
	for (*count = 0; o.ok && row;) {
		o = query_row(&q, &row, f);
		if (o.ok && row)
			read_columns(&q, &out[(*count)++]);
	}
	return o;
}

outcome supersede_due(struct writer *w, int64_t *next_s, struct fault *f)
{
	struct certificate due[STORE_BATCH_MAX];
	size_t count;
	struct cause cause = {.actor = "gateway", .reason = "superseded"};
	outcome o = read_due(&w->conn, w->now_ms / 1000, due, &count, f);
	for (size_t i = 0; o.ok && i < count; i++)
		o = certificate_supersede(w, &due[i], &cause, f);
	return o.ok ? next_due(&w->conn, next_s, f) : o;
}
