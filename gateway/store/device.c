#include "store_internal.h"

#include <stdio.h>
#include <string.h>

void device_read(struct query *q, struct device *out)
{
	out->id = column_int(q);
	column_copy(q, out->instance_id, INSTANCE_ID_SIZE);
	snprintf(out->thing, sizeof out->thing, "%s", column_text(q));
	out->generation = column_int(q);
	out->revoked = column_int(q);
	out->on_hold = column_int(q);
	out->quarantined = column_int(q);
	out->withdrawn = column_int(q);
	out->granted = column_int(q);
	snprintf(out->revocation_reason, sizeof out->revocation_reason, "%s", column_text(q));
	out->plain = column_int(q);
}

static outcome read_row(struct query *q, struct device *out, struct fault *f)
{
	bool row;
	*out = (struct device){0};
	outcome o = query_row(q, &row, f);
	if (o.ok && row) {
		device_read(q, out);
		query_end(q);
	}
	return o;
}

outcome device_find(struct conn *c, const uint8_t instance_id[INSTANCE_ID_SIZE], struct device *out,
		    struct fault *f)
{
	static const char sql[] = "SELECT " DEVICE_COLUMNS " FROM devices d WHERE d.instance_id = ?";
	struct query q = query_start(c, sql);
	query_blob(&q, instance_id, INSTANCE_ID_SIZE);
	return read_row(&q, out, f);
}

outcome device_find_thing(struct conn *c, const char *thing, struct device *out, struct fault *f)
{
	static const char sql[] = "SELECT " DEVICE_COLUMNS " FROM devices d WHERE d.thing = ?";
	struct query q = query_start(c, sql);
	query_text(&q, thing);
	return read_row(&q, out, f);
}

outcome device_find_id(struct conn *c, int64_t id, struct device *out, struct fault *f)
{
	static const char sql[] = "SELECT " DEVICE_COLUMNS " FROM devices d WHERE d.id = ?";
	struct query q = query_start(c, sql);
	query_int(&q, id);
	return read_row(&q, out, f);
}

outcome device_add(struct writer *w, const uint8_t instance_id[INSTANCE_ID_SIZE], const char *thing,
		   struct device *out, struct fault *f)
{
	static const char sql[] =
		"INSERT INTO devices (instance_id, thing, first_seen_ms) VALUES (?, nullif(?, ''), ?)";
	struct query q = query_start(&w->conn, sql);
	query_blob(&q, instance_id, INSTANCE_ID_SIZE);
	query_text(&q, thing);
	query_int(&q, w->now_ms);
	outcome o = query_run(&q, f);
	*out = (struct device){.id = sqlite3_last_insert_rowid(w->conn.db), .generation = 1, .plain = true};
	memcpy(out->instance_id, instance_id, INSTANCE_ID_SIZE);
	snprintf(out->thing, sizeof out->thing, "%s", thing);
	return o;
}

outcome device_save(struct writer *w, const struct device *d, struct fault *f)
{
	static const char sql[] =
		"UPDATE devices SET thing = nullif(?, ''), generation = ?, revoked = ?, on_hold = ?, "
		"quarantined = ?, withdrawn = ?, granted = ?, revocation_reason = ? WHERE id = ?";
	struct query q = query_start(&w->conn, sql);
	query_text(&q, d->thing);
	query_int(&q, d->generation);
	query_int(&q, d->revoked);
	query_int(&q, d->on_hold);
	query_int(&q, d->quarantined);
	query_int(&q, d->withdrawn);
	query_int(&q, d->granted);
	query_text(&q, d->revocation_reason);
	query_int(&q, d->id);
	return query_run(&q, f);
}

bool device_is_suspended(const struct device *d)
{
	return d->on_hold || d->quarantined || d->withdrawn;
}

enum reason device_refusal(const struct device *d)
{
	if (d->revoked && !d->granted)
		return REASON_DEVICE_REVOKED;
	if (d->withdrawn)
		return REASON_DEVICE_SUSPENDED;
	if (d->quarantined)
		return REASON_DEVICE_QUARANTINED;
	return d->on_hold ? REASON_DEVICE_ON_HOLD : REASON_NONE;
}

const char *device_refusal_text(enum reason reason)
{
	switch (reason) {
	case REASON_DEVICE_REVOKED:
		return "the device was revoked; an admin has to allow its re-enrolment (mooringctl "
		       "allow-reenrol)";
	case REASON_DEVICE_SUSPENDED:
		return "the attestation service withdrew its word for this device; only it can give it again "
		       "(mooringctl records resume, there)";
	case REASON_DEVICE_QUARANTINED:
		return "the device is quarantined after a clone alarm; an operator has to look at it "
		       "(mooringctl alarms) "
		       "and resume it (mooringctl resume)";
	default:
		return "the device was suspended by an operator, who can resume it (mooringctl resume)";
	}
}
