#include "stages.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct metric issued = {METRIC_COUNTER, "mooring_certificates_issued_total",
			       "Certificates made and recorded.", 0};
static struct metric repeated = {METRIC_COUNTER, "mooring_certificates_repeated_total",
				 "Enrolments answered with the certificate that their key had already.", 0};
static struct metric_reasons refused = {.name = "mooring_enrolments_refused_total",
					.help = "Enrolments and renewals refused, by reason."};
static struct metric_histogram duration = {.name = "mooring_enrolment_seconds",
					   .help = "Time from a whole request to its answer."};

static void on_deadline(evutil_socket_t fd, short what, void *arg);

struct enrol *enrol_new(struct worker *w, const char *request_id, enrol_answer *answer, void *arg)
{
	struct enrol *e = calloc(1, sizeof *e);
	if (!e)
		return NULL;
	e->waker = e;
	e->gateway = w->gateway;
	e->worker = w;
	snprintf(e->id, sizeof e->id, "%s", request_id);
	e->started_us = clock_monotonic_us();
	e->stages = enrol_stages;
	e->stage_count = enrol_stage_count;
	e->answer = answer;
	e->answer_arg = arg;
	event_assign(&e->deadline, loop_base(w->loop), -1, 0, on_deadline, e);
	return e;
}

static void free_enrol(struct enrol *e)
{
	if (!e)
		return;
	event_del(&e->deadline);
	buf_free(&e->authenticate.certificate);
	attest_call_free(&e->attest.call);
	approval_free(e->policy.approval);
	buf_free(&e->issue.certificate);
	buf_free(&e->respond.pem);
	free(e);
}

static const char *stage_name(const struct enrol *e)
{
	return e->at < e->stage_count ? e->stages[e->at].name : "done";
}

/* One line a request, with the numbers that an operator asks for first. */
static void write_log(const struct enrol *e, const struct fault *f)
{
	char fields[256];
	int64_t us = clock_monotonic_us() - e->started_us;
	int status = f ? reason_public(f->reason)->status : e->issue.reserved == STORE_EXISTS ? 200 : 201;
	snprintf(fields, sizeof fields,
		 "\"stage\":\"%s\",\"status\":%d,\"thing\":\"%s\",\"ms\":%" PRId64 ".%03d", stage_name(e),
		 status, e->issue.terms.thing, us / 1000, (int)(us % 1000));
	log_fields(f ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, e->id, f, fields,
		   e->request.renews ? "renewal" : "enrolment");
}

/* The attestation service has said, of this request, that it is from the device that the evidence names. */
static bool is_proven(const struct attest_out *a)
{
	return a->call.affirmed && a->call.ear.has_instance_id &&
	       !memcmp(a->call.ear.instance_id, a->evidence.instance_id, INSTANCE_ID_SIZE);
}

static char *refusal_detail(const struct enrol *e)
{
	const char *type = e->attest.parsed ? evidence_type_name(e->request.type) : "";
	json_t *detail = json_pack("{s:s, s:s, s:s}", "stage", stage_name(e), "request",
				   e->request.renews ? "renewal" : "enrolment", "evidence", type);
	json_t *origin = s5_provenance_detail(&e->provenance);
	json_object_update(detail, origin);
	char *text = json_dumps(detail, JSON_COMPACT);
	json_decref(origin);
	json_decref(detail);
	return text;
}

/* The refusals that the store did not itself make. */
static void record_refusal(const struct enrol *e, const struct fault *f)
{
	bool known = e->attest.parsed;
	if (e->issue.fault_logged || e->record.fault_logged || !e->gateway->store)
		return;
	char *detail = refusal_detail(e);
	store_refused(e->gateway->store, e->id, known ? e->attest.evidence.instance_id : NULL,
		      is_proven(&e->attest), e->issue.terms.thing, f, detail ? detail : "");
	free(detail);
}

static void give_answer(struct enrol *e, const struct fault *f)
{
	enrol_answer *answer = e->answer;
	metric_observe_us(&duration, clock_monotonic_us() - e->started_us);
	if (f) {
		metric_count_reason(&refused, f->reason);
		record_refusal(e, f);
	}
	write_log(e, f);
	e->answer = NULL;
	answer(e, f, e->answer_arg);
}

/* A caller whose time was over has its answer: how it ended after that is for the operator. */
static void finish(struct enrol *e, const struct fault *f)
{
	if (!f)
		metric_add(e->issue.reserved == STORE_EXISTS ? &repeated : &issued, 1);
	if (e->answer)
		give_answer(e, f);
	else
		write_log(e, f);
	free_enrol(e);
}

/* The store is about to close: the caller hears that it may try again, and nothing is asked of the store. */
static void abandon(struct enrol *e)
{
	struct fault f;
	refuse(&f, REASON_OVERLOADED, "the gateway is stopping");
	if (e->answer)
		e->answer(e, &f, e->answer_arg);
	free_enrol(e);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct enrol *e = arg;
	struct fault f;
	(void)fd, (void)what;
	refuse(&f, REASON_DEADLINE, "%d s were over in stage %s", ENROL_DEADLINE_MS / 1000, stage_name(e));
	give_answer(e, &f);
}

/* NEXT: go on, with the same stage where what it waited for was there at once. */
static enum step run_stage(struct enrol *e, struct fault *f)
{
	const struct stage *stage = &e->stages[e->at];
	e->woken = false;
	enum step step = stage->run(e, f);
	if (step == STEP_NEXT)
		e->at++;
	else if (step == STEP_WAIT && stage->may_wait && e->woken)
		step = STEP_NEXT;
	else if (step == STEP_WAIT && stage->may_wait)
		e->waiting = true;
	else if (step != STEP_FAIL || f->reason == REASON_NONE)
		abort(); /* no stage may do anything else: going on would be guessing */
	return step;
}

static void run(struct enrol *e)
{
	struct fault f = {0};
	enum step step = STEP_NEXT;
	e->running = true;
	while (step == STEP_NEXT && e->at < e->stage_count)
		step = run_stage(e, &f);
	e->running = false;
	if (step != STEP_WAIT)
		finish(e, step == STEP_FAIL ? &f : NULL);
}

void enrol_run(struct enrol *e)
{
	struct timeval deadline = {.tv_sec = ENROL_DEADLINE_MS / 1000};
	event_add(&e->deadline, &deadline);
	run(e);
}

void enrol_wake(void *waker)
{
	struct enrol *e = waker;
	e->woken = true;
	if (e->running)
		return; /* from within the stage itself: the loop sees it */
	if (!e->waiting)
		abort();
	e->waiting = false;
	if (e->worker->stopping)
		abandon(e);
	else if (!e->answer && !e->stages[e->at].past_deadline)
		free_enrol(e);
	else
		run(e);
}

void enrol_refuse(struct enrol *e, const struct fault *f)
{
	finish(e, f);
}

void enrol_metrics_write(struct buf *out)
{
	metrics_write(out, &issued);
	metrics_write(out, &repeated);
	metrics_write_reasons(out, &refused);
	metrics_write_histogram(out, &duration);
}
