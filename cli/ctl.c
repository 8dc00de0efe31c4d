#include "ctl.h"

#include "program.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>

/* Options of every command; the parsed values stand in this order. */
enum { CTL_ENDPOINT, CTL_CA, CTL_KEY, CTL_JSON, CTL_HELP, CTL_VERSION, CTL_GLOBALS };

static const struct command_group groups[] = {
	{"Devices", device_commands},
	{"Standing of a device", standing_commands},
	{"Standing of many devices", recall_commands},
	{"Lines", line_commands},
	{"Work orders and batches", order_commands},
	{"What lines and orders are known", provenance_commands},
	{"Who is connected", session_commands},
	{"Brokers", broker_commands},
	{"Back ends", service_commands},
	{"What a certificate may do (lint, test and explain are offline)", policy_commands},
	{"Things, as policies know them", thing_commands},
	{"What happened", log_commands},
	{"Device records, at the attestation service", record_commands},
	{"Setting up", admin_commands},
	{"Certificates, offline", ca_commands},
	{"Evidence, offline", evidence_commands},
	{"Provenance, offline", chain_commands},
	{"Requests for certificates, offline", csr_commands},
	{"Shell", completion_commands},
	{NULL, NULL},
};

static const struct option_spec globals[] = {
	[CTL_ENDPOINT] = {"endpoint", "URL", "https://host[:port] of the admin interface (MOORING_ENDPOINT)"},
	[CTL_CA] = {"ca", "PEM", "the only certificate authority to trust (MOORING_CA)"},
	[CTL_KEY] = {"key", "KEYFILE", "access key made by admin init (MOORING_KEY)"},
	[CTL_JSON] = {"json", NULL, "the answer as JSON, as it came, for scripts"},
	[CTL_HELP] = {"help", NULL, "this help; after a command, that command's"},
	[CTL_VERSION] = {"version", NULL, "which Mooring this is"},
	[CTL_GLOBALS] = {NULL, NULL, NULL},
};

static const struct help_section sections[] = {
	{"Environment",
	 "  MOORING_ENDPOINT, MOORING_CA, MOORING_KEY\n"
	 "                          what --endpoint, --ca and --key say goes first\n"
	 "  MOORING_ATTESTATION_ENDPOINT, MOORING_ATTESTATION_CA, MOORING_ATTESTATION_KEY\n"
	 "                          of the attestation service: for `records` they go before the\n"
	 "                          three above; `recall --batch` needs them or its own options\n"
	 "  NO_COLOR                no colours on a terminal either"},
	{"Files",
	 "  KEYFILE                 {\"access_key_id\", \"secret_access_key\", \"region\"}, mode 0600: made by\n"
	 "                          `mooringctl admin init`. The gateway and the attestation service each have\n"
	 "                          keys of their own; every request is signed with it (SigV4)"},
	{"Exit code",
	 "  0 done, 1 refused or failed, 2 wrong usage, 3 recorded for good but not yet effective everywhere.\n"
	 "  What went wrong stands on standard error: reason code, sentence, request id."},
	{"A first look",
	 "  export MOORING_ENDPOINT=https://iot.example.com:8444 MOORING_CA=root.pem MOORING_KEY=admin.json\n"
	 "  mooringctl devices\n"
	 "  mooringctl show ajv7zq2kmeuxo4wd6tgc5hyb\n\n"
	 "mooringctl COMMAND --help says more about one, with examples. Times are UTC."},
	{NULL, NULL},
};

const char *ctl_or_environment(const char *value, const char *name)
{
	const char *env = value ? NULL : getenv(name);
	return env && env[0] ? env : value;
}

static void set_up(struct ctl *c, const struct command *command, const char *const *values)
{
	c->endpoint = values[CTL_ENDPOINT];
	c->ca = values[CTL_CA];
	c->key = values[CTL_KEY];
	if (command->records) {
		c->endpoint = ctl_or_environment(c->endpoint, "MOORING_ATTESTATION_ENDPOINT");
		c->ca = ctl_or_environment(c->ca, "MOORING_ATTESTATION_CA");
		c->key = ctl_or_environment(c->key, "MOORING_ATTESTATION_KEY");
	}
	c->endpoint = ctl_or_environment(c->endpoint, "MOORING_ENDPOINT");
	c->ca = ctl_or_environment(c->ca, "MOORING_CA");
	c->key = ctl_or_environment(c->key, "MOORING_KEY");
}

const struct program the_program = {
	.name = "mooringctl",
	.about =
		"mooringctl administers Mooring: devices and their certificates at the gateway, device records at the\n"
		"attestation service; and it reads evidence, requests and certificates offline.",
	.groups = groups,
	.globals = globals,
	.globals_hint = "--endpoint, --ca, --key, ",
	.sections = sections,
	.set_up = set_up,
};

int ctl_fail_given(const struct fault *f)
{
	return f->reason == REASON_BAD_FIELD && f->text[0] == '-' ? ctl_usage("%s", f->text) : ctl_fail(f);
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
