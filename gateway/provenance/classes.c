#include "classes.h"

#include "common/file.h"
#include "common/json_read.h"

#include <stdlib.h>
#include <string.h>

/* A file on its way into a class. */
struct reading {
	const char *path;
	struct provenance_class *into;
};

static outcome wrong(const struct reading *r, struct fault *f, const char *member, const char *rule)
{
	return refuse(f, REASON_CONFIG, "%s: %s: %s", r->path, member, rule);
}

/* ---- members ---- */

static bool take_text(const json_t *value, char out[CLASS_NAME_SIZE])
{
	size_t n = json_string_length(value);
	if (!json_is_string(value) || n == 0 || n >= CLASS_NAME_SIZE ||
	    !provenance_name_valid(json_string_value(value)))
		return false;
	memcpy(out, json_string_value(value), n + 1);
	return true;
}

static outcome read_class(const struct reading *r, const json_t *value, struct fault *f)
{
	return take_text(value, r->into->name) ? DONE
					       : wrong(r, f, "class", "a name of 1 to 64 bytes is required");
}

static outcome read_implementation(const struct reading *r, const json_t *value, struct fault *f)
{
	r->into->any = !value;
	if (!value || json_read_hex(value, r->into->implementation_id, sizeof r->into->implementation_id))
		return DONE;
	return wrong(r, f, "implementation_id", "64 hexadecimal digits are required, as evidence has them");
}

/* A relative path begins where the class file is, so that the two move together. */
static bool beside(const char *file, const char *name, char out[PATH_MAX])
{
	char folder[PATH_MAX];
	file_folder_of(file, folder);
	int n = name[0] == '/' ? snprintf(out, PATH_MAX, "%s", name)
			       : snprintf(out, PATH_MAX, "%s/%s", folder, name);
	return n < PATH_MAX;
}

static outcome read_programme(const struct reading *r, const json_t *value, struct fault *f)
{
	struct fault own = {0};
	char path[PATH_MAX];
	if (!json_is_string(value))
		return wrong(r, f, "programme", "the path of a programme.json is required");
	if (!beside(r->path, json_string_value(value), path))
		return wrong(r, f, "programme", "the path is too long");
	if (!programme_load(path, &r->into->programme, &own).ok)
		return wrong(r, f, "programme", own.text);
	memcpy(r->into->rules.programme, r->into->programme.id, PROGRAMME_ID_SIZE);
	return DONE;
}

static const char *const modes[] = {
	[CLASS_OFF] = "off", [CLASS_OPTIONAL] = "optional", [CLASS_REQUIRED] = "required"};

const char *class_mode_name(enum class_mode mode)
{
	return modes[mode];
}

static outcome read_mode(const struct reading *r, const json_t *value, struct fault *f)
{
	for (size_t i = 0; json_is_string(value) && i < sizeof modes / sizeof *modes; i++) {
		if (strcmp(json_string_value(value), modes[i]) != 0)
			continue;
		r->into->mode = (enum class_mode)i;
		return DONE;
	}
	return wrong(r, f, "mode", "one of required, optional, off is required");
}

static bool take_stages(const json_t *list, struct chain_variant *out)
{
	const json_t *item;
	size_t i;
	out->count = json_array_size(list);
	if (!json_is_array(list) || out->count == 0 || out->count > STAGES_MAX)
		return false;
	json_array_foreach((json_t *)(uintptr_t)list, i, item) {
		json_int_t stage = json_integer_value(item);
		if (!json_is_integer(item) || stage < 1 || stage > STAGE_NUMBER_MAX ||
		    (i && stage <= out->stages[i - 1]))
			return false;
		out->stages[i] = (uint8_t)stage;
	}
	return true;
}

static outcome read_variant(const struct reading *r, size_t i, const json_t *value, struct fault *f)
{
	static const char *const members[] = {"name", "stages", "raises_generation", NULL};
	const json_t *raises = json_object_get(value, "raises_generation");
	struct chain_variant *variant = &r->into->rules.variants[i];
	char at[64];
	struct fault own = {0};
	snprintf(at, sizeof at, "variants[%zu]", i);
	if (!json_is_object(value))
		return wrong(r, f, at, "an object is required");
	if (!json_read_members(value, members, &own).ok)
		return wrong(r, f, at, own.text);
	if (!take_text(json_object_get(value, "name"), r->into->variant_names[i]))
		return wrong(r, f, at, "name: 1 to 64 bytes are required");
	if (!take_stages(json_object_get(value, "stages"), variant))
		return wrong(r, f, at,
			     "stages: 1 to 8 numbers from 1 to 255 are required, each above the one before");
	if (raises && !json_is_boolean(raises))
		return wrong(r, f, at, "raises_generation: true or false is required");
	variant->raises_generation = json_is_true(raises);
	return DONE;
}

static outcome read_variants(const struct reading *r, const json_t *value, struct fault *f)
{
	size_t count = json_array_size(value);
	outcome o = DONE;
	if (!json_is_array(value) || count == 0 || count > CHAIN_VARIANTS_MAX)
		return wrong(r, f, "variants", "a list of 1 to 8 is required");
	for (size_t i = 0; o.ok && i < count; i++)
		o = read_variant(r, i, json_array_get(value, i), f);
	r->into->rules.variant_count = count;
	return o;
}

static outcome read_lines(const struct reading *r, const json_t *value, struct fault *f)
{
	size_t count = json_array_size(value);
	if (!value)
		return DONE;
	if (!json_is_array(value) || count == 0 || count > CLASS_LINES_MAX)
		return wrong(r, f, "lines", "a list of 1 to 64 key ids is required");
	for (size_t i = 0; i < count; i++)
		if (!json_read_hex(json_array_get(value, i), r->into->lines[i], KEY_ID_SIZE))
			return wrong(r, f, "lines", "key ids of 32 hexadecimal digits are required");
	r->into->line_count = count;
	return DONE;
}

static outcome read_freeze(const struct reading *r, const json_t *value, struct fault *f)
{
	r->into->freeze = !json_is_false(value);
	return !value || json_is_boolean(value)
		       ? DONE
		       : wrong(r, f, "freeze_on_equivocation", "true or false is required");
}

/* ---- a file ---- */

static const struct {
	const char *name;
	outcome (*read)(const struct reading *r, const json_t *value, struct fault *f);
} rows[] = {
	{"class", read_class},
	{"implementation_id", read_implementation},
	{"mode", read_mode},
	{"programme", read_programme},
	{"variants", read_variants},
	{"lines", read_lines},
	{"freeze_on_equivocation", read_freeze},
};
enum { ROWS = sizeof rows / sizeof *rows };

static outcome check_members(const struct reading *r, const json_t *object, struct fault *f)
{
	const char *names[ROWS + 1] = {0};
	struct fault own = {0};
	for (size_t i = 0; i < ROWS; i++)
		names[i] = rows[i].name;
	return json_read_members(object, names, &own).ok
		       ? DONE
		       : refuse(f, REASON_CONFIG, "%s: %s", r->path, own.text);
}

static outcome read_file(const struct reading *r, struct fault *f)
{
	struct buf text = {0};
	struct fault own = {0};
	json_t *object = NULL;
	outcome o = file_read(r->path, CLASS_FILE_MAX, &text, f);
	if (o.ok && !json_read_object(buf_view(&text), r->path, &object, &own).ok)
		o = refuse(f, REASON_CONFIG, "%s", own.text);
	if (o.ok)
		o = check_members(r, object, f);
	for (size_t i = 0; o.ok && i < ROWS; i++)
		o = rows[i].read(r, json_object_get(object, rows[i].name), f);
	json_decref(object);
	buf_free(&text);
	return o;
}

static bool same_devices(const struct provenance_class *a, const struct provenance_class *b)
{
	return a->any == b->any &&
	       (a->any || !memcmp(a->implementation_id, b->implementation_id, sizeof a->implementation_id));
}

static bool same_keys(const struct programme *a, const struct programme *b)
{
	return !memcmp(a->programme_key, b->programme_key, P256_POINT_SIZE) &&
	       !memcmp(a->line_authority_key, b->line_authority_key, P256_POINT_SIZE) &&
	       !memcmp(a->register_key, b->register_key, P256_POINT_SIZE);
}

/* A programme's id says nothing of its keys, and its lines and orders are kept once for all classes: what one file's keys
 * let in would count where the other's are configured. */
static outcome check_distinct(const struct provenance_classes *c, const char *path, struct fault *f)
{
	const struct provenance_class *last = &c->items[c->count - 1];
	const struct programme *programme = &last->programme;
	for (const struct provenance_class *one = c->items; one < last; one++) {
		if (!memcmp(one->programme.id, programme->id, PROGRAMME_ID_SIZE) &&
		    !same_keys(&one->programme, programme))
			return refuse(
				f, REASON_CONFIG,
				"%s: class %s has other keys for programme %s: two copies of its file differ",
				path, one->name, programme->name);
		if (!strcmp(one->name, last->name) || same_devices(one, last))
			return refuse(f, REASON_CONFIG,
				      "%s: class %s has this name, or these devices, already", path,
				      one->name);
	}
	return DONE;
}

outcome provenance_classes_load(const struct config_strings *files, struct provenance_classes *out,
				struct fault *f)
{
	outcome o = DONE;
	*out = (struct provenance_classes){0};
	if (files->count > CLASSES_MAX)
		return refuse(f, REASON_CONFIG, "%d classes at most", CLASSES_MAX);
	out->items = calloc(files->count + 1, sizeof *out->items);
	if (!out->items)
		return refuse(f, REASON_NO_MEMORY, "no memory for classes of devices");
	for (size_t i = 0; o.ok && i < files->count; i++) {
		struct reading r = {files->items[i], &out->items[out->count++]};
		o = read_file(&r, f);
		if (o.ok)
			o = check_distinct(out, r.path, f);
	}
	if (!o.ok)
		provenance_classes_free(out);
	return o;
}

void provenance_classes_free(struct provenance_classes *c)
{
	free(c->items);
	*c = (struct provenance_classes){0};
}

/* ---- whose class ---- */

bool provenance_class_has_line(const struct provenance_class *c, const uint8_t line[KEY_ID_SIZE])
{
	for (size_t i = 0; i < c->line_count; i++)
		if (!memcmp(c->lines[i], line, KEY_ID_SIZE))
			return true;
	return c->line_count == 0;
}

static bool has_variant(const struct provenance_class *c, const struct chain_variant *v)
{
	for (const struct chain_variant *one = c->rules.variants;
	     one < c->rules.variants + c->rules.variant_count; one++)
		if (one->count == v->count && one->raises_generation == v->raises_generation &&
		    !memcmp(one->stages, v->stages, v->count))
			return true;
	return false;
}

/* What `c` takes, `other` takes, too: without a chain, unless it is required. A chain of another programme than the other's
 * is none that its devices have. */
static bool asks_as_much(const struct provenance_class *c, const struct provenance_class *other)
{
	if (c->mode < other->mode)
		return false;
	if (other->mode != CLASS_REQUIRED ||
	    memcmp(c->programme.id, other->programme.id, PROGRAMME_ID_SIZE) != 0)
		return true;
	for (size_t i = 0; i < c->rules.variant_count; i++)
		if (!has_variant(other, &c->rules.variants[i]))
			return false;
	for (size_t i = 0; i < c->line_count; i++)
		if (!provenance_class_has_line(other, c->lines[i]))
			return false;
	return c->line_count || !other->line_count;
}

/* Who leaves out what tells classes apart must not come off lighter. */
static const struct provenance_class *class_of_nameless(const struct provenance_classes *c,
							const struct provenance_class *any)
{
	for (const struct provenance_class *one = c->items; any && one < c->items + c->count; one++)
		if (!asks_as_much(any, one))
			return NULL;
	return any;
}

const struct provenance_class *provenance_class_of(const struct provenance_classes *c,
						   const struct evidence *e)
{
	const struct provenance_class *any = NULL;
	for (const struct provenance_class *one = c->items; one < c->items + c->count; one++) {
		if (one->any)
			any = one;
		else if (e->type == EVIDENCE_PSA_TOKEN &&
			 !memcmp(one->implementation_id, e->implementation_id, sizeof one->implementation_id))
			return one;
	}
	return e->type == EVIDENCE_PSA_TOKEN ? any : class_of_nameless(c, any);
}
