#include "scgi.h"

#include "scgi_parse.h"

#include <stdlib.h>
#include <string.h>

static bool query_find(const struct scgi_request *r, const char *name, struct bytes *value, size_t *count)
{
	size_t n = strlen(name);
	*count = 0;
	for (const char *p = scgi_query(r); *p;) {
		size_t length = strcspn(p, "&");
		if (length >= n && !strncmp(p, name, n) && (length == n || p[n] == '=')) {
			*value = length == n ? bytes_of(p, 0) : bytes_of(p + n + 1, length - n - 1);
			++*count;
		}
		p += length + (p[length] == '&');
	}
	return *count > 0;
}

bool scgi_query_has(const struct scgi_request *r, const char *name)
{
	struct bytes value;
	size_t count;
	return query_find(r, name, &value, &count);
}

bool scgi_query_get(const struct scgi_request *r, const char *name, char *out, size_t room)
{
	struct bytes value;
	size_t count, n;
	return query_find(r, name, &value, &count) && count == 1 &&
	       scgi_percent_decode(value, true, out, room, &n);
}

outcome scgi_query_number(const struct scgi_request *r, const char *name, int64_t max, int64_t otherwise,
			  int64_t *out, struct fault *f)
{
	char text[20]; /* 18 digits are an int64_t, whatever they are */
	*out = otherwise;
	if (!scgi_query_has(r, name))
		return DONE;
	bool digits = scgi_query_get(r, name, text, sizeof text) && *text && strlen(text) <= 18 &&
		      strspn(text, "0123456789") == strlen(text);
	*out = digits ? strtoll(text, NULL, 10) : 0;
	if (!digits || *out > max)
		return refuse(f, REASON_BAD_FIELD, "%s: a number from 0 to %lld is required", name,
			      (long long)max);
	return DONE;
}
