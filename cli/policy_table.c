/* `mooringctl policy`: all that begins with this word. */
#include "cmd_policy.h"
#include "policy_scene.h"
#include "standing.h"

static const struct option_spec test_options[] = {
	SCENE_OPTIONS,
	{"vectors", "FILE", "decide each case of FILE instead, and compare"},
	{NULL, NULL, NULL},
};

static const struct option_spec explain_options[] = {
	SCENE_OPTIONS,
	{NULL, NULL, NULL},
};

static const struct option_spec show_options[] = {
	{"document", NULL, "the document alone: for a file, to lint it, change it and set it again"},
	{NULL, NULL, NULL},
};

static const struct option_spec list_options[] = {
	{"after", "NAME", "go on after this one, as the end of a page says"},
	{"limit", "N", "at most so many, 1 to 500 (50)"},
	{NULL, NULL, NULL},
};

static const struct option_spec set_options[] = {
	{"accept-dangers", NULL, "what lint calls a danger is meant"},
	STANDING_WAIT_OPTION,
	STANDING_WATCH_OPTION,
	{NULL, NULL, NULL},
};

static const struct option_spec change_options[] = {
	STANDING_WAIT_OPTION,
	STANDING_WATCH_OPTION,
	{NULL, NULL, NULL},
};

#define SCENE_ARGUMENTS "--policy FILE... --action A --resource R [--client-id ID] [--thing NAME] ..."

const struct command policy_commands[] = {
	{
		.name = "policy lint",
		.arguments = "FILE...",
		.summary = "what a policy document gets wrong, though it is well formed",
		.help = "A Deny that never bites, a client id that any device may take, a topic of another\n"
			"device's, a statement that no packet reaches: each finding has a code, a place in\n"
			"the document, and a remedy; docs/policy.md lists them. A document that is not well\n"
			"formed is refused with the place, as the gateway would refuse it.",
		.examples = "  mooringctl policy lint policy-default.json policy-reader.json\n",
		.words_min = 1,
		.words_max = WORDS_MAX,
		.run = policy_lint_files,
		.offline = true,
		.exits = "0 nothing but notes; 1 something is wrong; 2 wrong usage",
	},
	{
		.name = "policy test",
		.arguments = SCENE_ARGUMENTS " | --vectors FILE",
		.summary = "may a connection do this? the broker's answer, without a broker",
		.help = "ALLOWED, IMPLICIT_DENY (no statement allows it) or EXPLICIT_DENY. A CONNECT with a\n"
			"will also asks to publish it, and what is retained asks for iot:RetainPublish.\n"
			"What is not said of the connection has no value, and its variables match nothing.\n"
			"With --vectors: each case of a file of cases (policies, connection, action, target,\n"
			"expect), each one that is decided otherwise, and the totals.",
		.examples = "  mooringctl policy test --policy policy-default.json --action iot:Publish \\\n"
			    "    --resource topic/dt/lamp-1/light --thing lamp-1 --client-id lamp-1\n"
			    "  mooringctl policy test --vectors tests/vectors/policy_vectors.json\n",
		.options = test_options,
		.words_min = 0,
		.words_max = 0,
		.run = policy_test,
		.offline = true,
		.exits = "0 allowed, or all cases agree; 1 denied, or one does not; 2 wrong usage",
	},
	{
		.name = "policy explain",
		.arguments = SCENE_ARGUMENTS,
		.summary = "why a connection may, or may not: each statement, and each value",
		.help = "The answer of `policy test`, then each statement: does it match, and if not, what\n"
			"stops it: another action, another resource, a variable without a value, a condition\n"
			"that fails; then what each variable and condition key stands for.",
		.examples =
			"  mooringctl policy explain --policy policy-default.json --action iot:Subscribe \\\n"
			"    --resource 'topicfilter/cmd/+/#' --thing lamp-1 --client-id lamp-1\n",
		.options = explain_options,
		.words_min = 0,
		.words_max = 0,
		.run = policy_explain_command,
		.offline = true,
		.exits = "0 allowed; 1 denied; 2 wrong usage",
	},
	{
		.name = "policy list",
		.arguments = "[--after NAME] [--limit N]",
		.summary = "the policies that the gateway has, a page at a time",
		.help = "\"default\" is that of every device that has no other, service/NAME a service's. EDITED\n"
			"ones are not what they came with: `policy reset` undoes that. THINGS is how many devices a\n"
			"policy is attached to.",
		.examples = "  mooringctl policy list\n",
		.options = list_options,
		.words_min = 0,
		.words_max = 0,
		.run = policy_list,
	},
	{
		.name = "policy show",
		.arguments = "NAME [--document]",
		.summary = "one policy: its document, and whom it is attached to",
		.help = "The document stands between a heading and the things that the policy is attached to.\n"
			"With --document it stands alone, as `policy lint`, `policy test` and `policy set` read it.\n"
			"With --json it is the text that is in force, in .policy.document.",
		.examples = "  mooringctl policy show default\n"
			    "  mooringctl policy show default --document > policy.json\n",
		.options = show_options,
		.words_min = 1,
		.words_max = 1,
		.run = policy_show,
	},
	{
		.name = "policy set",
		.arguments = "NAME FILE [--accept-dangers] [--wait MS | --watch]",
		.summary = "put a document in force, at every broker at once",
		.help = "The gateway compiles and lints the document first, and refuses it with the place where\n"
			"it is wrong; what lint calls a danger has to be meant. Live sessions are held to it from\n"
			"their next packet and their next delivery on, also what they have subscribed to. NAME is\n"
			"\"default\", service/NAME, or a name of your own, to be attached to things; it may be new.",
		.examples =
			"  mooringctl policy set default policy-default.json\n"
			"  mooringctl policy set lamps lamps.json && mooringctl policy attach lamps ajv7zq2kmeuxo4wd6tgc5hyb\n",
		.options = set_options,
		.words_min = 2,
		.words_max = 2,
		.run = policy_set,
		.exits = STANDING_EXITS,
	},
	{
		.name = "policy reset",
		.arguments = "NAME [--wait MS | --watch]",
		.summary = "back to the document that a policy came with",
		.help = "Of \"default\" the file that the gateway was started with (default_policy), of\n"
			"service/NAME what `service add` gave.",
		.examples = "  mooringctl policy reset default\n",
		.options = change_options,
		.words_min = 1,
		.words_max = 1,
		.run = policy_reset,
		.exits = STANDING_EXITS,
	},
	{
		.name = "policy delete",
		.arguments = "NAME [--wait MS | --watch]",
		.summary = "end a policy of your own that is attached to nothing",
		.help = "One that is attached is refused, with the name of a thing that has it.",
		.examples = "  mooringctl policy delete lamps\n",
		.options = change_options,
		.words_min = 1,
		.words_max = 1,
		.run = policy_delete,
		.exits = STANDING_EXITS,
	},
	{
		.name = "policy attach",
		.arguments = "NAME THING [--wait MS | --watch]",
		.summary = "hold a thing's certificates to a policy of its own",
		.help = "A thing is under one policy: this one takes the place of \"default\", or of another that\n"
			"was attached. It holds for the certificates that the thing has and for all later ones.\n"
			"(AWS: AttachPolicy, with the certificate as its target.)",
		.examples = "  mooringctl policy attach lamps ajv7zq2kmeuxo4wd6tgc5hyb\n",
		.options = change_options,
		.words_min = 2,
		.words_max = 2,
		.run = policy_attach,
		.exits = STANDING_EXITS,
	},
	{
		.name = "policy detach",
		.arguments = "NAME THING [--wait MS | --watch]",
		.summary = "take a thing's own policy away: \"default\" holds again",
		.help = "(AWS: DetachPolicy. There a certificate without a policy may do nothing; here it is\n"
			"under \"default\". `suspend` is for a device that shall do nothing.)",
		.examples = "  mooringctl policy detach lamps ajv7zq2kmeuxo4wd6tgc5hyb\n",
		.options = change_options,
		.words_min = 2,
		.words_max = 2,
		.run = policy_detach,
		.exits = STANDING_EXITS,
	},
	{0},
};
