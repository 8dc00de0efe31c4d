/*
 * program.h - a command-line program made of a table of commands: what it is called, and what its help says.
 *
 * Each program that links this has one `the_program`. Help, completion and the words about wrong use are made
 * from it and from the tables of commands, so that they cannot drift from what the program does.
 */
#ifndef MOORING_CLI_PROGRAM_H
#define MOORING_CLI_PROGRAM_H

#include "ctl.h"

/* All files of commands, in the order of the help; `commands` is NULL at the end. */
struct command_group {
	const char *title;
	const struct command *commands;
};

/* What the help ends with; `title` is NULL at the end. */
struct help_section {
	const char *title, *text;
};

struct program {
	const char *name;
	const char *about; /* what it is for: lines under the usage */
	const struct command_group *groups;
	const struct option_spec *globals; /* options of every command, `help` and `version` among them */
	const char *globals_hint; /* those to name in an online command's help: "--endpoint, …"; "": none */
	const struct help_section *sections;
	/* Puts what the globals say, in their order, and the environment into `c`, for this command; NULL: they say nothing
	 * more. */
	void (*set_up)(struct ctl *c, const struct command *command, const char *const *values);
};

enum { PROGRAM_GLOBALS_MAX = 8 };

extern const struct program the_program;

/* `completion bash`, for the program's table of commands. */
int completion_run(struct ctl *c, const struct arguments *a);

/* Runs the command that the words name; the process's exit code. */
int program_run(char **argv);

#endif
