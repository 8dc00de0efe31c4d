/*
 * config.h - YAML configuration from one table: key, type, default, range, doc.
 *
 * A configuration file is one flat mapping. Unknown and duplicate keys, wrong types, values out of range
 * and missing required keys refuse to start, with file and line.
 */
#ifndef MOORING_CONFIG_H
#define MOORING_CONFIG_H

#include "common/bytes.h"

#include <stddef.h>

enum config_type { CONFIG_STRING, CONFIG_INT, CONFIG_BOOL, CONFIG_STRINGS };

struct config_strings {
	char **items;
	size_t count;
};

struct config_key {
	const char *name;
	enum config_type type;
	size_t offset; /* of a char *, int64_t, bool or struct config_strings in the struct that is filled */
	const char *fallback; /* NULL: required. Text as it would stand in the file */
	int64_t min, max;     /* CONFIG_INT */
	outcome (*check)(const char *value, struct fault *f); /* strings; may be NULL */
	const char *doc;				      /* one line */
};

/* A table is made of parts: a daemon's own keys, and those that it shares with others (config_common.h). */
struct config_part {
	const struct config_key *keys;
	size_t count;
	size_t offset; /* of the struct that these keys fill, in the daemon's */
};

/* Fills the struct at `into` (zeroed by the caller); strings are owned by it: config_free. Relative paths
 * are relative to the working directory. REASON_CONFIG with "file:line: key: what is wrong". */
MUST_USE outcome config_load(const char *path, const struct config_part *parts, size_t count, void *into,
			     struct fault *f);
void config_free(const struct config_part *parts, size_t count, void *from);
/* Puts the key that names a file before what is wrong with that file: REASON_CONFIG. For use around the
 * call that reads it. */
outcome config_blame(const char *key, outcome read, struct fault *f);
/* The file that would give these values, each key under its doc: `--print-config`. Caller frees. */
char *config_print(const struct config_part *parts, size_t count, const void *from);

#endif
