/* What a decision is explained with. That it is the check's own is shown on every account: the steps of all
 * statements, put together, must give the decision. */
#include "common/policy/policy_explain.h"
#include "policies.h"

static const struct policy_attribute attributes[] = {{"building", "b7"}};
static const struct policy_connection lamp = {
	.client_id = "lamp-1",
	.source_ip = "192.0.2.9",
	.thing = {"lamp-1", NULL, attributes, 1, .attached = true},
};

/* What was told, one line a statement: "number step place detail". */
struct told {
	char text[4096];
	enum policy_decision decision;
};

static void take(void *arg, const struct policy_account *a)
{
	static const char *const steps[] = {[POLICY_OTHER_ACTION] = "other action",
					    [POLICY_OTHER_RESOURCE] = "other resource",
					    [POLICY_NO_VALUE] = "no value",
					    [POLICY_CONDITION_FAILS] = "condition fails",
					    [POLICY_MATCHES] = "matches"};
	struct told *t = arg;
	size_t n = strlen(t->text);
	snprintf(t->text + n, sizeof t->text - n, "%zu.%zu %s at %s (%s)\n", a->policy, a->statement,
		 steps[a->step], a->place, a->detail);
	if (a->step == POLICY_MATCHES && a->deny)
		t->decision = POLICY_EXPLICIT_DENY;
	else if (a->step == POLICY_MATCHES && t->decision != POLICY_EXPLICIT_DENY)
		t->decision = POLICY_ALLOWED;
}

static struct told explain(const char *json, const struct policy_connection *c, enum policy_action action,
			   const char *target)
{
	const struct policy_question q = {.action = action, .target = target, .now_s = NOW};
	struct told t = {.decision = POLICY_IMPLICIT_DENY};
	struct policy *p = compiled(json);
	const struct policy *list[] = {p};
	enum policy_decision decision;
	struct fault f;
	assert_true(policy_explain(list, 1, c, &q, take, &t, &decision, &f).ok);
	if (decision != t.decision)
		fail_msg("decided %d, told %d: %s", decision, t.decision, t.text);
	policy_free(p);
	return t;
}

static void assert_told(const char *json, enum policy_action action, const char *target, const char *line)
{
	struct told t = explain(json, &lamp, action, target);
	if (!strstr(t.text, line))
		fail_msg("\"%s\" does not say \"%s\"", t.text, line);
}

static void test_each_step(void **state)
{
	(void)state;
	const char *own = STATEMENT("Allow", "iot:Publish", ARN "topic/dt/" THING "/*");
	assert_told(own, POLICY_RECEIVE, "x", "0.0 other action at Statement[0] ()");
	assert_told(own, POLICY_PUBLISH, "x", "0.0 other resource at Statement[0] ()");
	assert_told(own, POLICY_PUBLISH, "dt/lamp-1/x",
		    "0.0 matches at Statement[0].Resource (topic/dt/lamp-1/*)");
	assert_told(STATEMENT("Allow", "iot:Publish", ARN "topic/${iot:Connection.Thing.ThingTypeName}/*"),
		    POLICY_PUBLISH, "x",
		    "no value at Statement[0].Resource (${iot:Connection.Thing.ThingTypeName})");
	assert_told(STATEMENT("Allow", "iot:*", "*"), POLICY_RECEIVE, "$SYS/x", "spells the '$'");
	assert_told(STATEMENT("Allow", "iot:*", "*"), POLICY_RECEIVE, "x",
		    "matches at Statement[0].Resource (*)");
}

static void test_a_resource_is_named_by_its_place_in_the_list(void **state)
{
	(void)state;
	const char *json = "{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Deny\",\"Action\":\"*\","
			   "\"Resource\":["
			   "\"" ARN "client/*\",\"" ARN "topic/a${*}?b/${iot:ClientId}\"]}}";
	assert_told(json, POLICY_PUBLISH, "a*xb/lamp-1",
		    "0.0 matches at Statement.Resource[1] (topic/a${*}?b/lamp-1)");
}

static void test_not_resource(void **state)
{
	(void)state;
#define BUT(effect, resource)                                                                                \
	DOCUMENT("{\"Effect\":\"" effect "\",\"Action\":\"*\",\"NotResource\":[\"" ARN "topic/a\",\"" ARN    \
		 "topic/" resource "\"]}")
	assert_told(BUT("Allow", "b*"), POLICY_PUBLISH, "x", "matches at Statement[0] ()");
	assert_told(BUT("Allow", "b*"), POLICY_PUBLISH, "bc",
		    "other resource at Statement[0].NotResource[1] (topic/b*)");
	assert_told(BUT("Allow", "${iot:DomainName}"), POLICY_PUBLISH, "x",
		    "no value at Statement[0].NotResource[1] (${iot:DomainName})");
	assert_told(BUT("Allow", "${iot:DomainName}"), POLICY_SUBSCRIBE, "x",
		    "no value at Statement[0].NotResource[1]");
	assert_told(BUT("Deny", "${iot:DomainName}"), POLICY_PUBLISH, "x", "matches at Statement[0] ()");
}

static void test_a_condition_is_named_with_the_values_that_fail_it(void **state)
{
	(void)state;
#define WHERE(condition)                                                                                     \
	DOCUMENT("{\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"*\",\"Condition\":{" condition "}}")
	assert_told(WHERE("\"IpAddress\":{\"aws:SourceIp\":\"10.0.0.0/8\"}"), POLICY_PUBLISH, "x",
		    "condition fails at Statement[0].Condition.IpAddress.\"aws:SourceIp\" (192.0.2.9)");
	assert_told(WHERE("\"Bool\":{\"iot:Connection.Thing.IsAttached\":true},"
			  "\"ForAnyValue:StringLikeIfExists\":{\"iot:Connection.Thing.Attributes[building]\":"
			  "\"c*\"}"),
		    POLICY_PUBLISH, "x",
		    "condition fails at Statement[0].Condition.ForAnyValue:StringLikeIfExists."
		    "\"iot:Connection.Thing.Attributes[building]\" (b7)");
	assert_told(WHERE("\"DateLessThan\":{\"aws:CurrentTime\":\"2020-01-01\"}"), POLICY_PUBLISH, "x",
		    "\"aws:CurrentTime\" (1800000000)");
	assert_told(WHERE("\"StringEquals\":{\"iot:ClientId\":\"" THING "\"}"), POLICY_PUBLISH, "x",
		    "matches at Statement[0].Resource (*)");
}

static void test_a_target_beyond_the_limit_has_no_accounts(void **state)
{
	(void)state;
	char target[POLICY_TARGET_MAX + 2];
	memset(target, 'a', sizeof target - 1);
	target[sizeof target - 1] = '\0';
	assert_string_equal(explain(STATEMENT("Deny", "*", "*"), &lamp, POLICY_PUBLISH, target).text, "");
}

static void take_key(void *arg, const char *name, const char *values)
{
	char *text = arg;
	size_t n = strlen(text);
	snprintf(text + n, 1024 - n, "%s=%s;", name, values ? values : "(none)");
}

static void test_keys_are_told_with_their_values(void **state)
{
	(void)state;
	const struct policy_question q = {.action = POLICY_CONNECT,
					  .target = "lamp-1",
					  .now_s = NOW,
					  .packet = &(struct policy_connect){true, "w", false}};
	char text[1024] = "";
	struct policy *p = compiled(DOCUMENT(
		"{\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"" ARN "topic/" THING
		"/${iot:Connection.Thing.Attributes[floor]}\",\"Condition\":{\"ForAllValues:StringEquals\":"
		"{\"iot:ConnectAttributes\":[]},\"DateLessThan\":{\"aws:EpochTime\":1}}}"));
	policy_explain_keys(p, &lamp, &q, take_key, text);
	assert_string_equal(
		text, "iot:Connection.Thing.ThingName=lamp-1;iot:Connection.Thing.Attributes[floor]="
		      "(none);iot:ConnectAttributes=PersistentConnect, LastWill;aws:EpochTime=1800000000;");
	policy_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_step),
		cmocka_unit_test(test_a_resource_is_named_by_its_place_in_the_list),
		cmocka_unit_test(test_not_resource),
		cmocka_unit_test(test_a_condition_is_named_with_the_values_that_fail_it),
		cmocka_unit_test(test_a_target_beyond_the_limit_has_no_accounts),
		cmocka_unit_test(test_keys_are_told_with_their_values),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
