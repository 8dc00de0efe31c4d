/* Decisions one by one, with a clock and a disk of the test's own. */
#include "ca_fixture.h"

#include "ca/authorise.h"
#include "ca/journal.h"
#include "ca/signer.h"
#include "common/clock.h"
#include "common/crypto/csr.h"
#include "common/evidence/ear.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define ORIGIN "https://enrol.example.com"

static struct ca ca;
static EVP_PKEY *ear_key;
static char folder[] = "/tmp/signer_test.XXXXXX";
static char journal_path[64];
static char *origins[] = {(char[]){ORIGIN}};
static struct signer_config config = {
	.state_dir = folder,
	.issuing = {.trust_domain = (char[]){DOMAIN}, .origins = {origins, 1}},
	.max_lifetime_s = 365LL * DAY,
	.unattested_per_minute = 2,
};
static struct signer_keys keys;

/* A device, and what it asks for. */
struct asked {
	struct signer_request request;
	uint8_t instance[INSTANCE_ID_SIZE];
	struct buf csr, message;
	char *ear;
};

static int setup(void **state)
{
	(void)state;
	make_ca(&ca);
	ear_key = p256_key_generate();
	keys = (struct signer_keys){.device = ca.device, .ear_keys = &ear_key, .ear_key_count = 1};
	memset(keys.salt, 's', sizeof keys.salt);
	if (!mkdtemp(folder))
		return -1;
	snprintf(journal_path, sizeof journal_path, "%s/journal", folder);
	return 0;
}

static int remove_journal(void **state)
{
	(void)state;
	unlink(journal_path);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	EVP_PKEY_free(ear_key);
	free_ca(&ca);
	return rmdir(folder);
}

static void make_csr(struct buf *csr)
{
	struct fault f = {0};
	struct buf info = {0};
	uint8_t room[SPKI_MAX], digest[SHA256_SIZE], signature[ECDSA_SIGNATURE_MAX + 16];
	EVP_PKEY *key;
	struct bytes spki = new_spki(&key, room);
	done(csr_build_info("thermometer", spki, &info, &f), &f);
	sha256(buf_view(&info), digest);
	size_t n = ecdsa_sign_digest_der(key, digest, signature, sizeof signature);
	done(csr_build(buf_view(&info), bytes_of(signature, n), csr, &f), &f);
	buf_free(&info);
	EVP_PKEY_free(key);
}

static void encode(struct asked *a)
{
	struct fault f = {0};
	a->message.n = 0;
	done(signer_request_encode(&a->request, &a->message, &f), &f);
}

/* Fresh evidence at `now`: another nonce, another result. */
static void attest(struct asked *a, int64_t now)
{
	struct fault f = {0};
	struct ear_appraisal appraisal = {.type = EVIDENCE_PSA_TOKEN, .instance_id = a->instance, .now = now};
	free(a->ear);
	crypto_random(a->request.nonce, NONCE_SIZE);
	binding_compute(a->request.nonce, ORIGIN, buf_view(&a->csr), appraisal.nonce);
	done(ear_build(&appraisal, ear_key, NULL, &a->ear, &f), &f);
	a->request.ear = bytes_str(a->ear);
	strcpy(a->request.audience, ORIGIN);
	encode(a);
}

static struct asked ask(int64_t now)
{
	struct asked a = {.request = {.op = SIGNER_ISSUE,
				      .profile = "device",
				      .not_before = now - 1,
				      .not_after = now + DAY}};
	make_csr(&a.csr);
	a.request.csr = buf_view(&a.csr);
	a.instance[0] = 1;
	crypto_random(a.instance + 1, sizeof a.instance - 1);
	crypto_random(a.request.intent, sizeof a.request.intent);
	certificate_random_serial(a.request.serial);
	attest(&a, now);
	return a;
}

static void asked_free(struct asked *a)
{
	buf_free(&a->csr);
	buf_free(&a->message);
	free(a->ear);
}

static struct signer *open_signer(void)
{
	struct signer *s = NULL;
	struct fault f = {0};
	done(signer_new(&config, &keys, &s, &f), &f);
	return s;
}

static void decide(struct signer *s, const struct asked *a, int64_t now, struct signer_decision *out)
{
	struct bytes message = bytes_of(a->message.p + SIGNER_PREFIX_SIZE, a->message.n - SIGNER_PREFIX_SIZE);
	signer_decide(s, message, &a->request, now, out);
}

static void must_be_ok(const struct signer_decision *d)
{
	if (d->answer.status != SIGNER_OK)
		fail_msg("%s: %s", reason_code(d->answer.refusal.reason), d->answer.refusal.text);
}

static void must_be_refused(const struct signer_decision *d, enum reason reason)
{
	assert_int_equal(d->answer.status, SIGNER_REFUSED);
	assert_string_equal(reason_code(d->answer.refusal.reason), reason_code(reason));
}

/* Decides and commits; what it got must be this. */
static void issue(struct signer *s, const struct asked *a, int64_t now, enum reason reason)
{
	struct signer_decision d;
	decide(s, a, now, &d);
	assert_true(signer_commit(s, &d, 1));
	if (reason == REASON_NONE)
		must_be_ok(&d);
	else
		must_be_refused(&d, reason);
	signer_decision_free(&d);
}

static void find(struct signer *s, const struct asked *a, enum signer_status status)
{
	struct signer_decision d;
	struct signer_request r = {.op = SIGNER_FIND};
	memcpy(r.intent, a->request.intent, sizeof r.intent);
	signer_decide(s, bytes_str("find"), &r, NOW, &d);
	assert_int_equal(d.answer.status, status);
	signer_decision_free(&d);
}

static void test_the_name_is_the_instance_ids_and_not_the_requests(void **state)
{
	(void)state;
	struct signer *s = open_signer();
	struct asked a = ask(NOW);
	struct signer_decision d;
	char thing[THING_NAME_SIZE], name[65];
	decide(s, &a, NOW, &d);
	must_be_ok(&d);
	cert_thing_name(bytes_of(keys.salt, sizeof keys.salt), a.instance, thing);
	X509 *cert = cert_from_der(d.answer.certificate);
	assert_true(cert_common_name(cert, name, sizeof name));
	assert_string_equal(name, thing);
	X509_free(cert);
	signer_decision_free(&d);
	asked_free(&a);
	signer_free(s);
}

/* Within one batch nothing is durable yet, and still nothing happens twice. */
static void test_one_batch_sees_its_own_decisions(void **state)
{
	(void)state;
	struct signer *s = open_signer();
	struct asked a = ask(NOW), same_serial = ask(NOW);
	struct signer_decision d[5];
	memcpy(same_serial.request.serial, a.request.serial, SERIAL_SIZE);
	encode(&same_serial);
	decide(s, &a, NOW, &d[0]);
	decide(s, &a, NOW, &d[1]);
	decide(s, &same_serial, NOW, &d[2]);
	struct asked reused = a;
	reused.message = (struct buf){0};
	memset(reused.request.intent, 9, INTENT_ID_SIZE);
	memset(reused.request.serial, 9, SERIAL_SIZE);
	encode(&reused);
	decide(s, &reused, NOW, &d[3]);
	struct signer_request gone = {.op = SIGNER_VOID};
	memcpy(gone.intent, a.request.intent, sizeof gone.intent);
	signer_decide(s, bytes_str("void"), &gone, NOW, &d[4]);
	assert_true(signer_commit(s, d, 5));
	must_be_ok(&d[0]);
	must_be_ok(&d[1]);
	assert_true(d[0].awaits_commit && d[1].awaits_commit && d[4].awaits_commit);
	assert_true(bytes_equal(d[0].answer.certificate, d[1].answer.certificate));
	must_be_refused(&d[2], REASON_SIGNER_SERIAL);
	must_be_refused(&d[3], REASON_EAR_REUSED);
	must_be_ok(&d[4]);
	assert_true(bytes_equal(d[0].answer.certificate, d[4].answer.certificate));
	for (size_t i = 0; i < 5; i++)
		signer_decision_free(&d[i]);
	buf_free(&reused.message);
	asked_free(&a);
	asked_free(&same_serial);
	signer_free(s);
}

static void limit_file_size(rlim_t bytes)
{
	struct rlimit limit;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = bytes;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* No certificate, no serial, no spent result is left of a commit that failed. */
static void test_a_failed_commit_has_never_been(void **state)
{
	(void)state;
	struct signer *s = open_signer();
	struct asked first = ask(NOW), a = ask(NOW), b = ask(NOW);
	struct signer_decision d[3];
	struct stat st;
	issue(s, &first, NOW, REASON_NONE);
	assert_int_equal(stat(journal_path, &st), 0);
	signal(SIGXFSZ, SIG_IGN);
	limit_file_size((rlim_t)st.st_size + 100);
	decide(s, &a, NOW, &d[0]);
	decide(s, &first, NOW, &d[1]);
	decide(s, &b, NOW, &d[2]);
	assert_true(signer_commit(s, d, 3)); /* and the next one may succeed */
	limit_file_size(RLIM_INFINITY);
	must_be_refused(&d[0], REASON_DISK_FULL);
	must_be_ok(&d[1]); /* it was durable before */
	must_be_refused(&d[2], REASON_DISK_FULL);
	for (size_t i = 0; i < 3; i++)
		signer_decision_free(&d[i]);
	find(s, &a, SIGNER_NONE);
	struct asked other = ask(NOW);
	memcpy(other.request.serial, a.request.serial, SERIAL_SIZE);
	encode(&other);
	issue(s, &other, NOW, REASON_NONE);
	issue(s, &b, NOW, REASON_NONE);
	issue(s, &a, NOW, REASON_SIGNER_SERIAL);
	signer_free(s);
	s = open_signer();
	find(s, &a, SIGNER_NONE);
	find(s, &b, SIGNER_OK);
	find(s, &other, SIGNER_OK);
	signer_free(s);
	asked_free(&first);
	asked_free(&a);
	asked_free(&b);
	asked_free(&other);
}

static void test_a_clock_that_went_back_signs_nothing(void **state)
{
	(void)state;
	struct signer *s = open_signer();
	struct asked now = ask(NOW), a_bit = ask(NOW - CLOCK_BACK_MAX_S),
		     back = ask(NOW - CLOCK_BACK_MAX_S - 1);
	issue(s, &now, NOW, REASON_NONE);
	issue(s, &back, NOW - CLOCK_BACK_MAX_S - 1, REASON_CLOCK_SUSPECT);
	issue(s, &a_bit, NOW - CLOCK_BACK_MAX_S, REASON_NONE);
	issue(s, &now, NOW - 10 * DAY, REASON_NONE); /* a repetition needs no clock */
	signer_free(s);
	s = open_signer();
	issue(s, &back, NOW - CLOCK_BACK_MAX_S - 1, REASON_CLOCK_SUSPECT);
	attest(&back, NOW);
	issue(s, &back, NOW, REASON_NONE);
	signer_free(s);
	asked_free(&now);
	asked_free(&a_bit);
	asked_free(&back);
}

static void test_a_retry_with_fresh_evidence_outlives_the_first(void **state)
{
	(void)state;
	struct signer *s = open_signer();
	struct asked a = ask(NOW);
	struct signer_decision one, two;
	decide(s, &a, NOW, &one);
	assert_true(signer_commit(s, &one, 1));
	must_be_ok(&one);
	attest(&a, NOW + 3600);
	decide(s, &a, NOW + 3600, &two);
	must_be_ok(&two);
	assert_false(two.awaits_commit);
	assert_true(bytes_equal(one.answer.certificate, two.answer.certificate));
	signer_decision_free(&two);
	crypto_random(a.instance + 1, sizeof a.instance - 1); /* a result for another device */
	attest(&a, NOW + 3600);
	issue(s, &a, NOW + 3600, REASON_SIGNER_INTENT);
	signer_decision_free(&one);
	asked_free(&a);
	signer_free(s);
}

static void test_without_evidence_the_ration_is_exact(void **state)
{
	(void)state;
	keys.unattested = ca.device;
	struct signer *s = open_signer();
	for (int i = 0; i < 4; i++) {
		struct asked a = ask(NOW);
		strcpy(a.request.profile, "unattested");
		a.request.ear = (struct bytes){0};
		encode(&a);
		issue(s, &a, NOW, i < 2 ? REASON_NONE : REASON_RATE_LIMITED);
		asked_free(&a);
	}
	signer_free(s);
	keys.unattested = (struct issuer){0};
}

static enum signer_status give_up(struct signer *s, const uint8_t intent[INTENT_ID_SIZE], enum reason *reason)
{
	struct signer_decision d;
	struct signer_request r = {.op = SIGNER_VOID};
	memcpy(r.intent, intent, sizeof r.intent);
	signer_decide(s, bytes_str("void"), &r, NOW, &d);
	enum signer_status status = d.answer.status;
	*reason = d.answer.refusal.reason;
	signer_decision_free(&d);
	return status;
}

/* Whoever holds the gateway's uid cannot fill the signer's disk: intents are given up at a rate, and the journal stops
 * growing. What was given up before can be asked for again without end. */
static void test_intents_are_given_up_at_a_rate(void **state)
{
	(void)state;
	struct signer *s = open_signer();
	uint8_t first[INTENT_ID_SIZE] = {1}, intent[INTENT_ID_SIZE];
	enum reason reason = REASON_NONE;
	struct stat full, after;
	int64_t began = clock_monotonic_us();
	size_t taken = 1;
	assert_int_equal(give_up(s, first, &reason), SIGNER_OK);
	for (; taken < 2 * VOID_BURST; taken++) {
		crypto_random(intent, sizeof intent);
		if (give_up(s, intent, &reason) != SIGNER_OK)
			break;
	}
	int64_t seconds = (clock_monotonic_us() - began) / VOID_INTERVAL_US;
	assert_string_equal(reason_code(reason), reason_code(REASON_OVERLOADED));
	assert_in_range(taken, VOID_BURST, VOID_BURST + seconds + 1);
	assert_true(signer_commit(s, NULL, 0)); /* all of them at once */
	assert_int_equal(stat(journal_path, &full), 0);
	assert_in_range(full.st_size, 1, VOID_BURST * 128);
	for (int i = 0; i < 100; i++)
		assert_int_equal(give_up(s, first, &reason), SIGNER_OK);
	assert_int_equal(stat(journal_path, &after), 0);
	assert_int_equal(after.st_size, full.st_size);
	struct asked a = ask(NOW);
	issue(s, &a, NOW, REASON_NONE); /* what is asked for honestly goes on */
	asked_free(&a);
	signer_free(s);
}

/* Two records of one serial cannot come from this program: somebody put the file together. */
static void test_a_journal_with_a_serial_twice_is_refused(void **state)
{
	(void)state;
	struct signer *s = NULL;
	struct journal *j = NULL;
	struct fault f = {0};
	struct journal_record r = {.kind = JOURNAL_CERTIFICATE, .time = NOW, .certificate = bytes_str("x")};
	signer_free(open_signer());
	done(journal_open(journal_path, (journal_visit *)NULL, NULL, &j, &f), &f);
	done(journal_append(j, &r, &f), &f);
	r.intent[0] = 1;
	done(journal_append(j, &r, &f), &f);
	done(journal_commit(j, &f), &f);
	journal_close(j);
	refused(signer_new(&config, &keys, &s, &f), &f, REASON_JOURNAL, "twice");
	assert_null(s);
}

#define TEST(name) cmocka_unit_test_teardown(name, remove_journal)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_the_name_is_the_instance_ids_and_not_the_requests),
		TEST(test_one_batch_sees_its_own_decisions),
		TEST(test_a_failed_commit_has_never_been),
		TEST(test_a_clock_that_went_back_signs_nothing),
		TEST(test_a_retry_with_fresh_evidence_outlives_the_first),
		TEST(test_without_evidence_the_ration_is_exact),
		TEST(test_intents_are_given_up_at_a_rate),
		TEST(test_a_journal_with_a_serial_twice_is_refused),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
