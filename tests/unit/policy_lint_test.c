/* Each rule of the lint: what it finds, where, and what is left alone. */
#include "common/file.h"
#include "common/policy/policy_lint.h"
#include "policies.h"

struct findings {
	char text[8192]; /* "code place: sentence", one a line */
};

static void take(void *arg, const struct policy_finding *finding)
{
	struct findings *t = arg;
	size_t n = strlen(t->text);
	assert_non_null(finding->rule->remedy);
	snprintf(t->text + n, sizeof t->text - n, "%s %s: %s\n", finding->rule->code, finding->place,
		 finding->text);
}

static struct findings lint(const char *json)
{
	struct findings t = {0};
	struct fault f;
	if (!policy_lint(bytes_str(json), take, &t, &f).ok)
		fail_msg("%s: %s", json, f.text);
	return t;
}

static void assert_found(const char *json, const char *line)
{
	struct findings t = lint(json);
	if (!strstr(t.text, line))
		fail_msg("%s: \"%s\" does not say \"%s\"", json, t.text, line);
}

static void assert_not_found(const char *json, const char *code)
{
	struct findings t = lint(json);
	if (strstr(t.text, code))
		fail_msg("%s: \"%s\" says \"%s\"", json, t.text, code);
}

static void assert_clean(const char *json)
{
	struct findings t = lint(json);
	if (*t.text)
		fail_msg("%s: %s", json, t.text);
}

#define CONNECT S("Allow", "iot:Connect", ARN "client/" THING)
#define WITH(statements) DOCUMENT(CONNECT "," statements)
#define WHERE(effect, action, resource, condition)                                                           \
	"{\"Effect\":\"" effect "\",\"Action\":\"" action "\",\"Resource\":\"" resource                      \
	"\",\"Condition\":{" condition "}}"

static char *file_text(const char *path)
{
	struct buf text = {0};
	struct fault f;
	if (!file_read(path, 65536, &text, &f).ok)
		fail_msg("%s", f.text);
	return buf_take_str(&text);
}

static void test_the_shipped_policies_are_clean(void **state)
{
	(void)state;
	static const char *const paths[] = {"config/policy-default.json", "config/policy-reader.json"};
	for (size_t i = 0; i < 2; i++) {
		char *text = file_text(paths[i]);
		assert_clean(text);
		free(text);
	}
}

static void test_a_document_that_does_not_compile_fails_as_it_does(void **state)
{
	(void)state;
	struct findings t = {0};
	struct fault f;
	assert_false(policy_lint(bytes_str("{}"), take, &t, &f).ok);
	assert_int_equal(f.reason, REASON_POLICY_SYNTAX);
	assert_string_equal(t.text, "");
}

static void test_wide_open(void **state)
{
	(void)state;
	assert_found(STATEMENT("Allow", "iot:*", "*"), "wide-open Statement[0].Resource: ");
	assert_found(STATEMENT("Allow", "*", "arn:aws:iot:*"), "wide-open");
	assert_not_found(STATEMENT("Deny", "*", "*"), "wide-open");
	assert_not_found(STATEMENT("Allow", "iot:Connect", "*"), "wide-open");
	assert_not_found(
		DOCUMENT(WHERE("Allow", "*", "*", "\"Bool\":{\"iot:Connection.Thing.IsAttached\":true}")),
		"wide-open");
}

static void test_client_ids(void **state)
{
	(void)state;
	const char *topics = S("Allow", "iot:Publish", ARN "topic/dt/${iot:ClientId}/x");
	static const char *const open[] = {"*", ARN "client/*", ARN "client/${iot:ClientId}",
					   ARN "client/lamp-?", ARN "*"};
	static const char *const tied[] = {ARN "client/" THING, ARN "client/lamp-1",
					   ARN "client/${iot:Certificate.SerialNumber}-*"};
	char json[1024];
	for (size_t i = 0; i < sizeof open / sizeof *open; i++) {
		snprintf(json, sizeof json, DOCUMENT(S("Allow", "iot:Connect", "%s") ",%s"), open[i], topics);
		assert_found(json, "client-id-hole Statement[0].Resource: ");
		snprintf(json, sizeof json, STATEMENT("Allow", "iot:Connect", "%s"), open[i]);
		assert_found(json, "client-id-open Statement[0].Resource: ");
		assert_not_found(json, "client-id-hole");
	}
	for (size_t i = 0; i < sizeof tied / sizeof *tied; i++) {
		snprintf(json, sizeof json, DOCUMENT(S("Allow", "iot:Connect", "%s") ",%s"), tied[i], topics);
		assert_not_found(json, "client-id");
	}
	assert_not_found(STATEMENT("Deny", "iot:Connect", ARN "client/*"), "client-id");
	assert_not_found(DOCUMENT(WHERE("Allow", "iot:Connect", "*",
					"\"StringEquals\":{\"iot:ClientId\":\"" THING "\"}")),
			 "client-id");
	assert_found(DOCUMENT(WHERE("Allow", "iot:Connect", "*",
				    "\"StringNotEquals\":{\"iot:ClientId\":\"" THING "\"}")),
		     "client-id-open");
	assert_found(DOCUMENT("{\"Effect\":\"Allow\",\"Action\":\"iot:Connect\",\"NotResource\":\"" ARN
			      "client/x\"}"),
		     "client-id-open Statement[0].NotResource: ");
}

static void test_publishing(void **state)
{
	(void)state;
	assert_found(WITH(S("Allow", "iot:Publish", ARN "topic/dt/*") "," S("Allow", "iot:Receive",
									    ARN "topic/dt/" THING "/x")),
		     "publish-to-others Statement[1].Resource: a device may publish to \"dt/*\", which takes "
		     "in every "
		     "other device's \"dt/" THING "/x\"");
	assert_found(WITH(S("Allow", "iot:Publish", ARN "topic/*/x")),
		     "publish-wide Statement[1].Resource: ");
	assert_found(
		WITH("{\"Effect\":\"Allow\",\"Action\":\"iot:Publish\",\"NotResource\":\"" ARN "topic/x\"}"),
		"publish-wide Statement[1].NotResource: ");
	assert_found(WITH(S("Allow", "iot:RetainPublish", ARN "topic/a?")), "publish-wide");
	assert_found(WITH(S("Allow", "iot:Publish", ARN "topic/$aws/things/*")), "publish-wide");
	assert_not_found(WITH(S("Allow", "iot:Publish", ARN "topic/$aws/certificates/create/*")), "publish-");
	assert_not_found(WITH(S("Allow", "iot:Publish", ARN "topic/alarms")), "publish-");
	assert_not_found(WITH(S("Allow", "iot:Publish", ARN "topic/dt/" THING "/*")), "publish-");
	assert_not_found(WITH(S("Allow", "iot:Publish", ARN "topic/*/${iot:CertificateId}")), "publish-");
	assert_not_found(WITH(S("Deny", "iot:Publish", ARN "topic/*")), "publish-");
}

static void test_reading(void **state)
{
	(void)state;
	const char *wide = WITH(S("Allow", "iot:Receive", ARN "topic/*") "," S("Allow", "iot:Publish",
									       ARN "topic/dt/" THING "/*"));
	assert_found(wide, "read-others Statement[1].Resource: ");
	assert_not_found(WITH(S("Allow", "iot:Receive", ARN "topic/*")), "read-others");
	assert_not_found(WITH(S("Allow", "iot:Receive", ARN "topic/cmd/*") "," S("Allow", "iot:Publish",
										 ARN "topic/dt/" THING "/*")),
			 "read-others");
}

static void test_a_wildcard_that_touches_a_name(void **state)
{
	(void)state;
	static const char *const holes[] = {ARN "topic/" THING "*", ARN "topic/x/*" THING "/y",
					    ARN "topic/${iot:ClientId}?", ARN "client/" THING "*"};
	char json[512];
	for (size_t i = 0; i < sizeof holes / sizeof *holes; i++) {
		snprintf(json, sizeof json, STATEMENT("Allow", "*", "%s"), holes[i]);
		assert_found(json, "prefix-hole Statement[0].Resource: ");
		snprintf(json, sizeof json, STATEMENT("Deny", "*", "%s"), holes[i]);
		assert_not_found(json, "prefix-hole");
	}
	assert_not_found(STATEMENT("Allow", "*", ARN "topic/*/" THING "/*"), "prefix-hole");
	assert_not_found(STATEMENT("Allow", "*", ARN "topic/${iot:Connection.Thing.ThingTypeName}*"),
			 "prefix-hole");
}

static void test_a_deny_that_may_not_bite(void **state)
{
	(void)state;
	assert_found(STATEMENT("Deny", "iot:Publish", ARN "topic/" THING "/x"),
		     "deny-never-bites Statement[0].Resource: where ${iot:Connection.Thing.ThingName} has no "
		     "value");
	assert_found(
		DOCUMENT(WHERE("Deny", "*", "*",
			       "\"StringEquals\":{\"iot:Certificate.Subject.Country\":\"US\"}")),
		"deny-never-bites Statement[0].Condition.StringEquals.\"iot:Certificate.Subject.Country\": ");
	assert_not_found(STATEMENT("Deny", "iot:Publish", ARN "topic/${iot:ClientId}/x"), "deny-never-bites");
	assert_not_found(
		DOCUMENT("{\"Effect\":\"Deny\",\"Action\":\"*\",\"NotResource\":\"" ARN "topic/" THING "\"}"),
		"deny-never-bites");
	assert_not_found(DOCUMENT(WHERE("Deny", "*", "*",
					"\"StringNotEquals\":{\"iot:Certificate.Subject.Country\":\"US\"}")),
			 "deny-never-bites");
	assert_not_found(
		DOCUMENT(WHERE("Deny", "*", "*", "\"Null\":{\"iot:Certificate.Subject.Country\":true}")),
		"deny-never-bites");
	assert_not_found(DOCUMENT(WHERE("Deny", "*", "*",
					"\"ForAnyValue:StringEquals\":{\"iot:ConnectAttributes\":"
					"\"PersistentConnect\"}")),
			 "deny-never-bites");
}

static void test_a_condition_that_holds_without_a_value(void **state)
{
	(void)state;
#define COUNTRY "\"iot:Certificate.Subject.Country"
	static const char *const open[] = {"\"StringNotEquals\":{" COUNTRY "\":\"US\"}",
					   "\"StringEqualsIfExists\":{" COUNTRY "\":\"US\"}",
					   "\"ForAllValues:StringEquals\":{" COUNTRY ".List\":\"US\"}"};
	char json[1024];
	for (size_t i = 0; i < sizeof open / sizeof *open; i++) {
		snprintf(json, sizeof json, DOCUMENT(WHERE("Allow", "*", "*", "%s")), open[i]);
		assert_found(json, "absent-allows Statement[0].Condition.");
		snprintf(json, sizeof json,
			 DOCUMENT(WHERE("Allow", "*", "*", "%s,\"Null\":{" COUNTRY "\":\"false\"}")),
			 open[i]);
		assert_not_found(json, "absent-allows");
		snprintf(json, sizeof json, DOCUMENT(WHERE("Deny", "*", "*", "%s")), open[i]);
		assert_not_found(json, "absent-allows");
	}
	assert_not_found(DOCUMENT(WHERE("Allow", "*", "*", "\"StringEquals\":{" COUNTRY "\":\"US\"}")),
			 "absent-allows");
	assert_not_found(DOCUMENT(WHERE("Allow", "*", "*", "\"StringNotEquals\":{\"iot:ClientId\":\"x\"}")),
			 "absent-allows");
}

static void test_a_filter_that_is_denied_by_its_text(void **state)
{
	(void)state;
	const char *deny = S("Deny", "iot:Subscribe", ARN "topicfilter/a/restricted/*");
	char json[1024];
	snprintf(json, sizeof json, WITH("%s"), deny);
	assert_found(json, "deny-filter-text Statement[1].Resource: ");
	snprintf(json, sizeof json, WITH("%s," S("Deny", "iot:Receive", ARN "topic/a/restricted/*")), deny);
	assert_not_found(json, "deny-filter-text");
	snprintf(json, sizeof json, WITH("%s," S("Deny", "iot:Receive", ARN "topic/a/restricted/x")), deny);
	assert_found(json, "deny-filter-text");
	assert_not_found(STATEMENT("Deny", "iot:Subscribe", ARN "topicfilter/*"), "deny-filter-text");
}

static void test_statements_that_others_make_needless(void **state)
{
	(void)state;
	const char *allow = S("Allow", "iot:Publish", ARN "topic/a/b*");
	static const struct {
		const char *other, *line; /* NULL: nothing */
	} cases[] = {
		{S("Deny", "iot:*", ARN "topic/a/*"), "unreachable Statement[1]: Statement[0] denies all"},
		{S("Deny", "*", "*"), "unreachable Statement[1]: "},
		{S("Allow", "iot:Publish", ARN "topic/a/b*"),
		 "redundant Statement[1]: Statement[0] says all"},
		{S("Allow", "iot:Publish", ARN "topic/*"), "redundant Statement[1]: "},
		{S("Deny", "iot:Publish", ARN "topic/a/c*"), NULL},
		{S("Deny", "iot:Publish", ARN "topic/a/b?"), NULL},
		{S("Deny", "iot:Publish", "arn:aws:iot:eu-west-1:*:topic/*"), NULL},
		{S("Deny", "iot:Receive", ARN "topic/a/*"), NULL},
		{S("Allow", "iot:Publish", ARN "topic/a/b"), "redundant Statement[0]: Statement[1] says all"},
		{WHERE("Deny", "*", "*", "\"Bool\":{\"iot:Connection.Thing.IsAttached\":true}"), NULL},
		{"{\"Effect\":\"Deny\",\"Action\":\"*\",\"NotResource\":\"" ARN "topic/x\"}", NULL},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char json[1024];
		snprintf(json, sizeof json, DOCUMENT("%s,%s"), cases[i].other, allow);
		if (cases[i].line) {
			assert_found(json, cases[i].line);
			continue;
		}
		assert_not_found(json, "unreachable");
		assert_not_found(json, "redundant");
	}
	/* The same variable stands for the same; a wildcard for every value. */
	assert_found(DOCUMENT(S("Deny", "*", ARN "topic/" THING "/*") "," S("Allow", "*",
									    ARN "topic/" THING "/x")),
		     "unreachable");
	assert_found(DOCUMENT(S("Deny", "*", ARN "topic/*") "," S("Allow", "*", ARN "topic/" THING "/x")),
		     "unreachable");
	assert_not_found(
		DOCUMENT(S("Deny", "*", ARN "topic/" THING "/*") "," S("Allow", "*", ARN "topic/*/x")),
		"unreachable");
	assert_found(
		DOCUMENT(S("Deny", "*", "*") ",{\"Effect\":\"Allow\",\"Action\":\"*\",\"NotResource\":\"" ARN
					     "topic/x\"}"),
		"unreachable Statement[1]");
}

static void test_what_cannot_match(void **state)
{
	(void)state;
	assert_found(WITH(S("Allow", "iot:Subscribe", ARN "topic/a")),
		     "never-matches Statement[1].Resource: \"topic/\" is not what");
	assert_found(WITH(S("Allow", "iot:Publish", ARN "topicfilter/a")), "never-matches");
	assert_found(WITH(S("Allow", "iot:Connect", ARN "topic/a")), "iot:Connect is about client/");
	assert_found(WITH(S("Allow", "iot:Publish", ARN "topic/a/+/b")),
		     "never-matches Statement[1].Resource: ");
	assert_found(WITH(S("Allow", "iot:Receive", ARN "topic/a/#")), "never-matches");
	assert_not_found(WITH(S("Allow", "iot:Subscribe", ARN "topicfilter/a/+/#")), "never-matches");
	assert_not_found(WITH(S("Allow", "iot:*", ARN "topic/a")), "never-matches");
	assert_found(
		DOCUMENT(WHERE("Allow", "iot:Publish", "*",
			       "\"ForAnyValue:StringEquals\":{\"iot:ConnectAttributes\":\"LastWill\"}")),
		"never-matches Statement[0].Condition.ForAnyValue:StringEquals.\"iot:ConnectAttributes\": ");
	assert_found(DOCUMENT(WHERE("Allow", "iot:Publish", "*", "\"StringEquals\":{\"iot:ClientId\":[]}")),
		     "never-matches Statement[0].Condition.StringEquals");
	assert_not_found(DOCUMENT(WHERE("Allow", "iot:Connect", "*",
					"\"ForAllValues:StringEquals\":{\"iot:ConnectAttributes\":[]}")),
			 "never-matches");
}

static void test_what_brokers_do_not_know(void **state)
{
	(void)state;
	assert_found(WITH(S("Allow", "iot:Publish", ARN "topic/${iot:DomainName}")),
		     "no-value-here Statement[1].Resource: ");
	assert_not_found(
		WITH(S("Allow", "iot:Publish", ARN "topic/${iot:Connection.Thing.Attributes[floor]}")),
		"no-value-here");
	assert_not_found(DOCUMENT(WHERE("Allow", "*", "*",
					"\"StringEquals\":{\"iot:Connection.Thing.ThingTypeName\":\"x\"}")),
			 "no-value-here");
	assert_found(
		DOCUMENT(WHERE("Allow", "*", "*", "\"StringNotEquals\":{\"iot:DomainName\":\"x\"}")),
		"no-value-here Statement[0].Condition.StringNotEquals.\"iot:DomainName\": brokers do not know "
		"iot:DomainName (Mosquitto does not tell it): the condition can only hold");
	assert_found(
		DOCUMENT(WHERE("Allow", "*", "*", "\"StringEquals\":{\"iot:DomainName\":\"x\"}")),
		"no-value-here Statement[0].Condition.StringEquals.\"iot:DomainName\": brokers do not know "
		"iot:DomainName (Mosquitto does not tell it): the condition can never hold");
	assert_found(
		DOCUMENT(WHERE("Allow", "iot:Connect", "*", "\"ArnEquals\":{\"iot:LastWillTopic\":\"*\"}")),
		"will-late Statement[0].Condition.ArnEquals.\"iot:LastWillTopic\": ");
	assert_found(
		DOCUMENT(WHERE(
			"Allow", "iot:Connect", "*",
			"\"ForAllValues:StringEquals\":{\"iot:ConnectAttributes\":[\"x\",\"LastWill\"]}")),
		"will-late");
	assert_not_found(
		DOCUMENT(WHERE(
			"Allow", "iot:Connect", "*",
			"\"ForAllValues:StringEquals\":{\"iot:ConnectAttributes\":[\"PersistentConnect\"]}")),
		"will-late");
}

static void test_actions(void **state)
{
	(void)state;
	assert_found(DOCUMENT("{\"Effect\":\"Allow\",\"Action\":[\"iot:Connect\",\"iot:Publihs\"],"
			      "\"Resource\":\"" ARN "topic/a\"}"),
		     "unknown-action Statement[0].Action[1]: AWS IoT has no action iot:Publihs");
	assert_found(STATEMENT("Allow", "iot:GetThingShadow", "*"), "not-mqtt Statement[0].Action: ");
	assert_found(STATEMENT("Allow", "greengrass:Discover", "*"), "not-mqtt Statement[0].Action: ");
	assert_found(
		"{\"Statement\":{\"Effect\":\"Allow\",\"NotAction\":\"iot:Nothing\",\"Resource\":\"*\"}}",
		"unknown-action Statement.NotAction: ");
	assert_not_found(STATEMENT("Allow", "IOT:publish", "*"), "action");
	assert_not_found(STATEMENT("Allow", "iot:*Shadow", "*"), "action");
	assert_not_found(STATEMENT("Allow", "greengrass:*", "*"), "not-mqtt");
}

static void test_documents_as_a_whole(void **state)
{
	(void)state;
	assert_found("{\"Statement\":{\"Effect\":\"Allow\",\"Action\":\"iot:Connect\",\"Resource\":\"" ARN
		     "client/" THING "\"}}",
		     "no-version Version: ");
	assert_not_found(STATEMENT("Allow", "iot:Connect", ARN "client/" THING), "no-version");
	assert_not_found("{\"Statement\":{\"Effect\":\"Allow\",\"Action\":\"iot:Connect\",\"Resource\":\"" ARN
			 "client/a\"}}",
			 "no-version");
	assert_found(WITH(S("Allow", "iot:Subscribe", ARN "topicfilter/a")), "no-receive Statement[1]: ");
	assert_not_found(WITH(S("Allow", "iot:Subscribe", ARN "topicfilter/a") "," S("Allow", "iot:Receive",
										     ARN "topic/a")),
			 "no-receive");
	assert_found(STATEMENT("Allow", "iot:Publish", ARN "topic/a"), "no-connect Statement[0]: ");
	assert_not_found(WITH(S("Allow", "iot:Publish", ARN "topic/a")), "no-connect");
}

/* The table is what docs/policy.md lists. */
static void test_every_rule_is_in_the_operators_page(void **state)
{
	(void)state;
	char *page = file_text("docs/policy.md"), row[64];
	for (const struct policy_rule *r = policy_rules; r->code; r++) {
		assert_true(r->about && r->remedy);
		assert_true(r == policy_rules || r->severity <= r[-1].severity);
		snprintf(row, sizeof row, "| `%s` |", r->code);
		if (!strstr(page, row))
			fail_msg("docs/policy.md has no row for %s", r->code);
	}
	free(page);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_shipped_policies_are_clean),
		cmocka_unit_test(test_a_document_that_does_not_compile_fails_as_it_does),
		cmocka_unit_test(test_wide_open),
		cmocka_unit_test(test_client_ids),
		cmocka_unit_test(test_publishing),
		cmocka_unit_test(test_reading),
		cmocka_unit_test(test_a_wildcard_that_touches_a_name),
		cmocka_unit_test(test_a_deny_that_may_not_bite),
		cmocka_unit_test(test_a_condition_that_holds_without_a_value),
		cmocka_unit_test(test_a_filter_that_is_denied_by_its_text),
		cmocka_unit_test(test_statements_that_others_make_needless),
		cmocka_unit_test(test_what_cannot_match),
		cmocka_unit_test(test_what_brokers_do_not_know),
		cmocka_unit_test(test_actions),
		cmocka_unit_test(test_documents_as_a_whole),
		cmocka_unit_test(test_every_rule_is_in_the_operators_page),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
