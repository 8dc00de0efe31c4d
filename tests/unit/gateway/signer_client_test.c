#include "gateway/signer_client.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/loop.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- a signer of our own: the test decides what it says ---- */

static char folder[] = "/tmp/signer-client-XXXXXX";
static char path[64];
static int listener = -1;

static void listen_on_path(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	strcpy(a.sun_path, path);
	listener = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(listen(listener, 4), 0);
}

static int take_connection(void)
{
	int fd = accept(listener, NULL, NULL);
	assert_true(fd >= 0);
	return fd;
}

static void read_all(int fd, uint8_t *out, size_t n)
{
	while (n) {
		ssize_t got = read(fd, out, n);
		assert_true(got > 0);
		out += got;
		n -= (size_t)got;
	}
}

/* The intent that the next request on this connection is about. */
static void read_request(int fd, uint8_t intent[INTENT_ID_SIZE])
{
	uint8_t prefix[SIGNER_PREFIX_SIZE], message[SIGNER_MESSAGE_MAX];
	struct signer_request r;
	struct fault f = {0};
	read_all(fd, prefix, sizeof prefix);
	size_t n = (size_t)prefix[2] << 8 | prefix[3];
	read_all(fd, message, n);
	assert_true(signer_request_decode(bytes_of(message, n), &r, &f).ok);
	memcpy(intent, r.intent, INTENT_ID_SIZE);
}

static void write_answer(int fd, const uint8_t intent[INTENT_ID_SIZE], const char *certificate)
{
	struct signer_answer a = {.status = SIGNER_OK, .certificate = bytes_str(certificate)};
	struct buf out = {0};
	memcpy(a.intent, intent, INTENT_ID_SIZE);
	assert_true(signer_answer_encode(&a, &out, NULL).ok);
	assert_int_equal(write(fd, out.p, out.n), out.n);
	buf_free(&out);
}

/* ---- the client on its loop ---- */

static struct loop *loop;
static struct signer_client *client;

struct call {
	uint8_t intent[INTENT_ID_SIZE];
	char certificate[64];
	enum reason reason;
	bool over;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

static void on_answer(const struct signer_answer *answer, const struct fault *f, void *arg)
{
	struct call *c = arg;
	pthread_mutex_lock(&lock);
	c->over = true;
	c->reason = f ? f->reason : REASON_NONE;
	if (answer)
		snprintf(c->certificate, sizeof c->certificate, "%.*s", (int)answer->certificate.n,
			 (const char *)answer->certificate.p);
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

static void wait_for(struct call *c)
{
	pthread_mutex_lock(&lock);
	while (!c->over)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}

static void send_find(void *arg)
{
	struct call *c = arg;
	struct signer_request r = {.op = SIGNER_FIND};
	memcpy(r.intent, c->intent, INTENT_ID_SIZE);
	if (!signer_client_send(client, &r, on_answer, c, NULL).ok)
		abort();
}

static void ask(struct call *c, uint8_t number)
{
	memset(c, 0, sizeof *c);
	memset(c->intent, number, INTENT_ID_SIZE);
	loop_post(loop, send_find, c);
}

static void make_client(void *arg)
{
	(void)arg;
	if (!signer_client_new(loop_base(loop), path, &client, NULL).ok)
		abort();
}

static void free_client(void *arg)
{
	(void)arg;
	signer_client_free(client);
}

static int set_up(void **state)
{
	(void)state;
	listen_on_path();
	loop = loop_start("test");
	loop_post(loop, make_client, NULL);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	loop_post(loop, free_client, NULL);
	loop_stop(loop);
	if (listener >= 0)
		close(listener);
	unlink(path);
	return 0;
}

static void test_answers_find_their_requests_in_any_order(void **state)
{
	(void)state;
	struct call a, b;
	uint8_t first[INTENT_ID_SIZE], second[INTENT_ID_SIZE];
	int fd = take_connection();
	ask(&a, 1);
	ask(&b, 2);
	read_request(fd, first);
	read_request(fd, second);
	write_answer(fd, second, "second");
	write_answer(fd, first, "first");
	wait_for(&a);
	wait_for(&b);
	assert_string_equal(a.certificate, "first");
	assert_string_equal(b.certificate, "second");
	close(fd);
}

static void test_what_was_not_answered_is_asked_again_after_a_restart(void **state)
{
	(void)state;
	struct call a;
	uint8_t intent[INTENT_ID_SIZE];
	int fd = take_connection();
	ask(&a, 3);
	read_request(fd, intent);
	close(fd); /* as kill -9 of the signer */
	fd = take_connection();
	read_request(fd, intent);
	assert_memory_equal(intent, a.intent, INTENT_ID_SIZE);
	write_answer(fd, intent, "the same");
	wait_for(&a);
	assert_string_equal(a.certificate, "the same");
	close(fd);
}

static void test_a_signer_that_breaks_the_protocol_is_left_and_tried_again(void **state)
{
	(void)state;
	struct call a;
	uint8_t intent[INTENT_ID_SIZE];
	char byte;
	int fd = take_connection();
	ask(&a, 4);
	read_request(fd, intent);
	assert_int_equal(write(fd, "\xff\xff\xff\xff", 4), 4);
	assert_int_equal(read(fd, &byte, 1), 0); /* hung up on */
	close(fd);
	fd = take_connection();
	read_request(fd, intent);
	write_answer(fd, intent, "good");
	wait_for(&a);
	assert_string_equal(a.certificate, "good");
	close(fd);
}

/* A signer that restarts finds the call waiting; one that is away for longer is not waited for. */
static void test_without_a_signer_the_call_ends_when_a_restart_would_be_over(void **state)
{
	(void)state;
	struct call a;
	int64_t began = clock_monotonic_ms();
	close(listener);
	listener = -1;
	unlink(path);
	ask(&a, 5);
	wait_for(&a);
	assert_string_equal(reason_code(a.reason), "signer-unavailable");
	assert_in_range(clock_monotonic_ms() - began, SIGNER_GONE_MS / 2, SIGNER_CALL_TIMEOUT_MS - 2000);
}

static void test_a_signer_that_hangs_is_given_up_when_the_calls_time_is_over(void **state)
{
	(void)state;
	struct call a;
	uint8_t intent[INTENT_ID_SIZE];
	int64_t began = clock_monotonic_ms();
	int fd = take_connection();
	ask(&a, 6);
	read_request(fd, intent);
	wait_for(&a);
	assert_string_equal(reason_code(a.reason), "signer-unavailable");
	assert_in_range(clock_monotonic_ms() - began, SIGNER_CALL_TIMEOUT_MS, 2 * SIGNER_CALL_TIMEOUT_MS);
	close(fd);
}

static void test_closing_the_client_ends_what_is_under_way(void **state)
{
	(void)state;
	struct call a;
	uint8_t intent[INTENT_ID_SIZE];
	int fd = take_connection();
	ask(&a, 6);
	read_request(fd, intent);
	loop_post(loop, free_client, NULL);
	wait_for(&a);
	assert_string_equal(reason_code(a.reason), "signer-unavailable");
	loop_post(loop, make_client, NULL); /* for tear_down */
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_answers_find_their_requests_in_any_order, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_what_was_not_answered_is_asked_again_after_a_restart,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_a_signer_that_breaks_the_protocol_is_left_and_tried_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_without_a_signer_the_call_ends_when_a_restart_would_be_over, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_a_signer_that_hangs_is_given_up_when_the_calls_time_is_over, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_closing_the_client_ends_what_is_under_way, set_up,
						tear_down),
	};
	log_init("test", LOG_LEVEL_ERROR + 1);
	if (!mkdtemp(folder))
		return 1;
	snprintf(path, sizeof path, "%s/s", folder);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(folder);
	return failed;
}
