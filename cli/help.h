/*
 * help.h - help made from the table of commands, so that it cannot drift from them.
 */
#ifndef MOORING_HELP_H
#define MOORING_HELP_H

#include "program.h"

/* The command that the words begin with, and how many words its name has; NULL where there is none. */
const struct command *command_find(char *const *words, size_t *taken);

/* Says that these words are no command, and what was probably meant. */
void help_no_command(char *const *words, char *out, size_t room);

void help_top(void);
void help_command(const struct command *c);
/* Commands that begin with this word, for "mooringctl records". False where there is none. */
bool help_group(const char *word);

#endif
