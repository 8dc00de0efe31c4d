#include "ctl.h"
#include "help.h"
#include "log.h"
#include "text.h"
#include "version.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct command_group ctl_groups[] = {
	{"Devices", device_commands},
	{"Standing of a device", standing_commands},
	{"Brokers", broker_commands},
	{"Back ends", service_commands},
	{"What happened", log_commands},
	{"Device records, at the attestation service", record_commands},
	{"Setting up", admin_commands},
	{"Certificates, offline", ca_commands},
	{"Evidence and requests, offline", evidence_commands},
	{"Shell", completion_commands},
	{NULL, NULL},
};

enum global { ENDPOINT, CA, KEY, JSON, HELP, VERSION, GLOBALS };

const struct option_spec ctl_globals[] = {
	[ENDPOINT] = {"endpoint", "URL", "https://host[:port] of the admin interface (MOORING_ENDPOINT)"},
	[CA] = {"ca", "PEM", "the only certificate authority to trust (MOORING_CA)"},
	[KEY] = {"key", "KEYFILE", "access key made by admin init (MOORING_KEY)"},
	[JSON] = {"json", NULL, "the answer as JSON, as it came, for scripts"},
	[HELP] = {"help", NULL, "this help; after a command, that command's"},
	[VERSION] = {"version", NULL, "which Mooring this is"},
	[GLOBALS] = {NULL, NULL, NULL},
};

int ctl_fail(const struct fault *f)
{
	fprintf(stderr, "mooringctl: %s: %s\n", reason_code(f->reason), f->text);
	return EXIT_REFUSED;
}

int ctl_usage(const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	fputs("mooringctl: ", stderr);
	vfprintf(stderr, fmt, args);
	fputs("\nmooringctl --help lists the commands, mooringctl COMMAND --help explains one.\n", stderr);
	va_end(args);
	return EXIT_USAGE;
}

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
	if (values[HELP]) {
		help_command(command);
		return EXIT_DONE;
	}
	if (a.word_count < command->words_min || a.word_count > command->words_max)
		return ctl_usage("usage: mooringctl %s %s", command->name, command->arguments);
	struct ctl c = {
		.endpoint = from_environment(values[ENDPOINT], "MOORING_ENDPOINT"),
		.ca = from_environment(values[CA], "MOORING_CA"),
		.key = from_environment(values[KEY], "MOORING_KEY"),
		.json = values[JSON] != NULL,
		.colour = text_wants_colour(),
	};
	int code = command->run(&c, &a);
	admin_client_free(c.client);
	return code;
}

/* "mooringctl records --help" lists the group. */
static int no_command(char *const *words, const char **values)
{
	bool asks = values[HELP] || (words[1] && !strcmp(words[1], "--help"));
	if (asks && help_group(words[0]))
		return EXIT_DONE;
	char text[512];
	help_no_command(words, text, sizeof text);
	return ctl_usage("%s", text);
}

int main(int argc, char **argv)
{
	const char *values[GLOBALS] = {NULL};
	struct fault f = {0};
	size_t taken, name;
	log_init("mooringctl", LOG_LEVEL_WARN);
	if (!arguments_parse_globals(argv + (argc > 0), ctl_globals, values, &taken, &f).ok)
		return ctl_usage("%s", f.text);
	char *const *words = argv + (argc > 0) + taken;
	if (values[VERSION]) {
		puts("mooringctl " MOORING_VERSION);
		return EXIT_DONE;
	}
	if (!words[0]) {
		help_top();
		return values[HELP] ? EXIT_DONE : EXIT_USAGE;
	}
	const struct command *command = command_find(words, &name);
	return command ? run(command, words + name, values) : no_command(words, values);
}
