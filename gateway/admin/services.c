#include "admin_internal.h"

#include "common/clock.h"
#include "common/policy/policy.h"

#include <openssl/objects.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- adding ---- */

/* What a request to register a service holds, checked. */
struct wanted {
	const char *name; /* in the body */
	struct buf der;
	char *policy;
};

static outcome take_certificate(const struct gateway *g, const json_t *pem, struct wanted *out,
				struct fault *f)
{
	struct fault why;
	X509 *cert = json_is_string(pem)
			     ? cert_from_pem(bytes_of(json_string_value(pem), json_string_length(pem)))
			     : NULL;
	outcome o = DONE;
	if (!cert)
		return refuse(f, REASON_BAD_FIELD, "certificatePem: one certificate as PEM is required");
	if (!cert_verify_any(cert, &g->keys.service, clock_wall_s(), NID_client_auth, &why).ok)
		o = refuse(f, REASON_BAD_FIELD, "certificatePem: %s", why.text);
	else if (!cert_to_der(cert, &out->der))
		o = refuse(f, REASON_NO_MEMORY, "no memory for a certificate");
	X509_free(cert);
	return o;
}

static outcome take_policy(const json_t *document, struct wanted *out, struct fault *f)
{
	struct policy *compiled = NULL;
	if (!json_is_object(document))
		return refuse(f, REASON_BAD_FIELD, "policy: a policy document is required");
	out->policy = json_dumps(document, JSON_COMPACT);
	if (!out->policy)
		return refuse(f, REASON_NO_MEMORY, "no memory for a policy");
	outcome o = policy_compile(bytes_str(out->policy), &compiled, f);
	if (o.ok)
		policy_free(compiled);
	return o;
}

static outcome take_wanted(struct admin_request *a, const json_t *body, struct wanted *out, struct fault *f)
{
	const json_t *name = json_object_get(body, "name");
	if (!json_is_string(name))
		return refuse(f, REASON_BAD_FIELD, "name: a text is required");
	out->name = json_string_value(name);
	outcome o = admin_take_common(a, body, false, f);
	if (o.ok)
		o = take_certificate(a->gateway, json_object_get(body, "certificatePem"), out, f);
	return o.ok ? take_policy(json_object_get(body, "policy"), out, f) : o;
}

static void add_service(struct admin_request *a, const struct wanted *w)
{
	uint8_t fingerprint[FINGERPRINT_SIZE];
	struct store_service service = {
		.name = w->name, .certificate = buf_view(&w->der), .policy = w->policy};
	cert_fingerprint(service.certificate, fingerprint);
	hex_encode(bytes_of(fingerprint, sizeof fingerprint), a->certificate_id);
	store_service_add(a->gateway->store, &a->who, &service, admin_changed, a);
}

void admin_service_add(struct admin_request *a)
{
	static const char *const members[] = {"name", "certificatePem", "policy", "wait_ms", NULL};
	struct wanted w = {0};
	struct fault f;
	json_t *body;
	outcome o = admin_body(a, members, &body, &f);
	if (o.ok)
		o = take_wanted(a, body, &w, &f);
	if (o.ok)
		add_service(a, &w);
	else
		admin_refuse(a, &f);
	buf_free(&w.der);
	free(w.policy);
	json_decref(body);
}

/* ---- removing ---- */

void admin_service_remove(struct admin_request *a)
{
	if (admin_take_wait(a))
		store_service_remove(a->gateway->store, &a->who, a->name, admin_changed, a);
}

/* ---- listing ---- */

static json_t *service_json(const struct store_service_row *s)
{
	return json_pack("{s:s, s:o, s:I, s:I, s:s}", "name", s->name, "certificateId",
			 admin_json_hex(s->fingerprint, FINGERPRINT_SIZE), "not_before",
			 (json_int_t)s->not_before, "not_after", (json_int_t)s->not_after, "policy",
			 s->policy);
}

static void on_services(const struct store_service_row *services, size_t count, const struct fault *f,
			void *arg)
{
	struct admin_request *a = arg;
	json_t *list = json_array();
	bool failed = !list;
	if (f) {
		json_decref(list);
		admin_refuse(a, f);
		return;
	}
	for (size_t i = 0; !failed && i < count; i++)
		failed = json_array_append_new(list, service_json(&services[i])) != 0;
	if (failed) {
		json_decref(list);
		list = NULL;
	}
	admin_answer(a, list ? json_pack("{s:o}", "services", list) : NULL);
}

void admin_service_list(struct admin_request *a)
{
	store_services(a->gateway->store, on_services, a);
}
