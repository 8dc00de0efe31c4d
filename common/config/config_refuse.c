#include "config_internal.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The key that a line of a flat mapping begins with; n = 0 for comments, blanks, list items and
 * continuations. */
static struct bytes key_on_line(struct bytes line)
{
	bool quoted = line.n && (line.p[0] == '"' || line.p[0] == '\'');
	struct bytes rest = quoted ? bytes_of(line.p + 1, line.n - 1) : line;
	size_t n = 0;
	while (n < rest.n && (isalnum(rest.p[n]) || rest.p[n] == '_' || rest.p[n] == '-' || rest.p[n] == '.'))
		n++;
	size_t end = n;
	if (quoted && end < rest.n && rest.p[end] == line.p[0])
		end++;
	while (end < rest.n && rest.p[end] == ' ')
		end++;
	bool key = n && end < rest.n && rest.p[end] == ':';
	return bytes_of(rest.p, key ? n : 0);
}

/* Takes the next line off `text`; false at its end. */
static bool next_line(struct bytes *text, struct bytes *line)
{
	if (text->n == 0)
		return false;
	const uint8_t *end = memchr(text->p, '\n', text->n);
	size_t n = end ? (size_t)(end - text->p) : text->n;
	*line = bytes_of(text->p, n);
	n += end ? 1 : 0;
	*text = bytes_of(text->p + n, text->n - n);
	return true;
}

unsigned config_line_of(struct bytes text, struct bytes key, unsigned nth)
{
	struct bytes line;
	for (unsigned number = 1; next_line(&text, &line); number++)
		if (bytes_equal(key_on_line(line), key) && --nth == 0)
			return number;
	return 0;
}

static bool known(const struct config_key *keys, size_t count, struct bytes key)
{
	for (size_t i = 0; i < count; i++)
		if (bytes_equal(bytes_str(keys[i].name), key))
			return true;
	return false;
}

outcome config_refuse_key(struct fault *f, const struct config_source *src, const char *key, const char *rule)
{
	unsigned line = config_line_of(src->text, bytes_str(key), 1);
	if (line == 0)
		return refuse(f, REASON_CONFIG, "%s: %s: %s", src->path, key, rule);
	return refuse(f, REASON_CONFIG, "%s:%u: %s: %s", src->path, line, key, rule);
}

/* The first line of the complaint, without libcyaml's own prefix. */
static void first_sentence(const char *complaint, char out[CONFIG_COMPLAINT_MAX])
{
	const char *from = strncmp(complaint, "Load: ", 6) ? complaint : complaint + 6;
	const char *end = strstr(from, "; ");
	snprintf(out, CONFIG_COMPLAINT_MAX, "%.*s", end ? (int)(end - from) : CONFIG_COMPLAINT_MAX - 1, from);
}

/* The key that the backtrace names, of the table; NULL where it names none. */
static const char *key_in(const struct config_key *keys, size_t count, const char *complaint)
{
	const char *at = strstr(complaint, "field '");
	for (size_t i = 0; at && i < count; i++) {
		size_t n = strlen(keys[i].name);
		if (!strncmp(at + 7, keys[i].name, n) && at[7 + n] == '\'')
			return keys[i].name;
	}
	return NULL;
}

outcome config_refuse_file(const struct config_key *keys, size_t count, const struct config_source *src,
			   const char *complaint, struct fault *f)
{
	struct bytes rest = src->text, line;
	for (unsigned number = 1; next_line(&rest, &line); number++) {
		struct bytes key = key_on_line(line);
		if (key.n && !known(keys, count, key))
			return refuse(f, REASON_CONFIG, "%s:%u: %.*s: there is no such key", src->path,
				      number, (int)key.n, (const char *)key.p);
		unsigned again = key.n ? config_line_of(src->text, key, 2) : 0;
		if (again)
			return refuse(f, REASON_CONFIG, "%s:%u: %.*s: given twice, first on line %u",
				      src->path, again, (int)key.n, (const char *)key.p, number);
	}
	char what[CONFIG_COMPLAINT_MAX];
	first_sentence(complaint, what);
	const char *key = key_in(keys, count, complaint);
	if (key)
		return config_refuse_key(f, src, key, what);
	const char *at = strstr(complaint, "(line: ");
	unsigned number = at ? (unsigned)strtoul(at + 7, NULL, 10) : 1;
	return refuse(f, REASON_CONFIG, "%s:%u: not a flat YAML mapping: %s", src->path, number, what);
}
