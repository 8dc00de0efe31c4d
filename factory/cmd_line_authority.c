#include "line_request.h"
#include "programme.h"

#include "cli/text.h"
#include "common/clock.h"
#include "common/file.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

static void print_record(const struct line_record *r)
{
	uint8_t id[KEY_ID_SIZE];
	char hex[LINE_ID_HEX], text[TEXT_TIME_SIZE], stages[STAGES_MAX * 4 + 1] = "";
	provenance_key_id(r->key, id);
	line_id_hex(id, hex);
	text_field("line", hex);
	text_field("site", r->site);
	for (size_t i = 0, used = 0; i < r->stage_count; i++)
		used += (size_t)snprintf(stages + used, sizeof stages - used, "%s%d", i ? "," : "",
					 r->stages[i]);
	text_field("stages", stages);
	text_field("from", text_time_s(r->not_before, text));
	text_field("until", text_time_s(r->not_after, text));
	text_field("state", line_state_name(r->state));
	if (r->state == LINE_REVOKED)
		text_field("worth nothing from", text_time_s(r->revoked_from, text));
	if (r->per_hour)
		text_number("per hour", r->per_hour);
	text_number("version", r->version);
}

static void print_record_json(const struct line_record *r)
{
	uint8_t id[KEY_ID_SIZE];
	char hex[LINE_ID_HEX], programme[HEX_SIZE(PROGRAMME_ID_SIZE)];
	json_t *stages = json_array();
	provenance_key_id(r->key, id);
	line_id_hex(id, hex);
	hex_encode(bytes_of(r->programme, sizeof r->programme), programme);
	for (size_t i = 0; i < r->stage_count; i++)
		json_array_append_new(stages, json_integer(r->stages[i]));
	json_t *out = json_pack("{s:s,s:s,s:I,s:s,s:o,s:I,s:I,s:s,s:I,s:I}", "programme", programme, "line",
				hex, "version", (json_int_t)r->version, "site", r->site, "stages", stages,
				"not_before", (json_int_t)r->not_before, "not_after",
				(json_int_t)r->not_after, "state", line_state_name(r->state), "revoked_from",
				(json_int_t)r->revoked_from, "per_hour", (json_int_t)r->per_hour);
	json_dumpf(out, stdout, JSON_PRESERVE_ORDER);
	putchar('\n');
	json_decref(out);
}

/* A request is for the programme that is given; without one, for the one that it names. */
static outcome check_request(const char *path, struct bytes text, const struct programme *p,
			     struct line_request *out, struct fault *f)
{
	outcome o = line_request_read(text, path, out, f);
	if (o.ok && p && memcmp(out->programme, p->id, PROGRAMME_ID_SIZE) != 0)
		o = refuse(f, REASON_CHAIN_PROGRAMME, "%s: it asks for another programme", path);
	return o;
}

static outcome read_request(const char *path, const struct programme *p, struct line_record *r,
			    struct fault *f)
{
	struct line_request request;
	struct buf text = {0};
	outcome o = file_read(path, LINE_REQUEST_MAX, &text, f);
	if (o.ok)
		o = check_request(path, buf_view(&text), p, &request, f);
	if (o.ok)
		memcpy(r->key, request.key, sizeof r->key);
	buf_free(&text);
	return o;
}

/* The version after the record that this one replaces: it must be of the same key. */
static outcome take_version(const struct arguments *a, const struct programme *p, struct line_record *r,
			    struct fault *f)
{
	struct held_record old;
	const char *path = argument(a, "replaces");
	r->version = 1;
	if (!path)
		return DONE;
	outcome o = held_record_load(path, p, &old, f);
	if (!o.ok)
		return o;
	bool same = !memcmp(old.record.key, r->key, sizeof r->key);
	r->version = old.record.version + 1;
	if (old.record.state == LINE_REVOKED)
		o = refuse(f, REASON_LINE_REVOKED,
			   "%s: revoked is final: the line begins again with another key", path);
	else if (!same)
		o = refuse(f, REASON_BAD_FIELD, "--replaces %s: it is of another line", path);
	buf_free(&old.bytes);
	return o;
}

static outcome take_terms(const struct arguments *a, struct line_record *r, struct fault *f)
{
	const char *site, *stages, *days_text, *from = argument(a, "from");
	long days = 0, per_hour = 0;
	int64_t now = clock_wall_s();
	outcome o = factory_need(a, "site", &site, f);
	if (o.ok && (strlen(site) >= sizeof r->site || !provenance_name_valid(site)))
		o = refuse(f, REASON_BAD_FIELD, "--site: 1 to %zu bytes of UTF-8 without control characters",
			   sizeof r->site - 1);
	if (o.ok)
		strcpy(r->site, site);
	if (o.ok)
		o = factory_need(a, "stages", &stages, f);
	if (o.ok)
		o = argument_numbers(a, "stages", STAGE_NUMBER_MAX, r->stages, STAGES_MAX, &r->stage_count,
				     f);
	if (o.ok)
		o = factory_need(a, "days", &days_text, f);
	if (o.ok)
		o = argument_number(a, "days", 1, LINE_VALIDITY_MAX_S / 86400, 0, &days, f);
	if (o.ok)
		o = argument_number(a, "per-hour", 1, UINT32_MAX, 0, &per_hour, f);
	if (o.ok)
		o = factory_time("from", from ? from : "now", now, &r->not_before, f);
	r->not_after = r->not_before + days * 86400;
	r->per_hour = per_hour;
	r->state = LINE_ACTIVE;
	return o;
}

static int line_certify(struct ctl *c, const struct arguments *a)
{
	struct programme p;
	struct line_record r = {0};
	struct fault f;
	EVP_PKEY *key;
	const char *request, *out = NULL;
	(void)c;
	outcome o = factory_need(a, "request", &request, &f);
	if (o.ok)
		o = factory_new_file(a, &out, &f);
	if (o.ok)
		o = programme_open(a, LINE_AUTHORITY_KEY_FILE, &p, &key, &f);
	if (!o.ok)
		return ctl_fail(&f);
	memcpy(r.programme, p.id, sizeof r.programme);
	o = read_request(request, &p, &r, &f);
	if (o.ok)
		o = take_version(a, &p, &r, &f);
	if (o.ok)
		o = take_terms(a, &r, &f);
	if (o.ok)
		o = held_record_save(out, &r, key, &f);
	EVP_PKEY_free(key);
	if (!o.ok)
		return ctl_fail(&f);
	printf("line record %s of %s:\n", out, p.name);
	print_record(&r);
	return EXIT_DONE;
}

static outcome next_state(struct line_record *r, enum line_state state, const char *from, struct fault *f)
{
	int64_t now = clock_wall_s();
	if (r->state == LINE_REVOKED)
		return refuse(f, REASON_LINE_REVOKED, "revoked is final");
	if (r->state == state)
		return refuse(f, REASON_CONFLICT, "the line is %s already", line_state_name(state));
	r->state = state;
	r->version++;
	return state == LINE_REVOKED ? factory_time("from", from ? from : "now", now, &r->revoked_from, f)
				     : DONE;
}

static int change(const struct arguments *a, enum line_state state, const char *from)
{
	struct programme p;
	struct held_record held = {0};
	struct fault f;
	EVP_PKEY *key;
	const char *record, *out = NULL;
	outcome o = factory_need(a, "record", &record, &f);
	if (o.ok)
		o = factory_new_file(a, &out, &f);
	if (o.ok)
		o = programme_open(a, LINE_AUTHORITY_KEY_FILE, &p, &key, &f);
	if (!o.ok)
		return ctl_fail(&f);
	o = held_record_load(record, &p, &held, &f);
	if (o.ok)
		o = next_state(&held.record, state, from, &f);
	if (o.ok)
		o = held_record_save(out, &held.record, key, &f);
	EVP_PKEY_free(key);
	if (o.ok) {
		printf("line record %s of %s: give it to the register and to every gateway\n", out, p.name);
		print_record(&held.record);
	}
	buf_free(&held.bytes);
	return factory_end(o, &f);
}

static int line_revoke(struct ctl *c, const struct arguments *a)
{
	(void)c;
	return change(a, LINE_REVOKED, argument(a, "from"));
}

static int line_suspend(struct ctl *c, const struct arguments *a)
{
	(void)c;
	return change(a, LINE_SUSPENDED, NULL);
}

static int line_resume(struct ctl *c, const struct arguments *a)
{
	(void)c;
	return change(a, LINE_ACTIVE, NULL);
}

static outcome show_request(const struct ctl *c, const char *path, struct bytes text,
			    const struct programme *p, struct fault *f)
{
	struct line_request request;
	uint8_t id[KEY_ID_SIZE];
	char line[LINE_ID_HEX], programme[HEX_SIZE(PROGRAMME_ID_SIZE)];
	outcome o = check_request(path, text, p, &request, f);
	if (!o.ok)
		return o;
	provenance_key_id(request.key, id);
	line_id_hex(id, line);
	hex_encode(bytes_of(request.programme, sizeof request.programme), programme);
	if (c->json) {
		printf("{\"programme\": \"%s\", \"line\": \"%s\", \"state\": \"requested\"}\n", programme,
		       line);
		return DONE;
	}
	text_field("line", line);
	text_field("programme", p ? p->name : programme);
	text_field("state", "requested: line certify says site, stages and dates");
	text_field("signature", "the line's: whoever asks has the key");
	return DONE;
}

static outcome show_record(const struct ctl *c, const char *path, struct bytes object,
			   const struct programme *p, struct fault *f)
{
	struct line_record r;
	struct fault own;
	outcome o = p ? programme_line_record(p, object, &r, &own) : line_record_read(object, &r, &own);
	if (!o.ok)
		return refuse(f, own.reason, "%.120s: %s", path, own.text);
	if (c->json) {
		print_record_json(&r);
		return DONE;
	}
	print_record(&r);
	text_field("signature", p ? "the line authority's" : "not looked at: give --programme");
	return DONE;
}

static int line_show(struct ctl *c, const struct arguments *a)
{
	struct programme programme, *p = NULL;
	struct buf file = {0};
	struct fault f;
	const char *path = a->words[0], *public_file = argument(a, "programme");
	outcome o = public_file ? programme_load(public_file, &programme, &f) : DONE;
	if (o.ok && public_file)
		p = &programme;
	if (o.ok)
		o = file_read(path, PROVENANCE_OBJECT_MAX, &file, &f);
	if (o.ok && file.n && file.p[0] == '{')
		o = show_request(c, path, buf_view(&file), p, &f);
	else if (o.ok)
		o = show_record(c, path, buf_view(&file), p, &f);
	buf_free(&file);
	return factory_end(o, &f);
}

static const struct option_spec certify_options[] = {
	{"programme", "DIR", "the programme's folder, with the line authority key"},
	{"request", "FILE", "what `line init` has written at the line"},
	{"site", "NAME", "where it is, for people, 1 to 32 bytes"},
	{"stages", "N,N", "the stages that it may do, rising: 1,2"},
	{"days", "N", "how long the key is good for, 1 to 90"},
	{"from", "TIME", "from when on (now)"},
	{"per-hour", "N", "what the line can physically do; more raises an alarm at the gateway"},
	{"replaces", "RECORD", "the record that this one follows: for another 90 days, or other stages"},
	{"out", "FILE", "where to write the record; must not exist"},
	{NULL, NULL, NULL},
};
static const struct option_spec revoke_options[] = {
	{"programme", "DIR", "the programme's folder, with the line authority key"},
	{"record", "FILE", "the line's latest record"},
	{"from", "TIME", "the register's time from which on its statements are worth nothing (now)"},
	{"out", "FILE", "where to write the next version of the record; must not exist"},
	{NULL, NULL, NULL},
};
static const struct option_spec state_options[] = {
	{"programme", "DIR", "the programme's folder, with the line authority key"},
	{"record", "FILE", "the line's latest record"},
	{"out", "FILE", "where to write the next version of the record; must not exist"},
	{NULL, NULL, NULL},
};
static const struct option_spec show_options[] = {
	{"programme", "PROGRAMME.json", "check the signature with this public file"},
	{NULL, NULL, NULL},
};

const struct command line_authority_commands[] = {
	{
		.name = "line certify",
		.arguments = "--programme DIR --request FILE --site S --stages N,N --days N --out FILE ...",
		.summary = "make a line known: a record of its key, for at most 90 days",
		.help = "Checks that whoever asks has the key, and signs the line's record with the line\n"
			"authority key. Compare the line's id (line show) with the people at the line, by "
			"telephone,\n"
			"before you give the record out.",
		.examples = "  mooring-factory line certify --programme programme --request "
			    "line-1/request.json \\\n"
			    "      --site 'Shenzhen B2' --stages 1,2 --days 90 --out line-1.record\n",
		.options = certify_options,
		.run = line_certify,
		.offline = true,
	},
	{
		.name = "line suspend",
		.arguments = "--programme DIR --record FILE --out FILE",
		.summary = "the next version of its record: nothing of this line is accepted for now",
		.help = "For a suspicion: enrolments of devices that were at this line stop as soon as "
			"gateways\n"
			"have the record, and go on when `line resume` is followed by it.",
		.examples = "  mooring-factory line suspend --programme programme --record line-1.record \\\n"
			    "      --out line-1.2.record\n",
		.options = state_options,
		.run = line_suspend,
		.offline = true,
	},
	{
		.name = "line resume",
		.arguments = "--programme DIR --record FILE --out FILE",
		.summary = "the end of a suspension",
		.help = "The next version of the record, active again.",
		.examples =
			"  mooring-factory line resume --programme programme --record line-1.2.record \\\n"
			"      --out line-1.3.record\n",
		.options = state_options,
		.run = line_resume,
		.offline = true,
	},
	{
		.name = "line revoke",
		.arguments = "--programme DIR --record FILE [--from TIME] --out FILE",
		.summary = "its statements are worth nothing from a time on; for good",
		.help = "The time is compared with the register's time of a statement, never with a clock of "
			"the\n"
			"line: what was registered before it stays good, what comes later does not, whatever "
			"it\n"
			"says of itself. Revoked is final.",
		.examples = "  mooring-factory line revoke --programme programme --record line-1.record \\\n"
			    "      --from 2026-12-01T06:00:00Z --out line-1.2.record\n",
		.options = revoke_options,
		.run = line_revoke,
		.offline = true,
	},
	{
		.name = "line show",
		.arguments = "RECORD|REQUEST [--programme PROGRAMME.json]",
		.summary = "what a record says of a line, or whose key a request is about",
		.help = "Shows the record; with --programme also checks that the line authority has signed "
			"it.\n"
			"Of a request it shows the line's id, which is compared with the people at the line\n"
			"before `line certify`, and checks that whoever asks has the key.",
		.examples = "  mooring-factory line show line-1.record --programme programme/programme.json\n"
			    "  mooring-factory line show line-1/request.json\n",
		.options = show_options,
		.words_min = 1,
		.words_max = 1,
		.run = line_show,
		.offline = true,
	},
	{0},
};
