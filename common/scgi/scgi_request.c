#include "scgi_internal.h"

#include "common/clock.h"
#include "common/crypto/crypto.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static char nothing[1];

const char *scgi_method(const struct scgi_request *r)
{
	return scgi_find(&r->head, "REQUEST_METHOD");
}

const char *scgi_path(const struct scgi_request *r)
{
	return r->path ? r->path : nothing;
}

const char *scgi_query(const struct scgi_request *r)
{
	return r->query ? r->query : nothing;
}

struct bytes scgi_body(const struct scgi_request *r)
{
	return r->head.body;
}

struct bytes scgi_client_cert(const struct scgi_request *r)
{
	return r->client_cert;
}

const char *scgi_request_id(const struct scgi_request *r)
{
	return r->id;
}

struct loop *scgi_request_loop(const struct scgi_request *r)
{
	return r->worker->loop;
}

unsigned scgi_worker_index(const struct scgi_request *r)
{
	return r->worker->index;
}

/* "HTTP_X_AMZ_DATE" is the header "x-amz-date"; CONTENT_TYPE and CONTENT_LENGTH come without the prefix. */
static const char *header_part(const char *param)
{
	if (!strncmp(param, "HTTP_", 5))
		return param + 5;
	return !strncmp(param, "CONTENT_", 8) ? param : NULL;
}

static bool header_is(const char *part, const char *name)
{
	for (; *part && *name; part++, name++) {
		int c = *name == '-' ? '_' : toupper((unsigned char)*name);
		if (c != *part)
			return false;
	}
	return *part == *name;
}

const char *scgi_header(const struct scgi_request *r, const char *name)
{
	for (size_t i = 0; i < r->head.count; i++) {
		const char *part = header_part(r->head.params[i].name);
		if (part && *r->head.params[i].value && header_is(part, name))
			return r->head.params[i].value;
	}
	return nothing;
}

static bool header_is_known(const struct scgi_request *r, const char *name)
{
	for (size_t i = 0; i < r->header_count; i++)
		if (!strcmp(r->headers[i].name, name))
			return true;
	return false;
}

/* Once, while the request is taken in: the accessors work on a const request. */
static bool name_headers(struct scgi_request *r, char *names)
{
	for (size_t i = 0; i < r->head.count; i++) {
		const char *part = header_part(r->head.params[i].name);
		char *name = names;
		if (!part || !*r->head.params[i].value)
			continue;
		do
			*names++ = (char)(*part == '_' ? '-' : tolower((unsigned char)*part));
		while (*part++);
		if (!header_is_known(r, name))
			r->headers[r->header_count++] = (struct scgi_pair){name, r->head.params[i].value};
	}
	return true;
}

size_t scgi_header_count(const struct scgi_request *r)
{
	return r->header_count;
}

void scgi_header_at(const struct scgi_request *r, size_t i, const char **name, const char **value)
{
	*name = r->headers[i].name;
	*value = r->headers[i].value;
}

static void *arena_take(struct scgi_request *r, size_t n)
{
	struct scgi_block *block = malloc(sizeof *block + n);
	if (!block)
		return NULL;
	block->next = r->arena;
	r->arena = block;
	return block->memory;
}

void *scgi_alloc(struct scgi_request *r, size_t n)
{
	struct fault f;
	void *p = arena_take(r, n);
	if (!p) {
		refuse(&f, REASON_OVERLOADED, "no memory for a request");
		scgi_answer_problem(r, &f);
	}
	return p;
}

static outcome split_uri(struct scgi_request *r, struct fault *f)
{
	const char *uri = scgi_find(&r->head, "REQUEST_URI");
	size_t n = strlen(uri) + 1;
	if (*uri != '/' || !*scgi_method(r))
		return refuse(f, REASON_BAD_REQUEST, "SCGI: no REQUEST_METHOD, or REQUEST_URI is not a path");
	r->path = arena_take(r, n);
	if (!r->path)
		return refuse(f, REASON_OVERLOADED, "no memory for a request");
	memcpy(r->path, uri, n);
	char *mark = strchr(r->path, '?');
	if (mark) {
		*mark = '\0';
		r->query = mark + 1;
	}
	return DONE;
}

static outcome decode_certificate(struct scgi_request *r, struct fault *f)
{
	struct bytes escaped = bytes_str(scgi_find(&r->head, "CLIENT_CERT"));
	if (escaped.n == 0)
		return DONE;
	char *pem = arena_take(r, escaped.n + 1);
	size_t n;
	if (!pem)
		return refuse(f, REASON_OVERLOADED, "no memory for a request");
	if (!scgi_percent_decode(escaped, false, pem, escaped.n + 1, &n))
		return refuse(f, REASON_BAD_REQUEST, "SCGI: CLIENT_CERT is not percent-encoded text");
	r->client_cert = bytes_of(pem, n);
	return DONE;
}

outcome scgi_request_fill(struct scgi_request *r, struct fault *f)
{
	outcome result = scgi_split(buf_view(&r->in), &r->head, f);
	if (result.ok)
		result = split_uri(r, f);
	if (result.ok)
		result = decode_certificate(r, f);
	if (!result.ok)
		return result;
	r->headers = arena_take(r, r->head.count * sizeof *r->headers);
	char *names = arena_take(r, r->in.n);
	if (!r->headers || !names || !name_headers(r, names))
		return refuse(f, REASON_OVERLOADED, "no memory for a request");
	return DONE;
}

/* ULID: 48 bits of milliseconds, 80 of randomness, in Crockford's alphabet. */
void scgi_request_name(struct scgi_request *r)
{
	static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
	uint8_t random[16];
	uint64_t ms = (uint64_t)clock_wall_ms();
	crypto_random(random, sizeof random);
	for (int i = 9; i >= 0; i--, ms >>= 5)
		r->id[i] = alphabet[ms & 31];
	for (int i = 10; i < REQUEST_ID_SIZE - 1; i++)
		r->id[i] = alphabet[random[i - 10] & 31];
}
