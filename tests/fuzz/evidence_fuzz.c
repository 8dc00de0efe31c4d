/*
 * Any bytes as evidence of either type. What is accepted keeps its rules; and since few inputs reach the
 * claims through a signed envelope, the input is also wrapped into one, as payload and as protected header.
 */
#include "common/evidence/evidence.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_within(struct bytes part, struct bytes whole)
{
	return part.n == 0 || (part.p >= whole.p && part.p + part.n <= whole.p + whole.n);
}

static void parse(enum evidence_type type, struct bytes in)
{
	struct evidence e;
	struct fault f = {0};
	if (!evidence_parse(type, in, &e, &f).ok) {
		if (f.reason == REASON_NONE || f.text[0] == '\0')
			abort();
		return;
	}
	if (in.n > EVIDENCE_MAX || e.instance_id[0] != 1 || e.nonce.n < BINDING_SIZE ||
	    !is_within(e.nonce, in) || !is_within(e.cose.payload, in) || !is_within(e.boot_seed, in))
		abort();
	if (type == EVIDENCE_PSA_TOKEN &&
	    (e.lifecycle >> 8 != 0x30 || e.client_id == 0 || e.component_count == 0 ||
	     e.component_count > SW_COMPONENTS_MAX || e.profile == PROFILE_NONE))
		abort();
}

static void parse_wrapped(enum evidence_type type, struct bytes header, struct bytes payload)
{
	static const uint8_t signature[P256_SIGNATURE_SIZE];
	struct buf b = {0};
	cbor_put_tag(&b, 18);
	cbor_put_array(&b, 4);
	cbor_put_bstr(&b, header);
	cbor_put_map(&b, 0);
	cbor_put_bstr(&b, payload);
	cbor_put_bstr(&b, bytes_of(signature, sizeof signature));
	parse(type, buf_view(&b));
	buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t es256[] = {0xa1, 0x01, 0x26};
	struct bytes in = bytes_of(data, size);
	parse(EVIDENCE_PSA_TOKEN, in);
	parse(EVIDENCE_COSE_CSR, in);
	parse_wrapped(EVIDENCE_PSA_TOKEN, bytes_of(es256, sizeof es256), in);
	parse_wrapped(EVIDENCE_COSE_CSR, in, bytes_of("csr", 3));
	return 0;
}
