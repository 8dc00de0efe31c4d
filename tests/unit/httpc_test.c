#include "common/http/httpc.h"

#include "common/clock.h"
#include "tls_site.h"

#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct tls_site site;
static char ca[128], other_ca[128], client_cert[128], client_key[128];

static char *respond(int status, const char *headers, const char *body)
{
	struct buf b = {0};
	buf_printf(&b, "HTTP/1.1 %d X\r\nContent-Length: %zu\r\n%s\r\n%s", status, strlen(body), headers,
		   body);
	return buf_take_str(&b);
}

static char *big_answer(void)
{
	char *body = malloc(100001);
	memset(body, 'b', 100000);
	body[100000] = '\0';
	char *answer = respond(200, "", body);
	free(body);
	return answer;
}

/* What came in, the answer says it back. */
static char *answer(const char *head, const char *body, const char *client)
{
	const char *path = strchr(head, ' ') + 1;
	if (!strncmp(path, "/silent", 7))
		return NULL;
	if (!strncmp(path, "/big", 4))
		return big_answer();
	if (!strncmp(path, "/redirect", 9))
		return respond(302, "Location: https://127.0.0.1:1/elsewhere\r\n", "moved");
	if (!strncmp(path, "/session/new", 12))
		return respond(201, "Location: sub/42?x=1\r\nContent-Type: a/b\r\n", "{}");
	if (!strncmp(path, "/busy", 5))
		return respond(503, "Retry-After: 7\r\nDate: Sun, 22 Nov 2026 15:00:00 GMT\r\n", "");
	if (!strncmp(path, "/last", 5))
		return respond(200, "Connection: close\r\n", "bye");
	if (!strncmp(path, "/who", 4))
		return respond(200, "", client);
	struct buf b = {0};
	buf_printf(&b, "%.*s|%s", (int)(body - head), head, body);
	char *text = buf_take_str(&b);
	char *r = respond(200, "Content-Type: text/plain\r\n", text);
	free(text);
	return r;
}

static const char *url_of(const char *path)
{
	static char url[256];
	snprintf(url, sizeof url, "https://127.0.0.1:%d%s", site.port, path);
	return url;
}

static struct httpc_call get(const char *path)
{
	return (struct httpc_call){
		.method = "GET", .url = url_of(path), .answer_max = 65536, .timeout_ms = 5000};
}

static struct httpc_sync *client_of(const struct httpc_tls *tls)
{
	struct httpc_sync *c = NULL;
	struct fault f = {0};
	if (!httpc_sync_new(tls, &c, &f).ok)
		fail_msg("httpc_sync_new: %s", f.text);
	return c;
}

static void expect_in(struct bytes body, const char *part)
{
	if (!memmem(body.p, body.n, part, strlen(part)))
		fail_msg("no \"%s\" in: %.*s", part, (int)body.n, (const char *)body.p);
}

static void test_method_headers_and_body_arrive_as_given(void **state)
{
	(void)state;
	struct httpc_tls tls = {.ca_file = ca};
	struct httpc_sync *c = client_of(&tls);
	const char *const headers[] = {"X-One: 1", "Content-Type: application/json", NULL};
	struct httpc_call call = get("/a/../b%2fc?q=1&&r");
	struct httpc_answer a;
	struct fault f;
	call.method = "POST";
	call.headers = headers;
	call.body = bytes_str("{\"a\":1}");
	assert_true(httpc_sync_call(c, &call, &a, &f).ok);
	assert_int_equal(a.status, 200);
	assert_string_equal(a.content_type, "text/plain");
	assert_string_equal(a.location, "");
	assert_int_equal(a.retry_after_s, -1);
	assert_int_equal(a.date, 0);
	expect_in(a.body, "POST /a/../b%2fc?q=1&&r HTTP/1.1\r\n");
	expect_in(a.body, "\r\nX-One: 1\r\n");
	expect_in(a.body, "\r\nContent-Type: application/json\r\n");
	expect_in(a.body, "\r\nContent-Length: 7\r\n");
	expect_in(a.body, "|{\"a\":1}");
	assert_null(memmem(a.body.p, a.body.n, "Expect", 6));
	httpc_sync_free(c);
}

static void test_calls_without_a_body_name_no_type(void **state)
{
	(void)state;
	static const char *const methods[] = {"GET", "POST", "DELETE", "PUT"};
	struct httpc_tls tls = {.ca_file = ca};
	struct httpc_sync *c = client_of(&tls);
	struct httpc_answer a;
	struct fault f;
	for (size_t i = 0; i < 4; i++) {
		struct httpc_call call = get("/x");
		char line[32];
		call.method = methods[i];
		assert_true(httpc_sync_call(c, &call, &a, &f).ok);
		snprintf(line, sizeof line, "%s /x HTTP/1.1\r\n", methods[i]);
		expect_in(a.body, line);
		assert_null(memmem(a.body.p, a.body.n, "Content-Type", 12));
	}
	httpc_sync_free(c);
}

static void test_a_long_body_is_sent_without_waiting_for_100_continue(void **state)
{
	(void)state;
	struct httpc_tls tls = {.ca_file = ca};
	struct httpc_sync *c = client_of(&tls);
	struct httpc_call call = get("/long");
	struct httpc_answer a;
	struct fault f;
	char *body = malloc(262145);
	memset(body, 'x', 262144);
	body[262144] = '\0';
	call.method = "POST";
	call.body = bytes_of(body, 262144);
	call.answer_max = 300000;
	int64_t began = clock_monotonic_ms();
	assert_true(httpc_sync_call(c, &call, &a, &f).ok);
	assert_true(clock_monotonic_ms() - began < 900);
	expect_in(a.body, "\r\nContent-Length: 262144\r\n");
	free(body);
	httpc_sync_free(c);
}

static void test_connections_are_kept_and_renewed(void **state)
{
	(void)state;
	struct httpc_tls tls = {.ca_file = ca};
	struct httpc_sync *c = client_of(&tls);
	static const char *const paths[] = {"/1", "/2", "/last", "/3", "/4"};
	struct httpc_answer a;
	struct fault f;
	int before = atomic_load(&site.connections);
	for (size_t i = 0; i < 5; i++) {
		struct httpc_call call = get(paths[i]);
		assert_true(httpc_sync_call(c, &call, &a, &f).ok);
		assert_int_equal(a.status, 200);
	}
	assert_int_equal(atomic_load(&site.connections) - before, 2);
	httpc_sync_free(c);
}

static void test_redirects_are_reported_and_never_followed(void **state)
{
	(void)state;
	struct httpc_tls tls = {.ca_file = ca};
	struct httpc_sync *c = client_of(&tls);
	struct httpc_call call = get("/redirect");
	struct httpc_answer a;
	struct fault f;
	assert_true(httpc_sync_call(c, &call, &a, &f).ok);
	assert_int_equal(a.status, 302);
	assert_string_equal(a.location, "https://127.0.0.1:1/elsewhere");
	httpc_sync_free(c);
}

static void test_a_relative_location_is_resolved(void **state)
{
	(void)state;
	struct httpc_tls tls = {.ca_file = ca};
	struct httpc_sync *c = client_of(&tls);
	struct httpc_call call = get("/session/new");
	struct httpc_answer a;
	struct fault f;
	assert_true(httpc_sync_call(c, &call, &a, &f).ok);
	assert_int_equal(a.status, 201);
	char *where = httpc_resolve(call.url, a.location);
	assert_string_equal(where, url_of("/session/sub/42?x=1"));
	free(where);
	httpc_sync_free(c);
}

static void test_retry_after_and_date_are_read(void **state)
{
	(void)state;
	struct httpc_tls tls = {.ca_file = ca};
	struct httpc_sync *c = client_of(&tls);
	struct httpc_call call = get("/busy");
	struct httpc_answer a;
	struct fault f;
	assert_true(httpc_sync_call(c, &call, &a, &f).ok);
	assert_int_equal(a.status, 503);
	assert_int_equal(a.retry_after_s, 7);
	assert_int_equal(a.date, 1795359600);
	httpc_sync_free(c);
}

static void expect_failure(struct httpc_sync *c, const struct httpc_call *call, enum reason reason)
{
	struct httpc_answer a;
	struct fault f = {0};
	assert_false(httpc_sync_call(c, call, &a, &f).ok);
	assert_int_equal(a.status, 0);
	if (f.reason != reason)
		fail_msg("%s: %s", reason_code(f.reason), f.text);
}

static void test_an_answer_over_the_limit_fails(void **state)
{
	(void)state;
	struct httpc_tls tls = {.ca_file = ca};
	struct httpc_sync *c = client_of(&tls);
	struct httpc_call call = get("/big");
	struct httpc_answer a;
	struct fault f;
	expect_failure(c, &call, REASON_PEER_ANSWER);
	call.answer_max = 99999;
	expect_failure(c, &call, REASON_PEER_ANSWER);
	call.answer_max = 100000;
	assert_true(httpc_sync_call(c, &call, &a, &f).ok);
	assert_int_equal(a.body.n, 100000);
	httpc_sync_free(c);
}

static void test_a_silent_server_fails_at_the_deadline(void **state)
{
	(void)state;
	struct httpc_tls tls = {.ca_file = ca};
	struct httpc_sync *c = client_of(&tls);
	struct httpc_call call = get("/silent");
	call.timeout_ms = 200;
	int64_t began = clock_monotonic_ms();
	expect_failure(c, &call, REASON_DEADLINE);
	assert_in_range(clock_monotonic_ms() - began, 190, 2000);
	httpc_sync_free(c);
}

static void test_only_the_pinned_ca_and_the_right_name_are_trusted(void **state)
{
	(void)state;
	struct httpc_tls tls = {.ca_file = other_ca};
	struct httpc_call call = get("/");
	struct httpc_sync *c = client_of(&tls);
	expect_failure(c, &call, REASON_UNREACHABLE);
	httpc_sync_free(c);
	tls = (struct httpc_tls){.ca_file = ca, .host_alias = "other.example"};
	c = client_of(&tls);
	expect_failure(c, &call, REASON_UNREACHABLE);
	httpc_sync_free(c);
}

static void test_an_alias_is_verified_and_named_instead_of_the_address(void **state)
{
	(void)state;
	struct httpc_tls tls = {.ca_file = ca, .host_alias = "gw.example"};
	struct httpc_sync *c = client_of(&tls);
	struct httpc_call call = get("/alias");
	struct httpc_answer a;
	struct fault f;
	char host[64];
	assert_true(httpc_sync_call(c, &call, &a, &f).ok);
	snprintf(host, sizeof host, "\r\nHost: gw.example:%d\r\n", site.port);
	expect_in(a.body, host);
	httpc_sync_free(c);
}

static void test_the_client_certificate_is_presented(void **state)
{
	(void)state;
	struct httpc_tls tls = {.ca_file = ca, .cert_file = client_cert, .key_file = client_key};
	struct httpc_sync *c = client_of(&tls);
	struct httpc_call call = get("/who");
	struct httpc_answer a;
	struct fault f;
	assert_true(httpc_sync_call(c, &call, &a, &f).ok);
	assert_true(bytes_equal(a.body, bytes_str("client")));
	httpc_sync_free(c);
}

static void test_plain_http_and_dead_ports_are_unreachable(void **state)
{
	(void)state;
	struct httpc_tls tls = {.ca_file = ca};
	struct httpc_sync *c = client_of(&tls);
	struct httpc_call call = get("/");
	call.url = "http://127.0.0.1:1/";
	expect_failure(c, &call, REASON_UNREACHABLE);
	call.url = "file:///etc/passwd";
	expect_failure(c, &call, REASON_UNREACHABLE);
	call.url = "https://127.0.0.1:1/";
	expect_failure(c, &call, REASON_UNREACHABLE);
	httpc_sync_free(c);
}

static void test_a_proxy_of_the_environment_is_not_used(void **state)
{
	(void)state;
	struct httpc_tls tls = {.ca_file = ca};
	struct httpc_call call = get("/");
	struct httpc_answer a;
	struct fault f;
	setenv("https_proxy", "http://127.0.0.1:1", 1);
	struct httpc_sync *c = client_of(&tls);
	bool ok = httpc_sync_call(c, &call, &a, &f).ok;
	unsetenv("https_proxy");
	assert_true(ok);
	httpc_sync_free(c);
}

static void test_missing_or_open_files_refuse_to_start(void **state)
{
	(void)state;
	struct httpc_sync *c = NULL;
	struct fault f = {0};
	struct httpc_tls tls = {.ca_file = "/nonexistent/ca.pem"};
	assert_false(httpc_sync_new(&tls, &c, &f).ok);
	assert_int_equal(f.reason, REASON_IO);
	tls = (struct httpc_tls){.ca_file = ca, .cert_file = client_cert};
	assert_false(httpc_sync_new(&tls, &c, &f).ok);
	assert_int_equal(f.reason, REASON_CONFIG);
	tls.key_file = client_cert; /* mode 0644 */
	assert_false(httpc_sync_new(&tls, &c, &f).ok);
	assert_int_equal(f.reason, REASON_IO);
	assert_non_null(strstr(f.text, "chmod 600"));
	assert_null(c);
}

/* ---- on a loop ---- */

enum { MANY = 40 };

struct client {
	struct loop *loop;
	struct httpc *http;
	struct httpc_call call;
	struct fault fault;
	int left, good, reasons[REASON_COUNT];
	bool sending, early;
	sem_t done;
};

static void on_answer(const struct httpc_answer *a, const struct fault *f, void *arg)
{
	struct client *c = arg;
	c->early = c->early || c->sending || loop_current() != c->loop;
	c->good += a->status == 200 && !f && a->body.n > 0;
	if (f)
		c->reasons[f->reason]++;
	if (--c->left == 0)
		sem_post(&c->done);
}

static void begin(void *arg)
{
	struct client *c = arg;
	struct httpc_tls tls = {.ca_file = ca};
	if (!httpc_new(loop_base(c->loop), &tls, &c->http, &c->fault).ok)
		abort();
	c->sending = true;
	for (int i = 0, n = c->left; i < n; i++)
		httpc_send(c->http, &c->call, on_answer, c);
	c->sending = false;
}

static void end(void *arg)
{
	struct client *c = arg;
	httpc_free(c->http);
}

static void run(struct client *c, struct httpc_call call, int times)
{
	*c = (struct client){.call = call, .left = times};
	sem_init(&c->done, 0, 0);
	c->loop = loop_start("client");
	loop_post(c->loop, begin, c);
}

static void finish(struct client *c)
{
	loop_post(c->loop, end, c);
	loop_stop(c->loop);
	assert_false(c->early);
}

static void test_many_calls_at_once_are_all_answered_on_the_loop(void **state)
{
	(void)state;
	struct client c;
	run(&c, get("/many"), MANY);
	sem_wait(&c.done);
	finish(&c);
	assert_int_equal(c.good, MANY);
}

static void again(const struct httpc_answer *a, const struct fault *f, void *arg)
{
	struct client *c = arg;
	c->good += a->status == 200 && !f;
	if (--c->left == 0)
		sem_post(&c->done);
	else
		httpc_send(c->http, &c->call, again, c);
}

static void begin_chain(void *arg)
{
	struct client *c = arg;
	struct httpc_tls tls = {.ca_file = ca};
	if (!httpc_new(loop_base(c->loop), &tls, &c->http, &c->fault).ok)
		abort();
	httpc_send(c->http, &c->call, again, c);
}

static void test_an_answer_may_send_the_next_call_on_the_same_connection(void **state)
{
	(void)state;
	struct client c = {.call = get("/chain"), .left = 20};
	int before = atomic_load(&site.connections);
	sem_init(&c.done, 0, 0);
	c.loop = loop_start("client");
	loop_post(c.loop, begin_chain, &c);
	sem_wait(&c.done);
	finish(&c);
	assert_int_equal(c.good, 20);
	assert_int_equal(atomic_load(&site.connections) - before, 1);
}

static void test_asynchronous_failures_are_told_later(void **state)
{
	(void)state;
	struct client c;
	struct httpc_call call = get("/silent");
	call.timeout_ms = 150;
	run(&c, call, 2);
	sem_wait(&c.done);
	finish(&c);
	assert_int_equal(c.reasons[REASON_DEADLINE], 2);
	call.url = "https://127.0.0.1:1/";
	run(&c, call, 2);
	sem_wait(&c.done);
	finish(&c);
	assert_int_equal(c.reasons[REASON_UNREACHABLE], 2);
	run(&c, get("/big"), 1);
	sem_wait(&c.done);
	finish(&c);
	assert_int_equal(c.reasons[REASON_PEER_ANSWER], 1);
}

static void test_closing_the_client_ends_open_calls(void **state)
{
	(void)state;
	struct client c;
	run(&c, get("/silent"), 3);
	loop_post(c.loop, end, &c);
	sem_wait(&c.done);
	loop_stop(c.loop);
	assert_false(c.early);
	assert_int_equal(c.reasons[REASON_UNREACHABLE], 3);
}

static int open_site(void **state)
{
	(void)state;
	site_open(&site, answer);
	site_path(&site, "ca.pem", ca);
	site_path(&site, "other.pem", other_ca);
	site_path(&site, "client.pem", client_cert);
	site_path(&site, "client.key", client_key);
	return 0;
}

static int close_site(void **state)
{
	(void)state;
	site_close(&site);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_method_headers_and_body_arrive_as_given),
		cmocka_unit_test(test_calls_without_a_body_name_no_type),
		cmocka_unit_test(test_a_long_body_is_sent_without_waiting_for_100_continue),
		cmocka_unit_test(test_connections_are_kept_and_renewed),
		cmocka_unit_test(test_redirects_are_reported_and_never_followed),
		cmocka_unit_test(test_a_relative_location_is_resolved),
		cmocka_unit_test(test_retry_after_and_date_are_read),
		cmocka_unit_test(test_an_answer_over_the_limit_fails),
		cmocka_unit_test(test_a_silent_server_fails_at_the_deadline),
		cmocka_unit_test(test_only_the_pinned_ca_and_the_right_name_are_trusted),
		cmocka_unit_test(test_an_alias_is_verified_and_named_instead_of_the_address),
		cmocka_unit_test(test_the_client_certificate_is_presented),
		cmocka_unit_test(test_plain_http_and_dead_ports_are_unreachable),
		cmocka_unit_test(test_a_proxy_of_the_environment_is_not_used),
		cmocka_unit_test(test_missing_or_open_files_refuse_to_start),
		cmocka_unit_test(test_many_calls_at_once_are_all_answered_on_the_loop),
		cmocka_unit_test(test_an_answer_may_send_the_next_call_on_the_same_connection),
		cmocka_unit_test(test_asynchronous_failures_are_told_later),
		cmocka_unit_test(test_closing_the_client_ends_open_calls),
	};
	return cmocka_run_group_tests(tests, open_site, close_site);
}
