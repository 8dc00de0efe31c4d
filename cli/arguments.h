/*
 * arguments.h - a command line, read against the command's own options.
 */
#ifndef MOORING_ARGUMENTS_H
#define MOORING_ARGUMENTS_H

#include "common/fault.h"

#include <stddef.h>
#include <stdint.h>

enum { WORDS_MAX = 256, OPTIONS_MAX = 16, REPEATS_MAX = 64 };

struct option_spec {
	const char *name; /* without the dashes */
	/* How the help names its value ("FILE|HASH"), or all that it may be ("viewer|operator"); NULL: it takes none. */
	const char *value;
	const char *doc;
};

struct arguments {
	const char *words[WORDS_MAX];
	size_t word_count;
	const struct option_spec *specs;
	/* By the specs' order; "" for an option without value that was given. */
	const char *values[OPTIONS_MAX];
	/* Options that may be given again, in their order; none of them is in `values`. */
	struct {
		const struct option_spec *spec;
		const char *value;
	} repeats[REPEATS_MAX];
	size_t repeat_count;
};

/* Whether `value` names all values that there are, and the next of them from *at on (begin with option->value; *at NULL
 * at the end); its length is returned, and the text is not terminated. */
bool option_is_choice(const struct option_spec *option);
size_t option_next_choice(const char **at, const char **choice);
/* Its value is named with "..." at the end. */
bool option_may_repeat(const struct option_spec *option);

/* --name VALUE, --name=VALUE, --name; "--" ends options. An option whose value is named with "..." at its end may be
 * given again. What `specs` lacks is looked for in `globals` (both
 * ended by a NULL name, and may be NULL), whose values go to `global_values`. REASON_BAD_FIELD says what is
 * wrong, and what was probably meant. */
MUST_USE outcome arguments_parse(char *const *argv, const struct option_spec *specs,
				 const struct option_spec *globals, const char **global_values,
				 struct arguments *out, struct fault *f);
/* Leading options of `argv` that are in `globals`; returns how many elements they take, REASON_BAD_FIELD
 * else. */
MUST_USE outcome arguments_parse_globals(char *const *argv, const struct option_spec *globals,
					 const char **global_values, size_t *taken, struct fault *f);

/* Value of the option; NULL where it was not given. The name must be among the command's own specs. */
const char *argument(const struct arguments *a, const char *name);
bool argument_flag(const struct arguments *a, const char *name);
/* The next value of an option that may be given again; *at begins with 0. NULL at the end. */
const char *argument_next(const struct arguments *a, const char *name, size_t *at);
/* A whole number in the range, `fallback` where the option was not given. */
MUST_USE outcome argument_number(const struct arguments *a, const char *name, long min, long max,
				 long fallback, long *out, struct fault *f);
/* "1,2,4": numbers from 1 to `max` (at most 255), each above the one before, at most `room` of them; *count is 0 where
 * the option was not given. */
MUST_USE outcome argument_numbers(const struct arguments *a, const char *name, int max, uint8_t *out,
				  size_t room, size_t *count, struct fault *f);

#endif
