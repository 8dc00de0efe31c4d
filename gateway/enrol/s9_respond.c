/* Respond: the certificate in the forms in which every transport gives it out. */
#include "stages.h"

enum step s9_respond(const struct enrol *seen, struct respond_out *mine, struct fault *f)
{
	struct bytes der = buf_view(&seen->issue.certificate);
	cert_fingerprint(der, mine->fingerprint);
	if (!cert_to_pem(der, &mine->pem))
		return step_of(refuse(f, REASON_NO_MEMORY, "no memory for a certificate"));
	return STEP_NEXT;
}
