#include "service.h"

#include "attestation/keys.h"
#include "common/evidence/ear.h"

#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/resource.h>

#include <cmocka.h>

#define PSA_TYPE "application/psa-attestation-token"
#define COSE_TYPE "application/vnd.mooring.cose-csr+cose"

static struct service service;
static struct chip chip; /* imported */
static const struct bytes nothing = {NULL, 0};

static void expect(struct answer a, int status, const char *code)
{
	bool right = a.status == status && (!code || !strcmp(text_of(&a, "code"), code));
	if (!right)
		print_message("%s\n", a.text);
	answer_free(&a);
	if (!right)
		fail_msg("not %d %s", status, code ? code : "");
}

/* ---- challenge and response ---- */

/* Opens a session for `nonce`: the address where its evidence goes. */
static void new_session(const uint8_t nonce[BINDING_SIZE], char path[128])
{
	char uri[128], text[BASE64_SIZE(BINDING_SIZE)], id[64];
	base64url_encode(bytes_of(nonce, BINDING_SIZE), text);
	snprintf(uri, sizeof uri, "/challenge-response/v1/newSession?nonce=%s", text);
	struct answer a = peer_ask(&service, "POST", uri, nothing, NULL);
	assert_int_equal(a.status, 201);
	assert_string_equal(text_of(&a, "nonce"), text);
	assert_string_equal(text_of(&a, "status"), "waiting");
	assert_non_null(
		strstr(a.text, "Content-Type: application/vnd.veraison.challenge-response-session+json"));
	assert_int_equal(sscanf(strstr(a.text, "Location: "), "Location: session/%60s", id), 1);
	assert_int_equal(json_array_size(json_object_get(a.json, "accept")), 2);
	snprintf(path, 128, "/challenge-response/v1/session/%s", id);
	answer_free(&a);
}

static void fresh_nonce(uint8_t nonce[BINDING_SIZE])
{
	crypto_random(nonce, BINDING_SIZE);
}

/* What the relying party makes of the answer's result. */
static outcome check_result(const struct answer *a, const uint8_t nonce[BINDING_SIZE], struct bytes csr_spki,
			    struct ear *out, struct fault *f)
{
	EVP_PKEY *const keys[] = {service.ear_public};
	struct ear_expect want = {.keys = keys, .key_count = 1, .csr_spki = csr_spki, .now = clock_wall_s()};
	memcpy(want.binding, nonce, BINDING_SIZE);
	return ear_check(bytes_str(text_of(a, "result")), &want, out, f);
}

static void test_a_genuine_token_has_an_affirming_result(void **state)
{
	uint8_t nonce[BINDING_SIZE];
	char path[128];
	struct ear ear;
	struct fault f = {0};
	(void)state;
	fresh_nonce(nonce);
	new_session(nonce, path);
	struct buf token = chip_psa(&chip, nonce, chip.rot);
	struct answer a = peer_ask(&service, "POST", path, buf_view(&token), PSA_TYPE);
	assert_int_equal(a.status, 200);
	assert_string_equal(text_of(&a, "status"), "complete");
	if (!check_result(&a, nonce, nothing, &ear, &f).ok)
		fail_msg("%s", f.text);
	assert_true(ear.has_instance_id);
	assert_memory_equal(ear.instance_id, chip.record.instance_id, INSTANCE_ID_SIZE);
	answer_free(&a);
	buf_free(&token);
}

static void new_session_uri(const uint8_t nonce[BINDING_SIZE], char uri[128])
{
	char text[BASE64_SIZE(BINDING_SIZE)];
	base64url_encode(bytes_of(nonce, BINDING_SIZE), text);
	snprintf(uri, 128, "/challenge-response/v1/newSession?nonce=%s", text);
}

static void test_evidence_may_come_with_the_request_for_the_session(void **state)
{
	uint8_t nonce[BINDING_SIZE];
	char uri[128], path[128], id[64];
	struct ear ear;
	struct fault f = {0};
	(void)state;
	fresh_nonce(nonce);
	new_session_uri(nonce, uri);
	struct buf token = chip_psa(&chip, nonce, chip.rot);
	struct answer a = peer_ask(&service, "POST", uri, buf_view(&token), PSA_TYPE);
	assert_int_equal(a.status, 201);
	assert_string_equal(text_of(&a, "status"), "complete");
	if (!check_result(&a, nonce, nothing, &ear, &f).ok)
		fail_msg("%s", f.text);
	assert_memory_equal(ear.instance_id, chip.record.instance_id, INSTANCE_ID_SIZE);
	assert_int_equal(sscanf(strstr(a.text, "Location: "), "Location: session/%60s", id), 1);
	snprintf(path, sizeof path, "/challenge-response/v1/session/%s", id);
	struct answer got = peer_ask(&service, "GET", path, nothing, NULL);
	assert_int_equal(got.status, 200);
	assert_string_equal(text_of(&a, "result"), text_of(&got, "result"));
	token.p[token.n - 1] ^= 1;
	expect(peer_ask(&service, "POST", path, buf_view(&token), PSA_TYPE), 409, "conflict");
	answer_free(&a);
	answer_free(&got);
	buf_free(&token);
}

static void test_evidence_in_a_request_for_a_session_follows_the_same_rules(void **state)
{
	static const char sizeless[] = "/challenge-response/v1/newSession?nonceSize=32";
	uint8_t nonce[BINDING_SIZE], other[BINDING_SIZE];
	char uri[128], *big = calloc(1, EVIDENCE_MAX + 1);
	struct ear ear;
	struct fault f = {0};
	(void)state;
	fresh_nonce(nonce);
	fresh_nonce(other);
	new_session_uri(nonce, uri);
	expect(peer_ask(&service, "POST", uri, bytes_str("x"), "application/json"), 415,
	       "unsupported-media-type");
	expect(peer_ask(&service, "POST", uri, bytes_of(big, EVIDENCE_MAX + 1), PSA_TYPE), 413, "too-large");
	expect(peer_ask(&service, "POST", sizeless, bytes_str("x"), PSA_TYPE), 400, "bad-request");
	struct buf token = chip_psa(&chip, other, chip.rot);
	struct answer a = peer_ask(&service, "POST", uri, buf_view(&token), PSA_TYPE);
	assert_int_equal(a.status, 201);
	assert_false(check_result(&a, nonce, nothing, &ear, &f).ok);
	assert_int_equal(f.reason, REASON_EAR_STATUS);
	assert_string_equal(ear.reason, "nonce-mismatch");
	answer_free(&a);
	buf_free(&token);
	free(big);
}

static void test_a_signed_request_has_a_result_that_names_its_key(void **state)
{
	uint8_t nonce[BINDING_SIZE], spki[SPKI_MAX], other[SPKI_MAX];
	char path[128];
	struct ear ear;
	struct fault f = {0};
	(void)state;
	fresh_nonce(nonce);
	new_session(nonce, path);
	size_t n = ec_key_to_spki(chip.key, spki, sizeof spki),
	       m = ec_key_to_spki(chip.rot, other, sizeof other);
	struct buf csr = chip_csr(chip.key, chip.key),
		   signed_csr = chip_cose(&chip, nonce, buf_view(&csr), chip.rot);
	struct answer a = peer_ask(&service, "POST", path, buf_view(&signed_csr), COSE_TYPE);
	assert_int_equal(a.status, 200);
	if (!check_result(&a, nonce, bytes_of(spki, n), &ear, &f).ok)
		fail_msg("%s", f.text);
	assert_false(check_result(&a, nonce, bytes_of(other, m), &ear, &f).ok);
	assert_int_equal(f.reason, REASON_EAR_KEY);
	answer_free(&a);
	buf_free(&csr);
	buf_free(&signed_csr);
}

static void test_refused_evidence_is_a_result_with_our_reason(void **state)
{
	uint8_t nonce[BINDING_SIZE];
	char path[128];
	struct ear ear;
	struct fault f = {0};
	struct chip stranger = chip_make();
	(void)state;
	fresh_nonce(nonce);
	new_session(nonce, path);
	struct buf token = chip_psa(&stranger, nonce, stranger.rot);
	struct answer a = peer_ask(&service, "POST", path, buf_view(&token), PSA_TYPE);
	assert_int_equal(a.status, 200);
	assert_false(check_result(&a, nonce, nothing, &ear, &f).ok);
	assert_int_equal(f.reason, REASON_EAR_STATUS);
	assert_int_equal(ear.status, EAR_CONTRAINDICATED);
	assert_string_equal(ear.reason, "device-unknown");
	answer_free(&a);
	buf_free(&token);
	chip_free(&stranger);
}

static void test_a_session_takes_its_evidence_once(void **state)
{
	uint8_t nonce[BINDING_SIZE];
	char path[128];
	(void)state;
	fresh_nonce(nonce);
	new_session(nonce, path);
	struct buf token = chip_psa(&chip, nonce, chip.rot);
	struct answer first = peer_ask(&service, "POST", path, buf_view(&token), PSA_TYPE);
	struct answer again = peer_ask(&service, "POST", path, buf_view(&token), PSA_TYPE);
	struct answer got = peer_ask(&service, "GET", path, nothing, NULL);
	assert_int_equal(first.status, 200);
	assert_string_equal(text_of(&first, "result"), text_of(&again, "result"));
	assert_string_equal(text_of(&first, "result"), text_of(&got, "result"));
	const json_t *kept = json_object_get(got.json, "evidence");
	char text[BASE64_SIZE(EVIDENCE_MAX)];
	base64_encode(buf_view(&token), text);
	assert_string_equal(json_string_value(json_object_get(kept, "value")), text);
	assert_string_equal(json_string_value(json_object_get(kept, "type")), PSA_TYPE);
	token.p[token.n - 1] ^= 1;
	expect(peer_ask(&service, "POST", path, buf_view(&token), PSA_TYPE), 409, "conflict");
	expect(peer_ask(&service, "DELETE", path, nothing, NULL), 204, NULL);
	expect(peer_ask(&service, "DELETE", path, nothing, NULL), 404, "not-found");
	expect(peer_ask(&service, "POST", path, buf_view(&token), PSA_TYPE), 404, "not-found");
	answer_free(&first);
	answer_free(&again);
	answer_free(&got);
	buf_free(&token);
}

static void test_sessions_are_asked_for_properly_or_refused(void **state)
{
	static const char *const bad[] = {
		"nonce=AAAA",
		"nonce=",
		"nonce=%00",
		"nonceSize=16",
		"nonceSize=64",
		"nonce=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA&nonceSize=32",
		"nonce=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA&nonce="
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
	};
	char uri[256];
	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		snprintf(uri, sizeof uri, "/challenge-response/v1/newSession?%s", bad[i]);
		expect(peer_ask(&service, "POST", uri, nothing, NULL), 400, "bad-request");
	}
	expect(peer_ask(&service, "POST", "/challenge-response/v1/newSession?nonceSize=32", nothing, NULL),
	       201, NULL);
	expect(peer_ask(&service, "POST", "/challenge-response/v1/newSession", nothing, NULL), 201, NULL);
}

static void test_evidence_has_a_type_and_a_size(void **state)
{
	uint8_t nonce[BINDING_SIZE] = {0};
	char path[128], *big = calloc(1, EVIDENCE_MAX + 1);
	(void)state;
	new_session(nonce, path);
	struct answer a = peer_ask(&service, "POST", path, bytes_str("x"), "application/json");
	assert_non_null(strstr(a.text, "Accept: " PSA_TYPE "\r\n"));
	expect(a, 415, "unsupported-media-type");
	expect(peer_ask(&service, "POST", path, nothing, PSA_TYPE), 400, "bad-request");
	expect(peer_ask(&service, "POST", path, bytes_of(big, EVIDENCE_MAX + 1), PSA_TYPE), 413, "too-large");
	expect(peer_ask(&service, "POST", "/challenge-response/v1/session/none", bytes_str("x"), PSA_TYPE),
	       404, "not-found");
	free(big);
}

static void test_only_relying_parties_may_ask(void **state)
{
	struct cert_form form = gateway_form;
	form.san = "URI:spiffe://example.com/service/broker/b";
	struct buf broker = leaf_pem(&service.ca, &form);
	(void)state;
	static const char *const asked[][2] = {{"POST", "/challenge-response/v1/newSession"},
					       {"POST", "/challenge-response/v1/session/a"},
					       {"GET", "/challenge-response/v1/session/a"},
					       {"DELETE", "/challenge-response/v1/session/a"},
					       {"GET", "/v1/withdrawals"}};
	for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
		expect(service_ask(&service, asked[i][0], asked[i][1], nothing, NULL), 401,
		       "unauthenticated");
		expect(service_receive(peer_send(&service, buf_view(&broker), asked[i][0], asked[i][1],
						 nothing, NULL)),
		       403, "forbidden");
	}
	buf_free(&broker);
}

static void test_discovery_names_both_keys_and_the_evidence_types(void **state)
{
	char id[KEY_ID_SIZE];
	(void)state;
	struct answer a = service_ask(&service, "GET", "/.well-known/veraison/verification", nothing, NULL);
	assert_int_equal(a.status, 200);
	const json_t *key = json_object_get(a.json, "ear-verification-key");
	assert_true(key_thumbprint(service.ear_public, id));
	assert_string_equal(json_string_value(json_object_get(key, "kid")), id);
	assert_string_equal(json_string_value(json_object_get(key, "alg")), "ES256");
	assert_non_null(json_object_get(a.json, "ear-verification-key-next"));
	assert_string_equal(text_of(&a, "service-state"), "READY");
	const json_t *types = json_object_get(a.json, "media-types");
	assert_string_equal(json_string_value(json_array_get(types, 0)), PSA_TYPE);
	assert_string_equal(json_string_value(json_array_get(types, 1)), COSE_TYPE);
	answer_free(&a);
}

/* ---- records ---- */

static void test_records_are_imported_by_operators_and_read_by_viewers(void **state)
{
	struct chip more[2] = {chip_make(), chip_make()};
	char *one = chip_line(&more[0]), *two = chip_line(&more[1]), uri[256], id[INSTANCE_ID_HEX], *cut;
	struct buf body = {0};
	(void)state;
	buf_printf(&body, "%s\n%s\n", one, two);
	const struct bytes both = buf_view(&body);
	expect(service_ask(&service, "POST", "/v1/records/imports/x/batches/0", both, NULL), 401,
	       "unauthenticated");
	expect(admin_ask(&service, service.viewer_key, "POST", "/v1/records/imports/x/batches/0", both), 403,
	       "forbidden");
	for (int again = 0; again < 2; again++) {
		struct answer a = admin_ask(&service, service.operator_key, "POST",
					    "/v1/records/imports/x/batches/0", both);
		assert_int_equal(a.status, 200);
		assert_string_equal(text_of(&a, "import"), "x");
		assert_int_equal(number_of(&a, "records"), 2);
		assert_int_equal(number_of(&a, "inserted"), 2);
		assert_int_equal(number_of(&a, "unchanged"), 0);
		assert_int_equal(number_of(&a, "total"), 2);
		answer_free(&a);
	}
	expect(admin_ask(&service, service.operator_key, "POST", "/v1/records/imports/x/batches/0",
			 bytes_str(one)),
	       409, "conflict");
	expect(admin_ask(&service, service.operator_key, "POST", "/v1/records/imports/x/batches/01", both),
	       400, "bad-request");
	expect(admin_ask(&service, service.operator_key, "POST", "/v1/records/imports/x,y/batches/1", both),
	       400, "bad-request");
	cut = strdup(one);
	cut[strlen(cut) - 1] = '\0';
	expect(admin_ask(&service, service.operator_key, "POST", "/v1/records/imports/x/batches/1",
			 bytes_str(cut)),
	       400, "bad-request");
	hex_encode(bytes_of(more[1].record.instance_id, INSTANCE_ID_SIZE), id);
	snprintf(uri, sizeof uri, "/v1/records/%s", id);
	struct answer a = admin_ask(&service, service.viewer_key, "GET", uri, nothing);
	assert_int_equal(a.status, 200);
	assert_string_equal(text_of(&a, "instance_id"), id);
	assert_string_equal(text_of(&a, "state"), "active");
	answer_free(&a);
	id[2] = id[2] == '0' ? '1' : '0';
	snprintf(uri, sizeof uri, "/v1/records/%s", id);
	expect(admin_ask(&service, service.viewer_key, "GET", uri, nothing), 404, "not-found");
	expect(admin_ask(&service, service.viewer_key, "GET", "/v1/records/zz", nothing), 400, "bad-request");
	expect(service_ask(&service, "GET", "/v1/records", nothing, NULL), 401, "unauthenticated");
	free(one);
	free(two);
	free(cut);
	buf_free(&body);
	chip_free(&more[0]);
	chip_free(&more[1]);
}

static void test_records_are_listed_page_by_page(void **state)
{
	char uri[256];
	size_t seen = 0;
	(void)state;
	struct buf body = {0};
	struct chip more[5];
	for (int i = 0; i < 5; i++) {
		more[i] = chip_make();
		strcpy(more[i].record.batch, "pages");
		char *line = chip_line(&more[i]);
		buf_printf(&body, "%s\n", line);
		free(line);
	}
	expect(admin_ask(&service, service.operator_key, "POST", "/v1/records/imports/p/batches/0",
			 buf_view(&body)),
	       200, NULL);
	strcpy(uri, "/v1/records?batch=pages&limit=2");
	for (int page = 0; page < 3; page++) {
		struct answer a = admin_ask(&service, service.viewer_key, "GET", uri, nothing);
		assert_int_equal(a.status, 200);
		seen += json_array_size(json_object_get(a.json, "records"));
		assert_int_equal(*text_of(&a, "next") != '\0', page < 2);
		snprintf(uri, sizeof uri, "/v1/records?after=%s&batch=pages&limit=2", text_of(&a, "next"));
		answer_free(&a);
	}
	assert_int_equal(seen, 5);
	expect(admin_ask(&service, service.viewer_key, "GET", "/v1/records?limit=0", nothing), 400,
	       "bad-request");
	expect(admin_ask(&service, service.viewer_key, "GET", "/v1/records?limit=501", nothing), 400,
	       "bad-request");
	expect(admin_ask(&service, service.viewer_key, "GET", "/v1/records?batch=a%20b", nothing), 400,
	       "bad-request");
	expect(admin_ask(&service, service.viewer_key, "GET", "/v1/records?after=01", nothing), 400,
	       "bad-request");
	buf_free(&body);
	for (int i = 0; i < 5; i++)
		chip_free(&more[i]);
}

/* ---- withdrawals ---- */

static struct answer stand(const char *what)
{
	char uri[160], id[INSTANCE_ID_HEX];
	hex_encode(bytes_of(chip.record.instance_id, INSTANCE_ID_SIZE), id);
	snprintf(uri, sizeof uri, "/v1/records/%s/%s", id, what);
	return admin_ask(&service, service.operator_key, "POST", uri, bytes_str("{\"reason\":\"test\"}"));
}

static long long last_withdrawal(void)
{
	struct answer a = peer_ask(&service, "GET", "/v1/withdrawals?after=0", nothing, NULL);
	long long last = number_of(&a, "last");
	assert_int_equal(a.status, 200);
	answer_free(&a);
	return last;
}

static int follow(long long after, int wait_s)
{
	char uri[96];
	snprintf(uri, sizeof uri, "/v1/withdrawals?after=%lld&wait=%d", after, wait_s);
	return peer_send(&service, buf_view(&service.gateway), "GET", uri, nothing, NULL);
}

/* The payload of an entry; caller json_decref. */
static json_t *entry_of(const struct answer *a, size_t i)
{
	EVP_PKEY *const keys[] = {service.ear_public};
	json_t *payload = NULL;
	struct fault f = {0};
	const char *jws = json_string_value(json_array_get(json_object_get(a->json, "entries"), i));
	if (!jws || !jws_verify(bytes_str(jws), keys, 1, &payload, &f).ok)
		fail_msg("%s: %s", a->text, f.text);
	return payload;
}

static void expect_entry(const struct answer *a, size_t i, const char *state, long long seq)
{
	char id[INSTANCE_ID_HEX];
	json_t *payload = entry_of(a, i);
	hex_encode(bytes_of(chip.record.instance_id, INSTANCE_ID_SIZE), id);
	assert_string_equal(json_string_value(json_object_get(payload, "instance_id")), id);
	assert_string_equal(json_string_value(json_object_get(payload, "state")), state);
	assert_string_equal(json_string_value(json_object_get(payload, "reason")), "test");
	assert_int_equal(json_integer_value(json_object_get(payload, "seq")), seq);
	assert_in_range(clock_wall_s() - json_integer_value(json_object_get(payload, "time")), 0, 10);
	json_decref(payload);
}

static void test_a_suspension_wakes_those_who_follow_and_refuses_the_device(void **state)
{
	uint8_t nonce[BINDING_SIZE];
	char path[128];
	struct ear ear;
	struct fault f = {0};
	(void)state;
	long long before = last_withdrawal();
	int waiting[2] = {follow(before, 30), follow(before, 30)};
	struct pollfd quiet = {.fd = waiting[0], .events = POLLIN};
	assert_int_equal(poll(&quiet, 1, 50), 0);
	expect(stand("suspend"), 200, NULL);
	for (int i = 0; i < 2; i++) {
		struct answer a = service_receive(waiting[i]);
		assert_int_equal(a.status, 200);
		assert_int_equal(json_array_size(json_object_get(a.json, "entries")), 1);
		assert_int_equal(number_of(&a, "last"), before + 1);
		expect_entry(&a, 0, "suspended", before + 1);
		answer_free(&a);
	}
	fresh_nonce(nonce);
	new_session(nonce, path);
	struct buf token = chip_psa(&chip, nonce, chip.rot);
	struct answer refused = peer_ask(&service, "POST", path, buf_view(&token), PSA_TYPE);
	assert_false(check_result(&refused, nonce, nothing, &ear, &f).ok);
	assert_string_equal(ear.reason, "device-suspended");
	answer_free(&refused);
	buf_free(&token);
	expect(stand("resume"), 200, NULL);
	struct answer both = service_receive(follow(before, 30));
	assert_int_equal(json_array_size(json_object_get(both.json, "entries")), 2);
	expect_entry(&both, 1, "active", before + 2);
	answer_free(&both);
}

static void expect_marked(long long after, const char *mark, int status, const char *code)
{
	char uri[96];
	snprintf(uri, sizeof uri, "/v1/withdrawals?after=%lld&mark=%s", after, mark);
	expect(peer_ask(&service, "GET", uri, nothing, NULL), status, code);
}

static void test_who_has_read_another_list_is_told_so(void **state)
{
	(void)state;
	long long before = last_withdrawal();
	expect(stand("suspend"), 200, NULL);
	expect(stand("resume"), 200, NULL);
	struct answer both = service_receive(follow(before, 0));
	json_t *first = entry_of(&both, 0), *second = entry_of(&both, 1);
	const char *first_mark = json_string_value(json_object_get(first, "mark"));
	const char *second_mark = json_string_value(json_object_get(second, "mark"));
	assert_int_equal(strlen(first_mark), 16);
	assert_string_not_equal(first_mark, second_mark);
	assert_true(json_is_true(json_object_get(first, "superseded")));
	assert_true(json_is_false(json_object_get(second, "superseded")));
	expect_marked(before + 1, first_mark, 200, NULL);
	expect_marked(before + 2, second_mark, 200, NULL);
	expect_marked(before + 2, first_mark, 409, "conflict");	 /* its number came again */
	expect_marked(before + 3, second_mark, 409, "conflict"); /* it was never given out here */
	expect_marked(before + 2, "00", 400, "bad-request");
	expect_marked(before + 2, "", 400, "bad-request");
	json_decref(first);
	json_decref(second);
	answer_free(&both);
}

static void test_batches_are_suspended_and_resumed_by_operators(void **state)
{
	const struct bytes reason = bytes_str("{\"reason\":\"recall\"}");
	(void)state;
	expect(admin_ask(&service, service.viewer_key, "POST", "/v1/batches/B1/suspend", reason), 403,
	       "forbidden");
	expect(admin_ask(&service, service.operator_key, "POST", "/v1/batches/none/suspend", reason), 404,
	       "not-found");
	expect(admin_ask(&service, service.operator_key, "POST", "/v1/batches/B1/suspend", bytes_str("{}")),
	       400, "bad-request");
	struct answer a = admin_ask(&service, service.operator_key, "POST", "/v1/batches/B1/suspend", reason);
	assert_int_equal(a.status, 200);
	long long devices = number_of(&a, "devices");
	assert_true(devices >= 1);
	answer_free(&a);
	a = admin_ask(&service, service.operator_key, "POST", "/v1/batches/B1/resume", reason);
	assert_int_equal(number_of(&a, "devices"), devices);
	answer_free(&a);
}

static void test_waiting_for_withdrawals_has_an_end(void **state)
{
	(void)state;
	long long last = last_withdrawal();
	int64_t began = clock_monotonic_ms();
	struct answer a = service_receive(follow(last, 1));
	assert_int_equal(a.status, 200);
	assert_in_range(clock_monotonic_ms() - began, 900, 3000);
	assert_int_equal(json_array_size(json_object_get(a.json, "entries")), 0);
	assert_int_equal(number_of(&a, "last"), last);
	answer_free(&a);
	/* A follower that is ahead of us is told so at once. */
	began = clock_monotonic_ms();
	a = service_receive(follow(last + 7, 30));
	assert_int_equal(number_of(&a, "last"), last);
	assert_true(clock_monotonic_ms() - began < 5000);
	answer_free(&a);
	expect(service_receive(follow(0, 61)), 400, "bad-request");
	expect(peer_ask(&service, "GET", "/v1/withdrawals?after=-1", nothing, NULL), 400, "bad-request");
}

static void test_stopping_answers_those_who_wait_and_a_restart_forgets_nothing(void **state)
{
	(void)state;
	long long last = last_withdrawal();
	int waiting = follow(last, 60);
	struct pollfd quiet = {.fd = waiting, .events = POLLIN};
	assert_int_equal(poll(&quiet, 1, 50), 0);
	int64_t began = clock_monotonic_ms();
	service_end(&service);
	assert_true(clock_monotonic_ms() - began < 5000);
	struct answer a = service_receive(waiting);
	assert_int_equal(a.status, 200);
	assert_int_equal(number_of(&a, "last"), last);
	answer_free(&a);
	service_run(&service);
	assert_int_equal(last_withdrawal(), last);
	test_a_genuine_token_has_an_affirming_result(NULL);
}

/* ---- the service itself ---- */

static void test_unknown_paths_and_methods_are_refused(void **state)
{
	(void)state;
	expect(service_ask(&service, "GET", "/", nothing, NULL), 404, "not-found");
	expect(service_ask(&service, "GET", "/v1/records/a/b/c/d/e", nothing, NULL), 404, "not-found");
	expect(service_ask(&service, "GET", "/v1//withdrawals", nothing, NULL), 404, "not-found");
	expect(service_ask(&service, "GET", "/healthz/", nothing, NULL), 404, "not-found");
	struct answer a = service_ask(&service, "PUT", "/challenge-response/v1/session/a", nothing, NULL);
	assert_non_null(strstr(a.text, "Allow: POST, GET, HEAD, DELETE\r\n"));
	expect(a, 405, "method-not-allowed");
	expect(service_ask(&service, "HEAD", "/healthz", nothing, NULL), 200, NULL);
}

static void test_metrics_count_what_was_found(void **state)
{
	(void)state;
	struct answer a = service_ask(&service, "GET", "/metrics", nothing, NULL);
	assert_int_equal(a.status, 200);
	assert_non_null(
		strstr(a.text, "mooring_attestation_contraindicated_total{reason=\"device-unknown\"}"));
	assert_non_null(strstr(a.text, "mooring_attestation_appraisal_seconds_bucket"));
	assert_non_null(strstr(a.text, "mooring_store_writable 1"));
	answer_free(&a);
}

static int ready_status(void)
{
	struct answer a = service_ask(&service, "GET", "/readyz", nothing, NULL);
	int status = a.status;
	if (status == 503)
		assert_string_equal(text_of(&a, "reason"), "disk-full");
	answer_free(&a);
	return status;
}

static void test_readiness_follows_the_disk(void **state)
{
	struct rlimit full, before;
	int64_t end = clock_monotonic_ms() + 5000;
	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	full = before;
	full.rlim_cur = 4096;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &full), 0);
	while (ready_status() != 503 && clock_monotonic_ms() < end)
		;
	int told = ready_status();
	uint8_t nonce[BINDING_SIZE] = {9};
	char path[128];
	new_session(nonce, path); /* appraisals go on */
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(told, 503);
	end = clock_monotonic_ms() + 5000;
	while (ready_status() != 200 && clock_monotonic_ms() < end)
		;
	assert_int_equal(ready_status(), 200);
	expect(service_ask(&service, "GET", "/healthz", nothing, NULL), 200, NULL);
}

static int open_service(void **state)
{
	(void)state;
	service_open(&service);
	chip = chip_make();
	char *line = chip_line(&chip);
	struct answer a = admin_ask(&service, service.operator_key, "POST",
				    "/v1/records/imports/first/batches/0", bytes_str(line));
	int status = a.status;
	answer_free(&a);
	free(line);
	return status == 200 ? 0 : -1;
}

static int close_service(void **state)
{
	(void)state;
	service_close(&service);
	chip_free(&chip);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_genuine_token_has_an_affirming_result),
		cmocka_unit_test(test_evidence_may_come_with_the_request_for_the_session),
		cmocka_unit_test(test_evidence_in_a_request_for_a_session_follows_the_same_rules),
		cmocka_unit_test(test_a_signed_request_has_a_result_that_names_its_key),
		cmocka_unit_test(test_refused_evidence_is_a_result_with_our_reason),
		cmocka_unit_test(test_a_session_takes_its_evidence_once),
		cmocka_unit_test(test_sessions_are_asked_for_properly_or_refused),
		cmocka_unit_test(test_evidence_has_a_type_and_a_size),
		cmocka_unit_test(test_only_relying_parties_may_ask),
		cmocka_unit_test(test_discovery_names_both_keys_and_the_evidence_types),
		cmocka_unit_test(test_records_are_imported_by_operators_and_read_by_viewers),
		cmocka_unit_test(test_records_are_listed_page_by_page),
		cmocka_unit_test(test_a_suspension_wakes_those_who_follow_and_refuses_the_device),
		cmocka_unit_test(test_batches_are_suspended_and_resumed_by_operators),
		cmocka_unit_test(test_who_has_read_another_list_is_told_so),
		cmocka_unit_test(test_waiting_for_withdrawals_has_an_end),
		cmocka_unit_test(test_stopping_answers_those_who_wait_and_a_restart_forgets_nothing),
		cmocka_unit_test(test_unknown_paths_and_methods_are_refused),
		cmocka_unit_test(test_metrics_count_what_was_found),
		cmocka_unit_test(test_readiness_follows_the_disk),
	};
	return cmocka_run_group_tests(tests, open_service, close_service);
}
