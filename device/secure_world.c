#include "secure_world.h"

#include "common/file.h"
#include "common/log.h"
#include "confine.h"
#include "psa_channel.h"
#include "secure_keys.h"
#include "secure_rot.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { EXECUTABLE_MAX = 256 << 20, LOCK_TRIES = 100, LOCK_PAUSE_MS = 20 };

struct secure_world {
	struct secure_rot rot;
	struct secure_keys keys;
	int lock; /* held on the folder; the kernel releases it when the process ends */
};

/* What a boot loader does: measure the software before it runs. */
static outcome measure_software(uint8_t out[SHA256_SIZE], struct fault *f)
{
	struct buf image = {0};
	outcome r = file_read("/proc/self/exe", EXECUTABLE_MAX, &image, f);
	if (r.ok)
		sha256(buf_view(&image), out);
	buf_free(&image);
	return r;
}

/* The predecessor's process may still be on its way out after the normal world was killed. */
static outcome lock_folder(const char *folder, int *out, struct fault *f)
{
	const struct timespec pause = {.tv_nsec = LOCK_PAUSE_MS * 1000000L};
	*out = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*out < 0 && errno == ENOENT)
		return refuse(
			f, REASON_IO,
			"open %s: %s: --dir is the folder of a device, as `mooring-factory make` makes it",
			folder, strerror(errno));
	if (*out < 0)
		return file_fault(f, errno, "open", folder);
	for (int i = 0; i < LOCK_TRIES; i++) {
		if (!flock(*out, LOCK_EX | LOCK_NB))
			return DONE;
		nanosleep(&pause, NULL);
	}
	return refuse(f, REASON_CONFLICT, "%s is in use by another mooring-device", folder);
}

/* Nothing inherited stays but standard error, for the log, and the socket. */
static int keep_only(int fd)
{
	int null = open("/dev/null", O_RDWR);
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 || dup2(fd, 3) < 0)
		return -1;
	closefrom(4);
	return 3;
}

static outcome open_world(struct secure_world *w, const struct secure_world_options *options, struct fault *f)
{
	const struct confine confine = {.folder = options->folder, .insecure = options->insecure};
	uint8_t measurement[SHA256_SIZE];
	outcome r = measure_software(measurement, f);
	if (r.ok)
		r = lock_folder(options->folder, &w->lock, f);
	if (r.ok)
		r = confine_enter(&confine, f);
	if (r.ok)
		r = secure_rot_open(&w->rot, options->folder, measurement, f);
	return r.ok ? secure_keys_open(&w->keys, options->folder, f) : r;
}

static enum psa_status export_public_key(const struct secure_world *w, uint32_t id, struct buf *out)
{
	uint8_t spki[SPKI_MAX];
	EVP_PKEY *key = secure_keys_find(&w->keys, id);
	if (!key)
		return PSA_ERROR_INVALID_HANDLE;
	size_t n = ec_key_to_spki(key, spki, sizeof spki);
	if (n < PSA_POINT_SIZE)
		return PSA_ERROR_GENERIC_ERROR;
	/* The point is what a SubjectPublicKeyInfo ends with (RFC 5480 2.2). */
	buf_add(out, spki + n - PSA_POINT_SIZE, PSA_POINT_SIZE);
	return PSA_SUCCESS;
}

static enum psa_status sign_hash(const struct secure_world *w, uint32_t id, struct bytes hash,
				 struct buf *out)
{
	uint8_t der[PSA_SIGNATURE_SIZE + 16], raw[PSA_SIGNATURE_SIZE];
	EVP_PKEY *key = secure_keys_find(&w->keys, id);
	if (!key)
		return PSA_ERROR_INVALID_HANDLE;
	size_t n = ecdsa_sign_digest_der(key, hash.p, der, sizeof der);
	if (!n || !ecdsa_der_to_raw(bytes_of(der, n), sizeof raw / 2, raw))
		return PSA_ERROR_GENERIC_ERROR;
	buf_add(out, raw, sizeof raw);
	return PSA_SUCCESS;
}

static enum psa_status perform(struct secure_world *w, const struct psa_request *r, struct buf *out)
{
	switch (r->call) {
	case PSA_GENERATE_KEY:
		return secure_keys_generate(&w->keys, r->key);
	case PSA_EXPORT_PUBLIC_KEY:
		return export_public_key(w, r->key, out);
	case PSA_SIGN_HASH:
		return sign_hash(w, r->key, r->input, out);
	case PSA_DESTROY_KEY:
		return secure_keys_destroy(&w->keys, r->key);
	case PSA_INITIAL_ATTEST_GET_TOKEN:
		return secure_rot_token(&w->rot, r->input, out);
	case PSA_COSE_SIGN_CSR:
		return secure_rot_sign_csr(&w->rot, &w->keys, r->input, r->second, out);
	case PSA_ROT_IDENTITY:
		return secure_rot_identity(&w->rot, out);
	case PSA_STAGE_COUNTERSIGN:
		return secure_rot_countersign(&w->rot, r->input, out);
	case PSA_CALL_COUNT:
		break;
	}
	return PSA_ERROR_PROGRAMMER_ERROR;
}

static bool send_answer(int fd, enum psa_status status, struct bytes output)
{
	struct buf message = {0};
	psa_answer_encode(&message, &(struct psa_answer){.status = status, .output = output});
	bool sent = !message.failed && psa_channel_send(fd, buf_view(&message));
	buf_free(&message);
	return sent;
}

/* False at the end of the stream, or where its framing is lost. */
static bool serve_one(struct secure_world *w, int fd)
{
	uint8_t message[PSA_MESSAGE_MAX];
	struct bytes body;
	struct psa_request request;
	if (!psa_channel_receive(fd, message, &body))
		return false;
	if (!psa_request_decode(body, &request))
		return send_answer(fd, PSA_ERROR_PROGRAMMER_ERROR, (struct bytes){0});
	struct buf output = {0};
	enum psa_status status = perform(w, &request, &output);
	if (output.failed)
		status = PSA_ERROR_INSUFFICIENT_MEMORY;
	bool sent = send_answer(fd, status, status == PSA_SUCCESS ? buf_view(&output) : (struct bytes){0});
	buf_free(&output);
	return sent;
}

int secure_world_main(const struct secure_world_options *options, int fd)
{
	struct secure_world w = {.lock = -1};
	struct fault f;
	/* The end of the socket ends this world, not a terminal's Ctrl-C: the normal world may still need a
	 * signature. */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	log_init("mooring-device/secure", options->quiet ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN);
	outcome opened = open_world(&w, options, &f);
	struct bytes words = opened.ok ? (struct bytes){0} : bytes_str(f.text);
	bool go_on = send_answer(fd, opened.ok ? PSA_SUCCESS : PSA_ERROR_GENERIC_ERROR, words) && opened.ok;
	while (go_on)
		go_on = serve_one(&w, fd);
	secure_keys_close(&w.keys);
	secure_rot_close(&w.rot);
	return opened.ok ? 0 : 1;
}

static void run_child(const struct secure_world_options *options, int fd)
{
	prctl(PR_SET_NAME, "secure-world");
	int kept = keep_only(fd);
	_exit(kept < 0 ? 1 : secure_world_main(options, kept));
}

outcome secure_world_start(const struct secure_world_options *options, struct psa **out, pid_t *pid,
			   struct fault *f)
{
	int ends[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
		return refuse(f, REASON_IO, "socketpair: %s", strerror(errno));
	*pid = fork();
	if (*pid == 0)
		run_child(options, ends[1]);
	close(ends[1]);
	if (*pid < 0) {
		close(ends[0]);
		return refuse(f, REASON_IO, "fork: %s", strerror(errno));
	}
	outcome r = psa_open(ends[0], out, f);
	if (!r.ok)
		waitpid(*pid, NULL, 0);
	return r;
}
