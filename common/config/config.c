#include "config_internal.h"

#include "common/file.h"

#include <cyaml/cyaml.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONFIG_FILE_MAX = 65536 };

/* libcyaml reads every scalar as text; types and ranges are checked here, where the message can name them. */
struct raw {
	char *text;
	char **items;
	size_t count;
};

/* The schema that libcyaml walks, built from the daemon's table. */
struct schema {
	struct config_key *keys;
	size_t count;
	cyaml_schema_field_t *fields;
	cyaml_schema_value_t top;
};

/* What libcyaml had to say: the complaint first, then "in mapping field 'x' (line: 3, column: 1)". */
struct complaint {
	char text[CONFIG_COMPLAINT_MAX];
	size_t n;
};

static const cyaml_schema_value_t item_schema = {
	CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char *, 0, CYAML_UNLIMITED),
};

/* Keeps the lines of warnings and errors, joined by "; ", as far as they fit. */
__attribute__((format(printf, 3, 0))) static void hear(cyaml_log_t level, void *arg, const char *fmt,
						       va_list args)
{
	struct complaint *c = arg;
	char line[CONFIG_COMPLAINT_MAX];
	if (level < CYAML_LOG_WARNING)
		return;
	vsnprintf(line, sizeof line, fmt, args);
	line[strcspn(line, "\n")] = '\0';
	int n = snprintf(c->text + c->n, sizeof c->text - c->n, "%s%s", c->n ? "; " : "", line);
	c->n += n < 0 || c->n + (size_t)n >= sizeof c->text ? 0 : (size_t)n;
}

static cyaml_schema_field_t field_of(const struct config_key *key, size_t i)
{
	cyaml_schema_field_t field = {.key = key->name, .data_offset = (uint32_t)(i * sizeof(struct raw))};
	const enum cyaml_flag flags = (enum cyaml_flag)(CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL);
	if (key->type != CONFIG_STRINGS) {
		field.data_offset += (uint32_t)offsetof(struct raw, text);
		field.value = (cyaml_schema_value_t){CYAML_VALUE_STRING(flags, char *, 0, CYAML_UNLIMITED)};
		return field;
	}
	field.count_offset = field.data_offset + (uint32_t)offsetof(struct raw, count);
	field.count_size = sizeof(size_t);
	field.data_offset += (uint32_t)offsetof(struct raw, items);
	field.value = (cyaml_schema_value_t){
		CYAML_VALUE_SEQUENCE(flags, char *, &item_schema, 0, CYAML_UNLIMITED),
	};
	return field;
}

/* One table of all rows. */
static void add_part(struct schema *s, const struct config_part *part)
{
	for (size_t i = 0; i < part->count; i++) {
		s->fields[s->count] = field_of(&part->keys[i], s->count);
		s->keys[s->count] = part->keys[i];
		s->keys[s->count++].offset += part->offset;
	}
}

static void schema_free(struct schema *s)
{
	free(s->keys);
	free(s->fields);
}

static outcome schema_build(struct schema *s, const struct config_part *parts, size_t count, struct fault *f)
{
	size_t rows = 0;
	for (size_t i = 0; i < count; i++)
		rows += parts[i].count;
	*s = (struct schema){.keys = calloc(rows + 1, sizeof *s->keys),
			     .fields = calloc(rows + 1, sizeof *s->fields)};
	if (!s->fields || !s->keys)
		return refuse(f, REASON_NO_MEMORY, "no memory for the configuration");
	for (size_t i = 0; i < count; i++)
		add_part(s, &parts[i]);
	s->top = (cyaml_schema_value_t){
		.type = CYAML_MAPPING,
		.flags = CYAML_FLAG_POINTER,
		.data_size = (uint32_t)(rows * sizeof(struct raw)),
		.mapping = {.fields = s->fields},
	};
	return DONE;
}

static cyaml_config_t reader(struct complaint *c)
{
	return (cyaml_config_t){
		.log_fn = hear,
		.log_ctx = c,
		.log_level = CYAML_LOG_WARNING,
		.mem_fn = cyaml_mem,
		.flags = CYAML_CFG_NO_ALIAS,
	};
}

static void raw_free(const struct schema *s, struct raw *raws)
{
	struct complaint unheard = {0};
	cyaml_config_t config = reader(&unheard);
	if (raws)
		cyaml_free(&config, &s->top, raws, 0);
}

/* ---- reading ---- */

/* An empty document gives no mapping at all: then every key is absent. */
static outcome parse(const struct schema *s, const struct config_source *src, struct raw **out,
		     struct fault *f)
{
	struct complaint c = {0};
	cyaml_config_t config = reader(&c);
	cyaml_data_t *data = NULL;
	cyaml_err_t err = CYAML_OK;
	if (src->text.n)
		err = cyaml_load_data(src->text.p, src->text.n, &config, &s->top, &data, NULL);
	*out = (struct raw *)data;
	if (err != CYAML_OK && !c.n)
		snprintf(c.text, sizeof c.text, "%s", cyaml_strerror(err));
	if (err != CYAML_OK || c.n) {
		raw_free(s, *out);
		*out = NULL;
		return config_refuse_file(s->keys, s->count, src, c.text, f);
	}
	if (!*out && !(*out = calloc(s->count, sizeof **out)))
		return refuse(f, REASON_NO_MEMORY, "no memory for the configuration");
	return DONE;
}

/* An empty list leaves no trace in `raw`: its line tells. */
static bool is_given(const struct config_source *src, const struct config_key *key, const struct raw *given)
{
	return given->text || given->items || config_line_of(src->text, bytes_str(key->name), 1);
}

/* The document of the defaults of every key that the file does not give. */
static outcome defaults_text(const struct schema *s, const struct config_source *src, const struct raw *given,
			     struct buf *out, struct fault *f)
{
	for (size_t i = 0; i < s->count; i++) {
		const struct config_key *key = &s->keys[i];
		if (is_given(src, key, &given[i]))
			continue;
		if (!key->fallback)
			return config_refuse_key(f, src, key->name, "is required, and missing");
		bool no_items = key->type == CONFIG_STRINGS && !key->fallback[0];
		buf_printf(out, "%s: %s\n", key->name, no_items ? "[]" : key->fallback);
	}
	return out->failed ? refuse(f, REASON_NO_MEMORY, "no memory for the configuration") : DONE;
}

/* ---- converting ---- */

static void *slot(void *into, const struct config_key *key)
{
	return (char *)into + key->offset;
}

static outcome check_text(const struct config_source *src, const struct config_key *key, const char *text,
			  struct fault *f)
{
	struct fault why = {0};
	if (!key->fallback && !text[0])
		return config_refuse_key(f, src, key->name, "is required, and empty");
	if (!key->check || key->check(text, &why).ok)
		return DONE;
	return config_refuse_key(f, src, key->name, why.text);
}

static outcome take_string(const struct config_source *src, const struct config_key *key, struct raw *raw,
			   void *into, struct fault *f)
{
	outcome checked = check_text(src, key, raw->text, f);
	if (checked.ok) {
		*(char **)slot(into, key) = raw->text;
		raw->text = NULL;
	}
	return checked;
}

static outcome take_strings(const struct config_source *src, const struct config_key *key, struct raw *raw,
			    void *into, struct fault *f)
{
	if (!key->fallback && raw->count == 0)
		return config_refuse_key(f, src, key->name, "is required, and an empty list");
	for (size_t i = 0; i < raw->count; i++) {
		outcome checked = check_text(src, key, raw->items[i], f);
		if (!checked.ok)
			return checked;
	}
	*(struct config_strings *)slot(into, key) = (struct config_strings){raw->items, raw->count};
	raw->items = NULL;
	raw->count = 0;
	return DONE;
}

static outcome take_int(const struct config_source *src, const struct config_key *key, struct raw *raw,
			void *into, struct fault *f)
{
	char rule[120], *end;
	errno = 0;
	int64_t v = strtoll(raw->text, &end, 10);
	bool digits = isdigit((unsigned char)raw->text[0]) || (raw->text[0] == '-' && raw->text[1]);
	snprintf(rule, sizeof rule, "must be a whole number from %" PRId64 " to %" PRId64, key->min,
		 key->max);
	if (!digits || *end || errno || v < key->min || v > key->max)
		return config_refuse_key(f, src, key->name, rule);
	*(int64_t *)slot(into, key) = v;
	return DONE;
}

static outcome take_bool(const struct config_source *src, const struct config_key *key, struct raw *raw,
			 void *into, struct fault *f)
{
	bool yes = !strcmp(raw->text, "true");
	if (!yes && strcmp(raw->text, "false"))
		return config_refuse_key(f, src, key->name, "must be true or false");
	*(bool *)slot(into, key) = yes;
	return DONE;
}

typedef outcome taker(const struct config_source *, const struct config_key *, struct raw *, void *,
		      struct fault *);

static taker *const takers[] = {
	[CONFIG_STRING] = take_string,
	[CONFIG_INT] = take_int,
	[CONFIG_BOOL] = take_bool,
	[CONFIG_STRINGS] = take_strings,
};

static outcome take_all(const struct schema *s, const struct config_source *src, struct raw *given,
			struct raw *fallback, void *into, struct fault *f)
{
	for (size_t i = 0; i < s->count; i++) {
		const struct config_key *key = &s->keys[i];
		struct raw *raw = is_given(src, key, &given[i]) ? &given[i] : &fallback[i];
		if (key->type != CONFIG_STRINGS && !raw->text)
			return config_refuse_key(f, src, key->name, "has no value");
		outcome taken = takers[key->type](src, key, raw, into, f);
		if (!taken.ok)
			return taken;
	}
	return DONE;
}

outcome config_load(const char *path, const struct config_part *parts, size_t count, void *into,
		    struct fault *f)
{
	struct schema schema = {0};
	struct raw *given = NULL, *fallback = NULL;
	struct buf text = {0}, defaults = {0};
	outcome result = file_read(path, CONFIG_FILE_MAX, &text, f);
	if (!result.ok) {
		if (f)
			f->reason = REASON_CONFIG;
		return result;
	}
	struct config_source src = {path, buf_view(&text)};
	if (!(result = schema_build(&schema, parts, count, f)).ok)
		goto out;
	if (!(result = parse(&schema, &src, &given, f)).ok)
		goto out;
	if (!(result = defaults_text(&schema, &src, given, &defaults, f)).ok)
		goto out;
	struct config_source builtin = {"built-in defaults", buf_view(&defaults)};
	if (!(result = parse(&schema, &builtin, &fallback, f)).ok)
		goto out;
	result = take_all(&schema, &src, given, fallback, into, f);
	if (!result.ok)
		config_free(parts, count, into);
out:
	raw_free(&schema, given);
	raw_free(&schema, fallback);
	schema_free(&schema);
	buf_free(&text);
	buf_free(&defaults);
	return result;
}

static void free_value(const struct config_key *key, void *at)
{
	struct config_strings *list = at;
	char **text = at;
	if (key->type == CONFIG_STRING) {
		free(*text);
		*text = NULL;
	} else if (key->type == CONFIG_STRINGS) {
		for (size_t i = 0; i < list->count; i++)
			free(list->items[i]);
		free(list->items);
		*list = (struct config_strings){0};
	}
}

void config_free(const struct config_part *parts, size_t count, void *from)
{
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < parts[i].count; k++)
			free_value(&parts[i].keys[k],
				   (char *)from + parts[i].offset + parts[i].keys[k].offset);
}

outcome config_blame(const char *key, outcome read, struct fault *f)
{
	if (read.ok || !f)
		return read;
	const struct fault why = *f;
	return refuse(f, REASON_CONFIG, "%s: %s", key, why.text);
}
