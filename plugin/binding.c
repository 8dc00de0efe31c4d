#include "plugin/binding.h"

#include "plugin/broker.h"

outcome binding_make(struct fields *fields, const struct connection *of,
		     const struct table_standing *standing, struct policy_binding **out, struct fault *f)
{
	bool has_thing = !(standing->flags & FEED_SERVICE);
	struct policy_attribute attributes[FEED_ATTRIBUTES_MAX];
	const char *type;
	size_t attribute_count = table_thing(standing, &type, attributes);
	const struct policy_certificate *certificate =
		policy_names_certificate(standing->policy) ? fields_of(fields, of->fingerprint, of->client)
							   : NULL;
	const struct policy_connection c = {
		.client_id = of->client_id,
		.certificate_id = of->username,
		.source_ip = mosquitto_client_address(of->client),
		.thing = {.name = has_thing ? standing->name : NULL,
			  .type = type,
			  .attributes = attributes,
			  .attribute_count = attribute_count,
			  .attached = has_thing && !(standing->flags & FEED_DETACHED),
			  .exclusive = true},
		.certificate = certificate ? certificate->fields : NULL,
		.certificate_count = certificate ? certificate->count : 0,
	};
	return policy_bind(&standing->policy, 1, &c, out, f);
}

static bool is_current(const struct session *s, const struct table_standing *standing)
{
	return s->binding && s->bound_word == standing->word &&
	       policy_binding_is_of(s->binding, &standing->policy, 1);
}

const struct policy_binding *binding_of(struct fields *fields, struct session *s,
					const struct table_standing *standing)
{
	const struct connection of = {s->client, s->fingerprint, s->username, s->client_id};
	struct policy_binding *made;
	struct fault f;
	if (!standing->policy)
		return NULL;
	if (is_current(s, standing))
		return s->binding;
	if (!binding_make(fields, &of, standing, &made, &f).ok)
		return NULL;
	policy_binding_free(s->binding);
	s->binding = made;
	s->bound_word = standing->word;
	return made;
}
