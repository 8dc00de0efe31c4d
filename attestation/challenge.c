#include "challenge.h"

#include "sessions.h"
#include "status.h"
#include "common/clock.h"
#include "common/evidence/ear.h"
#include "common/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const enum evidence_type types[] = {EVIDENCE_PSA_TOKEN, EVIDENCE_COSE_CSR};
enum { TYPE_COUNT = sizeof types / sizeof *types };

static void add_evidence(struct buf *out, const struct session *s)
{
	char text[BASE64_SIZE(EVIDENCE_MAX)];
	base64_encode(buf_view(&s->evidence), text);
	buf_printf(out, ",\"evidence\":{\"type\":\"%s\",\"value\":\"%s\"}", evidence_media_type(s->type),
		   text);
}

/* Everything in it is ours and needs no escaping. Evidence is shown to whoever has not just sent it. */
static void answer_session(struct scgi_request *r, int status, const struct session *s, bool with_evidence)
{
	char nonce[BASE64_SIZE(BINDING_SIZE)], expiry[CLOCK_RFC3339_SIZE];
	struct buf out = {0};
	base64url_encode(bytes_of(s->nonce, BINDING_SIZE), nonce);
	clock_rfc3339_ms(s->expires * 1000, expiry);
	buf_printf(&out, "{\"status\":\"%s\",\"nonce\":\"%s\",\"expiry\":\"%s\",\"accept\":[\"%s\",\"%s\"]",
		   s->complete ? "complete" : "waiting", nonce, expiry, evidence_media_type(types[0]),
		   evidence_media_type(types[1]));
	if (s->complete && with_evidence)
		add_evidence(&out, s);
	if (s->complete)
		buf_printf(&out, ",\"result\":\"%s\"", s->result);
	buf_byte(&out, '}');
	if (out.failed)
		scgi_answer_problem(
			r, &(struct fault){.reason = REASON_OVERLOADED, .text = "no memory for an answer"});
	else
		scgi_answer(r, status, SESSION_MEDIA_TYPE, buf_view(&out));
	buf_free(&out);
}

/* ---- what a new session is for ---- */

static outcome read_size(const struct scgi_request *r, struct fault *f)
{
	char text[8];
	if (!scgi_query_get(r, "nonceSize", text, sizeof text) || strcmp(text, "32"))
		return refuse(f, REASON_BAD_FIELD, "nonceSize: evidence here is bound to 32 bytes");
	return DONE;
}

static outcome read_nonce(const struct scgi_request *r, uint8_t out[BINDING_SIZE], bool *given,
			  struct fault *f)
{
	char text[BASE64_SIZE(BINDING_SIZE)];
	size_t n = 0;
	*given = scgi_query_has(r, "nonce");
	if (scgi_query_has(r, "nonceSize"))
		return *given ? refuse(f, REASON_BAD_FIELD, "nonce and nonceSize: one of them")
			      : read_size(r, f);
	if (*given && (!scgi_query_get(r, "nonce", text, sizeof text) ||
		       !base64url_decode(text, strlen(text), out, BINDING_SIZE, &n) || n != BINDING_SIZE))
		return refuse(f, REASON_BAD_FIELD, "nonce: not the base64url form of 32 bytes");
	return DONE;
}

/* ---- evidence ---- */

static outcome read_evidence(struct scgi_request *r, enum evidence_type *type, struct fault *f)
{
	*type = evidence_type_of_media(scgi_header(r, "Content-Type"));
	if (!*type) {
		for (size_t i = 0; i < TYPE_COUNT; i++)
			scgi_answer_header(r, "Accept", evidence_media_type(types[i]));
		return refuse(f, REASON_MEDIA_TYPE, "Content-Type: not an evidence type that is taken here");
	}
	if (scgi_body(r).n == 0)
		return refuse(f, REASON_BAD_REQUEST, "there is no evidence in the body");
	if (scgi_body(r).n > EVIDENCE_MAX)
		return refuse(f, REASON_TOO_LARGE, "evidence of more than %d bytes", EVIDENCE_MAX);
	return DONE;
}

/* Not a second try with other evidence: one challenge, one answer. */
static outcome check_unused(const struct session *s, enum evidence_type type, struct bytes evidence,
			    struct fault *f)
{
	if (s->complete && (s->type != type || !bytes_equal(evidence, buf_view(&s->evidence))))
		return refuse(f, REASON_CONFLICT, "the session has its evidence already; open a new one");
	return DONE;
}

static void log_appraisal(const struct scgi_request *r, enum evidence_type type, const struct appraisal *a)
{
	char id[INSTANCE_ID_HEX] = "unreadable";
	if (a->has_instance)
		hex_encode(bytes_of(a->instance_id, INSTANCE_ID_SIZE), id);
	if (a->reason == REASON_NONE)
		log_line(LOG_LEVEL_DEBUG, scgi_request_id(r), "%s of %s: affirming", evidence_type_name(type),
			 id);
	else
		log_fault(LOG_LEVEL_INFO, scgi_request_id(r), &a->fault, "%s of %s: contraindicated",
			  evidence_type_name(type), id);
}

static outcome make_result(struct worker *w, struct scgi_request *r, const struct session *s,
			   enum evidence_type type, char **jwt, struct fault *f)
{
	struct appraisal a;
	int64_t began = clock_monotonic_us();
	outcome o = appraise(&w->appraiser, type, scgi_body(r), s->nonce, &a, f);
	if (!o.ok)
		return o;
	struct ear_appraisal found = {
		.type = type,
		.instance_id = a.has_instance ? a.instance_id : NULL,
		.attested_spki = bytes_of(a.attested_spki, a.attested_size),
		.reason = a.reason,
		.now = clock_wall_s(),
		.verifier = w->service->config.verifier_id,
	};
	memcpy(found.nonce, s->nonce, BINDING_SIZE);
	o = ear_build(&found, w->ear, w->service->keys.ear_id, jwt, f);
	status_appraised(a.reason, clock_monotonic_us() - began);
	log_appraisal(r, type, &a);
	return o;
}

static outcome complete(struct worker *w, struct scgi_request *r, struct session *s, enum evidence_type type,
			struct fault *f)
{
	char *jwt = NULL;
	outcome o = make_result(w, r, s, type, &jwt, f);
	if (o.ok)
		o = sessions_complete(w->service->sessions, s->id, type, scgi_body(r), jwt, f);
	free(jwt);
	if (!o.ok)
		return o;
	char id[SESSION_ID_SIZE];
	memcpy(id, s->id, sizeof id);
	session_clear(s);
	o = sessions_find(w->service->sessions, id, s, f);
	/* Another request may have been the first. */
	return o.ok ? check_unused(s, type, scgi_body(r), f) : o;
}

void challenge_evidence(struct worker *w, struct scgi_request *r, const char *id)
{
	struct fault f;
	struct session s = {0};
	enum evidence_type type;
	outcome o = read_evidence(r, &type, &f);
	if (o.ok)
		o = sessions_find(w->service->sessions, id, &s, &f);
	if (o.ok)
		o = check_unused(&s, type, scgi_body(r), &f);
	if (o.ok && !s.complete)
		o = complete(w, r, &s, type, &f);
	if (o.ok)
		answer_session(r, 200, &s, true);
	else
		scgi_answer_problem(r, &f);
	session_clear(&s);
}

/* ---- requests ---- */

/* Evidence in the body is bound to the nonce that the caller chose; without a body the session waits for it. */
static outcome read_first_evidence(struct scgi_request *r, bool nonce_given, enum evidence_type *type,
				   struct fault *f)
{
	*type = 0;
	if (scgi_body(r).n == 0)
		return DONE;
	if (!nonce_given)
		return refuse(f, REASON_BAD_FIELD,
			      "nonce: evidence in the body needs the nonce it is bound to");
	return read_evidence(r, type, f);
}

void challenge_new(struct worker *w, struct scgi_request *r)
{
	struct fault f;
	struct session s = {0};
	uint8_t nonce[BINDING_SIZE];
	char location[sizeof "session/" + SESSION_ID_SIZE];
	enum evidence_type type;
	bool given;
	outcome o = read_nonce(r, nonce, &given, &f);
	if (o.ok)
		o = read_first_evidence(r, given, &type, &f);
	if (o.ok)
		o = sessions_begin(w->service->sessions, given ? nonce : NULL, &s, &f);
	if (o.ok && type)
		o = complete(w, r, &s, type, &f);
	if (o.ok) {
		snprintf(location, sizeof location, "session/%s", s.id);
		scgi_answer_header(r, "Location", location);
		answer_session(r, 201, &s, false);
	} else {
		scgi_answer_problem(r, &f);
	}
	session_clear(&s);
}

void challenge_get(struct worker *w, struct scgi_request *r, const char *id)
{
	struct fault f;
	struct session s = {0};
	if (sessions_find(w->service->sessions, id, &s, &f).ok)
		answer_session(r, 200, &s, true);
	else
		scgi_answer_problem(r, &f);
	session_clear(&s);
}

void challenge_end(struct worker *w, struct scgi_request *r, const char *id)
{
	struct fault f;
	if (sessions_end(w->service->sessions, id, &f).ok)
		scgi_answer(r, 204, NULL, bytes_of(NULL, 0));
	else
		scgi_answer_problem(r, &f);
}
