/* Things: what policies know of a device besides its name. */
#include "api.h"
#include "ctl.h"
#include "standing.h"
#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_thing(const struct ctl *c, json_t *answer)
{
	const char *name;
	json_t *value;
	bool attached = api_flag(answer, "attached");
	text_print(api_text(answer, "thing"));
	if (!attached) {
		fputs("  ", stdout);
		text_print_colour(c->colour, YELLOW, "detached: its certificates have no thing");
	}
	putchar('\n');
	text_field("type", api_text(answer, "type")[0] ? api_text(answer, "type") : "-");
	text_field("policy", api_text(answer, "policy"));
	json_object_foreach(json_object_get(answer, "attributes"), name, value) {
		char label[160];
		snprintf(label, sizeof label, "[%.140s]", name);
		text_field(label, json_string_value(value));
	}
}

static int thing_show(struct ctl *c, const struct arguments *a)
{
	return api_show(c, api_target("/v1/admin/things/", a->words[0], ""), print_thing);
}

static int change_thing(struct ctl *c, const struct arguments *a, const char *suffix, const char *done,
			json_t *body)
{
	struct standing_change what = {
		.method = "POST",
		.prefix = "/v1/admin/things/",
		.name = a->words[0],
		.suffix = suffix,
		.done = done,
	};
	return standing_change(c, a, &what, body);
}

/* "room=kitchen"; "room=" takes it away. */
static outcome take_attribute(const char *text, json_t *attributes, struct fault *f)
{
	const char *equals = strchr(text, '=');
	char name[256];
	if (!equals || equals == text || equals - text >= (int)sizeof name)
		return refuse(f, REASON_BAD_FIELD, "--attribute is NAME=VALUE, or NAME= to take it away");
	snprintf(name, sizeof name, "%.*s", (int)(equals - text), text);
	json_object_set_new(attributes, name, json_string(equals + 1));
	return DONE;
}

static int thing_set(struct ctl *c, const struct arguments *a)
{
	const char *type = argument(a, "type"), *text;
	json_t *body = json_object(), *attributes = json_object();
	struct fault f = {0};
	size_t at = 0;
	outcome o = DONE;
	while (o.ok && (text = argument_next(a, "attribute", &at)))
		o = take_attribute(text, attributes, &f);
	if (o.ok && type && argument_flag(a, "no-type"))
		o = refuse(&f, REASON_BAD_FIELD, "--type and --no-type exclude each other");
	if (o.ok && !type && !argument_flag(a, "no-type") && !json_object_size(attributes))
		o = refuse(&f, REASON_BAD_FIELD, "thing set needs --type, --no-type or --attribute");
	if (type || argument_flag(a, "no-type"))
		json_object_set_new(body, "type", type ? json_string(type) : json_null());
	if (json_object_size(attributes))
		json_object_set(body, "attributes", attributes);
	json_decref(attributes);
	if (o.ok)
		return change_thing(c, a, "", "set", body);
	json_decref(body);
	return ctl_usage("%s", f.text);
}

static int thing_attach(struct ctl *c, const struct arguments *a)
{
	return change_thing(c, a, "/attach", "attached", json_object());
}

static int thing_detach(struct ctl *c, const struct arguments *a)
{
	return change_thing(c, a, "/detach", "detached", json_object());
}

static const struct option_spec set_options[] = {
	{"type", "TYPE", "its type: iot:Connection.Thing.ThingTypeName"},
	{"no-type", NULL, "takes the type away"},
	{"attribute", "NAME=VALUE...",
	 "an attribute: iot:Connection.Thing.Attributes[NAME]; NAME= takes it away"},
	STANDING_WAIT_OPTION,
	STANDING_WATCH_OPTION,
	{NULL, NULL, NULL},
};

static const struct option_spec change_options[] = {
	STANDING_WAIT_OPTION,
	STANDING_WATCH_OPTION,
	{NULL, NULL, NULL},
};

const struct command thing_commands[] = {
	{
		.name = "thing show",
		.arguments = "THING",
		.summary = "what policies know of a device: type, attributes, which policy",
		.help = "`show` has the device's standing, certificates and history.",
		.examples = "  mooringctl thing show ajv7zq2kmeuxo4wd6tgc5hyb\n",
		.words_min = 1,
		.words_max = 1,
		.run = thing_show,
	},
	{
		.name = "thing set",
		.arguments =
			"THING [--type TYPE | --no-type] [--attribute NAME=VALUE]... [--wait MS | --watch]",
		.summary = "give a thing a type and attributes, for policies that ask for them",
		.help = "What is not named stays as it is. Live sessions are held to the new values from their\n"
			"next packet and their next delivery on. At most 3 attributes, 50 with a type (as on AWS).",
		.examples =
			"  mooringctl thing set ajv7zq2kmeuxo4wd6tgc5hyb --type lamp --attribute room=kitchen\n"
			"  mooringctl thing set ajv7zq2kmeuxo4wd6tgc5hyb --attribute room=\n",
		.options = set_options,
		.words_min = 1,
		.words_max = 1,
		.run = thing_set,
		.exits = STANDING_EXITS,
	},
	{
		.name = "thing detach",
		.arguments = "THING [--wait MS | --watch]",
		.summary = "a device's certificates are attached to no thing any more",
		.help = "iot:Connection.Thing.IsAttached becomes false, and name, type and attributes of the\n"
			"thing have no value, for live sessions too and for certificates that come later: under\n"
			"the shipped policy the device may do nothing. (AWS: DetachThingPrincipal.) The device\n"
			"keeps its name and its standing here.",
		.examples = "  mooringctl thing detach ajv7zq2kmeuxo4wd6tgc5hyb\n",
		.options = change_options,
		.words_min = 1,
		.words_max = 1,
		.run = thing_detach,
		.exits = STANDING_EXITS,
	},
	{
		.name = "thing attach",
		.arguments = "THING [--wait MS | --watch]",
		.summary = "undo thing detach",
		.help = "As each device is from its first certificate on. (AWS: AttachThingPrincipal,\n"
			"EXCLUSIVE_THING.)",
		.examples = "  mooringctl thing attach ajv7zq2kmeuxo4wd6tgc5hyb\n",
		.options = change_options,
		.words_min = 1,
		.words_max = 1,
		.run = thing_attach,
		.exits = STANDING_EXITS,
	},
	{0},
};
