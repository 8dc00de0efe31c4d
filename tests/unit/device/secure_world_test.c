/* The secure world, as its own process: what it does for the normal world, what it refuses, who can look into
 * it. */
#include "device/secure_world.h"

#include "common/crypto/csr.h"
#include "common/file.h"
#include "device/confine.h"
#include "device/secure_keys.h"
#include "workbench.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct workbench bench;
static struct psa *psa;
static pid_t world;

static void open_world(void)
{
	struct fault f = {0};
	const struct secure_world_options options = {.folder = bench.secure};
	if (!secure_world_start(&options, &psa, &world, &f).ok)
		fail_msg("%s", f.text);
}

static int close_world(void)
{
	int status;
	psa_close(psa);
	psa = NULL;
	assert_int_equal(waitpid(world, &status, 0), world);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int set_up(void **state)
{
	(void)state;
	workbench_make(&bench);
	open_world();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	if (psa)
		close_world();
	workbench_remove(&bench);
	return 0;
}

static void write_secure(const char *name, const char *text)
{
	char path[256];
	snprintf(path, sizeof path, "%s/%s", bench.secure, name);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static EVP_PKEY *public_key(uint32_t id)
{
	uint8_t point[PSA_POINT_SIZE];
	assert_int_equal(psa_export_public_key(psa, id, point), PSA_SUCCESS);
	EVP_PKEY *key = p256_key_from_point(point + 1, point + 33);
	assert_non_null(key);
	return key;
}

static void test_key_is_made_once_and_survives_a_power_cut(void **state)
{
	(void)state;
	uint8_t before[PSA_POINT_SIZE], after[PSA_POINT_SIZE];
	assert_int_equal(psa_export_public_key(psa, 1, before), PSA_ERROR_INVALID_HANDLE);
	assert_int_equal(psa_generate_key(psa, 1), PSA_SUCCESS);
	assert_int_equal(psa_generate_key(psa, 1), PSA_ERROR_ALREADY_EXISTS);
	assert_int_equal(psa_export_public_key(psa, 1, before), PSA_SUCCESS);
	assert_int_equal(close_world(), 0);
	open_world();
	assert_int_equal(psa_generate_key(psa, 1), PSA_ERROR_ALREADY_EXISTS);
	assert_int_equal(psa_export_public_key(psa, 1, after), PSA_SUCCESS);
	assert_memory_equal(before, after, sizeof before);
}

static void test_signature_verifies_under_the_exported_key(void **state)
{
	(void)state;
	uint8_t hash[SHA256_SIZE], signature[PSA_SIGNATURE_SIZE];
	struct bytes message = bytes_str("a message");
	sha256(message, hash);
	assert_int_equal(psa_sign_hash(psa, 5, hash, signature), PSA_ERROR_INVALID_HANDLE);
	assert_int_equal(psa_generate_key(psa, 5), PSA_SUCCESS);
	assert_int_equal(psa_sign_hash(psa, 5, hash, signature), PSA_SUCCESS);
	EVP_PKEY *key = public_key(5);
	assert_true(ecdsa_verify_raw(key, message, bytes_of(signature, sizeof signature)));
	EVP_PKEY_free(key);
	struct buf der = {0};
	struct fault f;
	assert_true(psa_sign_hash_der(psa, 5, hash, &der, &f).ok);
	key = public_key(5);
	assert_true(ecdsa_verify_der(key, 256, message, buf_view(&der)));
	EVP_PKEY_free(key);
	buf_free(&der);
}

static void test_destroyed_key_is_gone_for_good(void **state)
{
	(void)state;
	uint8_t point[PSA_POINT_SIZE];
	assert_int_equal(psa_destroy_key(psa, 1), PSA_ERROR_INVALID_HANDLE);
	assert_int_equal(psa_generate_key(psa, 1), PSA_SUCCESS);
	assert_int_equal(psa_destroy_key(psa, 1), PSA_SUCCESS);
	assert_int_equal(psa_export_public_key(psa, 1, point), PSA_ERROR_INVALID_HANDLE);
	close_world();
	open_world();
	assert_int_equal(psa_export_public_key(psa, 1, point), PSA_ERROR_INVALID_HANDLE);
}

static void test_storage_is_bounded(void **state)
{
	(void)state;
	for (uint32_t id = 1; id <= SECURE_KEYS_MAX; id++)
		assert_int_equal(psa_generate_key(psa, id), PSA_SUCCESS);
	assert_int_equal(psa_generate_key(psa, SECURE_KEYS_MAX + 1), PSA_ERROR_INSUFFICIENT_STORAGE);
	assert_int_equal(psa_destroy_key(psa, 2), PSA_SUCCESS);
	assert_int_equal(psa_generate_key(psa, SECURE_KEYS_MAX + 1), PSA_SUCCESS);
}

static void test_token_is_the_rot_keys_and_bound_to_the_challenge(void **state)
{
	(void)state;
	uint8_t challenge[PSA_CHALLENGE_SIZE], other[PSA_CHALLENGE_SIZE] = {0};
	struct buf token = {0};
	struct evidence e;
	struct fault f = {0};
	memset(challenge, 0xb7, sizeof challenge);
	assert_int_equal(psa_initial_attest_get_token(psa, challenge, &token), PSA_SUCCESS);
	if (!evidence_parse(EVIDENCE_PSA_TOKEN, buf_view(&token), &e, &f).ok)
		fail_msg("%s", f.text);
	assert_int_equal(e.profile, PROFILE_TFM_2023);
	assert_true(e.client_id < 0);
	assert_int_equal(e.component_count, 1);
	assert_true(evidence_check_binding(&e, challenge, (struct bytes){0}, &f).ok);
	assert_false(evidence_check_binding(&e, other, (struct bytes){0}, &f).ok);
	assert_int_equal(f.reason, REASON_NONCE_MISMATCH);
	EVP_PKEY *rot = workbench_rot(&bench);
	uint8_t instance_id[INSTANCE_ID_SIZE];
	uint8_t spki[SPKI_MAX];
	struct bytes rot_spki = bytes_of(spki, ec_key_to_spki(rot, spki, sizeof spki));
	assert_true(evidence_verify(&e, rot_spki, false, &f).ok);
	assert_true(evidence_instance_id(rot, instance_id));
	assert_memory_equal(e.instance_id, instance_id, sizeof instance_id);
	EVP_PKEY_free(rot);
	buf_free(&token);
}

static void test_software_is_measured_as_it_was_started(void **state)
{
	(void)state;
	uint8_t challenge[PSA_CHALLENGE_SIZE] = {0}, hash[SHA256_SIZE];
	struct buf token = {0}, image = {0};
	struct evidence e;
	struct fault f;
	assert_true(file_read("/proc/self/exe", 256 << 20, &image, &f).ok);
	sha256(buf_view(&image), hash);
	buf_free(&image);
	assert_int_equal(psa_initial_attest_get_token(psa, challenge, &token), PSA_SUCCESS);
	assert_true(evidence_parse(EVIDENCE_PSA_TOKEN, buf_view(&token), &e, &f).ok);
	assert_true(bytes_equal(e.components[0].value, bytes_of(hash, sizeof hash)));
	buf_free(&token);
}

/* A CSR for `key`, signed by it (an OpenSSL key) or, where NULL, by key `id` of the secure world. */
static void make_csr(EVP_PKEY *key, uint32_t id, struct buf *csr)
{
	uint8_t spki[SPKI_MAX], hash[SHA256_SIZE], der[ECDSA_SIGNATURE_MAX];
	size_t n = 0;
	struct buf info = {0}, signature = {0};
	struct fault f;
	if (key)
		n = ec_key_to_spki(key, spki, sizeof spki);
	else
		assert_true(psa_key_spki(psa, id, spki, &n, &f).ok);
	assert_true(csr_build_info("device", bytes_of(spki, n), &info, &f).ok);
	sha256(buf_view(&info), hash);
	if (key)
		buf_add(&signature, der, ecdsa_sign_digest_der(key, hash, der, sizeof der));
	else
		assert_true(psa_sign_hash_der(psa, id, hash, &signature, &f).ok);
	assert_true(csr_build(buf_view(&info), buf_view(&signature), csr, &f).ok);
	buf_free(&info);
	buf_free(&signature);
}

static void test_csr_of_an_own_key_is_signed_by_the_rot_key(void **state)
{
	(void)state;
	uint8_t challenge[PSA_CHALLENGE_SIZE] = {7};
	struct buf csr = {0}, out = {0};
	struct evidence e;
	struct fault f = {0};
	assert_int_equal(psa_generate_key(psa, 3), PSA_SUCCESS);
	make_csr(NULL, 3, &csr);
	assert_int_equal(psa_cose_sign_csr(psa, challenge, buf_view(&csr), &out), PSA_SUCCESS);
	assert_true(evidence_parse(EVIDENCE_COSE_CSR, buf_view(&out), &e, &f).ok);
	assert_true(evidence_check_binding(&e, challenge, buf_view(&csr), &f).ok);
	EVP_PKEY *rot = workbench_rot(&bench);
	uint8_t spki[SPKI_MAX];
	struct bytes rot_spki = bytes_of(spki, ec_key_to_spki(rot, spki, sizeof spki));
	assert_true(evidence_verify(&e, rot_spki, false, &f).ok);
	EVP_PKEY_free(rot);
	buf_free(&csr);
	buf_free(&out);
}

static void test_csr_of_a_foreign_key_is_not_signed(void **state)
{
	(void)state;
	uint8_t challenge[PSA_CHALLENGE_SIZE] = {7};
	struct buf csr = {0}, out = {0};
	EVP_PKEY *foreign = p256_key_generate();
	make_csr(foreign, 0, &csr);
	assert_int_equal(psa_cose_sign_csr(psa, challenge, buf_view(&csr), &out), PSA_ERROR_NOT_PERMITTED);
	csr.p[csr.n - 1] ^= 1;
	assert_int_equal(psa_cose_sign_csr(psa, challenge, buf_view(&csr), &out), PSA_ERROR_NOT_PERMITTED);
	assert_int_equal(psa_cose_sign_csr(psa, challenge, bytes_str("no CSR"), &out),
			 PSA_ERROR_NOT_PERMITTED);
	assert_int_equal(out.n, 0);
	EVP_PKEY_free(foreign);
	buf_free(&csr);
	buf_free(&out);
}

static void test_call_that_the_protocol_does_not_know_is_a_programmer_error(void **state)
{
	(void)state;
	uint8_t challenge[PSA_CHALLENGE_SIZE] = {0};
	struct buf out = {0};
	assert_int_equal(psa_generate_key(psa, 0), PSA_ERROR_PROGRAMMER_ERROR);
	assert_int_equal(psa_generate_key(psa, PSA_KEY_ID_MAX + 1u), PSA_ERROR_PROGRAMMER_ERROR);
	assert_int_equal(psa_cose_sign_csr(psa, challenge, (struct bytes){0}, &out),
			 PSA_ERROR_PROGRAMMER_ERROR);
	assert_int_equal(psa_generate_key(psa, 1), PSA_SUCCESS);
	buf_free(&out);
}

static void test_stream_whose_framing_is_lost_ends_the_world(void **state)
{
	(void)state;
	int ends[2], status;
	char byte;
	assert_int_equal(close_world(), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	pid_t pid = fork();
	if (pid == 0) {
		close(ends[0]);
		_exit(secure_world_main(&(struct secure_world_options){.folder = bench.secure}, ends[1]));
	}
	close(ends[1]);
	assert_int_equal(write(ends[0], "\xff\xff\xff\xff more", 9), 9);
	while (read(ends[0], &byte, 1) == 1)
		;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	close(ends[0]);
}

static void refuses_to_start(const char *words)
{
	struct fault f = {0};
	struct psa *none;
	pid_t pid;
	const struct secure_world_options options = {.folder = bench.secure};
	assert_false(secure_world_start(&options, &none, &pid, &f).ok);
	if (!strstr(f.text, words))
		fail_msg("\"%s\" does not say \"%s\"", f.text, words);
}

static void test_folder_is_held_by_one_world_at_a_time(void **state)
{
	(void)state;
	refuses_to_start("in use by another mooring-device");
}

static void test_device_that_the_factory_did_not_finish_does_not_start(void **state)
{
	(void)state;
	char path[256];
	close_world();
	write_secure("identity.json", "{\"instance_id\":\"01\"}");
	refuses_to_start("identity.json: instance_id: not the hex of 33 bytes");
	snprintf(path, sizeof path, "%s/identity.json", bench.secure);
	assert_int_equal(chmod(path, 0644), 0);
	refuses_to_start("others can read it");
	snprintf(path, sizeof path, "%s/rot.key", bench.secure);
	assert_int_equal(unlink(path), 0);
	refuses_to_start("rot.key: No such file");
}

static void test_half_written_key_of_a_power_cut_is_removed(void **state)
{
	(void)state;
	char path[256];
	close_world();
	write_secure("device-1.key.Ab0xyZ", "-----BEGIN PRIV");
	open_world();
	snprintf(path, sizeof path, "%s/device-1.key.Ab0xyZ", bench.secure);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(psa_generate_key(psa, 1), PSA_SUCCESS);
}

/* ---- who can look into it: from a process that is confined as the normal world is ---- */

static bool cannot_open(const char *path)
{
	int fd = open(path, O_RDONLY);
	if (fd >= 0)
		close(fd);
	return fd < 0 && errno == EACCES;
}

/* Exit code 0 = everything was refused. */
static int try_to_look(const char *normal)
{
	char key[256], memory[64];
	struct fault f;
	const struct confine confine = {.folder = normal, .network = true};
	snprintf(key, sizeof key, "%s/rot.key", bench.secure);
	snprintf(memory, sizeof memory, "/proc/%d/mem", (int)world);
	int beforehand = open(key, O_RDONLY);
	if (geteuid() == 0 && beforehand < 0)
		return 9; /* the attempts below would prove nothing */
	if (!confine_enter(&confine, &f).ok)
		return 10;
	if (!cannot_open(key))
		return 1;
	if (!cannot_open(bench.secure))
		return 2;
	if (open(memory, O_RDWR) >= 0)
		return 3;
	if (ptrace(PTRACE_ATTACH, world, NULL, NULL) == 0)
		return 4;
	return 0;
}

static int outcome_of_looking(const char *normal)
{
	int status;
	pid_t pid = fork();
	if (pid == 0)
		_exit(try_to_look(normal));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_normal_world_can_read_neither_keys_nor_memory(void **state)
{
	(void)state;
	char normal[160];
	snprintf(normal, sizeof normal, "%s/normal", bench.device);
	assert_int_equal(mkdir(normal, 0700), 0);
	assert_int_equal(outcome_of_looking(normal), 0);
	if (geteuid())
		return;
	/* With a uid of its own as well. */
	assert_int_equal(chmod(bench.folder, 0755), 0);
	assert_int_equal(chown(normal, 64299, 64299), 0);
	assert_int_equal(outcome_of_looking(normal), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(test_key_is_made_once_and_survives_a_power_cut),
		TEST(test_signature_verifies_under_the_exported_key),
		TEST(test_destroyed_key_is_gone_for_good),
		TEST(test_storage_is_bounded),
		TEST(test_token_is_the_rot_keys_and_bound_to_the_challenge),
		TEST(test_software_is_measured_as_it_was_started),
		TEST(test_csr_of_an_own_key_is_signed_by_the_rot_key),
		TEST(test_csr_of_a_foreign_key_is_not_signed),
		TEST(test_call_that_the_protocol_does_not_know_is_a_programmer_error),
		TEST(test_stream_whose_framing_is_lost_ends_the_world),
		TEST(test_folder_is_held_by_one_world_at_a_time),
		TEST(test_device_that_the_factory_did_not_finish_does_not_start),
		TEST(test_half_written_key_of_a_power_cut_is_removed),
		TEST(test_normal_world_can_read_neither_keys_nor_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
