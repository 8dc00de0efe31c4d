#include "device_list.h"
#include "stage.h"

#include "common/clock.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

struct shift {
	struct ctl *ctl;
	struct stage_run run;
	struct line line;
	struct held_order held;
	size_t signed_count, there_count, refused_count;
	bool used_up;
	json_t *devices; /* --json */
};

/* The line's clock has no weight; whoever stands there may want to know all the same. */
static void warn_of_time(const struct work_order *o)
{
	int64_t now = clock_wall_s();
	if (now < o->not_before || now > o->not_after)
		fprintf(stderr,
			"mooring-factory: by this line's clock the order is %s; the register's clock decides "
			"whether "
			"its statements count\n",
			now < o->not_before ? "not valid yet" : "over");
}

static outcome take_trust(struct line *l, const struct arguments *a, struct fault *f)
{
	size_t at = 0;
	outcome r = DONE;
	for (const char *path; r.ok && (path = argument_next(a, "trust", &at));)
		r = trust_add_file(&l->trust, path, f);
	return r;
}

static outcome take_order(struct shift *s, const struct arguments *a, struct fault *f)
{
	const char *file;
	const struct work_order *o = &s->held.order;
	outcome r = factory_need(a, "order", &file, f);
	if (r.ok)
		r = held_order_load(file, &s->line.programme, &s->held, f);
	if (r.ok && memcmp(o->line, s->line.id, KEY_ID_SIZE) != 0)
		r = refuse(f, REASON_ORDER_MISSING, "%s: the order is for another line", file);
	if (r.ok)
		r = line_may_do(&s->line, o->stage, f);
	return r;
}

static outcome open_counters(struct shift *s, struct fault *f)
{
	char path[FACTORY_PATH_MAX];
	bool torn;
	outcome r = line_path(&s->line, "outbox", path, f);
	if (r.ok)
		r = line_outbox_open(path, &s->held.order, &s->run.outbox, &torn, f);
	if (r.ok && torn)
		fprintf(stderr, "mooring-factory: %s: a statement that was half written is cut off\n",
			s->run.outbox.path);
	if (r.ok)
		r = line_path(&s->line, "counters", path, f);
	return r.ok ? counter_open(path, &s->held.order, s->run.outbox.last, &s->run.counter, f) : r;
}

static outcome begin(struct shift *s, const struct arguments *a, struct fault *f)
{
	const char *folder, *countersign = argument(a, "countersign");
	s->run.outbox.fd = -1;
	outcome r = factory_need(a, "line", &folder, f);
	if (r.ok)
		r = line_open(folder, &s->line, f);
	if (r.ok)
		r = take_trust(&s->line, a, f);
	if (r.ok)
		r = take_order(s, a, f);
	if (r.ok)
		r = open_counters(s, f);
	s->run.line = &s->line;
	s->run.order = &s->held.order;
	s->run.psa_token = countersign && !strcmp(countersign, "psa-token");
	s->run.insecure = argument_flag(a, "insecure-single-user");
	if (r.ok)
		warn_of_time(&s->held.order);
	return r;
}

static void end(struct shift *s)
{
	line_outbox_close(&s->run.outbox);
	buf_free(&s->held.bytes);
	line_close(&s->line);
	json_decref(s->devices);
}

static void note_json(struct shift *s, const char *device, const struct stage_done *done, const char *reason)
{
	char hash[HEX_SIZE(SHA256_SIZE)];
	hex_encode(bytes_of(done->statement, SHA256_SIZE), hash);
	json_t *o = json_pack("{s:s,s:b}", "device", device, "signed", !reason && !done->there_already);
	if (reason)
		json_object_set_new(o, "reason", json_string(reason));
	else
		json_object_set_new(o, "seq", json_integer(done->seq));
	if (!reason && !done->there_already) {
		json_object_set_new(o, "statement", json_string(hash));
		json_object_set_new(o, "statement_bytes", json_integer((json_int_t)done->statement_bytes));
	}
	if (!reason)
		json_object_set_new(o, "chain_bytes", json_integer((json_int_t)done->chain_bytes));
	json_array_append_new(s->devices, o);
}

/* One device; what is wrong with it is said, and is no reason to stop the line. */
static void do_one(struct shift *s, const char *device, bool alone)
{
	struct stage_done done;
	struct fault f;
	outcome r = stage_sign(&s->run, device, &done, &f);
	s->run.quiet = true;
	s->used_up = !r.ok && f.reason == REASON_ORDER_QUOTA;
	s->signed_count += r.ok && !done.there_already;
	s->there_count += r.ok && done.there_already;
	s->refused_count += !r.ok && !s->used_up;
	if (!r.ok)
		fprintf(stderr, "mooring-factory: %s: %s: %s\n", device, reason_code(f.reason), f.text);
	if (s->ctl->json)
		note_json(s, device, &done, r.ok ? NULL : reason_code(f.reason));
	else if (r.ok && alone)
		printf("%s: number %lld of %lld%s\n", device, (long long)done.seq,
		       (long long)s->held.order.quota, done.there_already ? ", signed before" : "");
}

static void print_result(const struct shift *s)
{
	const struct work_order *o = &s->held.order;
	char id[LINE_ID_HEX];
	line_id_hex(s->line.id, id);
	if (s->ctl->json) {
		json_t *out = json_pack("{s:s,s:I,s:s,s:I,s:I,s:O}", "batch", o->batch, "stage",
					(json_int_t)o->stage, "line", id, "quota", (json_int_t)o->quota,
					"used", (json_int_t)s->run.counter.used, "devices", s->devices);
		json_dumpf(out, stdout, JSON_PRESERVE_ORDER);
		putchar('\n');
		json_decref(out);
		return;
	}
	printf("batch %s, stage %lld, line %.8s: %zu signed, %zu signed before, %zu refused; %lld of %lld "
	       "numbers used\n",
	       o->batch, (long long)o->stage, id, s->signed_count, s->there_count, s->refused_count,
	       (long long)s->run.counter.used, (long long)o->quota);
}

static void work(struct shift *s, const struct device_list *devices, size_t most)
{
	for (size_t i = 0; i < devices->count && s->signed_count < most && !s->used_up; i++) {
		do_one(s, devices->paths[i], devices->count == 1);
		if (devices->count > 1)
			factory_progress(i + 1 == devices->count, "%lld of %lld",
					 (long long)s->run.counter.used, (long long)s->held.order.quota);
	}
}

static int stage_sign_command(struct ctl *c, const struct arguments *a)
{
	struct shift s = {.ctl = c, .devices = json_array()};
	struct device_list devices = {0};
	struct fault f;
	long most = 0;
	outcome r = argument_number(a, "count", 1, 100000000, 100000000, &most, &f);
	if (r.ok)
		r = device_list_make(a, "device", &devices, &f);
	if (r.ok)
		r = begin(&s, a, &f);
	if (r.ok) {
		work(&s, &devices, (size_t)most);
		print_result(&s);
	}
	int code = !r.ok	     ? ctl_fail(&f)
		   : s.used_up	     ? (int)EXIT_ORDER_USED_UP
		   : s.refused_count ? (int)EXIT_REFUSED
				     : (int)EXIT_DONE;
	device_list_free(&devices);
	end(&s);
	return code;
}

static const struct option_spec sign_options[] = {
	{"line", "DIR", "the line's folder"},
	{"order", "FILE", "the work order for this line, stage and batch"},
	{"device", "DIR...", "the device on the bench, a folder as `make` leaves it; may be given again"},
	{"all", "FOLDER", "each device in this folder"},
	{"count", "N", "sign for N devices at most"},
	{"countersign", "cose|psa-token", "what its Root of Trust can make (cose)"},
	{"trust", "RECORD...", "a line record besides those that `line trust` has taken in"},
	{"insecure-single-user", NULL, "go on where nothing keeps the device's secure world apart"},
	{NULL, NULL, NULL},
};

const struct command stage_commands[] = {
	{
		.name = "stage sign",
		.arguments = "--line DIR --order FILE (--device DIR... | --all FOLDER) ...",
		.summary = "sign for the stage that was just done, on each device",
		.help = "The device is there and says so: its Root of Trust countersigns exactly this stage "
			"of this\n"
			"batch under this number. The line then looks at the chain that the device has so "
			"far\n"
			"(whose device it is, that each statement names the one before, that the stage "
			"before was\n"
			"done at a line which the order names; signatures of lines whose records are at "
			"hand),\n"
			"counts, signs, keeps the statement in its outbox, and writes the new chain to the "
			"device.\n"
			"\n"
			"Nothing here needs a network. A device that has this stage already is passed over, "
			"so an\n"
			"interrupted run is run again. After a power cut a number may be missing; none is "
			"used\n"
			"twice. What is wrong with one device is said, and the run goes on with the next.",
		.exits = "0 done, 1 refused or failed (also: one of the devices), 2 wrong usage, 3 the order "
			 "is used up:\n"
			 "  nothing more is signed under it. Ask the OEM for another order, for a further "
			 "batch",
		.examples = "  mooring-factory stage sign --line line-1 --order chips.order --all factory\n"
			    "  mooring-factory stage sign --line line-1 --order chips.order --device "
			    "factory/7 \\\n"
			    "      --countersign psa-token\n",
		.files =
			"  LINE/counters/<batch>.<stage>        numbers used; on disk before each signature\n"
			"  LINE/outbox/<batch>.<stage>.<line>   the statements, for the register\n"
			"  DEVICE/normal/chain.cbor             the device's provenance chain\n",
		.options = sign_options,
		.run = stage_sign_command,
		.offline = true,
	},
	{0},
};
