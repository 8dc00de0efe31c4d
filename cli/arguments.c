#include "arguments.h"

#include "common/nearest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The spec that "--name" or "--name=value" is about; NULL where there is none. */
static const struct option_spec *find(const struct option_spec *specs, const char *option)
{
	size_t n = strcspn(option, "=");
	if (!strcmp(option, "-h"))
		return find(specs, "--help");
	if (strncmp(option, "--", 2))
		return NULL;
	option += 2;
	n -= 2;
	for (; specs && specs->name; specs++)
		if (strlen(specs->name) == n && !strncmp(specs->name, option, n))
			return specs;
	return NULL;
}

static const struct option_spec *spec_of(const struct arguments *a, const char *name)
{
	for (const struct option_spec *o = a->specs; o && o->name; o++)
		if (!strcmp(o->name, name))
			return o;
	return NULL;
}

/* "viewer|operator" is what may be said, "FILE|HASH" what it stands for. */
bool option_is_choice(const struct option_spec *option)
{
	return option->value && strchr(option->value, '|') &&
	       !strpbrk(option->value, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
}

size_t option_next_choice(const char **at, const char **choice)
{
	size_t n = strcspn(*at, "|");
	*choice = *at;
	*at = (*at)[n] ? *at + n + 1 : NULL;
	return n;
}

/* "a, b or c" */
static void list_choices(const struct option_spec *spec, char *out, size_t room)
{
	const char *at = spec->value, *choice;
	size_t used = 0;
	while (at && used < room) {
		const char *separator = at == spec->value ? "" : strchr(at, '|') ? ", " : " or ";
		size_t n = option_next_choice(&at, &choice);
		used += (size_t)snprintf(out + used, room - used, "%s%.*s", separator, (int)n, choice);
	}
}

static outcome check_choice(const struct option_spec *spec, const char *value, struct fault *f)
{
	const char *at = spec->value, *choice;
	char list[256];
	while (at) {
		size_t n = option_next_choice(&at, &choice);
		if (strlen(value) == n && !strncmp(value, choice, n))
			return DONE;
	}
	list_choices(spec, list, sizeof list);
	return refuse(f, REASON_BAD_FIELD, "--%s must be %s, not \"%.40s\"", spec->name, list, value);
}

static outcome unknown_option(const char *option, const struct option_spec *specs,
			      const struct option_spec *globals, struct fault *f)
{
	const struct option_spec *all[] = {specs, globals};
	char word[64] = "";
	size_t n = strcspn(option, "=");
	if (n > 2 && n < sizeof word)
		snprintf(word, sizeof word, "%.*s", (int)n - 2, option + 2);
	struct nearest near = nearest_begin(word);
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		for (const struct option_spec *o = all[i]; o && o->name; o++)
			nearest_offer(&near, o->name);
	if (near.best[0])
		return refuse(f, REASON_BAD_FIELD, "there is no option %.*s: did you mean --%s?", (int)n,
			      option, near.best);
	return refuse(f, REASON_BAD_FIELD, "there is no option %.*s", (int)n, option);
}

/* Reads the option at *at into *value and moves past what it takes. */
static outcome take_option(char *const **at, const struct option_spec *spec, const char **value,
			   struct fault *f)
{
	const char *equals = strchr(**at, '=');
	if (*value)
		return refuse(f, REASON_BAD_FIELD, "--%s is given twice", spec->name);
	if (!spec->value && equals)
		return refuse(f, REASON_BAD_FIELD, "--%s takes no value", spec->name);
	if (spec->value && !equals && !(*at)[1])
		return refuse(f, REASON_BAD_FIELD, "--%s needs a value: %s", spec->name, spec->value);
	*value = !spec->value ? "" : equals ? equals + 1 : *++*at;
	++*at;
	return option_is_choice(spec) ? check_choice(spec, *value, f) : DONE;
}

/* "-" alone is a word: standard input. */
static bool is_option(const char *s)
{
	return s[0] == '-' && s[1] && strcmp(s, "--");
}

outcome arguments_parse_globals(char *const *argv, const struct option_spec *globals,
				const char **global_values, size_t *taken, struct fault *f)
{
	char *const *at = argv;
	while (*at && is_option(*at)) {
		const struct option_spec *spec = find(globals, *at);
		if (!spec)
			return unknown_option(*at, globals, NULL, f);
		outcome result = take_option(&at, spec, &global_values[spec - globals], f);
		if (!result.ok)
			return result;
	}
	*taken = (size_t)(at - argv);
	return DONE;
}

bool option_may_repeat(const struct option_spec *spec)
{
	size_t n = spec->value ? strlen(spec->value) : 0;
	return n > 3 && !strcmp(spec->value + n - 3, "...");
}

static outcome take_own(char *const **at, const struct option_spec *spec, struct arguments *out,
			struct fault *f)
{
	const char *value = NULL;
	if (!option_may_repeat(spec))
		return take_option(at, spec, &out->values[spec - out->specs], f);
	if (out->repeat_count == REPEATS_MAX)
		return refuse(f, REASON_BAD_FIELD, "--%s is given more than %d times", spec->name,
			      REPEATS_MAX);
	outcome o = take_option(at, spec, &value, f);
	if (o.ok) {
		out->repeats[out->repeat_count].spec = spec;
		out->repeats[out->repeat_count++].value = value;
	}
	return o;
}

static outcome take_word(char *const **at, struct arguments *out, struct fault *f)
{
	if (out->word_count == WORDS_MAX)
		return refuse(f, REASON_BAD_FIELD, "more than 256 arguments");
	out->words[out->word_count++] = *(*at)++;
	return DONE;
}

outcome arguments_parse(char *const *argv, const struct option_spec *specs, const struct option_spec *globals,
			const char **global_values, struct arguments *out, struct fault *f)
{
	*out = (struct arguments){.specs = specs};
	bool options = true;
	for (char *const *at = argv; *at;) {
		outcome result;
		if (options && !strcmp(*at, "--")) {
			options = false;
			at++;
			continue;
		}
		const struct option_spec *own = options && is_option(*at) ? find(specs, *at) : NULL;
		const struct option_spec *global = options && is_option(*at) ? find(globals, *at) : NULL;
		if (own)
			result = take_own(&at, own, out, f);
		else if (global)
			result = take_option(&at, global, &global_values[global - globals], f);
		else if (options && is_option(*at))
			result = unknown_option(*at, specs, globals, f);
		else
			result = take_word(&at, out, f);
		if (!result.ok)
			return result;
	}
	return DONE;
}

const char *argument(const struct arguments *a, const char *name)
{
	const struct option_spec *spec = spec_of(a, name);
	return spec ? a->values[spec - a->specs] : NULL;
}

bool argument_flag(const struct arguments *a, const char *name)
{
	return argument(a, name) != NULL;
}

const char *argument_next(const struct arguments *a, const char *name, size_t *at)
{
	while (*at < a->repeat_count) {
		size_t i = (*at)++;
		if (!strcmp(a->repeats[i].spec->name, name))
			return a->repeats[i].value;
	}
	return NULL;
}

outcome argument_number(const struct arguments *a, const char *name, long min, long max, long fallback,
			long *out, struct fault *f)
{
	const char *text = argument(a, name);
	char *end;
	*out = fallback;
	if (!text)
		return DONE;
	errno = 0;
	*out = strtol(text, &end, 10);
	if (!text[0] || *end || errno || *out < min || *out > max)
		return refuse(f, REASON_BAD_FIELD,
			      "--%s must be a whole number%s from %ld to %ld, not \"%.40s\"", name,
			      strcmp(spec_of(a, name)->value, "MS") ? "" : " of milliseconds", min, max,
			      text);
	return DONE;
}

outcome argument_numbers(const struct arguments *a, const char *name, int max, uint8_t *out, size_t room,
			 size_t *count, struct fault *f)
{
	const char *text = argument(a, name), *at = text;
	*count = 0;
	while (at) {
		char *end;
		long v = strtol(at, &end, 10);
		if (end == at || v < 1 || v > max || *count == room || (*end && *end != ',') ||
		    (*count && v <= out[*count - 1]))
			return refuse(f, REASON_BAD_FIELD,
				      "--%s: 1 to %zu numbers from 1 to %d, rising, as 1,2,4; not \"%.40s\"",
				      name, room, max, text);
		out[(*count)++] = (uint8_t)v;
		at = *end ? end + 1 : NULL;
	}
	return DONE;
}
