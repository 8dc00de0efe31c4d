#include "daemon.h"

#include "version.h"

#include <getopt.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

static void print_help(const struct daemon_about *a)
{
	printf("%s - %s\n"
	       "\n"
	       "  %s --config FILE                  run\n"
	       "  %s --config FILE -t               test the configuration and the files it names, and end\n"
	       "  %s --config FILE --print-config   print the configuration with the meaning of every key\n"
	       "\n"
	       "%s"
	       "\n"
	       "  --config FILE             configuration (YAML)\n"
	       "  -t, --test                check everything that can be checked without running\n"
	       "  --print-config            print the configuration in full\n"
	       "  --insecure-single-user    run even where nothing confines this process: for trying out\n"
	       "  --help, --version\n"
	       "\n"
	       "Started as root it becomes run_as_uid. SIGTERM ends it; exit 0. Log lines are JSON, on "
	       "standard error.\n",
	       a->name, a->summary, a->name, a->name, a->name, a->story);
}

static int mistake(const struct daemon_about *a, const char *what)
{
	fprintf(stderr, "%s: %s; %s --help says more\n", a->name, what, a->name);
	return DAEMON_USAGE;
}

/* What one request needed is kept for the next: giving it back to the kernel each time costs two system calls. */
static void keep_memory(void)
{
	enum { KEPT_BYTES = 8 << 20 };
	mallopt(M_TRIM_THRESHOLD, KEPT_BYTES);
}

int daemon_options(int argc, char **argv, const struct daemon_about *about, struct daemon_options *out)
{
	static const struct option table[] = {
		{"config", required_argument, NULL, 'c'},
		{"test", no_argument, NULL, 't'},
		{"print-config", no_argument, NULL, 'p'},
		{"insecure-single-user", no_argument, NULL, 'i'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'v'},
		{NULL, 0, NULL, 0},
	};
	*out = (struct daemon_options){0};
	opterr = 0;
	for (int c; (c = getopt_long(argc, argv, "t", table, NULL)) != -1;) {
		switch (c) {
		case 'c':
			out->config = optarg;
			break;
		case 't':
			out->test = true;
			break;
		case 'p':
			out->print = true;
			break;
		case 'i':
			out->insecure = true;
			break;
		case 'h':
			print_help(about);
			return EXIT_SUCCESS;
		case 'v':
			printf("%s %s\n", about->name, MOORING_VERSION);
			return EXIT_SUCCESS;
		default:
			return mistake(about, "unknown option, or one without its value");
		}
	}
	if (optind < argc)
		return mistake(about, "it takes options only");
	if (!out->config)
		return mistake(about, "--config FILE is missing");
	keep_memory();
	return DAEMON_GO_ON;
}

int daemon_print_config(char *text)
{
	if (!text)
		return EXIT_FAILURE;
	fputs(text, stdout);
	free(text);
	return EXIT_SUCCESS;
}
