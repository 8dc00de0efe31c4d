#include "api.h"
#include "ctl.h"
#include "text.h"
#include "common/record_upload.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- import ---- */

static void show_progress(const struct record_upload_progress *p, void *arg)
{
	(void)arg;
	unsigned percent = p->bytes_total ? (unsigned)(p->bytes * 100 / p->bytes_total) : 100;
	fprintf(stderr, "\r%3u %%  %" PRIu64 " record%s in %" PRIu64 " batch%s", percent, p->records,
		p->records == 1 ? "" : "s", p->batches, p->batches == 1 ? "" : "es");
	fflush(stderr);
}

static int print_import(const struct ctl *c, const char *import_id, const struct record_upload_progress *p)
{
	if (c->json)
		printf("{\"import\":\"%s\",\"batches\":%" PRIu64 ",\"records\":%" PRIu64
		       ",\"inserted\":%" PRIu64 ",\"unchanged\":%" PRIu64 "}\n",
		       import_id, p->batches, p->records, p->inserted, p->unchanged);
	else
		printf("import %s: %" PRIu64 " record%s in %" PRIu64 " batch%s, %" PRIu64 " new, %" PRIu64
		       " there already\n",
		       import_id, p->records, p->records == 1 ? "" : "s", p->batches,
		       p->batches == 1 ? "" : "es", p->inserted, p->unchanged);
	return EXIT_DONE;
}

static int records_import(struct ctl *c, const struct arguments *a)
{
	struct record_upload_progress progress = {0};
	struct fault f = {0};
	char hash[IMPORT_ID_SIZE];
	const char *path = a->words[0], *id = argument(a, "import-id");
	bool terminal = isatty(STDERR_FILENO) && !c->json;
	int code = api_open(c);
	if (code != EXIT_DONE)
		return code;
	if (!id && !record_upload_import_id(path, hash, &f).ok)
		return ctl_fail(&f);
	id = id ? id : hash;
	outcome o = record_upload(c->client, path, id, terminal ? show_progress : NULL, NULL, &progress, &f);
	if (terminal)
		fputc('\n', stderr);
	if (o.ok)
		return print_import(c, id, &progress);
	ctl_fail(&f);
	api_say_remedy(c);
	fprintf(stderr,
		"mooringctl: %" PRIu64
		" records are in; what is missing is sent by the same command again (import %s)\n",
		progress.records, id);
	return EXIT_REFUSED;
}

/* ---- show ---- */

static void print_record(const struct ctl *c, json_t *r)
{
	char when[TEXT_TIME_SIZE];
	const char *state = api_text(r, "state");
	printf("record %s, ", api_text(r, "instance_id"));
	text_print_colour(c->colour, text_state_colour(state), state);
	putchar('\n');
	if (api_text(r, "reason")[0])
		text_field("because", api_text(r, "reason"));
	if (api_number(r, "changed"))
		text_field("since", text_time_s(api_number(r, "changed"), when));
	text_field("batch", api_text(r, "batch"));
	text_field("model", api_text(r, "model"));
	text_field("implementation ID", api_text(r, "implementation_id"));
	text_field("public key", api_text(r, "public_key"));
	text_field("imported", text_time_s(api_number(r, "created"), when));
}

static void print_list(const struct ctl *c, json_t *answer)
{
	static const char *const headings[] = {"INSTANCE ID", "BATCH", "MODEL", "STATE", "IMPORTED"};
	struct table *t = table_new(headings, 5);
	size_t i;
	json_t *r;
	json_array_foreach((json_t *)(uintptr_t)api_array(answer, "records"), i, r) {
		char when[TEXT_TIME_SIZE];
		const char *state = api_text(r, "state");
		const char *cells[] = {api_text(r, "instance_id"), api_text(r, "batch"), api_text(r, "model"),
				       state, text_time_s(api_number(r, "created"), when)};
		table_row(t, cells, 3, text_state_colour(state));
	}
	table_end(t, c->colour, "no records");
	api_print_more(answer);
}

static char *list_target(const char *batch, long limit, const char *after)
{
	struct buf target = {0};
	buf_printf(&target, "/v1/records?limit=%ld", limit);
	api_query(&target, "batch", batch);
	api_query(&target, "after", after);
	return buf_take_str(&target);
}

static int records_show(struct ctl *c, const struct arguments *a)
{
	const char *device = argument(a, "device"), *batch = argument(a, "batch"),
		   *after = argument(a, "after");
	struct fault f = {0};
	long limit;
	if (!argument_number(a, "limit", 1, API_PAGE_MAX, 50, &limit, &f).ok)
		return ctl_usage("%s", f.text);
	if (device && (batch || after))
		return ctl_usage("records show takes --device, or --batch and --after");
	if (after && after[strspn(after, "0123456789abcdefABCDEF")])
		return ctl_usage("--after must be an instance ID in hexadecimal");
	char *target = device ? api_target("/v1/records/", device, "") : list_target(batch, limit, after);
	return api_show(c, target, device ? print_record : print_list);
}

/* ---- suspend, resume ---- */

static int change_standing(struct ctl *c, const struct arguments *a, const char *verb,
			   const char *default_reason)
{
	const char *device = argument(a, "device"), *batch = argument(a, "batch"),
		   *reason = argument(a, "reason");
	json_t *answer = NULL;
	char suffix[16];
	if (!device == !batch)
		return ctl_usage("records%s takes either --device HEX or --batch NAME", verb);
	snprintf(suffix, sizeof suffix, "/%s", verb + 1);
	char *target = api_target(device ? "/v1/records/" : "/v1/batches/", device ? device : batch, suffix);
	int code = api_call(c, "POST", target, json_pack("{s:s}", "reason", reason ? reason : default_reason),
			    &answer);
	free(target);
	if (code != EXIT_DONE)
		return code;
	if (c->json)
		return api_print_json(answer);
	int64_t devices = api_number(answer, "devices");
	printf("%s %s: %" PRId64 " record%s %s\n", device ? "device" : "batch", device ? device : batch,
	       devices, devices == 1 ? "" : "s", strcmp(verb, " suspend") ? "active again" : "suspended");
	puts("gateways follow within seconds: certificates already issued follow the record");
	json_decref(answer);
	return EXIT_DONE;
}

static int records_suspend(struct ctl *c, const struct arguments *a)
{
	return change_standing(c, a, " suspend", "suspended-by-operator");
}

static int records_resume(struct ctl *c, const struct arguments *a)
{
	return change_standing(c, a, " resume", "resumed-by-operator");
}

static const struct option_spec import_options[] = {
	{"import-id", "ID", "name of this import (a hash of the file): the same name goes on where it ended"},
	{NULL, NULL, NULL},
};

static const struct option_spec show_options[] = {
	{"device", "HEX", "one record, by instance ID"},
	{"batch", "NAME", "the records of one batch"},
	{"after", "HEX", "go on after this instance ID"},
	{"limit", "N", "at most so many, 1 to 500 (50)"},
	{NULL, NULL, NULL},
};

static const struct option_spec standing_options[] = {
	{"device", "HEX", "one record, by instance ID"},
	{"batch", "NAME", "every record of the batch"},
	{"reason", "TEXT", "for the record's history (that an operator did it)"},
	{NULL, NULL, NULL},
};

#define RECORDS_SERVICE                                                                                      \
	"\n\nThe attestation service is asked. Where MOORING_ATTESTATION_ENDPOINT, _CA and _KEY are set\n"   \
	"they go before MOORING_ENDPOINT, _CA and _KEY, which are the gateway's then."

const struct command record_commands[] = {
	{
		.name = "records import",
		.arguments = "FILE [--import-id ID]",
		.summary = "load device records (NDJSON, as mooring-factory makes them)",
		.help = "Sends the file in numbered batches of at most 256 KiB, each durable before the\n"
			"next goes out; a million records take no more memory than ten. An import that\n"
			"was interrupted is finished by the same command: what is there already is\n"
			"recognised. A record that differs from the one stored is refused." RECORDS_SERVICE,
		.examples = "  mooringctl records import factory/records.ndjson\n"
			    "  mooringctl --json records import march.ndjson --import-id line-2-march\n",
		.options = import_options,
		.words_min = 1,
		.words_max = 1,
		.run = records_import,
		.records = true,
	},
	{
		.name = "records show",
		.arguments = "[--device HEX | --batch NAME] [--after HEX] [--limit N]",
		.summary = "one device record, or a page of them",
		.help = "Shows what the attestation service knows of a device: key, batch, model, and\n"
			"whether it vouches for it." RECORDS_SERVICE,
		.examples =
			"  mooringctl records show --device 01078c18f110f432ff780cd8dae58069a2a0d82277cbc66450c8581dd47d96a22e\n"
			"  mooringctl records show --batch B2 --limit 500\n",
		.options = show_options,
		.words_min = 0,
		.words_max = 0,
		.run = records_show,
		.records = true,
	},
	{
		.name = "records suspend",
		.arguments = "(--device HEX | --batch NAME) [--reason TEXT]",
		.summary = "stop vouching for a device, or a whole batch",
		.help = "New enrolments are refused at once. Gateways are told within seconds and make\n"
			"the certificates already issued inactive; `records resume` undoes it." RECORDS_SERVICE,
		.examples = "  mooringctl records suspend --batch B2 --reason key-leak-suspected\n"
			    "  mooringctl records suspend --device 01078c18… --reason stolen\n",
		.options = standing_options,
		.words_min = 0,
		.words_max = 0,
		.run = records_suspend,
		.records = true,
	},
	{
		.name = "records resume",
		.arguments = "(--device HEX | --batch NAME) [--reason TEXT]",
		.summary = "vouch for a device or batch again",
		.help = "Undoes `records suspend`. A device that the gateway's own operator suspended\n"
			"or revoked stays so." RECORDS_SERVICE,
		.examples = "  mooringctl records resume --batch B2 --reason checked\n",
		.options = standing_options,
		.words_min = 0,
		.words_max = 0,
		.run = records_resume,
		.records = true,
	},
	{0},
};
