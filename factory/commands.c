#include "cli/program.h"

#include "factory.h"

static const struct command_group groups[] = {
	{"Devices", make_commands},
	{"The OEM's programme", programme_commands},
	{"Work orders", order_commands},
	{"A line, at the factory", line_commands},
	{"Lines, at the OEM", line_authority_commands},
	{"Stages", stage_commands},
	{"The register", register_commands},
	{"What the register says", register_reading_commands},
	{"Shell", shell_commands},
	{NULL, NULL},
};

static const struct option_spec globals[] = {
	{"json", NULL, "the answer as JSON, for scripts: of the commands that show something"},
	{"help", NULL, "this help; after a command, that command's"},
	{"version", NULL, "which Mooring this is"},
	{NULL, NULL, NULL},
};

static const struct help_section sections[] = {
	{"Files",
	 "  PROGRAMME/              programme.key, line-authority.key: kept offline; programme.json: public\n"
	 "  LINE/                   line.key or line.json (where the key is), request.json, programme.json,\n"
	 "                          trust/ (line records), counters/, outbox/ (what it has signed)\n"
	 "  REGISTER/               register.key, register.pub.pem, programme.json, register.log, "
	 "head.cose,\n"
	 "                          proofs/ (two statements with one number)\n"
	 "  DEVICE/                 secure/ (its secure world's alone), normal/chain.cbor"},
	{"Exit code", "  0 done, 1 refused or failed, 2 wrong usage, 3 the work order is used up.\n"
		      "  What went wrong stands on standard error: reason code and sentence."},
	{"A first look", "  mooring-factory make --count 3 --dir factory --batch 2026-47\n"
			 "  mooring-factory register init --dir register\n"
			 "  mooring-factory programme init --dir programme --name 'Thermo 2026' \\\n"
			 "      --register-key register/register.pub.pem\n"
			 "  mooring-factory line init --dir line-1 --programme programme/programme.json\n\n"
			 "mooring-factory COMMAND --help says more about one, with examples. Times are UTC."},
	{NULL, NULL},
};

const struct program the_program = {
	.name = "mooring-factory",
	.about = "mooring-factory is what happens to a device before it is sold: it is made, its record is "
		 "published,\n"
		 "and each line that it passes signs a statement for the stage of its making that was done "
		 "there.",
	.groups = groups,
	.globals = globals,
	.globals_hint = "",
	.sections = sections,
};

static const struct option_spec no_options[] = {{NULL, NULL, NULL}};

const struct command shell_commands[] = {
	{
		.name = "completion",
		.arguments = "bash",
		.summary = "print a script that completes commands, options and their values",
		.help = "The script is made from the same table as this help.",
		.examples = "  source <(mooring-factory completion bash)\n",
		.options = no_options,
		.words_min = 1,
		.words_max = 1,
		.run = completion_run,
		.offline = true,
	},
	{0},
};
