#include "config.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

/* Plain where YAML reads it back as the same text, else double-quoted (YAML 1.2 7.3.1). */
static void print_text(struct buf *out, const char *s)
{
	size_t plain = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._/:@+=-");
	if (s[0] && !s[plain] && (isalnum((unsigned char)s[0]) || s[0] == '/') && s[plain - 1] != ':') {
		buf_str(out, s);
		return;
	}
	buf_byte(out, '"');
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;
		if (c == '"' || c == '\\')
			buf_printf(out, "\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			buf_printf(out, "\\x%02x", c);
		else
			buf_byte(out, c);
	}
	buf_byte(out, '"');
}

static void print_list(struct buf *out, const struct config_strings *list)
{
	buf_byte(out, '[');
	for (size_t i = 0; i < list->count; i++) {
		if (i)
			buf_str(out, ", ");
		print_text(out, list->items[i]);
	}
	buf_byte(out, ']');
}

static void print_doc(struct buf *out, const struct config_key *key)
{
	buf_printf(out, "# %s", key->doc);
	if (key->type == CONFIG_INT)
		buf_printf(out, " (%" PRId64 " to %" PRId64 ")", key->min, key->max);
	if (!key->fallback)
		buf_str(out, " (required)");
	else if (key->fallback[0])
		buf_printf(out, " (default: %s)", key->fallback);
	buf_byte(out, '\n');
}

static void print_value(struct buf *out, const struct config_key *key, const void *at)
{
	switch (key->type) {
	case CONFIG_STRING:
		print_text(out, *(char *const *)at);
		break;
	case CONFIG_INT:
		buf_printf(out, "%" PRId64, *(const int64_t *)at);
		break;
	case CONFIG_BOOL:
		buf_str(out, *(const bool *)at ? "true" : "false");
		break;
	case CONFIG_STRINGS:
		print_list(out, at);
		break;
	}
}

char *config_print(const struct config_part *parts, size_t count, const void *from)
{
	struct buf out = {0};
	for (size_t i = 0; i < count; i++) {
		for (size_t k = 0; k < parts[i].count; k++) {
			const struct config_key *key = &parts[i].keys[k];
			if (out.n)
				buf_byte(&out, '\n');
			print_doc(&out, key);
			buf_printf(&out, "%s: ", key->name);
			print_value(&out, key, (const char *)from + parts[i].offset + key->offset);
			buf_byte(&out, '\n');
		}
	}
	return buf_take_str(&out);
}
