#include "api.h"
#include "ctl.h"
#include "entry.h"
#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- devices ---- */

static void print_devices(const struct ctl *c, json_t *answer)
{
	static const char *const headings[] = {"THING", "STATE", "GENERATION", "CERTIFICATES", "FIRST SEEN"};
	struct table *t = table_new(headings, 5);
	json_t *d;
	size_t i;
	json_array_foreach(json_object_get(answer, "devices"), i, d) {
		char generation[24], count[24], when[TEXT_TIME_SIZE];
		const char *state = api_text(d, "state");
		snprintf(generation, sizeof generation, "%" PRId64, api_number(d, "generation"));
		snprintf(count, sizeof count, "%" PRId64, api_number(d, "certificates"));
		const char *cells[] = {api_text(d, "thing"), state, generation, count,
				       text_time_s(api_number(d, "first_seen_ms") / 1000, when)};
		table_row(t, cells, 1, text_state_colour(state));
	}
	table_end(t, c->colour, "no devices");
	api_print_more(answer);
}

static int devices(struct ctl *c, const struct arguments *a)
{
	struct buf target = {0};
	struct fault f = {0};
	long limit;
	if (!argument_number(a, "limit", 1, API_PAGE_MAX, 50, &limit, &f).ok)
		return ctl_usage("%s", f.text);
	buf_printf(&target, "/v1/admin/devices?limit=%ld", limit);
	api_query(&target, "state", argument(a, "state"));
	api_query(&target, "after", argument(a, "after"));
	return api_show(c, buf_take_str(&target), print_devices);
}

/* ---- show ---- */

/* Why a device is what it is, where it is not simply active. */
static void print_causes(const json_t *d)
{
	static const struct {
		const char *flag, *text;
	} causes[] = {
		{"on_hold", "suspended by an operator: resume undoes it"},
		{"quarantined", "quarantined by a clone alarm: resume undoes it"},
		{"withdrawn", "suspended by the attestation service: records resume there undoes it"},
		{"reenrolment_allowed", "may enrol once with a new key"},
	};
	const char *label = "standing";
	for (size_t i = 0; i < sizeof causes / sizeof *causes; i++) {
		if (!api_flag(d, causes[i].flag))
			continue;
		text_field(label, causes[i].text);
		label = "";
	}
}

static void print_certificates(const struct ctl *c, json_t *certificates)
{
	static const char *const headings[] = {"CERTIFICATE", "STATE",	  "GEN",  "NOT BEFORE",
					       "NOT AFTER",   "EVIDENCE", "LEVEL"};
	struct table *t = table_new(headings, 7);
	json_t *cert;
	size_t i;
	json_array_foreach(certificates, i, cert) {
		char id[20], generation[24], from[TEXT_TIME_SIZE], to[TEXT_TIME_SIZE], level[24];
		const char *state = api_text(cert, "state");
		snprintf(id, sizeof id, "%.16s", api_text(cert, "certificateId"));
		snprintf(generation, sizeof generation, "%" PRId64, api_number(cert, "generation"));
		snprintf(level, sizeof level, "L%" PRId64, api_number(cert, "assurance"));
		const char *cells[] = {id,
				       state,
				       generation,
				       text_time_s(api_number(cert, "not_before"), from),
				       text_time_s(api_number(cert, "not_after"), to),
				       api_text(cert, "evidence"),
				       level};
		table_row(t, cells, 1, text_state_colour(state));
	}
	table_end(t, c->colour, "no certificates");
}

static void print_provenance(const struct ctl *c, const json_t *built)
{
	static const char *const headings[] = {"STAGE", "LINE", "SITE", "BATCH", "NUMBER", "REGISTERED"};
	const char *name = api_text(built, "name");
	struct table *t;
	json_t *stage;
	size_t i;
	if (!json_is_object(built))
		return;
	putchar('\n');
	text_field("programme", name[0] ? name : api_text(built, "programme"));
	text_field("batch", api_text(built, "batch"));
	t = table_new(headings, 6);
	json_array_foreach(json_object_get(built, "stages"), i, stage) {
		char number[24], line[9], seq[24], when[TEXT_TIME_SIZE];
		snprintf(number, sizeof number, "%" PRId64, api_number(stage, "stage"));
		snprintf(line, sizeof line, "%.8s", api_text(stage, "line"));
		snprintf(seq, sizeof seq, "%" PRId64, api_number(stage, "seq"));
		const char *cells[] = {number,
				       line,
				       api_text(stage, "site"),
				       api_text(stage, "batch"),
				       seq,
				       text_time_s(api_number(stage, "registered"), when)};
		table_row(t, cells, 0, PLAIN);
	}
	table_end(t, c->colour, "no stages");
}

static void print_device(const struct ctl *c, json_t *answer)
{
	const json_t *d = json_object_get(answer, "device");
	char when[TEXT_TIME_SIZE], generation[24];
	const char *state = api_text(d, "state");
	json_t *entry;
	size_t i;
	text_print(api_text(d, "thing"));
	fputs("  ", stdout);
	text_print_colour(c->colour, text_state_colour(state), state);
	putchar('\n');
	print_causes(d);
	snprintf(generation, sizeof generation, "%" PRId64, api_number(d, "generation"));
	text_field("instance ID", api_text(d, "instance_id"));
	text_field("generation", generation);
	text_field("first seen", text_time_ms(api_number(d, "first_seen_ms"), when));
	print_provenance(c, json_object_get(answer, "provenance"));
	putchar('\n');
	print_certificates(c, json_object_get(answer, "certificates"));
	puts("\nhistory");
	json_array_foreach(json_object_get(answer, "history"), i, entry)
		entry_print_story(c, entry, false);
}

static int show(struct ctl *c, const struct arguments *a)
{
	return api_show(c, api_target("/v1/admin/devices/", a->words[0], ""), print_device);
}

static const struct option_spec devices_options[] = {
	{"state", "active|suspended|revoked", "only devices in this state"},
	{"after", "THING", "go on after this one, as the end of a page says"},
	{"limit", "N", "at most so many, 1 to 500 (50)"},
	{NULL, NULL, NULL},
};

const struct command device_commands[] = {
	{
		.name = "devices",
		.arguments = "[--state STATE] [--after THING] [--limit N]",
		.summary = "the fleet, by name, a page at a time",
		.help = "Each device that has asked for a certificate, or that the attestation service\n"
			"has withdrawn.",
		.examples = "  mooringctl devices\n"
			    "  mooringctl devices --state suspended\n"
			    "  mooringctl --json devices --limit 500 | jq -r '.devices[].thing'\n",
		.options = devices_options,
		.words_min = 0,
		.words_max = 0,
		.run = devices,
	},
	{
		.name = "show",
		.arguments = "THING",
		.summary = "one device: its standing, where it was built, certificates, and whole history",
		.help = "Where it was built is what it has shown: programme, batch, and for each stage the\n"
			"line, its site, and when the register got it. The history is every log entry\n"
			"about the device, refusals included, each with its rule.",
		.examples =
			"  mooringctl show ajv7zq2kmeuxo4wd6tgc5hyb\n"
			"  mooringctl --json show ajv7zq2kmeuxo4wd6tgc5hyb | jq '.certificates[] | select(.state == \"active\")'\n",
		.words_min = 1,
		.words_max = 1,
		.run = show,
	},
	{0},
};
