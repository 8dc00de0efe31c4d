/*
 * mooring-attestd - the attestation service (RFC 9334: the verifier): holds a record of every device that was
 * made, appraises evidence against it, signs the result, and tells relying parties what is withdrawn.
 */
#include "attestd.h"
#include "common/daemon.h"
#include "common/file.h"
#include "common/sandbox/sandbox.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct daemon_about about = {
	"mooring-attestd",
	"the attestation service: says whether evidence comes from a genuine device",
	"It answers its edge (nginx) on a Unix socket: Veraison's challenge-response API for relying "
	"parties, signed\n"
	"withdrawals for them to follow, and the device records' admin interface. It has no network of its "
	"own.\n",
	"  state_dir/attestd.db    the device records, what was suspended, the access keys. Back it up with "
	"SQLite's\n"
	"                          own backup, not with cp\n"
	"  state_dir/attestd.db.*  beside it: its write-ahead log, and the signatures of admin requests that "
	"must not\n"
	"                          come again\n"
	"  ear_key, ear_key_next   what it signs its results with, mode 0600\n"
	"  socket                  the Unix socket for its edge\n",
};

static outcome enter_sandbox(const struct attestd_config *c, bool insecure, struct fault *f)
{
	/* The admin secret may be made while the daemon runs, hence its folder. */
	char socket_folder[PATH_MAX], master_folder[PATH_MAX];
	file_folder_of(c->edge.socket, socket_folder);
	file_folder_of(c->edge.admin_master, master_folder);
	const char *const read_only[] = {master_folder, "/proc/self", NULL};
	const char *const read_write[] = {c->state_dir, socket_folder, NULL};
	const struct sandbox sandbox = {
		.uid = (uid_t)c->process.run_as_uid,
		.gid = (gid_t)c->process.run_as_gid,
		.read_only = read_only,
		.read_write = read_write,
		.network = false,
		.non_dumpable = true,
		.insecure = insecure,
	};
	return sandbox_enter(&sandbox, f);
}

static outcome run(struct attestd *a, bool insecure, struct fault *f)
{
	sigset_t stopping;
	int received;
	sigemptyset(&stopping);
	sigaddset(&stopping, SIGTERM);
	sigaddset(&stopping, SIGINT);
	pthread_sigmask(SIG_BLOCK, &stopping, NULL);
	signal(SIGPIPE, SIG_IGN);
	outcome r = enter_sandbox(&a->config, insecure, f);
	if (r.ok)
		r = file_hold_folder(a->config.state_dir, "attestation service", f);
	if (r.ok)
		r = attestd_start(a, f);
	if (!r.ok)
		return r;
	log_line(LOG_LEVEL_INFO, NULL, "ready on %s with %u workers%s", a->config.edge.socket,
		 a->worker_count, a->config.allow_test_keys ? "; PUBLISHED TEST KEYS ARE ACCEPTED" : "");
	sigwait(&stopping, &received);
	log_line(LOG_LEVEL_INFO, NULL, "stopping");
	attestd_stop(a);
	return DONE;
}

int main(int argc, char **argv)
{
	static struct attestd a;
	struct daemon_options o;
	struct fault f;
	int code = daemon_options(argc, argv, &about, &o);
	if (code != DAEMON_GO_ON)
		return code;
	log_init("attestd", LOG_LEVEL_INFO);
	outcome r = attestd_config_load(o.config, &a.config, &f);
	if (r.ok)
		log_init("attestd", config_log_level(&a.config.process));
	if (r.ok && o.print) {
		code = daemon_print_config(attestd_config_print(&a.config));
		attestd_config_free(&a.config);
		return code;
	}
	if (r.ok) {
		r = keys_load(a.config.ear_key, a.config.ear_key_next, a.config.relying_party_ca, &a.keys,
			      &f);
		if (r.ok && o.test)
			puts("the configuration is good");
		else if (r.ok)
			r = run(&a, o.insecure, &f);
	}
	keys_free(&a.keys);
	attestd_config_free(&a.config);
	if (!r.ok)
		log_fault(LOG_LEVEL_ERROR, NULL, &f, "cannot start");
	return r.ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
