#include "json_read.h"

#include <string.h>

outcome json_read_object(struct bytes text, const char *what, json_t **out, struct fault *f)
{
	json_error_t e;
	*out = json_loadb((const char *)text.p, text.n, JSON_REJECT_DUPLICATES, &e);
	if (json_is_object(*out))
		return DONE;
	if (*out)
		refuse(f, REASON_BAD_JSON, "%s: not a JSON object", what);
	else
		refuse(f, REASON_BAD_JSON, "%s:%d: RFC 8259: %s", what, e.line, e.text);
	json_decref(*out);
	*out = NULL;
	return (outcome){false};
}

static bool is_among(const char *name, const char *const *names)
{
	for (; *names; names++)
		if (!strcmp(name, *names))
			return true;
	return false;
}

outcome json_read_members(const json_t *object, const char *const *names, struct fault *f)
{
	const char *name;
	json_t *value;
	json_object_foreach((json_t *)(uintptr_t)object, name, value)
		if (!is_among(name, names))
			return refuse(f, REASON_BAD_FIELD, "%.60s: there is no such member here", name);
	return DONE;
}

bool json_read_hex(const json_t *value, uint8_t *out, size_t size)
{
	size_t n;
	return json_is_string(value) &&
	       hex_decode(json_string_value(value), json_string_length(value), out, size, &n) && n == size;
}

bool json_read_base64url(const json_t *value, uint8_t *out, size_t size)
{
	size_t n;
	return json_is_string(value) &&
	       base64url_decode(json_string_value(value), json_string_length(value), out, size, &n) &&
	       n == size;
}

bool json_read_base64(const json_t *value, uint8_t *out, size_t room, size_t *n)
{
	return json_is_string(value) &&
	       base64_decode(json_string_value(value), json_string_length(value), out, room, n);
}
