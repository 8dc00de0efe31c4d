#include "store_internal.h"

#include <stdio.h>
#include <string.h>

/* Every query answers at most a page; rows are copied into the operation's arena. */
struct page {
	struct op *op;
	void *rows;
	size_t count, size;
};

static struct page page_new(struct op *op, size_t size)
{
	return (struct page){.op = op, .rows = op_alloc(op, STORE_PAGE_MAX * size), .size = size};
}

typedef void read_row(struct op *op, struct query *q, void *out);

static outcome fill(struct page *p, struct query *q, read_row *read, struct fault *f)
{
	bool row = true;
	outcome o = DONE;
	while (o.ok && row && p->count < STORE_PAGE_MAX) {
		o = query_row(q, &row, f);
		if (o.ok && row)
			read(p->op, q, (uint8_t *)p->rows + p->size * p->count++);
	}
	query_end(q);
	return o;
}

static size_t page_limit(size_t asked)
{
	return asked == 0 || asked > STORE_PAGE_MAX ? STORE_PAGE_MAX : asked;
}

/* ---- devices ---- */

#define LISTED_DEVICE                                                                                    \
	"d.instance_id, coalesce(d.thing, ''), d.generation, d.revoked, d.on_hold, d.quarantined, d.withdrawn, " \
	"d.granted, d.first_seen_ms, "                                                                    \
	"(SELECT count(*) FROM certificates c WHERE c.device_id = d.id AND c.state < 2 AND c.not_after > unixepoch())"

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

static const char sql_devices[] = "SELECT " LISTED_DEVICE " FROM devices d WHERE d.thing > ? ORDER BY d.thing LIMIT ?";
static const char sql_active[] =
	"SELECT " LISTED_DEVICE " FROM devices d WHERE d.thing > ? AND d.revoked = 0 AND "
	"d.on_hold + d.quarantined + d.withdrawn = 0 ORDER BY d.thing LIMIT ?";
static const char sql_suspended[] =
	"SELECT " LISTED_DEVICE " FROM devices d WHERE d.thing > ? AND d.revoked = 0 AND "
	"d.on_hold + d.quarantined + d.withdrawn > 0 ORDER BY d.thing LIMIT ?";
static const char sql_revoked[] =
	"SELECT " LISTED_DEVICE " FROM devices d WHERE d.thing > ? AND d.revoked = 1 ORDER BY d.thing LIMIT ?";

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
	return fill(&d->page, &q, read_device, f);
}

static void answer_devices(struct op *op, const struct fault *f)
{
	struct devices_op *d = (struct devices_op *)op;
	d->done(f ? NULL : d->page.rows, f ? 0 : d->page.count, f, d->arg);
}

void store_devices(struct store *s, const struct store_device_query *query,
		   void (*done)(const struct store_device *devices, size_t count, const struct fault *f, void *arg),
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

/* ---- certificates ---- */

#define LISTED_CERTIFICATE                                                                                    \
	"c.fingerprint, c.serial, c.state, c.revocation_reason, c.not_before, c.not_after, c.issued_at_ms, "   \
	"c.revoked_at_ms, c.generation, c.spki_sha256, d.instance_id, d.thing, v.evidence, v.assurance, v.ear, " \
	"c.request_id, c.outgoing AND c.state < 2, c.der FROM certificates c JOIN devices d ON d.id = c.device_id "      \
	"JOIN verdicts v ON v.id = c.verdict_id "

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
		       void (*done)(const struct store_certificate *c, const struct fault *f, void *arg), void *arg)
{
	struct certificate_op *x = op_new(s, sizeof *x, run_certificate, answer_certificate);
	memcpy(x->fingerprint, fingerprint, FINGERPRINT_SIZE);
	x->done = done;
	x->arg = arg;
	op_read(&x->op);
}

/* ---- everything about one device ---- */

static void read_entry(struct op *op, struct query *q, void *into)
{
	log_read_entry(op, q, into);
}

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
	static const char sql[] = "SELECT " LISTED_CERTIFICATE "WHERE c.device_id = ? ORDER BY c.id DESC LIMIT 500";
	struct page page = page_new(&d->op, sizeof(struct store_certificate));
	struct query q = query_start(c, sql);
	query_int(&q, id);
	outcome o = fill(&page, &q, read_certificate, f);
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
	outcome o = fill(&page, &q, read_entry, f);
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
		return op_refuse(op, REASON_NOT_FOUND, "there is no thing of this name");
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

/* ---- the log ---- */

struct log_op {
	struct op op;
	struct store_log_query query;
	struct page page;
	void (*done)(const struct log_entry *entries, size_t count, const struct fault *f, void *arg);
	void *arg;
};

static const char sql_log[] = "SELECT " LOG_COLUMNS " FROM log WHERE seq > ? ORDER BY seq LIMIT ?";
static const char sql_alarms[] = "SELECT " LOG_COLUMNS " FROM log WHERE seq > ? AND kind = 'alarm' ORDER BY seq LIMIT ?";
static const char sql_request[] = "SELECT " LOG_COLUMNS " FROM log WHERE request_id <> '' AND seq > ? AND request_id = ?3 "
				  "ORDER BY seq LIMIT ?2";

static outcome run_log(struct op *op, struct conn *c, struct fault *f)
{
	struct log_op *l = (struct log_op *)op;
	bool by_request = l->query.request_id != NULL;
	struct query q = query_start(c, by_request ? sql_request : l->query.alarms ? sql_alarms : sql_log);
	query_int(&q, l->query.after);
	query_int(&q, (int64_t)l->query.limit);
	if (by_request)
		query_text(&q, l->query.request_id);
	l->page = page_new(op, sizeof(struct log_entry));
	return fill(&l->page, &q, read_entry, f);
}

static void answer_log(struct op *op, const struct fault *f)
{
	struct log_op *l = (struct log_op *)op;
	l->done(f ? NULL : l->page.rows, f ? 0 : l->page.count, f, l->arg);
}

void store_log(struct store *s, const struct store_log_query *query,
	       void (*done)(const struct log_entry *entries, size_t count, const struct fault *f, void *arg), void *arg)
{
	struct log_op *l = op_new(s, sizeof *l, run_log, answer_log);
	l->query = *query;
	l->query.limit = page_limit(query->limit);
	l->query.request_id = query->request_id ? op_text(&l->op, query->request_id) : NULL;
	l->done = done;
	l->arg = arg;
	op_read(&l->op);
}

/* ---- brokers ---- */

struct brokers_op {
	struct op op;
	struct page page;
	void (*done)(const char *const *names, size_t count, const struct fault *f, void *arg);
	void *arg;
};

static void read_name(struct op *op, struct query *q, void *into)
{
	*(const char **)into = op_text(op, column_text(q));
}

static outcome run_brokers(struct op *op, struct conn *c, struct fault *f)
{
	static const char sql[] = "SELECT name FROM brokers ORDER BY name LIMIT 500";
	struct brokers_op *b = (struct brokers_op *)op;
	struct query q = query_start(c, sql);
	b->page = page_new(op, sizeof(const char *));
	return fill(&b->page, &q, read_name, f);
}

static void answer_brokers(struct op *op, const struct fault *f)
{
	struct brokers_op *b = (struct brokers_op *)op;
	b->done(f ? NULL : b->page.rows, f ? 0 : b->page.count, f, b->arg);
}

void store_brokers(struct store *s, void (*done)(const char *const *names, size_t count, const struct fault *f, void *arg),
		   void *arg)
{
	struct brokers_op *b = op_new(s, sizeof *b, run_brokers, answer_brokers);
	b->done = done;
	b->arg = arg;
	op_read(&b->op);
}

/* ---- services ---- */

struct services_op {
	struct op op;
	struct page page;
	void (*done)(const struct store_service_row *services, size_t count, const struct fault *f, void *arg);
	void *arg;
};

static void read_service(struct op *op, struct query *q, void *into)
{
	struct store_service_row *out = into;
	out->name = op_text(op, column_text(q));
	column_copy(q, out->fingerprint, FINGERPRINT_SIZE);
	out->not_before = column_int(q);
	out->not_after = column_int(q);
	out->policy = op_text(op, column_text(q));
}

static outcome run_services(struct op *op, struct conn *c, struct fault *f)
{
	static const char sql[] = "SELECT s.name, s.fingerprint, s.not_before, s.not_after, p.document FROM services s "
				  "LEFT JOIN policies p ON p.name = 'service/' || s.name WHERE s.state = 0 "
				  "ORDER BY s.name, s.fingerprint LIMIT 500";
	struct services_op *x = (struct services_op *)op;
	struct query q = query_start(c, sql);
	x->page = page_new(op, sizeof(struct store_service_row));
	return fill(&x->page, &q, read_service, f);
}

static void answer_services(struct op *op, const struct fault *f)
{
	struct services_op *x = (struct services_op *)op;
	x->done(f ? NULL : x->page.rows, f ? 0 : x->page.count, f, x->arg);
}

void store_services(struct store *s,
		    void (*done)(const struct store_service_row *services, size_t count, const struct fault *f, void *arg),
		    void *arg)
{
	struct services_op *x = op_new(s, sizeof *x, run_services, answer_services);
	x->done = done;
	x->arg = arg;
	op_read(&x->op);
}
