#include "programme.h"

#include "cli/text.h"
#include "common/clock.h"
#include "common/file.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REGISTER_WITHIN_S = 7 * 86400 };

static outcome take_previous(const struct arguments *a, const struct programme *p, struct work_order *o,
			     struct fault *f)
{
	size_t at = 0;
	outcome r = DONE;
	for (const char *text; r.ok && (text = argument_next(a, "previous", &at));) {
		if (o->previous_count == STAGES_MAX)
			return refuse(f, REASON_BAD_FIELD, "--previous: at most %d lines", STAGES_MAX);
		r = line_id_of(text, p, o->previous[o->previous_count], f);
		o->previous_count += r.ok;
	}
	if (!r.ok)
		return r;
	bool first = o->stage == 1 || argument_flag(a, "first");
	if (first && o->previous_count)
		return refuse(f, REASON_BAD_FIELD, "--previous: a first stage has no line before it");
	if (!first && !o->previous_count)
		return refuse(
			f, REASON_BAD_FIELD,
			"--previous is needed: the lines at which the stage before %lld may have been done "
			"(or --first)",
			(long long)o->stage);
	return DONE;
}

static outcome take_times(const struct arguments *a, struct work_order *o, struct fault *f)
{
	int64_t now = clock_wall_s();
	const char *from = argument(a, "from"), *until;
	long within;
	outcome r = factory_need(a, "until", &until, f);
	if (r.ok)
		r = factory_time("from", from ? from : "now", now, &o->not_before, f);
	if (r.ok)
		r = factory_time("until", until, now, &o->not_after, f);
	if (r.ok)
		r = argument_number(a, "register-within", 0, ORDER_REGISTER_WITHIN_MAX_S, REGISTER_WITHIN_S,
				    &within, f);
	o->register_within_s = r.ok ? within : 0;
	return r;
}

static outcome take_order(const struct arguments *a, const struct programme *p, struct work_order *o,
			  struct fault *f)
{
	const char *batch, *stage, *line, *quota;
	long number = 0;
	outcome r = factory_need(a, "batch", &batch, f);
	if (r.ok && !provenance_batch_valid(batch))
		r = refuse(f, REASON_BAD_FIELD, "--batch: 1 to 16 of A-Z a-z 0-9 . _ -");
	if (r.ok)
		strcpy(o->batch, batch);
	if (r.ok)
		r = factory_need(a, "stage", &stage, f);
	if (r.ok)
		r = argument_number(a, "stage", 1, STAGE_NUMBER_MAX, 0, &number, f);
	o->stage = number;
	if (r.ok)
		r = factory_need(a, "quota", &quota, f);
	if (r.ok)
		r = argument_number(a, "quota", 1, UINT32_MAX, 0, &number, f);
	o->quota = number;
	if (r.ok)
		r = factory_need(a, "line", &line, f);
	if (r.ok)
		r = line_id_of(line, p, o->line, f);
	if (r.ok)
		r = take_times(a, o, f);
	memcpy(o->programme, p->id, sizeof o->programme);
	return r.ok ? take_previous(a, p, o, f) : r;
}

static outcome sign(const char *path, const struct work_order *o, EVP_PKEY *key, struct fault *f)
{
	struct buf out = {0};
	struct work_order again;
	outcome r = work_order_sign(&out, o, key, f);
	if (r.ok)
		r = work_order_read(buf_view(&out), &again, f);
	if (r.ok)
		r = file_replace(path, buf_view(&out), 0644, f);
	buf_free(&out);
	return r;
}

static void print_order(const struct work_order *o)
{
	char text[TEXT_TIME_SIZE], id[LINE_ID_HEX], within[TEXT_TIME_SIZE + 8];
	line_id_hex(o->line, id);
	text_field("batch", o->batch);
	text_number("stage", o->stage);
	text_field("line", id);
	text_number("quota", o->quota);
	text_field("from", text_time_s(o->not_before, text));
	text_field("until", text_time_s(o->not_after, text));
	snprintf(within, sizeof within, "%s later", text_duration((int64_t)o->register_within_s, text));
	text_field("register by", within);
	for (size_t i = 0; i < o->previous_count; i++) {
		line_id_hex(o->previous[i], id);
		text_field(i ? "" : "lines before", id);
	}
	if (!o->previous_count)
		text_field("lines before", "none: a first stage");
}

static void print_order_json(const struct work_order *o)
{
	char line[LINE_ID_HEX], programme[HEX_SIZE(PROGRAMME_ID_SIZE)], id[LINE_ID_HEX],
		hash[HEX_SIZE(SHA256_SIZE)];
	json_t *previous = json_array();
	line_id_hex(o->line, line);
	hex_encode(bytes_of(o->programme, sizeof o->programme), programme);
	hex_encode(bytes_of(o->object.sha256, SHA256_SIZE), hash);
	for (size_t i = 0; i < o->previous_count; i++) {
		line_id_hex(o->previous[i], id);
		json_array_append_new(previous, json_string(id));
	}
	json_t *out = json_pack("{s:s,s:s,s:I,s:s,s:I,s:I,s:I,s:I,s:o,s:s}", "programme", programme, "batch",
				o->batch, "stage", (json_int_t)o->stage, "line", line, "quota",
				(json_int_t)o->quota, "not_before", (json_int_t)o->not_before, "not_after",
				(json_int_t)o->not_after, "register_within_s",
				(json_int_t)o->register_within_s, "previous", previous, "sha256", hash);
	json_dumpf(out, stdout, JSON_PRESERVE_ORDER);
	putchar('\n');
	json_decref(out);
}

static int order_place(struct ctl *c, const struct arguments *a)
{
	struct programme p;
	struct work_order o = {0};
	struct fault f;
	EVP_PKEY *key;
	const char *file = NULL;
	(void)c;
	outcome r = factory_new_file(a, &file, &f);
	if (r.ok)
		r = programme_open(a, PROGRAMME_KEY_FILE, &p, &key, &f);
	if (!r.ok)
		return ctl_fail(&f);
	r = take_order(a, &p, &o, &f);
	if (r.ok)
		r = sign(file, &o, key, &f);
	EVP_PKEY_free(key);
	if (!r.ok)
		return ctl_fail(&f);
	printf("work order %s of %s:\n", file, p.name);
	print_order(&o);
	return EXIT_DONE;
}

/* Signature and all where the programme is given; format alone where it is not. */
static outcome read_order(const struct arguments *a, struct held_order *held, bool *verified, struct fault *f)
{
	struct programme p;
	const char *programme = argument(a, "programme");
	*verified = programme != NULL;
	*held = (struct held_order){0};
	if (programme) {
		outcome r = programme_load(programme, &p, f);
		return r.ok ? held_order_load(a->words[0], &p, held, f) : r;
	}
	outcome r = file_read(a->words[0], PROVENANCE_OBJECT_MAX, &held->bytes, f);
	return r.ok ? work_order_read(buf_view(&held->bytes), &held->order, f) : r;
}

static int order_show(struct ctl *c, const struct arguments *a)
{
	struct held_order held;
	struct fault f;
	bool verified;
	outcome r = read_order(a, &held, &verified, &f);
	if (r.ok && c->json)
		print_order_json(&held.order);
	else if (r.ok) {
		print_order(&held.order);
		text_field("signature", verified ? "the programme's" : "not looked at: give --programme");
	}
	buf_free(&held.bytes);
	return factory_end(r, &f);
}

static const struct option_spec place_options[] = {
	{"programme", "DIR", "the programme's folder, with its key"},
	{"batch", "B", "production batch, 1 to 16 of A-Z a-z 0-9 . _ -"},
	{"stage", "N", "number of the stage, 1 to 255"},
	{"line", "LINE", "the line that may do it: its id, or the file with its record"},
	{"quota", "Q", "how many devices at most"},
	{"until", "TIME", "the last time of it: 2026-12-31, 2026-12-31T18:00:00Z, +30d, +12h, Unix seconds"},
	{"from", "TIME", "the first time (now)"},
	{"previous", "LINE...", "a line at which the stage before may have been done; may be given again"},
	{"first", NULL, "chains begin at this stage; stage 1 is always one"},
	{"register-within", "SECONDS",
	 "how long after --until a statement may still reach the register (604800)"},
	{"out", "FILE", "where to write the order; must not exist"},
	{NULL, NULL, NULL},
};
static const struct option_spec show_options[] = {
	{"programme", "PROGRAMME.json", "check the signature with this public file"},
	{NULL, NULL, NULL},
};

const struct command order_commands[] = {
	{
		.name = "order place",
		.arguments = "--programme DIR --batch B --stage N --line LINE --quota Q --until TIME --out "
			     "FILE ...",
		.summary = "let a line do one stage for so many devices of a batch",
		.help = "Signs a work order with the programme key. The line counts against it, and so do "
			"the\n"
			"register and every gateway. One line, batch and stage have one order: for more "
			"devices\n"
			"place another with another batch. Times are compared with the register's, not with "
			"a\n"
			"clock at the line.",
		.examples =
			"  mooring-factory order place --programme programme --batch 2026-47 --stage 1 \\\n"
			"      --line chips.record --quota 500 --until +30d --out chips.order\n"
			"  mooring-factory order place --programme programme --batch 2026-47 --stage 2 \\\n"
			"      --line boards.record --previous chips.record --quota 500 --until +60d \\\n"
			"      --out boards.order\n",
		.options = place_options,
		.run = order_place,
		.offline = true,
	},
	{
		.name = "order show",
		.arguments = "FILE [--programme PROGRAMME.json]",
		.summary = "what an order allows",
		.help = "Shows the order; with --programme also checks that the programme key has signed it.",
		.examples =
			"  mooring-factory order show boards.order --programme programme/programme.json\n",
		.options = show_options,
		.words_min = 1,
		.words_max = 1,
		.run = order_show,
		.offline = true,
	},
	{0},
};
