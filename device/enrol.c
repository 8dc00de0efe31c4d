#include "enrol.h"

#include "common/backoff.h"
#include "report.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

enum { FIRST_WAIT_MS = 1000 };

void enrol_answer_free(struct enrol_answer *a)
{
	buf_free(&a->pem);
}

static void copy_text(char *out, size_t room, const char *text)
{
	snprintf(out, room, "%s", text ? text : "");
}

/* What a status means, whatever the request was. */
static enum enrol_result result_of(int status)
{
	if (status == 200 || status == 201)
		return ENROL_CERTIFIED;
	if (status == 409)
		return ENROL_NEW_CHALLENGE;
	if (status == 403)
		return ENROL_REFUSED;
	return status >= 400 && status < 500 && status != 408 && status != 425 && status != 429 ? ENROL_FAILED
												: ENROL_RETRY;
}

static void read_problem(const struct httpc_answer *answer, struct enrol_answer *out)
{
	json_t *problem =
		json_loadb((const char *)answer->body.p, answer->body.n, JSON_REJECT_DUPLICATES, NULL);
	copy_text(out->code, sizeof out->code, json_string_value(json_object_get(problem, "code")));
	copy_text(out->request_id, sizeof out->request_id,
		  json_string_value(json_object_get(problem, "request_id")));
	const char *detail = json_string_value(json_object_get(problem, "detail"));
	if (!detail || !detail[0])
		detail = json_string_value(json_object_get(problem, "title"));
	copy_text(out->detail, sizeof out->detail, detail);
	json_decref(problem);
}

static void unusable(struct enrol_answer *out, const char *why)
{
	out->result = ENROL_RETRY;
	copy_text(out->code, sizeof out->code, reason_code(REASON_PEER_ANSWER));
	copy_text(out->detail, sizeof out->detail, why);
}

/* Posts, and says what became of it in all but a success. *json is the success's object; caller json_decref. */
static void post(const struct device *d, const char *path, struct bytes body, struct enrol_answer *out,
		 json_t **json)
{
	struct httpc_answer answer;
	struct fault f;
	*json = NULL;
	*out = (struct enrol_answer){.result = ENROL_RETRY, .retry_after_s = -1};
	if (!d->gateway->call(d->gateway, path, body, &answer, &f).ok) {
		copy_text(out->code, sizeof out->code, reason_code(f.reason));
		copy_text(out->detail, sizeof out->detail, f.text);
		return;
	}
	if (answer.date && device_clock_adopt(d->clock, answer.date))
		report("clock-set", "{s:I}", "date", (json_int_t)answer.date);
	out->status = answer.status;
	out->retry_after_s = answer.retry_after_s;
	out->result = result_of(answer.status);
	if (out->result != ENROL_CERTIFIED) {
		read_problem(&answer, out);
		return;
	}
	*json = json_loadb((const char *)answer.body.p, answer.body.n, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(*json))
		unusable(out, "the answer is not a JSON object");
}

outcome enrol_challenge(const struct device *d, uint8_t nonce[NONCE_SIZE], struct enrol_answer *out,
			struct fault *f)
{
	json_t *json;
	size_t n;
	(void)f;
	post(d, "/v1/challenges", bytes_str("{}"), out, &json);
	if (out->result == ENROL_CERTIFIED) {
		const char *text = json_string_value(json_object_get(json, "nonce"));
		if (!text || !base64url_decode(text, strlen(text), nonce, NONCE_SIZE, &n) || n != NONCE_SIZE)
			unusable(out, "the challenge is not 32 bytes of base64url");
		else
			report("challenge", "{s:I}", "expires_in",
			       json_integer_value(json_object_get(json, "expires_in")));
	}
	json_decref(json);
	return DONE;
}

static outcome build(const struct device *d, uint32_t key, const struct request_renews *renews,
		     const uint8_t nonce[NONCE_SIZE], struct buf *body, struct fault *f)
{
	struct request_input in = {
		.psa = d->psa,
		.key = key,
		.evidence = d->evidence,
		.origin = d->origin,
		.lifetime_s = d->lifetime_s,
		.renews = renews,
	};
	struct buf chain;
	memcpy(in.nonce, nonce, sizeof in.nonce);
	outcome r = store_load_chain(&d->store, &chain, f);
	in.chain = buf_view(&chain);
	if (r.ok)
		r = request_build(&in, body, f);
	if (r.ok)
		report("evidence", "{s:s,s:I,s:I}", "type", evidence_type_name(d->evidence), "request_bytes",
		       (json_int_t)body->n, "chain_bytes", (json_int_t)chain.n);
	buf_free(&chain);
	return r;
}

/* A certificate is taken only if it is for this key and its chain leads to the pinned root. */
static outcome check_certificate(const struct device *d, uint32_t key, struct enrol_answer *out,
				 struct fault *f)
{
	uint8_t spki[SPKI_MAX];
	size_t n;
	struct credential c;
	struct fault why;
	outcome r = psa_key_spki(d->psa, key, spki, &n, f);
	if (!r.ok)
		return r;
	if (!credential_parse(buf_view(&out->pem), d->root, &c, &why).ok) {
		unusable(out, why.text);
		return DONE;
	}
	if (!bytes_equal(bytes_of(c.spki, c.spki_size), bytes_of(spki, n)))
		unusable(out, "the certificate is for another key");
	credential_free(&c);
	return DONE;
}

static outcome take_certificate(const struct device *d, uint32_t key, const json_t *json,
				struct enrol_answer *out, struct fault *f)
{
	const char *leaf = json_string_value(json_object_get(json, "certificatePem"));
	const char *chain = json_string_value(json_object_get(json, "chainPem"));
	copy_text(out->request_id, sizeof out->request_id,
		  json_string_value(json_object_get(json, "requestId")));
	if (!leaf || !chain) {
		unusable(out, "the answer has no certificatePem or no chainPem");
		return DONE;
	}
	buf_str(&out->pem, leaf);
	if (out->pem.n && out->pem.p[out->pem.n - 1] != '\n')
		buf_byte(&out->pem, '\n');
	buf_str(&out->pem, chain);
	if (out->pem.failed)
		return refuse(f, REASON_NO_MEMORY, "no memory for a certificate");
	return check_certificate(d, key, out, f);
}

outcome enrol_attempt(const struct device *d, uint32_t key, const struct request_renews *renews,
		      struct enrol_answer *out, struct fault *f)
{
	uint8_t nonce[NONCE_SIZE];
	struct buf body = {0};
	json_t *json = NULL;
	outcome r = enrol_challenge(d, nonce, out, f);
	if (!r.ok || out->result != ENROL_CERTIFIED)
		return r;
	r = build(d, key, renews, nonce, &body, f);
	if (r.ok) {
		post(d, renews ? "/v1/renewals" : "/v1/enrolments", buf_view(&body), out, &json);
		if (out->result == ENROL_CERTIFIED)
			r = take_certificate(d, key, json, out, f);
	}
	json_decref(json);
	buf_free(&body);
	return r;
}

/* What whoever stands before this device can do; NULL where it is the operator's turn. */
static const char *remedy_of(const struct enrol_answer *a)
{
	return strcmp(a->code, "key-refused") ? NULL
					      : "have the operator allow it (mooringctl allow-reenrol), "
						"then: mooring-device run --new-key";
}

void enrol_report_no(const char *event, const struct enrol_answer *a, int64_t wait_ms)
{
	const char *remedy = remedy_of(a);
	report(event, "{s:s,s:i,s:s,s:s,s:s,s:I,s:s*}", "by", "gateway", "status", a->status, "code", a->code,
	       "request_id", a->request_id, "detail", a->detail, "wait_ms", (json_int_t)wait_ms, "remedy",
	       remedy);
}

/* Only the first spent challenge is answered at once: a gateway that calls each one spent must not be
 * hammered. */
static int64_t wait_after(struct backoff *backoff, const struct enrol_answer *a)
{
	if (a->result == ENROL_NEW_CHALLENGE && backoff->failures == 0) {
		backoff->failures = 1;
		return 0;
	}
	return backoff_next_ms(backoff, a->retry_after_s, crypto_random_u32());
}

outcome enrol_run(const struct device *d, uint32_t key, const struct request_renews *renews,
		  struct enrol_answer *out, struct fault *f)
{
	struct backoff backoff = {.base_ms = FIRST_WAIT_MS, .cap_ms = BACKOFF_CAP_MS};
	for (;;) {
		outcome r = enrol_attempt(d, key, renews, out, f);
		if (!r.ok || out->result == ENROL_CERTIFIED)
			return r;
		if (out->result == ENROL_REFUSED || out->result == ENROL_FAILED) {
			enrol_report_no("refused", out, 0);
			return DONE;
		}
		int64_t wait_ms = wait_after(&backoff, out);
		enrol_report_no("retry", out, wait_ms);
		enrol_answer_free(out);
		if (!d->pause(d->pause_arg, wait_ms)) {
			out->result = ENROL_STOPPED;
			return DONE;
		}
	}
}
