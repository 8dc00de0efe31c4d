#include "store_internal.h"

#include "common/metrics.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static struct metric_reasons alarms = {.name = "mooring_alarms_total",
				       .help = "Alarms, by reason (`mooringctl alarms`)."};

void store_metrics_write(struct buf *out)
{
	metrics_write_reasons(out, &alarms);
}

static const char *or_empty(const char *s)
{
	return s ? s : "";
}

static outcome insert_entry(struct writer *w, const struct log_entry *e, int64_t device_id, struct fault *f)
{
	static const char sql[] = "INSERT INTO log VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
	struct query q = query_start(&w->conn, sql);
	query_int(&q, e->seq);
	query_int(&q, e->time_ms);
	query_text(&q, e->kind);
	query_text(&q, e->actor);
	query_text(&q, e->request_id);
	if (device_id)
		query_int(&q, device_id);
	else
		query_blob(&q, NULL, 0);
	query_blob(&q, e->instance_id.p, e->instance_id.n);
	query_text(&q, e->thing);
	query_blob(&q, e->fingerprint.p, e->fingerprint.n);
	query_text(&q, e->reason);
	query_text(&q, e->detail);
	query_blob(&q, e->hash, SHA256_SIZE);
	return query_run(&q, f);
}

outcome log_append(struct writer *w, const struct log_new *n, struct fault *f)
{
	struct log_entry e = {
		.seq = w->head.seq + 1,
		.time_ms = w->now_ms,
		.kind = n->kind,
		.actor = or_empty(n->actor),
		.request_id = or_empty(n->request_id),
		.instance_id = bytes_of(n->instance_id, n->instance_id ? INSTANCE_ID_SIZE : 0),
		.thing = or_empty(n->thing),
		.fingerprint = bytes_of(n->fingerprint, n->fingerprint ? FINGERPRINT_SIZE : 0),
		.reason = or_empty(n->reason),
		.detail = or_empty(n->detail),
	};
	if (!log_chain_next(w->head.hash, &e, e.hash))
		return refuse(f, REASON_NO_MEMORY, "no memory for a log entry");
	outcome o = insert_entry(w, &e, n->device_id, f);
	if (!o.ok)
		return o;
	w->head.seq = e.seq;
	memcpy(w->head.hash, e.hash, SHA256_SIZE);
	if (!strcmp(e.kind, "alarm"))
		metric_count_reason(&alarms, reason_find(e.reason));
	return DONE;
}

outcome log_load_head(struct conn *c, int64_t *seq, uint8_t hash[SHA256_SIZE], struct fault *f)
{
	static const char sql[] = "SELECT seq, hash FROM log ORDER BY seq DESC LIMIT 1";
	struct query q = query_start(c, sql);
	bool row;
	outcome o = query_row(&q, &row, f);
	if (!o.ok)
		return o;
	*seq = 0;
	log_chain_start(hash);
	if (row) {
		*seq = column_int(&q);
		column_copy(&q, hash, SHA256_SIZE);
	}
	query_end(&q);
	return DONE;
}

void log_read_row(struct op *op, struct query *q, void *into)
{
	struct log_entry *out = into;
	out->seq = column_int(q);
	out->time_ms = column_int(q);
	out->kind = op_text(op, column_text(q));
	out->actor = op_text(op, column_text(q));
	out->request_id = op_text(op, column_text(q));
	out->instance_id = op_bytes(op, column_blob(q));
	out->thing = op_text(op, column_text(q));
	out->fingerprint = op_bytes(op, column_blob(q));
	out->reason = op_text(op, column_text(q));
	out->detail = op_text(op, column_text(q));
	column_copy(q, out->hash, SHA256_SIZE);
}

/* ---- detail ---- */

/* Without printf: an enrolment has a dozen members. */
static void put_name(struct buf *b, const char *name)
{
	buf_str(b, b->n ? ",\"" : "{\"");
	buf_str(b, name);
	buf_add(b, "\":", 2);
}

/* Texts of faults may hold bytes from outside, also half of a character where they were cut. */
static bool is_utf8(const char *s)
{
	json_t *text = json_string(s);
	json_decref(text);
	return text != NULL;
}

/* Nothing to escape. */
static bool is_plain(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || (unsigned char)*s >= 0x7f || *s == '"' || *s == '\\')
			return false;
	return true;
}

static void put_escaped(struct buf *b, const char *s)
{
	bool keep = is_utf8(s);
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;
		if (c == '"' || c == '\\')
			buf_byte(b, '\\');
		if (c < 0x20)
			buf_printf(b, "\\u%04x", c);
		else
			buf_byte(b, c >= 0x7f && !keep ? '?' : c);
	}
}

void detail_text(struct buf *b, const char *name, const char *value)
{
	put_name(b, name);
	buf_byte(b, '"');
	if (is_plain(value))
		buf_str(b, value);
	else
		put_escaped(b, value);
	buf_byte(b, '"');
}

void detail_hex(struct buf *b, const char *name, const void *p, size_t n)
{
	char hex[HEX_SIZE(64)];
	hex_encode(bytes_of(p, n <= 64 ? n : 64), hex);
	put_name(b, name);
	buf_byte(b, '"');
	buf_str(b, hex);
	buf_byte(b, '"');
}

void detail_base64url(struct buf *b, const char *name, struct bytes value)
{
	size_t size = BASE64_SIZE(value.n);
	char *text = malloc(size);
	put_name(b, name);
	buf_byte(b, '"');
	if (text) {
		base64url_encode(value, text);
		buf_str(b, text);
	} else {
		b->failed = true;
	}
	buf_byte(b, '"');
	free(text);
}

void detail_int(struct buf *b, const char *name, int64_t value)
{
	char digits[20];
	size_t at = sizeof digits;
	uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;
	do
		digits[--at] = (char)('0' + rest % 10);
	while (rest /= 10);
	put_name(b, name);
	if (value < 0)
		buf_byte(b, '-');
	buf_add(b, digits + at, sizeof digits - at);
}

const char *detail_end(struct buf *b)
{
	if (!b->n)
		return "";
	buf_add(b, "}", 2); /* with the NUL */
	return b->failed ? "" : (const char *)b->p;
}
