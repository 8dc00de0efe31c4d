/*
 * input.h - files as people have them: binary, or its hexadecimal, base64 or PEM text.
 */
#ifndef MOORING_INPUT_H
#define MOORING_INPUT_H

#include "common/bytes.h"

/* Reads the file ("-": standard input), and decodes it where all of it is text of one of these forms. *form
 * names the form: "raw", "hex", "base64", "PEM", or "JSON" where it is text that starts an object, left as it
 * is. Caller frees `out`. REASON_TOO_LARGE beyond `limit` decoded bytes; REASON_BAD_ENCODING. */
MUST_USE outcome input_read(const char *path, size_t limit, struct buf *out, const char **form,
			    struct fault *f);

/* "standard input" for "-"; else the path. */
const char *input_name(const char *path);
/* The file ("-": standard input) as it is; caller frees, and finds a zero byte behind it. REASON_TOO_LARGE beyond
 * `limit`. */
MUST_USE outcome input_read_text(const char *path, size_t limit, struct buf *out, struct fault *f);

#endif
