#include "request.h"

#include "common/crypto/csr.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* The gateway names the thing; what the CSR says is not looked at. */
static const char COMMON_NAME[] = "mooring-device";
static const char RENEW_LABEL[] = "mooring-renew/1"; /* signed with its NUL */

static outcome build_csr(const struct request_input *in, struct buf *csr, struct fault *f)
{
	uint8_t spki[SPKI_MAX], hash[SHA256_SIZE];
	size_t n;
	struct buf info = {0}, signature = {0};
	outcome r = psa_key_spki(in->psa, in->key, spki, &n, f);
	if (r.ok)
		r = csr_build_info(COMMON_NAME, bytes_of(spki, n), &info, f);
	if (r.ok) {
		sha256(buf_view(&info), hash);
		r = psa_sign_hash_der(in->psa, in->key, hash, &signature, f);
	}
	if (r.ok)
		r = csr_build(buf_view(&info), buf_view(&signature), csr, f);
	buf_free(&info);
	buf_free(&signature);
	return r;
}

static outcome make_evidence(const struct request_input *in, const uint8_t b[BINDING_SIZE], struct bytes csr,
			     struct buf *out, struct fault *f)
{
	bool is_token = in->evidence == EVIDENCE_PSA_TOKEN;
	enum psa_status status = is_token ? psa_initial_attest_get_token(in->psa, b, out)
					  : psa_cose_sign_csr(in->psa, b, csr, out);
	if (status == PSA_SUCCESS)
		return DONE;
	return psa_fault(f, is_token ? "psa_initial_attest_get_token" : "psa_cose_sign_csr", status);
}

/* NULL when out of memory. */
static json_t *text_of(struct bytes in, void (*encode)(struct bytes in, char *out))
{
	char *text = malloc(BASE64_SIZE(in.n));
	if (!text)
		return NULL;
	encode(in, text);
	json_t *string = json_string(text);
	free(text);
	return string;
}

static json_t *base64_of(struct bytes in)
{
	return text_of(in, base64_encode);
}

static outcome add_renews(json_t *body, const struct request_input *in, const uint8_t b[BINDING_SIZE],
			  struct fault *f)
{
	const struct bytes parts[] = {bytes_of(RENEW_LABEL, sizeof RENEW_LABEL), bytes_of(b, BINDING_SIZE)};
	uint8_t hash[SHA256_SIZE];
	struct buf signature = {0};
	sha256_parts(parts, 2, hash);
	outcome r = psa_sign_hash_der(in->psa, in->renews->key, hash, &signature, f);
	if (r.ok && json_object_set_new(body, "renews",
					json_pack("{s:s,s:o}", "certificateId", in->renews->certificate_id,
						  "signature", base64_of(buf_view(&signature)))))
		r = refuse(f, REASON_NO_MEMORY, "no memory for a request");
	buf_free(&signature);
	return r;
}

static outcome put_json(const struct request_input *in, struct bytes csr, struct bytes evidence,
			const uint8_t b[BINDING_SIZE], struct buf *out, struct fault *f)
{
	char nonce[BASE64_SIZE(NONCE_SIZE)];
	outcome r = DONE;
	base64url_encode(bytes_of(in->nonce, sizeof in->nonce), nonce);
	json_t *body = json_pack("{s:o,s:{s:s,s:o},s:s,s:s,s:s}", "csr", base64_of(csr), "evidence", "type",
				 evidence_type_name(in->evidence), "value", base64_of(evidence), "nonce",
				 nonce, "audience", in->origin, "mode", "C");
	if (body && in->lifetime_s)
		json_object_set_new(body, "lifetime_s", json_integer(in->lifetime_s));
	if (body && in->chain.n && json_object_set_new(body, "chain", text_of(in->chain, base64url_encode)))
		r = refuse(f, REASON_NO_MEMORY, "no memory for a request");
	if (r.ok && body && in->renews)
		r = add_renews(body, in, b, f);
	char *text = body && r.ok ? json_dumps(body, JSON_COMPACT) : NULL;
	if (text)
		buf_str(out, text);
	if (r.ok && (!text || out->failed))
		r = refuse(f, REASON_NO_MEMORY, "no memory for a request");
	free(text);
	json_decref(body);
	return r;
}

outcome request_build(const struct request_input *in, struct buf *json, struct fault *f)
{
	uint8_t b[BINDING_SIZE];
	struct buf csr = {0}, evidence = {0};
	outcome r = build_csr(in, &csr, f);
	if (r.ok) {
		binding_compute(in->nonce, in->origin, buf_view(&csr), b);
		r = make_evidence(in, b, buf_view(&csr), &evidence, f);
	}
	if (r.ok)
		r = put_json(in, buf_view(&csr), buf_view(&evidence), b, json, f);
	buf_free(&csr);
	buf_free(&evidence);
	return r;
}
