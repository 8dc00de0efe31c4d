/*
 * commands.h - the subcommands of mooring-ca: each parses its own arguments and returns the exit code, 0
 * done, 1 refused, 2 usage.
 */
#ifndef MOORING_CA_COMMANDS_H
#define MOORING_CA_COMMANDS_H

#include "common/fault.h"

#include <getopt.h>

enum { EXIT_USAGE = 2 };

int command_init(int argc, char **argv);
int command_issue_service(int argc, char **argv);
int command_issue_ca(int argc, char **argv);
int command_status(int argc, char **argv);

/* Prints "mooring-ca: ..." and returns the code. */
int command_usage(const char *what);
/* What getopt_long has just called wrong, for the command in argv[0]. */
int command_wrong_option(char *const *argv, const struct option *table);
int command_failed(const struct fault *f);

#endif
