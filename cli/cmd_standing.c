#include "api.h"
#include "ctl.h"
#include "standing.h"

static int change_device(struct ctl *c, const struct arguments *a, const char *suffix, const char *done,
			 json_t *body, const char *next)
{
	struct standing_change what = {
		.method = "POST",
		.prefix = "/v1/admin/devices/",
		.name = a->words[0],
		.suffix = suffix,
		.done = done,
		.next = next,
	};
	return standing_change(c, a, &what, body);
}

static json_t *reason_body(const struct arguments *a, const char *fallback)
{
	const char *reason = argument(a, "reason");
	return json_pack("{s:s}", "reason", reason ? reason : fallback);
}

static int revoke(struct ctl *c, const struct arguments *a)
{
	if (!argument(a, "reason"))
		return ctl_usage(
			"revoke is final and needs --reason: unspecified, key-compromise, affiliation-changed, "
			"superseded, cessation-of-operation or privilege-withdrawn");
	return change_device(c, a, "/revoke", "revoked for good", reason_body(a, ""), NULL);
}

static int suspend(struct ctl *c, const struct arguments *a)
{
	return change_device(c, a, "/suspend", "suspended", reason_body(a, "suspended-by-operator"), NULL);
}

static int resume(struct ctl *c, const struct arguments *a)
{
	return change_device(c, a, "/resume", "active", reason_body(a, "resumed-by-operator"), NULL);
}

static int allow_reenrol(struct ctl *c, const struct arguments *a)
{
	return change_device(
		c, a, "/allow-reenrol", "allowed to enrol once with a new key",
		reason_body(a, "allowed-by-operator"),
		"next: the device comes with a new key, once (the thermometer: mooring-device run --new-key)");
}

static const struct option_spec revoke_options[] = {
	{"reason", STANDING_REASONS,
	 "why (RFC 5280 5.3.1); after key-compromise its key is never certified again"},
	STANDING_WAIT_OPTION,
	STANDING_WATCH_OPTION,
	{NULL, NULL, NULL},
};

static const struct option_spec reason_options[] = {
	{"reason", "TEXT", "for the device's history, up to 256 bytes (that an operator did it)"},
	STANDING_WAIT_OPTION,
	STANDING_WATCH_OPTION,
	{NULL, NULL, NULL},
};

const struct command standing_commands[] = {
	{
		.name = "revoke",
		.arguments = "THING --reason REASON [--wait MS | --watch]",
		.summary = "end a device's certificates, for good",
		.help = "Recorded: durable in the log, never undone. Effective: every broker refuses\n"
			"the device, has cut its sessions and has confirmed it; that is waited for. The\n"
			"device cannot enrol again until `allow-reenrol`. Done again it changes nothing:\n"
			"it says when, why and by whom the device was revoked.",
		.examples =
			"  mooringctl revoke ajv7zq2kmeuxo4wd6tgc5hyb --reason key-compromise\n"
			"  mooringctl revoke ajv7zq2kmeuxo4wd6tgc5hyb --reason cessation-of-operation --wait 10000\n"
			"  mooringctl revoke ajv7zq2kmeuxo4wd6tgc5hyb --reason key-compromise --watch\n",
		.options = revoke_options,
		.words_min = 1,
		.words_max = 1,
		.run = revoke,
		.exits = STANDING_EXITS,
	},
	{
		.name = "suspend",
		.arguments = "THING [--reason TEXT] [--wait MS | --watch]",
		.summary = "cut a device off until it is resumed",
		.help = "Its certificates become inactive: sessions are cut, connections and enrolments\n"
			"refused.",
		.examples = "  mooringctl suspend ajv7zq2kmeuxo4wd6tgc5hyb --reason 'reported stolen'\n",
		.options = reason_options,
		.words_min = 1,
		.words_max = 1,
		.run = suspend,
		.exits = STANDING_EXITS,
	},
	{
		.name = "resume",
		.arguments = "THING [--reason TEXT] [--wait MS | --watch]",
		.options = reason_options,
		.summary = "undo a suspension, or a clone alarm's quarantine",
		.help = "A revoked device stays revoked; what the attestation service suspended only it\n"
			"can resume.",
		.examples = "  mooringctl resume ajv7zq2kmeuxo4wd6tgc5hyb\n",
		.words_min = 1,
		.words_max = 1,
		.run = resume,
		.exits = STANDING_EXITS,
	},
	{
		.name = "allow-reenrol",
		.arguments = "THING [--reason TEXT] [--wait MS | --watch]",
		.summary = "let a repaired or revoked device enrol once with a new key",
		.help = "The next enrolment of this device, still with fresh evidence of its RoT, gets\n"
			"a certificate for a new key; the device's generation goes up and what it had\n"
			"before ends. The grant is used up by it.\n\n"
			"The device has to come with the new key: the example thermometer does when it is\n"
			"run once with --new-key (`mooring-device run --new-key`). With the key that was\n"
			"revoked it is refused again after key-compromise: it prints `key-refused`, and\n"
			"`explain` says `key-revoked`. After any other reason the old key would do, too.",
		.examples = "  mooringctl allow-reenrol ajv7zq2kmeuxo4wd6tgc5hyb --reason 'board swapped'\n",
		.options = reason_options,
		.words_min = 1,
		.words_max = 1,
		.run = allow_reenrol,
		.exits = STANDING_EXITS,
	},
	{0},
};
