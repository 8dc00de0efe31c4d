#include "policy_vectors.h"

#include "input.h"
#include "policy_scene.h"
#include "text.h"
#include "common/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VECTORS_FILE_MAX = 16 << 20, ATTRIBUTES_MAX = 64 };

/* The deployment of AWS's own examples, where a case names none. */
static const char default_region[] = "us-east-1", default_account[] = "123456789012";

/* One case, and the room for what its connection points to. */
struct vector {
	const json_t *json;
	struct policy *policies[POLICIES_MAX];
	size_t policy_count;
	struct policy_connection connection;
	struct policy_attribute attributes[ATTRIBUTES_MAX], fields[ATTRIBUTES_MAX];
	struct policy_connect packet;
};

/* ---- reading ---- */

static const char *text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static bool flag_of(const json_t *object, const char *key)
{
	return json_is_true(json_object_get(object, key));
}

static outcome compile_one(struct vector *v, const json_t *document, struct fault *f)
{
	if (v->policy_count == POLICIES_MAX)
		return refuse(f, REASON_BAD_FIELD, "policies: more than %d", POLICIES_MAX);
	char *text = json_dumps(document, JSON_ENCODE_ANY);
	outcome o = text ? policy_compile(bytes_str(text), &v->policies[v->policy_count], f)
			 : refuse(f, REASON_NO_MEMORY, "no memory for a policy");
	free(text);
	v->policy_count += o.ok;
	return o;
}

static outcome compile_all(struct vector *v, struct fault *f)
{
	const json_t *list = json_object_get(v->json, "policies");
	outcome o = DONE;
	if (!json_is_array(list))
		return refuse(f, REASON_BAD_FIELD, "policies: a list of documents is needed");
	for (size_t i = 0; o.ok && i < json_array_size(list); i++)
		o = compile_one(v, json_array_get(list, i), f);
	return o;
}

static size_t read_attributes(struct policy_attribute *out, const json_t *object)
{
	const char *name, *text;
	json_t *value;
	size_t n = 0;
	json_object_foreach((json_t *)(uintptr_t)object, name, value)
		if ((text = json_string_value(value)) && n < ATTRIBUTES_MAX)
			out[n++] = (struct policy_attribute){name, text};
	return n;
}

/* A field has a list of values. */
static size_t read_fields(struct policy_attribute *out, const json_t *object)
{
	const char *name, *text;
	json_t *list;
	size_t n = 0;
	json_object_foreach((json_t *)(uintptr_t)object, name, list)
		for (size_t i = 0; i < json_array_size(list); i++)
			if ((text = json_string_value(json_array_get(list, i))) && n < ATTRIBUTES_MAX)
				out[n++] = (struct policy_attribute){name, text};
	return n;
}

static bool lists(const json_t *array, const char *word)
{
	for (size_t i = 0; i < json_array_size(array); i++) {
		const char *text = json_string_value(json_array_get(array, i));
		if (text && !strcmp(text, word))
			return true;
	}
	return false;
}

static void read_connection(struct vector *v)
{
	const json_t *in = json_object_get(v->json, "connection"), *thing = json_object_get(in, "thing");
	const char *region = text_of(in, "region"), *account = text_of(in, "account");
	v->connection = (struct policy_connection){
		.client_id = text_of(in, "clientId"),
		.certificate_id = text_of(in, "certId"),
		.source_ip = text_of(in, "sourceIp"),
		.domain_name = text_of(in, "domainName"),
		.thing = {.name = text_of(thing, "name"),
			  .type = text_of(thing, "type"),
			  .attributes = v->attributes,
			  .attribute_count =
				  read_attributes(v->attributes, json_object_get(thing, "attributes")),
			  .attached = flag_of(in, "attached"),
			  .exclusive = flag_of(in, "exclusive")},
		.certificate = v->fields,
		.certificate_count = read_fields(v->fields, json_object_get(in, "cert")),
		.region = region ? region : default_region,
		.account = account ? account : default_account,
	};
	v->packet = (struct policy_connect){
		.persistent = lists(json_object_get(in, "connectAttributes"), "PersistentConnect"),
		.will_topic = text_of(in, "lastWillTopic"),
		.will_retain = flag_of(in, "willRetain"),
	};
}

/* ---- deciding ---- */

static outcome ask(const struct vector *v, const struct policy_binding *b, enum policy_decision *out,
		   struct fault *f)
{
	const char *action = text_of(v->json, "action"), *target = text_of(v->json, "target");
	const json_t *time = json_object_get(v->json, "time");
	int64_t now_s = time ? json_integer_value(time) : clock_wall_s();
	if (!action || !target)
		return refuse(f, REASON_BAD_FIELD, "action and target: texts are needed");
	if (!strcmp(action, "Connect"))
		*out = policy_check_connect(b, &v->packet, now_s);
	else if (!strcmp(action, "Publish") || !strcmp(action, "RetainedPublish"))
		*out = policy_check_publish(b, target, *action == 'R', now_s);
	else if (!strcmp(action, "Subscribe"))
		*out = policy_check_subscribe(b, target, now_s);
	else if (!strcmp(action, "Receive"))
		*out = policy_check_receive(b, target, now_s);
	else
		return refuse(
			f, REASON_BAD_FIELD,
			"action: \"%.40s\" is none of Connect, Publish, RetainedPublish, Subscribe, Receive",
			action);
	return DONE;
}

static outcome decide(struct vector *v, enum policy_decision *out, struct fault *f)
{
	struct policy_binding *b = NULL;
	outcome o = compile_all(v, f);
	if (o.ok) {
		read_connection(v);
		o = policy_bind((const struct policy *const *)v->policies, v->policy_count, &v->connection,
				&b, f);
	}
	if (o.ok)
		o = ask(v, b, out, f);
	policy_binding_free(b);
	while (v->policy_count)
		policy_free(v->policies[--v->policy_count]);
	return o;
}

/* NULL where the case agrees; else what is to be said of it. */
static json_t *run_one(const json_t *json)
{
	struct vector v = {.json = json};
	enum policy_decision decision = POLICY_IMPLICIT_DENY;
	struct fault f = {0};
	const char *expected = text_of(json, "expect"), *id = text_of(json, "id"),
		   *source = text_of(json, "source");
	outcome o = decide(&v, &decision, &f);
	const char *decided = o.ok ? scene_decision_name(decision) : reason_code(f.reason);
	if (o.ok && expected && !strcmp(expected, decided))
		return NULL;
	return json_pack("{s:s, s:s, s:s, s:s, s:s}", "id", id ? id : "?", "decision", decided, "expect",
			 expected ? expected : "?", "source", source ? source : "", "rule",
			 o.ok ? "" : f.text);
}

/* ---- the file ---- */

static void print_mismatch(const struct ctl *c, const json_t *m)
{
	text_print_colour(c->colour, RED, text_of(m, "id"));
	printf(": %s, expected ", text_of(m, "decision"));
	text_print(text_of(m, "expect"));
	if (*text_of(m, "rule")) {
		fputs(": ", stdout);
		text_print(text_of(m, "rule"));
	} else if (*text_of(m, "source")) {
		fputs(" (", stdout);
		text_print(text_of(m, "source"));
		putchar(')');
	}
	putchar('\n');
}

static int print_all(const struct ctl *c, size_t cases, json_t *mismatches)
{
	size_t i, wrong = json_array_size(mismatches);
	json_t *m;
	if (c->json) {
		json_t *out = json_pack("{s:I, s:I, s:O}", "cases", (json_int_t)cases, "agree",
					(json_int_t)(cases - wrong), "mismatches", mismatches);
		json_dumpf(out, stdout, JSON_PRESERVE_ORDER);
		putchar('\n');
		json_decref(out);
	} else {
		json_array_foreach(mismatches, i, m)
			print_mismatch(c, m);
		printf("%zu cases: %zu agree, %zu do not\n", cases, cases - wrong, wrong);
	}
	return wrong || !cases ? EXIT_REFUSED : EXIT_DONE;
}

int policy_vectors_run(const struct ctl *c, const char *path)
{
	struct buf text;
	struct fault f = {0};
	json_error_t e;
	if (!input_read_text(path, VECTORS_FILE_MAX, &text, &f).ok)
		return ctl_fail(&f);
	json_t *vectors = json_loadb((const char *)text.p, text.n, 0, &e), *mismatches = json_array();
	buf_free(&text);
	if (!json_is_array(vectors)) {
		if (vectors)
			refuse(&f, REASON_BAD_JSON, "%s: a list of cases is needed", input_name(path));
		else
			refuse(&f, REASON_BAD_JSON, "%s:%d: %s", input_name(path), e.line, e.text);
		json_decref(vectors);
		json_decref(mismatches);
		return ctl_fail(&f);
	}
	for (size_t i = 0; i < json_array_size(vectors); i++) {
		json_t *m = run_one(json_array_get(vectors, i));
		if (m)
			json_array_append_new(mismatches, m);
	}
	int code = print_all(c, json_array_size(vectors), mismatches);
	json_decref(mismatches);
	json_decref(vectors);
	return code;
}
