/*
 * mooring-attestd - the attestation service (RFC 9334: the verifier): holds a record of every device that was
 * made, appraises evidence against it, signs the result, and tells relying parties what is withdrawn.
 */
#include "attestd.h"
#include "config_check.h"
#include "sandbox.h"
#include "version.h"

#include <getopt.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_USAGE = 2 };

static const char help[] =
	"mooring-attestd - the attestation service: says whether evidence comes from a genuine device\n"
	"\n"
	"  mooring-attestd --config attestd.yaml                  run\n"
	"  mooring-attestd --config attestd.yaml -t               test the configuration and the files it "
	"names, and end\n"
	"  mooring-attestd --config attestd.yaml --print-config   print the configuration with the meaning "
	"of every key\n"
	"\n"
	"It answers its edge (nginx) on a Unix socket: Veraison's challenge-response API for relying "
	"parties, signed\n"
	"withdrawals for them to follow, and the device records' admin interface. It has no network of its "
	"own.\n"
	"\n"
	"  --config FILE             configuration (YAML)\n"
	"  -t, --test                check everything that can be checked without running\n"
	"  --print-config            print the configuration in full\n"
	"  --insecure-single-user    run even where nothing confines this process: for trying out\n"
	"  --help, --version\n"
	"\n"
	"Started as root it becomes run_as_uid. SIGTERM ends it; exit 0. Log lines are JSON, on standard "
	"error.\n";

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
		r = attestd_start(a, f);
	if (!r.ok)
		return r;
	log_line(LOG_LEVEL_INFO, NULL, "ready on %s with %u workers%s", a->config.socket, a->worker_count,
		 a->config.allow_test_keys ? "; PUBLISHED TEST KEYS ARE ACCEPTED" : "");
	sigwait(&stopping, &received);
	log_line(LOG_LEVEL_INFO, NULL, "stopping");
	attestd_stop(a);
	return DONE;
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
		fprintf(stderr, "mooring-attestd: %s\n", f.text);
	return r.ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
