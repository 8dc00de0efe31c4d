#include "commands.h"

#include "common/nearest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int command_usage(const char *what)
{
	const char *stop = what[strlen(what) - 1] == '?' ? "" : ";";
	fprintf(stderr, "mooring-ca: %s%s mooring-ca --help shows examples\n", what, stop);
	return EXIT_USAGE;
}

int command_wrong_option(char *const *argv, const struct option *table)
{
	char wrong[NEAREST_TEXT_MAX], text[NEAREST_TEXT_MAX + 32];
	nearest_option(argv, table, wrong);
	snprintf(text, sizeof text, "%s: %s", argv[0], wrong);
	return command_usage(text);
}

int command_failed(const struct fault *f)
{
	fprintf(stderr, "mooring-ca: %s: %s\n", reason_code(f->reason), f->text);
	return EXIT_FAILURE;
}
