/*
 * ctl.h - mooringctl: what a command is, and what all of them share.
 */
#ifndef MOORING_CTL_H
#define MOORING_CTL_H

#include "arguments.h"
#include "common/admin/admin_client.h"

/* Exit codes, for scripts. */
enum { EXIT_DONE = 0, EXIT_REFUSED = 1, EXIT_USAGE = 2, EXIT_NOT_YET_EFFECTIVE = 3 };

struct ctl {
	const char *endpoint; /* --endpoint, MOORING_ENDPOINT (struct command: records); NULL: not given */
	const char *ca;	      /* --ca, MOORING_CA */
	const char *key;      /* --key, MOORING_KEY */
	bool json;	      /* raw JSON instead of text for people */
	bool colour;	      /* standard output is a terminal, and NO_COLOR is not set */
	struct admin_client *client; /* made by the first call */
};

struct command {
	const char *name;		   /* one or two words: "devices", "service add" */
	const char *arguments;		   /* as the help shows them */
	const char *summary;		   /* one line, no full stop */
	const char *help;		   /* what it does and what comes back: whole sentences */
	const char *examples;		   /* lines of "mooringctl …" */
	const struct option_spec *options; /* ended by a NULL name; NULL: none */
	size_t words_min, words_max;
	int (*run)(struct ctl *c, const struct arguments *a);
	const char *exits; /* exit codes; NULL: 0, 1 and 2 as everywhere */
	bool records; /* it asks the attestation service: MOORING_ATTESTATION_… go before MOORING_… */
	bool offline; /* it asks no service: --endpoint, --ca and --key are nothing to it */
	const char *files; /* lines about what it reads or writes besides its arguments; NULL: nothing */
};

/* One array a file of commands, ended by a NULL name. */
extern const struct command device_commands[];
extern const struct command standing_commands[];
extern const struct command recall_commands[];
extern const struct command line_commands[];
extern const struct command order_commands[];
extern const struct command provenance_commands[];
extern const struct command session_commands[];
extern const struct command broker_commands[];
extern const struct command service_commands[];
extern const struct command log_commands[];
extern const struct command record_commands[];
extern const struct command admin_commands[];
extern const struct command ca_commands[];
extern const struct command policy_commands[];
extern const struct command thing_commands[];
extern const struct command evidence_commands[];
extern const struct command chain_commands[];
extern const struct command csr_commands[];
extern const struct command completion_commands[];

/* An option's value; where it was not given, the variable's, unless that is empty. NULL: neither. */
const char *ctl_or_environment(const char *value, const char *name);

/* Says it on standard error with the reason code; returns EXIT_REFUSED. */
int ctl_fail(const struct fault *f);
/* What a command was given cannot be had: wrong usage where the sentence begins with an option's name, as a wrong
 * option's does; else as ctl_fail. */
int ctl_fail_given(const struct fault *f);
/* What came of an offline check, on standard output: ACCEPT, or REJECT with the reason code and the rule;
 * the exit code. */
int ctl_print_result(const struct ctl *c, outcome checked, const struct fault *f);
/* A command line that cannot be meant: says it and where help is; returns EXIT_USAGE. */
int ctl_usage(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
