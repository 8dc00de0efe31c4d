/* What the gateway is to know of lines, orders and the register: brought to it, and how it stands. */
#include "api.h"
#include "ctl.h"
#include "input.h"
#include "text.h"
#include "common/provenance/receipt.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ADD_MAX = 200 };

/* ---- add ---- */

struct added {
	int64_t lines, orders, unchanged;
};

static outcome read_object(const char *path, json_t *list, struct fault *f)
{
	char text[BASE64_SIZE(PROVENANCE_OBJECT_MAX)];
	struct buf object = {0};
	const char *form;
	outcome o = input_read(path, PROVENANCE_OBJECT_MAX, &object, &form, f);
	if (o.ok && !provenance_type_of(buf_view(&object)))
		o = refuse(f, REASON_BAD_FIELD, "%s is neither a line record nor a work order",
			   input_name(path));
	if (o.ok) {
		base64url_encode(buf_view(&object), text);
		json_array_append_new(list, json_string(text));
	}
	buf_free(&object);
	return o;
}

/* The gateway counts the objects of a call; people know files. */
static int add_call(struct ctl *c, const struct arguments *a, size_t from, size_t count, struct added *sum)
{
	json_t *list = json_array(), *answer = NULL;
	struct fault f = {0};
	outcome o = DONE;
	for (size_t i = 0; o.ok && i < count; i++)
		o = read_object(a->words[from + i], list, &f);
	if (!o.ok) {
		json_decref(list);
		return ctl_fail(&f);
	}
	int code = api_call(c, "POST", "/v1/admin/provenance/objects", json_pack("{s:o}", "objects", list),
			    &answer);
	if (code != EXIT_DONE && count > 1)
		fprintf(stderr, "mooringctl: objects[0] is %s; none of these %zu files is taken\n",
			input_name(a->words[from]), count);
	sum->lines += api_number(answer, "lines");
	sum->orders += api_number(answer, "orders");
	sum->unchanged += api_number(answer, "unchanged");
	json_decref(answer);
	return code;
}

static int provenance_add(struct ctl *c, const struct arguments *a)
{
	struct added sum = {0};
	int code = EXIT_DONE;
	for (size_t at = 0; code == EXIT_DONE && at < a->word_count; at += ADD_MAX) {
		size_t rest = a->word_count - at;
		code = add_call(c, a, at, rest < ADD_MAX ? rest : ADD_MAX, &sum);
	}
	if (code != EXIT_DONE)
		return code;
	if (c->json)
		return api_print_json(json_pack("{s:I, s:I, s:I}", "lines", (json_int_t)sum.lines, "orders",
						(json_int_t)sum.orders, "unchanged",
						(json_int_t)sum.unchanged));
	printf("added: %" PRId64 " line record%s, %" PRId64 " order%s; %" PRId64 " there already\n",
	       sum.lines, sum.lines == 1 ? "" : "s", sum.orders, sum.orders == 1 ? "" : "s", sum.unchanged);
	return EXIT_DONE;
}

/* ---- push ---- */

struct push {
	struct ctl *ctl;
	const char *path;
	FILE *file;
	off_t bytes;
	int64_t known; /* entries that the gateway has; -1: not asked yet */
	int64_t size, added;
	size_t line;
	bool terminal;
};

static int64_t last_of(const json_t *batch)
{
	return api_number(batch, "first") + (int64_t)json_array_size(json_object_get(batch, "entries")) - 1;
}

/* Of the register that the first line is a word of. */
static int ask_known(struct push *p, const json_t *batch)
{
	uint8_t word[PROVENANCE_OBJECT_MAX];
	const char *text = api_text(batch, "head"), *id;
	struct register_head head;
	struct fault f = {0};
	char hex[HEX_SIZE(PROGRAMME_ID_SIZE)];
	size_t n = 0, i;
	json_t *answer = NULL, *one;
	if (!base64url_decode(text, strlen(text), word, sizeof word, &n) ||
	    !register_head_read(bytes_of(word, n), &head, &f).ok) {
		fprintf(stderr, "mooringctl: field-invalid: %s:%zu: this is no line of a register's export\n",
			p->path, p->line);
		return EXIT_REFUSED;
	}
	int code = api_call(p->ctl, "GET", "/v1/admin/provenance", NULL, &answer);
	hex_encode(bytes_of(head.programme, PROGRAMME_ID_SIZE), hex);
	p->known = 0;
	json_array_foreach(json_object_get(answer, "programmes"), i, one) {
		id = api_text(one, "programme");
		if (!strcmp(id, hex))
			p->known = api_number(one, "register_size");
	}
	json_decref(answer);
	return code;
}

static void show_progress(const struct push *p)
{
	off_t at = ftello(p->file);
	if (p->terminal)
		fprintf(stderr, "\r%3lld %%  entry %" PRId64 ", %" PRId64 " new ",
			p->bytes > 0 ? (long long)(at * 100 / p->bytes) : 100, p->size, p->added);
}

/* What the gateway has is not sent again, but for the last line: the register's newest word is compared. */
static int send_batch(struct push *p, json_t *batch, bool is_last)
{
	json_t *answer = NULL;
	int code = p->known < 0 ? ask_known(p, batch) : EXIT_DONE;
	if (code != EXIT_DONE)
		return code;
	if (last_of(batch) <= p->known && !is_last)
		return EXIT_DONE;
	code = api_call(p->ctl, "POST", "/v1/admin/provenance/register", json_incref(batch), &answer);
	if (code == EXIT_DONE) {
		p->size = api_number(answer, "size");
		p->added += api_number(answer, "added");
		show_progress(p);
	} else {
		fprintf(stderr, "mooringctl: %s:%zu: entries %" PRId64 " to %" PRId64 " are not taken\n",
			p->path, p->line, api_number(batch, "first"), last_of(batch));
	}
	json_decref(answer);
	return code;
}

/* The next line that is not blank; NULL at the end, or where it is no object: *code says which. */
static json_t *next_line(struct push *p, char **line, size_t *room, int *code)
{
	json_error_t e;
	ssize_t n;
	do {
		n = getline(line, room, p->file);
		p->line += n >= 0;
	} while (n >= 0 && !(*line)[strspn(*line, " \t\r\n")]);
	if (n < 0)
		return NULL;
	json_t *object = json_loads(*line, JSON_REJECT_DUPLICATES, &e);
	if (json_is_object(object))
		return object;
	fprintf(stderr, "mooringctl: json-malformed: %s:%zu: this is no line of a register's export\n",
		p->path, p->line);
	json_decref(object);
	*code = EXIT_REFUSED;
	return NULL;
}

static int push_lines(struct push *p)
{
	char *line = NULL;
	size_t room = 0;
	int code = EXIT_DONE;
	json_t *batch = next_line(p, &line, &room, &code);
	while (batch && code == EXIT_DONE) {
		json_t *next = next_line(p, &line, &room, &code);
		if (code == EXIT_DONE)
			code = send_batch(p, batch, !next);
		json_decref(batch);
		batch = next;
	}
	json_decref(batch);
	free(line);
	if (p->terminal)
		fputc('\n', stderr);
	return code;
}

static int print_pushed(const struct push *p)
{
	if (p->ctl->json)
		return api_print_json(
			json_pack("{s:I, s:I}", "size", (json_int_t)p->size, "added", (json_int_t)p->added));
	printf("register: %" PRId64 " entries, %" PRId64 " of them new\n", p->size, p->added);
	return EXIT_DONE;
}

static int provenance_push(struct ctl *c, const struct arguments *a)
{
	struct push p = {
		.ctl = c, .path = a->words[0], .known = -1, .terminal = isatty(STDERR_FILENO) && !c->json};
	struct stat st;
	p.file = strcmp(p.path, "-") ? fopen(p.path, "re") : stdin;
	if (!p.file) {
		perror(p.path);
		return EXIT_REFUSED;
	}
	p.bytes = fstat(fileno(p.file), &st) ? 0 : st.st_size;
	int code = push_lines(&p);
	if (p.file != stdin)
		fclose(p.file);
	if (code == EXIT_DONE && p.known < 0) {
		fprintf(stderr, "mooringctl: not-found: %s holds no entries\n", p.path);
		return EXIT_REFUSED;
	}
	if (code == EXIT_DONE)
		return print_pushed(&p);
	if (p.added)
		fprintf(stderr,
			"mooringctl: %" PRId64 " entries are in, up to number %" PRId64
			"; the same command goes on from there\n",
			p.added, p.size);
	return code;
}

/* ---- status ---- */

static void print_programme(const json_t *p)
{
	char time[TEXT_TIME_SIZE], number[64];
	fputs("programme ", stdout);
	text_print(api_text(p, "name")[0] ? api_text(p, "name") : "(no class names it any more)");
	putchar('\n');
	text_field("id", api_text(p, "programme"));
	snprintf(number, sizeof number, "%" PRId64 ", %" PRId64 " orders", api_number(p, "lines"),
		 api_number(p, "orders"));
	text_field("lines", number);
	text_number("devices", api_number(p, "devices"));
	snprintf(number, sizeof number, "%" PRId64 " entries", api_number(p, "register_size"));
	text_field("register", number);
	text_field("newest entry", text_time_s(api_number(p, "register_time"), time));
	text_field("as it said", text_time_s(api_number(p, "register_said"), time));
}

static void print_state(const struct ctl *c, json_t *answer)
{
	static const char *const headings[] = {"CLASS", "ASKED", "PROGRAMME", "IMPLEMENTATION ID"};
	struct table *t = table_new(headings, 4);
	json_t *one;
	size_t i;
	json_array_foreach(json_object_get(answer, "classes"), i, one) {
		const char *id = api_text(one, "implementation_id");
		const char *cells[] = {api_text(one, "class"), api_text(one, "mode"),
				       api_text(one, "programme"), id[0] ? id : "(all others)"};
		table_row(t, cells, 0, PLAIN);
	}
	table_end(t, c->colour,
		  "no class of devices is configured: provenance is asked of none.\n"
		  "To ask, name a class file under provenance: in gateway.yaml, then restart the gateway");
	json_array_foreach(json_object_get(answer, "programmes"), i, one) {
		putchar('\n');
		print_programme(one);
	}
	json_array_foreach(json_object_get(answer, "frozen"), i, one) {
		char since[TEXT_TIME_SIZE];
		printf("\nbatch %s of programme %s is ", api_text(one, "batch"), api_text(one, "programme"));
		text_print_colour(c->colour, RED, "frozen");
		printf(" since %s: mooringctl alarms tells why, batch release ends it\n",
		       text_time_ms(api_number(one, "since_ms"), since));
	}
}

static int provenance_status(struct ctl *c, const struct arguments *a)
{
	(void)a;
	return api_show(c, api_target("/v1/admin/provenance", "", ""), print_state);
}

const struct command provenance_commands[] = {
	{
		.name = "provenance add",
		.arguments = "FILE...",
		.summary = "bring line records and work orders to the gateway",
		.help = "Files as mooring-factory makes them, of either kind, in any order. Each is verified under\n"
			"its programme's keys. They count when this answers; of a call none is taken where one is\n"
			"not. A line record that is older than what the gateway has is refused, and so is another\n"
			"order for the same line, batch and stage: a further quantity is a further batch.",
		.examples = "  mooringctl provenance add *.record *.order\n",
		.words_min = 1,
		.words_max = WORDS_MAX,
		.run = provenance_add,
		.files =
			"  FILE                    a line record or work order (COSE_Sign1), binary, hex or base64\n",
	},
	{
		.name = "provenance push",
		.arguments = "FILE",
		.summary = "show the gateway what is new in the register",
		.help = "FILE is an export of the register (mooring-factory register export). What the gateway has\n"
			"is not sent again: interrupted, the same command goes on. The gateway follows the hash\n"
			"chain from where its copy ends to the register's signed word. Another history than the one\n"
			"it knows, or a shorter one, is refused, and the alarm `register-history` keeps both words.",
		.examples = "  mooringctl provenance push register.ndjson\n",
		.words_min = 1,
		.words_max = 1,
		.run = provenance_push,
		.files =
			"  FILE                    NDJSON: {\"first\", \"entries\", \"head\"} a line; - is standard input\n",
	},
	{
		.name = "provenance status",
		.arguments = "",
		.summary = "classes of devices, lines and orders, the copy of the register, frozen batches",
		.help = "What is asked of which devices, and what the gateway knows to check it with.",
		.examples = "  mooringctl provenance status\n",
		.words_min = 0,
		.words_max = 0,
		.run = provenance_status,
	},
	{0},
};
