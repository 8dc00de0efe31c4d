#include "identity.h"

#include "reenrol.h"
#include "report.h"

#include <jansson.h>

outcome identity_load(struct device *d, int64_t system_ms, struct fault *f)
{
	outcome r = store_clean(&d->store, f);
	if (r.ok)
		r = store_load_state(&d->store, &d->state, f);
	if (r.ok)
		device_clock_start(d->clock, system_ms, d->state.clock);
	return r;
}

static void report_key(const char *event, uint32_t key, const uint8_t *spki, size_t n)
{
	uint8_t hash[SHA256_SIZE];
	char hex[HEX_SIZE(SHA256_SIZE)];
	sha256(bytes_of(spki, n), hash);
	hex_encode(bytes_of(hash, sizeof hash), hex);
	report(event, "{s:I,s:s}", "key", (json_int_t)key, "spki_sha256", hex);
}

outcome identity_ensure_key(struct device *d, struct fault *f)
{
	uint8_t spki[SPKI_MAX];
	size_t n;
	enum psa_status status = psa_generate_key(d->psa, d->state.key);
	if (status != PSA_SUCCESS && status != PSA_ERROR_ALREADY_EXISTS)
		return psa_fault(f, "psa_generate_key", status);
	outcome r = psa_key_spki(d->psa, d->state.key, spki, &n, f);
	if (r.ok)
		report_key(status == PSA_SUCCESS ? "key-made" : "key-kept", d->state.key, spki, n);
	return r;
}

static bool is_for_key(const struct device *d, const struct credential *c, uint32_t key)
{
	uint8_t spki[SPKI_MAX];
	size_t n;
	struct fault f;
	return psa_key_spki(d->psa, key, spki, &n, &f).ok &&
	       bytes_equal(bytes_of(spki, n), bytes_of(c->spki, c->spki_size));
}

static outcome save_state(struct device *d, uint32_t key, int64_t certified_at, struct fault *f)
{
	d->state = (struct device_state){
		.key = key, .clock = device_clock_s(d->clock), .certified_at = certified_at};
	return store_save_state(&d->store, &d->state, f);
}

/* Why a stored certificate is of no use, NULL when it is. A key that a renewal left for the next one becomes
 * current. */
static outcome check_stored(struct device *d, const struct credential *c, const char **useless,
			    struct fault *f)
{
	*useless = NULL;
	if (is_for_key(d, c, d->state.key + 1)) {
		outcome r = save_state(d, d->state.key + 1, device_clock_s(d->clock), f);
		if (!r.ok)
			return r;
	}
	if (!is_for_key(d, c, d->state.key))
		*useless = "it is for a key that the secure world does not have";
	else if (credential_expired(c, device_clock_s(d->clock)))
		*useless = "it has expired";
	return DONE;
}

/* out->leaf stays NULL where there is nothing to keep. */
static outcome load_stored(struct device *d, struct credential *out, struct fault *f)
{
	struct buf pem;
	struct fault why;
	const char *useless = NULL;
	outcome r = store_load_certificate(&d->store, &pem, f);
	if (!r.ok || pem.n == 0)
		return r;
	if (!credential_parse(buf_view(&pem), d->root, out, &why).ok)
		useless = why.text;
	else
		r = check_stored(d, out, &useless, f);
	buf_free(&pem);
	if (useless)
		report("certificate-unusable", "{s:s}", "detail", useless);
	if (useless || !r.ok)
		credential_free(out);
	return r;
}

outcome identity_adopt(struct device *d, uint32_t key, const struct enrol_answer *answer, const char *event,
		       struct credential *out, struct fault *f)
{
	outcome r = store_save_certificate(&d->store, buf_view(&answer->pem), f);
	if (r.ok)
		r = save_state(d, key, device_clock_s(d->clock), f);
	if (!r.ok)
		return r;
	credential_free(out);
	r = credential_parse(buf_view(&answer->pem), d->root, out, f);
	if (r.ok)
		report(event, "{s:s,s:s,s:I,s:I,s:i,s:s}", "thing", out->thing, "certificateId",
		       out->certificate_id, "notBefore", (json_int_t)out->not_before, "notAfter",
		       (json_int_t)out->not_after, "status", answer->status, "request_id",
		       answer->request_id);
	return r;
}

outcome identity_enrol(struct device *d, struct identity *out, struct fault *f)
{
	struct enrol_answer answer = {0};
	outcome r = enrol_run(d, d->state.key, NULL, &answer, f);
	out->result = answer.result;
	if (r.ok && answer.result == ENROL_CERTIFIED)
		r = identity_adopt(d, d->state.key, &answer, "enrolled", &out->credential, f);
	enrol_answer_free(&answer);
	return r;
}

outcome identity_power_on(struct device *d, bool new_key, struct identity *out, struct fault *f)
{
	bool reenrolling = d->state.reenrolling;
	*out = (struct identity){.result = ENROL_CERTIFIED};
	outcome r = load_stored(d, &out->credential, f);
	/* Where the power failed after the new key's certificate was stored, that was the new key. */
	bool done = reenrolling && !d->state.reenrolling;
	if (r.ok)
		r = reenrol_begin(d, new_key && !done, f);
	if (r.ok && d->state.reenrolling) {
		credential_free(&out->credential);
		return reenrol_go_on(d, out, f);
	}
	if (r.ok && !out->credential.leaf) {
		r = identity_ensure_key(d, f);
		return r.ok ? identity_enrol(d, out, f) : r;
	}
	if (r.ok)
		report("certificate-kept", "{s:s,s:s,s:I}", "thing", out->credential.thing, "certificateId",
		       out->credential.certificate_id, "notAfter", (json_int_t)out->credential.not_after);
	return r;
}

outcome identity_forget_previous(struct device *d, struct fault *f)
{
	if (d->state.key == 1)
		return DONE;
	enum psa_status status = psa_destroy_key(d->psa, d->state.key - 1);
	if (status == PSA_SUCCESS)
		report("key-destroyed", "{s:I}", "key", (json_int_t)(d->state.key - 1));
	return status == PSA_SUCCESS || status == PSA_ERROR_INVALID_HANDLE
		       ? DONE
		       : psa_fault(f, "psa_destroy_key", status);
}
