#include "help.h"

#include "text.h"

#include <stdio.h>
#include <string.h>

const struct command *command_find(char *const *words, size_t *taken)
{
	for (const struct command_group *g = ctl_groups; g->commands; g++)
		for (const struct command *c = g->commands; c->name; c++) {
			size_t first = strcspn(c->name, " ");
			const char *second = c->name[first] ? c->name + first + 1 : NULL;
			if (strlen(words[0]) != first || strncmp(words[0], c->name, first))
				continue;
			if (second && (!words[1] || strcmp(words[1], second)))
				continue;
			*taken = second ? 2 : 1;
			return c;
		}
	return NULL;
}

static void print_commands(const struct command *commands, const char *only)
{
	size_t n = only ? strlen(only) : 0;
	for (const struct command *c = commands; c->name; c++)
		if (!only || (!strncmp(c->name, only, n) && (c->name[n] == ' ' || !c->name[n])))
			printf("  %-18s %s\n", c->name, c->summary);
}

static void print_options(const struct option_spec *o)
{
	for (; o && o->name; o++) {
		char left[48];
		snprintf(left, sizeof left, "--%s%s%s", o->name, o->value ? " " : "",
			 o->value ? o->value : "");
		printf("  %-22s %s\n", left, o->doc);
	}
}

void help_top(void)
{
	bool colour = text_wants_colour();
	puts("mooringctl administers Mooring: devices and their certificates at the gateway, device records "
	     "at the\n"
	     "attestation service; and it reads evidence, requests and certificates offline.\n\n"
	     "usage: mooringctl [options] COMMAND [arguments]");
	for (const struct command_group *g = ctl_groups; g->commands; g++) {
		putchar('\n');
		text_print_colour(colour, BOLD, g->title);
		putchar('\n');
		print_commands(g->commands, NULL);
	}
	putchar('\n');
	text_print_colour(colour, BOLD, "Options of every command");
	putchar('\n');
	print_options(ctl_globals);
	puts("\nA first look:\n"
	     "  export MOORING_ENDPOINT=https://iot.example.com:8444 MOORING_CA=root.pem "
	     "MOORING_KEY=admin.json\n"
	     "  mooringctl devices\n"
	     "  mooringctl show ajv7zq2kmeuxo4wd6tgc5hyb\n\n"
	     "Exit code: 0 done, 1 refused or failed, 2 wrong usage, 3 recorded but not yet effective "
	     "everywhere.\n"
	     "mooringctl COMMAND --help says more about one, with examples.");
}

void help_command(const struct command *c)
{
	bool colour = text_wants_colour();
	printf("usage: mooringctl %s%s%s\n\n%s.\n\n%s\n", c->name, c->arguments[0] ? " " : "", c->arguments,
	       c->summary, c->help);
	if (c->options) {
		putchar('\n');
		text_print_colour(colour, BOLD, "Options");
		putchar('\n');
		print_options(c->options);
	}
	putchar('\n');
	text_print_colour(colour, BOLD, "Examples");
	printf("\n%s", c->examples);
}

bool help_group(const char *word)
{
	size_t n = strlen(word);
	bool any = false;
	for (const struct command_group *g = ctl_groups; g->commands; g++)
		for (const struct command *c = g->commands; c->name; c++) {
			if (strncmp(c->name, word, n) || c->name[n] != ' ')
				continue;
			if (!any)
				printf("usage: mooringctl %s COMMAND\n\n", word);
			printf("  %-18s %s\n", c->name, c->summary);
			any = true;
		}
	return any;
}
