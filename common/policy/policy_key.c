/* Condition keys, which are the variables too: their names, and the values that a connection gives them. */
#include "policy_certificate.h"
#include "policy_internal.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { CERTIFICATE_VALUES_MAX = 5, KEYS_MAX = 255 };

/* iot:Thing.ThingName is the spelling of some of AWS's own examples. */
static const struct {
	const char *name;
	enum policy_key_source source;
} names[] = {
	{"iot:ClientId", KEY_CLIENT_ID},
	{"aws:SourceIp", KEY_SOURCE_IP},
	{"iot:DomainName", KEY_DOMAIN_NAME},
	{"iot:CertificateId", KEY_CERTIFICATE_ID},
	{"iot:Certificate.AvailableKeys", KEY_CERTIFICATE_KEYS},
	{"iot:Connection.Thing.ThingName", KEY_THING_NAME},
	{"iot:Connection.Thing.ThingTypeName", KEY_THING_TYPE},
	{"iot:Connection.Thing.IsAttached", KEY_THING_ATTACHED},
	{"iot:ConnectAttributes", KEY_CONNECT_ATTRIBUTES},
	{"iot:LastWillTopic", KEY_LAST_WILL_TOPIC},
	{"aws:CurrentTime", KEY_CURRENT_TIME},
	{"aws:EpochTime", KEY_EPOCH_TIME},
	{"iot:Thing.ThingName", KEY_THING_NAME},
};
static const char attribute_begin[] = "iot:Connection.Thing.Attributes[";

/* ---- names ---- */

/* IAM: the names of keys are compared without regard to case. */
static bool same_name(struct bytes a, const char *b)
{
	return a.n == strlen(b) && !strncasecmp((const char *)a.p, b, a.n);
}

static bool find_attribute(struct policy_builder *b, struct bytes name, struct policy_key *out)
{
	size_t n = sizeof attribute_begin - 1;
	if (name.n < n + 2 || strncasecmp((const char *)name.p, attribute_begin, n) != 0 ||
	    name.p[name.n - 1] != ']')
		return false;
	struct bytes attribute = bytes_of(name.p + n, name.n - n - 1);
	*out = (struct policy_key){.source = KEY_THING_ATTRIBUTE,
				   .attribute_n = (uint16_t)attribute.n,
				   .attribute_at = (uint32_t)b->text.n};
	buf_bytes(&b->text, attribute);
	return true;
}

/* ".List", ".1": which of a field's values. The guide calls the number one-based and says that .1 is the
 * second: so the first is .0. */
static bool take_suffix(struct bytes *name, struct policy_key *out)
{
	const uint8_t *dot = memrchr(name->p, '.', name->n);
	struct bytes suffix = dot ? bytes_of(dot + 1, name->n - (size_t)(dot - name->p) - 1) : bytes_str("");
	out->list = same_name(suffix, "List");
	if (!out->list && (suffix.n != 1 || !isdigit(*suffix.p)))
		return false;
	out->index = out->list ? 0 : (uint8_t)(*suffix.p - '0');
	name->n -= suffix.n + 1;
	return true;
}

static bool find_field(struct bytes name, struct policy_key *out)
{
	*out = (struct policy_key){.source = KEY_CERTIFICATE_FIELD};
	for (int attempt = 0; attempt < 2; attempt++) {
		for (uint8_t i = 0; i < POLICY_CERTIFICATE_FIELDS; i++)
			if (same_name(name, policy_certificate_field(i))) {
				out->field = i;
				return true;
			}
		if (!take_suffix(&name, out))
			return false;
	}
	return false;
}

static bool find_name(struct bytes name, struct policy_key *out)
{
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (same_name(name, names[i].name)) {
			*out = (struct policy_key){.source = (uint8_t)names[i].source};
			out->list = names[i].source == KEY_CERTIFICATE_KEYS ||
				    names[i].source == KEY_CONNECT_ATTRIBUTES;
			return true;
		}
	return false;
}

static bool same_key(const struct policy_builder *b, const struct policy_key *x, const struct policy_key *y)
{
	return x->source == y->source && x->field == y->field && x->index == y->index && x->list == y->list &&
	       x->attribute_n == y->attribute_n &&
	       (x->attribute_n == 0 ||
		!memcmp(b->text.p + x->attribute_at, b->text.p + y->attribute_at, x->attribute_n));
}

outcome policy_key_compile(struct policy_builder *b, struct bytes name, const char *place, uint8_t *number,
			   struct fault *f)
{
	struct policy_key key;
	size_t count = b->keys.n / sizeof key;
	*number = 0;
	if (!find_name(name, &key) && !find_attribute(b, name, &key) && !find_field(name, &key))
		return policy_refuse(f, place,
				     "\"%.*s\" is no key of AWS IoT; docs/policy.md lists them, for instance "
				     "iot:Connection.Thing.ThingName",
				     (int)(name.n < 64 ? name.n : 64), name.p);
	outcome o = policy_builder_check(b, f);
	if (!o.ok)
		return o;
	const struct policy_key *known = (const struct policy_key *)(void *)b->keys.p;
	for (size_t i = 0; i < count; i++)
		if (same_key(b, &known[i], &key)) {
			*number = (uint8_t)i;
			b->text.n = key.attribute_n ? key.attribute_at : b->text.n;
			return DONE;
		}
	if (count == KEYS_MAX)
		return policy_refuse(f, place, "more than %d different keys; take some out", KEYS_MAX);
	*number = (uint8_t)count;
	buf_add(&b->keys, &key, sizeof key);
	return policy_builder_check(b, f);
}

void policy_key_name(const struct policy *p, const struct policy_key *k, char *out, size_t room)
{
	if (k->source == KEY_CERTIFICATE_FIELD) {
		int n = snprintf(out, room, "%s", policy_certificate_field(k->field));
		if (k->list)
			snprintf(out + n, room - (size_t)n, ".List");
		else if (k->index)
			snprintf(out + n, room - (size_t)n, ".%u", k->index);
		return;
	}
	if (k->source == KEY_THING_ATTRIBUTE) {
		snprintf(out, room, "%s%.*s]", attribute_begin, k->attribute_n,
			 p->texts.text + k->attribute_at);
		return;
	}
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (names[i].source == k->source) {
			snprintf(out, room, "%s", names[i].name);
			return;
		}
}

bool policy_key_is_of_question(const struct policy_key *k)
{
	return k->source >= KEY_CONNECT_ATTRIBUTES;
}

/* ---- values ---- */

static size_t add_text(struct policy_fact *out, size_t n, const char *text)
{
	if (!text || !*text || n == POLICY_FACTS_MAX)
		return n;
	out[n] = (struct policy_fact){.text = bytes_str(text)};
	return n + 1;
}

static bool is_associated(const struct policy_connection *c)
{
	const struct policy_thing *t = &c->thing;
	return t->name && t->attached && (t->exclusive || (c->client_id && !strcmp(c->client_id, t->name)));
}

static const char *attribute_value(const struct policy *p, const struct policy_key *k,
				   const struct policy_thing *t)
{
	struct bytes name = bytes_of(p->texts.text + k->attribute_at, k->attribute_n);
	for (size_t i = 0; i < t->attribute_count; i++)
		if (bytes_equal(name, bytes_str(t->attributes[i].name)))
			return t->attributes[i].value;
	return NULL;
}

/* AWS: five values of a field count, and none of more than 1024 characters. */
static size_t field_values(const struct policy_key *k, const struct policy_connection *c,
			   struct policy_fact *out)
{
	const char *field = policy_certificate_field(k->field) + sizeof POLICY_CERTIFICATE_PREFIX - 1;
	size_t n = 0, seen = 0;
	for (size_t i = 0; i < c->certificate_count && seen < CERTIFICATE_VALUES_MAX; i++) {
		if (strcmp(c->certificate[i].name, field) != 0)
			continue;
		bool wanted = k->list || seen == k->index;
		seen++;
		if (wanted && strlen(c->certificate[i].value) <= POLICY_CERTIFICATE_VALUE_MAX)
			n = add_text(out, n, c->certificate[i].value);
	}
	return n;
}

static size_t available_keys(const struct policy_connection *c, struct policy_fact *out)
{
	size_t n = 0;
	for (uint8_t i = 0; i < POLICY_CERTIFICATE_FIELDS; i++) {
		const struct policy_key any = {.source = KEY_CERTIFICATE_FIELD, .field = i, .list = true};
		struct policy_fact found[POLICY_FACTS_MAX];
		if (field_values(&any, c, found))
			n = add_text(out, n, policy_certificate_field(i));
	}
	return n;
}

size_t policy_key_of_connection(const struct policy *p, const struct policy_key *k,
				const struct policy_connection *c, struct policy_fact *out)
{
	const struct policy_thing *thing = is_associated(c) ? &c->thing : &(struct policy_thing){0};
	switch ((enum policy_key_source)k->source) {
	case KEY_CLIENT_ID:
		return add_text(out, 0, c->client_id);
	case KEY_SOURCE_IP:
		return add_text(out, 0, c->source_ip);
	case KEY_DOMAIN_NAME:
		return add_text(out, 0, c->domain_name);
	case KEY_CERTIFICATE_ID:
		return add_text(out, 0, c->certificate_id);
	case KEY_CERTIFICATE_FIELD:
		return field_values(k, c, out);
	case KEY_CERTIFICATE_KEYS:
		return available_keys(c, out);
	case KEY_THING_NAME:
		return add_text(out, 0, thing->name);
	case KEY_THING_TYPE:
		return add_text(out, 0, thing->type);
	case KEY_THING_ATTACHED:
		return add_text(out, 0, thing->name ? "true" : "false");
	case KEY_THING_ATTRIBUTE:
		return add_text(out, 0, attribute_value(p, k, thing));
	case KEY_CONNECT_ATTRIBUTES:
	case KEY_LAST_WILL_TOPIC:
	case KEY_CURRENT_TIME:
	case KEY_EPOCH_TIME:
		break;
	}
	return 0;
}

static size_t connect_attributes(const struct policy_connect *packet, struct policy_fact *out)
{
	size_t n = 0;
	if (packet && packet->persistent)
		n = add_text(out, n, "PersistentConnect");
	if (packet && packet->will_topic)
		n = add_text(out, n, "LastWill");
	return n;
}

size_t policy_key_of_question(const struct policy_key *k, const struct policy_question *q,
			      struct policy_fact *out)
{
	switch ((enum policy_key_source)k->source) {
	case KEY_CONNECT_ATTRIBUTES:
		return connect_attributes(q->packet, out);
	case KEY_LAST_WILL_TOPIC:
		return add_text(out, 0, q->packet ? q->packet->will_topic : NULL);
	case KEY_CURRENT_TIME:
	case KEY_EPOCH_TIME:
		out[0] = (struct policy_fact){.ms = q->now_s * 1000};
		return q->now_s > 0;
	default:
		return 0;
	}
}

struct bytes policy_key_substitute(const struct policy *p, const struct policy_key *k,
				   const struct policy_connection *c)
{
	struct policy_fact facts[POLICY_FACTS_MAX];
	struct bytes none = {NULL, 0};
	if (k->list || policy_key_is_of_question(k) || !policy_key_of_connection(p, k, c, facts))
		return none;
	struct bytes text = facts[0].text;
	for (size_t i = 0; k->source == KEY_CERTIFICATE_FIELD && i < text.n; i++)
		if (memchr("*$+?#", text.p[i], 5))
			return none;
	return text;
}
