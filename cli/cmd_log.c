#include "api.h"
#include "ctl.h"
#include "entry.h"
#include "moment.h"
#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- explain ---- */

static int say_unknown(const char *id)
{
	fprintf(stderr,
		"mooringctl: not-found: the log has no request \"%.64s\". A request id is 26 letters and digits, such as\n"
		"mooringctl: 01KAPB8Y3S7R5D2M4Q9X0C6T1E: a refused device prints it as \"request_id\", every answer of the\n"
		"mooringctl: gateway has it as X-Request-Id, and `mooringctl log` as the last of a line. A request that the\n"
		"mooringctl: edge refused stands in the edge's own log; one that changed and refused nothing in none.\n",
		id);
	return EXIT_REFUSED;
}

static int explain(struct ctl *c, const struct arguments *a)
{
	json_t *answer = NULL, *entry;
	char *target = api_target("/v1/admin/requests/", a->words[0], "");
	int code = api_call(c, "GET", target, NULL, &answer);
	size_t i;
	free(target);
	if (code != EXIT_DONE)
		return code;
	json_t *entries = json_object_get(answer, "entries");
	if (!json_array_size(entries))
		code = say_unknown(a->words[0]);
	if (c->json) {
		int printed = api_print_json(answer);
		return code == EXIT_DONE ? printed : code;
	}
	if (code == EXIT_DONE)
		printf("request %s: %zu log entr%s\n", a->words[0], json_array_size(entries),
		       json_array_size(entries) == 1 ? "y" : "ies");
	json_array_foreach(entries, i, entry) {
		putchar('\n');
		entry_print_story(c, entry, true);
	}
	json_decref(answer);
	return code;
}

/* ---- the log, a page at a time ---- */

/* Gives entries in order, whether they come from a file or from the gateway. */
struct source {
	struct ctl *c;
	FILE *file; /* NULL: the gateway */
	char *line;
	size_t line_room, line_number;
	json_t *page;
	size_t next;
	int64_t after;
	long last; /* 0: from `after` on */
	int code;  /* what went wrong, said already; EXIT_DONE at the end */
};

/* A line is an entry, or an answer of the gateway with its
 * "entries". The caller's to free; NULL at the end. */
static json_t *next_in_file(struct source *s)
{
	json_error_t e;
	if (s->page && s->next < json_array_size(s->page))
		return json_incref(json_array_get(s->page, s->next++));
	if (getline(&s->line, &s->line_room, s->file) < 0)
		return NULL;
	s->line_number++;
	json_t *value = json_loads(s->line, JSON_REJECT_DUPLICATES, &e);
	if (!value) {
		fprintf(stderr, "mooringctl: line %zu: %s\n", s->line_number, e.text);
		s->code = EXIT_REFUSED;
		return NULL;
	}
	json_t *entries = json_object_get(value, "entries");
	if (!entries)
		return value;
	json_decref(s->page);
	s->page = json_incref(entries);
	s->next = 0;
	json_decref(value);
	return next_in_file(s);
}

static bool fetch_page(struct source *s)
{
	char target[80];
	json_t *answer = NULL;
	int n = snprintf(target, sizeof target, "/v1/admin/log?after=%" PRId64 "&limit=%d", s->after,
			 API_PAGE_MAX);
	if (s->last && !s->after) /* the first page says where the rest goes on */
		snprintf(target + n, sizeof target - (size_t)n, "&last=%ld", s->last);
	s->code = api_call(s->c, "GET", target, NULL, &answer);
	json_decref(s->page);
	s->page = NULL;
	s->next = 0;
	if (s->code != EXIT_DONE)
		return false;
	s->page = json_incref(json_object_get(answer, "entries"));
	json_decref(answer);
	return json_array_size(s->page) > 0;
}

static json_t *next_at_gateway(struct source *s)
{
	if (s->next >= json_array_size(s->page) && !fetch_page(s))
		return NULL;
	json_t *entry = json_incref(json_array_get(s->page, s->next++));
	int64_t seq = api_number(entry, "seq");
	if (seq <= s->after) { /* a service that repeats itself would be read for ever */
		fprintf(stderr, "mooringctl: the log goes back at entry %" PRId64 "\n", seq);
		s->code = EXIT_REFUSED;
		json_decref(entry);
		return NULL;
	}
	s->after = seq;
	return entry;
}

static json_t *next_entry(struct source *s)
{
	return s->file ? next_in_file(s) : next_at_gateway(s);
}

static void source_close(struct source *s)
{
	if (s->file && s->file != stdin)
		fclose(s->file);
	json_decref(s->page);
	free(s->line);
}

/* ---- log, log --verify ---- */

static int print_log(struct source *s, long limit)
{
	json_t *entry;
	long n = 0;
	for (; (limit == 0 || n < limit) && (entry = next_entry(s)); n++) {
		if (n == 0 && !s->c->json)
			entry_print_heading(s->c);
		if (s->c->json) {
			json_dumpf(entry, stdout, JSON_PRESERVE_ORDER | JSON_COMPACT);
			putchar('\n');
		} else {
			entry_print_line(s->c, entry);
		}
		json_decref(entry);
	}
	if (n == 0 && !s->c->json && s->code == EXIT_DONE)
		puts("no entries");
	return s->code;
}

static int say_verified(const struct ctl *c, const struct log_chain *chain, outcome o, const struct fault *f)
{
	char head[HEX_SIZE(SHA256_SIZE)];
	hex_encode(bytes_of(chain->hash, SHA256_SIZE), head);
	if (c->json) {
		json_t *out = json_pack("{s:b, s:I, s:s, s:s}", "intact", o.ok, "entries",
					(json_int_t)chain->seq, "head", head, "rule", o.ok ? "" : f->text);
		int code = api_print_json(out);
		return o.ok ? code : EXIT_REFUSED;
	}
	text_print_colour(c->colour, o.ok ? GREEN : RED, o.ok ? "intact" : "NOT INTACT");
	printf(": %" PRId64 " entries verified, head %s\n", chain->seq, head);
	if (!o.ok) {
		text_print(f->text);
		putchar('\n');
	}
	return o.ok ? EXIT_DONE : EXIT_REFUSED;
}

/* The whole chain, from the first entry: a later start would have to trust the hash that it starts from. */
static int verify_log(struct source *s)
{
	struct log_chain chain = log_chain_begin();
	struct fault f = {0};
	outcome o = DONE;
	json_t *entry;
	while (o.ok && (entry = next_entry(s))) {
		struct entry_room room;
		struct log_entry e;
		o = entry_read(entry, &room, &e, &f);
		if (o.ok)
			o = log_chain_check(&chain, &e, &f);
		json_decref(entry);
	}
	return s->code != EXIT_DONE ? s->code : say_verified(s->c, &chain, o, &f);
}

static int show_log(struct ctl *c, const struct arguments *a)
{
	struct fault f = {0};
	long after, limit, last;
	const char *path = argument(a, "file");
	bool verify = argument_flag(a, "verify");
	if (!argument_number(a, "after", 0, INT32_MAX, 0, &after, &f).ok ||
	    !argument_number(a, "limit", 1, INT32_MAX, 0, &limit, &f).ok ||
	    !argument_number(a, "last", 1, INT32_MAX, 0, &last, &f).ok)
		return ctl_usage("%s", f.text);
	if (verify && (after || limit || last))
		return ctl_usage(
			"log --verify checks from the first entry: --after, --limit and --last do not go with it");
	if (last && (after || limit || path))
		return ctl_usage(
			"--last is the end of the gateway's log: --after, --limit and --file do not go with it");
	struct source s = {.c = c, .after = after, .last = last};
	if (path && !(s.file = strcmp(path, "-") ? fopen(path, "re") : stdin)) {
		perror(path);
		return EXIT_REFUSED;
	}
	int code = verify ? verify_log(&s) : print_log(&s, last ? last : limit);
	source_close(&s);
	return code;
}

/* ---- alarms ---- */

struct alarms_told {
	const struct ctl *c;
	json_t *all;
};

/* For people each page as it comes. */
static int tell_alarms(void *arg, json_t *page)
{
	struct alarms_told *told = arg;
	json_t *alarms = json_object_get(page, "alarms"), *alarm;
	size_t i;
	json_array_foreach(alarms, i, alarm)
		if (!told->c->json)
			entry_print_story(told->c, alarm, true);
	json_array_extend(told->all, alarms);
	return EXIT_DONE;
}

static int alarms(struct ctl *c, const struct arguments *a)
{
	struct alarms_told told = {.c = c};
	struct buf target = {0};
	struct fault f = {0};
	char from[24];
	int64_t since;
	if (!moment_argument(a, "since", 0, &since, &f).ok)
		return ctl_usage("%s", f.text);
	snprintf(from, sizeof from, "%" PRId64, since);
	buf_str(&target, "/v1/admin/alarms");
	api_query(&target, "kind", argument(a, "kind"));
	api_query(&target, "since", since ? from : NULL);
	told.all = json_array();
	int code = api_pages(c, &target, tell_alarms, &told);
	if (code == EXIT_DONE && c->json)
		return api_print_json(json_pack("{s:o}", "alarms", told.all));
	if (code == EXIT_DONE && !json_array_size(told.all))
		puts("no alarms");
	json_decref(told.all);
	return code;
}

static const struct option_spec log_options[] = {
	{"after", "SEQ", "entries after this number (0: from the first)"},
	{"limit", "N", "at most so many (all)"},
	{"last", "N", "the newest N, in the same order"},
	{"verify", NULL, "check the hash chain of the whole log"},
	{"file", "FILE", "entries from a file that `log --json` wrote, instead of the gateway"},
	{NULL, NULL, NULL},
};

static const struct option_spec alarm_options[] = {
	{"kind", "CODE", "of this reason code alone: clone-suspect, equivocation, ..."},
	{"since", "TIME", "from then on: Unix seconds, or UTC as 2026-11-22T15:00"},
	{NULL, NULL, NULL},
};

const struct command log_commands[] = {
	{
		.name = "explain",
		.arguments = "REQUEST-ID",
		.summary = "everything the gateway knows about one request",
		.help = "A device that is refused learns a general code and a request id, 26 letters and\n"
			"digits, and prints them. This tells the rest: when, in which stage, by which\n"
			"rule, about which device, what was issued.",
		.examples =
			"  mooringctl explain 01KAPB8Y3S7R5D2M4Q9X0C6T1E\n"
			"  mooringctl --json explain 01KAPB8Y3S7R5D2M4Q9X0C6T1E | jq -r '.entries[].reason'\n",
		.words_min = 1,
		.words_max = 1,
		.run = explain,
		.exits = "0 told; 1 the log has no such request, or asking failed; 2 wrong usage",
	},
	{
		.name = "log",
		.arguments = "[--after SEQ] [--limit N] [--last N] [--verify] [--file FILE]",
		.summary = "the gateway's log, and the proof that it is whole",
		.help = "Everything that changed a certificate's, device's or policy's standing, and\n"
			"every refusal, in one order. Each entry's hash covers the one before: --verify\n"
			"recomputes all of them from the first, here, with entries from the gateway or\n"
			"from a file. With --json each entry is one line: keep it as evidence.",
		.examples =
			"  mooringctl log --last 20\n"
			"  mooringctl log --after 1200\n"
			"  mooringctl --json log > log.ndjson && mooringctl log --verify --file log.ndjson\n"
			"  mooringctl log --verify\n",
		.options = log_options,
		.words_min = 0,
		.words_max = 0,
		.run = show_log,
		.exits = "0 told, and with --verify: intact; 1 not intact, or asking failed; 2 wrong usage",
	},
	{
		.name = "alarms",
		.arguments = "[--kind CODE] [--since TIME]",
		.summary = "what needs a look: clones, lines that cheat, stores put back, and the like",
		.help = "A clone alarm says that a second key was presented for a device that has a\n"
			"live one: the device is suspended until an operator has looked (`mooringctl\n"
			"show THING`, then resume, allow-reenrol or revoke). Of provenance: order-over-quota and\n"
			"order-missing (more was made than was ordered), equivocation (two statements under one\n"
			"number; both are kept, and the batch may be frozen), chain-diverted (a device left the\n"
			"chain early: after which stage, at which line, when), line-rate, line-revoked,\n"
			"rot-key-mismatch, register-history.\n"
			"An alarm is history and stays; `device now` tells how its device stands today.",
		.examples = "  mooringctl alarms\n"
			    "  mooringctl alarms --kind equivocation --since 2026-11-22\n",
		.options = alarm_options,
		.words_min = 0,
		.words_max = 0,
		.run = alarms,
	},
	{0},
};
