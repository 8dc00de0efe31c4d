/* How long a document is, and how short it can be made. */
#include "policy_internal.h"

#include <string.h>

static bool is_space(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Walks over JSON's bytes: is the one at hand inside a string? */
struct walk {
	bool in_string, escaped;
};

static bool step(struct walk *w, uint8_t c)
{
	bool inside = w->in_string;
	if (w->escaped)
		w->escaped = false;
	else if (c == '"')
		w->in_string = !inside;
	else
		w->escaped = inside && c == '\\';
	return inside;
}

void policy_minify(struct bytes json, struct buf *out)
{
	struct walk w = {0};
	for (size_t i = 0; i < json.n; i++)
		if (step(&w, json.p[i]) || !is_space(json.p[i]))
			buf_byte(out, json.p[i]);
}

outcome policy_check_size(struct bytes json, struct fault *f)
{
	struct walk w = {0};
	size_t characters = 0, bytes = 0;
	for (size_t i = 0; i < json.n; i++) {
		uint8_t c = json.p[i];
		bool inside = step(&w, c), continues = (c & 0xc0) == 0x80;
		characters += !is_space(c) && !continues;
		bytes += inside || !is_space(c);
	}
	if (characters > POLICY_DOCUMENT_MAX)
		return policy_refuse(
			f, "document",
			"%zu characters without white space, AWS IoT's limit is %d; split it into "
			"several policies, or use wildcards",
			characters, POLICY_DOCUMENT_MAX);
	if (bytes > POLICY_BYTES_MAX)
		return policy_refuse(f, "document", "%zu bytes, the limit is %d; shorten its strings", bytes,
				     POLICY_BYTES_MAX);
	return DONE;
}
