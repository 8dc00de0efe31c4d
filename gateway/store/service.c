#include "store_internal.h"

#include "common/policy/policy.h"

#include <stdio.h>
#include <string.h>

enum { SERVICE_NAME_MAX = 128 };

static struct log_new entry(const struct change_op *c, const char *kind, const char *thing)
{
	return (struct log_new){.kind = kind,
				.actor = c->actor,
				.request_id = c->request_id,
				.thing = thing,
				.reason = c->reason};
}

struct service_op {
	struct change_op change;
	const char *document;
	struct bytes der;
	uint8_t fingerprint[FINGERPRINT_SIZE];
	int64_t not_before, not_after;
};

static outcome check_owner(struct service_op *s, struct conn *c, bool *taken, struct fault *f)
{
	static const char sql[] = "SELECT 1 FROM services WHERE fingerprint = ? AND name <> ? AND state = 0";
	struct query q = query_start(c, sql);
	query_blob(&q, s->fingerprint, FINGERPRINT_SIZE);
	query_text(&q, s->change.name);
	outcome o = query_row(&q, taken, f);
	query_end(&q);
	return o;
}

static outcome write_service(struct service_op *s, struct conn *c, struct fault *f)
{
	static const char sql[] = "INSERT INTO services VALUES (?, ?, 0, ?, ?, ?) "
				  "ON CONFLICT DO UPDATE SET name = excluded.name, state = 0";
	struct query q = query_start(c, sql);
	query_blob(&q, s->fingerprint, FINGERPRINT_SIZE);
	query_text(&q, s->change.name);
	query_int(&q, s->not_before);
	query_int(&q, s->not_after);
	query_blob(&q, s->der.p, s->der.n);
	return query_run(&q, f);
}

static outcome run_service_add(struct op *op, struct conn *c, struct fault *f)
{
	struct service_op *s = (struct service_op *)op;
	struct writer *w = &op->store->writer;
	char policy[STORE_NAME_SIZE];
	bool taken;
	outcome o = check_owner(s, c, &taken, f);
	if (!o.ok)
		return o;
	if (taken)
		return op_refuse(op, REASON_CONFLICT, "the certificate is registered for another service");
	snprintf(policy, sizeof policy, "service/%s", s->change.name);
	o = policy_put(&s->change, policy, s->document, POLICY_GIVEN, f);
	struct log_new e = entry(&s->change, "service-added", s->change.name);
	e.fingerprint = s->fingerprint;
	if (o.ok)
		o = write_service(s, c, f);
	if (o.ok)
		o = log_append(w, &e, f);
	op->seq = w->head.seq;
	s->change.count = 1;
	return o.ok ? feed_note(w, s->fingerprint, f) : o;
}

/* The characters of an AWS thing name, and the dot. */
static bool is_service_name(const char *name)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:._-";
	size_t n = strlen(name);
	return n >= 1 && n <= SERVICE_NAME_MAX && strspn(name, allowed) == n;
}

static outcome take_certificate(struct service_op *s, struct bytes der)
{
	X509 *cert = cert_from_der(der);
	if (!cert)
		return op_refuse(&s->change.op, REASON_BAD_FIELD, "RFC 5280 4.1: this is no certificate");
	cert_dates(cert, &s->not_before, &s->not_after);
	X509_free(cert);
	s->der = op_bytes(&s->change.op, der);
	cert_fingerprint(der, s->fingerprint);
	return DONE;
}

void store_service_add(struct store *s, const struct store_caller *who, const struct store_service *service,
		       store_changed_done *done, void *arg)
{
	struct service_op *x = (struct service_op *)change_new(s, sizeof *x, who, service->name, "",
							       run_service_add, done, arg);
	struct op *op = &x->change.op;
	x->document = op_text(op, service->policy);
	if (!is_service_name(service->name))
		op_refuse(op, REASON_BAD_FIELD,
			  "a service's name has 1 to %d characters of a-z A-Z 0-9 : . _ -", SERVICE_NAME_MAX);
	else if (strlen(x->document) > POLICY_BYTES_MAX)
		op_refuse(op, REASON_POLICY_SYNTAX, "a policy document of more than %d bytes",
			  POLICY_BYTES_MAX);
	else if (take_certificate(x, service->certificate).ok && !op->refused) {
		op_write(op);
		return;
	}
	op_finish(op);
}

static outcome next_service(struct conn *c, const char *name, uint8_t fingerprint[FINGERPRINT_SIZE],
			    bool *found, struct fault *f)
{
	static const char sql[] = "SELECT fingerprint FROM services WHERE name = ? AND state = 0 LIMIT 1";
	struct query q = query_start(c, sql);
	query_text(&q, name);
	outcome o = query_row(&q, found, f);
	if (o.ok && *found)
		column_copy(&q, fingerprint, FINGERPRINT_SIZE);
	query_end(&q);
	return o;
}

static outcome remove_service(struct service_op *s, struct conn *c, struct fault *f)
{
	static const char sql[] = "UPDATE services SET state = 4 WHERE fingerprint = ?";
	struct writer *w = &s->change.op.store->writer;
	struct query q = query_start(c, sql);
	query_blob(&q, s->fingerprint, FINGERPRINT_SIZE);
	struct log_new e = entry(&s->change, "service-removed", s->change.name);
	e.fingerprint = s->fingerprint;
	outcome o = query_run(&q, f);
	if (o.ok)
		o = log_append(w, &e, f);
	s->change.count++;
	s->change.op.seq = w->head.seq;
	return o.ok ? feed_note(w, s->fingerprint, f) : o;
}

static outcome delete_policy(struct conn *c, const char *name, struct fault *f)
{
	static const char sql[] = "DELETE FROM policies WHERE name = 'service/' || ?";
	struct query q = query_start(c, sql);
	query_text(&q, name);
	return query_run(&q, f);
}

static outcome run_service_remove(struct op *op, struct conn *c, struct fault *f)
{
	struct service_op *s = (struct service_op *)op;
	bool found = true;
	outcome o = DONE;
	s->change.count = 0;
	while (o.ok && found) {
		o = next_service(c, s->change.name, s->fingerprint, &found, f);
		if (o.ok && found)
			o = remove_service(s, c, f);
	}
	if (o.ok && s->change.count == 0)
		return op_refuse(op, REASON_NOT_FOUND,
				 "there is no service of this name; mooringctl service list shows them");
	return o.ok ? delete_policy(c, s->change.name, f) : o;
}

void store_service_remove(struct store *s, const struct store_caller *who, const char *name,
			  store_changed_done *done, void *arg)
{
	op_write(&change_new(s, sizeof(struct service_op), who, name, "", run_service_remove, done, arg)->op);
}
