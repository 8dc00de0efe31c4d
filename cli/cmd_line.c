/* Lines: what they may do, what an operator says of them, and which devices they made. */
#include "ctl.h"
#include "lines.h"
#include "moment.h"
#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- list, show ---- */

static void stages_text(const json_t *line, char *out, size_t room)
{
	const json_t *stage;
	size_t i, used = 0;
	*out = '\0';
	json_array_foreach(json_object_get(line, "stages"), i, stage)
		if (used < room)
			used += (size_t)snprintf(out + used, room - used, "%s%" JSON_INTEGER_FORMAT,
						 i ? "," : "", json_integer_value(stage));
}

static void print_lines(const struct ctl *c, json_t *answer)
{
	static const char *const headings[] = {"LINE", "SITE", "STAGES", "STATE", "VALID UNTIL"};
	struct table *t = table_new(headings, 5);
	json_t *line;
	size_t i;
	json_array_foreach(json_object_get(answer, "lines"), i, line) {
		char stages[64], until[TEXT_TIME_SIZE];
		const char *state = api_text(line, "state");
		stages_text(line, stages, sizeof stages);
		const char *cells[] = {api_text(line, "line"), api_text(line, "site"), stages, state,
				       text_time_s(api_number(line, "not_after"), until)};
		table_row(t, cells, 3, text_state_colour(state));
	}
	table_end(t, c->colour, "no lines: mooringctl provenance add brings their records");
}

static int line_list(struct ctl *c, const struct arguments *a)
{
	(void)a;
	return api_show(c, api_target("/v1/admin/lines", "", ""), print_lines);
}

/* A suspension, or a revocation from a time on, or both. */
static void print_word(const char *label, const char *state, const json_t *revoked_from)
{
	char text[64], when[TEXT_TIME_SIZE];
	bool revoked = json_is_integer(revoked_from);
	snprintf(text, sizeof text, "%s%s%s%s", state, revoked && *state ? ", " : "",
		 revoked ? "revoked from " : "",
		 revoked ? text_time_s(json_integer_value(revoked_from), when) : "");
	text_field(label, *text ? text : "nothing");
}

static void print_line(const struct ctl *c, const json_t *line)
{
	char text[64], when[TEXT_TIME_SIZE];
	const char *state = api_text(line, "state");
	printf("line %s, ", api_text(line, "line"));
	text_print_colour(c->colour, text_state_colour(state), state);
	putchar('\n');
	text_field("site", api_text(line, "site"));
	text_field("programme", api_text(line, "programme"));
	stages_text(line, text, sizeof text);
	text_field("stages", text);
	text_field("valid from", text_time_s(api_number(line, "not_before"), when));
	text_field("valid until", text_time_s(api_number(line, "not_after"), when));
	if (json_is_integer(json_object_get(line, "revoked_from")))
		text_field("revoked from", text_time_s(api_number(line, "revoked_from"), when));
	const char *said = api_text(line, "record_state");
	print_word("record says", strcmp(said, "revoked") ? said : "",
		   json_object_get(line, "record_revoked_from"));
	print_word("operator says", api_flag(line, "suspended_by_operator") ? "suspended" : "",
		   json_object_get(line, "operator_revoked_from"));
	text_number("record version", api_number(line, "version"));
	if (api_number(line, "per_hour"))
		text_number("an hour, at most", api_number(line, "per_hour"));
	else
		text_field("an hour, at most", "not said");
}

static int line_show(struct ctl *c, const struct arguments *a)
{
	char hex[LINE_HEX_SIZE];
	json_t *answer = NULL, *line;
	size_t i;
	int code = lines_find(c, a->words[0], hex);
	if (code == EXIT_DONE)
		code = api_call(c, "GET", "/v1/admin/lines", NULL, &answer);
	json_array_foreach(json_object_get(answer, "lines"), i, line) {
		if (strcmp(api_text(line, "line"), hex) != 0)
			continue;
		if (c->json)
			code = api_print_json(json_incref(line));
		else
			print_line(c, line);
	}
	json_decref(answer);
	return code;
}

/* ---- suspend, resume, revoke ---- */

static int set_line(struct ctl *c, const char *name, const char *verb, json_t *body, const char *done)
{
	char hex[LINE_HEX_SIZE], suffix[16];
	json_t *answer = NULL;
	int code = lines_find(c, name, hex);
	if (code != EXIT_DONE) {
		json_decref(body);
		return code;
	}
	snprintf(suffix, sizeof suffix, "/%s", verb);
	char *target = api_target("/v1/admin/lines/", hex, suffix);
	code = api_call(c, "POST", target, body, &answer);
	free(target);
	if (code != EXIT_DONE)
		return code;
	if (c->json)
		return api_print_json(answer);
	printf("%s%s: line %s, ", api_flag(answer, "already") ? "already " : "", done, hex);
	text_print(api_text(json_object_get(answer, "line"), "site"));
	printf("\nlog entry %" PRId64 "; in force for every enrolment from now on\n",
	       api_number(answer, "seq"));
	json_decref(answer);
	return EXIT_DONE;
}

static int line_suspend(struct ctl *c, const struct arguments *a)
{
	const char *reason = argument(a, "reason");
	if (!reason)
		return ctl_usage("line suspend needs --reason: a text for the log");
	return set_line(c, a->words[0], "suspend", json_pack("{s:s}", "reason", reason), "suspended");
}

static int line_resume(struct ctl *c, const struct arguments *a)
{
	return set_line(c, a->words[0], "resume", json_object(), "resumed");
}

static int line_revoke(struct ctl *c, const struct arguments *a)
{
	const char *reason = argument(a, "reason");
	struct fault f = {0};
	int64_t from;
	if (!reason || !argument(a, "from"))
		return ctl_usage(
			"line revoke needs --reason, and --from: what the register got from then on counts for nothing");
	if (!moment_argument(a, "from", 0, &from, &f).ok)
		return ctl_usage("%s", f.text);
	int code = set_line(c, a->words[0], "revoke",
			    json_pack("{s:s, s:I}", "reason", reason, "from", (json_int_t)from), "revoked");
	if (code == EXIT_DONE && !c->json)
		printf("it ends no certificate that is there: mooringctl line devices %.40s --since %" PRId64
		       "\nlists who has one, and mooringctl recall --line decides about them\n",
		       a->words[0], from);
	return code;
}

/* ---- devices ---- */

static void add_row(struct table *t, const json_t *d)
{
	char stage[24], seq[24], when[TEXT_TIME_SIZE];
	snprintf(stage, sizeof stage, "%" PRId64, api_number(d, "stage"));
	snprintf(seq, sizeof seq, "%" PRId64, api_number(d, "seq"));
	const char *cells[] = {api_text(d, "thing"), api_text(d, "batch"), stage, seq,
			       text_time_s(api_number(d, "registered"), when)};
	table_row(t, cells, 0, PLAIN);
}

/* Into the table `arg`; NULL: as lines of JSON. */
static int take_devices(void *arg, json_t *page)
{
	struct table *t = arg;
	json_t *d;
	size_t i;
	json_array_foreach(json_object_get(page, "devices"), i, d) {
		if (t) {
			add_row(t, d);
			continue;
		}
		json_dumpf(d, stdout, JSON_COMPACT);
		putchar('\n');
	}
	return EXIT_DONE;
}

static int line_devices(struct ctl *c, const struct arguments *a)
{
	static const char *const headings[] = {"THING", "BATCH", "STAGE", "NUMBER", "REGISTERED"};
	char hex[LINE_HEX_SIZE];
	struct buf target = {0};
	struct fault f = {0};
	int64_t since;
	if (!moment_argument(a, "since", 0, &since, &f).ok)
		return ctl_usage("%s", f.text);
	int code = lines_find(c, a->words[0], hex);
	if (code != EXIT_DONE)
		return code;
	struct table *t = c->json ? NULL : table_new(headings, 5);
	buf_printf(&target, "/v1/admin/lines/%s/devices?since=%" PRId64, hex, since);
	code = api_pages(c, &target, take_devices, t);
	if (t)
		table_end(t, c->colour, "no device has come from it since then");
	return code;
}

static const struct option_spec reason_options[] = {
	{"reason", "TEXT", "for the log"},
	{NULL, NULL, NULL},
};
static const struct option_spec revoke_options[] = {
	{"from", "TIME", "Unix seconds, or UTC as 2026-11-22T15:00: by the register's time"},
	{"reason", "TEXT", "for the log"},
	{NULL, NULL, NULL},
};
static const struct option_spec devices_options[] = {
	{"since", "TIME", "registered then or later: Unix seconds, or UTC as 2026-11-22T15:00"},
	{NULL, NULL, NULL},
};

#define NAMES_A_LINE "LINE is a key id, its beginning, or a site that only one line has."

const struct command line_commands[] = {
	{
		.name = "line list",
		.arguments = "",
		.summary = "the lines that devices come from, and how each stands",
		.help = "The state is the one in force: the stricter of what the line's record says and what an\n"
			"operator says.",
		.examples = "  mooringctl line list\n",
		.run = line_list,
	},
	{
		.name = "line show",
		.arguments = "LINE",
		.summary = "everything about one line",
		.help = NAMES_A_LINE,
		.examples = "  mooringctl line show 'Hall 2'\n",
		.words_min = 1,
		.words_max = 1,
		.run = line_show,
	},
	{
		.name = "line suspend",
		.arguments = "LINE --reason TEXT",
		.summary = "no enrolment by a line, until it is resumed",
		.help = "At once, whatever its record says. Certificates that are there stay. " NAMES_A_LINE,
		.examples = "  mooringctl line suspend 3f09c2 --reason 'badge reader forced'\n",
		.options = reason_options,
		.words_min = 1,
		.words_max = 1,
		.run = line_suspend,
	},
	{
		.name = "line resume",
		.arguments = "LINE",
		.summary = "lift the suspension of a line",
		.help = "What an operator suspended; not what the line's record says. " NAMES_A_LINE,
		.examples = "  mooringctl line resume 3f09c2\n",
		.words_min = 1,
		.words_max = 1,
		.run = line_resume,
	},
	{
		.name = "line revoke",
		.arguments = "LINE --from TIME --reason TEXT",
		.summary = "what a line made from a time on counts for nothing",
		.help = "The first of two acts: new enrolments. What the register got from TIME on is refused,\n"
			"and so is what it never got; what it got before stays good. Revoked is final; the time can\n"
			"be moved to an earlier one. The second act is about devices that have a certificate\n"
			"already: `line devices`, then `recall --line`. " NAMES_A_LINE,
		.examples =
			"  mooringctl line revoke 3f09c2 --from 2026-11-22T15:00 --reason 'key card missing'\n",
		.options = revoke_options,
		.words_min = 1,
		.words_max = 1,
		.run = line_revoke,
	},
	{
		.name = "line devices",
		.arguments = "LINE [--since TIME]",
		.summary = "the devices that a line has worked on",
		.help = "Those that have enrolled, by the register's time of this line's statement. With --json a\n"
			"line each. " NAMES_A_LINE,
		.examples = "  mooringctl line devices 3f09c2 --since 2026-11-22\n",
		.options = devices_options,
		.words_min = 1,
		.words_max = 1,
		.run = line_devices,
	},
	{0},
};
