#include "scgi_internal.h"

#include "clock.h"
#include "crypto.h"

#include <ctype.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

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

bool scgi_client_left(const struct scgi_request *r)
{
	return r->left;
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

static bool is_header_text(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			return false;
	return true;
}

void scgi_answer_header(struct scgi_request *r, const char *name, const char *value)
{
	if (!is_header_text(name) || !is_header_text(value))
		return; /* a header that would end its line early is no header */
	buf_printf(&r->extra, "%s: %s\r\n", name, value);
}

static const char *phrase(int status)
{
	static const struct {
		int status;
		const char *text;
	} phrases[] = {
		{200, "OK"},
		{201, "Created"},
		{202, "Accepted"},
		{204, "No Content"},
		{304, "Not Modified"},
		{400, "Bad Request"},
		{401, "Unauthorized"},
		{403, "Forbidden"},
		{404, "Not Found"},
		{405, "Method Not Allowed"},
		{409, "Conflict"},
		{413, "Content Too Large"},
		{415, "Unsupported Media Type"},
		{429, "Too Many Requests"},
		{500, "Internal Server Error"},
		{503, "Service Unavailable"},
	};
	for (size_t i = 0; i < sizeof phrases / sizeof *phrases; i++)
		if (phrases[i].status == status)
			return phrases[i].text;
	return "Status";
}

static void begin_answer(struct scgi_request *r, int status, const char *content_type)
{
	if (r->state != SCGI_HANDLING && r->state != SCGI_READING)
		abort(); /* a request is answered once */
	buf_printf(&r->out, "Status: %d %s\r\nX-Request-Id: %s\r\n", status, phrase(status), r->id);
	if (content_type)
		buf_printf(&r->out, "Content-Type: %s\r\n", content_type);
	buf_bytes(&r->out, buf_view(&r->extra));
}

static void send_or_drop(struct scgi_request *r)
{
	/* Half an answer is worse than none: the edge says 502 for none. */
	if (r->out.failed || r->extra.failed)
		r->left = true;
	scgi_conn_flush(r);
}

void scgi_answer(struct scgi_request *r, int status, const char *content_type, struct bytes body)
{
	begin_answer(r, status, body.n ? content_type : NULL);
	if (status != 204 && status != 304)
		buf_printf(&r->out, "Content-Length: %zu\r\n", body.n);
	buf_str(&r->out, "\r\n");
	buf_bytes(&r->out, body);
	r->state = SCGI_WRITING;
	send_or_drop(r);
}

/* The rows whose sentence tells the caller what it sent wrong. All others are for the operator alone. */
static bool detail_is_public(const struct reason_public *p)
{
	static const char *const open[] = {
		"bad-request", "csr-refused", "evidence-malformed",	"unauthenticated",
		"conflict",    "too-large",   "unsupported-media-type", "method-not-allowed"};
	for (size_t i = 0; i < sizeof open / sizeof *open; i++)
		if (!strcmp(p->code, open[i]))
			return true;
	return false;
}

static char *problem_text(const struct scgi_request *r, const struct reason_public *p, const struct fault *f,
			  bool to_operator)
{
	char type[96];
	snprintf(type, sizeof type, "urn:mooring:reason:%s", p->code);
	json_t *o = json_pack("{s:s, s:s, s:i, s:s, s:s}", "type", type, "title", p->text, "status",
			      p->status, "code", p->code, "request_id", r->id);
	if (o && (to_operator || detail_is_public(p))) {
		json_t *detail = json_string(f->text);
		if (detail)
			json_object_set_new(o, "detail", detail);
	}
	if (o && to_operator)
		json_object_set_new(o, "reason", json_string(reason_code(f->reason)));
	char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
	json_decref(o);
	return text;
}

static void answer_problem(struct scgi_request *r, const struct fault *f, bool to_operator)
{
	const struct reason_public *p = reason_public(f->reason);
	char *text = problem_text(r, p, f, to_operator);
	char wait[16];
	snprintf(wait, sizeof wait, "%d", f->retry_after_s > 0 ? f->retry_after_s : p->status == 409 ? 1 : 5);
	if (p->retryable)
		scgi_answer_header(r, "Retry-After", wait);
	scgi_answer(r, p->status, "application/problem+json", text ? bytes_str(text) : bytes_of(NULL, 0));
	free(text);
}

void scgi_answer_problem(struct scgi_request *r, const struct fault *f)
{
	answer_problem(r, f, false);
}

void scgi_answer_problem_to_operator(struct scgi_request *r, const struct fault *f)
{
	answer_problem(r, f, true);
}

void scgi_stream_begin(struct scgi_request *r, const char *content_type, size_t limit,
		       void (*left)(void *arg), void *arg)
{
	begin_answer(r, 200, content_type);
	buf_str(&r->out, "\r\n");
	r->state = SCGI_STREAMING;
	r->stream_limit = limit;
	r->stream_left = left;
	r->stream_arg = arg;
	send_or_drop(r);
}

void scgi_stream_send(struct scgi_request *r, struct bytes chunk)
{
	if (r->doomed)
		return;
	buf_consume(&r->out, r->out_sent);
	r->out_sent = 0;
	buf_bytes(&r->out, chunk);
	if (r->out.failed || r->out.n > r->stream_limit)
		scgi_conn_doom(r);
	else
		scgi_conn_flush(r);
}

void scgi_stream_on_drained(struct scgi_request *r, void (*drained)(void *arg))
{
	r->stream_drained = drained;
}

void scgi_stream_end(struct scgi_request *r)
{
	r->ending = true;
	scgi_conn_flush(r);
}
