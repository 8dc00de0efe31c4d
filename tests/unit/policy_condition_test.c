/* Conditions: each operator, each set, what an absent key means, and what is refused where. */
#include "policies.h"

static const struct policy_attribute attributes[] = {
	{"number", "42"}, {"fraction", "-7.5"},		{"time", "2027-01-15T09:00:00+01:00"},
	{"word", "Lamp"}, {"address", "10.1.2.3"},	{"yes", "true"},
	{"star", "a*c"},  {"long", "1234567890123456"},
};
static const struct policy_attribute fields[] = {
	{"Subject.Organization", "Acme"},
	{"Subject.Organization", "Example Corp"},
	{"Subject.CommonName", "lamp"},
	{"SerialNumber", "7"},
};
static const struct policy_connection lamp = {
	.client_id = "lamp-1",
	.certificate_id = "c0ffee",
	.source_ip = "192.0.2.9",
	.thing = {"lamp-1", "lamps", attributes, sizeof attributes / sizeof *attributes, .attached = true},
	.certificate = fields,
	.certificate_count = sizeof fields / sizeof *fields,
	.region = "eu-west-1",
	.account = "1",
};

/* Does the condition hold, for a statement with this effect? */
static bool holds_for(const char *effect, const char *condition, const struct policy_connection *c,
		      const struct policy_question *q)
{
	char json[1024];
	snprintf(json, sizeof json,
		 DOCUMENT(S("Allow", "iot:Publish",
			    "*") ",{\"Effect\":\"%s\",\"Action\":\"iot:%s\",\"Resource\":\"*\","
				 "\"Condition\":%s}"),
		 effect, q->action == POLICY_CONNECT ? "Connect" : "Receive", condition);
	struct policy *p = compiled(json);
	struct policy_binding *b = bound(p, c);
	enum policy_decision d = policy_check(b, q);
	policy_binding_free(b);
	policy_free(p);
	return d == (*effect == 'D' ? POLICY_EXPLICIT_DENY : POLICY_ALLOWED);
}

static bool holds(const char *condition)
{
	const struct policy_question q = {.action = POLICY_RECEIVE, .target = "a", .now_s = NOW};
	return holds_for("Allow", condition, &lamp, &q);
}

/* The operator with one key and one value, and both effects: nothing is unknown here. */
static void assert_holds(bool expected, const char *operator, const char * key, const char *value)
{
	const struct policy_question q = {.action = POLICY_RECEIVE, .target = "a", .now_s = NOW};
	char condition[512];
	snprintf(condition, sizeof condition, "{\"%s\":{\"%s\":%s}}", operator, key, value);
	if (holds_for("Allow", condition, &lamp, &q) != expected)
		fail_msg("Allow: %s", condition);
	if (holds_for("Deny", condition, &lamp, &q) != expected)
		fail_msg("Deny: %s", condition);
}

#define ATTRIBUTE(name) "iot:Connection.Thing.Attributes[" name "]"

struct expectation {
	const char *operator, * value;
	bool holds;
};

static void check_all(const char *key, const struct expectation *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		assert_holds(list[i].holds, list[i].operator, key, list[i].value);
}
#define CHECK_ALL(key, list) check_all(key, list, sizeof(list) / sizeof *(list))

static void test_string_operators(void **state)
{
	(void)state;
	static const struct expectation word[] = {
		{"StringEquals", "\"Lamp\"", true},
		{"StringEquals", "\"lamp\"", false},
		{"StringEquals", "\"L*\"", false},
		{"StringEquals", "[\"x\",\"Lamp\"]", true},
		{"StringEquals", "[]", false},
		{"StringNotEquals", "\"Lamp\"", false},
		{"StringNotEquals", "\"lamp\"", true},
		{"StringNotEquals", "[\"x\",\"Lamp\"]", false},
		{"StringNotEquals", "[\"x\",\"y\"]", true},
		{"StringNotEquals", "[]", true},
		{"StringEqualsIgnoreCase", "\"lAMP\"", true},
		{"StringEqualsIgnoreCase", "\"lamps\"", false},
		{"StringEqualsIgnoreCase", "\"lam\"", false},
		{"StringEqualsIgnoreCase", "\"l*\"", false},
		{"StringNotEqualsIgnoreCase", "\"lAMP\"", false},
		{"StringNotEqualsIgnoreCase", "\"x\"", true},
		{"StringLike", "\"L*\"", true},
		{"StringLike", "\"L??p\"", true},
		{"StringLike", "\"l*\"", false},
		{"StringLike", "\"${*}\"", false},
		{"StringNotLike", "\"L*\"", false},
		{"StringNotLike", "\"x*\"", true},
	};
	CHECK_ALL(ATTRIBUTE("word"), word);
	assert_holds(true, "StringEquals", ATTRIBUTE("star"), "\"a*c\"");
	assert_holds(true, "StringEquals", ATTRIBUTE("star"), "\"a${*}c\"");
	assert_holds(true, "StringLike", ATTRIBUTE("star"), "\"a${*}c\"");
	assert_holds(false, "StringLike", ATTRIBUTE("word"), "\"L${*}\"");
	/* What is no string in the document is compared as it would be written. */
	assert_holds(true, "StringEquals", ATTRIBUTE("number"), "42");
	assert_holds(true, "StringEquals", ATTRIBUTE("yes"), "true");
	assert_holds(true, "StringEquals", ATTRIBUTE("fraction"), "-7.5");
}

static void test_values_may_name_variables(void **state)
{
	(void)state;
	assert_holds(true, "StringEquals", "iot:ClientId", "\"" THING "\"");
	assert_holds(false, "StringEquals", "iot:ClientId", "\"x" THING "\"");
	assert_holds(true, "StringLike", "iot:ClientId", "\"${iot:Certificate.Subject.CommonName}-*\"");
	assert_holds(true, "StringEqualsIgnoreCase", "iot:ClientId", "\"" THING "\"");
	assert_holds(false, "StringEquals", "iot:ClientId", "\"" ATTRIBUTE("none") "\"");
}

static void test_a_value_without_a_value_never_allows_and_never_saves_from_a_deny(void **state)
{
	(void)state;
	static const struct {
		const char *condition;
		bool allows, denies;
	} cases[] = {
		{"{\"StringEquals\":{\"iot:ClientId\":\"${" ATTRIBUTE("none") "}\"}}", false, false},
		{"{\"StringEquals\":{\"iot:ClientId\":[\"${" ATTRIBUTE("none") "}\",\"lamp-1\"]}}", true,
		 true},
		{"{\"StringNotEquals\":{\"iot:ClientId\":\"${" ATTRIBUTE("none") "}\"}}", false, true},
		{"{\"StringNotLike\":{\"iot:ClientId\":[\"x\",\"*${" ATTRIBUTE("none") "}\"]}}", false, true},
		{"{\"StringNotLike\":{\"iot:ClientId\":[\"l*\",\"*${" ATTRIBUTE("none") "}\"]}}", false,
		 false},
		/* Not of the operator's kind. */
		{"{\"NumericEquals\":{\"" ATTRIBUTE("word") "\":1}}", false, false},
		{"{\"NumericNotEquals\":{\"" ATTRIBUTE("word") "\":1}}", false, true},
		{"{\"NumericNotEquals\":{\"" ATTRIBUTE("long") "\":1}}", false, true},
		{"{\"DateNotEquals\":{\"" ATTRIBUTE("word") "\":\"2027-01-15\"}}", false, true},
		{"{\"Bool\":{\"" ATTRIBUTE("word") "\":\"false\"}}", false, false},
		{"{\"NotIpAddress\":{\"" ATTRIBUTE("word") "\":\"10.0.0.0/8\"}}", false, true},
	};
	const struct policy_question q = {.action = POLICY_RECEIVE, .target = "a", .now_s = NOW};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		if (holds_for("Allow", cases[i].condition, &lamp, &q) != cases[i].allows)
			fail_msg("Allow: %s", cases[i].condition);
		if (holds_for("Deny", cases[i].condition, &lamp, &q) != cases[i].denies)
			fail_msg("Deny: %s", cases[i].condition);
	}
}

static void test_numeric_operators(void **state)
{
	(void)state;
	static const struct expectation number[] = {
		{"NumericEquals", "42", true},
		{"NumericEquals", "\"42\"", true},
		{"NumericEquals", "\"+42.0\"", true},
		{"NumericEquals", "42.5", false},
		{"NumericEquals", "[1,42]", true},
		{"NumericNotEquals", "42", false},
		{"NumericNotEquals", "41", true},
		{"NumericLessThan", "42", false},
		{"NumericLessThan", "43", true},
		{"NumericLessThanEquals", "42", true},
		{"NumericLessThanEquals", "41.999", false},
		{"NumericGreaterThan", "42", false},
		{"NumericGreaterThan", "-43", true},
		{"NumericGreaterThanEquals", "42", true},
		{"NumericGreaterThanEquals", "43", false},
	};
	CHECK_ALL(ATTRIBUTE("number"), number);
	assert_holds(true, "NumericEquals", ATTRIBUTE("fraction"), "\"-7.50\"");
	assert_holds(true, "NumericLessThan", ATTRIBUTE("fraction"), "-7.4");
	assert_holds(true, "NumericEquals", "iot:Certificate.SerialNumber", "7");
}

static void test_date_operators(void **state)
{
	(void)state;
	static const struct expectation now[] = {
		{"DateEquals", "\"2027-01-15T08:00:00Z\"", true},
		{"DateEquals", "1800000000", true},
		{"DateEquals", "\"1800000000\"", true},
		{"DateEquals", "\"2027-01-15T08:00:00.000Z\"", true},
		{"DateEquals", "\"2027-01-15T08:00:00.001Z\"", false},
		{"DateEquals", "\"2027-01-15T09:30:00+01:30\"", true},
		{"DateEquals", "\"2027-01-15T00:00-08:00\"", true},
		{"DateEquals", "\"2027-01-15\"", false},
		{"DateNotEquals", "1800000000", false},
		{"DateNotEquals", "\"2027-01-15\"", true},
		{"DateLessThan", "\"2027-01-15T08:00:00Z\"", false},
		{"DateLessThan", "\"2027-01-16\"", true},
		{"DateLessThanEquals", "\"2027-01-15T08:00:00Z\"", true},
		{"DateLessThanEquals", "\"2027-01-15\"", false},
		{"DateGreaterThan", "\"2027-01-15\"", true},
		{"DateGreaterThan", "\"2027-01-15T08:00:00Z\"", false},
		{"DateGreaterThanEquals", "1800000000", true},
		{"DateGreaterThanEquals", "1800000001", false},
	};
	CHECK_ALL("aws:CurrentTime", now);
	CHECK_ALL("aws:EpochTime", now);
	CHECK_ALL(ATTRIBUTE("time"), now);
	assert_holds(true, "NumericLessThan", "aws:EpochTime", "1800000001");
	assert_holds(false, "NumericEquals", "aws:EpochTime", "1800000001");
}

/* The time is asked for with each question, not when the connection was made. */
static void test_time_passes(void **state)
{
	(void)state;
	struct policy *p = compiled(DOCUMENT("{\"Effect\":\"Allow\",\"Action\":\"iot:*\",\"Resource\":\"*\","
					     "\"Condition\":{\"DateLessThan\":"
					     "{\"aws:CurrentTime\":\"2027-01-15T08:00:00Z\"},\"Bool\":{\"iot:"
					     "Connection.Thing.IsAttached\":true}}}"));
	struct policy_binding *b = bound(p, &lamp);
	assert_int_equal(policy_check_publish(b, "a", false, NOW - 1), POLICY_ALLOWED);
	assert_int_equal(policy_check_publish(b, "a", false, NOW), POLICY_IMPLICIT_DENY);
	assert_int_equal(policy_check_publish(b, "a", false, 0), POLICY_IMPLICIT_DENY);
	policy_binding_free(b);
	policy_free(p);
}

static void test_bool(void **state)
{
	(void)state;
	static const struct expectation attached[] = {
		{"Bool", "\"true\"", true},   {"Bool", "true", true},	    {"Bool", "\"True\"", true},
		{"Bool", "\"false\"", false}, {"Bool", "[\"true\"]", true}, {"Bool", "[false,true]", true},
	};
	CHECK_ALL("iot:Connection.Thing.IsAttached", attached);
	assert_holds(true, "Bool", ATTRIBUTE("yes"), "true");
	assert_holds(false, "Bool", ATTRIBUTE("none"), "true");
	assert_holds(false, "Bool", ATTRIBUTE("none"), "false");
}

static bool from(const char *address, const char *network)
{
	char condition[256];
	struct policy_connection c = {.client_id = "c", .source_ip = address};
	const struct policy_question q = {.action = POLICY_RECEIVE, .target = "a", .now_s = NOW};
	snprintf(condition, sizeof condition, "{\"IpAddress\":{\"aws:SourceIp\":%s}}", network);
	bool in = holds_for("Allow", condition, &c, &q);
	snprintf(condition, sizeof condition, "{\"NotIpAddress\":{\"aws:SourceIp\":%s}}", network);
	assert_true(holds_for("Allow", condition, &c, &q) == !in);
	return in;
}

static void test_addresses(void **state)
{
	(void)state;
	static const struct {
		const char *address, *network;
		bool in;
	} cases[] = {
		{"192.0.2.9", "\"192.0.2.0/24\"", true},
		{"192.0.3.9", "\"192.0.2.0/24\"", false},
		{"192.0.2.9", "\"192.0.2.9\"", true},
		{"192.0.2.9", "\"192.0.2.8\"", false},
		{"192.0.2.9", "\"192.0.2.8/31\"", true},
		{"192.0.2.10", "\"192.0.2.8/31\"", false},
		{"192.0.2.9", "\"0.0.0.0/0\"", true},
		{"2001:db8::1", "\"0.0.0.0/0\"", false},
		{"192.0.2.9", "\"::/0\"", true},
		{"192.0.2.200", "\"192.0.2.129/25\"", true},
		{"::ffff:192.0.2.9", "\"192.0.2.0/24\"", true},
		{"192.0.2.9", "\"::ffff:192.0.2.0/120\"", true},
		{"2001:db8::1", "\"2001:db8::/32\"", true},
		{"2001:db9::1", "\"2001:db8::/32\"", false},
		{"2001:db8::1", "[\"192.0.2.0/24\",\"2001:db8::1\"]", true},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		if (from(cases[i].address, cases[i].network) != cases[i].in)
			fail_msg("%s in %s", cases[i].address, cases[i].network);
	assert_holds(true, "IpAddress", ATTRIBUTE("address"), "\"10.0.0.0/8\"");
}

static bool connects(const char *condition, const struct policy_connect *packet)
{
	const struct policy_question q = {
		.action = POLICY_CONNECT, .target = "lamp-1", .now_s = NOW, .packet = packet};
	return holds_for("Allow", condition, &lamp, &q);
}

static void test_arn_operators_look_at_the_will(void **state)
{
	(void)state;
	static const struct {
		const char *arn, *will;
		bool equal;
	} cases[] = {
		{"arn:aws:iot:eu-west-1:1:topic/a/b", "a/b", true},
		{"arn:aws:iot:eu-west-1:1:topic/a/*", "a/b", true},
		{"arn:aws:iot:us-east-1:1:topic/a/b", "a/b", false},
		{"arn:aws:iot:eu-west-1:1:topic/a", "a/b", false},
		{"arn:aws:iot:*:*:topic/" THING, "lamp-1", true},
		{"arn:aws:iot:*:*:topic/" THING, "lamp-2", false},
		{"arn:aws:iot:*:*:client/a", "a", false},
		{"arn:aws:s3:*:*:topic/a", "a", false},
		{"*", "a", true},
	};
	static const char *const operators[] = {"ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike"};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		for (size_t o = 0; o < 4; o++) {
			char condition[256];
			const struct policy_connect packet = {.will_topic = cases[i].will};
			snprintf(condition, sizeof condition, "{\"%s\":{\"iot:LastWillTopic\":\"%s\"}}",
				 operators[o], cases[i].arn);
			if (connects(condition, &packet) != (cases[i].equal ^ (o >= 2)))
				fail_msg("%s with %s", condition, cases[i].will);
		}
	const struct policy_connect plain = {0};
	assert_false(connects("{\"ArnEquals\":{\"iot:LastWillTopic\":\"*\"}}", &plain));
	assert_true(connects("{\"ArnNotEquals\":{\"iot:LastWillTopic\":\"*\"}}", &plain));
	assert_true(connects("{\"ArnEqualsIfExists\":{\"iot:LastWillTopic\":\"arn:aws:iot:*:*:topic/a\"}}",
			     &plain));
	assert_true(connects("{\"Null\":{\"iot:LastWillTopic\":\"true\"}}", &plain));
}

static void test_connect_attributes_are_of_connect_alone(void **state)
{
	(void)state;
	static const char any[] =
		"{\"ForAnyValue:StringEquals\":{\"iot:ConnectAttributes\":\"PersistentConnect\"}}";
	static const char all[] =
		"{\"ForAllValues:StringEquals\":{\"iot:ConnectAttributes\":\"PersistentConnect\"}}";
	const struct policy_connect persistent = {.persistent = true}, plain = {0},
				    both = {.persistent = true, .will_topic = "a"};
	assert_true(connects(any, &persistent));
	assert_true(connects(any, &both));
	assert_false(connects(any, &plain));
	assert_true(connects(all, &persistent));
	assert_false(connects(all, &both));
	assert_true(connects(all, &plain));
	assert_true(connects("{\"Null\":{\"iot:ConnectAttributes\":true}}", &plain));
	assert_false(connects("{\"Null\":{\"iot:ConnectAttributes\":true}}", &both));
	assert_false(holds(any));
	assert_true(holds(all));
}

static void test_null(void **state)
{
	(void)state;
	assert_holds(true, "Null", "iot:ClientId", "\"false\"");
	assert_holds(false, "Null", "iot:ClientId", "\"true\"");
	assert_holds(false, "Null", ATTRIBUTE("none"), "false");
	assert_holds(true, "Null", ATTRIBUTE("none"), "true");
	assert_holds(true, "Null", "iot:Certificate.Subject.Organization.List", "false");
	assert_holds(true, "Null", "iot:Certificate.Subject.Country.List", "true");
}

static void test_sets(void **state)
{
	(void)state;
	static const struct expectation list[] = {
		{"ForAllValues:StringEquals", "[\"Acme\",\"Example Corp\",\"x\"]", true},
		{"ForAllValues:StringEquals", "\"Acme\"", false},
		{"ForAllValues:StringEquals", "[]", false},
		{"ForAllValues:StringNotEquals", "\"Acme\"", false},
		{"ForAllValues:StringNotEquals", "\"x\"", true},
		{"ForAnyValue:StringEquals", "\"Acme\"", true},
		{"ForAnyValue:StringEquals", "\"x\"", false},
		{"ForAnyValue:StringEquals", "[]", false},
		{"ForAnyValue:StringNotEquals", "\"Acme\"", true},
		{"ForAnyValue:StringNotEquals", "[\"Acme\",\"Example Corp\"]", false},
		{"ForAnyValue:StringLike", "\"Ex*\"", true},
		{"ForAllValues:StringLike", "[\"Ex*\",\"A*\"]", true},
	};
	CHECK_ALL("iot:Certificate.Subject.Organization.List", list);
	assert_holds(true, "ForAnyValue:StringEquals", "iot:Certificate.AvailableKeys",
		     "\"iot:Certificate.Subject.CommonName\"");
	assert_holds(false, "ForAnyValue:StringEquals", "iot:Certificate.AvailableKeys",
		     "\"iot:Certificate.Subject.Country\"");
	/* A key with one value is a set of one. */
	assert_holds(true, "ForAnyValue:StringEquals", "iot:ClientId", "\"lamp-1\"");
	assert_holds(false, "ForAllValues:StringEquals", "iot:ClientId", "\"x\"");
}

static void test_an_absent_key(void **state)
{
	(void)state;
	static const struct expectation absent[] = {
		{"StringEquals", "\"x\"", false},
		{"StringNotEquals", "\"x\"", true},
		{"StringEqualsIfExists", "\"x\"", true},
		{"StringNotLikeIfExists", "\"x\"", true},
		{"NumericLessThan", "1", false},
		{"NumericNotEquals", "1", true},
		{"DateGreaterThanIfExists", "1", true},
		{"BoolIfExists", "true", true},
		{"NotIpAddress", "\"::/0\"", true},
		{"IpAddressIfExists", "\"::/0\"", true},
		{"ForAllValues:StringEquals", "\"x\"", true},
		{"ForAllValues:StringNotEquals", "\"x\"", true},
		{"ForAnyValue:StringEquals", "\"x\"", false},
		{"ForAnyValue:StringNotEquals", "\"x\"", false},
		{"ForAnyValue:StringEqualsIfExists", "\"x\"", true},
	};
	CHECK_ALL(ATTRIBUTE("none"), absent);
	assert_holds(false, "StringEqualsIfExists", ATTRIBUTE("word"), "\"x\"");
	assert_holds(true, "StringEqualsIfExists", ATTRIBUTE("word"), "\"Lamp\"");
}

static void test_all_keys_and_all_operators_must_hold(void **state)
{
	(void)state;
	assert_true(holds("{}"));
	assert_true(holds("{\"StringEquals\":{}}"));
	assert_true(holds("{\"StringEquals\":{\"iot:ClientId\":\"lamp-1\",\"aws:SourceIp\":\"192.0.2.9\"},"
			  "\"Bool\":{\"iot:Connection.Thing.IsAttached\":true}}"));
	assert_false(
		holds("{\"StringEquals\":{\"iot:ClientId\":\"lamp-1\",\"aws:SourceIp\":\"192.0.2.8\"}}"));
	assert_false(holds("{\"StringEquals\":{\"iot:ClientId\":\"lamp-1\"},"
			   "\"Bool\":{\"iot:Connection.Thing.IsAttached\":false}}"));
}

static void test_before_2012_values_have_no_variables(void **state)
{
	(void)state;
	const char *json =
		"{\"Statement\":{\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"*\",\"Condition\":"
		"{\"StringEquals\":{\"iot:ClientId\":\"${iot:ClientId}\"}}}}";
	struct policy_connection c = {.client_id = "${iot:ClientId}"};
	assert_int_equal(ask(json, POLICY_PUBLISH, "a", &lamp), POLICY_IMPLICIT_DENY);
	assert_int_equal(ask(json, POLICY_PUBLISH, "a", &c), POLICY_ALLOWED);
}

static void test_refusals_name_place_and_remedy(void **state)
{
	(void)state;
	static const struct {
		const char *condition, *place, *remedy;
	} cases[] = {
		{"[]", "Statement[0].Condition: ", "write {\"OPERATOR\""},
		{"{\"StringEquals\":[]}", "Statement[0].Condition.StringEquals: ", "write {\"KEY\""},
		{"{\"stringEquals\":{\"iot:ClientId\":\"x\"}}",
		 "Statement[0].Condition.stringEquals.\"iot:ClientId\": ", "write for instance StringEquals"},
		{"{\"BinaryEquals\":{\"iot:ClientId\":\"x\"}}",
		 "Condition.BinaryEquals.\"iot:ClientId\": ", "no operator of IAM"},
		{"{\"ForSomeValue:StringEquals\":{\"iot:ClientId\":\"x\"}}",
		 "Condition.ForSomeValue:StringEquals", "no operator of IAM"},
		{"{\"IfExists\":{\"iot:ClientId\":\"x\"}}", "Condition.IfExists", "no operator of IAM"},
		{"{\"NullIfExists\":{\"iot:ClientId\":true}}", "Condition.NullIfExists", "write \"Null\""},
		{"{\"ForAnyValue:Null\":{\"iot:ClientId\":true}}", "Condition.ForAnyValue:Null",
		 "write \"Null\""},
		{"{\"StringEquals\":{\"aws:UserAgent\":\"x\"}}",
		 "Condition.StringEquals.\"aws:UserAgent\": ", "docs/policy.md lists them"},
		{"{\"StringEquals\":{\"iot:Certificate.Subject.Nickname\":\"x\"}}",
		 "Nickname\": ", "is no key"},
		{"{\"StringEquals\":{\"iot:Certificate.Subject.Country.10\":\"x\"}}",
		 "Country.10\": ", "is no key"},
		{"{\"StringEquals\":{\"iot:Connection.Thing.Attributes[]\":\"x\"}}",
		 "Attributes[]\": ", "is no key"},
		{"{\"StringEquals\":{\"iot:ConnectAttributes\":\"x\"}}",
		 "\"iot:ConnectAttributes\": ", "write ForAllValues: or ForAnyValue: before StringEquals"},
		{"{\"StringLike\":{\"iot:Certificate.Subject.Country.List\":\"x\"}}",
		 "Country.List\": ", "write ForAllValues:"},
		{"{\"StringEquals\":{\"iot:LastWillTopic\":\"x\"}}",
		 "\"iot:LastWillTopic\": ", "write ArnEquals"},
		{"{\"ArnEquals\":{\"iot:ClientId\":\"*\"}}", "\"iot:ClientId\": ", "write ArnEquals for it"},
		{"{\"ArnEquals\":{\"iot:LastWillTopic\":\"topic/a\"}}",
		 "\"iot:LastWillTopic\": ", "write \"arn:aws:iot"},
		{"{\"StringEquals\":{\"aws:CurrentTime\":\"x\"}}",
		 "\"aws:CurrentTime\": ", "write DateLessThan"},
		{"{\"NumericEquals\":{\"aws:CurrentTime\":1}}",
		 "\"aws:CurrentTime\": ", "write DateLessThan"},
		{"{\"StringEquals\":{\"iot:ClientId\":null}}", "\"iot:ClientId\": ", "write a string"},
		{"{\"StringEquals\":{\"iot:ClientId\":[\"a\",{}]}}",
		 "\"iot:ClientId\"[1]: ", "write a string"},
		{"{\"StringEquals\":{\"iot:ClientId\":\"${iot:Nobody}\"}}",
		 "\"iot:ClientId\": ", "is no key"},
		{"{\"StringEquals\":{\"iot:ClientId\":\"${iot:ConnectAttributes}\"}}",
		 "\"iot:ClientId\": ", "no text of its own"},
		{"{\"NumericEquals\":{\"iot:ClientId\":[1,\"x\"]}}",
		 "\"iot:ClientId\"[1]: ", "write for instance 42"},
		{"{\"NumericEquals\":{\"iot:ClientId\":\"1e3\"}}", "\"iot:ClientId\": ", "is not a number"},
		{"{\"NumericEquals\":{\"iot:ClientId\":\"1.\"}}", "\"iot:ClientId\": ", "is not a number"},
		{"{\"NumericEquals\":{\"iot:ClientId\":\"\"}}", "\"iot:ClientId\": ", "is not a number"},
		{"{\"NumericEquals\":{\"iot:ClientId\":\"1234567890123456\"}}",
		 "\"iot:ClientId\": ", "15 digits"},
		{"{\"NumericEquals\":{\"iot:ClientId\":\"${iot:ClientId}\"}}",
		 "\"iot:ClientId\": ", "is not a number"},
		{"{\"DateEquals\":{\"aws:CurrentTime\":\"2027-02-30\"}}",
		 "\"aws:CurrentTime\": ", "is not a time"},
		{"{\"DateEquals\":{\"aws:CurrentTime\":\"2027-13-01\"}}",
		 "\"aws:CurrentTime\": ", "is not a time"},
		{"{\"DateEquals\":{\"aws:CurrentTime\":\"2027-01-01T00:00:00\"}}",
		 "\"aws:CurrentTime\": ", "is not a time"},
		{"{\"DateEquals\":{\"aws:CurrentTime\":\"2027-01-01T24:00Z\"}}",
		 "\"aws:CurrentTime\": ", "is not a time"},
		{"{\"DateEquals\":{\"aws:CurrentTime\":\"2027-01-01T00:00+24:00\"}}",
		 "\"aws:CurrentTime\": ", "is not a time"},
		{"{\"DateEquals\":{\"aws:CurrentTime\":\"2027-01-01 \"}}",
		 "\"aws:CurrentTime\": ", "is not a time"},
		{"{\"Bool\":{\"iot:Connection.Thing.IsAttached\":\"yes\"}}",
		 "IsAttached\": ", "write \"true\""},
		{"{\"Bool\":{\"iot:Connection.Thing.IsAttached\":1}}", "IsAttached\": ", "write \"true\""},
		{"{\"Null\":{\"iot:ClientId\":\"no\"}}", "\"iot:ClientId\": ", "write \"true\" for a key"},
		{"{\"IpAddress\":{\"aws:SourceIp\":\"192.0.2.0/33\"}}",
		 "\"aws:SourceIp\": ", "write for instance \"192"},
		{"{\"IpAddress\":{\"aws:SourceIp\":\"192.0.2\"}}", "\"aws:SourceIp\": ", "is not an address"},
		{"{\"IpAddress\":{\"aws:SourceIp\":\"192.0.2.0/\"}}",
		 "\"aws:SourceIp\": ", "is not an address"},
		{"{\"IpAddress\":{\"aws:SourceIp\":\"2001:db8::/129\"}}",
		 "\"aws:SourceIp\": ", "is not an address"},
		{"{\"IpAddress\":{\"aws:SourceIp\":\"lamp.example.com\"}}",
		 "\"aws:SourceIp\": ", "is not an address"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char json[512];
		snprintf(json, sizeof json,
			 DOCUMENT("{\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"*\",\"Condition\":%"
				  "s}"),
			 cases[i].condition);
		assert_refused(json, cases[i].place);
		assert_refused(json, cases[i].remedy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_string_operators),
		cmocka_unit_test(test_values_may_name_variables),
		cmocka_unit_test(test_a_value_without_a_value_never_allows_and_never_saves_from_a_deny),
		cmocka_unit_test(test_numeric_operators),
		cmocka_unit_test(test_date_operators),
		cmocka_unit_test(test_time_passes),
		cmocka_unit_test(test_bool),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_arn_operators_look_at_the_will),
		cmocka_unit_test(test_connect_attributes_are_of_connect_alone),
		cmocka_unit_test(test_null),
		cmocka_unit_test(test_sets),
		cmocka_unit_test(test_an_absent_key),
		cmocka_unit_test(test_all_keys_and_all_operators_must_hold),
		cmocka_unit_test(test_before_2012_values_have_no_variables),
		cmocka_unit_test(test_refusals_name_place_and_remedy),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
