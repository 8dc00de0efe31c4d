#include "entry.h"

#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Kinds are words like "device-revoked": what was done is in them. */
static enum colour kind_colour(const char *kind)
{
	static const struct {
		const char *part;
		enum colour colour;
	} colours[] = {
		{"refused", RED},      {"revoked", RED},      {"quarantined", RED}, {"alarm", RED},
		{"suspended", YELLOW}, {"withdrawn", YELLOW}, {"issued", GREEN},    {"resumed", GREEN},
		{"restored", GREEN},   {"allowed", GREEN},
	};
	for (size_t i = 0; i < sizeof colours / sizeof *colours; i++)
		if (strstr(kind, colours[i].part))
			return colours[i].colour;
	return PLAIN;
}

/* Two blanks at least: what is wider than its column moves the rest of its line alone. */
static void pad(const char *s, size_t width)
{
	size_t n = text_width(s);
	printf("%*s", (int)(n < width ? width - n : 0) + 2, "");
}

static const char *dash(const char *s)
{
	return s[0] ? s : "-";
}

enum { KIND_WIDTH = 20, THING_WIDTH = 24, REASON_WIDTH = 24, ACTOR_WIDTH = 21 };

void entry_print_heading(const struct ctl *c)
{
	char line[160];
	snprintf(line, sizeof line, "%8s  %-23s  %-*s  %-*s  %-*s  %-*s  %s", "SEQ", "TIME (UTC)", KIND_WIDTH,
		 "KIND", THING_WIDTH, "THING", REASON_WIDTH, "REASON", ACTOR_WIDTH, "BY", "REQUEST");
	text_print_colour(c->colour, BOLD, line);
	putchar('\n');
}

void entry_print_line(const struct ctl *c, const json_t *entry)
{
	char when[TEXT_TIME_SIZE];
	const char *kind = api_text(entry, "kind"), *thing = dash(api_text(entry, "thing"));
	const char *reason = dash(api_text(entry, "reason"));
	printf("%8" PRId64 "  %s  ", api_number(entry, "seq"),
	       text_time_ms(api_number(entry, "time_ms"), when));
	text_print_colour(c->colour, kind_colour(kind), kind);
	pad(kind, KIND_WIDTH);
	text_print(thing);
	pad(thing, THING_WIDTH);
	text_print(reason);
	pad(reason, REASON_WIDTH);
	const char *actor = dash(api_text(entry, "actor")), *request = api_text(entry, "request_id");
	text_print(actor);
	if (request[0]) {
		pad(actor, ACTOR_WIDTH);
		text_print(request);
	}
	putchar('\n');
}

/* ---- a story ---- */

static void story_field(const char *label, const char *value)
{
	if (!value || !value[0])
		return;
	printf("      %-16s ", label);
	text_print(value);
	putchar('\n');
}

static bool is_time(const char *key)
{
	return !strncmp(key, "not_", 4) || !strcmp(key, "registered") || !strcmp(key, "revoked_from") ||
	       !strcmp(key, "hour_from");
}

static void story_detail(const char *key, const json_t *value)
{
	char number[32];
	if (json_is_string(value)) {
		story_field(key, json_string_value(value));
	} else if (json_is_integer(value) && is_time(key)) {
		story_field(key, text_time_s(json_integer_value(value), number));
	} else if (json_is_integer(value)) {
		snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
		story_field(key, number);
	} else if (!json_is_null(value)) {
		char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
		story_field(key, text);
		free(text);
	}
}

/* The detail as it was stored, parsed; NULL where there is none. Caller json_decref. */
static json_t *detail_of(const json_t *entry)
{
	json_t *detail = json_object_get(entry, "detail");
	if (json_is_string(detail))
		return json_loads(json_string_value(detail), 0, NULL);
	return json_incref(detail);
}

void entry_print_story(const struct ctl *c, const json_t *entry, bool names_device)
{
	char when[TEXT_TIME_SIZE];
	const char *kind = api_text(entry, "kind"), *reason = api_text(entry, "reason"), *key;
	json_t *detail = detail_of(entry), *value;
	const char *rule = api_text(entry, "rule");
	printf("  %s  #%" PRId64 "  ", text_time_ms(api_number(entry, "time_ms"), when),
	       api_number(entry, "seq"));
	text_print_colour(c->colour, kind_colour(kind), kind);
	if (reason[0]) {
		fputs("  ", stdout);
		text_print_colour(c->colour, BOLD, reason);
	}
	putchar('\n');
	story_field("rule", rule[0] ? rule : api_text(detail, "rule"));
	story_field("by", api_text(entry, "actor"));
	if (names_device) {
		story_field("thing", api_text(entry, "thing"));
		story_field("instance ID", api_text(entry, "instance_id"));
		story_field("device now", api_text(entry, "device_state"));
	}
	story_field("certificate", api_text(entry, "certificateId"));
	json_object_foreach(detail, key, value)
		if (strcmp(key, "rule"))
			story_detail(key, value);
	json_decref(detail);
}

/* ---- as it is hashed ---- */

static outcome read_hex(const json_t *entry, const char *key, uint8_t *out, size_t room, struct bytes *view,
			struct fault *f)
{
	const char *text = api_text(entry, key);
	size_t n = 0;
	if (!hex_decode(text, strlen(text), out, room, &n))
		return refuse(f, REASON_BAD_FIELD, "entry %" PRId64 ": %s is not hexadecimal",
			      api_number(entry, "seq"), key);
	*view = bytes_of(n ? out : NULL, n);
	return DONE;
}

outcome entry_read(const json_t *entry, struct entry_room *room, struct log_entry *out, struct fault *f)
{
	struct bytes hash = {0};
	*out = (struct log_entry){
		.seq = api_number(entry, "seq"),
		.time_ms = api_number(entry, "time_ms"),
		.kind = api_text(entry, "kind"),
		.actor = api_text(entry, "actor"),
		.request_id = api_text(entry, "request_id"),
		.thing = api_text(entry, "thing"),
		.reason = api_text(entry, "reason"),
		.detail = api_text(entry, "detail"),
	};
	outcome o = read_hex(entry, "instance_id", room->instance_id, sizeof room->instance_id,
			     &out->instance_id, f);
	if (o.ok)
		o = read_hex(entry, "certificateId", room->fingerprint, sizeof room->fingerprint,
			     &out->fingerprint, f);
	if (o.ok)
		o = read_hex(entry, "hash", out->hash, sizeof out->hash, &hash, f);
	if (o.ok && hash.n != SHA256_SIZE)
		return refuse(f, REASON_BAD_FIELD, "entry %" PRId64 " has no hash", out->seq);
	return o;
}
