/* Work orders and batches: how much of each is used, and the end of a freeze. */
#include "ctl.h"
#include "lines.h"
#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int take_orders(void *arg, json_t *page)
{
	json_array_extend(arg, json_object_get(page, "orders"));
	return EXIT_DONE;
}

/* As one list; NULL where a call failed: *code. */
static json_t *all_orders(struct ctl *c, const char *batch, const char *line, int *code)
{
	json_t *all = json_array();
	struct buf target = {0};
	buf_str(&target, "/v1/admin/orders");
	api_query(&target, "batch", batch);
	api_query(&target, "line", line);
	*code = api_pages(c, &target, take_orders, all);
	if (*code == EXIT_DONE)
		return all;
	json_decref(all);
	return NULL;
}

static const char *used_text(const json_t *o, char out[64])
{
	snprintf(out, 64, "%" PRId64 " of %" PRId64, api_number(o, "used"), api_number(o, "quota"));
	return out;
}

static void print_orders(const struct ctl *c, const json_t *orders)
{
	static const char *const headings[] = {"BATCH", "STAGE", "LINE", "USED", "UNTIL", "STATE"};
	struct table *t = table_new(headings, 6);
	json_t *o;
	size_t i;
	json_array_foreach((json_t *)(uintptr_t)orders, i, o) {
		char stage[24], used[64], until[TEXT_TIME_SIZE];
		bool frozen = api_flag(o, "frozen");
		snprintf(stage, sizeof stage, "%" PRId64, api_number(o, "stage"));
		const char *cells[] = {api_text(o, "batch"),
				       stage,
				       api_text(o, "line"),
				       used_text(o, used),
				       text_time_s(api_number(o, "not_after"), until),
				       frozen ? "frozen" : "open"};
		table_row(t, cells, 5, frozen ? RED : PLAIN);
	}
	table_end(t, c->colour, "no orders");
}

static int order_list(struct ctl *c, const struct arguments *a)
{
	const char *line = argument(a, "line");
	char hex[LINE_HEX_SIZE];
	int code = line ? lines_find(c, line, hex) : EXIT_DONE;
	json_t *orders =
		code == EXIT_DONE ? all_orders(c, argument(a, "batch"), line ? hex : NULL, &code) : NULL;
	if (!orders)
		return code;
	if (c->json)
		return api_print_json(json_pack("{s:o}", "orders", orders));
	print_orders(c, orders);
	json_decref(orders);
	return EXIT_DONE;
}

static void print_order(const json_t *o)
{
	char text[64], when[TEXT_TIME_SIZE], within[TEXT_TIME_SIZE];
	const json_t *line;
	size_t i;
	printf("order %s%s\n", api_text(o, "order"), api_flag(o, "frozen") ? ", its batch frozen" : "");
	text_field("batch", api_text(o, "batch"));
	text_number("stage", api_number(o, "stage"));
	text_field("line", api_text(o, "line"));
	text_field("used", used_text(o, text));
	text_field("from", text_time_s(api_number(o, "not_before"), when));
	text_field("until", text_time_s(api_number(o, "not_after"), when));
	snprintf(text, sizeof text, "%s after that",
		 text_duration(api_number(o, "register_within_s"), within));
	text_field("registered until", text);
	json_array_foreach(json_object_get(o, "previous"), i, line)
		text_field(i ? "or" : "follows line", json_string_value(line));
}

static int order_show(struct ctl *c, const struct arguments *a)
{
	int code;
	json_t *orders = all_orders(c, a->words[0], NULL, &code), *o;
	size_t i;
	if (!orders)
		return code;
	if (!json_array_size(orders)) {
		fprintf(stderr, "mooringctl: not-found: there is no order for batch %.40s\n", a->words[0]);
		code = EXIT_REFUSED;
	}
	if (c->json && code == EXIT_DONE)
		return api_print_json(json_pack("{s:o}", "orders", orders));
	json_array_foreach(orders, i, o)
		print_order(o);
	json_decref(orders);
	return code;
}

static int batch_release(struct ctl *c, const struct arguments *a)
{
	const char *reason = argument(a, "reason"), *programme = argument(a, "programme");
	json_t *answer = NULL;
	if (!reason)
		return ctl_usage("batch release needs --reason: what came of it, for the log");
	char *target = api_target("/v1/admin/batches/", a->words[0], "/release");
	int code = api_call(c, "POST", target,
			    json_pack("{s:s, s:s*}", "reason", reason, "programme", programme), &answer);
	free(target);
	if (code != EXIT_DONE)
		return code;
	if (c->json)
		return api_print_json(answer);
	printf("released: batch %s, log entry %" PRId64 "\n", api_text(answer, "batch"),
	       api_number(answer, "seq"));
	json_decref(answer);
	return EXIT_DONE;
}

static const struct option_spec list_options[] = {
	{"batch", "BATCH", "of this batch alone"},
	{"line", "LINE", "of this line alone: its key id, the beginning of it, or its site"},
	{NULL, NULL, NULL},
};
static const struct option_spec release_options[] = {
	{"reason", "TEXT", "for the log"},
	{"programme", "ID", "whose batch, in hex, where more than one has a frozen batch of this name"},
	{NULL, NULL, NULL},
};

const struct command order_commands[] = {
	{
		.name = "order list",
		.arguments = "[--batch BATCH] [--line LINE]",
		.summary = "work orders, and how much of each is used",
		.help = "A number of an order is used by the first device that enrols with it, and for good.",
		.examples = "  mooringctl order list --batch B-2026-11\n",
		.options = list_options,
		.run = order_list,
	},
	{
		.name = "order show",
		.arguments = "BATCH",
		.summary = "everything about the orders of a batch",
		.help = "One order a line and stage: from when to when, how many, and which line's work it follows.",
		.examples = "  mooringctl order show B-2026-11\n",
		.words_min = 1,
		.words_max = 1,
		.run = order_show,
	},
	{
		.name = "batch release",
		.arguments = "BATCH --reason TEXT [--programme ID]",
		.summary = "end the freeze of a batch",
		.help = "A batch is frozen when one of its lines signed two statements under one number: the alarm\n"
			"`equivocation` keeps both. Once it is known why, this lets its devices enrol again; the\n"
			"second of the two statements stays refused.",
		.examples =
			"  mooringctl batch release B-2026-11 --reason 'station 4 restored an old counter; fixed'\n",
		.options = release_options,
		.words_min = 1,
		.words_max = 1,
		.run = batch_release,
	},
	{0},
};
