#include "programme.h"

#include "common/file.h"
#include "common/json_read.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name;
	size_t offset, size;
	bool is_key;
} hex_members[] = {
	{"programme", offsetof(struct programme, id), PROGRAMME_ID_SIZE, false},
	{"programme_key", offsetof(struct programme, programme_key), P256_POINT_SIZE, true},
	{"line_authority_key", offsetof(struct programme, line_authority_key), P256_POINT_SIZE, true},
	{"register_key", offsetof(struct programme, register_key), P256_POINT_SIZE, true},
};
enum { HEX_MEMBERS = sizeof hex_members / sizeof *hex_members };

static const char *const members[] = {"programme",	    "name",	    "programme_key",
				      "line_authority_key", "register_key", NULL};

static outcome check(const struct programme *p, const char *what, struct fault *f)
{
	if (!provenance_name_valid(p->name))
		return refuse(f, REASON_CONFIG, "%s: name is not UTF-8 without control characters", what);
	for (size_t i = 0; i < HEX_MEMBERS; i++)
		if (hex_members[i].is_key &&
		    !provenance_point_on_curve((const uint8_t *)p + hex_members[i].offset))
			return refuse(f, REASON_CONFIG, "%s: %s is no point on P-256", what,
				      hex_members[i].name);
	return DONE;
}

static outcome read_members(const json_t *object, const char *what, struct programme *out, struct fault *f)
{
	struct fault own = {0};
	const json_t *name = json_object_get(object, "name");
	if (!json_read_members(object, members, &own).ok)
		return refuse(f, REASON_CONFIG, "%s: %s", what, own.text);
	if (!json_is_string(name) || json_string_length(name) >= PROGRAMME_NAME_SIZE)
		return refuse(f, REASON_CONFIG, "%s: name is not a text of 1 to %d bytes", what,
			      PROGRAMME_NAME_SIZE - 1);
	memcpy(out->name, json_string_value(name), json_string_length(name) + 1);
	for (size_t i = 0; i < HEX_MEMBERS; i++)
		if (!json_read_hex(json_object_get(object, hex_members[i].name),
				   (uint8_t *)out + hex_members[i].offset, hex_members[i].size))
			return refuse(f, REASON_CONFIG, "%s: %s is not %zu hexadecimal digits", what,
				      hex_members[i].name, 2 * hex_members[i].size);
	return check(out, what, f);
}

outcome programme_parse(struct bytes text, const char *what, struct programme *out, struct fault *f)
{
	json_t *object;
	struct fault own = {0};
	*out = (struct programme){0};
	if (!json_read_object(text, what, &object, &own).ok)
		return refuse(f, REASON_CONFIG, "%s", own.text);
	outcome o = read_members(object, what, out, f);
	json_decref(object);
	return o;
}

outcome programme_load(const char *path, struct programme *out, struct fault *f)
{
	struct buf text = {0};
	outcome o = file_read(path, PROGRAMME_FILE_MAX, &text, f);
	if (o.ok)
		o = programme_parse(buf_view(&text), path, out, f);
	buf_free(&text);
	return o;
}

static json_t *to_json(const struct programme *p)
{
	char hex[HEX_SIZE(P256_POINT_SIZE)];
	json_t *object = json_object();
	for (size_t i = 0; i < HEX_MEMBERS; i++) {
		hex_encode(bytes_of((const char *)p + hex_members[i].offset, hex_members[i].size), hex);
		json_object_set_new(object, hex_members[i].name, json_string(hex));
		if (i == 0)
			json_object_set_new(object, "name", json_string(p->name));
	}
	return object;
}

outcome programme_save(const char *path, const struct programme *p, struct fault *f)
{
	struct buf contents = {0};
	outcome o = check(p, path, f);
	if (!o.ok)
		return o;
	json_t *object = to_json(p);
	char *text = json_dumps(object, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
	json_decref(object);
	if (text)
		buf_printf(&contents, "%s\n", text);
	free(text);
	if (!contents.n || contents.failed)
		o = refuse(f, REASON_NO_MEMORY, "no memory to write %s", path);
	else
		o = file_replace(path, buf_view(&contents), 0644, f);
	buf_free(&contents);
	return o;
}

/* ---- what a programme says of lines and orders ---- */

static outcome check_source(const struct programme *p, const uint8_t id[PROGRAMME_ID_SIZE],
			    const struct provenance_object *object, const uint8_t key[P256_POINT_SIZE],
			    struct fault *f)
{
	if (memcmp(id, p->id, PROGRAMME_ID_SIZE) != 0)
		return refuse(f, REASON_CHAIN_PROGRAMME, "it is of another programme than %s", p->name);
	return provenance_verify(object, key, f);
}

outcome programme_line_record(const struct programme *p, struct bytes in, struct line_record *out,
			      struct fault *f)
{
	outcome o = line_record_read(in, out, f);
	return o.ok ? check_source(p, out->programme, &out->object, p->line_authority_key, f) : o;
}

outcome programme_work_order(const struct programme *p, struct bytes in, struct work_order *out,
			     struct fault *f)
{
	outcome o = work_order_read(in, out, f);
	return o.ok ? check_source(p, out->programme, &out->object, p->programme_key, f) : o;
}
