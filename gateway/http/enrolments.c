#include "common/scgi/scgi_json.h"
#include "enrolment_json.h"
#include "http.h"

static void answer(struct enrol *e, const struct fault *f, void *arg)
{
	struct scgi_request *r = arg;
	struct buf body = {0};
	struct fault no_memory;
	if (!f && !enrolment_json_answer(e, &body)) {
		refuse(&no_memory, REASON_NO_MEMORY, "no memory for an answer");
		f = &no_memory;
	}
	if (f)
		scgi_answer_problem(r, f);
	else
		scgi_answer(r, e->issue.reserved == STORE_EXISTS ? 200 : 201, "application/json",
			    buf_view(&body));
	buf_free(&body);
}

static void handle(struct gateway *g, struct scgi_request *r, bool renewal)
{
	struct fault f;
	struct enrol *e = enrol_new(worker_of(g, r), scgi_request_id(r), answer, r);
	if (!e) {
		refuse(&f, REASON_OVERLOADED, "no memory for a request");
		scgi_answer_problem(r, &f);
		return;
	}
	e->request.renews = renewal;
	outcome read = scgi_json_expect(r, &f);
	if (read.ok)
		read = enrolment_json_parse(scgi_body(r), renewal, &e->request, &f);
	if (read.ok)
		enrol_run(e);
	else
		enrol_refuse(e, &f);
}

void http_enrolments(struct gateway *g, struct scgi_request *r)
{
	handle(g, r, false);
}

void http_renewals(struct gateway *g, struct scgi_request *r)
{
	handle(g, r, true);
}
