#include "common/scgi/scgi_internal.h"

#include "common/clock.h"
#include "scgi_client.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/scgi_test.XXXXXX";
static char socket_path[64];
static const struct scgi_options one_worker = {.socket_path = socket_path, .workers = 1};

/* ---- the client's side ---- */

static char *ask(const char *method, const char *uri, struct bytes body, const char *const *extra)
{
	struct buf request = scgi_client_request(method, uri, body, extra);
	int fd = scgi_client_dial(socket_path);
	scgi_client_send(fd, buf_view(&request));
	buf_free(&request);
	return scgi_client_read(fd);
}

static int ask_without_reading(const char *uri)
{
	struct buf request = scgi_client_request("GET", uri, bytes_of(NULL, 0), NULL);
	int fd = scgi_client_dial(socket_path);
	scgi_client_send(fd, buf_view(&request));
	buf_free(&request);
	return fd;
}

static void expect_in(const char *answer, const char *part)
{
	if (!strstr(answer, part))
		fail_msg("no \"%s\" in: %.600s", part, answer);
}

/* ---- the handler's side ---- */

struct site {
	struct scgi_server *server;
	sem_t arrived, left, drained;
	struct scgi_request *parked;
	int left_count, started, stopped;
	bool fail_start;
};

static void site_init(struct site *s)
{
	*s = (struct site){0};
	sem_init(&s->arrived, 0, 0);
	sem_init(&s->left, 0, 0);
	sem_init(&s->drained, 0, 0);
}

static void start(struct site *s, const struct scgi_options *o, scgi_handler *handler)
{
	struct fault f = {0};
	site_init(s);
	if (!scgi_start(o, handler, s, &s->server, &f).ok)
		fail_msg("scgi_start: %s", f.text);
}

static void echo(struct scgi_request *r, void *arg)
{
	struct buf out = {0};
	char x[32];
	const char *name, *value;
	(void)arg;
	buf_printf(&out, "%s|%s|%s|%s|", scgi_method(r), scgi_path(r), scgi_query(r),
		   scgi_header(r, "x-AMZ-date"));
	buf_printf(&out, "%s|", scgi_query_get(r, "x", x, sizeof x) ? x : "-");
	for (size_t i = 0; i < scgi_header_count(r); i++) {
		scgi_header_at(r, i, &name, &value);
		buf_printf(&out, "%s=%s;", name, value);
	}
	buf_str(&out, "|");
	buf_bytes(&out, scgi_client_cert(r));
	buf_str(&out, "|");
	buf_bytes(&out, scgi_body(r));
	scgi_answer_header(r, "X-Extra", "yes");
	scgi_answer_header(r, "X-Split", "a\r\nSet-Cookie: b");
	scgi_answer(r, 200, "text/plain", buf_view(&out));
	buf_free(&out);
}

static void test_a_handler_sees_the_request_as_sent(void **state)
{
	(void)state;
	struct site s;
	const char *const extra[] = {"HTTP_X_AMZ_DATE",
				     "20261122T000000Z",
				     "CONTENT_TYPE",
				     "text/x",
				     "HTTP_HOST",
				     "h",
				     "HTTP_CONTENT_TYPE",
				     "text/x",
				     "CLIENT_CERT",
				     "-----BEGIN%20C%2B%0A",
				     NULL};
	start(&s, &one_worker, echo);
	char *a = ask("POST", "/v1/a%20b?x=1%2B2&y", bytes_str("body"), extra);
	assert_true(!strncmp(a, "Status: 200 OK\r\nX-Request-Id: ", 30));
	expect_in(a, "\r\nContent-Type: text/plain\r\n");
	expect_in(a, "\r\nX-Extra: yes\r\n");
	assert_null(strstr(a, "Cookie"));
	expect_in(a, "\r\n\r\nPOST|/v1/"
		     "a%20b|x=1%2B2&y|20261122T000000Z|1+2|content-length=4;x-amz-date=20261122T000000Z;"
		     "content-type=text/x;host=h;|-----BEGIN C+\n|body");
	free(a);
	scgi_stop(s.server, 1000);
}

static void answer_query(struct scgi_request *r, void *arg)
{
	char x[8];
	(void)arg;
	bool has = scgi_query_has(r, "x");
	const char *got = scgi_query_get(r, "x", x, sizeof x) ? x : "refused";
	scgi_answer(r, 200, "text/plain", bytes_str(has ? got : "absent"));
}

static void test_query_parameters_are_taken_once_whole_and_decoded(void **state)
{
	(void)state;
	struct site s;
	static const char *const cases[][2] = {
		{"/?x=a+b", "\r\n\r\na b"},	     {"/?xx=1", "\r\n\r\nabsent"},
		{"/?x", "Content-Length: 0"},	     {"/?y=1&x=%41", "\r\n\r\nA"},
		{"/?x=1&x=2", "\r\n\r\nrefused"},    {"/?x=%zz", "\r\n\r\nrefused"},
		{"/?x=12345678", "\r\n\r\nrefused"}, {"/", "\r\n\r\nabsent"},
		{"/?&&x=1&", "\r\n\r\n1"},
	};
	start(&s, &one_worker, answer_query);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char *a = ask("GET", cases[i][0], bytes_of(NULL, 0), NULL);
		expect_in(a, cases[i][1]);
		free(a);
	}
	scgi_stop(s.server, 1000);
}

static void test_request_ids_differ_and_sort_by_time(void **state)
{
	(void)state;
	struct site s;
	char last[REQUEST_ID_SIZE] = "";
	start(&s, &one_worker, echo);
	for (int i = 0; i < 3; i++) {
		char *a = ask("GET", "/", bytes_of(NULL, 0), NULL);
		char *id = strstr(a, "X-Request-Id: ") + 14;
		id[strcspn(id, "\r")] = '\0';
		assert_int_equal(strlen(id), 26);
		assert_int_equal(strspn(id, "0123456789ABCDEFGHJKMNPQRSTVWXYZ"), 26);
		assert_true(strncmp(last, id, 10) <= 0);
		assert_string_not_equal(last, id);
		memcpy(last, id, sizeof last);
		free(a);
	}
	scgi_stop(s.server, 1000);
}

static void test_a_request_may_come_byte_by_byte(void **state)
{
	(void)state;
	struct site s;
	start(&s, &one_worker, echo);
	struct buf request = scgi_client_request("PUT", "/slow", bytes_str("0123456789"), NULL);
	int fd = scgi_client_dial(socket_path);
	for (size_t i = 0; i < request.n; i++)
		scgi_client_send(fd, bytes_of(request.p + i, 1));
	char *a = scgi_client_read(fd);
	expect_in(a, "PUT|/slow|");
	expect_in(a, "|0123456789");
	free(a);
	buf_free(&request);
	scgi_stop(s.server, 1000);
}

static void send_back(struct scgi_request *r, void *arg)
{
	(void)arg;
	struct bytes body = scgi_body(r);
	size_t n = body.n * 16;
	char *big = scgi_alloc(r, n);
	for (size_t i = 0; i < 16; i++)
		memcpy(big + i * body.n, body.p, body.n);
	scgi_answer(r, 200, "application/octet-stream", bytes_of(big, n));
}

static void test_bodies_of_the_limit_and_answers_of_megabytes_pass(void **state)
{
	(void)state;
	struct site s;
	char *body = malloc(SCGI_BODY_MAX);
	memset(body, 'a', SCGI_BODY_MAX);
	start(&s, &one_worker, send_back);
	char *a = ask("POST", "/", bytes_of(body, SCGI_BODY_MAX), NULL);
	char *start_of_body = strstr(a, "\r\n\r\n") + 4;
	assert_int_equal(strlen(start_of_body), 16 * SCGI_BODY_MAX);
	assert_int_equal(strspn(start_of_body, "a"), 16 * SCGI_BODY_MAX);
	free(a);
	free(body);
	scgi_stop(s.server, 1000);
}

static void test_a_malformed_request_is_answered_although_bytes_are_unread(void **state)
{
	(void)state;
	struct site s;
	struct buf garbage = {0};
	start(&s, &one_worker, echo);
	buf_str(&garbage, "POST / HTTP/1.1\r\n");
	for (int i = 0; i < 20000; i++)
		buf_str(&garbage, "X-Junk: y\r\n");
	int fd = scgi_client_dial(socket_path);
	scgi_client_send(fd, buf_view(&garbage));
	char *a = scgi_client_read(fd);
	expect_in(a, "Status: 400 Bad Request\r\n");
	expect_in(a, "\"code\":\"bad-request\"");
	expect_in(a, "\"detail\":\"SCGI: the request does not begin with a netstring length\"");
	free(a);
	buf_free(&garbage);
	scgi_stop(s.server, 3000);
}

static void test_bad_certificate_and_uri_parameters_are_refused(void **state)
{
	(void)state;
	struct site s;
	const char *const bad_cert[] = {"CLIENT_CERT", "-----BEGIN%2", NULL};
	start(&s, &one_worker, echo);
	char *a = ask("GET", "/", bytes_of(NULL, 0), bad_cert);
	expect_in(a, "CLIENT_CERT is not percent-encoded");
	free(a);
	a = ask("GET", "https://other/", bytes_of(NULL, 0), NULL);
	expect_in(a, "REQUEST_URI is not a path");
	free(a);
	scgi_stop(s.server, 1000);
}

static void answer_problem(struct scgi_request *r, void *arg)
{
	struct fault f;
	(void)arg;
	const char *code = scgi_path(r) + 1;
	refuse(&f, reason_find(code), "internal words about %s", code);
	if (!strcmp(code, "rate-limited"))
		f.retry_after_s = 77;
	scgi_answer_problem(r, &f);
}

static void test_problems_tell_the_public_row_and_keep_internal_words(void **state)
{
	(void)state;
	struct site s;
	start(&s, &one_worker, answer_problem);
	char *a = ask("GET", "/json-malformed", bytes_of(NULL, 0), NULL);
	expect_in(a, "Content-Type: application/problem+json\r\n");
	expect_in(a, "\"type\":\"urn:mooring:reason:bad-request\"");
	expect_in(a, "\"status\":400");
	expect_in(a, "internal words about json-malformed");
	assert_null(strstr(a, "Retry-After"));
	free(a);
	a = ask("GET", "/device-unknown", bytes_of(NULL, 0), NULL);
	expect_in(a, "Status: 403 Forbidden\r\n");
	expect_in(a, "\"code\":\"attestation-refused\"");
	assert_null(strstr(a, "internal words"));
	assert_null(strstr(a, "device-unknown"));
	free(a);
	a = ask("GET", "/store-unavailable", bytes_of(NULL, 0), NULL);
	expect_in(a, "Status: 503 Service Unavailable\r\n");
	expect_in(a, "Retry-After: 5\r\n");
	assert_null(strstr(a, "internal words"));
	free(a);
	a = ask("GET", "/rate-limited", bytes_of(NULL, 0), NULL);
	expect_in(a, "Retry-After: 77\r\n");
	assert_null(strstr(a, "Retry-After: 5"));
	free(a);
	scgi_stop(s.server, 1000);
}

/* ---- requests that wait ---- */

static void park(struct scgi_request *r, void *arg)
{
	struct site *s = arg;
	s->parked = r;
	sem_post(&s->arrived);
}

static void answer_parked(void *arg)
{
	struct site *s = arg;
	scgi_answer(s->parked, 201, "text/plain", bytes_str("late"));
	sem_post(&s->left);
}

static void test_an_answer_may_come_later(void **state)
{
	(void)state;
	struct site s;
	start(&s, &one_worker, park);
	int fd = ask_without_reading("/");
	sem_wait(&s.arrived);
	struct pollfd quiet = {.fd = fd, .events = POLLIN};
	assert_int_equal(poll(&quiet, 1, 20), 0);
	loop_post(scgi_worker(s.server, 0), answer_parked, &s);
	char *a = scgi_client_read(fd);
	expect_in(a, "Status: 201 Created\r\n");
	expect_in(a, "\r\n\r\nlate");
	free(a);
	scgi_stop(s.server, 1000);
}

struct question {
	struct site *site;
	bool left;
	sem_t told;
};

static void look_left(void *arg)
{
	struct question *q = arg;
	q->left = q->site->parked->left;
	sem_post(&q->told);
}

static void test_a_departed_client_is_noticed_and_the_work_goes_on(void **state)
{
	(void)state;
	struct site s;
	struct question q = {.site = &s};
	start(&s, &one_worker, park);
	sem_init(&q.told, 0, 0);
	int fd = ask_without_reading("/");
	sem_wait(&s.arrived);
	loop_post(scgi_worker(s.server, 0), look_left, &q);
	sem_wait(&q.told);
	assert_false(q.left);
	close(fd);
	for (int64_t end = clock_monotonic_ms() + 5000; !q.left && clock_monotonic_ms() < end;) {
		loop_post(scgi_worker(s.server, 0), look_left, &q);
		sem_wait(&q.told);
	}
	assert_true(q.left);
	assert_int_equal(scgi_open_count(s.server), 1);
	loop_post(scgi_worker(s.server, 0), answer_parked, &s);
	sem_wait(&s.left);
	assert_int_equal(scgi_open_count(s.server), 0);
	scgi_stop(s.server, 1000);
}

/* ---- streams ---- */

static void on_left(void *arg)
{
	struct site *s = arg;
	s->left_count++;
	s->parked = NULL;
	sem_post(&s->left);
}

static void stream(struct scgi_request *r, void *arg)
{
	struct site *s = arg;
	s->parked = r;
	scgi_stream_begin(r, "application/cbor-seq", 200000, on_left, s);
	scgi_stream_send(r, bytes_str("first;"));
	sem_post(&s->arrived);
}

static void send_more(void *arg)
{
	struct site *s = arg;
	if (s->parked)
		scgi_stream_send(s->parked, bytes_str("more;"));
}

static void end_stream(void *arg)
{
	struct site *s = arg;
	scgi_stream_send(s->parked, bytes_str("last"));
	scgi_stream_end(s->parked);
}

static void test_a_stream_delivers_its_chunks_and_ends(void **state)
{
	(void)state;
	struct site s;
	start(&s, &one_worker, stream);
	int fd = ask_without_reading("/");
	sem_wait(&s.arrived);
	loop_post(scgi_worker(s.server, 0), send_more, &s);
	loop_post(scgi_worker(s.server, 0), end_stream, &s);
	char *a = scgi_client_read(fd);
	expect_in(a, "Content-Type: application/cbor-seq\r\n");
	expect_in(a, "\r\n\r\nfirst;more;last");
	assert_int_equal(s.left_count, 0);
	free(a);
	scgi_stop(s.server, 1000);
}

static void test_a_stream_learns_once_that_its_client_left(void **state)
{
	(void)state;
	struct site s;
	start(&s, &one_worker, stream);
	int fd = ask_without_reading("/");
	sem_wait(&s.arrived);
	close(fd);
	loop_post(scgi_worker(s.server, 0), send_more, &s);
	loop_post(scgi_worker(s.server, 0), send_more, &s);
	sem_wait(&s.left);
	scgi_stop(s.server, 1000);
	assert_int_equal(s.left_count, 1);
}

static void on_drained(void *arg)
{
	struct site *s = arg;
	sem_post(&s->drained);
}

static void stream_much(struct scgi_request *r, void *arg)
{
	struct site *s = arg;
	static const uint8_t much[4 << 20];
	s->parked = r;
	scgi_stream_begin(r, "application/cbor-seq", sizeof much + 1000, on_left, s);
	scgi_stream_on_drained(r, on_drained);
	scgi_stream_send(r, bytes_of(much, sizeof much));
	sem_post(&s->arrived);
}

static void test_a_stream_tells_when_its_client_has_taken_everything(void **state)
{
	(void)state;
	struct site s;
	start(&s, &one_worker, stream_much);
	int fd = ask_without_reading("/");
	sem_wait(&s.arrived);
	assert_int_equal(sem_trywait(&s.drained), -1); /* more than the socket's buffers hold */
	size_t taken = 0;
	for (char chunk[65536]; taken < 4 << 20;) {
		ssize_t n = read(fd, chunk, sizeof chunk);
		assert_true(n > 0);
		taken += (size_t)n;
	}
	sem_wait(&s.drained);
	close(fd);
	sem_wait(&s.left);
	scgi_stop(s.server, 1000);
}

static void flood(void *arg)
{
	struct site *s = arg;
	static const uint8_t chunk[50000];
	for (int i = 0; i < 40 && s->parked; i++)
		scgi_stream_send(s->parked, bytes_of(chunk, sizeof chunk));
}

static void test_a_stream_whose_client_does_not_read_is_ended_at_the_limit(void **state)
{
	(void)state;
	struct site s;
	start(&s, &one_worker, stream);
	int fd = ask_without_reading("/");
	sem_wait(&s.arrived);
	loop_post(scgi_worker(s.server, 0), flood, &s);
	sem_wait(&s.left);
	close(fd);
	scgi_stop(s.server, 1000);
	assert_int_equal(s.left_count, 1);
}

/* ---- limits ---- */

static void test_beyond_the_limit_of_open_requests_503_comes_at_once(void **state)
{
	(void)state;
	struct site s;
	struct scgi_options o = one_worker;
	o.connections_max = 1;
	start(&s, &o, park);
	int fd = ask_without_reading("/");
	sem_wait(&s.arrived);
	char *a = ask("GET", "/", bytes_of(NULL, 0), NULL);
	expect_in(a, "Status: 503 Service Unavailable\r\n");
	expect_in(a, "\"code\":\"try-later\"");
	free(a);
	loop_post(scgi_worker(s.server, 0), answer_parked, &s);
	free(scgi_client_read(fd));
	scgi_stop(s.server, 1000);
}

static void test_an_unfinished_request_ends_at_the_absolute_deadline(void **state)
{
	(void)state;
	struct site s;
	struct scgi_options o = one_worker;
	o.read_deadline_s = 1;
	start(&s, &o, echo);
	int64_t began = clock_monotonic_ms();
	int fd = scgi_client_dial(socket_path);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char c;
	scgi_client_send(fd, bytes_str("5000:"));
	while (poll(&p, 1, 50) == 0) /* a byte each time does not move the deadline */
		scgi_client_send(fd, bytes_str("x"));
	assert_int_equal(recv(fd, &c, 1, 0), 0);
	assert_in_range(clock_monotonic_ms() - began, 900, 3000);
	close(fd);
	scgi_stop(s.server, 1000);
}

/* In a child of another uid: the bytes that come back, 0 where the connection was dropped. */
static long answer_size_as(uid_t uid)
{
	int pipes[2];
	assert_int_equal(pipe(pipes), 0);
	pid_t child = fork();
	if (child == 0) {
		struct sockaddr_un a = {.sun_family = AF_UNIX};
		struct buf request = scgi_client_request("GET", "/", bytes_of(NULL, 0), NULL);
		long total = 0;
		char chunk[4096];
		ssize_t n;
		snprintf(a.sun_path, sizeof a.sun_path, "%s", socket_path);
		int fd = setuid(uid) ? -1 : socket(AF_UNIX, SOCK_STREAM, 0);
		if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a))
			total = -1;
		else if (send(fd, request.p, request.n, MSG_NOSIGNAL) > 0)
			while ((n = recv(fd, chunk, sizeof chunk, 0)) > 0)
				total += n;
		_exit(write(pipes[1], &total, sizeof total) != sizeof total);
	}
	long total = -2;
	assert_int_equal(read(pipes[0], &total, sizeof total), sizeof total);
	assert_int_equal(waitpid(child, NULL, 0), child);
	close(pipes[0]);
	close(pipes[1]);
	return total;
}

static void test_only_root_the_own_and_the_configured_uids_are_served(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip(); /* only root can be somebody else */
	struct site s;
	struct scgi_options o = one_worker;
	o.peer_uids = (const uid_t[]){65532};
	o.peer_count = 1;
	start(&s, &o, echo);
	assert_int_equal(answer_size_as(65533), 0);
	assert_true(answer_size_as(65532) > 0);
	assert_true(answer_size_as(0) > 0);
	scgi_stop(s.server, 1000);
}

/* ---- start and stop ---- */

static void *stop_soon(void *arg)
{
	struct site *s = arg;
	scgi_drain(s->server, 5000);
	return NULL;
}

static void test_draining_lets_open_requests_finish_and_ends_streams(void **state)
{
	(void)state;
	struct site s, t;
	pthread_t stopper;
	start(&s, &one_worker, park);
	int fd = ask_without_reading("/");
	sem_wait(&s.arrived);
	assert_int_equal(pthread_create(&stopper, NULL, stop_soon, &s), 0);
	while (access(socket_path, F_OK) == 0 && scgi_open_count(s.server) == 1) {
		loop_post(scgi_worker(s.server, 0), answer_parked, &s);
		sem_wait(&s.left);
	}
	char *a = scgi_client_read(fd);
	expect_in(a, "late");
	free(a);
	pthread_join(stopper, NULL);
	assert_int_equal(access(socket_path, F_OK), -1);
	scgi_stop(s.server, 0);

	start(&t, &one_worker, stream);
	fd = ask_without_reading("/");
	sem_wait(&t.arrived);
	scgi_drain(t.server, 5000);
	assert_int_equal(t.left_count, 1);
	assert_int_equal(scgi_open_count(t.server), 0);
	free(scgi_client_read(fd));
	scgi_stop(t.server, 0);
}

static void test_stopping_frees_requests_that_nobody_answers(void **state)
{
	(void)state;
	struct site s;
	start(&s, &one_worker, park);
	int fd = ask_without_reading("/");
	sem_wait(&s.arrived);
	scgi_stop(s.server, 10);
	char c;
	assert_int_equal(recv(fd, &c, 1, 0), 0);
	close(fd);
}

static void test_a_stale_socket_is_replaced_a_live_one_and_a_file_are_not(void **state)
{
	(void)state;
	struct site s;
	struct scgi_server *second = NULL;
	struct fault f = {0};
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	snprintf(a.sun_path, sizeof a.sun_path, "%s", socket_path);
	int stale = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(stale, (struct sockaddr *)&a, sizeof a), 0);
	close(stale);
	start(&s, &one_worker, echo);
	struct stat st;
	assert_int_equal(stat(socket_path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0666);
	assert_false(scgi_start(&one_worker, echo, NULL, &second, &f).ok);
	assert_null(second);
	assert_int_equal(f.reason, REASON_CONFIG);
	expect_in(f.text, "another process listens on");
	free(ask("GET", "/", bytes_of(NULL, 0), NULL));
	scgi_stop(s.server, 1000);
	close(open(socket_path, O_CREAT | O_WRONLY, 0600));
	assert_false(scgi_start(&one_worker, echo, NULL, &second, &f).ok);
	expect_in(f.text, "is no socket");
	assert_int_equal(unlink(socket_path), 0);
}

static outcome begin_worker(struct loop *loop, unsigned worker, void *arg, struct fault *f)
{
	struct site *s = arg;
	assert_ptr_equal(loop_current(), loop);
	if (s->fail_start && worker == 1)
		return refuse(f, REASON_IO, "worker 1 cannot");
	__atomic_add_fetch(&s->started, 1, __ATOMIC_SEQ_CST);
	return DONE;
}

static void end_worker(unsigned worker, void *arg)
{
	struct site *s = arg;
	(void)worker;
	__atomic_add_fetch(&s->stopped, 1, __ATOMIC_SEQ_CST);
}

static void test_each_worker_is_begun_before_requests_and_ended_after(void **state)
{
	(void)state;
	struct site s;
	struct fault f = {0};
	struct scgi_options o = one_worker;
	o.workers = 3;
	o.worker_start = begin_worker;
	o.worker_stop = end_worker;
	start(&s, &o, echo);
	assert_int_equal(s.started, 3);
	assert_int_equal(scgi_worker_count(s.server), 3);
	free(ask("GET", "/", bytes_of(NULL, 0), NULL));
	scgi_stop(s.server, 1000);
	assert_int_equal(s.stopped, 3);
	site_init(&s);
	s.fail_start = true;
	assert_false(scgi_start(&o, echo, &s, &s.server, &f).ok);
	assert_string_equal(f.text, "worker 1 cannot");
	assert_int_equal(s.started, 2);
	assert_int_equal(s.stopped, 2);
}

enum { ASKERS = 8, ASKS = 300 };

static void *ask_many(void *arg)
{
	long *good = arg;
	for (int i = 0; i < ASKS; i++) {
		char *a = ask("POST", "/many", bytes_str("hello"), NULL);
		*good += strstr(a, "|hello") != NULL;
		free(a);
	}
	return NULL;
}

static void test_many_clients_on_several_workers_all_get_their_answer(void **state)
{
	(void)state;
	struct site s;
	struct scgi_options o = one_worker;
	pthread_t threads[ASKERS];
	long good[ASKERS] = {0}, sum = 0;
	o.workers = 4;
	start(&s, &o, echo);
	for (int i = 0; i < ASKERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask_many, &good[i]), 0);
	for (int i = 0; i < ASKERS; i++) {
		pthread_join(threads[i], NULL);
		sum += good[i];
	}
	assert_int_equal(sum, ASKERS * ASKS);
	scgi_stop(s.server, 1000);
}

static int make_folder(void **state)
{
	(void)state;
	if (!mkdtemp(folder) || chmod(folder, 0755))
		return -1;
	snprintf(socket_path, sizeof socket_path, "%s/s", folder);
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_handler_sees_the_request_as_sent),
		cmocka_unit_test(test_query_parameters_are_taken_once_whole_and_decoded),
		cmocka_unit_test(test_request_ids_differ_and_sort_by_time),
		cmocka_unit_test(test_a_request_may_come_byte_by_byte),
		cmocka_unit_test(test_bodies_of_the_limit_and_answers_of_megabytes_pass),
		cmocka_unit_test(test_a_malformed_request_is_answered_although_bytes_are_unread),
		cmocka_unit_test(test_bad_certificate_and_uri_parameters_are_refused),
		cmocka_unit_test(test_problems_tell_the_public_row_and_keep_internal_words),
		cmocka_unit_test(test_an_answer_may_come_later),
		cmocka_unit_test(test_a_departed_client_is_noticed_and_the_work_goes_on),
		cmocka_unit_test(test_a_stream_delivers_its_chunks_and_ends),
		cmocka_unit_test(test_a_stream_learns_once_that_its_client_left),
		cmocka_unit_test(test_a_stream_tells_when_its_client_has_taken_everything),
		cmocka_unit_test(test_a_stream_whose_client_does_not_read_is_ended_at_the_limit),
		cmocka_unit_test(test_beyond_the_limit_of_open_requests_503_comes_at_once),
		cmocka_unit_test(test_an_unfinished_request_ends_at_the_absolute_deadline),
		cmocka_unit_test(test_only_root_the_own_and_the_configured_uids_are_served),
		cmocka_unit_test(test_draining_lets_open_requests_finish_and_ends_streams),
		cmocka_unit_test(test_stopping_frees_requests_that_nobody_answers),
		cmocka_unit_test(test_a_stale_socket_is_replaced_a_live_one_and_a_file_are_not),
		cmocka_unit_test(test_each_worker_is_begun_before_requests_and_ended_after),
		cmocka_unit_test(test_many_clients_on_several_workers_all_get_their_answer),
	};
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
