#include "store_internal.h"

#include <string.h>

/* ---- devices ---- */

#define LISTED_DEVICE                                                                                        \
	"d.instance_id, coalesce(d.thing, ''), d.generation, d.revoked, d.on_hold, d.quarantined, "          \
	"d.withdrawn, "                                                                                      \
	"d.granted, d.first_seen_ms, "                                                                       \
	"(SELECT count(*) FROM certificates c WHERE c.device_id = d.id AND c.state < 2 AND c.not_after > "   \
	"unixepoch())"

static void read_device(struct op *op, struct query *q, void *into)
{
	struct store_device *out = into;
	column_copy(q, out->instance_id, INSTANCE_ID_SIZE);
	out->thing = op_text(op, column_text(q));
	out->generation = column_int(q);
	out->revoked = column_int(q);
	out->on_hold = column_int(q);
	out->quarantined = column_int(q);
	out->withdrawn = column_int(q);
	out->granted = column_int(q);
	out->first_seen_ms = column_int(q);
	out->certificates = column_int(q);
}

const char *store_device_state(const struct store_device *d)
{
	if (d->revoked)
		return "revoked";
	return d->on_hold || d->quarantined || d->withdrawn ? "suspended" : "active";
}

struct devices_op {
	struct op op;
	const char *sql, *after;
	size_t limit;
	struct page page;
	void (*done)(const struct store_device *devices, size_t count, const struct fault *f, void *arg);
	void *arg;
};

static const char sql_devices[] =
	"SELECT " LISTED_DEVICE " FROM devices d WHERE d.thing > ? ORDER BY d.thing LIMIT ?";
static const char sql_active[] =
	"SELECT " LISTED_DEVICE " FROM devices d WHERE d.thing > ? AND d.revoked = 0 AND "
	"d.on_hold + d.quarantined + d.withdrawn = 0 ORDER BY d.thing LIMIT ?";
static const char sql_suspended[] =
	"SELECT " LISTED_DEVICE " FROM devices d WHERE d.thing > ? AND d.revoked = 0 AND "
	"d.on_hold + d.quarantined + d.withdrawn > 0 ORDER BY d.thing LIMIT ?";
static const char sql_revoked[] =
	"SELECT " LISTED_DEVICE
	" FROM devices d WHERE d.thing > ? AND d.revoked = 1 ORDER BY d.thing LIMIT ?";

static const struct {
	const char *state, *sql;
} device_queries[] = {{"active", sql_active}, {"suspended", sql_suspended}, {"revoked", sql_revoked}};

static const char *devices_sql(const char *state)
{
	for (size_t i = 0; state && i < sizeof device_queries / sizeof *device_queries; i++)
		if (!strcmp(device_queries[i].state, state))
			return device_queries[i].sql;
	return state ? NULL : sql_devices;
}

static outcome run_devices(struct op *op, struct conn *c, struct fault *f)
{
	struct devices_op *d = (struct devices_op *)op;
	struct query q = query_start(c, d->sql);
	query_text(&q, d->after);
	query_int(&q, (int64_t)d->limit);
	d->page = page_new(op, sizeof(struct store_device));
	return page_fill(&d->page, &q, read_device, f);
}

static void answer_devices(struct op *op, const struct fault *f)
{
	struct devices_op *d = (struct devices_op *)op;
	d->done(f ? NULL : d->page.rows, f ? 0 : d->page.count, f, d->arg);
}

void store_devices(struct store *s, const struct store_device_query *query,
		   void (*done)(const struct store_device *devices, size_t count, const struct fault *f,
				void *arg),
		   void *arg)
{
	struct devices_op *d = op_new(s, sizeof *d, run_devices, answer_devices);
	d->sql = devices_sql(query->state);
	d->after = op_text(&d->op, query->after);
	d->limit = page_limit(query->limit);
	d->done = done;
	d->arg = arg;
	if (d->sql) {
		op_read(&d->op);
		return;
	}
	op_refuse(&d->op, REASON_BAD_FIELD, "a device's state is active, suspended or revoked");
	op_finish(&d->op);
}

/* ---- devices by name ---- */

struct lookup_op {
	struct op op;
	const struct store_named *devices;
	struct store_device *rows;
	size_t count;
	void (*done)(const struct store_device *devices, size_t count, const struct fault *f, void *arg);
	void *arg;
};

static outcome look_up(struct lookup_op *l, struct conn *c, size_t i, struct fault *f)
{
	static const char by_instance[] = "SELECT " LISTED_DEVICE " FROM devices d WHERE d.instance_id = ?";
	static const char by_thing[] = "SELECT " LISTED_DEVICE " FROM devices d WHERE d.thing = ?";
	const struct store_named *named = &l->devices[i];
	struct query q = query_start(c, named->instance_id ? by_instance : by_thing);
	bool row;
	if (named->instance_id)
		query_blob(&q, named->instance_id, INSTANCE_ID_SIZE);
	else
		query_text(&q, named->thing);
	outcome o = query_row(&q, &row, f);
	if (!o.ok || !row)
		return o;
	read_device(&l->op, &q, &l->rows[i]);
	query_end(&q);
	return DONE;
}

static outcome run_lookup(struct op *op, struct conn *c, struct fault *f)
{
	struct lookup_op *l = (struct lookup_op *)op;
	outcome o = DONE;
	for (size_t i = 0; o.ok && i < l->count; i++)
		o = look_up(l, c, i, f);
	return o;
}

static void answer_lookup(struct op *op, const struct fault *f)
{
	struct lookup_op *l = (struct lookup_op *)op;
	l->done(f ? NULL : l->rows, f ? 0 : l->count, f, l->arg);
}

void store_lookup(struct store *s, const struct store_named *devices, size_t count,
		  void (*done)(const struct store_device *devices, size_t count, const struct fault *f,
			       void *arg),
		  void *arg)
{
	struct lookup_op *l = op_new(s, sizeof *l, run_lookup, answer_lookup);
	l->devices = named_copy(&l->op, devices, count);
	l->rows = op_alloc(&l->op, count * sizeof *l->rows);
	l->count = count;
	l->done = done;
	l->arg = arg;
	op_read(&l->op);
}

/* ---- certificates ---- */

#define LISTED_CERTIFICATE                                                                                   \
	"c.fingerprint, c.serial, c.state, c.revocation_reason, c.not_before, c.not_after, c.issued_at_ms, " \
	"c.revoked_at_ms, c.generation, c.spki_sha256, d.instance_id, d.thing, v.evidence, v.assurance, "    \
	"v.ear, "                                                                                            \
	"c.request_id, c.outgoing AND c.state < 2, c.der FROM certificates c JOIN devices d ON d.id = "      \
	"c.device_id "                                                                                       \
	"JOIN attestation_results v ON v.id = c.result_id "

static void read_certificate(struct op *op, struct query *q, void *into)
{
	struct store_certificate *out = into;
	column_copy(q, out->fingerprint, FINGERPRINT_SIZE);
	column_copy(q, out->serial, SERIAL_SIZE);
	out->state = (enum store_state)column_int(q);
	out->revocation_reason = op_text(op, column_text(q));
	out->not_before = column_int(q);
	out->not_after = column_int(q);
	out->issued_at_ms = column_int(q);
	out->revoked_at_ms = column_int(q);
	out->generation = column_int(q);
	column_copy(q, out->spki_sha256, SHA256_SIZE);
	column_copy(q, out->instance_id, INSTANCE_ID_SIZE);
	out->thing = op_text(op, column_text(q));
	out->evidence = op_text(op, column_text(q));
	out->assurance = (unsigned)column_int(q);
	out->ear = op_text(op, column_text(q));
	out->request_id = op_text(op, column_text(q));
	out->outgoing = column_int(q);
	out->der = op_bytes(op, column_blob(q));
}

struct certificate_op {
	struct op op;
	uint8_t fingerprint[FINGERPRINT_SIZE];
	struct store_certificate out;
	void (*done)(const struct store_certificate *c, const struct fault *f, void *arg);
	void *arg;
};

static outcome run_certificate(struct op *op, struct conn *c, struct fault *f)
{
	static const char sql[] = "SELECT " LISTED_CERTIFICATE "WHERE c.fingerprint = ?";
	struct certificate_op *x = (struct certificate_op *)op;
	struct query q = query_start(c, sql);
	bool row;
	query_blob(&q, x->fingerprint, FINGERPRINT_SIZE);
	outcome o = query_row(&q, &row, f);
	if (o.ok && !row)
		return op_refuse(op, REASON_NOT_FOUND, "there is no certificate of this fingerprint");
	if (o.ok)
		read_certificate(op, &q, &x->out);
	query_end(&q);
	return o;
}

static void answer_certificate(struct op *op, const struct fault *f)
{
	struct certificate_op *x = (struct certificate_op *)op;
	x->done(f ? NULL : &x->out, f, x->arg);
}

void store_certificate(struct store *s, const uint8_t fingerprint[FINGERPRINT_SIZE],
		       void (*done)(const struct store_certificate *c, const struct fault *f, void *arg),
		       void *arg)
{
	struct certificate_op *x = op_new(s, sizeof *x, run_certificate, answer_certificate);
	memcpy(x->fingerprint, fingerprint, FINGERPRINT_SIZE);
	x->done = done;
	x->arg = arg;
	op_read(&x->op);
}

/* ---- everything about one device ---- */

struct dossier_op {
	struct op op;
	const char *thing;
	struct store_dossier out;
	void (*done)(const struct store_dossier *d, const struct fault *f, void *arg);
	void *arg;
};

static outcome run_one_device(struct dossier_op *d, struct conn *c, int64_t *id, bool *found, struct fault *f)
{
	static const char sql[] = "SELECT d.id, " LISTED_DEVICE " FROM devices d WHERE d.thing = ?";
	struct query q = query_start(c, sql);
	query_text(&q, d->thing);
	outcome o = query_row(&q, found, f);
	if (o.ok && *found) {
		*id = column_int(&q);
		read_device(&d->op, &q, &d->out.device);
	}
	query_end(&q);
	return o;
}

static outcome run_certificates(struct dossier_op *d, struct conn *c, int64_t id, struct fault *f)
{
	static const char sql[] =
		"SELECT " LISTED_CERTIFICATE "WHERE c.device_id = ? ORDER BY c.id DESC LIMIT 500";
	struct page page = page_new(&d->op, sizeof(struct store_certificate));
	struct query q = query_start(c, sql);
	query_int(&q, id);
	outcome o = page_fill(&page, &q, read_certificate, f);
	d->out.certificates = page.rows;
	d->out.certificate_count = page.count;
	return o;
}

static outcome run_history(struct dossier_op *d, struct conn *c, int64_t id, struct fault *f)
{
	static const char sql[] = "SELECT * FROM (SELECT " LOG_COLUMNS " FROM log WHERE device_id = ? "
				  "ORDER BY seq DESC LIMIT 500) ORDER BY seq";
	struct page page = page_new(&d->op, sizeof(struct log_entry));
	struct query q = query_start(c, sql);
	query_int(&q, id);
	outcome o = page_fill(&page, &q, log_read_row, f);
	d->out.history = page.rows;
	d->out.history_count = page.count;
	return o;
}

static outcome run_dossier(struct op *op, struct conn *c, struct fault *f)
{
	struct dossier_op *d = (struct dossier_op *)op;
	int64_t id = 0;
	bool found;
	outcome o = run_one_device(d, c, &id, &found, f);
	if (o.ok && !found)
		return op_refuse(op, REASON_NOT_FOUND,
				 "there is no thing of this name; mooringctl devices lists them");
	if (o.ok)
		o = origin_load_built(op, c, id, &d->out.built, f);
	if (o.ok)
		o = run_certificates(d, c, id, f);
	return o.ok ? run_history(d, c, id, f) : o;
}

static void answer_dossier(struct op *op, const struct fault *f)
{
	struct dossier_op *d = (struct dossier_op *)op;
	d->done(f ? NULL : &d->out, f, d->arg);
}

void store_device(struct store *s, const char *thing,
		  void (*done)(const struct store_dossier *d, const struct fault *f, void *arg), void *arg)
{
	struct dossier_op *d = op_new(s, sizeof *d, run_dossier, answer_dossier);
	d->thing = op_text(&d->op, thing);
	d->done = done;
	d->arg = arg;
	op_read(&d->op);
}
