/*
 * daemon.h - the command line that all daemons share.
 *
 *   mooring-NAME --config FILE [-t | --print-config] [--insecure-single-user] | --help | --version
 */
#ifndef MOORING_DAEMON_H
#define MOORING_DAEMON_H

#include "fault.h"

enum { DAEMON_GO_ON = -1, DAEMON_USAGE = 2 };

struct daemon_about {
	const char *name;    /* "mooring-signer" */
	const char *summary; /* one line, what it is */
	const char *story;   /* whole lines: what it does, what an operator has to know */
	const char *files;   /* whole lines: what it reads and writes besides its configuration */
};

struct daemon_options {
	const char *config;
	bool test, print, insecure;
};

/* Fills `out` and returns DAEMON_GO_ON, or the exit code: after --help and --version, or a mistake, which it explains
 * on standard error. */
int daemon_options(int argc, char **argv, const struct daemon_about *about, struct daemon_options *out);

/* --print-config: `text` to standard output, freed; NULL is a lack of memory. Returns the exit code. */
int daemon_print_config(char *text);

#endif
