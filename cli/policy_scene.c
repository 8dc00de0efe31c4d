#include "policy_scene.h"

#include "input.h"
#include "common/clock.h"
#include "common/crypto/cert.h"
#include "common/policy/policy_explain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* What a policy's ARN is made of, for the answers. */
static const struct {
	const char *name, *type;
} actions[POLICY_ACTIONS] = {
	[POLICY_CONNECT] = {"iot:Connect", "client/"},
	[POLICY_PUBLISH] = {"iot:Publish", "topic/"},
	[POLICY_RETAIN_PUBLISH] = {"iot:RetainPublish", "topic/"},
	[POLICY_SUBSCRIBE] = {"iot:Subscribe", "topicfilter/"},
	[POLICY_RECEIVE] = {"iot:Receive", "topic/"},
};

const char *scene_decision_name(enum policy_decision d)
{
	static const char *const names[] = {[POLICY_IMPLICIT_DENY] = "IMPLICIT_DENY",
					    [POLICY_ALLOWED] = "ALLOWED",
					    [POLICY_EXPLICIT_DENY] = "EXPLICIT_DENY"};
	return names[d];
}

const char *scene_action_name(enum policy_action a)
{
	return actions[a].name;
}

const char *scene_resource_type(enum policy_action a)
{
	return actions[a].type;
}

const char *scene_sid(const struct scene *s, size_t policy, size_t statement)
{
	const json_t *list = json_object_get(s->files[policy].document, "Statement");
	const json_t *one = json_is_array(list) ? json_array_get(list, statement) : list;
	const char *sid = json_string_value(json_object_get(one, "Sid"));
	return sid ? sid : "";
}

/* ---- policies ---- */

static outcome read_policy(struct scene *s, const char *path, struct fault *f)
{
	struct buf text = {0};
	struct policy *p = NULL;
	struct fault why;
	if (s->policy_count == POLICIES_MAX)
		return refuse(f, REASON_BAD_FIELD, "--policy is given more than %d times", POLICIES_MAX);
	outcome o = input_read_text(path, SCENE_FILE_MAX, &text, f);
	if (!o.ok)
		return o;
	o = policy_compile(buf_view(&text), &p, &why);
	if (o.ok) {
		s->files[s->policy_count] =
			(struct scene_policy){path, json_loadb((char *)text.p, text.n, 0, NULL)};
		s->policies[s->policy_count++] = p;
	} else {
		refuse(f, why.reason, "%s: %s", input_name(path), why.text);
	}
	buf_free(&text);
	return o;
}

static outcome read_policies(const struct arguments *a, struct scene *s, struct fault *f)
{
	size_t at = 0;
	outcome o = DONE;
	for (const char *path; o.ok && (path = argument_next(a, "policy", &at));)
		o = read_policy(s, path, f);
	if (o.ok && s->policy_count == 0)
		return refuse(f, REASON_BAD_FIELD, "--policy FILE is needed: the document to ask");
	return o;
}

/* ---- the connection ---- */

static outcome read_attributes(const struct arguments *a, struct scene *s, struct fault *f)
{
	size_t at = 0, n = 0;
	for (const char *text; (text = argument_next(a, "attribute", &at)); n++) {
		const char *equals = strchr(text, '=');
		if (!equals || equals == text)
			return refuse(f, REASON_BAD_FIELD, "--attribute is NAME=VALUE, not \"%.40s\"", text);
		s->names[n] = strndup(text, (size_t)(equals - text));
		if (!s->names[n])
			return refuse(f, REASON_NO_MEMORY, "no memory for an attribute");
		s->attributes[n] = (struct policy_attribute){s->names[n], equals + 1};
	}
	s->connection.thing.attributes = s->attributes;
	s->connection.thing.attribute_count = n;
	if ((n || argument(a, "thing-type")) && !argument(a, "thing"))
		return refuse(f, REASON_BAD_FIELD,
			      "--thing NAME is needed: whose type and attributes these are");
	return DONE;
}

static outcome read_certificate(const char *path, struct scene *s, struct fault *f)
{
	X509 *cert = NULL;
	struct buf der = {0};
	uint8_t fingerprint[FINGERPRINT_SIZE];
	if (!path)
		return DONE;
	outcome o = cert_load_pem(path, &cert, f);
	if (o.ok && !cert_to_der(cert, &der))
		o = refuse(f, REASON_NO_MEMORY, "no memory for a certificate");
	if (o.ok)
		o = policy_certificate_read(cert, &s->certificate, f);
	if (o.ok) {
		cert_fingerprint(buf_view(&der), fingerprint);
		hex_encode(bytes_of(fingerprint, sizeof fingerprint), s->certificate_id);
		s->connection.certificate_id = s->certificate_id;
		s->connection.certificate = s->certificate.fields;
		s->connection.certificate_count = s->certificate.count;
	}
	buf_free(&der);
	X509_free(cert);
	return o;
}

static outcome read_connection(const struct arguments *a, struct scene *s, struct fault *f)
{
	const char *thing = argument(a, "thing");
	s->connection = (struct policy_connection){
		.client_id = argument(a, "client-id"),
		.source_ip = argument(a, "source-ip"),
		.domain_name = argument(a, "domain-name"),
		.thing = {.name = thing,
			  .type = argument(a, "thing-type"),
			  .attached = thing != NULL,
			  .exclusive = !argument_flag(a, "non-exclusive")},
	};
	s->packet = (struct policy_connect){.persistent = argument_flag(a, "persistent"),
					    .will_topic = argument(a, "will"),
					    .will_retain = argument_flag(a, "retain")};
	outcome o = read_attributes(a, s, f);
	return o.ok ? read_certificate(argument(a, "certificate"), s, f) : o;
}

/* ---- the question ---- */

static outcome read_action(const char *text, enum policy_action *out, struct fault *f)
{
	for (enum policy_action a = POLICY_CONNECT; text && a < POLICY_ACTIONS; a++)
		if (!strcasecmp(text, actions[a].name) ||
		    !strcasecmp(text, strchr(actions[a].name, ':') + 1)) {
			*out = a;
			return DONE;
		}
	return refuse(
		f, REASON_BAD_FIELD,
		"--action must be iot:Connect, iot:Publish, iot:RetainPublish, iot:Subscribe or iot:Receive");
}

/* arn:partition:iot:region:account:name: region and account are then those of the connection. */
static const char *take_arn(struct scene *s, const char *text)
{
	int n = 0;
	if (strncmp(text, "arn:", 4) != 0)
		return text;
	if (sscanf(text, "arn:%*[^:]:iot:%63[^:]:%63[^:]:%n", s->arn_region, s->arn_account, &n) != 2 || !n)
		return NULL;
	s->connection.region = s->arn_region;
	s->connection.account = s->arn_account;
	return text + n;
}

static outcome read_target(const struct arguments *a, struct scene *s, enum policy_action action,
			   const char **out, struct fault *f)
{
	const char *text = argument(a, "resource"), *type = actions[action].type;
	const char *name = text ? take_arn(s, text) : NULL;
	if (!text && action == POLICY_CONNECT && s->connection.client_id) {
		*out = s->connection.client_id;
		return DONE;
	}
	if (!name || strncmp(name, type, strlen(type)) != 0)
		return refuse(f, REASON_BAD_FIELD, "--resource of %s is %s..., or an ARN that ends so",
			      actions[action].name, type);
	*out = name + strlen(type);
	if (action == POLICY_CONNECT && s->connection.client_id && strcmp(*out, s->connection.client_id) != 0)
		return refuse(f, REASON_BAD_FIELD, "--resource and --client-id name different clients");
	return DONE;
}

/* The filter inside "$share/GROUP/FILTER"; NULL where it is none. */
static const char *shared_filter(const char *filter)
{
	const char *slash = !strncmp(filter, "$share/", 7) ? strchr(filter + 7, '/') : NULL;
	return slash ? slash + 1 : NULL;
}

static outcome read_time(const char *text, int64_t *now_s, struct fault *f)
{
	*now_s = clock_wall_s();
	if (text && !policy_explain_time(text, now_s))
		return refuse(f, REASON_BAD_FIELD,
			      "--time must be like 2027-01-31T12:00:00Z, or seconds since 1970");
	return DONE;
}

static void add_question(struct scene *s, enum policy_action action, const char *target, int64_t now_s)
{
	s->questions[s->question_count++] =
		(struct policy_question){.action = action,
					 .target = target,
					 .now_s = now_s,
					 .packet = action == POLICY_CONNECT ? &s->packet : NULL};
}

/* One after the other, as policy.h says that AWS checks them. */
static outcome read_questions(const struct arguments *a, struct scene *s, struct fault *f)
{
	enum policy_action action = POLICY_CONNECT;
	const char *target = NULL;
	int64_t now_s = 0;
	outcome o = read_action(argument(a, "action"), &action, f);
	if (o.ok)
		o = read_target(a, s, action, &target, f);
	if (o.ok)
		o = read_time(argument(a, "time"), &now_s, f);
	if (!o.ok)
		return o;
	add_question(s, action, target, now_s);
	if (action == POLICY_CONNECT && !s->connection.client_id)
		s->connection.client_id = target;
	if (action == POLICY_CONNECT && s->packet.will_topic)
		add_question(s, POLICY_PUBLISH, s->packet.will_topic, now_s);
	if (action == POLICY_SUBSCRIBE && shared_filter(target))
		add_question(s, action, shared_filter(target), now_s);
	const struct policy_question *last = &s->questions[s->question_count - 1];
	if (last->action == POLICY_PUBLISH && argument_flag(a, "retain"))
		add_question(s, POLICY_RETAIN_PUBLISH, last->target, now_s);
	return DONE;
}

outcome scene_read(const struct arguments *a, struct scene *s, struct fault *f)
{
	*s = (struct scene){0};
	outcome o = read_policies(a, s, f);
	if (o.ok)
		o = read_connection(a, s, f);
	return o.ok ? read_questions(a, s, f) : o;
}

void scene_free(struct scene *s)
{
	for (size_t i = 0; i < s->policy_count; i++) {
		policy_free((struct policy *)(uintptr_t)s->policies[i]);
		json_decref(s->files[i].document);
	}
	for (size_t i = 0; i < REPEATS_MAX; i++)
		free(s->names[i]);
	policy_certificate_free(&s->certificate);
}

/* ---- the answer ---- */

static enum policy_decision decide(const struct scene *s, const struct policy_binding *b)
{
	const struct policy_question *q = &s->questions[0];
	switch (q->action) {
	case POLICY_CONNECT:
		return policy_check_connect(b, &s->packet, q->now_s);
	case POLICY_PUBLISH:
		return policy_check_publish(b, q->target, s->packet.will_retain, q->now_s);
	case POLICY_SUBSCRIBE:
		return policy_check_subscribe(b, q->target, q->now_s);
	default:
		return policy_check(b, q);
	}
}

outcome scene_decide(const struct scene *s, enum policy_decision *out, struct fault *f)
{
	struct policy_binding *b;
	outcome o = policy_bind(s->policies, s->policy_count, &s->connection, &b, f);
	if (!o.ok)
		return o;
	*out = decide(s, b);
	policy_binding_free(b);
	return DONE;
}

outcome scene_ask(const struct scene *s, const struct policy_question *q, enum policy_decision *out,
		  struct fault *f)
{
	struct policy_binding *b;
	outcome o = policy_bind(s->policies, s->policy_count, &s->connection, &b, f);
	if (!o.ok)
		return o;
	*out = policy_check(b, q);
	policy_binding_free(b);
	return DONE;
}
