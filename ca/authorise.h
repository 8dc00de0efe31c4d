/*
 * authorise.h - whether a request may have a certificate, and in which name: the profile, the CSR, the
 * attestation result.
 */
#ifndef MOORING_CA_AUTHORISE_H
#define MOORING_CA_AUTHORISE_H

#include "ledger.h"
#include "signer_config.h"
#include "common/crypto/csr.h"

/* Everything is borrowed from the signer, and outlives it. */
struct authoriser {
	const struct signer_config *config;
	struct signer_keys *keys;
	const struct ledger *ledger;
	int64_t unattested_next_us; /* monotonic; when the rate of unattested certificates would be used up evenly */
	int64_t void_next_us; /* the same of intents that are given up */
};

/* Each intent given up is a record for ever: so many at once, and then one a second, less than 10 MB a day.
 * A gateway that was killed under full load gives up no more at its next start. */
enum { VOID_BURST = 8192, VOID_INTERVAL_US = 1000000 };

/* What may be signed; views into the request. */
struct authorisation {
	const struct profile *profile;
	struct issuer *issuer;
	struct csr csr;
	char thing[THING_NAME_SIZE];   /* from the verified instance ID; without evidence, from the key */
	uint8_t binding[BINDING_SIZE]; /* zero without evidence */
};

/* The profile is one of the signer's and matches what came with the request; the CSR is one (csr_parse);
 * the attestation result, where the profile asks for one, is genuine, fresh, affirming, bound to this CSR
 * for one of the signer's own origins, and spent on no other intent. `now` is Unix seconds.
 * REASON_SIGNER_PROFILE, REASON_BAD_ORIGIN, REASON_EAR_*, REASON_CSR_*. */
MUST_USE outcome authorise_request(struct authoriser *a, const struct signer_request *r, int64_t now,
				   struct authorisation *out, struct fault *f);
/* Takes one of the certificates that may be signed without evidence. REASON_RATE_LIMITED. */
MUST_USE outcome authorise_take_unattested(struct authoriser *a, int64_t now_us, struct fault *f);
/* Takes one of the intents that may be given up. REASON_OVERLOADED. */
MUST_USE outcome authorise_take_void(struct authoriser *a, int64_t now_us, struct fault *f);

#endif
