#include "site_fixture.h"

static struct site_answer get(const char *uri)
{
	struct site_answer a = site_admin_ask(site.viewer, "GET", uri, "");
	if (a.status != 200)
		fail_msg("%s: %s", uri, a.text);
	return a;
}

static void assert_answer(struct site_answer a, int status, const char *code)
{
	if (a.status != status || strcmp(site_code(&a), code) != 0)
		fail_msg("%d %s instead of %d %s: %s", a.status, site_code(&a), status, code, a.text);
	site_answer_free(&a);
}

static struct site_answer post(const char *key, const char *uri, const char *body)
{
	return site_admin_ask(key, "POST", uri, body);
}

static char *device_uri(int device, const char *verb)
{
	static char uri[128];
	snprintf(uri, sizeof uri, "/v1/admin/devices/%s%s", fixture_thing(device), verb);
	return uri;
}

static const char *text(const json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));
	return s ? s : "";
}

/* ---- who may ---- */

static void test_nothing_is_told_without_a_signature(void **state)
{
	static const char *const uris[] = {"/v1/admin/devices", "/v1/admin/log", "/v1/admin/nothing"};
	(void)state;
	for (size_t i = 0; i < 3; i++)
		assert_answer(site_receive(site_send("GET", uris[i], bytes_of(NULL, 0), NULL)), 401,
			      "unauthenticated");
}

static void test_roles_bound_what_may_be_changed(void **state)
{
	uint8_t fp[FINGERPRINT_SIZE];
	(void)state;
	enrol((struct ask){.device = 1, .key = 1}, fp);
	assert_answer(post(site.viewer, device_uri(1, "/suspend"), "{\"reason\":\"lost\"}"), 403,
		      "forbidden");
	assert_answer(post(site.viewer, device_uri(1, "/revoke"), "{\"reason\":\"unspecified\"}"), 403,
		      "forbidden");
	assert_answer(post(site.operator, device_uri(1, "/allow-reenrol"), "{\"reason\":\"x\"}"), 403,
		      "forbidden");
	assert_answer(post(site.operator, "/v1/admin/services", "{}"), 403, "forbidden");
	assert_answer(site_admin_ask(site.operator, "DELETE", "/v1/admin/services/x", ""), 403, "forbidden");
	assert_int_equal(state_of(fp), STORE_ACTIVE);
	assert_answer(post(site.operator, device_uri(1, "/suspend"), "{\"reason\":\"lost\"}"), 200, "");
	assert_int_equal(state_of(fp), STORE_INACTIVE);
	assert_answer(post(site.operator, device_uri(1, "/resume"), ""), 200, "");
	assert_answer(post(site.admin, device_uri(1, "/allow-reenrol"), "{\"reason\":\"x\"}"), 200, "");
}

static void test_a_change_is_logged_with_the_key_that_made_it(void **state)
{
	uint8_t fp[FINGERPRINT_SIZE];
	json_t *key = json_load_file(site.operator, 0, NULL);
	(void)state;
	enrol((struct ask){.device = 1, .key = 1}, fp);
	struct site_answer a =
		post(site.operator, device_uri(1, "/revoke"), "{\"reason\":\"key-compromise\"}");
	char id[REQUEST_ID_SIZE];
	const char *header = strstr(a.text, "X-Request-Id: ");
	assert_non_null(header);
	snprintf(id, sizeof id, "%s", header + strlen("X-Request-Id: "));
	site_answer_free(&a);
	char uri[96];
	snprintf(uri, sizeof uri, "/v1/admin/requests/%s", id);
	a = get(uri);
	json_t *entries = json_object_get(a.json, "entries");
	assert_int_equal(json_array_size(entries), 2);
	assert_string_equal(text(json_array_get(entries, 0), "kind"), "device-revoked");
	assert_string_equal(text(json_array_get(entries, 1), "kind"), "certificate-revoked");
	assert_string_equal(text(json_array_get(entries, 0), "actor"), text(key, "access_key_id"));
	site_answer_free(&a);
	json_decref(key);
}

/* ---- malformed ---- */

static void test_requests_are_read_strictly(void **state)
{
	uint8_t fp[FINGERPRINT_SIZE];
	(void)state;
	enrol((struct ask){.device = 1, .key = 1}, fp);
	static const char *const bodies[] = {
		"{",
		"[]",
		"{}",
		"{\"reason\":\"\"}",
		"{\"reason\":1}",
		"{\"reason\":\"lost\",\"force\":true}",
		"{\"reason\":\"lost\",\"reason\":\"found\"}",
		"{\"reason\":\"lost\",\"wait_ms\":-1}",
		"{\"reason\":\"lost\",\"wait_ms\":99999}",
		"{\"reason\":\"lost\",\"wait_ms\":\"1\"}",
		"{\"reason\":\"a\\u0000b\"}",
	};
	for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
		assert_answer(post(site.operator, device_uri(1, "/suspend"), bodies[i]), 400, "bad-request");
	assert_int_equal(state_of(fp), STORE_ACTIVE);
	assert_answer(post(site.operator, device_uri(1, "/revoke"), "{\"reason\":\"because\"}"), 400,
		      "bad-request");
	assert_answer(post(site.operator, device_uri(9, "/suspend"), "{\"reason\":\"lost\"}"), 404,
		      "not-found");
	assert_answer(site_admin_ask(site.viewer, "GET", "/v1/admin/devices?limit=x", ""), 400,
		      "bad-request");
	assert_answer(site_admin_ask(site.viewer, "GET", "/v1/admin/devices?limit=501", ""), 400,
		      "bad-request");
	assert_answer(site_admin_ask(site.viewer, "GET", "/v1/admin/devices?state=odd", ""), 400,
		      "bad-request");
	assert_answer(site_admin_ask(site.viewer, "GET", "/v1/admin/log?after=-1", ""), 400, "bad-request");
	assert_answer(site_admin_ask(site.viewer, "GET", "/v1/admin/nothing", ""), 404, "not-found");
	assert_answer(site_admin_ask(site.viewer, "GET", "/v1/admin/devices/", ""), 404, "not-found");
	assert_answer(site_admin_ask(site.viewer, "GET", "/v1/admin/devices/a%2", ""), 404, "not-found");
	assert_answer(site_admin_ask(site.viewer, "GET", "/v1/admin/devices/a/b", ""), 404, "not-found");
	assert_answer(site_admin_ask(site.admin, "PUT", "/v1/admin/devices", "{}"), 405,
		      "method-not-allowed");
}

/* ---- devices ---- */

static void test_devices_are_listed_page_by_page(void **state)
{
	uint8_t fp[FINGERPRINT_SIZE];
	char uri[128];
	(void)state;
	for (int i = 1; i <= 5; i++)
		enrol((struct ask){.device = i, .key = i}, fp);
	struct site_answer a = get("/v1/admin/devices?limit=3");
	assert_int_equal(json_array_size(json_object_get(a.json, "devices")), 3);
	snprintf(uri, sizeof uri, "/v1/admin/devices?after=%s&limit=3", text(a.json, "next"));
	site_answer_free(&a);
	a = get(uri);
	json_t *devices = json_object_get(a.json, "devices");
	assert_int_equal(json_array_size(devices), 2);
	assert_true(json_is_null(json_object_get(a.json, "next")));
	assert_string_equal(text(json_array_get(devices, 0), "thing"), fixture_thing(4));
	assert_string_equal(text(json_array_get(devices, 0), "state"), "active");
	assert_int_equal(json_integer_value(json_object_get(json_array_get(devices, 0), "generation")), 1);
	site_answer_free(&a);
	suspend(2);
	a = get("/v1/admin/devices?state=suspended");
	assert_int_equal(json_array_size(json_object_get(a.json, "devices")), 1);
	site_answer_free(&a);
}

static void test_a_device_is_shown_with_certificates_and_history(void **state)
{
	uint8_t fp[FINGERPRINT_SIZE];
	char hex[HEX_SIZE(FINGERPRINT_SIZE)];
	(void)state;
	enrol((struct ask){.device = 1, .key = 1, .request_id = "REQ-ENROL"}, fp);
	allow_reenrol(1);
	struct site_answer a = get(device_uri(1, ""));
	const json_t *device = json_object_get(a.json, "device");
	const json_t *certificate = json_array_get(json_object_get(a.json, "certificates"), 0);
	assert_string_equal(text(device, "thing"), fixture_thing(1));
	assert_true(json_is_true(json_object_get(device, "reenrolment_allowed")));
	assert_int_equal(strlen(text(device, "instance_id")), 66);
	hex_encode(bytes_of(fp, sizeof fp), hex);
	assert_string_equal(text(certificate, "certificateId"), hex);
	assert_string_equal(text(certificate, "state"), "active");
	assert_string_equal(text(certificate, "request_id"), "REQ-ENROL");
	assert_string_equal(text(certificate, "ear"), "e.a.r");
	assert_non_null(strstr(text(certificate, "certificatePem"), "-----BEGIN CERTIFICATE-----"));
	assert_int_equal(json_array_size(json_object_get(a.json, "history")), 2);
	site_answer_free(&a);
}

static void test_without_brokers_a_change_is_effective_at_once(void **state)
{
	uint8_t fp[FINGERPRINT_SIZE];
	(void)state;
	enrol((struct ask){.device = 1, .key = 1}, fp);
	struct site_answer a = post(site.operator, device_uri(1, "/revoke"), "{\"reason\":\"unspecified\"}");
	assert_int_equal(a.status, 200);
	assert_true(json_is_true(json_object_get(a.json, "effective")));
	assert_int_equal(json_array_size(json_object_get(a.json, "brokers")), 0);
	assert_true(json_integer_value(json_object_get(a.json, "seq")) > 0);
	assert_true(json_integer_value(json_object_get(a.json, "recorded_at_ms")) > 1600000000000);
	site_answer_free(&a);
}

static void test_what_was_changed_already_is_answered_with_that_change(void **state)
{
	uint8_t fp[FINGERPRINT_SIZE];
	json_t *key = json_load_file(site.operator, 0, NULL);
	(void)state;
	enrol((struct ask){.device = 1, .key = 1}, fp);
	struct site_answer first =
		post(site.operator, device_uri(1, "/revoke"), "{\"reason\":\"unspecified\"}");
	struct site_answer again = post(site.admin, device_uri(1, "/revoke"), "{\"reason\":\"superseded\"}");
	assert_int_equal(again.status, 200);
	assert_true(json_is_false(json_object_get(first.json, "already")));
	assert_null(json_object_get(first.json, "actor"));
	assert_true(json_is_true(json_object_get(again.json, "already")));
	assert_true(json_equal(json_object_get(first.json, "seq"), json_object_get(again.json, "seq")));
	assert_true(json_equal(json_object_get(first.json, "recorded_at_ms"),
			       json_object_get(again.json, "recorded_at_ms")));
	assert_string_equal(text(again.json, "reason"), "unspecified");
	assert_string_equal(text(again.json, "actor"), text(key, "access_key_id"));
	site_answer_free(&first);
	site_answer_free(&again);
	json_decref(key);
}

/* ---- many at once ---- */

/* {"things": [...], and the rest} for devices 1 to `last`, or by their instance IDs. */
static char *many(const char *by, int last, const char *rest)
{
	struct buf b = {0};
	buf_printf(&b, "{\"%s\":[", by);
	for (int i = 1; i <= last; i++) {
		uint8_t id[INSTANCE_ID_SIZE];
		char hex[HEX_SIZE(INSTANCE_ID_SIZE)];
		fixture_instance(i, id);
		hex_encode(bytes_of(id, sizeof id), hex);
		buf_printf(&b, "%s\"%s\"", i > 1 ? "," : "", *by == 't' ? fixture_thing(i) : hex);
	}
	buf_printf(&b, "]%s}", rest);
	return buf_take_str(&b);
}

static struct site_answer post_many(const char *uri, const char *by, int last, const char *rest)
{
	char *body = many(by, last, rest);
	struct site_answer a = post(site.operator, uri, body);
	free(body);
	if (a.status != 200)
		fail_msg("%s", a.text);
	return a;
}

static int64_t number(const struct site_answer *a, const char *key)
{
	return json_integer_value(json_object_get(a->json, key));
}

static void test_many_devices_are_revoked_with_one_request(void **state)
{
	uint8_t fp[3][FINGERPRINT_SIZE];
	(void)state;
	for (int i = 0; i < 3; i++)
		enrol((struct ask){.device = i + 1, .key = i + 1}, fp[i]);
	revoke_device(2, "unspecified");
	struct site_answer a =
		post_many("/v1/admin/revocations", "things", 4, ",\"reason\":\"key-compromise\"");
	assert_int_equal(number(&a, "changed"), 2);
	assert_int_equal(number(&a, "unchanged"), 1);
	assert_int_equal(number(&a, "added"), 0);
	assert_int_equal(number(&a, "certificates"), 2);
	assert_int_equal(json_array_size(json_object_get(a.json, "unknown")), 1);
	assert_string_equal(json_string_value(json_array_get(json_object_get(a.json, "unknown"), 0)),
			    fixture_thing(4));
	assert_true(json_is_true(json_object_get(a.json, "effective")));
	assert_int_equal(number(&a, "seq"), count_rows("SELECT max(seq) FROM log"));
	site_answer_free(&a);
	for (int i = 0; i < 3; i++)
		assert_int_equal(state_of(fp[i]), STORE_REVOKED);
	a = post_many("/v1/admin/revocations", "things", 3, ",\"reason\":\"unspecified\"");
	assert_int_equal(number(&a, "changed"), 0);
	assert_int_equal(number(&a, "unchanged"), 3);
	site_answer_free(&a);
	assert_int_equal(
		count_rows("SELECT count(*) FROM log WHERE kind = 'device-revoked' AND reason = "
			   "'key-compromise' AND request_id = (SELECT request_id FROM log WHERE seq = "
			   "(SELECT max(seq) FROM log))"),
		2);
}

static void test_many_devices_are_looked_up_and_suspended_by_instance(void **state)
{
	uint8_t fp[FINGERPRINT_SIZE];
	(void)state;
	enrol((struct ask){.device = 1, .key = 1}, fp);
	struct site_answer a = post_many("/v1/admin/lookups", "instance_ids", 2, "");
	const json_t *first = json_array_get(json_object_get(a.json, "devices"), 0),
		     *second = json_array_get(json_object_get(a.json, "devices"), 1);
	assert_string_equal(text(first, "thing"), fixture_thing(1));
	assert_string_equal(text(first, "state"), "active");
	assert_int_equal(strlen(text(first, "instance_id")), 2 * INSTANCE_ID_SIZE);
	assert_string_equal(text(second, "state"), "unknown");
	assert_int_equal(strlen(text(second, "thing")), THING_NAME_SIZE - 1); /* what it would have */
	char *name = strdup(text(second, "thing"));
	site_answer_free(&a);
	a = post_many("/v1/admin/suspensions", "instance_ids", 2, ",\"reason\":\"recall\"");
	assert_int_equal(number(&a, "changed"), 2);
	assert_int_equal(number(&a, "added"), 1);
	site_answer_free(&a);
	assert_int_equal(state_of(fp), STORE_INACTIVE);
	a = post_many("/v1/admin/lookups", "instance_ids", 2, "");
	second = json_array_get(json_object_get(a.json, "devices"), 1);
	assert_string_equal(text(second, "state"), "suspended");
	assert_string_equal(text(second, "thing"), name);
	site_answer_free(&a);
	free(name);
}

static void test_lists_of_devices_are_read_strictly(void **state)
{
	static const char *const bodies[] = {
		"{}",
		"{\"reason\":\"unspecified\"}",
		"{\"things\":[],\"reason\":\"unspecified\"}",
		"{\"things\":\"a\",\"reason\":\"unspecified\"}",
		"{\"things\":[1],\"reason\":\"unspecified\"}",
		"{\"things\":[\"\"],\"reason\":\"unspecified\"}",
		"{\"things\":[\"a\"]}",
		"{\"things\":[\"a\"],\"reason\":\"because\"}",
		"{\"things\":[\"a\"],\"instance_ids\":[\"a\"],\"reason\":\"unspecified\"}",
		"{\"instance_ids\":[\"01ab\"],\"reason\":\"unspecified\"}",
		"{\"things\":[\"a\"],\"reason\":\"unspecified\",\"force\":true}",
	};
	uint8_t fp[FINGERPRINT_SIZE];
	(void)state;
	enrol((struct ask){.device = 1, .key = 1}, fp);
	for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
		assert_answer(post(site.operator, "/v1/admin/revocations", bodies[i]), 400, "bad-request");
	char *long_list = many("things", STORE_RECALL_MAX + 1, ",\"reason\":\"unspecified\"");
	assert_answer(post(site.operator, "/v1/admin/revocations", long_list), 400, "bad-request");
	free(long_list);
	char *list = many("things", 1, ",\"reason\":\"unspecified\"");
	assert_answer(post(site.viewer, "/v1/admin/revocations", list), 403, "forbidden");
	assert_answer(post(site.viewer, "/v1/admin/suspensions", list), 403, "forbidden");
	free(list);
	list = many("things", 1, "");
	assert_answer(post(site.viewer, "/v1/admin/lookups", list), 200, "");
	free(list);
	assert_int_equal(state_of(fp), STORE_ACTIVE);
}

/* ---- services ---- */

static char *service_body(const struct authority *ca, const char *name, const char *policy)
{
	struct buf pem = site_leaf(ca, "backend", "backend");
	char *certificate = buf_take_str(&pem);
	json_t *body = json_pack("{s:s, s:s}", "name", name, "certificatePem", certificate);
	if (policy)
		json_object_set_new(body, "policy", json_loads(policy, 0, NULL));
	char *dumped = json_dumps(body, 0);
	json_decref(body);
	free(certificate);
	return dumped;
}

static void assert_service_refused(const struct authority *ca, const char *name, const char *policy)
{
	char *body = service_body(ca, name, policy);
	assert_answer(post(site.admin, "/v1/admin/services", body), 400, "bad-request");
	free(body);
}

static void test_a_service_is_registered_and_removed(void **state)
{
	char *body = service_body(&site.service_ca, "backend", SITE_POLICY);
	(void)state;
	struct site_answer a = post(site.admin, "/v1/admin/services", body);
	assert_int_equal(a.status, 200);
	assert_int_equal(strlen(text(a.json, "certificateId")), 64);
	site_answer_free(&a);
	a = get("/v1/admin/services");
	const json_t *service = json_array_get(json_object_get(a.json, "services"), 0);
	assert_string_equal(text(service, "name"), "backend");
	assert_string_equal(text(service, "policy"), SITE_POLICY);
	site_answer_free(&a);
	assert_answer(site_admin_ask(site.admin, "DELETE", "/v1/admin/services/backend?wait_ms=10", ""), 200,
		      "");
	assert_answer(site_admin_ask(site.admin, "DELETE", "/v1/admin/services/backend", ""), 404,
		      "not-found");
	a = get("/v1/admin/services");
	assert_int_equal(json_array_size(json_object_get(a.json, "services")), 0);
	site_answer_free(&a);
	free(body);
}

static void test_a_service_is_checked_before_it_is_registered(void **state)
{
	(void)state;
	assert_service_refused(&site.other_ca, "backend", SITE_POLICY);
	assert_service_refused(&site.service_ca, "back end", SITE_POLICY);
	assert_service_refused(&site.service_ca, "backend", "{\"Version\":\"2012-10-17\"}");
	assert_service_refused(&site.service_ca, "backend",
			       "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Maybe\","
			       "\"Action\":\"iot:Connect\",\"Resource\":\"*\"}]}");
	assert_service_refused(&site.service_ca, "backend", NULL);
	assert_answer(post(site.admin, "/v1/admin/services",
			   "{\"name\":\"a\",\"certificatePem\":\"x\",\"policy\":{}}"),
		      400, "bad-request");
	assert_int_equal(count_rows("SELECT count(*) FROM services"), 0);
}

/* ---- the log ---- */

static void read_entry(const json_t *j, struct log_entry *e, uint8_t instance[INSTANCE_ID_SIZE],
		       uint8_t fingerprint[FINGERPRINT_SIZE])
{
	size_t n;
	const char *hex = text(j, "instance_id"), *fp = text(j, "certificateId"), *hash = text(j, "hash");
	*e = (struct log_entry){.seq = json_integer_value(json_object_get(j, "seq")),
				.time_ms = json_integer_value(json_object_get(j, "time_ms")),
				.kind = text(j, "kind"),
				.actor = text(j, "actor"),
				.request_id = text(j, "request_id"),
				.thing = text(j, "thing"),
				.reason = text(j, "reason"),
				.detail = text(j, "detail")};
	assert_true(hex_decode(hex, strlen(hex), instance, INSTANCE_ID_SIZE, &n));
	e->instance_id = bytes_of(instance, n);
	assert_true(hex_decode(fp, strlen(fp), fingerprint, FINGERPRINT_SIZE, &n));
	e->fingerprint = bytes_of(fingerprint, n);
	assert_true(hex_decode(hash, strlen(hash), e->hash, SHA256_SIZE, &n));
}

static void test_the_log_as_it_is_answered_verifies(void **state)
{
	struct log_chain chain = log_chain_begin();
	struct got g;
	uint8_t fp[FINGERPRINT_SIZE], instance[INSTANCE_ID_SIZE];
	size_t count;
	(void)state;
	enrol((struct ask){.device = 1, .key = 1}, fp);
	reserve((struct ask){.device = 1, .key = 2}, &g);
	assert_answer(post(site.operator, device_uri(1, "/resume"), "{}"), 200, "");
	assert_answer(post(site.operator, device_uri(1, "/suspend"),
			   "{\"reason\":\"gesucht: \\u201eZ\\u00e4hler\\u201c\"}"),
		      200, "");
	do {
		char uri[96];
		snprintf(uri, sizeof uri, "/v1/admin/log?after=%lld&limit=3", (long long)chain.seq);
		struct site_answer a = get(uri);
		json_t *entries = json_object_get(a.json, "entries"), *j;
		size_t i;
		count = json_array_size(entries);
		json_array_foreach(entries, i, j) {
			struct log_entry e;
			struct fault f;
			read_entry(j, &e, instance, fp);
			if (!log_chain_check(&chain, &e, &f).ok)
				fail_msg("%s", f.text);
		}
		site_answer_free(&a);
	} while (count);
	assert_int_equal(chain.seq, count_rows("SELECT count(*) FROM log"));
	struct site_answer a = get("/v1/admin/alarms");
	assert_int_equal(json_array_size(json_object_get(a.json, "alarms")), 1);
	site_answer_free(&a);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, site_setup, site_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_nothing_is_told_without_a_signature),
		TEST(test_roles_bound_what_may_be_changed),
		TEST(test_a_change_is_logged_with_the_key_that_made_it),
		TEST(test_requests_are_read_strictly),
		TEST(test_devices_are_listed_page_by_page),
		TEST(test_a_device_is_shown_with_certificates_and_history),
		TEST(test_without_brokers_a_change_is_effective_at_once),
		TEST(test_what_was_changed_already_is_answered_with_that_change),
		TEST(test_many_devices_are_revoked_with_one_request),
		TEST(test_many_devices_are_looked_up_and_suspended_by_instance),
		TEST(test_lists_of_devices_are_read_strictly),
		TEST(test_a_service_is_registered_and_removed),
		TEST(test_a_service_is_checked_before_it_is_registered),
		TEST(test_the_log_as_it_is_answered_verifies),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
