/* CSR: structure, key and self-signature, and what the evidence must be bound to. */
#include "stages.h"

enum step s3_csr(const struct enrol *seen, struct csr_out *mine, struct fault *f)
{
	const struct enrol_request *r = &seen->request;
	outcome parsed = csr_parse(r->csr, false, &mine->csr, f);
	if (parsed.ok)
		binding_compute(r->nonce, r->audience, r->csr, mine->binding);
	return step_of(parsed);
}
