/*
 * config_internal.h - what reading a configuration (config.c) and refusing it with file and line
 * (config_refuse.c) share.
 */
#ifndef MOORING_CONFIG_INTERNAL_H
#define MOORING_CONFIG_INTERNAL_H

#include "config.h"

enum { CONFIG_COMPLAINT_MAX = 200 };

struct config_source {
	const char *path; /* for messages */
	struct bytes text;
};

/* Number of the `nth` (from 1) line that begins with this key; 0 where there is none. */
unsigned config_line_of(struct bytes text, struct bytes key, unsigned nth);
/* REASON_CONFIG, "file:line: key: rule". */
outcome config_refuse_key(struct fault *f, const struct config_source *src, const char *key,
			  const char *rule);
/* The file is no mapping of these keys. libcyaml's complaint says what is wrong and the line before it, so
 * the usual causes are looked for in the text itself. */
outcome config_refuse_file(const struct config_key *keys, size_t count, const struct config_source *src,
			   const char *complaint, struct fault *f);

#endif
