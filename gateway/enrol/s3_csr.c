/* CSR: structure, key and self-signature, and what the evidence must be bound to; and the form of what is sent along,
 * so that nobody is asked about what could not be read. */
#include "stages.h"

#include "gateway/provenance/provenance.h"

static outcome read_chain(const struct enrol *seen, struct csr_out *mine, struct fault *f)
{
	if (!seen->request.chain.n || !provenance_is_asked(seen->gateway->provenance))
		return DONE;
	mine->has_chain = true;
	return chain_read(seen->request.chain, &mine->chain, f);
}

enum step s3_csr(const struct enrol *seen, struct csr_out *mine, struct fault *f)
{
	const struct enrol_request *r = &seen->request;
	outcome parsed = read_chain(seen, mine, f);
	if (parsed.ok)
		parsed = csr_parse(r->csr, false, &mine->csr, f);
	if (parsed.ok)
		binding_compute(r->nonce, r->audience, r->csr, mine->binding);
	return step_of(parsed);
}
