#include "arguments.h"

#include <errno.h>
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
	return DONE;
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
			return refuse(f, REASON_BAD_FIELD, "there is no option %s", *at);
		outcome result = take_option(&at, spec, &global_values[spec - globals], f);
		if (!result.ok)
			return result;
	}
	*taken = (size_t)(at - argv);
	return DONE;
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
			result = take_option(&at, own, &out->values[own - specs], f);
		else if (global)
			result = take_option(&at, global, &global_values[global - globals], f);
		else if (options && is_option(*at))
			result = refuse(f, REASON_BAD_FIELD, "there is no option %s", *at);
		else
			result = take_word(&at, out, f);
		if (!result.ok)
			return result;
	}
	return DONE;
}

const char *argument(const struct arguments *a, const char *name)
{
	for (size_t i = 0; a->specs && a->specs[i].name; i++)
		if (!strcmp(a->specs[i].name, name))
			return a->values[i];
	return NULL;
}

bool argument_flag(const struct arguments *a, const char *name)
{
	return argument(a, name) != NULL;
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
		return refuse(f, REASON_BAD_FIELD, "--%s must be a whole number from %ld to %ld", name, min,
			      max);
	return DONE;
}
