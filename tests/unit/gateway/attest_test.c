#include "gateway/attest/attest.h"

#include "../tls_site.h"

#include "common/clock.h"
#include "common/http/httpc.h"
#include "common/log.h"
#include "gateway/attest/health.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* ---- an attestation service of our own: each test says where it differs from a good one ---- */

static const struct service {
	int session_status;	  /* 0: 201 */
	int failures;		  /* this many sessions are answered 500 before the first good one */
	const char *session_type; /* NULL: the interface's */
	const char *location;	  /* NULL: relative, as Veraison's */
	bool other_nonce;
	int evidence_status; /* 0: 200 */
	const char *status;  /* NULL: "complete" */
	const char *body;    /* of the evidence's answer; NULL: a session */
	size_t padding;	     /* bytes more in the session's answer */
	bool silent;	     /* says nothing at all */
	bool at_once;	     /* takes the evidence that came with the request for the session */
	bool hasty;	     /* is complete whether it has evidence or not */
	bool other_key, other_binding;
	enum reason reason; /* REASON_NONE: affirming */
} good = {0}, *service = &good;

static EVP_PKEY *ear_key, *other_key;
static uint8_t binding[BINDING_SIZE], instance[INSTANCE_ID_SIZE] = {1, 2, 3};
static atomic_int sessions_asked, evidence_asked;

static char *result(void)
{
	struct ear_appraisal found = {.type = EVIDENCE_PSA_TOKEN,
				      .instance_id = instance,
				      .reason = service->reason,
				      .now = clock_wall_s()};
	char *jwt = NULL;
	struct fault f = {0};
	memcpy(found.nonce, binding, BINDING_SIZE);
	found.nonce[0] ^= service->other_binding ? 1 : 0;
	if (!ear_build(&found, service->other_key ? other_key : ear_key, NULL, &jwt, &f).ok)
		abort();
	return jwt;
}

static char *session(const char *status, const char *jwt)
{
	char nonce[BASE64_SIZE(BINDING_SIZE)];
	struct buf b = {0};
	uint8_t shown[BINDING_SIZE];
	memcpy(shown, binding, BINDING_SIZE);
	shown[31] ^= service->other_nonce ? 1 : 0;
	base64url_encode(bytes_of(shown, sizeof shown), nonce);
	buf_printf(&b, "{\"status\":\"%s\",\"nonce\":\"%s\"", status, nonce);
	if (jwt)
		buf_printf(&b, ",\"result\":\"%s\"", jwt);
	buf_str(&b, ",\"padding\":\"");
	for (size_t i = 0; i < service->padding; i++)
		buf_byte(&b, 'x');
	buf_str(&b, "\"}");
	return buf_take_str(&b);
}

static char *response(int status, const char *type, const char *location, const char *body)
{
	struct buf b = {0};
	buf_printf(&b, "HTTP/1.1 %d X\r\nContent-Type: %s\r\nContent-Length: %zu\r\n", status, type,
		   strlen(body));
	if (location)
		buf_printf(&b, "Location: %s\r\n", location);
	buf_printf(&b, "\r\n%s", body);
	return buf_take_str(&b);
}

#define SESSION_TYPE "application/vnd.veraison.challenge-response-session+json"

static char *answer_session(const char *evidence)
{
	bool takes = service->hasty || (service->at_once && !strcmp(evidence, "evidence"));
	int n = atomic_fetch_add(&sessions_asked, 1);
	int status = n < service->failures ? 500 : service->session_status ? service->session_status : 201;
	char *jwt = takes ? result() : NULL, *body = session(takes ? "complete" : "waiting", jwt);
	char *all = response(status, service->session_type ? service->session_type : SESSION_TYPE,
			     service->location ? service->location : "session/1234", body);
	free(jwt);
	free(body);
	return all;
}

static char *answer_evidence(void)
{
	atomic_fetch_add(&evidence_asked, 1);
	char *jwt = result();
	char *body = service->body ? strdup(service->body)
				   : session(service->status ? service->status : "complete", jwt);
	char *all =
		response(service->evidence_status ? service->evidence_status : 200, SESSION_TYPE, NULL, body);
	free(jwt);
	free(body);
	return all;
}

static char *serve(const char *head, const char *body, const char *client)
{
	if (service->silent || strcmp(client, "client"))
		return NULL;
	if (!strncmp(head, "POST /challenge-response/v1/newSession?nonce=", 45))
		return answer_session(body);
	if (!strncmp(head, "POST /challenge-response/v1/session/1234 ", 41))
		return answer_evidence();
	return response(404, "text/plain", NULL, "?");
}

/* ---- the gateway's side, on a loop ---- */

static struct tls_site site;
static struct gateway gateway;
static struct worker worker = {.gateway = &gateway};
static struct attest_call call;
static char ca[128], cert[128], key[128], url[64];

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool over;
} turn = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void end_turn(void *arg)
{
	(void)arg;
	pthread_mutex_lock(&turn.lock);
	turn.over = true;
	pthread_cond_signal(&turn.changed);
	pthread_mutex_unlock(&turn.lock);
}

static void on_loop(void (*fn)(void *arg))
{
	turn.over = false;
	loop_post(worker.loop, fn, NULL);
	pthread_mutex_lock(&turn.lock);
	while (!turn.over)
		pthread_cond_wait(&turn.changed, &turn.lock);
	pthread_mutex_unlock(&turn.lock);
}

static void make_client(void *arg)
{
	const struct httpc_tls tls = {.ca_file = ca, .cert_file = cert, .key_file = key};
	if (!httpc_new(loop_base(worker.loop), &tls, &worker.attestation, NULL).ok)
		abort();
	end_turn(arg);
}

static void free_client(void *arg)
{
	httpc_free(worker.attestation);
	end_turn(arg);
}

static void begin(void *arg)
{
	(void)arg;
	call = (struct attest_call){
		.worker = &worker,
		.type = EVIDENCE_PSA_TOKEN,
		.evidence = bytes_str("evidence"),
		.binding = binding,
		.done = end_turn,
	};
	attest_ask(&call);
}

static void ask(const struct service *s)
{
	service = s;
	atomic_store(&sessions_asked, 0);
	atomic_store(&evidence_asked, 0);
	attest_call_free(&call);
	on_loop(begin);
}

static void refused(const struct service *s, const char *reason)
{
	ask(s);
	if (call.affirmed || strcmp(reason_code(call.fault.reason), reason))
		fail_msg("%s instead of %s: %s", call.affirmed ? "affirmed" : reason_code(call.fault.reason),
			 reason, call.fault.text);
}

static void test_a_good_service_affirms(void **state)
{
	(void)state;
	ask(&good);
	assert_true(call.affirmed);
	assert_true(call.ear.has_instance_id);
	assert_memory_equal(call.ear.instance_id, instance, INSTANCE_ID_SIZE);
	assert_non_null(call.jwt);
	assert_int_equal(atomic_load(&sessions_asked), 1);
	assert_int_equal(atomic_load(&evidence_asked), 1);
}

static void test_a_service_that_takes_evidence_at_once_is_asked_once(void **state)
{
	(void)state;
	ask(&(const struct service){.at_once = true});
	assert_true(call.affirmed);
	assert_non_null(call.jwt);
	assert_int_equal(atomic_load(&sessions_asked), 1);
	assert_int_equal(atomic_load(&evidence_asked), 0);
	refused(&(const struct service){.at_once = true, .reason = REASON_DEVICE_UNKNOWN}, "device-unknown");
	refused(&(const struct service){.at_once = true, .other_key = true}, "ear-signature");
	refused(&(const struct service){.at_once = true, .other_nonce = true}, "verifier-answer-invalid");
}

/* The second request for a session brings no evidence: what is complete then was not appraised. */
static void test_a_session_that_was_complete_without_evidence_is_not_believed(void **state)
{
	(void)state;
	refused(&(const struct service){.hasty = true, .failures = 1}, "verifier-answer-invalid");
	assert_int_equal(atomic_load(&sessions_asked), 2);
	ask(&(const struct service){.at_once = true, .failures = 1});
	assert_true(call.affirmed);
	assert_int_equal(atomic_load(&evidence_asked), 1);
}

static void test_opening_a_session_is_tried_twice(void **state)
{
	(void)state;
	ask(&(const struct service){.failures = 1});
	assert_true(call.affirmed);
	assert_int_equal(atomic_load(&sessions_asked), 2);
	refused(&(const struct service){.failures = 9}, "verifier-unavailable");
	assert_int_equal(atomic_load(&sessions_asked), 2);
}

static void test_evidence_is_sent_once(void **state)
{
	(void)state;
	refused(&(const struct service){.evidence_status = 500}, "verifier-unavailable");
	assert_int_equal(atomic_load(&evidence_asked), 1);
	refused(&(const struct service){.evidence_status = 202, .status = "processing"},
		"verifier-unavailable");
	refused(&(const struct service){.status = "processing"}, "verifier-unavailable");
	refused(&(const struct service){.evidence_status = 415}, "verifier-answer-invalid");
	assert_int_equal(atomic_load(&evidence_asked), 1);
}

static void test_a_session_that_is_not_ours_is_not_followed(void **state)
{
	(void)state;
	refused(&(const struct service){.other_nonce = true}, "verifier-answer-invalid");
	refused(&(const struct service){.location = "https://127.0.0.1:1/session/1"},
		"verifier-answer-invalid");
	refused(&(const struct service){.location = "https://elsewhere.example/session/1"},
		"verifier-answer-invalid");
	refused(&(const struct service){.session_type = "text/html"}, "verifier-answer-invalid");
	refused(&(const struct service){.session_status = 200}, "verifier-answer-invalid");
	refused(&(const struct service){.session_status = 403}, "verifier-unavailable");
	assert_int_equal(atomic_load(&evidence_asked), 0);
}

static void test_an_answer_that_is_no_result_is_none(void **state)
{
	(void)state;
	refused(&(const struct service){.body = "{\"status\":\"comp"}, "verifier-answer-invalid");
	refused(&(const struct service){.body = "{}"}, "verifier-answer-invalid");
	refused(&(const struct service){.padding = 70000}, "verifier-unavailable");
}

static void test_a_result_is_believed_for_its_signature_and_nonce_alone(void **state)
{
	(void)state;
	refused(&(const struct service){.other_key = true}, "ear-signature");
	refused(&(const struct service){.other_binding = true}, "ear-nonce");
}

static void test_the_verifiers_reason_is_kept_where_it_is_one(void **state)
{
	(void)state;
	refused(&(const struct service){.reason = REASON_DEVICE_UNKNOWN}, "device-unknown");
	refused(&(const struct service){.reason = REASON_SIGNATURE}, "signature-invalid");
	/* One that would tell the caller more than that attestation was refused does not get out. */
	refused(&(const struct service){.reason = REASON_BAD_FIELD}, "ear-not-affirming");
}

static void test_a_service_that_says_nothing_costs_a_bounded_time(void **state)
{
	(void)state;
	int64_t began = clock_monotonic_ms();
	refused(&(const struct service){.silent = true}, "verifier-unavailable");
	assert_in_range(clock_monotonic_ms() - began, 3900, 9000);
}

static void test_a_service_that_is_not_there_is_unavailable(void **state)
{
	(void)state;
	char *was = gateway.config.attestation_url, gone[] = "https://127.0.0.1:1";
	gateway.config.attestation_url = gone;
	refused(&good, "verifier-unavailable");
	gateway.config.attestation_url = was;
}

static int set_up(void **state)
{
	static struct ear_pin pin;
	(void)state;
	crypto_random(binding, sizeof binding);
	ear_key = p256_key_generate();
	other_key = p256_key_generate();
	site_open(&site, serve);
	site_path(&site, "ca.pem", ca);
	site_path(&site, "client.pem", cert);
	site_path(&site, "client.key", key);
	snprintf(url, sizeof url, "https://127.0.0.1:%d", site.port);
	gateway.config.attestation_url = url;
	gateway.keys.ear = &pin;
	gateway.keys.ear_count = 1;
	worker.ear_keys = &ear_key;
	worker.loop = loop_start("test");
	on_loop(make_client);
	return attest_health_new(&gateway.attest, NULL).ok ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	on_loop(free_client);
	loop_stop(worker.loop);
	attest_call_free(&call);
	attest_health_free(gateway.attest);
	site_close(&site);
	EVP_PKEY_free(ear_key);
	EVP_PKEY_free(other_key);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_good_service_affirms),
		cmocka_unit_test(test_a_service_that_takes_evidence_at_once_is_asked_once),
		cmocka_unit_test(test_a_session_that_was_complete_without_evidence_is_not_believed),
		cmocka_unit_test(test_opening_a_session_is_tried_twice),
		cmocka_unit_test(test_evidence_is_sent_once),
		cmocka_unit_test(test_a_session_that_is_not_ours_is_not_followed),
		cmocka_unit_test(test_an_answer_that_is_no_result_is_none),
		cmocka_unit_test(test_a_result_is_believed_for_its_signature_and_nonce_alone),
		cmocka_unit_test(test_the_verifiers_reason_is_kept_where_it_is_one),
		cmocka_unit_test(test_a_service_that_says_nothing_costs_a_bounded_time),
		cmocka_unit_test(test_a_service_that_is_not_there_is_unavailable),
	};
	log_init("test", LOG_LEVEL_ERROR + 1);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
