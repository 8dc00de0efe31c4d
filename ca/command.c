#include "commands.h"

#include <stdio.h>
#include <stdlib.h>

int command_usage(const char *what)
{
	fprintf(stderr, "mooring-ca: %s; mooring-ca --help shows examples\n", what);
	return EXIT_USAGE;
}

int command_failed(const struct fault *f)
{
	fprintf(stderr, "mooring-ca: %s (%s)\n", f->text, reason_code(f->reason));
	return EXIT_FAILURE;
}
