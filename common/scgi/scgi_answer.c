#include "scgi_internal.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

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
	if (r->closing)
		return;
	buf_consume(&r->out, r->out_sent);
	r->out_sent = 0;
	buf_bytes(&r->out, chunk);
	if (r->out.failed || r->out.n > r->stream_limit)
		scgi_conn_end(r);
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
