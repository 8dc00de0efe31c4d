/*
 * Policy: what certificate this device may have. Identity comes from the verified instance ID alone; the CSR
 * contributes its key and nothing else.
 */
#include "stages.h"

#include <stdlib.h>
#include <string.h>

enum { BACKDATE_S = 3600, ASSURANCE_DEVICE_BOUND = 1 };

struct approval {
	bool spent;
	struct enrol_terms terms;
};

bool approval_spend(struct approval *a, struct enrol_terms *terms)
{
	if (!a || a->spent)
		return false;
	a->spent = true;
	*terms = a->terms;
	return true;
}

void approval_free(struct approval *a)
{
	free(a);
}

static outcome check_provenance(const struct enrol *seen, struct fault *f)
{
	return seen->provenance.verdict == PROVENANCE_UNSETTLED
		       ? refuse(f, REASON_INTERNAL, "where the device comes from was not asked")
		       : DONE;
}

static outcome check_renewal(const struct enrol *seen, struct fault *f)
{
	if (!seen->request.renews ||
	    !memcmp(seen->authenticate.instance_id, seen->attest.evidence.instance_id, INSTANCE_ID_SIZE))
		return DONE;
	return refuse(f, REASON_RENEWAL_UNKNOWN, "the certificate to renew is another device's");
}

/* Backdated by an hour for devices whose clock is behind; never beyond the issuing CA. */
static outcome set_dates(const struct enrol *seen, struct enrol_terms *terms, struct fault *f)
{
	const struct gateway *g = seen->gateway;
	int64_t wanted = seen->receive.now + seen->receive.lifetime_s, last = g->keys.issuing_not_after;
	terms->not_before = seen->receive.now - BACKDATE_S;
	terms->not_after = wanted < last ? wanted : last;
	if (terms->not_after < seen->receive.now + g->config.certificate_lifetime_min_s)
		return refuse(f, REASON_CONFIG,
			      "the issuing CA ends before the least lifetime of a certificate");
	return DONE;
}

enum step s6_policy(const struct enrol *seen, struct policy_out *mine, struct fault *f)
{
	struct approval a = {.terms = {.profile = "device", .assurance = ASSURANCE_DEVICE_BOUND}};
	if (!check_provenance(seen, f).ok || !check_renewal(seen, f).ok || !set_dates(seen, &a.terms, f).ok)
		return STEP_FAIL;
	memcpy(a.terms.instance_id, seen->attest.evidence.instance_id, INSTANCE_ID_SIZE);
	memcpy(a.terms.spki_sha256, seen->csr.csr.spki_sha256, SHA256_SIZE);
	cert_thing_name(bytes_of(seen->gateway->keys.salt, SALT_SIZE), a.terms.instance_id, a.terms.thing);
	mine->approval = malloc(sizeof *mine->approval);
	if (!mine->approval)
		return step_of(refuse(f, REASON_NO_MEMORY, "no memory for an approval"));
	*mine->approval = a;
	return STEP_NEXT;
}
