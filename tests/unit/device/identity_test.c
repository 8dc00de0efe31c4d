/*
 * The way to a certificate, with the power cut at every step.
 *
 * A boot is a child process with its own secure world. Whatever makes something durable (rename, unlink,
 * fsync) and each exchange with the gateway counts as a step, before and after; at a chosen step both worlds
 * are killed. Then the device is powered on again, and must come to the one certificate with the one key. The
 * gateway lives in memory that the processes share, and answers the same key with the same certificate.
 */
#include "device/identity.h"

#include "common/clock.h"
#include "common/crypto/csr.h"
#include "device/report.h"
#include "device/secure_world.h"
#include "workbench.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <jansson.h>
#include <openssl/x509v3.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { KEYS_MAX = 8, LIFETIME_S = 3600, STEPS_MAX = 400 };

/* ---- the power ---- */

static struct power {
	atomic_int steps; /* so far in this boot */
	atomic_int cut;	  /* the step at which the power fails; 0 = never */
	atomic_bool off;
	sem_t over; /* the boot has ended, one way or the other */
} * power;

/* A world may not signal the other (Landlock), so the one that the cut finds stands still until both are
 * killed: the other waits for it. */
static void step(void)
{
	int now = atomic_fetch_add(&power->steps, 1) + 1;
	if (now != atomic_load(&power->cut))
		return;
	atomic_store(&power->off, true);
	sem_post(&power->over);
	for (;;)
		pause();
}

/* These stand before the C library's own for everything that is linked into this program. */
int rename(const char *from, const char *to)
{
	int (*real)(const char *, const char *) =
		(int (*)(const char *, const char *))dlsym(RTLD_NEXT, "rename");
	step();
	int rc = real(from, to);
	step();
	return rc;
}

int unlink(const char *path)
{
	int (*real)(const char *) = (int (*)(const char *))dlsym(RTLD_NEXT, "unlink");
	step();
	int rc = real(path);
	step();
	return rc;
}

int fsync(int fd)
{
	int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
	step();
	int rc = real(fd);
	step();
	return rc;
}

/* ---- the gateway ---- */

struct authority {
	EVP_PKEY *root_key, *issuer_key;
	X509 *root, *issuer;
};

static struct authority authority;

static struct shop {
	atomic_int requests;
	int lifetime_s;
	int refuse_status; /* 0: certify */
	size_t keys;
	struct {
		uint8_t spki[SPKI_MAX];
		size_t spki_size;
		uint8_t certificate[CERT_DER_MAX];
		size_t certificate_size;
	} certified[KEYS_MAX];
} * shop;

static void extend(X509 *cert, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	assert_non_null(e);
	X509_add_ext(cert, e, -1);
	X509_EXTENSION_free(e);
}

static X509 *sign_certificate(const char *name, EVP_PKEY *key, const char *issuer, EVP_PKEY *issuer_key,
			      bool ca, long lifetime_s)
{
	static long serial;
	X509 *cert = X509_new();
	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), ++serial);
	X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
	X509_gmtime_adj(X509_getm_notAfter(cert), lifetime_s);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
				   (const unsigned char *)name, -1, -1, 0);
	X509_NAME_add_entry_by_txt(X509_get_issuer_name(cert), "CN", MBSTRING_ASC,
				   (const unsigned char *)issuer, -1, -1, 0);
	X509_set_pubkey(cert, key);
	extend(cert, NID_basic_constraints, ca ? "critical,CA:TRUE" : "CA:FALSE");
	if (!ca)
		extend(cert, NID_ext_key_usage, "clientAuth");
	assert_int_not_equal(X509_sign(cert, issuer_key, EVP_sha256()), 0);
	return cert;
}

static void open_authority(void)
{
	authority.root_key = p256_key_generate();
	authority.issuer_key = p256_key_generate();
	X509 *root = sign_certificate("root", authority.root_key, "root", authority.root_key, true, 86400);
	X509 *issuer =
		sign_certificate("issuer", authority.issuer_key, "root", authority.root_key, true, 86400);
	authority.root = root;
	authority.issuer = issuer;
}

static size_t entry_of(struct bytes spki)
{
	size_t i = 0;
	while (i < shop->keys &&
	       !bytes_equal(spki, bytes_of(shop->certified[i].spki, shop->certified[i].spki_size)))
		i++;
	assert_true(i < KEYS_MAX);
	if (i < shop->keys)
		return i;
	EVP_PKEY *key = ec_key_from_spki(spki);
	X509 *cert =
		sign_certificate("thing-1", key, "issuer", authority.issuer_key, false, shop->lifetime_s);
	struct buf der = {0};
	assert_true(cert_to_der(cert, &der));
	memcpy(shop->certified[i].spki, spki.p, spki.n);
	shop->certified[i].spki_size = spki.n;
	memcpy(shop->certified[i].certificate, der.p, der.n);
	shop->certified[i].certificate_size = der.n;
	shop->keys++;
	buf_free(&der);
	X509_free(cert);
	EVP_PKEY_free(key);
	return i;
}

static struct buf answer_body;

static void answer_with(json_t *json, int status, struct httpc_answer *out)
{
	char *text = json_dumps(json, 0);
	buf_free(&answer_body);
	buf_str(&answer_body, text);
	*out = (struct httpc_answer){.status = status,
				     .body = buf_view(&answer_body),
				     .content_type = "application/json",
				     .location = "",
				     .retry_after_s = -1};
	free(text);
	json_decref(json);
}

static json_t *certify(struct bytes request)
{
	uint8_t der[CSR_MAX];
	size_t n;
	struct csr csr;
	struct fault f;
	struct buf leaf = {0}, chain = {0}, issuer = {0};
	json_t *json = json_loadb((const char *)request.p, request.n, 0, NULL);
	const char *text = json_string_value(json_object_get(json, "csr"));
	assert_true(base64_decode(text, strlen(text), der, sizeof der, &n));
	assert_true(csr_parse(bytes_of(der, n), false, &csr, &f).ok);
	size_t i = entry_of(csr.spki);
	json_decref(json);
	assert_true(cert_to_der(authority.issuer, &issuer));
	assert_true(cert_to_pem(bytes_of(shop->certified[i].certificate, shop->certified[i].certificate_size),
				&leaf));
	assert_true(cert_to_pem(buf_view(&issuer), &chain));
	buf_byte(&leaf, 0);
	buf_byte(&chain, 0);
	json_t *answer = json_pack("{s:s,s:s,s:s}", "certificatePem", (char *)leaf.p, "chainPem",
				   (char *)chain.p, "requestId", "R1");
	buf_free(&leaf);
	buf_free(&chain);
	buf_free(&issuer);
	return answer;
}

static outcome call_shop(struct gateway *g, const char *path, struct bytes json, struct httpc_answer *answer,
			 struct fault *f)
{
	(void)g;
	(void)f;
	step();
	if (!strcmp(path, "/v1/challenges")) {
		answer_with(json_pack("{s:s}", "nonce", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), 201,
			    answer);
	} else if (shop->refuse_status) {
		answer_with(json_pack("{s:s,s:s}", "code", "policy-refused", "request_id", "R9"),
			    shop->refuse_status, answer);
	} else {
		atomic_fetch_add(&shop->requests, 1);
		answer_with(certify(json), 201, answer);
	}
	step(); /* a cut here is a lost answer */
	return DONE;
}

/* ---- one boot ---- */

static struct workbench bench;

enum plan {
	PLAIN,
	RENEW,	/* to key 2, and the end of key 1 */
	NEW_KEY /* as it is asked for on the command line */
};

struct boot {
	struct device device;
	struct device_clock clock;
	struct gateway gateway;
	pid_t world;
};

static bool no_pause(void *arg, int64_t ms)
{
	(void)arg;
	(void)ms;
	return false;
}

static outcome open_boot(struct boot *b, int64_t system_ms, struct fault *f)
{
	const struct secure_world_options options = {.folder = bench.secure};
	*b = (struct boot){.gateway = {call_shop}};
	b->device = (struct device){.clock = &b->clock,
				    .gateway = &b->gateway,
				    .root = authority.root,
				    .evidence = EVIDENCE_PSA_TOKEN,
				    .origin = "https://gw.example.com",
				    .pause = no_pause};
	outcome r = secure_world_start(&options, &b->device.psa, &b->world, f);
	if (r.ok)
		r = store_create(bench.device, &b->device.store, f);
	report_start(&b->clock);
	return r.ok ? identity_load(&b->device, system_ms, f) : r;
}

static void close_boot(struct boot *b)
{
	psa_close(b->device.psa);
	waitpid(b->world, NULL, 0);
	buf_free(&answer_body);
}

static outcome renew(struct boot *b, struct identity *id, struct fault *f)
{
	struct enrol_answer answer = {0};
	uint32_t next = b->device.state.key + 1;
	const struct request_renews renews = {id->credential.certificate_id, b->device.state.key};
	enum psa_status status = psa_generate_key(b->device.psa, next);
	if (status != PSA_SUCCESS && status != PSA_ERROR_ALREADY_EXISTS)
		return psa_fault(f, "psa_generate_key", status);
	outcome r = enrol_run(&b->device, next, &renews, &answer, f);
	if (r.ok)
		r = identity_adopt(&b->device, next, &answer, "renewed", &id->credential, f);
	enrol_answer_free(&answer);
	return r;
}

/* What is left of the plan to do. */
static outcome live(struct boot *b, enum plan plan, struct fault *f)
{
	struct identity id;
	outcome r = open_boot(b, clock_wall_ms(), f);
	if (r.ok)
		r = identity_power_on(&b->device, plan == NEW_KEY, &id, f);
	if (!r.ok)
		return r;
	if (plan == RENEW && b->device.state.key == 1)
		r = renew(b, &id, f);
	if (r.ok)
		r = identity_forget_previous(&b->device, f);
	credential_free(&id.credential);
	return r;
}

static void run_boot(enum plan plan)
{
	struct boot b;
	struct fault f = {0};
	setpgid(0, 0);
	int null = open("/dev/null", O_WRONLY);
	dup2(null, STDOUT_FILENO);
	bool ok = live(&b, plan, &f).ok;
	if (!ok)
		fprintf(stderr, "%s\n", f.text);
	close_boot(&b);
	sem_post(&power->over);
	_exit(ok ? 0 : 1);
}

/* True when it ran to its end; false when the power was cut. */
static bool boot(int cut, enum plan plan)
{
	int status;
	struct timespec limit;
	atomic_store(&power->steps, 0);
	atomic_store(&power->off, false);
	atomic_store(&power->cut, cut);
	pid_t pid = fork();
	if (pid == 0)
		run_boot(plan);
	setpgid(pid, pid);
	clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec += 60;
	int waited = sem_timedwait(&power->over, &limit);
	bool was_cut = atomic_load(&power->off);
	if (was_cut || waited)
		kill(-pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(waited, 0);
	atomic_store(&power->cut, 0);
	if (!was_cut)
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	return !was_cut;
}

static void new_device(int lifetime_s)
{
	workbench_make(&bench);
	memset(shop, 0, sizeof *shop);
	shop->lifetime_s = lifetime_s;
}

/* The certificate in store is of `key`, which the secure world has, and of no other; nothing half written is
 * left. */
static void check_end(uint32_t key)
{
	char command[512];
	struct boot b;
	struct fault f = {0};
	struct buf pem;
	struct credential c;
	uint8_t spki[SPKI_MAX];
	size_t n;
	if (!open_boot(&b, clock_wall_ms(), &f).ok)
		fail_msg("%s", f.text);
	assert_int_equal(b.device.state.key, key);
	assert_true(store_load_certificate(&b.device.store, &pem, &f).ok);
	assert_true(credential_parse(buf_view(&pem), authority.root, &c, &f).ok);
	assert_true(psa_key_spki(b.device.psa, key, spki, &n, &f).ok);
	assert_true(bytes_equal(bytes_of(c.spki, c.spki_size), bytes_of(spki, n)));
	buf_free(&pem);
	credential_free(&c);
	close_boot(&b);
	snprintf(command, sizeof command,
		 "test $(ls %s/secure/device-* | wc -l) = 1 && test $(find %s -name '*.*.*' | wc -l) = 0",
		 bench.device, bench.device);
	if (system(command))
		fail_msg("more is left than one key and one certificate");
}

static int cut_everywhere(enum plan plan)
{
	int keys = plan == RENEW ? 2 : 1;
	int cut = 1;
	for (; cut < STEPS_MAX; cut++) {
		new_device(LIFETIME_S);
		bool whole = boot(cut, plan);
		if (!whole)
			assert_true(boot(0, plan));
		assert_int_equal(shop->keys, keys);
		check_end((uint32_t)keys);
		workbench_remove(&bench);
		if (whole)
			return cut - 1;
	}
	fail_msg("the boot has no end");
	return 0;
}

static void test_power_cut_at_any_step_of_the_first_boot_leaves_one_key_and_one_certificate(void **state)
{
	(void)state;
	int steps = cut_everywhere(PLAIN);
	print_message("%d steps\n", steps);
	assert_true(steps >=
		    20); /* three files with fsync, rename and the folder's fsync, and two exchanges */
}

static void test_power_cut_at_any_step_of_a_renewal_leaves_the_next_key_and_its_certificate(void **state)
{
	(void)state;
	int steps = cut_everywhere(RENEW);
	print_message("%d steps\n", steps);
	assert_true(steps >= 40);
}

static void test_several_power_cuts_in_a_row_leave_one_key(void **state)
{
	(void)state;
	new_device(LIFETIME_S);
	for (int cut = 1; cut < 40; cut += 3)
		(void)boot(cut, PLAIN);
	assert_true(boot(0, PLAIN));
	assert_int_equal(shop->keys, 1);
	check_end(1);
	workbench_remove(&bench);
}

/* ---- a new key under a grant ---- */

/* What the device itself says that its key is. */
static uint32_t stored_key(void)
{
	struct boot b;
	struct fault f;
	assert_true(open_boot(&b, clock_wall_ms(), &f).ok);
	uint32_t key = b.device.state.key;
	close_boot(&b);
	return key;
}

static bool stored_key_is_current(uint32_t key)
{
	struct boot b;
	struct identity id;
	struct fault f;
	assert_true(open_boot(&b, clock_wall_ms(), &f).ok);
	assert_true(identity_power_on(&b.device, false, &id, &f).ok);
	bool is = b.device.state.key == key && id.credential.leaf != NULL;
	credential_free(&id.credential);
	close_boot(&b);
	return is;
}

/* Cut at each step, then powered on again: with the option, as whoever saw no "enrolled" would, or without. */
static int cut_a_new_key_everywhere(bool asked_again)
{
	int cut = 1;
	for (; cut < STEPS_MAX; cut++) {
		new_device(LIFETIME_S);
		assert_true(boot(0, PLAIN));
		bool whole = boot(cut, NEW_KEY);
		if (!whole)
			assert_true(boot(0, asked_again && stored_key() == 1 ? NEW_KEY : PLAIN));
		/* The gateway has never seen a third key, which it would take for a clone's. */
		assert_in_range(shop->keys, 1, 2);
		assert_true(stored_key_is_current((uint32_t)shop->keys));
		if (whole || asked_again)
			check_end(2);
		workbench_remove(&bench);
		if (whole)
			return cut - 1;
	}
	fail_msg("the boot has no end");
	return 0;
}

static void test_power_cut_at_any_step_of_a_new_key_leads_to_one_new_key(void **state)
{
	(void)state;
	assert_true(cut_a_new_key_everywhere(true) >= 30);
	assert_true(cut_a_new_key_everywhere(false) >= 30);
}

static void test_new_key_that_is_refused_goes_and_the_old_one_stays(void **state)
{
	struct boot b;
	struct identity id;
	struct fault f;
	(void)state;
	new_device(LIFETIME_S);
	assert_true(boot(0, PLAIN));
	shop->refuse_status = 403;
	assert_true(open_boot(&b, clock_wall_ms(), &f).ok);
	assert_true(identity_power_on(&b.device, true, &id, &f).ok);
	assert_int_equal(id.result, ENROL_REFUSED);
	assert_null(id.credential.leaf);
	close_boot(&b);
	assert_true(stored_key_is_current(1));
	assert_int_equal(shop->keys, 1);
	check_end(1);
	workbench_remove(&bench);
}

static void test_power_cut_at_any_step_of_a_refused_new_key_leaves_the_old_one(void **state)
{
	bool whole = false;
	(void)state;
	for (int cut = 1; !whole && cut < STEPS_MAX; cut++) {
		new_device(LIFETIME_S);
		assert_true(boot(0, PLAIN));
		shop->refuse_status = 403;
		whole = boot(cut, NEW_KEY);
		assert_true(boot(0, PLAIN)); /* goes on with it, if there was anything to go on with */
		assert_true(stored_key_is_current(1));
		assert_int_equal(shop->keys, 1);
		workbench_remove(&bench);
	}
	assert_true(whole);
}

static void test_new_key_for_a_device_without_any_is_its_first(void **state)
{
	struct boot b;
	struct identity id;
	struct fault f;
	(void)state;
	new_device(LIFETIME_S);
	assert_true(open_boot(&b, clock_wall_ms(), &f).ok);
	assert_true(identity_power_on(&b.device, true, &id, &f).ok);
	assert_int_equal(id.result, ENROL_CERTIFIED);
	credential_free(&id.credential);
	close_boot(&b);
	assert_int_equal(shop->keys, 1);
	check_end(1);
	workbench_remove(&bench);
}

/* A renewal's answer was lost: its key may be one that the gateway knows. */
static void test_new_key_is_none_that_a_renewal_has_left(void **state)
{
	struct boot b;
	struct identity id;
	struct fault f;
	uint8_t left[PSA_POINT_SIZE], made[PSA_POINT_SIZE];
	(void)state;
	new_device(LIFETIME_S);
	assert_true(boot(0, PLAIN));
	assert_true(open_boot(&b, clock_wall_ms(), &f).ok);
	assert_int_equal(psa_generate_key(b.device.psa, 2), PSA_SUCCESS);
	assert_int_equal(psa_export_public_key(b.device.psa, 2, left), PSA_SUCCESS);
	assert_true(identity_power_on(&b.device, true, &id, &f).ok);
	assert_int_equal(b.device.state.key, 2);
	assert_int_equal(psa_export_public_key(b.device.psa, 2, made), PSA_SUCCESS);
	assert_memory_not_equal(left, made, sizeof left);
	credential_free(&id.credential);
	close_boot(&b);
	workbench_remove(&bench);
}

/* ---- what is found at power-on ---- */

static void power_on(struct boot *b, struct identity *id, int64_t system_ms)
{
	struct fault f = {0};
	if (!open_boot(b, system_ms, &f).ok || !identity_power_on(&b->device, false, id, &f).ok)
		fail_msg("%s", f.text);
}

static void test_expired_certificate_is_replaced_for_the_same_key(void **state)
{
	(void)state;
	struct boot b;
	struct identity id;
	new_device(1000);
	assert_true(boot(0, PLAIN));
	shop->keys = 0; /* the gateway makes a new one for an expired one */
	power_on(&b, &id, clock_wall_ms() + 1000 * 1000 - 2000);
	assert_int_equal(shop->keys, 0);
	credential_free(&id.credential);
	close_boot(&b);
	power_on(&b, &id, clock_wall_ms() + 1001 * 1000);
	assert_int_equal(id.result, ENROL_CERTIFIED);
	assert_int_equal(shop->keys, 1);
	credential_free(&id.credential);
	close_boot(&b);
	check_end(1);
	workbench_remove(&bench);
}

static void test_certificate_of_no_key_of_ours_is_not_used(void **state)
{
	(void)state;
	struct boot b;
	struct identity id;
	struct fault f;
	new_device(LIFETIME_S);
	assert_true(boot(0, PLAIN));
	assert_true(open_boot(&b, clock_wall_ms(), &f).ok);
	assert_int_equal(psa_destroy_key(b.device.psa, 1), PSA_SUCCESS);
	assert_true(identity_power_on(&b.device, false, &id, &f).ok);
	assert_int_equal(shop->keys, 2);
	credential_free(&id.credential);
	close_boot(&b);
	check_end(1);
	workbench_remove(&bench);
}

static void test_damaged_certificate_is_asked_for_again_with_the_same_key(void **state)
{
	(void)state;
	struct boot b;
	struct identity id;
	struct fault f;
	new_device(LIFETIME_S);
	assert_true(boot(0, PLAIN));
	assert_true(open_boot(&b, clock_wall_ms(), &f).ok);
	assert_true(store_save_certificate(&b.device.store, bytes_str("-----BEGIN CERT"), &f).ok);
	assert_true(identity_power_on(&b.device, false, &id, &f).ok);
	assert_int_equal(shop->keys, 1);
	credential_free(&id.credential);
	close_boot(&b);
	check_end(1);
	workbench_remove(&bench);
}

static void gives(int status, enum enrol_result result)
{
	struct boot b;
	struct identity id;
	new_device(LIFETIME_S);
	shop->refuse_status = status;
	power_on(&b, &id, clock_wall_ms());
	assert_int_equal(id.result, result);
	assert_null(id.credential.leaf);
	close_boot(&b);
	workbench_remove(&bench);
}

static void test_each_status_has_its_consequence(void **state)
{
	(void)state;
	gives(403, ENROL_REFUSED);
	gives(400, ENROL_FAILED);
	gives(404, ENROL_FAILED);
	gives(413, ENROL_FAILED);
	/* Waits, and is told to stop while it does. A spent challenge is replaced once without waiting. */
	gives(409, ENROL_STOPPED);
	gives(408, ENROL_STOPPED);
	gives(429, ENROL_STOPPED);
	gives(500, ENROL_STOPPED);
	gives(503, ENROL_STOPPED);
	gives(302, ENROL_STOPPED);
}

static void test_time_of_the_certificate_is_known_at_the_next_power_on(void **state)
{
	(void)state;
	struct boot b;
	struct fault f;
	new_device(LIFETIME_S);
	assert_true(boot(0, PLAIN));
	assert_true(open_boot(&b, 0, &f).ok);
	assert_true(device_clock_s(&b.clock) >= clock_wall_s() - 60);
	close_boot(&b);
	workbench_remove(&bench);
}

static int share(void **state)
{
	(void)state;
	power = mmap(NULL, sizeof *power, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	shop = mmap(NULL, sizeof *shop, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	open_authority();
	return power == MAP_FAILED || shop == MAP_FAILED ? -1 : sem_init(&power->over, 1, 0);
}

static int unshare_all(void **state)
{
	(void)state;
	X509_free(authority.root);
	X509_free(authority.issuer);
	EVP_PKEY_free(authority.root_key);
	EVP_PKEY_free(authority.issuer_key);
	munmap(shop, sizeof *shop);
	return munmap(power, sizeof *power);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			test_power_cut_at_any_step_of_the_first_boot_leaves_one_key_and_one_certificate),
		cmocka_unit_test(
			test_power_cut_at_any_step_of_a_renewal_leaves_the_next_key_and_its_certificate),
		cmocka_unit_test(test_several_power_cuts_in_a_row_leave_one_key),
		cmocka_unit_test(test_power_cut_at_any_step_of_a_new_key_leads_to_one_new_key),
		cmocka_unit_test(test_new_key_that_is_refused_goes_and_the_old_one_stays),
		cmocka_unit_test(test_power_cut_at_any_step_of_a_refused_new_key_leaves_the_old_one),
		cmocka_unit_test(test_new_key_for_a_device_without_any_is_its_first),
		cmocka_unit_test(test_new_key_is_none_that_a_renewal_has_left),
		cmocka_unit_test(test_expired_certificate_is_replaced_for_the_same_key),
		cmocka_unit_test(test_certificate_of_no_key_of_ours_is_not_used),
		cmocka_unit_test(test_damaged_certificate_is_asked_for_again_with_the_same_key),
		cmocka_unit_test(test_each_status_has_its_consequence),
		cmocka_unit_test(test_time_of_the_certificate_is_known_at_the_next_power_on),
	};
	return cmocka_run_group_tests(tests, share, unshare_all);
}
