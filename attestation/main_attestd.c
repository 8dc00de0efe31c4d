/*
 * mooring-attestd - the attestation service (RFC 9334: the verifier): holds a record of every device that was made,
 * appraises evidence against it, signs the result, and tells relying parties what is withdrawn.
 */
#include "admin_auth.h"
#include "attestd.h"
#include "config_check.h"
#include "discovery.h"
#include "routes.h"
#include "sandbox.h"
#include "sessions.h"
#include "version.h"
#include "withdrawals.h"
#include "writer.h"

#include <getopt.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EXIT_USAGE = 2, STOP_GRACE_MS = 10000, CONNECTIONS_MAX = 4096 };

static const char help[] =
	"mooring-attestd - the attestation service: says whether evidence comes from a genuine device\n"
	"\n"
	"  mooring-attestd --config attestd.yaml                  run\n"
	"  mooring-attestd --config attestd.yaml -t               test the configuration and the files it names, and end\n"
	"  mooring-attestd --config attestd.yaml --print-config   print the configuration with the meaning of every key\n"
	"\n"
	"It answers its edge (nginx) on a Unix socket: Veraison's challenge-response API for relying parties, signed\n"
	"withdrawals for them to follow, and the device records' admin interface. It has no network of its own.\n"
	"\n"
	"  --config FILE             configuration (YAML)\n"
	"  -t, --test                check everything that can be checked without running\n"
	"  --print-config            print the configuration in full\n"
	"  --insecure-single-user    run even where nothing confines this process: for trying out\n"
	"  --help, --version\n"
	"\n"
	"Started as root it becomes run_as_uid. SIGTERM ends it; exit 0. Log lines are JSON, on standard error.\n";

struct options {
	const char *config;
	bool test, print, insecure;
};

enum { OPTION_CONFIG = 256, OPTION_PRINT, OPTION_INSECURE, OPTION_HELP, OPTION_VERSION };

static int usage_error(const char *what)
{
	fprintf(stderr, "mooring-attestd: %s; mooring-attestd --help says more\n", what);
	return EXIT_USAGE;
}

/* -1: go on; else the exit code. */
static int parse_options(int argc, char **argv, struct options *o)
{
	static const struct option table[] = {
		{"config", required_argument, NULL, OPTION_CONFIG},
		{"test", no_argument, NULL, 't'},
		{"print-config", no_argument, NULL, OPTION_PRINT},
		{"insecure-single-user", no_argument, NULL, OPTION_INSECURE},
		{"help", no_argument, NULL, OPTION_HELP},
		{"version", no_argument, NULL, OPTION_VERSION},
		{NULL, 0, NULL, 0},
	};
	for (int c; (c = getopt_long(argc, argv, "t", table, NULL)) != -1;) {
		if (c == OPTION_HELP || c == OPTION_VERSION) {
			fputs(c == OPTION_HELP ? help : "mooring-attestd " MOORING_VERSION "\n", stdout);
			return EXIT_SUCCESS;
		}
		if (c == '?')
			return usage_error("unknown option");
		o->config = c == OPTION_CONFIG ? optarg : o->config;
		o->test = o->test || c == 't';
		o->print = o->print || c == OPTION_PRINT;
		o->insecure = o->insecure || c == OPTION_INSECURE;
	}
	if (optind < argc)
		return usage_error("it takes options only");
	return o->config ? -1 : usage_error("--config FILE is missing");
}

static outcome enter_sandbox(const struct attestd_config *c, bool insecure, struct fault *f)
{
	/* The admin secret may be made while the daemon runs, hence its folder. */
	char socket_copy[PATH_MAX], master_copy[PATH_MAX];
	snprintf(socket_copy, sizeof socket_copy, "%s", c->socket);
	snprintf(master_copy, sizeof master_copy, "%s", c->admin_master);
	const char *const read_only[] = {dirname(master_copy), "/proc/self", NULL};
	const char *const read_write[] = {c->state_dir, dirname(socket_copy), NULL};
	const struct sandbox sandbox = {
		.uid = (uid_t)c->run_as_uid,
		.gid = (gid_t)c->run_as_gid,
		.read_only = read_only,
		.read_write = read_write,
		.network = false,
		.non_dumpable = true,
		.insecure = insecure,
	};
	return sandbox_enter(&sandbox, f);
}

/* As the daemon's own user: a database that root made could not be written later. */
static outcome open_records(struct attestd *a, struct fault *f)
{
	const struct attestd_config *c = &a->config;
	struct buf path = {0};
	buf_printf(&path, "%s/attestd.db", c->state_dir);
	a->db_path = buf_take_str(&path);
	if (!a->db_path)
		return refuse(f, REASON_NO_MEMORY, "no memory for a path");
	const struct writer_options options = {a->db_path, withdrawals_wake, a->withdrawals};
	outcome r = writer_open(&options, &a->writer, f);
	if (r.ok)
		r = admin_auth_open(a->db_path, c->admin_master, c->region, &a->admin_auth, f);
	return r.ok ? writer_start(a->writer, f) : r;
}

static outcome make_services(struct attestd *a, struct fault *f)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	a->worker_count = a->config.workers ? (unsigned)a->config.workers : cores > 0 ? (unsigned)cores : 1;
	a->workers = calloc(a->worker_count, sizeof *a->workers);
	a->withdrawals = withdrawals_new(a->worker_count);
	a->discovery = discovery_document(&a->keys);
	if (!a->workers || !a->withdrawals || !a->discovery)
		return refuse(f, REASON_NO_MEMORY, "no memory to start");
	outcome r = sessions_new(a->config.session_ttl_s, SESSIONS_MAX, &a->sessions, f);
	return r.ok ? open_records(a, f) : r;
}

static outcome serve(struct attestd *a, struct fault *f)
{
	uid_t *peers = config_uids(&a->config.peer_uids);
	if (!peers && a->config.peer_uids.count)
		return refuse(f, REASON_NO_MEMORY, "no memory to start");
	const struct scgi_options options = {
		.socket_path = a->config.socket,
		.peer_uids = peers,
		.peer_count = a->config.peer_uids.count,
		.workers = a->worker_count,
		.connections_max = CONNECTIONS_MAX,
		.worker_start = worker_start,
		.worker_stop = worker_stop,
	};
	outcome r = scgi_start(&options, routes_handle, a, &a->server, f);
	free(peers);
	return r;
}

/* What waits is answered first, then what is open finishes, then the writer, which answers on the loops. */
static void stop(struct attestd *a)
{
	if (a->server) {
		withdrawals_stop(a->withdrawals);
		scgi_drain(a->server, STOP_GRACE_MS);
	}
	writer_stop(a->writer);
	scgi_stop(a->server, 0);
	admin_auth_close(a->admin_auth);
	withdrawals_free(a->withdrawals);
	sessions_free(a->sessions);
	free(a->workers);
	free(a->discovery);
	free(a->db_path);
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
		r = make_services(a, f);
	if (r.ok)
		r = serve(a, f);
	if (r.ok) {
		log_line(LOG_LEVEL_INFO, NULL, "ready on %s with %u workers%s", a->config.socket, a->worker_count,
			 a->config.allow_test_keys ? "; PUBLISHED TEST KEYS ARE ACCEPTED" : "");
		sigwait(&stopping, &received);
		log_line(LOG_LEVEL_INFO, NULL, "stopping");
	}
	stop(a);
	return r;
}

static outcome print_config(const struct attestd *a, struct fault *f)
{
	char *text = attestd_config_print(&a->config);
	if (!text)
		return refuse(f, REASON_NO_MEMORY, "no memory to print");
	fputs(text, stdout);
	free(text);
	return DONE;
}

int main(int argc, char **argv)
{
	static struct attestd a;
	struct options o = {0};
	struct fault f;
	int code = parse_options(argc, argv, &o);
	if (code >= 0)
		return code;
	log_init("attestd", LOG_LEVEL_INFO);
	outcome r = attestd_config_load(o.config, &a.config, &f);
	if (r.ok)
		log_init("attestd", config_log_level(a.config.log_level));
	if (r.ok && o.print) {
		r = print_config(&a, &f);
	} else if (r.ok) {
		r = keys_load(a.config.ear_key, a.config.ear_key_next, a.config.relying_party_ca, &a.keys, &f);
		if (r.ok && o.test)
			puts("the configuration is good");
		else if (r.ok)
			r = run(&a, o.insecure, &f);
	}
	keys_free(&a.keys);
	attestd_config_free(&a.config);
	if (!r.ok)
		fprintf(stderr, "mooring-attestd: %s\n", f.text);
	return r.ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
