#include "program.h"

#include "help.h"
#include "text.h"
#include "common/log.h"
#include "common/version.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Whose wrong use is said; NULL until it is known which command is meant. */
static const struct command *the_command;

int ctl_fail(const struct fault *f)
{
	fprintf(stderr, "%s: %s: %s\n", the_program.name, reason_code(f->reason), f->text);
	return EXIT_REFUSED;
}

int ctl_usage(const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	fprintf(stderr, "%s: ", the_program.name);
	vfprintf(stderr, fmt, args);
	va_end(args);
	if (the_command)
		fprintf(stderr, "\n%s %s --help explains it.\n", the_program.name, the_command->name);
	else
		fprintf(stderr, "\n%s --help lists the commands, %s COMMAND --help explains one.\n",
			the_program.name, the_program.name);
	return EXIT_USAGE;
}

/* Whether the option of every command with this name was given. */
static bool is_given(const char *name, const char *const *values)
{
	for (size_t i = 0; the_program.globals[i].name; i++)
		if (!strcmp(the_program.globals[i].name, name))
			return values[i] != NULL;
	return false;
}

static int run(const struct command *command, char *const *rest, const char **values)
{
	struct arguments a;
	struct fault f = {0};
	the_command = command;
	if (!arguments_parse(rest, command->options, the_program.globals, values, &a, &f).ok)
		return ctl_usage("%s: %s", command->name, f.text);
	if (is_given("help", values)) {
		help_command(command);
		return EXIT_DONE;
	}
	if (a.word_count < command->words_min || a.word_count > command->words_max)
		return ctl_usage("usage: %s %s%s%s", the_program.name, command->name,
				 command->arguments[0] ? " " : "", command->arguments);
	struct ctl c = {.json = is_given("json", values), .colour = text_wants_colour()};
	if (the_program.set_up)
		the_program.set_up(&c, command, values);
	int code = command->run(&c, &a);
	admin_client_free(c.client);
	return code;
}

/* "mooringctl help revoke" is "mooringctl revoke --help". */
static char *const *take_help(char *const *words, const char **values)
{
	if (!words[0] || strcmp(words[0], "help"))
		return words;
	for (size_t i = 0; the_program.globals[i].name; i++)
		if (!strcmp(the_program.globals[i].name, "help"))
			values[i] = "";
	return words + 1;
}

/* "mooringctl records --help" lists the group. */
static int no_command(char *const *words, const char **values)
{
	bool asks = is_given("help", values) || (words[1] && !strcmp(words[1], "--help"));
	if (asks && help_group(words[0]))
		return EXIT_DONE;
	char text[512];
	help_no_command(words, text, sizeof text);
	return ctl_usage("%s", text);
}

int program_run(char **argv)
{
	const char *values[PROGRAM_GLOBALS_MAX] = {NULL};
	struct fault f = {0};
	size_t taken, name;
	log_init(the_program.name, LOG_LEVEL_WARN);
	if (!arguments_parse_globals(argv + (argv[0] != NULL), the_program.globals, values, &taken, &f).ok)
		return ctl_usage("%s", f.text);
	char *const *words = argv + (argv[0] != NULL) + taken;
	if (is_given("version", values)) {
		printf("%s " MOORING_VERSION "\n", the_program.name);
		return EXIT_DONE;
	}
	words = take_help(words, values);
	if (!words[0]) {
		help_top();
		return is_given("help", values) ? EXIT_DONE : EXIT_USAGE;
	}
	const struct command *command = command_find(words, &name);
	return command ? run(command, words + name, values) : no_command(words, values);
}
