#include "plugin/binding.h"

#include "common/policy_certificate.h"
#include "plugin/broker.h"

#include <openssl/err.h>
#include <openssl/x509.h>

/* No certificate, no fields. An error left in the queue would make the broker drop another client. */
static outcome read_fields(const struct mosquitto *client, struct policy_certificate *out, struct fault *f)
{
	ERR_set_mark();
	X509 *cert = mosquitto_client_certificate(client);
	outcome o = cert ? policy_certificate_read(cert, out, f) : DONE;
	X509_free(cert);
	ERR_pop_to_mark();
	return o;
}

outcome binding_make(const struct mosquitto *client, const char *client_id, const char *username,
		     const struct table_standing *standing, struct policy_binding **out, struct fault *f)
{
	struct policy_certificate fields = {0};
	bool has_thing = !(standing->flags & FEED_SERVICE);
	outcome o = policy_names_certificate(standing->policy) ? read_fields(client, &fields, f) : DONE;
	if (!o.ok)
		return o;
	const struct policy_connection c = {
		.client_id = client_id,
		.certificate_id = username,
		.source_ip = mosquitto_client_address(client),
		.thing = {.name = has_thing ? standing->name : NULL,
			  .attached = has_thing,
			  .exclusive = true},
		.certificate = fields.fields,
		.certificate_count = fields.count,
	};
	o = policy_bind(&standing->policy, 1, &c, out, f);
	policy_certificate_free(&fields);
	return o;
}

static bool is_current(const struct session *s, const struct table_standing *standing)
{
	return s->binding && s->bound_word == standing->word &&
	       policy_binding_is_of(s->binding, &standing->policy, 1);
}

const struct policy_binding *binding_of(struct session *s, const struct table_standing *standing)
{
	struct policy_binding *made;
	struct fault f;
	if (!standing->policy)
		return NULL;
	if (is_current(s, standing))
		return s->binding;
	if (!binding_make(s->client, s->client_id, s->username, standing, &made, &f).ok)
		return NULL;
	policy_binding_free(s->binding);
	s->binding = made;
	s->bound_word = standing->word;
	return made;
}
