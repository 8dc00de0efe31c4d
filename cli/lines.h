/*
 * lines.h - lines as people name them: by the key id, its beginning, or the site.
 */
#ifndef MOORING_LINES_H
#define MOORING_LINES_H

#include "api.h"

enum { LINE_HEX_SIZE = 33 };

/* The key id of the one line that is meant. EXIT_DONE, or what to exit with, the cause being said. */
int lines_find(struct ctl *c, const char *name, char hex[LINE_HEX_SIZE]);

#endif
