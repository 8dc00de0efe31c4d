/*
 * Attest: everything about the evidence that can be told here, then the challenge is spent, then the
 * attestation service is asked.
 */
#include "stages.h"

#include "common/clock.h"
#include "gateway/attest/health.h"
#include "gateway/challenge.h"
#include "gateway/rate.h"

#include <string.h>

static outcome check_locally(const struct enrol *seen, struct attest_out *mine, struct fault *f)
{
	const struct enrol_request *r = &seen->request;
	outcome o = evidence_parse(r->type, r->evidence, &mine->evidence, f);
	mine->parsed = o.ok;
	if (o.ok)
		o = evidence_check_binding(&mine->evidence, seen->csr.binding, r->csr, f);
	if (o.ok)
		o = evidence_check_key_not_rot(mine->evidence.instance_id, seen->csr.csr.spki, f);
	return o;
}

/* The challenge is spent last, so that a device may use it again when it was us who could not go on. */
static outcome admit(const struct enrol *seen, const struct attest_out *mine, struct fault *f)
{
	const struct gateway *g = seen->gateway;
	outcome o = rate_check(g->rate, clock_monotonic_us(), mine->evidence.instance_id, f);
	if (o.ok)
		o = attest_health_admit(g->attest, seen->request.type, clock_monotonic_ms(), f);
	if (o.ok)
		o = challenge_spend(g->challenge, clock_monotonic_ms(), seen->request.nonce, f);
	return o;
}

/* The result is about the device that the evidence names, and about no other. */
static outcome check_result(const struct enrol *seen, const struct attest_out *mine, struct fault *f)
{
	const struct attest_call *call = &mine->call;
	if (!call->affirmed) {
		*f = call->fault;
		return (outcome){false};
	}
	if (!call->ear.has_instance_id ||
	    memcmp(call->ear.instance_id, mine->evidence.instance_id, INSTANCE_ID_SIZE))
		return refuse(f, REASON_EAR_INSTANCE,
			      "the attestation result is about another instance ID, or about none");
	return rate_charge(seen->gateway->rate, clock_monotonic_us(), mine->evidence.instance_id, f);
}

enum step s4_attest(const struct enrol *seen, struct attest_out *mine, struct fault *f)
{
	if (mine->asked)
		return step_of(check_result(seen, mine, f));
	if (!check_locally(seen, mine, f).ok || !admit(seen, mine, f).ok)
		return STEP_FAIL;
	mine->asked = true;
	mine->call = (struct attest_call){
		.worker = seen->worker,
		.type = seen->request.type,
		.evidence = seen->request.evidence,
		.csr_spki = seen->csr.csr.spki,
		.binding = seen->csr.binding,
		.done = enrol_wake,
		.arg = seen->waker,
	};
	attest_ask(&mine->call);
	return STEP_WAIT;
}
