#include "objects.h"
#include "register.h"

#include "cli/text.h"
#include "common/clock.h"
#include "common/file.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- export ---- */

enum { EXPORT_ENTRIES = 1000 };

/* The register is of `last` entries no later than its next one came: its word for a part is as old as that part. */
static outcome export_line(const struct factory_register *r, int64_t first, int64_t last, struct buf *out,
			   struct fault *f)
{
	struct buf head = {0};
	char text[BASE64_SIZE(PROVENANCE_OBJECT_MAX)], hex[HEX_SIZE(SHA256_SIZE)];
	uint8_t hash[SHA256_SIZE];
	bool whole = last == (int64_t)r->log.count;
	int64_t time = whole ? clock_wall_s() : register_log_at(&r->log, last).time;
	outcome o = register_log_head(&r->log, last, time, &head, f);
	buf_printf(out, "{\"first\": %lld, \"entries\": [", (long long)first);
	for (int64_t i = first; i <= last; i++) {
		struct register_item item = register_log_at(&r->log, i);
		sha256(item.object, hash);
		hex_encode(bytes_of(hash, sizeof hash), hex);
		buf_printf(out, "%s{\"time\": %lld, \"object\": \"%s\"}", i > first ? ", " : "",
			   (long long)item.time, hex);
	}
	if (o.ok) {
		base64url_encode(buf_view(&head), text);
		buf_printf(out, "], \"head\": \"%s\"}\n", text);
	}
	buf_free(&head);
	return o.ok && out->failed ? refuse(f, REASON_NO_MEMORY, "no memory for an export") : o;
}

static outcome export_all(const struct factory_register *r, int64_t after, const char *path, struct fault *f)
{
	struct buf out = {0};
	int64_t count = (int64_t)r->log.count;
	outcome o = DONE;
	for (int64_t first = after + 1; o.ok && first <= count; first += EXPORT_ENTRIES) {
		int64_t last = first + EXPORT_ENTRIES - 1;
		o = export_line(r, first, last < count ? last : count, &out, f);
	}
	if (o.ok)
		o = file_replace(path, buf_view(&out), 0644, f);
	buf_free(&out);
	return o;
}

static int register_export(struct ctl *c, const struct arguments *a)
{
	struct factory_register r;
	struct fault f;
	const char *path = NULL;
	long after = 0;
	(void)c;
	outcome o = register_begin(&r, a, false, &f);
	if (o.ok)
		o = factory_need(a, "out", &path, &f);
	if (o.ok)
		o = argument_number(a, "after", 0, UINT32_MAX, 0, &after, &f);
	if (o.ok && after > (long)r.log.count)
		o = refuse(&f, REASON_BAD_FIELD, "--after %ld: the register has %zu entries", after,
			   r.log.count);
	if (o.ok)
		o = export_all(&r, after, path, &f);
	if (o.ok && after == (long)r.log.count)
		printf("no entries after %ld: %s is empty\n", after, path);
	else if (o.ok)
		printf("entries %ld to %zu: %s\n", after + 1, r.log.count, path);
	register_end(&r);
	return factory_end(o, &f);
}

/* ---- verify, status ---- */

static void print_head(const struct factory_register *r)
{
	char hex[HEX_SIZE(SHA256_SIZE)], text[TEXT_TIME_SIZE];
	const uint8_t *head =
		r->log.count ? register_log_at(&r->log, (int64_t)r->log.count).head : r->log.head;
	int64_t time = r->log.count ? register_log_at(&r->log, (int64_t)r->log.count).time : 0;
	hex_encode(bytes_of(head, SHA256_SIZE), hex);
	text_field("head", hex);
	text_field("last entry", text_time_s(time, text));
}

static int register_verify(struct ctl *c, const struct arguments *a)
{
	struct factory_register r;
	struct fault f;
	outcome o = register_begin(&r, a, false, &f);
	if (o.ok) {
		text_print_colour(c->colour, GREEN, "ACCEPT");
		printf(": %zu entries, every hash holds, and the register has signed for the last one\n",
		       r.log.count);
		print_head(&r);
	}
	register_end(&r);
	return factory_end(o, &f);
}

static void print_order(const struct work_order *o, size_t registered)
{
	char text[96], id[LINE_ID_HEX];
	line_id_hex(o->line, id);
	snprintf(text, sizeof text, "stage %lld, line %.8s: %zu of %lld", (long long)o->stage, id, registered,
		 (long long)o->quota);
	text_field(o->batch, text);
}

/* Statements of each order; orders stand before their statements. */
static outcome print_orders(const struct factory_register *r, struct fault *f)
{
	struct work_order order;
	struct stage_statement s;
	struct fault other;
	size_t *counts = calloc(r->log.count + 1, sizeof *counts);
	if (!counts)
		return refuse(f, REASON_NO_MEMORY, "no memory for a count");
	for (int64_t i = 1; i <= (int64_t)r->log.count; i++)
		if (stage_statement_read(register_log_at(&r->log, i).object, &s, &other).ok)
			counts[register_index_order(&r->index, s.object.key_id, s.batch, s.stage)]++;
	for (int64_t i = 1; i <= (int64_t)r->log.count; i++)
		if (work_order_read(register_log_at(&r->log, i).object, &order, &other).ok)
			print_order(&order, counts[i]);
	free(counts);
	return DONE;
}

static int register_status(struct ctl *c, const struct arguments *a)
{
	struct factory_register r;
	struct fault f;
	outcome o = register_begin(&r, a, false, &f);
	if (o.ok && c->json) {
		printf("{\"entries\": %zu, \"time\": %lld}\n", r.log.count,
		       (long long)(r.log.count ? register_log_at(&r.log, (int64_t)r.log.count).time : 0));
	} else if (o.ok) {
		text_field("programme", r.log.programme.name);
		text_number("entries", (int64_t)r.log.count);
		print_head(&r);
		o = print_orders(&r, &f);
	}
	register_end(&r);
	return factory_end(o, &f);
}

static const struct option_spec dir_options[] = {
	{"dir", "DIR", "the register's folder"},
	{NULL, NULL, NULL},
};
static const struct option_spec export_options[] = {
	{"dir", "DIR", "the register's folder"},
	{"after", "N", "what the gateway has already: entries 1 to N (0)"},
	{"out", "FILE", "where to write them; what is there is replaced"},
	{NULL, NULL, NULL},
};

const struct command register_reading_commands[] = {
	{
		.name = "register export",
		.arguments = "--dir DIR [--after N] --out FILE",
		.summary = "the entries for gateways: times, hashes, the signed head",
		.help = "One JSON object a line, of at most 1000 entries each: {\"first\", \"entries\": "
			"[{\"time\",\n"
			"\"object\"}], \"head\"}. It holds hashes, no device and no supplier.",
		.examples = "  mooring-factory register export --dir register --after 4200 --out "
			    "entries.ndjson\n",
		.options = export_options,
		.run = register_export,
		.offline = true,
	},
	{
		.name = "register verify",
		.arguments = "--dir DIR",
		.summary = "check the whole log: every hash, and the signed head",
		.help = "Reads what the register has signed for, while others may be adding.",
		.examples = "  mooring-factory register verify --dir register\n",
		.options = dir_options,
		.run = register_verify,
		.offline = true,
	},
	{
		.name = "register status",
		.arguments = "--dir DIR",
		.summary = "how many entries, and how many of each order are registered",
		.help = "Shows the programme, the entries and the orders.",
		.examples = "  mooring-factory register status --dir register\n",
		.options = dir_options,
		.run = register_status,
		.offline = true,
	},
	{0},
};
