/*
 * Any bytes as the body of an enrolment or a renewal. What is accepted has its bytes inside its own rooms,
 * and a renewal is one exactly where it was to be one.
 */
// links: gateway/http/enrolment_json.c gateway/keys.c
#include "gateway/http/enrolment_json.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_view(struct bytes view, const uint8_t *room, size_t size)
{
	if (view.p != room || view.n > size)
		abort();
}

static void parse(struct bytes body, bool renewal)
{
	static struct enrol_request r;
	struct fault f = {0};
	memset(&r, 0, sizeof r);
	if (!enrolment_json_parse(body, renewal, &r, &f).ok) {
		if (f.reason == REASON_NONE || f.text[0] == '\0')
			abort();
		return;
	}
	check_view(r.csr, r.csr_room, sizeof r.csr_room);
	check_view(r.evidence, r.evidence_room, sizeof r.evidence_room);
	if (r.chain.n)
		check_view(r.chain, r.chain_room, sizeof r.chain_room);
	if (r.renews != renewal || r.renews_signature_size > sizeof r.renews_signature || r.lifetime_s < 0 ||
	    !r.type || !memchr(r.audience, 0, sizeof r.audience) || !r.audience[0])
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	parse(bytes_of(data, size), false);
	parse(bytes_of(data, size), true);
	return 0;
}
