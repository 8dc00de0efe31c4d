/*
 * What the secure world reads from the normal world, and the normal world from the secure world: any bytes.
 * What is understood is written back and must be the same bytes: there is one encoding.
 */
// links: device/psa_protocol.c device/psa_stage.c
#include "../../device/psa_protocol.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void same(struct buf *again, const uint8_t *data, size_t n)
{
	size_t length;
	if (again->failed || !psa_length_decode(again->p, &length) || length != n ||
	    memcmp(again->p + PSA_LENGTH_SIZE, data, n))
		abort();
	buf_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct psa_request request;
	struct psa_answer answer;
	struct buf again = {0};
	if (n > PSA_MESSAGE_MAX)
		return 0;
	if (psa_request_decode(bytes_of(data, n), &request)) {
		psa_request_encode(&again, &request);
		same(&again, data, n);
	}
	again = (struct buf){0};
	if (psa_answer_decode(bytes_of(data, n), &answer)) {
		psa_answer_encode(&again, &answer);
		same(&again, data, n);
	}
	return 0;
}
