/*
 * judge.h - whether a request may have a certificate, and in which name: the profile, the CSR, the
 * attestation result.
 */
#ifndef MOORING_CA_JUDGE_H
#define MOORING_CA_JUDGE_H

#include "csr.h"
#include "ledger.h"
#include "signer_config.h"

struct judge {
	const struct signer_config *config;
	struct signer_keys *keys;
	const struct ledger *ledger;
	int64_t unattested_next_us; /* when the rate of unattested certificates would be used up evenly */
	int64_t void_next_us;	    /* the same of intents that are given up */
};

/* Each intent given up is a record for ever: so many at once, and then one a second, less than 10 MB a day. A gateway
 * that was killed under full load gives up no more at its next start. */
enum { VOID_BURST = 8192, VOID_INTERVAL_US = 1000000 };

/* Views into the request. */
struct judgement {
	const struct profile *profile;
	struct issuer *issuer;
	struct csr csr;
	char thing[THING_NAME_SIZE];   /* from the verified instance ID; without evidence, from the key */
	uint8_t binding[BINDING_SIZE]; /* zero without evidence */
};

MUST_USE outcome judge_request(struct judge *j, const struct signer_request *r, int64_t now,
			       struct judgement *out, struct fault *f);
/* Takes one of the certificates that may be signed without evidence. REASON_RATE_LIMITED. */
MUST_USE outcome judge_take_unattested(struct judge *j, int64_t now_us, struct fault *f);
/* Takes one of the intents that may be given up. REASON_OVERLOADED. */
MUST_USE outcome judge_take_void(struct judge *j, int64_t now_us, struct fault *f);

#endif
