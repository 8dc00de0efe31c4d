#include "register_admit.h"

#include "register_proofs.h"

#include <string.h>

static outcome append(struct factory_register *r, struct bytes object, struct fault *f)
{
	outcome o = register_log_append(&r->log, object, r->now, f);
	if (!o.ok)
		return o;
	struct register_item item = register_log_at(&r->log, (int64_t)r->log.count);
	return register_index_note(&r->index, &item, f);
}

/* ---- line records and work orders ---- */

static outcome check_record(const struct factory_register *r, struct bytes object, struct fault *f)
{
	struct line_record record, last;
	uint8_t line[KEY_ID_SIZE];
	outcome o = programme_line_record(&r->log.programme, object, &record, f);
	if (!o.ok)
		return o;
	provenance_key_id(record.key, line);
	int64_t index = register_index_line(&r->index, line);
	if (!index)
		return DONE;
	o = line_record_read(register_log_at(&r->log, index).object, &last, f);
	if (o.ok && last.version >= record.version)
		o = refuse(f, REASON_CONFLICT,
			   "version %lld of the line's record is in the register, this is %sversion %lld: "
			   "make the change again from the latest record, version %lld (line suspend, "
			   "resume, revoke "
			   "--record, or line certify --replaces)",
			   (long long)last.version, last.version == record.version ? "another " : "",
			   (long long)record.version, (long long)last.version);
	if (o.ok && last.state == LINE_REVOKED)
		o = refuse(f, REASON_LINE_REVOKED, "the line is revoked, and revoked is final");
	return o;
}

static outcome check_order(const struct factory_register *r, struct bytes object, struct fault *f)
{
	struct work_order order;
	outcome o = programme_work_order(&r->log.programme, object, &order, f);
	if (o.ok && register_index_order(&r->index, order.line, order.batch, order.stage))
		o = refuse(f, REASON_CONFLICT,
			   "there is another order for this line, stage %lld of batch %s: a further one "
			   "takes a further "
			   "batch",
			   (long long)order.stage, order.batch);
	return o;
}

/* ---- stage statements ---- */

struct admitted {
	struct stage_statement statement;
	struct line_record line;
	struct work_order order;
};

static outcome check_line(const struct factory_register *r, struct admitted *a, struct fault *f)
{
	const struct stage_statement *s = &a->statement;
	int64_t index = register_index_line(&r->index, s->object.key_id);
	if (!index)
		return refuse(f, REASON_LINE_UNKNOWN, "no record of its line is in the register");
	outcome o = line_record_read(register_log_at(&r->log, index).object, &a->line, f);
	if (!o.ok)
		return o;
	if (line_record_may_do(&a->line, s->stage))
		return provenance_verify(&s->object, a->line.key, f);
	return refuse(f, REASON_LINE_STAGE, "stage %lld is none that line %s may do", (long long)s->stage,
		      a->line.site);
}

/* A number names one statement, whatever the device. */
static outcome check_number(const struct factory_register *r, const struct stage_statement *s,
			    struct bytes object, struct fault *f)
{
	int64_t index = register_index_number(&r->index, s);
	struct stage_statement first;
	if (!index)
		return DONE;
	struct register_item item = register_log_at(&r->log, index);
	outcome o = stage_statement_read(item.object, &first, f);
	if (o.ok)
		o = register_proofs_keep(r->log.folder, s, item.object, object, f);
	if (!o.ok)
		return o;
	return refuse(f, REASON_EQUIVOCATION,
		      "number %lld of batch %s, stage %lld was signed for %s (entry %lld): both statements "
		      "are in proofs/",
		      (long long)s->seq, s->batch, (long long)s->stage,
		      memcmp(first.dev, s->dev, sizeof s->dev) ? "another device" : "this device before",
		      (long long)index);
}

static outcome check_quota(const struct factory_register *r, struct admitted *a, struct fault *f)
{
	const struct stage_statement *s = &a->statement;
	int64_t index = register_index_order(&r->index, s->object.key_id, s->batch, s->stage);
	if (!index)
		return refuse(f, REASON_ORDER_MISSING, "no order for this line, stage %lld of batch %s",
			      (long long)s->stage, s->batch);
	outcome o = work_order_read(register_log_at(&r->log, index).object, &a->order, f);
	if (o.ok && s->seq > a->order.quota)
		o = refuse(f, REASON_ORDER_QUOTA, "number %lld of an order for %lld", (long long)s->seq,
			   (long long)a->order.quota);
	return o;
}

static outcome check_first(const struct factory_register *r, const struct stage_statement *s, struct fault *f)
{
	uint8_t start[SHA256_SIZE];
	provenance_start(r->log.programme.id, s->dev, start);
	if (!s->has_rot_key || memcmp(start, s->previous, sizeof start) != 0)
		return refuse(f, REASON_ORDER_ROUTE,
			      "the order is for a first stage, and it does not begin a chain");
	return DONE;
}

static outcome check_previous(const struct factory_register *r, const struct admitted *a, enum admission *out,
			      struct fault *f)
{
	const struct stage_statement *s = &a->statement;
	struct stage_statement before;
	if (!a->order.previous_count)
		return check_first(r, s, f);
	int64_t index = register_index_object(&r->index, s->previous);
	if (!index) {
		*out = ADMISSION_LATER;
		return refuse(f, REASON_CHAIN_UNREGISTERED, "the statement before it is not in the register");
	}
	outcome o = stage_statement_read(register_log_at(&r->log, index).object, &before, f);
	if (!o.ok)
		return o;
	if (memcmp(before.dev, s->dev, sizeof s->dev) != 0 || before.stage >= s->stage || s->has_rot_key)
		return refuse(f, REASON_CHAIN_BROKEN,
			      "it does not follow the statement that it names (entry %lld)",
			      (long long)index);
	for (size_t i = 0; i < a->order.previous_count; i++)
		if (!memcmp(a->order.previous[i], before.object.key_id, KEY_ID_SIZE))
			return DONE;
	return refuse(f, REASON_ORDER_ROUTE,
		      "the stage before was done at a line that the order does not name");
}

static outcome check_time(const struct factory_register *r, const struct admitted *a, struct fault *f)
{
	int64_t now = r->now;
	if (a->line.state == LINE_REVOKED && now >= a->line.revoked_from)
		return refuse(f, REASON_LINE_REVOKED, "line %s is revoked", a->line.site);
	if (a->line.state == LINE_SUSPENDED)
		return refuse(f, REASON_LINE_SUSPENDED, "line %s is suspended", a->line.site);
	if (now < a->line.not_before || now > a->line.not_after)
		return refuse(f, REASON_LINE_TIME, "line %s is not valid now", a->line.site);
	if (now < a->order.not_before || now > a->order.not_after + a->order.register_within_s)
		return refuse(f, REASON_ORDER_TIME, "the order for stage %lld of batch %s is not valid now",
			      (long long)a->order.stage, a->order.batch);
	return DONE;
}

static outcome check_statement(const struct factory_register *r, struct bytes object, enum admission *out,
			       struct fault *f)
{
	struct admitted a = {0};
	outcome o = stage_statement_read(object, &a.statement, f);
	if (o.ok && memcmp(a.statement.programme, r->log.programme.id, PROGRAMME_ID_SIZE) != 0)
		o = refuse(f, REASON_CHAIN_PROGRAMME, "it is of another programme than %s",
			   r->log.programme.name);
	if (o.ok)
		o = check_line(r, &a, f);
	if (o.ok)
		o = check_number(r, &a.statement, object, f);
	if (o.ok)
		o = check_quota(r, &a, f);
	if (o.ok)
		o = check_previous(r, &a, out, f);
	return o.ok ? check_time(r, &a, f) : o;
}

outcome register_admit(struct factory_register *r, struct bytes object, enum admission *out, struct fault *f)
{
	uint8_t hash[SHA256_SIZE];
	outcome o;
	sha256(object, hash);
	if (register_index_object(&r->index, hash)) {
		*out = ADMISSION_THERE;
		return DONE;
	}
	*out = ADMISSION_NEW;
	switch (provenance_type_of(object)) {
	case PROVENANCE_LINE_RECORD:
		o = check_record(r, object, f);
		break;
	case PROVENANCE_WORK_ORDER:
		o = check_order(r, object, f);
		break;
	case PROVENANCE_STAGE_STATEMENT:
		o = check_statement(r, object, out, f);
		break;
	default:
		return refuse(f, REASON_CHAIN_MALFORMED,
			      "it is no line record, work order or stage statement");
	}
	return o.ok ? append(r, object, f) : o;
}
