#include "daemon.h"

#include "nearest.h"
#include "version.h"

#include <getopt.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "gateway", as its configuration file is called. */
static const char *short_name(const struct daemon_about *a)
{
	return a->name + strlen("mooring-");
}

static void print_help(const struct daemon_about *a)
{
	printf("usage: %s --config FILE [-t | --print-config] [--insecure-single-user]\n"
	       "\n"
	       "%s - %s\n"
	       "\n"
	       "%s"
	       "\n"
	       "Started as root it becomes run_as_uid. SIGTERM ends it. Log lines are JSON, on standard "
	       "error.\n"
	       "\n"
	       "Options\n"
	       "  --config FILE           configuration (YAML)\n"
	       "  -t, --test              test it, and the files that it names, and end\n"
	       "  --print-config          print it in full, with meaning, range and default of every key, "
	       "and end\n"
	       "  --insecure-single-user  run even where nothing confines this process: for trying out\n"
	       "  --help, --version\n"
	       "\n"
	       "Exit code\n"
	       "  0 ended by SIGTERM or SIGINT; with -t: the configuration is good. 1 refused to start, "
	       "failed; with\n"
	       "  -t: the log line names file and line. 2 wrong usage\n"
	       "\n"
	       "Files\n"
	       "%s"
	       "\n"
	       "Examples\n"
	       "  %s --config /etc/mooring/%s.yaml -t\n"
	       "  %s --config /etc/mooring/%s.yaml\n",
	       a->name, a->name, a->summary, a->story, a->files, a->name, short_name(a), a->name,
	       short_name(a));
}

static int mistake(const struct daemon_about *a, const char *what)
{
	const char *stop = what[strlen(what) - 1] == '?' ? "" : ";";
	fprintf(stderr, "%s: %s%s %s --help says more\n", a->name, what, stop, a->name);
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
	char wrong[NEAREST_TEXT_MAX];
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
			nearest_option(argv, table, wrong);
			return mistake(about, wrong);
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
