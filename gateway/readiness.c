#include "readiness.h"

#include "gateway/attest/health.h"
#include "gateway/signer_client.h"
#include "gateway/store/store.h"

struct readiness readiness_of(const struct worker *w)
{
	struct gateway *g = w->gateway;
	struct store_stats stats;
	store_stats(g->store, &stats);
	return (struct readiness){
		.store = stats.writable,
		.recovered = atomic_load(&g->recovered),
		.signer = signer_client_connected(w->signer),
		.attestation = attest_health_up(g->attest),
	};
}

bool readiness_all(const struct readiness *r)
{
	return r->store && r->recovered && r->signer && r->attestation;
}
