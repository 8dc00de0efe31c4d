#include "plugin/table_texts.h"

#include <string.h>

size_t table_texts_size(const struct feed_record *record)
{
	const struct feed_thing *thing = record->thing;
	size_t n = record->name.n + 1;
	if (!thing)
		return n;
	n += 1 + thing->type.n + 1;
	for (size_t i = 0; i < thing->count; i++)
		n += thing->attributes[i].name.n + thing->attributes[i].value.n + 2;
	return n;
}

static char *put_text(char *to, struct bytes text)
{
	memcpy(to, text.p, text.n);
	to[text.n] = '\0';
	return to + text.n + 1;
}

void table_texts_put(char *to, const struct feed_record *record)
{
	const struct feed_thing *thing = record->thing;
	to = put_text(to, record->name);
	if (!thing)
		return;
	*to++ = (char)thing->count;
	to = put_text(to, thing->type);
	for (size_t i = 0; i < thing->count; i++) {
		to = put_text(to, thing->attributes[i].name);
		to = put_text(to, thing->attributes[i].value);
	}
}

static const char *next_text(const char **at)
{
	const char *text = *at;
	*at += strlen(text) + 1;
	return text;
}

size_t table_thing(const struct table_standing *standing, const char **type,
		   struct policy_attribute out[FEED_ATTRIBUTES_MAX])
{
	const char *at = standing->name;
	*type = "";
	if (!(standing->flags & TABLE_HAS_THING))
		return 0;
	next_text(&at);
	size_t count = (unsigned char)*at++;
	*type = next_text(&at);
	for (size_t i = 0; i < count; i++) {
		out[i].name = next_text(&at);
		out[i].value = next_text(&at);
	}
	return count;
}
