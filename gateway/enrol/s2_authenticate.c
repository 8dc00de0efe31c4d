/*
 * Authenticate: the challenge is one of ours and unused; a renewal is signed by the key that it renews.
 *
 * All refusals of a renewal look alike from outside, so that nobody can ask which certificates exist.
 */
#include "stages.h"

#include "common/clock.h"
#include "common/crypto/der.h"
#include "gateway/challenge.h"
#include "gateway/store/store_query.h"

#include <string.h>

/* SubjectPublicKeyInfo of a certificate that we issued (RFC 5280 4.1): the seventh item of its
 * TBSCertificate. The reader is our own because d2i_X509 on OpenSSL 3.0 costs more than the verification that
 * follows. */
static bool certificate_spki(struct bytes der, struct bytes *spki)
{
	static const uint8_t before[] = {DER_CONTEXT_0, DER_INTEGER,  DER_SEQUENCE,
					 DER_SEQUENCE,	DER_SEQUENCE, DER_SEQUENCE};
	struct der_item certificate, tbs, item;
	if (!der_take(&der, DER_SEQUENCE, &certificate) ||
	    !der_take(&certificate.contents, DER_SEQUENCE, &tbs))
		return false;
	for (size_t i = 0; i < sizeof before; i++)
		if (!der_take(&tbs.contents, before[i], &item))
			return false;
	if (!der_take(&tbs.contents, DER_SEQUENCE, &item))
		return false;
	*spki = item.whole;
	return true;
}

/* Signed is "mooring-renew/1" 00 || B: what this evidence is bound to, and no other use of the key. */
static outcome check_signature(const struct enrol_request *r, struct bytes certificate, struct fault *f)
{
	static const char label[] = "mooring-renew/1";
	uint8_t message[sizeof label + BINDING_SIZE];
	struct bytes spki = {0};
	EVP_PKEY *key = certificate_spki(certificate, &spki) ? ec_key_from_spki(spki) : NULL;
	if (!key)
		return refuse(f, REASON_INTERNAL, "the stored certificate's key cannot be read");
	memcpy(message, label, sizeof label);
	binding_compute(r->nonce, r->audience, r->csr, message + sizeof label);
	bool good = ecdsa_verify_der(key, 256, bytes_of(message, sizeof message),
				     bytes_of(r->renews_signature, r->renews_signature_size));
	EVP_PKEY_free(key);
	if (!good)
		return refuse(f, REASON_RENEWAL_SIGNATURE,
			      "renews.signature does not verify under the key of the certificate to renew");
	return DONE;
}

static outcome check_renewal(const struct enrol *seen, const struct authenticate_out *found, struct fault *f)
{
	if (!found->found) {
		*f = found->fault;
		return (outcome){false};
	}
	outcome r = check_signature(&seen->request, buf_view(&found->certificate), f);
	if (r.ok && !found->active)
		return refuse(f, REASON_RENEWAL_STATE, "the certificate to renew is not active");
	return r;
}

static void on_certificate(const struct store_certificate *c, const struct fault *f, void *arg)
{
	struct authenticate_out *mine = arg;
	if (c) {
		memcpy(mine->instance_id, c->instance_id, INSTANCE_ID_SIZE);
		mine->active = c->state == STORE_ACTIVE;
		buf_bytes(&mine->certificate, c->der);
		mine->found = !mine->certificate.failed;
	}
	if (!mine->found && f && f->reason == REASON_NOT_FOUND)
		refuse(&mine->fault, REASON_RENEWAL_UNKNOWN,
		       "no certificate of a device has this fingerprint");
	else if (!mine->found && f)
		mine->fault = *f;
	else if (!mine->found)
		refuse(&mine->fault, REASON_NO_MEMORY, "no memory for a certificate");
	enrol_wake(mine->waker);
}

enum step s2_authenticate(const struct enrol *seen, struct authenticate_out *mine, struct fault *f)
{
	const struct enrol_request *r = &seen->request;
	if (mine->asked)
		return step_of(check_renewal(seen, mine, f));
	if (!challenge_check(seen->gateway->challenge, clock_monotonic_ms(), r->nonce, f).ok)
		return STEP_FAIL;
	if (!r->renews)
		return STEP_NEXT;
	mine->asked = true;
	mine->waker = seen->waker;
	store_certificate(seen->gateway->store, r->renews_fingerprint, on_certificate, mine);
	return STEP_WAIT;
}
