#include "enrolment.h"

#include "common/json_read.h"

#include <stdlib.h>
#include <string.h>

static outcome text_of(const json_t *object, const char *name, const char **out, struct fault *f)
{
	*out = json_string_value(json_object_get(object, name));
	return *out ? DONE : refuse(f, REASON_BAD_FIELD, "%s: must be there, and text", name);
}

static outcome take_base64(const json_t *object, const char *name, struct buf *out, struct fault *f)
{
	const char *text;
	outcome o = text_of(object, name, &text, f);
	if (!o.ok)
		return o;
	*out = (struct buf){.p = malloc(strlen(text) + 1), .cap = strlen(text) + 1};
	if (!out->p)
		return refuse(f, REASON_NO_MEMORY, "no memory for the request");
	if (!base64_decode(text, strlen(text), out->p, out->cap, &out->n))
		return refuse(f, REASON_BAD_ENCODING, "%s: is not base64 (RFC 4648 4)", name);
	return DONE;
}

static outcome take_evidence(const json_t *request, struct enrolment *out, struct fault *f)
{
	const json_t *evidence = json_object_get(request, "evidence");
	const char *type;
	outcome o = text_of(evidence, "type", &type, f);
	if (!o.ok)
		return refuse(f, REASON_BAD_FIELD, "evidence: must be {\"type\", \"value\"}");
	out->type = evidence_type_find(type);
	if (!out->type)
		return refuse(f, REASON_EVIDENCE_TYPE, "evidence.type: \"%.40s\" is not a type of evidence",
			      type);
	return take_base64(evidence, "value", &out->evidence, f);
}

static outcome take_binding(const json_t *request, struct enrolment *out, struct fault *f)
{
	const char *nonce_text, *audience, *mode = json_string_value(json_object_get(request, "mode"));
	uint8_t nonce[NONCE_SIZE];
	size_t n = 0;
	outcome o = text_of(request, "nonce", &nonce_text, f);
	if (o.ok &&
	    (!base64url_decode(nonce_text, strlen(nonce_text), nonce, sizeof nonce, &n) || n != sizeof nonce))
		return refuse(f, REASON_BAD_ENCODING, "nonce: is not base64url of %d bytes (RFC 4648 5)",
			      NONCE_SIZE);
	if (o.ok)
		o = text_of(request, "audience", &audience, f);
	if (o.ok)
		o = binding_check_origin(audience, f);
	if (o.ok && (!mode || strcmp(mode, "C")))
		o = refuse(f, REASON_BAD_FIELD, "mode: must be \"C\"");
	if (o.ok)
		binding_compute(nonce, audience, buf_view(&out->csr), out->binding);
	return o;
}

outcome enrolment_read(struct bytes input, struct enrolment *out, struct fault *f)
{
	json_t *request;
	*out = (struct enrolment){0};
	outcome o = json_read_object(input, "the request", &request, f);
	if (o.ok)
		o = take_base64(request, "csr", &out->csr, f);
	if (o.ok)
		o = take_evidence(request, out, f);
	if (o.ok)
		o = take_binding(request, out, f);
	json_decref(request);
	if (!o.ok) {
		buf_free(&out->csr);
		buf_free(&out->evidence);
	}
	return o;
}
