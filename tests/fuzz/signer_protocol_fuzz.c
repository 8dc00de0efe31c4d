/* Any bytes from the other side of the signer's socket. What is taken is encoded again and must mean the
 * same. */
#include "common/signer_protocol.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool right)
{
	if (!right)
		abort();
}

static void check_request(struct bytes message)
{
	struct signer_request r, again;
	struct bytes second;
	struct buf b = {0};
	struct fault f = {0};
	if (!signer_request_decode(message, &r, &f).ok) {
		check(f.reason != REASON_NONE && f.text[0]);
		return;
	}
	check(signer_request_encode(&r, &b, &f).ok && signer_frame(buf_view(&b), &second, &f).ok);
	check(signer_request_decode(second, &again, &f).ok);
	check(r.op == again.op && !memcmp(r.intent, again.intent, sizeof r.intent) &&
	      !memcmp(r.serial, again.serial, sizeof r.serial) && r.not_before == again.not_before &&
	      r.not_after == again.not_after && bytes_equal(r.csr, again.csr) &&
	      bytes_equal(r.ear, again.ear) && !memcmp(r.nonce, again.nonce, sizeof r.nonce) &&
	      !strcmp(r.audience, again.audience) && !strcmp(r.profile, again.profile));
	buf_free(&b);
}

static void check_answer(struct bytes message)
{
	struct signer_answer a, again;
	struct bytes second;
	struct buf b = {0};
	struct fault f = {0};
	if (!signer_answer_decode(message, &a, &f).ok) {
		check(f.reason != REASON_NONE && f.text[0]);
		return;
	}
	check(signer_answer_encode(&a, &b, &f).ok && signer_frame(buf_view(&b), &second, &f).ok);
	check(signer_answer_decode(second, &again, &f).ok);
	check(a.status == again.status && bytes_equal(a.certificate, again.certificate) &&
	      a.refusal.reason == again.refusal.reason && !strcmp(a.refusal.text, again.refusal.text));
	buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes message;
	struct fault f = {0};
	if (signer_frame(bytes_of(data, size), &message, &f).ok) {
		check(message.n == 0 || message.n + SIGNER_PREFIX_SIZE <= size);
		check_request(message);
		check_answer(message);
	}
	/* Without the prefix, so that lengths need not be guessed to get at the decoders. */
	check_request(bytes_of(data, size));
	check_answer(bytes_of(data, size));
	return 0;
}
