#include "store_internal.h"

/* ---- the log ---- */

struct log_op {
	struct op op;
	struct store_log_query query;
	struct page page;
	void (*done)(const struct log_entry *entries, size_t count, const struct fault *f, void *arg);
	void *arg;
};

static const char sql_log[] = "SELECT " LOG_COLUMNS " FROM log WHERE seq > ? ORDER BY seq LIMIT ?";
/* Numbers have no gaps. */
static const char sql_last[] =
	"SELECT " LOG_COLUMNS " FROM log WHERE seq > max(?, (SELECT max(seq) FROM log) - ?3) "
	"ORDER BY seq LIMIT ?2";
static const char sql_request[] =
	"SELECT " LOG_COLUMNS " FROM log WHERE request_id <> '' AND seq > ? AND request_id = ?3 "
	"ORDER BY seq LIMIT ?2";

static const char *log_sql(const struct store_log_query *q)
{
	return q->request_id ? sql_request : q->last ? sql_last : sql_log;
}

static outcome run_log(struct op *op, struct conn *c, struct fault *f)
{
	struct log_op *l = (struct log_op *)op;
	struct query q = query_start(c, log_sql(&l->query));
	query_int(&q, l->query.after);
	query_int(&q, (int64_t)l->query.limit);
	if (l->query.request_id)
		query_text(&q, l->query.request_id);
	else if (l->query.last)
		query_int(&q, l->query.last);
	l->page = page_new(op, sizeof(struct log_entry));
	return page_fill(&l->page, &q, log_read_row, f);
}

static void answer_log(struct op *op, const struct fault *f)
{
	struct log_op *l = (struct log_op *)op;
	l->done(f ? NULL : l->page.rows, f ? 0 : l->page.count, f, l->arg);
}

void store_log(struct store *s, const struct store_log_query *query,
	       void (*done)(const struct log_entry *entries, size_t count, const struct fault *f, void *arg),
	       void *arg)
{
	struct log_op *l = op_new(s, sizeof *l, run_log, answer_log);
	l->query = *query;
	l->query.limit = page_limit(query->limit);
	l->query.request_id = query->request_id ? op_text(&l->op, query->request_id) : NULL;
	l->done = done;
	l->arg = arg;
	op_read(&l->op);
}

/* ---- alarms ---- */

struct alarms_op {
	struct op op;
	struct store_alarm_query query;
	struct page page;
	void (*done)(const struct store_alarm *alarms, size_t count, const struct fault *f, void *arg);
	void *arg;
};

static void read_alarm(struct op *op, struct query *q, void *into)
{
	struct store_alarm *out = into;
	struct store_device device = {0};
	log_read_row(op, q, &out->entry);
	bool known = column_int(q);
	device.revoked = column_int(q);
	device.on_hold = column_int(q);
	out->device_state = known ? store_device_state(&device) : "";
}

static outcome run_alarms(struct op *op, struct conn *c, struct fault *f)
{
	static const char sql[] =
		"SELECT " LOG_COLUMNS
		", device IS NOT NULL, revoked, suspended FROM log LEFT JOIN (SELECT instance_id AS device, "
		"revoked, on_hold + quarantined + withdrawn AS suspended FROM devices) ON device = instance_id "
		"WHERE seq > ?1 AND kind = 'alarm' AND (?3 = '' OR reason = ?3) AND time_ms >= ?4 "
		"ORDER BY seq LIMIT ?2";
	struct alarms_op *x = (struct alarms_op *)op;
	struct query q = query_start(c, sql);
	query_int(&q, x->query.after);
	query_int(&q, (int64_t)x->query.limit);
	query_text(&q, x->query.reason);
	query_int(&q, x->query.since_ms);
	x->page = page_new(op, sizeof(struct store_alarm));
	return page_fill(&x->page, &q, read_alarm, f);
}

static void answer_alarms(struct op *op, const struct fault *f)
{
	struct alarms_op *x = (struct alarms_op *)op;
	x->done(f ? NULL : x->page.rows, f ? 0 : x->page.count, f, x->arg);
}

void store_alarms(struct store *s, const struct store_alarm_query *query,
		  void (*done)(const struct store_alarm *alarms, size_t count, const struct fault *f,
			       void *arg),
		  void *arg)
{
	struct alarms_op *x = op_new(s, sizeof *x, run_alarms, answer_alarms);
	x->query = *query;
	x->query.limit = page_limit(query->limit);
	x->query.reason = op_text(&x->op, query->reason);
	x->done = done;
	x->arg = arg;
	op_read(&x->op);
}

/* ---- services ---- */

struct services_op {
	struct op op;
	struct page page;
	void (*done)(const struct store_service_row *services, size_t count, const struct fault *f,
		     void *arg);
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
	static const char sql[] =
		"SELECT s.name, s.fingerprint, s.not_before, s.not_after, p.document FROM services s "
		"LEFT JOIN policies p ON p.name = 'service/' || s.name WHERE s.state = 0 "
		"ORDER BY s.name, s.fingerprint LIMIT 500";
	struct services_op *x = (struct services_op *)op;
	struct query q = query_start(c, sql);
	x->page = page_new(op, sizeof(struct store_service_row));
	return page_fill(&x->page, &q, read_service, f);
}

static void answer_services(struct op *op, const struct fault *f)
{
	struct services_op *x = (struct services_op *)op;
	x->done(f ? NULL : x->page.rows, f ? 0 : x->page.count, f, x->arg);
}

void store_services(struct store *s,
		    void (*done)(const struct store_service_row *services, size_t count,
				 const struct fault *f, void *arg),
		    void *arg)
{
	struct services_op *x = op_new(s, sizeof *x, run_services, answer_services);
	x->done = done;
	x->arg = arg;
	op_read(&x->op);
}
