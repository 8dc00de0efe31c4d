/*
 * mooring-signer: holds the issuing keys, signs what it has checked itself, and remembers all of it.
 */
#include "server.h"
#include "common/clock.h"
#include "common/daemon.h"
#include "common/file.h"
#include "common/log.h"
#include "common/sandbox/sandbox.h"

#include <errno.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

enum { SECURE_HEAP = 65536, SECURE_UNIT = 32 };

static const struct daemon_about about = {
	"mooring-signer",
	"the one process of Mooring that holds the issuing keys",
	"It answers the gateway on a Unix socket and has no network. It signs a device certificate only for "
	"a CSR\n"
	"that an attestation result vouches for, checked here and not believed; it never signs twice for one "
	"intent\n"
	"or one serial; and it syncs each certificate to its journal before it answers. Back the journal "
	"up.\n"
	"\n"
	"Keys are made with mooring-ca init. issuer_key takes a path, or a pkcs11: URI to keep the key in "
	"hardware.\n",
	"  issuer_key              the device CA's private key, mode 0600; read before anything else is "
	"done\n"
	"  state_dir/journal       every certificate ever signed, complete, hash-chained: back it up. "
	"Damaged, it\n"
	"                          is not started with\n"
	"  socket                  the Unix socket for the gateway\n",
};

/* Before a key is in memory: no core files, no tracing by equals, and no swap where we may ask for that. */
static void protect_memory(void)
{
	struct rlimit none = {0, 0}, all = {RLIM_INFINITY, RLIM_INFINITY};
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	setrlimit(RLIMIT_CORE, &none);
	/* Without the limit raised, what is allocated later would fail instead of being locked. */
	bool locked = setrlimit(RLIMIT_MEMLOCK, &all) == 0 && mlockall(MCL_CURRENT | MCL_FUTURE) == 0;
	if (!locked)
		log_line(LOG_LEVEL_INFO, NULL,
			 "memory is not locked (%s): give the service LimitMEMLOCK=infinity to keep all of "
			 "it from swap",
			 strerror(errno));
	if (CRYPTO_secure_malloc_init(SECURE_HEAP, SECURE_UNIT) != 1)
		log_line(LOG_LEVEL_WARN, NULL, "keys are not in locked memory: they could reach swap");
}

/* Started as root, the journal belongs to the user that the signer becomes. */
static outcome hand_over(const struct signer_config *c, struct fault *f)
{
	char path[PATH_MAX];
	if (geteuid() || !c->process.run_as_uid)
		return DONE;
	snprintf(path, sizeof path, "%s/journal", c->state_dir);
	if (lchown(path, (uid_t)c->process.run_as_uid, (gid_t)c->process.run_as_gid))
		return refuse(f, REASON_IO, "chown %s: %s", path, strerror(errno));
	return DONE;
}

static outcome enter_sandbox(const struct signer_config *c, bool insecure, struct fault *f)
{
	char socket_folder[PATH_MAX];
	file_folder_of(c->socket, socket_folder);
	const char *const writable[] = {c->state_dir, socket_folder, NULL}, *const none[] = {NULL};
	const struct sandbox sandbox = {
		.uid = (uid_t)c->process.run_as_uid,
		.gid = (gid_t)c->process.run_as_gid,
		.read_only = none,
		.read_write = writable,
		.network = false,
		.non_dumpable = true,
		.insecure = insecure,
	};
	return sandbox_enter(&sandbox, f);
}

static outcome serve(const struct signer_config *c, struct signer *s, bool insecure, struct fault *f)
{
	struct server *server = NULL;
	outcome o = hand_over(c, f);
	if (o.ok)
		o = server_new(c->socket, config_uids(&c->peer_uids), c->peer_uids.count, &server, f);
	if (o.ok)
		o = enter_sandbox(c, insecure, f);
	if (o.ok) {
		log_line(LOG_LEVEL_INFO, NULL, "ready on %s", c->socket);
		o = server_run(server, s, f);
	}
	server_free(server);
	return o;
}

static outcome run(const struct signer_config *c, const struct daemon_options *options, struct fault *f)
{
	struct signer_keys keys = {0};
	struct signer *signer = NULL;
	outcome o = signer_keys_load(c, clock_wall_s(), &keys, f);
	if (o.ok && options->test) {
		printf("%s: configuration, keys and certificates are in order\n", options->config);
	} else if (o.ok) {
		o = signer_new(c, &keys, &signer, f);
		if (o.ok)
			o = serve(c, signer, options->insecure, f);
	}
	signer_free(signer);
	signer_keys_free(&keys);
	return o;
}

int main(int argc, char **argv)
{
	struct daemon_options options;
	struct signer_config config;
	struct fault f;
	int code = daemon_options(argc, argv, &about, &options);
	if (code != DAEMON_GO_ON)
		return code;
	log_init("signer", LOG_LEVEL_INFO);
	if (!signer_config_load(options.config, &config, &f).ok) {
		log_fault(LOG_LEVEL_ERROR, NULL, &f, "cannot start");
		return EXIT_FAILURE;
	}
	log_init("signer", config_log_level(&config.process));
	if (options.print) {
		code = daemon_print_config(signer_config_print(&config));
	} else {
		signal(SIGPIPE, SIG_IGN);
		signal(SIGXFSZ, SIG_IGN); /* a file size limit is a full disk, not a reason to die */
		protect_memory();
		code = run(&config, &options, &f).ok ? EXIT_SUCCESS : EXIT_FAILURE;
		if (code)
			log_fault(LOG_LEVEL_ERROR, NULL, &f, "the signer ends");
		else if (!options.test)
			log_line(LOG_LEVEL_INFO, NULL, "stopped");
	}
	signer_config_free(&config);
	crypto_end();
	return code;
}
