/* Receive: what can be refused without any cryptography. */
#include "stages.h"

#include "common/clock.h"
#include "gateway/signer_client.h"

#include <string.h>

static outcome check_sizes(const struct enrol_request *r, struct fault *f)
{
	if (r->csr.n == 0 || r->csr.n > CSR_MAX)
		return refuse(f, REASON_BAD_FIELD, "csr: %zu bytes, where 1 to %d are taken", r->csr.n,
			      CSR_MAX);
	if (r->evidence.n == 0 || r->evidence.n > EVIDENCE_MAX)
		return refuse(f, REASON_EVIDENCE_SIZE, "evidence: %zu bytes, where 1 to %d are taken",
			      r->evidence.n, EVIDENCE_MAX);
	return DONE;
}

/* The audience is compared as it is written: it is part of what the evidence is bound to. */
static outcome check_audience(const struct gateway_config *c, const char *audience, struct fault *f)
{
	for (size_t i = 0; i < c->issuing.origins.count; i++)
		if (!strcmp(audience, c->issuing.origins.items[i]))
			return DONE;
	return refuse(f, REASON_BAD_ORIGIN, "audience: this gateway is not known as \"%.120s\"", audience);
}

static outcome check_lifetime(const struct gateway_config *c, int64_t lifetime_s, struct fault *f)
{
	if (lifetime_s == 0 ||
	    (lifetime_s >= c->certificate_lifetime_min_s && lifetime_s <= c->certificate_lifetime_s))
		return DONE;
	return refuse(f, REASON_BAD_FIELD, "lifetime_s: %lld is not from %lld to %lld", (long long)lifetime_s,
		      (long long)c->certificate_lifetime_min_s, (long long)c->certificate_lifetime_s);
}

/* Nothing is begun, and no challenge spent, for what could not be signed anyway. */
static outcome check_signer(const struct enrol *seen, struct fault *f)
{
	if (!atomic_load(&seen->gateway->recovered))
		return refuse(f, REASON_SIGNER_UNAVAILABLE,
			      "what an earlier run left open is not settled yet");
	if (signer_client_gone(seen->worker->signer))
		return refuse(f, REASON_SIGNER_UNAVAILABLE, "there is no connection to the signer");
	return DONE;
}

enum step s1_receive(const struct enrol *seen, struct receive_out *mine, struct fault *f)
{
	const struct gateway *g = seen->gateway;
	outcome r = check_sizes(&seen->request, f);
	if (r.ok)
		r = check_audience(&g->config, seen->request.audience, f);
	if (r.ok)
		r = check_lifetime(&g->config, seen->request.lifetime_s, f);
	if (r.ok)
		r = check_signer(seen, f);
	mine->now = clock_wall_s();
	mine->lifetime_s =
		seen->request.lifetime_s ? seen->request.lifetime_s : g->config.certificate_lifetime_s;
	return step_of(r);
}
