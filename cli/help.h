/*
 * help.h - help made from the table of commands, so that it cannot drift from them.
 */
#ifndef MOORING_HELP_H
#define MOORING_HELP_H

#include "ctl.h"

/* Options of every command; the parsed values stand in this order. */
enum { CTL_ENDPOINT, CTL_CA, CTL_KEY, CTL_JSON, CTL_HELP, CTL_VERSION, CTL_GLOBALS };
extern const struct option_spec ctl_globals[];
/* All files of commands, in the order of the help; `commands` is NULL at the end. */
struct command_group {
	const char *title;
	const struct command *commands;
};
extern const struct command_group ctl_groups[];

/* The command that the words begin with, and how many words its name has; NULL where there is none. */
const struct command *command_find(char *const *words, size_t *taken);

/* Says that these words are no command, and what was probably meant. */
void help_no_command(char *const *words, char *out, size_t room);

void help_top(void);
void help_command(const struct command *c);
/* Commands that begin with this word, for "mooringctl records". False where there is none. */
bool help_group(const char *word);

#endif
