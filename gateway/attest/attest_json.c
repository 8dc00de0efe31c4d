#include "attest_json.h"

#include "common/json_read.h"

#include <stdlib.h>
#include <string.h>

static json_t *parse_object(struct bytes json, const char *what, struct fault *f)
{
	struct fault why;
	json_t *top;
	if (!json_read_object(json, what, &top, &why).ok)
		refuse(f, REASON_VERIFIER_ANSWER, "%s", why.text);
	return top;
}

static bool nonce_is(const json_t *value, const uint8_t nonce[BINDING_SIZE])
{
	uint8_t decoded[BINDING_SIZE];
	size_t n = BINDING_SIZE;
	bool ok = json_read_base64url(value, decoded, sizeof decoded) ||
		  json_read_base64(value, decoded, sizeof decoded, &n);
	return ok && n == BINDING_SIZE && !memcmp(decoded, nonce, BINDING_SIZE);
}

static enum session_status status_find(const char *name)
{
	static const char *const names[] = {
		[SESSION_WAITING] = "waiting",
		[SESSION_PROCESSING] = "processing",
		[SESSION_COMPLETE] = "complete",
		[SESSION_FAILED] = "failed",
	};
	for (enum session_status s = SESSION_WAITING; name && s <= SESSION_FAILED; s++)
		if (!strcmp(name, names[s]))
			return s;
	return 0;
}

outcome session_parse(struct bytes json, const uint8_t nonce[BINDING_SIZE], struct session *out,
		      struct fault *f)
{
	*out = (struct session){0};
	json_t *top = parse_object(json, "the session", f);
	outcome r = DONE;
	if (!top)
		return (outcome){false};
	const json_t *result = json_object_get(top, "result");
	out->status = status_find(json_string_value(json_object_get(top, "status")));
	if (!out->status)
		r = refuse(f, REASON_VERIFIER_ANSWER, "the session's status is none of the interface's");
	else if (!nonce_is(json_object_get(top, "nonce"), nonce))
		r = refuse(f, REASON_VERIFIER_ANSWER,
			   "the session's nonce is not the one that was asked for");
	else if (out->status == SESSION_COMPLETE && !json_string_length(result))
		r = refuse(f, REASON_VERIFIER_ANSWER, "the session is complete and has no result");
	else if (out->status == SESSION_COMPLETE && !(out->result = strdup(json_string_value(result))))
		r = refuse(f, REASON_NO_MEMORY, "no memory for an attestation result");
	json_decref(top);
	return r;
}

static bool coordinate(const json_t *jwk, const char *name, uint8_t out[32])
{
	const json_t *value = json_object_get(jwk, name);
	return json_read_base64url(value, out, 32);
}

outcome discovery_parse(struct bytes json, struct discovery *out, struct fault *f)
{
	*out = (struct discovery){0};
	json_t *top = parse_object(json, "the discovery document", f);
	if (!top)
		return (outcome){false};
	const char *state = json_string_value(json_object_get(top, "service-state"));
	const json_t *types = json_object_get(top, "media-types");
	const json_t *jwk = json_object_get(top, "ear-verification-key");
	outcome r = DONE;
	if (!state || !json_is_array(types))
		r = refuse(f, REASON_VERIFIER_ANSWER,
			   "the discovery document lacks service-state or media-types");
	for (size_t i = 0; i < json_array_size(types); i++) {
		const char *name = json_string_value(json_array_get(types, i));
		enum evidence_type type = name ? evidence_type_of_media(name) : 0;
		if (type)
			out->types |= 1u << type;
	}
	out->ready = state && !strcmp(state, "READY");
	out->has_key = coordinate(jwk, "x", out->point) && coordinate(jwk, "y", out->point + 32);
	json_decref(top);
	return r;
}
