/*
 * signer.h - what is signed and what is not, decided anew from the request alone: the gateway is believed in
 * nothing.
 *
 * Requests are decided one by one, committed together, and answered after the commit.
 */
#ifndef MOORING_CA_SIGNER_H
#define MOORING_CA_SIGNER_H

#include "signer_config.h"
#include "common/signer_protocol.h"

enum { CLOCK_BACK_MAX_S = 300 };

struct signer;

struct signer_decision {
	struct signer_answer answer; /* its certificate is a view of the next member */
	struct buf certificate;
	bool awaits_commit; /* the answer must not leave before signer_commit */
};

/* Opens the journal in state_dir and learns it. The configuration and the keys are borrowed. */
MUST_USE outcome signer_new(const struct signer_config *config, struct signer_keys *keys, struct signer **out,
			    struct fault *f);
void signer_free(struct signer *s);

/* `message` is the request's own encoding: an exact repetition is answered from the journal without a second
 * look. Always gives an answer. The caller frees what was decided with signer_decision_free. */
void signer_decide(struct signer *s, struct bytes message, const struct signer_request *r, int64_t now,
		   struct signer_decision *out);
/* Makes the decisions since the last commit durable; where that fails, those that await it become refusals. False
 * where the journal is lost to this process: answer what was decided, and end. */
MUST_USE bool signer_commit(struct signer *s, struct signer_decision *decisions, size_t count);
void signer_decision_free(struct signer_decision *d);

#endif
