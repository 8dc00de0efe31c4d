/* Documents and decisions. tests/vectors/policy_vectors.json holds the language; the rest are rules that no
 * vector holds. */
#include "common/file.h"
#include "common/policy/policy_internal.h"
#include "policies.h"

#include <jansson.h>
#include <time.h>

enum { VECTORS_IN_ALL = 97, ATTRIBUTES_MAX = 8 };

/* --- vectors --- */

static const char *string_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

/* A connection of the vectors, and the room for what it points to. */
struct scene {
	struct policy_connection connection;
	struct policy_connect packet;
	struct policy_attribute attributes[ATTRIBUTES_MAX], fields[ATTRIBUTES_MAX];
};

static void read_attributes(struct scene *s, json_t *object)
{
	const char *name;
	json_t *value;
	size_t n = 0;
	json_object_foreach(object, name, value)
		s->attributes[n++] = (struct policy_attribute){name, json_string_value(value)};
	s->connection.thing.attributes = s->attributes;
	s->connection.thing.attribute_count = n;
}

static void read_fields(struct scene *s, json_t *object)
{
	const char *name;
	json_t *list, *value;
	size_t n = 0, i;
	json_object_foreach(object, name, list)
		json_array_foreach(list, i, value)
			s->fields[n++] = (struct policy_attribute){name, json_string_value(value)};
	s->connection.certificate = s->fields;
	s->connection.certificate_count = n;
}

static bool lists(const json_t *array, const char *word)
{
	bool found = false;
	for (size_t i = 0; i < json_array_size(array); i++)
		found = found || !strcmp(json_string_value(json_array_get(array, i)), word);
	return found;
}

static void read_scene(struct scene *s, const json_t *in)
{
	const json_t *thing = json_object_get(in, "thing");
	*s = (struct scene){
		.connection =
			{
				.client_id = string_of(in, "clientId"),
				.certificate_id = string_of(in, "certId"),
				.source_ip = string_of(in, "sourceIp"),
				.thing = {.name = string_of(thing, "name"),
					  .type = string_of(thing, "type"),
					  .attached = json_is_true(json_object_get(in, "attached")),
					  .exclusive = json_is_true(json_object_get(in, "exclusive"))},
				.region = "us-east-1",
				.account = "123456789012",
			},
		.packet =
			{
				.persistent =
					lists(json_object_get(in, "connectAttributes"), "PersistentConnect"),
				.will_topic = string_of(in, "lastWillTopic"),
				.will_retain = json_is_true(json_object_get(in, "willRetain")),
			},
	};
	read_attributes(s, json_object_get(thing, "attributes"));
	read_fields(s, json_object_get(in, "cert"));
}

static enum policy_decision decide(const json_t *vector, const struct policy_binding *b,
				   const struct scene *s)
{
	const char *action = string_of(vector, "action"), *target = string_of(vector, "target");
	if (!strcmp(action, "Connect"))
		return policy_check_connect(b, &s->packet, NOW);
	if (!strcmp(action, "Publish") || !strcmp(action, "RetainedPublish"))
		return policy_check_publish(b, target, action[0] == 'R', NOW);
	if (!strcmp(action, "Subscribe"))
		return policy_check_subscribe(b, target, NOW);
	assert_string_equal(action, "Receive");
	return policy_check_receive(b, target, NOW);
}

static void check_vector(const json_t *vector)
{
	static const char *const names[] = {"IMPLICIT_DENY", "ALLOWED", "EXPLICIT_DENY"};
	const json_t *documents = json_object_get(vector, "policies");
	struct policy *policies[POLICIES_MAX];
	struct policy_binding *b;
	struct scene s;
	struct fault f;
	size_t n = 0;
	for (; n < json_array_size(documents); n++) {
		char *text = json_dumps(json_array_get(documents, n), 0);
		policies[n] = compiled(text);
		free(text);
	}
	read_scene(&s, json_object_get(vector, "connection"));
	assert_true(policy_bind((const struct policy *const *)policies, n, &s.connection, &b, &f).ok);
	enum policy_decision d = decide(vector, b, &s);
	if (strcmp(names[d], string_of(vector, "expect")))
		fail_msg("%s (%s): %s, expected %s", string_of(vector, "id"), string_of(vector, "source"),
			 names[d], string_of(vector, "expect"));
	policy_binding_free(b);
	while (n--)
		policy_free(policies[n]);
}

static void test_every_vector_agrees(void **state)
{
	(void)state;
	json_error_t error;
	json_t *vectors = json_load_file("tests/vectors/policy_vectors.json", 0, &error);
	if (!vectors)
		fail_msg("%s", error.text);
	for (size_t i = 0; i < json_array_size(vectors); i++)
		check_vector(json_array_get(vectors, i));
	assert_int_equal(json_array_size(vectors), VECTORS_IN_ALL);
	json_decref(vectors);
}

/* --- refusals --- */

static void test_refusals_name_place_and_remedy(void **state)
{
	(void)state;
	static const struct {
		const char *json, *place, *remedy;
	} cases[] = {
		{"{", "line 1", "RFC 8259"},
		{"[]", "document: ", "write {\"Version\""},
		{"{\"Version\":\"2012-10-17\",\"Statement\":[],\"Statement\":[]}", "line 1", "duplicate"},
		{DOCUMENT(""), "Statement: ", "write [{"},
		{"{\"Version\":\"2012-10-17\"}", "Statement: ", "write [{"},
		{"{\"Version\":\"2013-10-17\",\"Statement\":[{}]}", "Version: ", "\"2012-10-17\""},
		{"{\"Version\":2012,\"Statement\":[{}]}", "Version: ", "\"2012-10-17\""},
		{"{\"Principal\":\"*\",\"Statement\":[{}]}", "document: ", "\"Principal\""},
		{"{\"Id\":7,\"Statement\":[{}]}", "document: ", "\"Id\""},
		{DOCUMENT("7"), "Statement[0]: ", "write {\"Effect\""},
		{DOCUMENT("{\"Principal\":\"*\"}"), "Statement[0]: ", "\"Principal\""},
		{DOCUMENT("{\"Effect\":\"allow\"}"), "Statement[0].Effect: ", "\"Allow\" or \"Deny\""},
		{DOCUMENT("{\"Action\":\"iot:*\"}"), "Statement[0].Effect: ", "\"Allow\" or \"Deny\""},
		{DOCUMENT("{\"Effect\":\"Allow\",\"Sid\":1}"), "Statement[0]: ", "Sid"},
		{DOCUMENT("{\"Effect\":\"Allow\",\"Resource\":\"*\"}"), "Statement[0]: ", "write \"Action\""},
		{DOCUMENT("{\"Effect\":\"Allow\",\"Action\":[],\"Resource\":\"*\"}"),
		 "Statement[0]: ", "write \"Action\""},
		{DOCUMENT("{\"Effect\":\"Allow\",\"Action\":\"iot:*\"}"),
		 "Statement[0]: ", "write \"Resource\""},
		{"{\"Statement\":{\"Effect\":\"Allow\",\"Action\":\"iot:*\",\"NotAction\":\"iot:*\","
		 "\"Resource\":\"*\"}}",
		 "Statement: ", "exactly one of Action and NotAction"},
		{DOCUMENT("{\"Effect\":\"Deny\",\"Action\":\"*\",\"Resource\":\"*\",\"NotResource\":\"*\"}"),
		 "Statement[0]: ", "exactly one of Resource and NotResource"},
		{STATEMENT("Allow", "Publish", "*"), "Statement[0].Action: ", "write \"iot:Publish\""},
		{STATEMENT("Allow", "iot:", "*"), "Statement[0].Action: ", "write \"iot:Publish\""},
		{DOCUMENT("{\"Effect\":\"Allow\",\"Action\":[\"iot:*\",7],\"Resource\":\"*\"}"),
		 "Statement[0].Action[1]: ", "write \"iot:Publish\""},
		{STATEMENT("Allow", "iot:*", "topic/a"), "Statement[0].Resource: ", "write \"arn:aws:iot"},
		{STATEMENT("Allow", "iot:*", "arn:aws:iot:*:topic/a"),
		 "Statement[0].Resource: ", "six parts"},
		{STATEMENT("Allow", "iot:*", ":::::"), "Statement[0].Resource: ", "no ARN"},
		{STATEMENT("Allow", "iot:*", "urn:aws:iot:*:*:topic/a"), "Statement[0].Resource: ", "no ARN"},
		{STATEMENT("Allow", "iot:*", "arn:aws:iot:${iot:ClientId}:*:topic/a"),
		 "Statement[0].Resource: ", "write '*' there"},
		{STATEMENT("Allow", "iot:*", ARN "topic/${iot:Nobody}"),
		 "Statement[0].Resource: ", "\"iot:Nobody\" is no key"},
		{STATEMENT("Allow", "iot:*", ARN "topic/${iot:ClientId"),
		 "Statement[0].Resource: ", "end the variable with '}'"},
		{STATEMENT("Allow", "iot:*", ARN "topic/${iot:ConnectAttributes}"),
		 "Statement[0].Resource: ", "use it as a key of a Condition"},
		{STATEMENT("Allow", "iot:*", ARN "topic/${iot:Certificate.Subject.CommonName.List}"),
		 "Statement[0].Resource: ", "use it as a key of a Condition"},
		{STATEMENT("Allow", "iot:*", ARN "topic/${aws:CurrentTime}"),
		 "Statement[0].Resource: ", "use it as a key of a Condition"},
		{"{\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\"iot:*\",\"Resource\":[\"*\",7]}]}",
		 "Statement[0].Resource[1]: ", "not a string"},
		{DOCUMENT(S("Allow", "iot:*",
			    "*") ",{\"Effect\":\"Deny\",\"Action\":\"iot:*\",\"NotResource\":["
				 "\"a\"]}"),
		 "Statement[1].NotResource[0]: ", "no ARN"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_refused(cases[i].json, cases[i].place);
		assert_refused(cases[i].json, cases[i].remedy);
	}
}

/* A statement whose Sid makes the document as long as is wanted. */
static char *document_of(size_t characters, const char *filler)
{
	static const char begin[] =
		"{\"Statement\":{\"Effect\":\"Allow\",\"Action\":\"iot:*\",\"Resource\":\"*\","
		"\"Sid\":\"",
			  end[] = "\"}}";
	struct buf b = {0};
	buf_str(&b, begin);
	for (size_t i = sizeof begin - 1 + sizeof end - 1; i < characters; i++)
		buf_str(&b, filler);
	buf_str(&b, end);
	return buf_take_str(&b);
}

static void test_the_size_limit_counts_characters_but_no_white_space(void **state)
{
	(void)state;
	char *longest = document_of(POLICY_DOCUMENT_MAX, "x"),
	     *longer = document_of(POLICY_DOCUMENT_MAX + 1, "x"),
	     *umlauts = document_of(POLICY_DOCUMENT_MAX, "\xc3\xa4"),
	     *blanks = document_of(POLICY_BYTES_MAX, " "),
	     *too_blank = document_of(POLICY_BYTES_MAX + 1, " ");
	struct buf spread = {0};
	bool inside = false;
	policy_free(compiled(longest));
	policy_free(compiled(umlauts));
	policy_free(compiled(blanks));
	assert_refused(longer, "2049 characters");
	assert_refused(longer, "split it");
	assert_refused(too_blank, "8193 bytes");
	for (const char *c = longest; *c; c++) {
		inside ^= *c == '"';
		buf_byte(&spread, (uint8_t)*c);
		for (int i = 0; !inside && i < 500; i++)
			buf_byte(&spread, (uint8_t) "\n\t \r"[i % 4]);
	}
	char *text = buf_take_str(&spread);
	policy_free(compiled(text));
	free(text);
	free(longest);
	free(longer);
	free(umlauts);
	free(blanks);
	free(too_blank);
}

static void test_minifying_keeps_what_is_inside_strings(void **state)
{
	(void)state;
	struct buf out = {0};
	policy_minify(bytes_str(" {\n\t\"a b\" : [ \"c \\\" d\" , \"\\\\\" ] ,\r\n\"e\": 1 }\n"), &out);
	char *text = buf_take_str(&out);
	assert_string_equal(text, "{\"a b\":[\"c \\\" d\",\"\\\\\"],\"e\":1}");
	free(text);
}

static void test_a_compiled_policy_is_small(void **state)
{
	(void)state;
	struct policy *p = compiled(STATEMENT("Allow", "iot:Publish", ARN "topic/dt/" THING "/*"));
	assert_in_range(p->size, sizeof *p, 400);
	policy_free(p);
}

/* --- versions --- */

static void test_before_2012_a_variable_is_text(void **state)
{
	(void)state;
	static const char *const versions[] = {"", "\"Version\":\"2008-10-17\","};
	for (size_t i = 0; i < 2; i++) {
		char json[256];
		snprintf(json, sizeof json,
			 "{%s\"Statement\":{\"Effect\":\"Allow\",\"Action\":\"iot:*\",\"Resource\":\"" ARN
			 "topic/${iot:ClientId}/${*}\"}}",
			 versions[i]);
		assert_int_equal(ask(json, POLICY_PUBLISH, "c1/x", &nobody), POLICY_IMPLICIT_DENY);
		assert_int_equal(ask(json, POLICY_PUBLISH, "${iot:ClientId}/${x}", &nobody), POLICY_ALLOWED);
	}
}

/* --- actions --- */

static void test_actions(void **state)
{
	(void)state;
	static const struct {
		const char *pattern;
		unsigned actions;
	} cases[] = {
		{"*", 31},
		{"iot:*", 31},
		{"IOT:PUBLISH", 2},
		{"iot:Pub*", 2},
		{"iot:*Publish", 6},
		{"iot:?eceive", 16},
		{"iot:Connect", 1},
		{"iot:Subscribe", 8},
		{"iot:RetainPublish", 4},
		{"greengrass:*", 0},
		{"iot:GetThingShadow", 0},
		{"iot:${*}", 0},
		{"*:Publish", 2},
		{"iotjobsdata:*", 0},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char json[256];
		for (int not = 0; not < 2; not ++) {
			snprintf(json, sizeof json,
				 DOCUMENT("{\"Effect\":\"Allow\",\"%sAction\":\"%s\",\"Resource\":\"*\"}"),
				 not ? "Not" : "", cases[i].pattern);
			for (enum policy_action a = POLICY_CONNECT; a < POLICY_ACTIONS; a++)
				if ((ask(json, a, "x", &nobody) == POLICY_ALLOWED) !=
				    ((cases[i].actions >> a & 1) ^ (unsigned)not ))
					fail_msg("%s", json);
		}
	}
}

/* --- resources --- */

static void test_wildcards_and_escapes(void **state)
{
	(void)state;
	static const struct {
		const char *pattern, *target;
		bool match;
	} cases[] = {
		{"topic/*", "a", true},
		{"topic/*", "", true},
		{"topic/a*", "a", true},
		{"topic/*b*d", "abcd", true},
		{"topic/*b*d", "abcde", false},
		{"topic/*ab", "aab", true},
		{"topic/*aab", "aaaab", true},
		{"topic/a?c", "a/c", true},
		{"topic/a?c", "ac", false},
		{"topic/?", "\xc3\xa4", true},
		{"topic/??", "\xc3\xa4", false},
		{"topic/*?", "", false},
		{"topic/*?*", "a", true},
		{"to*", "a", true},
		{"*", "a", true},
		{"*c/a", "a", true},
		{"t?pic/a", "a", true},
		{"topicfilter/*", "a", false},
		{"topic/$(*)", "*", true},
		{"topic/$(*)", "x", false},
		{"topic/${?}", "?", true},
		{"topic/${?}", "x", false},
		{"topic/${$}{x}", "${x}", true},
		{"topic/$($)", "$", true},
		{"topic/$aws/*", "$aws/a", true},
		{"topic/$(x", "$(x", true},
		{"topic/a$", "a$", true},
		{"Topic/a", "a", false},
		{"topic/A", "a", false},
		{"topic/x:y", "x:y", true},
		{"topic/+/#", "+/#", true},
		{"topic/+", "a", false},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char json[256];
		snprintf(json, sizeof json, STATEMENT("Allow", "iot:Publish", ARN "%s"), cases[i].pattern);
		if ((ask(json, POLICY_PUBLISH, cases[i].target, &nobody) == POLICY_ALLOWED) != cases[i].match)
			fail_msg("%s against %s", cases[i].pattern, cases[i].target);
	}
}

static void test_region_and_account_count_where_they_are_known(void **state)
{
	(void)state;
	static const struct {
		const char *arn;
		bool match;
	} cases[] = {
		{"arn:aws:iot:eu-west-1:1:topic/a", true},  {"arn:aws:iot:eu-*:1:topic/a", true},
		{"arn:aws-cn:iot:*:*:topic/a", true},	    {"arn:aws:iot:us-east-1:1:topic/a", false},
		{"arn:aws:iot:eu-west-1:2:topic/a", false}, {"arn:aws:iot:eu-west-1:*", true},
		{"arn:aws:iot:eu-west-2:*", false},	    {"arn:aws:*", true},
		{"arn:aws:s3:*:*:topic/a", false},	    {"*", true},
	};
	struct policy_connection here = {.client_id = "c1", .region = "eu-west-1", .account = "1"};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char json[256];
		snprintf(json, sizeof json, STATEMENT("Allow", "iot:*", "%s"), cases[i].arn);
		if ((ask(json, POLICY_PUBLISH, "a", &here) == POLICY_ALLOWED) != cases[i].match)
			fail_msg("%s", cases[i].arn);
		if (!strstr(cases[i].arn, ":s3:"))
			assert_int_equal(ask(json, POLICY_PUBLISH, "a", &nobody), POLICY_ALLOWED);
	}
}

static void test_a_target_beyond_the_limit_is_denied(void **state)
{
	(void)state;
	char target[POLICY_TARGET_MAX + 2];
	memset(target, 'a', sizeof target);
	target[POLICY_TARGET_MAX + 1] = '\0';
	const char *any = STATEMENT("Allow", "iot:*", "*");
	assert_int_equal(ask(any, POLICY_PUBLISH, target, &nobody), POLICY_IMPLICIT_DENY);
	target[POLICY_TARGET_MAX] = '\0';
	assert_int_equal(ask(any, POLICY_PUBLISH, target, &nobody), POLICY_ALLOWED);
	assert_int_equal(ask(STATEMENT("Allow", "iot:*", ARN "*a"), POLICY_SUBSCRIBE, target, &nobody),
			 POLICY_ALLOWED);
}

/* --- variables --- */

static const struct policy_attribute thing_attributes[] = {{"building", "b7"}, {"empty", ""}};
static const struct policy_attribute fields[] = {
	{"Subject.CommonName", "lamp"},
	{"Subject.CommonName", "second"},
	{"Subject.CommonName", "third"},
	{"Issuer.Organization", "Acme"},
	{"Subject.Organization", "a+b"},
	{"SerialNumber", "10525622389124227206"},
	{"Subject.AlternativeName.DNSName", "lamp.example.com"},
};
static const struct policy_connection known = {
	.client_id = "thing1",
	.certificate_id = "c0ffee",
	.source_ip = "192.0.2.9",
	.domain_name = "mqtt.example.com",
	.thing = {"thing1", "lamp-type", thing_attributes, 2, .attached = true},
	.certificate = fields,
	.certificate_count = sizeof fields / sizeof *fields,
};

static void test_every_variable(void **state)
{
	(void)state;
	static const struct {
		const char *name, *value; /* NULL: none */
	} cases[] = {
		{"iot:ClientId", "thing1"},
		{"IOT:clientid", "thing1"},
		{"iot:CertificateId", "c0ffee"},
		{"aws:SourceIp", "192.0.2.9"},
		{"iot:DomainName", "mqtt.example.com"},
		{"iot:Connection.Thing.ThingName", "thing1"},
		{"iot:Thing.ThingName", "thing1"},
		{"iot:Connection.Thing.ThingTypeName", "lamp-type"},
		{"iot:Connection.Thing.IsAttached", "true"},
		{"iot:Connection.Thing.Attributes[building]", "b7"},
		{"iot:Connection.Thing.Attributes[Building]", NULL},
		{"iot:Connection.Thing.Attributes[empty]", NULL},
		{"iot:Certificate.Subject.CommonName", "lamp"},
		{"iot:Certificate.Subject.CommonName.0", "lamp"},
		{"iot:Certificate.Subject.CommonName.1", "second"},
		{"iot:Certificate.Subject.CommonName.2", "third"},
		{"iot:Certificate.Subject.CommonName.3", NULL},
		{"iot:Certificate.Issuer.CommonName", NULL},
		{"iot:Certificate.Issuer.Organization", "Acme"},
		{"iot:Certificate.Subject.Organization", NULL}, /* holds a wildcard of MQTT */
		{"iot:Certificate.SerialNumber", "10525622389124227206"},
		{"iot:Certificate.Subject.AlternativeName.DNSName", "lamp.example.com"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char allow[256], deny[512], target[128];
		snprintf(target, sizeof target, "x/%s/y", cases[i].value ? cases[i].value : "");
		snprintf(allow, sizeof allow, STATEMENT("Allow", "iot:*", ARN "topic/x/${%s}/y"),
			 cases[i].name);
		if (ask(allow, POLICY_PUBLISH, target, &known) !=
		    (cases[i].value ? POLICY_ALLOWED : POLICY_IMPLICIT_DENY))
			fail_msg("%s", cases[i].name);
		assert_int_equal(ask(allow, POLICY_PUBLISH, "x/z/y", &known), POLICY_IMPLICIT_DENY);
		/* A Deny that names a variable without a value does not bite. */
		snprintf(deny, sizeof deny,
			 DOCUMENT(S("Allow", "iot:*", "*") "," S("Deny", "iot:*", ARN "topic/x/${%s}/*")),
			 cases[i].name);
		assert_int_equal(ask(deny, POLICY_PUBLISH, target, &known),
				 cases[i].value ? POLICY_EXPLICIT_DENY : POLICY_ALLOWED);
	}
}

static void test_without_a_connection_only_is_attached_has_a_value(void **state)
{
	(void)state;
	static const char *const names[] = {"iot:ClientId",
					    "iot:CertificateId",
					    "aws:SourceIp",
					    "iot:DomainName",
					    "iot:Connection.Thing.ThingName",
					    "iot:Connection.Thing.ThingTypeName",
					    "iot:Connection.Thing.Attributes[a]",
					    "iot:Certificate.Subject.Country"};
	static const struct policy_connection blank = {0};
	char json[256];
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		snprintf(json, sizeof json, STATEMENT("Allow", "iot:*", ARN "topic/*${%s}*"), names[i]);
		assert_int_equal(ask(json, POLICY_PUBLISH, "a", &blank), POLICY_IMPLICIT_DENY);
		/* "Everything but" what has no value allows nothing... */
		snprintf(json, sizeof json,
			 DOCUMENT("{\"Effect\":\"Allow\",\"Action\":\"iot:*\",\"NotResource\":\"" ARN
				  "topic/*${%s}\"}"),
			 names[i]);
		assert_int_equal(ask(json, POLICY_PUBLISH, "a", &blank), POLICY_IMPLICIT_DENY);
		/* ... and denies everything. */
		snprintf(json, sizeof json,
			 DOCUMENT(S("Allow", "iot:*", "*") ",{\"Effect\":\"Deny\",\"Action\":\"iot:Publish\","
							   "\"NotResource\":\"" ARN "topic/${%s}\"}"),
			 names[i]);
		assert_int_equal(ask(json, POLICY_PUBLISH, "a", &blank), POLICY_EXPLICIT_DENY);
		assert_int_equal(ask(json, POLICY_RECEIVE, "a", &blank), POLICY_ALLOWED);
	}
	assert_int_equal(ask(STATEMENT("Allow", "iot:*", ARN "topic/${iot:Connection.Thing.IsAttached}"),
			     POLICY_PUBLISH, "false", &blank),
			 POLICY_ALLOWED);
}

static void test_a_thing_is_associated_by_name_or_exclusively(void **state)
{
	(void)state;
	const char *json =
		STATEMENT("Allow", "iot:*", ARN "topic/" THING "/${iot:Connection.Thing.IsAttached}");
	struct policy_connection c = {.client_id = "t", .thing = {.name = "t", .attached = true}};
	assert_int_equal(ask(json, POLICY_PUBLISH, "t/true", &c), POLICY_ALLOWED);
	c.client_id = "other";
	assert_int_equal(ask(json, POLICY_PUBLISH, "t/true", &c), POLICY_IMPLICIT_DENY);
	c.thing.exclusive = true;
	assert_int_equal(ask(json, POLICY_PUBLISH, "t/true", &c), POLICY_ALLOWED);
	c.thing.attached = false;
	assert_int_equal(ask(json, POLICY_PUBLISH, "t/true", &c), POLICY_IMPLICIT_DENY);
}

static void test_substituted_text_is_literal(void **state)
{
	(void)state;
	const char *json = STATEMENT("Allow", "iot:Publish", ARN "topic/${iot:ClientId}/x");
	struct policy_connection who = {.client_id = "*"};
	assert_int_equal(ask(json, POLICY_PUBLISH, "*/x", &who), POLICY_ALLOWED);
	assert_int_equal(ask(json, POLICY_PUBLISH, "other/x", &who), POLICY_IMPLICIT_DENY);
	who.client_id = "${iot:CertificateId}";
	who.certificate_id = "c";
	assert_int_equal(ask(json, POLICY_PUBLISH, "c/x", &who), POLICY_IMPLICIT_DENY);
}

/* --- several policies --- */

static void test_policies_of_a_certificate_are_read_together(void **state)
{
	(void)state;
	struct policy *allow = compiled(STATEMENT("Allow", "iot:*", ARN "topic/" THING "/*")),
		      *deny = compiled(STATEMENT("Deny", "iot:*", ARN "topic/${iot:ClientId}/secret"));
	const struct policy *list[POLICIES_MAX + 1] = {allow, deny}, *turned[] = {deny, allow};
	struct policy_binding *b, *other;
	struct fault f = {0};
	assert_true(policy_bind(list, 2, &known, &b, &f).ok);
	assert_true(policy_bind(turned, 2, &known, &other, &f).ok);
	assert_int_equal(policy_check_publish(b, "thing1/a", false, NOW), POLICY_ALLOWED);
	assert_int_equal(policy_check_publish(b, "thing1/secret", false, NOW), POLICY_EXPLICIT_DENY);
	assert_int_equal(policy_check_publish(other, "thing1/secret", false, NOW), POLICY_EXPLICIT_DENY);
	assert_true(policy_binding_is_of(b, list, 2));
	assert_false(policy_binding_is_of(b, turned, 2));
	assert_false(policy_binding_is_of(b, list, 1));
	policy_binding_free(other);
	assert_false(policy_bind(list, POLICIES_MAX + 1, &known, &other, &f).ok);
	assert_int_equal(f.reason, REASON_TOO_LARGE);
	/* The same document again is another policy; the old one may be gone. */
	policy_free(deny);
	list[1] = deny = compiled(STATEMENT("Deny", "iot:*", "*"));
	assert_false(policy_binding_is_of(b, list, 2));
	policy_binding_free(b);
	assert_true(policy_bind(NULL, 0, &known, &b, &f).ok);
	assert_int_equal(policy_check_publish(b, "a", false, NOW), POLICY_IMPLICIT_DENY);
	policy_binding_free(b);
	policy_free(allow);
	policy_free(deny);
}

static void test_only_a_policy_that_names_certificate_fields_needs_them(void **state)
{
	(void)state;
	struct policy *without = compiled(STATEMENT("Allow", "iot:*", ARN "topic/${iot:CertificateId}")),
		      *with = compiled(
			      STATEMENT("Allow", "iot:*", ARN "topic/${iot:Certificate.SerialNumber}"));
	assert_false(policy_names_certificate(without));
	assert_true(policy_names_certificate(with));
	policy_free(without);
	policy_free(with);
}

/* --- what MQTT does --- */

static void test_retain_needs_both_actions(void **state)
{
	(void)state;
	static const struct {
		const char *json;
		enum policy_decision plain, retained;
	} cases[] = {
		{STATEMENT("Allow", "iot:Publish", "*"), POLICY_ALLOWED, POLICY_IMPLICIT_DENY},
		{STATEMENT("Allow", "iot:RetainPublish", "*"), POLICY_IMPLICIT_DENY, POLICY_IMPLICIT_DENY},
		{STATEMENT("Allow", "iot:*Publish", "*"), POLICY_ALLOWED, POLICY_ALLOWED},
		{DOCUMENT(S("Allow", "iot:*", "*") "," S("Deny", "iot:RetainPublish", ARN "topic/a")),
		 POLICY_ALLOWED, POLICY_EXPLICIT_DENY},
		{STATEMENT("Deny", "iot:RetainPublish", "*"), POLICY_IMPLICIT_DENY, POLICY_EXPLICIT_DENY},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct policy *p = compiled(cases[i].json);
		struct policy_binding *b = bound(p, &nobody);
		assert_int_equal(policy_check_publish(b, "a", false, NOW), cases[i].plain);
		assert_int_equal(policy_check_publish(b, "a", true, NOW), cases[i].retained);
		policy_binding_free(b);
		policy_free(p);
	}
}

static void test_a_will_must_be_publishable(void **state)
{
	(void)state;
	struct policy *p = compiled(DOCUMENT(
		S("Allow", "iot:Connect", "*") "," S("Allow", "iot:Publish", ARN "topic/will/*") "," S(
			"Allow", "iot:RetainPublish", ARN "topic/will/r")));
	struct policy_binding *b = bound(p, &nobody);
	const struct {
		struct policy_connect packet;
		enum policy_decision decision;
	} cases[] = {
		{{.persistent = true}, POLICY_ALLOWED},
		{{.will_topic = "will/a"}, POLICY_ALLOWED},
		{{.will_topic = "other"}, POLICY_IMPLICIT_DENY},
		{{.will_topic = "will/a", .will_retain = true}, POLICY_IMPLICIT_DENY},
		{{.will_topic = "will/r", .will_retain = true}, POLICY_ALLOWED},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		assert_int_equal(policy_check_connect(b, &cases[i].packet, NOW), cases[i].decision);
	policy_binding_free(b);
	policy_free(p);
}

static enum policy_decision subscribe(const char *json, const char *filter)
{
	struct policy *p = compiled(json);
	struct policy_binding *b = bound(p, &nobody);
	enum policy_decision d = policy_check_subscribe(b, filter, NOW);
	policy_binding_free(b);
	policy_free(p);
	return d;
}

static void test_a_shared_subscription_is_a_filter_of_its_own(void **state)
{
	(void)state;
	const char *plain = STATEMENT("Allow", "iot:Subscribe", ARN "topicfilter/cmd/*"),
		   *shared = STATEMENT("Allow", "iot:Subscribe", ARN "topicfilter/$share/*/cmd/*"),
		   *any = STATEMENT("Allow", "iot:Subscribe", "*"),
		   *but = DOCUMENT(S("Allow", "iot:Subscribe", "*") "," S("Deny", "iot:Subscribe",
									  ARN "topicfilter/secret/*"));
	assert_int_equal(subscribe(plain, "$share/g/cmd/#"), POLICY_IMPLICIT_DENY);
	assert_int_equal(subscribe(shared, "$share/g/cmd/#"), POLICY_ALLOWED);
	assert_int_equal(subscribe(shared, "cmd/#"), POLICY_IMPLICIT_DENY);
	assert_int_equal(subscribe(any, "$share/g/cmd/#"), POLICY_ALLOWED);
	assert_int_equal(subscribe(any, "$share/g/$SYS/#"), POLICY_IMPLICIT_DENY);
	assert_int_equal(subscribe(any, "$share/g"), POLICY_ALLOWED);
	assert_int_equal(subscribe(but, "$share/g/secret/x"), POLICY_EXPLICIT_DENY);
	assert_int_equal(subscribe(but, "$share/g/open/x"), POLICY_ALLOWED);
}

static void test_the_brokers_own_topics_need_a_resource_that_spells_them(void **state)
{
	(void)state;
	const char *any = STATEMENT("Allow", "iot:*", "*");
	assert_int_equal(subscribe(any, "$SYS/#"), POLICY_IMPLICIT_DENY);
	assert_int_equal(subscribe(any, "a/$b"), POLICY_ALLOWED);
	assert_int_equal(subscribe(any, "$aws/things/x/shadow/get"), POLICY_ALLOWED);
	assert_int_equal(ask(STATEMENT("Allow", "iot:*", ARN "topic/*"), POLICY_RECEIVE, "$SYS/a", &nobody),
			 POLICY_IMPLICIT_DENY);
	assert_int_equal(
		ask(STATEMENT("Allow", "iot:*", ARN "topic/?SYS/a"), POLICY_RECEIVE, "$SYS/a", &nobody),
		POLICY_IMPLICIT_DENY);
	assert_int_equal(
		ask(STATEMENT("Allow", "iot:*", ARN "topic/$SYS/*"), POLICY_RECEIVE, "$SYS/a", &nobody),
		POLICY_ALLOWED);
	assert_int_equal(
		ask(DOCUMENT("{\"Effect\":\"Allow\",\"Action\":\"*\",\"NotResource\":\"" ARN "topic/a\"}"),
		    POLICY_RECEIVE, "$SYS/a", &nobody),
		POLICY_IMPLICIT_DENY);
	assert_int_equal(ask(STATEMENT("Deny", "iot:*", "*"), POLICY_RECEIVE, "$SYS/a", &nobody),
			 POLICY_EXPLICIT_DENY);
	assert_int_equal(
		ask(DOCUMENT(S("Allow", "*", ARN "topic/$SYS/*") ",{\"Effect\":\"Deny\",\"Action\":\"*\","
								 "\"NotResource\":\"" ARN "topic/a\"}"),
		    POLICY_RECEIVE, "$SYS/a", &nobody),
		POLICY_EXPLICIT_DENY);
}

/* --- the shipped document, and what a check costs --- */

static const struct policy_connection device = {
	.client_id = "mfrggzdfmztwq2lkobxw4mrq",
	.certificate_id = "c",
	.thing = {.name = "mfrggzdfmztwq2lkobxw4mrq", .attached = true, .exclusive = true},
};

static struct policy *shipped(void)
{
	struct buf text = {0};
	struct fault f = {0};
	if (!file_read("config/policy-default.json", 65536, &text, &f).ok)
		fail_msg("%s", f.text);
	struct policy *p = compiled((const char *)text.p);
	buf_free(&text);
	return p;
}

static void test_the_shipped_policy_keeps_a_device_to_its_own_topics(void **state)
{
	(void)state;
	struct policy *p = shipped();
	struct policy_binding *b = bound(p, &device);
	static const struct {
		enum policy_action action;
		const char *target;
		bool allowed;
	} cases[] = {
		{POLICY_CONNECT, "mfrggzdfmztwq2lkobxw4mrq", true},
		{POLICY_CONNECT, "mfrggzdfmztwq2lkobxw4mrr", false},
		{POLICY_PUBLISH, "dt/mfrggzdfmztwq2lkobxw4mrq/temperature", true},
		{POLICY_PUBLISH, "dt/mfrggzdfmztwq2lkobxw4mrr/temperature", false},
		{POLICY_PUBLISH, "cmd/mfrggzdfmztwq2lkobxw4mrq/x", false},
		{POLICY_RETAIN_PUBLISH, "dt/mfrggzdfmztwq2lkobxw4mrq/temperature", false},
		{POLICY_SUBSCRIBE, "cmd/mfrggzdfmztwq2lkobxw4mrq/#", true},
		{POLICY_SUBSCRIBE, "cmd/+/#", false},
		{POLICY_SUBSCRIBE, "#", false},
		{POLICY_SUBSCRIBE, "$SYS/#", false},
		{POLICY_RECEIVE, "cmd/mfrggzdfmztwq2lkobxw4mrq/reboot", true},
		{POLICY_RECEIVE, "dt/mfrggzdfmztwq2lkobxw4mrq/temperature", false},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const struct policy_question q = {
			.action = cases[i].action, .target = cases[i].target, .now_s = NOW};
		if ((policy_check(b, &q) == POLICY_ALLOWED) != cases[i].allowed)
			fail_msg("%s", cases[i].target);
	}
	policy_binding_free(b);
	policy_free(p);
}

/* CPU time, printed, and bounded far above the target of 150 ns: a shared machine is no place for a tight
 * bound. */
static void test_the_cost_of_a_check_with_ten_statements(void **state)
{
	(void)state;
	enum { ROUNDS = 200000, STATEMENTS = 10 };
	struct buf json = {0};
	buf_str(&json, "{\"Version\":\"2012-10-17\",\"Statement\":[");
	for (int i = 0; i < STATEMENTS; i++)
		buf_printf(&json, "%s" S("Allow", "iot:Publish", ARN "topic/dt/" THING "/s%d/*"),
			   i ? "," : "", i);
	buf_str(&json, "]}");
	char *text = buf_take_str(&json);
	struct policy *p = compiled(text);
	struct policy_binding *b = bound(p, &device);
	unsigned allowed = 0;
	clock_t start = clock();
	for (int i = 0; i < ROUNDS; i++)
		allowed += policy_check_publish(b, "dt/mfrggzdfmztwq2lkobxw4mrq/s9/x", false, NOW) ==
			   POLICY_ALLOWED;
	double ns = (double)(clock() - start) * 1e9 / CLOCKS_PER_SEC / ROUNDS;
	printf("%.0f ns a check\n", ns);
	assert_int_equal(allowed, ROUNDS);
	assert_true(ns < 5000);
	policy_binding_free(b);
	policy_free(p);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_vector_agrees),
		cmocka_unit_test(test_refusals_name_place_and_remedy),
		cmocka_unit_test(test_the_size_limit_counts_characters_but_no_white_space),
		cmocka_unit_test(test_minifying_keeps_what_is_inside_strings),
		cmocka_unit_test(test_a_compiled_policy_is_small),
		cmocka_unit_test(test_before_2012_a_variable_is_text),
		cmocka_unit_test(test_actions),
		cmocka_unit_test(test_wildcards_and_escapes),
		cmocka_unit_test(test_region_and_account_count_where_they_are_known),
		cmocka_unit_test(test_a_target_beyond_the_limit_is_denied),
		cmocka_unit_test(test_every_variable),
		cmocka_unit_test(test_without_a_connection_only_is_attached_has_a_value),
		cmocka_unit_test(test_a_thing_is_associated_by_name_or_exclusively),
		cmocka_unit_test(test_substituted_text_is_literal),
		cmocka_unit_test(test_policies_of_a_certificate_are_read_together),
		cmocka_unit_test(test_only_a_policy_that_names_certificate_fields_needs_them),
		cmocka_unit_test(test_retain_needs_both_actions),
		cmocka_unit_test(test_a_will_must_be_publishable),
		cmocka_unit_test(test_a_shared_subscription_is_a_filter_of_its_own),
		cmocka_unit_test(test_the_brokers_own_topics_need_a_resource_that_spells_them),
		cmocka_unit_test(test_the_shipped_policy_keeps_a_device_to_its_own_topics),
		cmocka_unit_test(test_the_cost_of_a_check_with_ten_statements),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
