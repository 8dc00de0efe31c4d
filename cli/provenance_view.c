#include "provenance_view.h"

#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- as JSON ---- */

static json_t *hex(const void *p, size_t n)
{
	char text[HEX_SIZE(COUNTERSIGNATURE_MAX)];
	hex_encode(bytes_of(p, n), text);
	return json_string(text);
}

/* What all signed objects have: their name, whose they are, and for which programme. */
static json_t *view_object(const struct provenance_object *o, const char *signer,
			   const uint8_t programme[PROGRAMME_ID_SIZE])
{
	json_t *out = json_object();
	json_object_set_new(out, "sha256", hex(o->sha256, SHA256_SIZE));
	json_object_set_new(out, signer, hex(o->key_id, KEY_ID_SIZE));
	json_object_set_new(out, "programme", hex(programme, PROGRAMME_ID_SIZE));
	return out;
}

static void set_number(json_t *out, const char *name, int64_t v)
{
	json_object_set_new(out, name, json_integer(v));
}

static json_t *view_statement(const struct stage_statement *s)
{
	json_t *out = view_object(&s->object, "line", s->programme);
	json_object_set_new(out, "batch", json_string(s->batch));
	set_number(out, "stage", s->stage);
	set_number(out, "seq", s->seq);
	json_object_set_new(out, "dev", hex(s->dev, DEV_SIZE));
	json_object_set_new(out, "previous", hex(s->previous, SHA256_SIZE));
	set_number(out, "time_of_line", s->time);
	if (s->has_rot_key)
		json_object_set_new(out, "rot_key", hex(s->rot_key, P256_POINT_SIZE));
	return out;
}

static json_t *view_receipt(const struct receipt *r)
{
	json_t *out = view_object(&r->object, "register", r->programme), *times = json_array();
	json_object_set_new(out, "statement", hex(r->statement, SHA256_SIZE));
	for (size_t i = 0; i < r->count; i++)
		json_array_append_new(times, json_pack("{s:I, s:I}", "index", (json_int_t)r->at[i].index,
						       "time", (json_int_t)r->at[i].time));
	json_object_set_new(out, "times", times);
	json_object_set_new(out, "head", hex(r->head, SHA256_SIZE));
	return out;
}

static json_t *view_countersignature(const struct chain *c)
{
	bool is_raw = c->countersignature.n == P256_SIGNATURE_SIZE;
	json_t *out = json_object();
	json_object_set_new(out, "nonce", hex(c->nonce, STAGE_NONCE_SIZE));
	json_object_set_new(out, "form", json_string(is_raw ? "signature of the RoT" : "PSA token"));
	json_object_set_new(out, "value", hex(c->countersignature.p, c->countersignature.n));
	return out;
}

json_t *provenance_view_chain(const struct chain *c)
{
	json_t *out = json_object(), *statements = json_array();
	for (size_t i = 0; i < c->count; i++)
		json_array_append_new(statements, view_statement(&c->statements[i]));
	json_object_set_new(out, "statements", statements);
	json_object_set_new(out, "countersignature", view_countersignature(c));
	json_object_set_new(out, "receipt", c->has_receipt ? view_receipt(&c->receipt) : json_null());
	return out;
}

json_t *provenance_view_line(const struct line_record *r)
{
	uint8_t id[KEY_ID_SIZE];
	json_t *out = view_object(&r->object, "line_authority", r->programme), *stages = json_array();
	provenance_key_id(r->key, id);
	json_object_set_new(out, "line", hex(id, sizeof id));
	set_number(out, "version", r->version);
	json_object_set_new(out, "key", hex(r->key, P256_POINT_SIZE));
	json_object_set_new(out, "site", json_string(r->site));
	for (size_t i = 0; i < r->stage_count; i++)
		json_array_append_new(stages, json_integer(r->stages[i]));
	json_object_set_new(out, "stages", stages);
	set_number(out, "not_before", r->not_before);
	set_number(out, "not_after", r->not_after);
	json_object_set_new(out, "state", json_string(line_state_name(r->state)));
	if (r->state == LINE_REVOKED)
		set_number(out, "revoked_from", r->revoked_from);
	if (r->per_hour)
		set_number(out, "per_hour", r->per_hour);
	return out;
}

json_t *provenance_view_order(const struct work_order *o)
{
	json_t *out = view_object(&o->object, "programme_key", o->programme), *previous = json_array();
	json_object_set_new(out, "batch", json_string(o->batch));
	set_number(out, "stage", o->stage);
	json_object_set_new(out, "line", hex(o->line, KEY_ID_SIZE));
	set_number(out, "quota", o->quota);
	set_number(out, "not_before", o->not_before);
	set_number(out, "not_after", o->not_after);
	set_number(out, "register_within_s", o->register_within_s);
	for (size_t i = 0; i < o->previous_count; i++)
		json_array_append_new(previous, hex(o->previous[i], KEY_ID_SIZE));
	json_object_set_new(out, "previous_lines", previous);
	return out;
}

/* ---- for people ---- */

static bool is_moment(const char *name)
{
	return !strncmp(name, "time", 4) || !strncmp(name, "not_", 4) || !strcmp(name, "revoked_from");
}

static void describe(const char *name, const json_t *value, char *out, size_t room)
{
	char date[TEXT_TIME_SIZE];
	json_int_t n = json_integer_value(value);
	if (json_is_string(value))
		snprintf(out, room, "%s", json_string_value(value));
	else if (is_moment(name))
		snprintf(out, room, "%s UTC (%" JSON_INTEGER_FORMAT ")", text_time_s(n, date), n);
	else
		snprintf(out, room, "%" JSON_INTEGER_FORMAT, n);
}

static void print_field(const char *name, const json_t *value)
{
	char text[HEX_SIZE(COUNTERSIGNATURE_MAX)], label[32];
	describe(name, value, text, sizeof text);
	snprintf(label, sizeof label, "%s", name);
	for (char *c = label; *c; c++)
		if (*c == '_')
			*c = ' ';
	text_field(label, text);
}

static void print_members(const json_t *object);

static void print_member(const char *name, const json_t *value)
{
	size_t i;
	json_t *one;
	if (json_is_object(value)) {
		print_members(value);
	} else if (json_is_array(value)) {
		json_array_foreach(value, i, one)
			print_member(name, one);
	} else if (!json_is_null(value)) {
		print_field(name, value);
	}
}

static void print_members(const json_t *object)
{
	const char *name;
	json_t *value;
	json_object_foreach((json_t *)(uintptr_t)object, name, value)
		print_member(name, value);
}

void provenance_view_print(const char *heading, const json_t *object)
{
	puts(heading);
	print_members(object);
}
