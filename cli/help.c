#include "help.h"

#include "text.h"
#include "common/nearest.h"

#include <stdio.h>
#include <string.h>

const struct command *command_find(char *const *words, size_t *taken)
{
	for (const struct command_group *g = the_program.groups; g->commands; g++)
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

enum { OPTION_COLUMN = 26, CHOICES_END = 78 };

/* "  --name VALUE [--name VALUE]…": of an option that may be given again each value has the name before it. */
static size_t print_again(const struct option_spec *o)
{
	int n = (int)strlen(o->value) - 3;
	int printed = printf("  --%s %.*s [--%s %.*s]…", o->name, n, o->value, o->name, n, o->value);
	return (size_t)printed - (strlen("…") - 1);
}

/* "  --name VALUE"; choices that fill more than a line go on below the first. Returns the column after it. */
static size_t print_left(const struct option_spec *o)
{
	const char *at = o->value, *choice;
	if (option_may_repeat(o))
		return print_again(o);
	size_t indent = (size_t)printf("  --%s%s", o->name, at ? " " : ""), column = indent;
	while (at) {
		size_t n = option_next_choice(&at, &choice);
		if (column + n > CHOICES_END) {
			printf("\n%*s", (int)indent, "");
			column = indent;
		}
		column += (size_t)printf("%.*s%s", (int)n, choice, at ? "|" : "");
	}
	return column;
}

static void print_options(const struct option_spec *o)
{
	for (; o && o->name; o++) {
		size_t column = print_left(o);
		if (column >= OPTION_COLUMN) {
			putchar('\n');
			column = 0;
		}
		printf("%*s%s\n", (int)(OPTION_COLUMN - column), "", o->doc);
	}
}

/* The second word of a name that begins with `word`; NULL where it does not. */
static const char *second_of(const struct command *c, const char *word)
{
	size_t n = strlen(word);
	return !strncmp(c->name, word, n) && c->name[n] == ' ' ? c->name + n + 1 : NULL;
}

/* For words of which the first begins commands of two. False where it does not. */
static bool explain_second(char *const *words, char *out, size_t room)
{
	struct nearest near = nearest_begin(words[1] ? words[1] : "");
	char list[NEAREST_TEXT_MAX] = "";
	size_t used = 0;
	for (const struct command_group *g = the_program.groups; g->commands; g++)
		for (const struct command *c = g->commands; c->name; c++) {
			const char *name = second_of(c, words[0]);
			if (!name || used >= sizeof list)
				continue;
			nearest_offer(&near, name);
			used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "",
						 name);
		}
	if (near.best[0])
		snprintf(out, room, "there is no command \"%s %s\": did you mean %s %s?", words[0], words[1],
			 words[0], near.best);
	else if (used)
		snprintf(out, room, "%s is followed by one of: %s", words[0], list);
	return used > 0;
}

void help_no_command(char *const *words, char *out, size_t room)
{
	struct nearest near = nearest_begin(words[0]);
	if (explain_second(words, out, room))
		return;
	for (const struct command_group *g = the_program.groups; g->commands; g++)
		for (const struct command *c = g->commands; c->name; c++) {
			char first[NEAREST_WORD_MAX];
			snprintf(first, sizeof first, "%.*s", (int)strcspn(c->name, " "), c->name);
			nearest_offer(&near, first);
			nearest_offer(&near, c->name); /* service-add */
		}
	snprintf(out, room, "there is no command \"%s\"%s%s%s", words[0],
		 near.best[0] ? ": did you mean " : "", near.best, near.best[0] ? "?" : "");
}

static void print_heading(const char *title)
{
	putchar('\n');
	text_print_colour(text_wants_colour(), BOLD, title);
	putchar('\n');
}

void help_top(void)
{
	printf("usage: %s [options] COMMAND [arguments]\n\n%s\n", the_program.name, the_program.about);
	for (const struct command_group *g = the_program.groups; g->commands; g++) {
		print_heading(g->title);
		print_commands(g->commands, NULL);
	}
	print_heading("Options of every command");
	print_options(the_program.globals);
	for (const struct help_section *s = the_program.sections; s->title; s++) {
		print_heading(s->title);
		puts(s->text);
	}
}

void help_command(const struct command *c)
{
	printf("usage: %s %s%s%s\n\n%s %s - %s\n\n%s\n", the_program.name, c->name,
	       c->arguments[0] ? " " : "", c->arguments, the_program.name, c->name, c->summary, c->help);
	print_heading("Options");
	print_options(c->options);
	printf("  %s--json, --help: of every command, see %s --help\n",
	       c->offline ? "" : the_program.globals_hint, the_program.name);
	print_heading("Exit code");
	printf("  %s\n", c->exits ? c->exits : "0 done, 1 refused or failed, 2 wrong usage");
	if (c->files) {
		print_heading("Files");
		printf("%s", c->files);
	}
	print_heading("Examples");
	printf("%s", c->examples);
}

bool help_group(const char *word)
{
	size_t n = strlen(word);
	bool any = false;
	for (const struct command_group *g = the_program.groups; g->commands; g++)
		for (const struct command *c = g->commands; c->name; c++) {
			if (strncmp(c->name, word, n) || c->name[n] != ' ')
				continue;
			if (!any)
				printf("usage: %s %s COMMAND\n\n", the_program.name, word);
			printf("  %-18s %s\n", c->name, c->summary);
			any = true;
		}
	return any;
}
