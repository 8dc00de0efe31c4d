#include "ctl.h"

#include "help.h"
#include "text.h"

#include <stdarg.h>
#include <stdio.h>

const struct command_group ctl_groups[] = {
	{"Devices", device_commands},
	{"Standing of a device", standing_commands},
	{"Standing of many devices", recall_commands},
	{"Who is connected", session_commands},
	{"Brokers", broker_commands},
	{"Back ends", service_commands},
	{"What happened", log_commands},
	{"Device records, at the attestation service", record_commands},
	{"Setting up", admin_commands},
	{"Certificates, offline", ca_commands},
	{"Policies, offline", policy_commands},
	{"Evidence, offline", evidence_commands},
	{"Provenance, offline", chain_commands},
	{"Requests for certificates, offline", csr_commands},
	{"Shell", completion_commands},
	{NULL, NULL},
};

const struct option_spec ctl_globals[] = {
	[CTL_ENDPOINT] = {"endpoint", "URL", "https://host[:port] of the admin interface (MOORING_ENDPOINT)"},
	[CTL_CA] = {"ca", "PEM", "the only certificate authority to trust (MOORING_CA)"},
	[CTL_KEY] = {"key", "KEYFILE", "access key made by admin init (MOORING_KEY)"},
	[CTL_JSON] = {"json", NULL, "the answer as JSON, as it came, for scripts"},
	[CTL_HELP] = {"help", NULL, "this help; after a command, that command's"},
	[CTL_VERSION] = {"version", NULL, "which Mooring this is"},
	[CTL_GLOBALS] = {NULL, NULL, NULL},
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

int ctl_print_result(const struct ctl *c, outcome checked, const struct fault *f)
{
	text_print_colour(c->colour, checked.ok ? GREEN : RED, checked.ok ? "ACCEPT" : "REJECT");
	if (!checked.ok) {
		printf(" %s: ", reason_code(f->reason));
		text_print(f->text);
	}
	putchar('\n');
	return checked.ok ? EXIT_DONE : EXIT_REFUSED;
}
