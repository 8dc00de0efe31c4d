/* What an earlier run left open, a real store and a signer that says what the test wants. */
#include "store_fixture.h"

#include "common/log.h"
#include "common/loop.h"
#include "gateway/recover.h"
#include "gateway/signer_client.h"
#include "gateway/worker.h"

#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>

/* ---- the signer ---- */

enum told {
	NEVER_SIGNED,	/* find: none; void: ok */
	SIGNED,		/* find: the certificate */
	SIGNED_AT_LAST, /* find: none; void: the certificate */
	REFUSES,	/* anything: refused */
	REFUSES_ONCE,	/* the first question: refused; then as NEVER_SIGNED */
	KEEPS_QUIET,
};

static char socket_path[96];
static int listener, stopping[2];
static pthread_t signer_thread;
static _Atomic enum told told;
static _Atomic unsigned finds, voids;
static uint8_t last_intent[INTENT_ID_SIZE];

static bool read_all(int fd, uint8_t *out, size_t n)
{
	while (n) {
		struct pollfd p[] = {{.fd = fd, .events = POLLIN}, {.fd = stopping[0], .events = POLLIN}};
		if (poll(p, 2, -1) < 0 || p[1].revents)
			return false;
		ssize_t got = read(fd, out, n);
		if (got <= 0)
			return false;
		out += got;
		n -= (size_t)got;
	}
	return true;
}

static struct signer_answer answer_to(const struct signer_request *r)
{
	enum told is = told;
	struct signer_answer a = {.status = r->op == SIGNER_FIND ? SIGNER_NONE : SIGNER_OK};
	memcpy(a.intent, r->intent, INTENT_ID_SIZE);
	memcpy(last_intent, r->intent, INTENT_ID_SIZE);
	if ((is == SIGNED && r->op == SIGNER_FIND) || (is == SIGNED_AT_LAST && r->op == SIGNER_VOID)) {
		a.status = SIGNER_OK;
		a.certificate = fixture_der(r->intent);
	}
	if (is == REFUSES || is == REFUSES_ONCE) {
		a.status = SIGNER_REFUSED;
		refuse(&a.refusal, REASON_OVERLOADED, "the test says no");
	}
	if (is == REFUSES_ONCE)
		told = NEVER_SIGNED;
	return a;
}

static bool serve_one(int fd)
{
	uint8_t prefix[SIGNER_PREFIX_SIZE], message[SIGNER_MESSAGE_MAX];
	struct signer_request r;
	struct buf out = {0};
	if (!read_all(fd, prefix, sizeof prefix))
		return false;
	size_t n = (size_t)prefix[2] << 8 | prefix[3];
	if (!read_all(fd, message, n) || !signer_request_decode(bytes_of(message, n), &r, NULL).ok)
		return false;
	atomic_fetch_add(r.op == SIGNER_FIND ? &finds : &voids, 1);
	if (told == KEEPS_QUIET)
		return true;
	struct signer_answer a = answer_to(&r);
	bool sent = signer_answer_encode(&a, &out, NULL).ok && write(fd, out.p, out.n) == (ssize_t)out.n;
	buf_free(&out);
	return sent;
}

static void *run_signer(void *arg)
{
	(void)arg;
	for (;;) {
		struct pollfd p[] = {{.fd = listener, .events = POLLIN},
				     {.fd = stopping[0], .events = POLLIN}};
		if (poll(p, 2, -1) < 0 || p[1].revents)
			return NULL;
		int fd = accept(listener, NULL, NULL);
		while (fd >= 0 && serve_one(fd))
			;
		close(fd);
	}
}

static void start_signer(enum told says)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	told = says;
	finds = voids = 0;
	strcpy(a.sun_path, socket_path);
	unlink(socket_path);
	listener = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(listen(listener, 4), 0);
	assert_int_equal(pipe(stopping), 0);
	assert_int_equal(pthread_create(&signer_thread, NULL, run_signer, NULL), 0);
}

static void stop_signer(void)
{
	if (listener < 0)
		return;
	assert_int_equal(write(stopping[1], "x", 1), 1);
	pthread_join(signer_thread, NULL);
	close(listener);
	close(stopping[0]);
	close(stopping[1]);
	listener = -1;
}

/* ---- the worker ---- */

static struct gateway gateway;
static struct worker worker;

struct call {
	void (*fn)(void);
	sem_t done;
};

static void run_call(void *arg)
{
	struct call *c = arg;
	c->fn();
	sem_post(&c->done);
}

static void on_loop(void (*fn)(void))
{
	struct call c = {.fn = fn};
	sem_init(&c.done, 0, 0);
	loop_post(worker.loop, run_call, &c);
	while (sem_wait(&c.done))
		;
	sem_destroy(&c.done);
}

static void make_client(void)
{
	if (!signer_client_new(loop_base(worker.loop), socket_path, &worker.signer, NULL).ok)
		abort();
}

static void free_client(void)
{
	worker.stopping = true;
	signer_client_free(worker.signer);
	worker.signer = NULL;
}

static void begin(void)
{
	if (!recover_start(&worker, &worker.recover, NULL).ok)
		abort();
}

static void free_recover(void)
{
	recover_free(worker.recover);
	worker.recover = NULL;
}

static int set_up(void **state)
{
	fixture_setup(state);
	listener = -1;
	snprintf(socket_path, sizeof socket_path, "%s/signer.sock", fixture_dir);
	gateway.store = fixture_store;
	gateway.recovered = false;
	worker = (struct worker){.gateway = &gateway, .loop = loop_start("worker")};
	on_loop(make_client);
	return 0;
}

/* As the gateway ends: what asks the store, the store, then what it has answered. */
static int tear_down(void **state)
{
	on_loop(free_client);
	store_close(fixture_store);
	fixture_store = NULL;
	on_loop(free_recover);
	loop_stop(worker.loop);
	stop_signer();
	return fixture_teardown(state);
}

/* ---- what is looked at ---- */

static void leave_open(int device, uint8_t intent[INTENT_ID_SIZE])
{
	struct got g;
	reserve((struct ask){.device = device, .key = device}, &g);
	assert_false(g.refused);
	assert_int_equal(g.reserved.result, STORE_RESERVED);
	memcpy(intent, g.reserved.intent.id, INTENT_ID_SIZE);
}

static void wait_recovered(void)
{
	for (int64_t began = clock_monotonic_ms(); !gateway.recovered; usleep(5000))
		assert_in_range(clock_monotonic_ms() - began, 0, 20000);
}

static int64_t count_open(void)
{
	return count_rows("SELECT count(*) FROM intents WHERE state = 'open'");
}

static enum store_state state_of_intent(const uint8_t intent[INTENT_ID_SIZE])
{
	uint8_t fingerprint[FINGERPRINT_SIZE];
	cert_fingerprint(fixture_der(intent), fingerprint);
	return state_of(fingerprint);
}

static struct got settled;

static void on_settled(const struct fault *f, void *arg)
{
	got_fault(arg, f);
	sem_post(&((struct got *)arg)->ready);
}

static uint8_t to_settle[INTENT_ID_SIZE];

static void settle(void)
{
	recover_settle(&worker, to_settle, on_settled, &settled);
}

static void settle_one(const uint8_t intent[INTENT_ID_SIZE])
{
	got_init(&settled);
	memcpy(to_settle, intent, INTENT_ID_SIZE);
	on_loop(settle);
	got_wait(&settled);
}

/* ---- one intent ---- */

static void test_what_was_signed_is_recorded(void **state)
{
	uint8_t intent[INTENT_ID_SIZE];
	(void)state;
	start_signer(SIGNED);
	leave_open(1, intent);
	settle_one(intent);
	assert_false(settled.refused);
	assert_int_equal(state_of_intent(intent), STORE_ACTIVE);
	assert_int_equal(count_open(), 0);
	assert_int_equal(finds, 1);
	assert_int_equal(voids, 0);
}

/* Closed only after the signer has said that it never will. */
static void test_what_was_not_signed_is_given_up_at_the_signer_first(void **state)
{
	uint8_t intent[INTENT_ID_SIZE];
	(void)state;
	start_signer(NEVER_SIGNED);
	leave_open(1, intent);
	settle_one(intent);
	assert_false(settled.refused);
	assert_int_equal(count_open(), 0);
	assert_int_equal(finds, 1);
	assert_int_equal(voids, 1);
	assert_memory_equal(last_intent, intent, INTENT_ID_SIZE);
	struct got g;
	reserve((struct ask){.device = 1, .key = 1}, &g); /* the key may ask again, in a new intent */
	assert_int_equal(g.reserved.result, STORE_RESERVED);
	assert_memory_not_equal(g.reserved.intent.id, intent, INTENT_ID_SIZE);
}

static void test_what_is_signed_between_the_two_questions_is_recorded(void **state)
{
	uint8_t intent[INTENT_ID_SIZE];
	(void)state;
	start_signer(SIGNED_AT_LAST);
	leave_open(1, intent);
	settle_one(intent);
	assert_false(settled.refused);
	assert_int_equal(state_of_intent(intent), STORE_ACTIVE);
	assert_int_equal(count_open(), 0);
}

static void test_a_certificate_of_a_device_that_was_revoked_meanwhile_settles_too(void **state)
{
	uint8_t intent[INTENT_ID_SIZE];
	(void)state;
	start_signer(SIGNED);
	leave_open(1, intent);
	revoke_device(1, "key-compromise");
	settle_one(intent);
	assert_false(settled.refused);
	assert_int_equal(state_of_intent(intent), STORE_REVOKED);
	assert_int_equal(count_open(), 0);
}

static void test_a_signer_that_refuses_leaves_it_open(void **state)
{
	uint8_t intent[INTENT_ID_SIZE];
	(void)state;
	start_signer(REFUSES);
	leave_open(1, intent);
	settle_one(intent);
	assert_refused(&settled, REASON_OVERLOADED);
	assert_int_equal(count_open(), 1);
}

static void test_an_end_in_between_leaves_it_open(void **state)
{
	uint8_t intent[INTENT_ID_SIZE];
	(void)state;
	start_signer(KEEPS_QUIET);
	leave_open(1, intent);
	got_init(&settled);
	memcpy(to_settle, intent, INTENT_ID_SIZE);
	on_loop(settle);
	while (!finds)
		usleep(1000);
	on_loop(free_client);
	got_wait(&settled);
	assert_refused(&settled, REASON_SIGNER_UNAVAILABLE);
	assert_int_equal(count_open(), 1);
}

/* ---- all of them ---- */

static void test_with_nothing_open_it_is_done_at_once(void **state)
{
	(void)state;
	on_loop(begin); /* and needs no signer */
	wait_recovered();
}

static void test_all_that_is_open_is_settled_before_it_is_done(void **state)
{
	enum { MANY = 40 };
	uint8_t intents[MANY][INTENT_ID_SIZE];
	(void)state;
	start_signer(SIGNED);
	for (int i = 0; i < MANY; i++)
		leave_open(i + 1, intents[i]);
	on_loop(begin);
	wait_recovered();
	assert_int_equal(finds, MANY);
	assert_int_equal(count_open(), 0);
	for (int i = 0; i < MANY; i++)
		assert_int_equal(state_of_intent(intents[i]), STORE_ACTIVE);
}

static void test_a_refusal_is_tried_again_and_nothing_is_asked_twice_that_is_settled(void **state)
{
	uint8_t intents[3][INTENT_ID_SIZE];
	(void)state;
	start_signer(REFUSES_ONCE);
	for (int i = 0; i < 3; i++)
		leave_open(i + 1, intents[i]);
	on_loop(begin);
	wait_recovered();
	assert_int_equal(finds, 4); /* the first one twice */
	assert_int_equal(voids, 3);
	assert_int_equal(count_open(), 0);
}

static void test_a_signer_that_comes_later_is_waited_for(void **state)
{
	uint8_t intent[INTENT_ID_SIZE];
	(void)state;
	leave_open(1, intent);
	on_loop(begin);
	usleep((SIGNER_GONE_MS + 500) * 1000); /* given up once at least */
	assert_false(gateway.recovered);
	assert_int_equal(count_open(), 1);
	start_signer(SIGNED);
	wait_recovered();
	assert_int_equal(state_of_intent(intent), STORE_ACTIVE);
}

int main(void)
{
#define WITH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		WITH(test_what_was_signed_is_recorded),
		WITH(test_what_was_not_signed_is_given_up_at_the_signer_first),
		WITH(test_what_is_signed_between_the_two_questions_is_recorded),
		WITH(test_a_certificate_of_a_device_that_was_revoked_meanwhile_settles_too),
		WITH(test_a_signer_that_refuses_leaves_it_open),
		WITH(test_an_end_in_between_leaves_it_open),
		WITH(test_with_nothing_open_it_is_done_at_once),
		WITH(test_all_that_is_open_is_settled_before_it_is_done),
		WITH(test_a_refusal_is_tried_again_and_nothing_is_asked_twice_that_is_settled),
		WITH(test_a_signer_that_comes_later_is_waited_for),
	};
	log_init("test", LOG_LEVEL_ERROR + 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
