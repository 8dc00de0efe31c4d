#include "attest.h"

#include "common/clock.h"
#include "common/http/httpc.h"
#include "attest_json.h"
#include "health.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SESSION_ANSWER_MAX = 65536, SESSION_TIMEOUT_MS = 2000, EVIDENCE_TIMEOUT_MS = 10000 };
enum { TYPE_HEADER_SIZE = 96 };

#define SESSION_MEDIA_TYPE "application/vnd.veraison.challenge-response-session+json"

static void finish(struct attest_call *call, outcome r)
{
	bool answered = r.ok || (call->fault.reason != REASON_VERIFIER_UNAVAILABLE &&
				 call->fault.reason != REASON_VERIFIER_ANSWER);
	call->affirmed = r.ok;
	attest_health_report(call->worker->gateway->attest, answered, clock_monotonic_ms());
	call->done(call->arg);
}

static outcome refused_there(struct fault *f, enum reason theirs, const char *code)
{
	switch (theirs) {
	case REASON_DEVICE_UNKNOWN:
		return refuse(f, theirs, "the attestation service has no record of this instance ID");
	case REASON_DEVICE_SUSPENDED:
		return refuse(
			f, theirs,
			"the attestation service does not vouch for this device now: it is suspended there");
	case REASON_TEST_KEY:
		return refuse(f, theirs,
			      "anyone can sign with this Root of Trust key: it is a published test key");
	default:
		return refuse(f, theirs, "the attestation service refuses: %s", code);
	}
}

/* The refusal's reason is the verifier's own where it is one that stands for a refused attestation. */
static outcome take_reason(struct attest_call *call, outcome checked)
{
	enum reason theirs = reason_find(call->ear.reason);
	if (checked.ok || call->fault.reason != REASON_EAR_STATUS || !call->ear.reason[0])
		return checked;
	if (reason_public(theirs) != reason_public(REASON_EAR_STATUS))
		theirs = REASON_EAR_STATUS;
	return refused_there(&call->fault, theirs, call->ear.reason);
}

static outcome check_result(struct attest_call *call)
{
	struct ear_expect expect = {
		.keys = call->worker->ear_keys,
		.key_count = call->worker->gateway->keys.ear_count,
		.csr_spki = call->csr_spki,
		.now = clock_wall_s(),
	};
	memcpy(expect.binding, call->binding, BINDING_SIZE);
	return take_reason(call, ear_check(bytes_str(call->jwt), &expect, &call->ear, &call->fault));
}

static bool is_session(const struct httpc_answer *answer)
{
	return !strncmp(answer->content_type, SESSION_MEDIA_TYPE, strlen(SESSION_MEDIA_TYPE)) ||
	       !strncmp(answer->content_type, "application/json", 16);
}

/* Anything but the expected status: what the service said is only good for the log. */
static outcome refuse_answer(struct attest_call *call, const char *what, const struct httpc_answer *answer,
			     const struct fault *f)
{
	if (!answer->status)
		return refuse(&call->fault, REASON_VERIFIER_UNAVAILABLE, "%s: %s", what, f->text);
	if (answer->status == 401 || answer->status == 403)
		return refuse(&call->fault, REASON_VERIFIER_UNAVAILABLE,
			      "%s: HTTP status %d: the service does not take this gateway's certificate",
			      what, answer->status);
	if (answer->status >= 500 || answer->status == 404 || answer->status == 429 || answer->status == 202)
		return refuse(&call->fault, REASON_VERIFIER_UNAVAILABLE, "%s: HTTP status %d", what,
			      answer->status);
	return refuse(&call->fault, REASON_VERIFIER_ANSWER, "%s: HTTP status %d", what, answer->status);
}

/* A session, in an answer of the one status that stands for success. */
static outcome read_session(struct attest_call *call, const char *what, int expected,
			    const struct httpc_answer *answer, const struct fault *f, struct session *out)
{
	*out = (struct session){0};
	if (answer->status != expected)
		return refuse_answer(call, what, answer, f);
	if (!is_session(answer))
		return refuse(&call->fault, REASON_VERIFIER_ANSWER,
			      "%s: the answer is no session but \"%.60s\"", what, answer->content_type);
	return session_parse(answer->body, call->binding, out, &call->fault);
}

static outcome take_result(struct attest_call *call, const struct session *session)
{
	call->jwt = session->result;
	if (session->status != SESSION_COMPLETE)
		return refuse(&call->fault, REASON_VERIFIER_UNAVAILABLE,
			      "evidence: the session is not complete");
	return check_result(call);
}

static void on_result(const struct httpc_answer *answer, const struct fault *f, void *arg)
{
	struct attest_call *call = arg;
	struct session session;
	outcome r = read_session(call, "evidence", 200, answer, f, &session);
	finish(call, r.ok ? take_result(call, &session) : r);
}

static void evidence_header(const struct attest_call *call, char out[TYPE_HEADER_SIZE])
{
	snprintf(out, TYPE_HEADER_SIZE, "Content-Type: %s", evidence_media_type(call->type));
}

static void send_evidence(struct attest_call *call)
{
	char type[TYPE_HEADER_SIZE];
	evidence_header(call, type);
	const char *headers[] = {"Accept: " SESSION_MEDIA_TYPE, type, NULL};
	const struct httpc_call post = {
		.method = "POST",
		.url = call->session_url,
		.headers = headers,
		.body = call->evidence,
		.answer_max = SESSION_ANSWER_MAX,
		.timeout_ms = EVIDENCE_TIMEOUT_MS,
	};
	httpc_send(call->worker->attestation, &post, on_result, call);
}

enum { SESSION_URL_MAX = 1200 };

static void new_session_url(const struct attest_call *call, char out[SESSION_URL_MAX])
{
	char nonce[BASE64_SIZE(BINDING_SIZE)];
	base64url_encode(bytes_of(call->binding, BINDING_SIZE), nonce);
	snprintf(out, SESSION_URL_MAX, "%s/challenge-response/v1/newSession?nonce=%s",
		 call->worker->gateway->config.attestation_url, nonce);
}

/* The session must be where the service is: a Location elsewhere would send evidence to a stranger. */
static bool same_service(const struct gateway *g, const char *location)
{
	const char *base = g->config.attestation_url;
	const char *path = strchr(base + strlen("https://"), '/');
	size_t origin = path ? (size_t)(path - base) : strlen(base);
	return !strncmp(location, base, origin) && location[origin] == '/';
}

static outcome read_location(struct attest_call *call, const char *location)
{
	char base[SESSION_URL_MAX];
	new_session_url(call, base);
	call->session_url = httpc_resolve(base, location);
	if (!call->session_url || !same_service(call->worker->gateway, call->session_url))
		return refuse(&call->fault, REASON_VERIFIER_ANSWER,
			      "newSession: Location leads elsewhere: %.100s", location);
	return DONE;
}

/* A waiting session is one whose service takes evidence only after it was opened. */
static outcome take_session(struct attest_call *call, const struct httpc_answer *answer,
			    const struct session *session)
{
	call->jwt = session->result;
	if (session->status == SESSION_COMPLETE && !call->evidence_sent)
		return refuse(&call->fault, REASON_VERIFIER_ANSWER,
			      "newSession: the session is complete without evidence");
	if (session->status == SESSION_COMPLETE)
		return check_result(call);
	if (session->status != SESSION_WAITING)
		return refuse(&call->fault, REASON_VERIFIER_ANSWER,
			      "newSession: the session does not wait for evidence");
	return read_location(call, answer->location);
}

static void open_session(struct attest_call *call, bool with_evidence);

static void on_session(const struct httpc_answer *answer, const struct fault *f, void *arg)
{
	struct attest_call *call = arg;
	struct session session;
	outcome r = read_session(call, "newSession", 201, answer, f, &session);
	if (r.ok)
		r = take_session(call, answer, &session);
	if (r.ok && !call->jwt) {
		send_evidence(call);
	} else if (!r.ok && call->fault.reason == REASON_VERIFIER_UNAVAILABLE && !call->retried &&
		   !call->worker->stopping) {
		call->retried = true;
		open_session(call, false);
	} else {
		finish(call, r);
	}
}

static void open_session(struct attest_call *call, bool with_evidence)
{
	char url[SESSION_URL_MAX], type[TYPE_HEADER_SIZE];
	const char *headers[] = {"Accept: " SESSION_MEDIA_TYPE, with_evidence ? type : NULL, NULL};
	evidence_header(call, type);
	new_session_url(call, url);
	const struct httpc_call post = {
		.method = "POST",
		.url = url,
		.headers = headers,
		.body = with_evidence ? call->evidence : bytes_of(NULL, 0),
		.answer_max = SESSION_ANSWER_MAX,
		.timeout_ms = SESSION_TIMEOUT_MS,
	};
	call->evidence_sent = with_evidence;
	httpc_send(call->worker->attestation, &post, on_session, call);
}

void attest_ask(struct attest_call *call)
{
	open_session(call, true);
}

void attest_call_free(struct attest_call *call)
{
	free(call->jwt);
	free(call->session_url);
	call->jwt = call->session_url = NULL;
}
