#include "ctl.h"
#include "help.h"
#include "common/log.h"
#include "text.h"
#include "common/version.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *from_environment(const char *value, const char *name)
{
	const char *env = value ? NULL : getenv(name);
	return env && env[0] ? env : value;
}

static int run(const struct command *command, char *const *rest, const char **values)
{
	struct arguments a;
	struct fault f = {0};
	if (!arguments_parse(rest, command->options, ctl_globals, values, &a, &f).ok)
		return ctl_usage("%s: %s", command->name, f.text);
	if (values[CTL_HELP]) {
		help_command(command);
		return EXIT_DONE;
	}
	if (a.word_count < command->words_min || a.word_count > command->words_max)
		return ctl_usage("usage: mooringctl %s %s", command->name, command->arguments);
	struct ctl c = {
		.endpoint = from_environment(values[CTL_ENDPOINT], "MOORING_ENDPOINT"),
		.ca = from_environment(values[CTL_CA], "MOORING_CA"),
		.key = from_environment(values[CTL_KEY], "MOORING_KEY"),
		.json = values[CTL_JSON] != NULL,
		.colour = text_wants_colour(),
	};
	int code = command->run(&c, &a);
	admin_client_free(c.client);
	return code;
}

/* "mooringctl records --help" lists the group. */
static int no_command(char *const *words, const char **values)
{
	bool asks = values[CTL_HELP] || (words[1] && !strcmp(words[1], "--help"));
	if (asks && help_group(words[0]))
		return EXIT_DONE;
	char text[512];
	help_no_command(words, text, sizeof text);
	return ctl_usage("%s", text);
}

int main(int argc, char **argv)
{
	const char *values[CTL_GLOBALS] = {NULL};
	struct fault f = {0};
	size_t taken, name;
	log_init("mooringctl", LOG_LEVEL_WARN);
	if (!arguments_parse_globals(argv + (argc > 0), ctl_globals, values, &taken, &f).ok)
		return ctl_usage("%s", f.text);
	char *const *words = argv + (argc > 0) + taken;
	if (values[CTL_VERSION]) {
		puts("mooringctl " MOORING_VERSION);
		return EXIT_DONE;
	}
	if (!words[0]) {
		help_top();
		return values[CTL_HELP] ? EXIT_DONE : EXIT_USAGE;
	}
	const struct command *command = command_find(words, &name);
	return command ? run(command, words + name, values) : no_command(words, values);
}
