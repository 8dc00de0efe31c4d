#include "sigv4_internal.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool sigv4_next_name(struct bytes *list, struct bytes *name)
{
	if (list->n == 0)
		return false;
	const uint8_t *end = memchr(list->p, ';', list->n);
	size_t n = end ? (size_t)(end - list->p) : list->n;
	*name = bytes_of(list->p, n);
	*list = end ? bytes_of(end + 1, list->n - n - 1) : bytes_of(NULL, 0);
	return true;
}

static void add_encoded(struct buf *out, uint8_t c, const char *also_plain)
{
	if (isalnum(c) || (c && strchr("-._~", c)) || (c && strchr(also_plain, c)))
		buf_byte(out, c);
	else
		buf_printf(out, "%%%02X", c);
}

/* The path as received is encoded once more, '%' included: what came as %3A is signed as %253A. */
static void add_path(struct buf *out, const char *raw_path)
{
	for (const char *p = raw_path; *p; p++)
		add_encoded(out, (uint8_t)*p, "/");
}

static void add_query_part(struct buf *out, struct bytes raw)
{
	for (size_t i = 0; i < raw.n; i++) {
		uint8_t c = raw.p[i];
		size_t n;
		if (c == '%' && raw.n - i > 2 && hex_decode((const char *)raw.p + i + 1, 2, &c, 1, &n))
			i += 2;
		add_encoded(out, c, "");
	}
}

/* One "name=value", both re-encoded; a missing '=' gives an empty value. */
static char *query_pair(struct bytes raw)
{
	struct buf out = {0};
	const uint8_t *eq = memchr(raw.p, '=', raw.n);
	size_t name = eq ? (size_t)(eq - raw.p) : raw.n;
	add_query_part(&out, bytes_of(raw.p, name));
	buf_byte(&out, '=');
	if (eq)
		add_query_part(&out, bytes_of(eq + 1, raw.n - name - 1));
	return buf_take_str(&out);
}

/* By name, then by value: '=' must not take part, as '-' and '.' sort before it. */
static int compare_pairs(const void *a, const void *b)
{
	const char *x = *(char *const *)a, *y = *(char *const *)b;
	size_t nx = strcspn(x, "="), ny = strcspn(y, "=");
	int names = memcmp(x, y, nx < ny ? nx : ny);
	if (names || nx != ny)
		return names ? names : nx < ny ? -1 : 1;
	return strcmp(x + nx, y + ny);
}

static size_t count_pairs(const char *query)
{
	size_t n = *query ? 1 : 0;
	for (; *query; query++)
		n += *query == '&';
	return n;
}

static bool add_query(struct buf *out, const char *raw_query)
{
	size_t room = count_pairs(raw_query), n = 0;
	char **pairs = room ? calloc(room, sizeof *pairs) : NULL;
	bool ok = !room || pairs;
	for (const char *p = raw_query; ok && *p;) {
		size_t len = strcspn(p, "&");
		if (len)
			ok = (pairs[n] = query_pair(bytes_of(p, len))) && ++n;
		p += len + (p[len] == '&');
	}
	if (n)
		qsort(pairs, n, sizeof *pairs, compare_pairs);
	for (size_t i = 0; i < n; i++) {
		if (i)
			buf_byte(out, '&');
		buf_str(out, pairs[i]);
		free(pairs[i]);
	}
	free(pairs);
	return ok;
}

/* Trimmed; runs of spaces become one. */
static void add_header_value(struct buf *out, const char *value)
{
	bool gap = false, begun = false;
	for (; *value; value++) {
		if (*value == ' ' || *value == '\t') {
			gap = begun;
			continue;
		}
		if (gap)
			buf_byte(out, ' ');
		buf_byte(out, (uint8_t)*value);
		gap = false;
		begun = true;
	}
}

/* A header given several times is one line, its values joined by commas in the order of the request. */
static outcome add_header(struct buf *out, const struct sigv4_request *r, struct bytes name, struct fault *f)
{
	unsigned found = 0;
	for (size_t i = 0; i < name.n; i++)
		buf_byte(out, (uint8_t)tolower(name.p[i]));
	buf_byte(out, ':');
	for (size_t i = 0; i < r->header_count; i++) {
		const char *at = r->headers[i].name;
		if (strlen(at) != name.n || strncasecmp(at, (const char *)name.p, name.n))
			continue;
		if (found++)
			buf_byte(out, ',');
		add_header_value(out, r->headers[i].value);
	}
	buf_byte(out, '\n');
	if (!found)
		return refuse(f, REASON_SIGV4_MALFORMED, "SigV4: signed header %.*s is not in the request",
			      (int)name.n, (const char *)name.p);
	return DONE;
}

static outcome add_headers(struct buf *out, const struct sigv4_request *r, const char *signed_headers,
			   struct fault *f)
{
	struct bytes list = bytes_str(signed_headers), name;
	while (sigv4_next_name(&list, &name)) {
		outcome added = add_header(out, r, name, f);
		if (!added.ok)
			return added;
	}
	return DONE;
}

outcome sigv4_canonical_request(const struct sigv4_request *r, const char *signed_headers, struct buf *out,
				struct fault *f)
{
	uint8_t hash[SHA256_SIZE];
	char hex[HEX_SIZE(SHA256_SIZE)];
	sha256(r->body, hash);
	hex_encode(bytes_of(hash, sizeof hash), hex);
	buf_printf(out, "%s\n", r->method);
	add_path(out, r->raw_path[0] ? r->raw_path : "/");
	buf_byte(out, '\n');
	if (!add_query(out, r->raw_query))
		return refuse(f, REASON_NO_MEMORY, "no memory for the canonical request");
	buf_byte(out, '\n');
	outcome added = add_headers(out, r, signed_headers, f);
	if (!added.ok)
		return added;
	buf_printf(out, "\n%s\n%s", signed_headers, hex);
	return out->failed ? refuse(f, REASON_NO_MEMORY, "no memory for the canonical request") : DONE;
}
