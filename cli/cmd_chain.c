#include "checks.h"
#include "ctl.h"
#include "input.h"
#include "provenance_view.h"
#include "text.h"
#include "common/provenance/chain_check.h"
#include "common/provenance/programme.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KNOWN_MAX = 32 };

/* What a check was given, and what came of it so far. */
struct check {
	struct buf input, line_files[KNOWN_MAX], order_files[KNOWN_MAX];
	size_t line_count, order_count;
	struct programme programme;
	uint8_t instance_id[INSTANCE_ID_SIZE];
	bool has_programme, has_instance, parsed;
	struct chain_rules rules;
	struct chain chain;
	struct line_record lines[KNOWN_MAX];
	struct work_order orders[KNOWN_MAX];
	struct chain_shown shown;
	json_t *taken; /* what came of each step */
};

static void check_free(struct check *k)
{
	buf_free(&k->input);
	for (size_t i = 0; i < KNOWN_MAX; i++) {
		buf_free(&k->line_files[i]);
		buf_free(&k->order_files[i]);
	}
	json_decref(k->taken);
	free(k);
}

/* ---- what it is given ---- */

static outcome read_files(const struct arguments *a, const char *option, struct buf *files, size_t *count,
			  struct fault *f)
{
	const char *path, *form;
	size_t at = 0;
	outcome o = DONE;
	while (o.ok && (path = argument_next(a, option, &at)) != NULL) {
		if (*count == KNOWN_MAX)
			return refuse(f, REASON_BAD_FIELD, "--%s may be given %d times", option, KNOWN_MAX);
		o = input_read(path, PROVENANCE_OBJECT_MAX, &files[(*count)++], &form, f);
	}
	return o;
}

static outcome read_instance(const char *hex, struct check *k, struct fault *f)
{
	size_t n;
	k->has_instance = hex != NULL;
	if (hex &&
	    (!hex_decode(hex, strlen(hex), k->instance_id, INSTANCE_ID_SIZE, &n) || n != INSTANCE_ID_SIZE))
		return refuse(f, REASON_BAD_FIELD, "--instance-id must be %d hexadecimal digits",
			      2 * INSTANCE_ID_SIZE);
	return DONE;
}

/* "10,20,30": the one variant that the device must have been through. */
static outcome read_stages(const struct arguments *a, struct chain_rules *rules, struct fault *f)
{
	struct chain_variant *v = &rules->variants[0];
	outcome o = argument_numbers(a, "stages", STAGE_NUMBER_MAX, v->stages, STAGES_MAX, &v->count, f);
	rules->variant_count = v->count > 0;
	return o;
}

static outcome read_all(const struct arguments *a, struct check *k, struct fault *f)
{
	const char *form, *programme = argument(a, "programme");
	k->rules.allow_test_keys = argument_flag(a, "allow-test-keys");
	outcome o = read_instance(argument(a, "instance-id"), k, f);
	if (o.ok)
		o = read_stages(a, &k->rules, f);
	if (o.ok)
		o = input_read(a->words[0], 2 * CHAIN_MAX, &k->input, &form, f);
	if (o.ok)
		o = read_files(a, "line", k->line_files, &k->line_count, f);
	if (o.ok)
		o = read_files(a, "order", k->order_files, &k->order_count, f);
	if (o.ok && programme)
		o = programme_load(programme, &k->programme, f);
	k->has_programme = programme != NULL;
	memcpy(k->rules.programme, k->programme.id, PROGRAMME_ID_SIZE);
	return o;
}

/* ---- what is known of lines and orders ---- */

static const struct line_record *find_line(void *arg, const uint8_t key_id[KEY_ID_SIZE])
{
	const struct check *k = arg;
	const struct line_record *found = NULL;
	uint8_t id[KEY_ID_SIZE];
	for (size_t i = 0; i < k->line_count; i++) {
		provenance_key_id(k->lines[i].key, id);
		if (!memcmp(id, key_id, KEY_ID_SIZE) && (!found || found->version < k->lines[i].version))
			found = &k->lines[i];
	}
	return found;
}

static const struct work_order *find_order(void *arg, const uint8_t line[KEY_ID_SIZE], const char *batch,
					   int64_t stage)
{
	const struct check *k = arg;
	for (size_t i = 0; i < k->order_count; i++) {
		const struct work_order *o = &k->orders[i];
		if (!memcmp(o->line, line, KEY_ID_SIZE) && !strcmp(o->batch, batch) && o->stage == stage)
			return o;
	}
	return NULL;
}

/* ---- the steps ---- */

static outcome step_format(void *arg, struct fault *f)
{
	struct check *k = arg;
	outcome o = chain_read(buf_view(&k->input), &k->chain, f);
	k->parsed = o.ok;
	return o;
}

static outcome step_lines(void *arg, struct fault *f)
{
	struct check *k = arg;
	outcome o = DONE;
	for (size_t i = 0; o.ok && i < k->line_count; i++)
		o = programme_line_record(&k->programme, buf_view(&k->line_files[i]), &k->lines[i], f);
	return o;
}

static outcome step_orders(void *arg, struct fault *f)
{
	struct check *k = arg;
	outcome o = DONE;
	for (size_t i = 0; o.ok && i < k->order_count; i++)
		o = programme_work_order(&k->programme, buf_view(&k->order_files[i]), &k->orders[i], f);
	return o;
}

/* Without --stages, whatever stages the chain has are those that the device should have. */
static outcome step_chain(void *arg, struct fault *f)
{
	struct check *k = arg;
	const struct chain_world world = {
		.line = find_line, .order = find_order, .register_key = k->programme.register_key, .arg = k};
	struct chain_rules rules = k->rules;
	if (!rules.variant_count) {
		rules.variant_count = 1;
		rules.variants[0].count = k->chain.count;
		for (size_t i = 0; i < k->chain.count; i++)
			rules.variants[0].stages[i] = (uint8_t)k->chain.statements[i].stage;
	}
	return chain_check(&k->chain, k->instance_id, &rules, &world, &k->shown, f);
}

static bool has_programme(const void *arg)
{
	const struct check *k = arg;
	return k->has_programme;
}

static bool has_all(const void *arg)
{
	const struct check *k = arg;
	return k->has_programme && k->has_instance;
}

static const struct check_step steps[] = {
	{"format and encoding", NULL, NULL, step_format},
	{"line records, by the line authority's key", "--programme", has_programme, step_lines},
	{"work orders, by the programme's key", "--programme", has_programme, step_orders},
	{"device, lines, orders, register, countersignature", "--programme and --instance-id", has_all,
	 step_chain},
};

/* ---- what is printed ---- */

/* As far as they could be read. */
static json_t *view_known(const struct check *k)
{
	json_t *out = json_pack("{s:[], s:[]}", "lines", "orders");
	struct line_record line;
	struct work_order order;
	for (size_t i = 0; i < k->line_count; i++)
		if (line_record_read(buf_view(&k->line_files[i]), &line, NULL).ok)
			json_array_append_new(json_object_get(out, "lines"), provenance_view_line(&line));
	for (size_t i = 0; i < k->order_count; i++)
		if (work_order_read(buf_view(&k->order_files[i]), &order, NULL).ok)
			json_array_append_new(json_object_get(out, "orders"), provenance_view_order(&order));
	return out;
}

static void print_each(const char *what, const json_t *list)
{
	char heading[64];
	size_t i;
	json_t *one;
	json_array_foreach(list, i, one) {
		snprintf(heading, sizeof heading, "%s %zu", what, i + 1);
		provenance_view_print(heading, one);
	}
}

static void print_people(const struct check *k, const json_t *view)
{
	const json_t *receipt = json_object_get(view, "receipt");
	printf("provenance chain, %zu bytes\n", k->input.n);
	print_each("statement", json_object_get(view, "statements"));
	if (k->parsed)
		provenance_view_print("countersignature", json_object_get(view, "countersignature"));
	if (json_is_object(receipt))
		provenance_view_print("receipt", receipt);
	print_each("line", json_object_get(view, "lines"));
	print_each("work order", json_object_get(view, "orders"));
	checks_print(k->taken);
}

static void print_json(const struct check *k, json_t *view, outcome checked, const struct fault *f)
{
	json_object_set_new(view, "bytes", json_integer((json_int_t)k->input.n));
	json_object_set_new(view, "honest", json_integer((json_int_t)k->shown.honest));
	checks_print_json(view, k->taken, has_all(k), checked, f);
}

/* A chain that nobody compared with its device and its keys is not accepted. */
static void print_result(const struct ctl *c, const struct check *k, outcome checked, const struct fault *f)
{
	if (checked.ok && !has_all(k)) {
		text_print_colour(c->colour, YELLOW, "INCOMPLETE");
		puts(": nothing breaks a rule, but no signature was checked without --programme and --instance-id");
		return;
	}
	if (!checked.ok && k->parsed && has_all(k))
		printf("honest up to statement %zu of %zu\n", k->shown.honest, k->chain.count);
	ctl_print_result(c, checked, f);
}

static int chain_check_run(struct ctl *c, const struct arguments *a)
{
	struct check *k = calloc(1, sizeof *k);
	struct fault f = {0};
	if (!k) {
		refuse(&f, REASON_NO_MEMORY, "no memory for a check");
		return ctl_fail(&f);
	}
	outcome o = read_all(a, k, &f);
	if (!o.ok) {
		check_free(k);
		return ctl_fail_given(&f);
	}
	o = checks_run(steps, sizeof steps / sizeof *steps, k, &k->taken, &f);
	json_t *view = k->parsed ? provenance_view_chain(&k->chain) : json_object(), *known = view_known(k);
	json_object_update(view, known);
	json_decref(known);
	int code = o.ok && has_all(k) ? EXIT_DONE : EXIT_REFUSED;
	if (c->json) {
		print_json(k, view, o, &f);
	} else {
		print_people(k, view);
		print_result(c, k, o, &f);
	}
	json_decref(view);
	check_free(k);
	return code;
}

static const struct option_spec chain_options[] = {
	{"programme", "FILE", "programme.json: whose chain it should be, and the keys to check with"},
	{"instance-id", "HEX", "instance ID of the device that the chain should be of, 66 digits"},
	{"line", "FILE...", "a line record; of two for a line, the later version counts"},
	{"order", "FILE...", "a work order"},
	{"stages", "LIST", "the stages that the device must have been through, with commas (any)"},
	{"allow-test-keys", NULL, "accept published test keys as the device's RoT key"},
	{NULL, NULL, NULL},
};

const struct command chain_commands[] = {
	{
		.name = "chain check",
		.arguments = "FILE [--programme FILE] [--instance-id HEX] [--line FILE]… [--order FILE]…",
		.summary = "read a device's provenance chain with the daemons' own parser, and check it",
		.help = "Prints every field of every statement, each check, and then ACCEPT or REJECT with the\n"
			"reason code and the rule: the same code and rule that the gateway logs; and up to which\n"
			"statement the chain is honest. Nothing is asked of any server: what is registered shows in\n"
			"the chain's receipt alone. Each FILE (\"-\": standard input) holds the bytes or their\n"
			"hexadecimal or base64.",
		.examples =
			"  mooringctl chain check chain.cbor\n"
			"  mooringctl chain check chain.cbor --programme programme.json --instance-id 01a4… \\\n"
			"      --line line-1.record --line line-2.record \\\n"
			"      --order line-1.order --order line-2.order --stages 1,2\n",
		.options = chain_options,
		.words_min = 1,
		.words_max = 1,
		.run = chain_check_run,
		.offline = true,
		.exits =
			"0 ACCEPT; 1 REJECT, or INCOMPLETE: without --programme and --instance-id nothing was verified; 2 wrong usage",
	},
	{0},
};
