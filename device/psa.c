#include "psa.h"

#include "psa_channel.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct psa {
	int fd;
	pthread_mutex_t lock;
	uint8_t body[PSA_MESSAGE_MAX];
};

void psa_close(struct psa *psa)
{
	if (!psa)
		return;
	close(psa->fd);
	pthread_mutex_destroy(&psa->lock);
	free(psa);
}

/* The answer's output is a view into psa->body. */
static bool receive_answer(struct psa *psa, struct psa_answer *answer)
{
	struct bytes body;
	return psa_channel_receive(psa->fd, psa->body, &body) && psa_answer_decode(body, answer);
}

outcome psa_open(int fd, struct psa **out, struct fault *f)
{
	struct psa *psa = calloc(1, sizeof *psa);
	struct psa_answer greeting;
	*out = NULL;
	if (!psa) {
		close(fd);
		return refuse(f, REASON_NO_MEMORY, "no memory for the secure world's socket");
	}
	psa->fd = fd;
	pthread_mutex_init(&psa->lock, NULL);
	outcome r = DONE;
	if (!receive_answer(psa, &greeting))
		r = refuse(f, REASON_IO, "the secure world ended before it was ready");
	else if (greeting.status != PSA_SUCCESS)
		r = refuse(f, REASON_IO, "the secure world did not start: %.*s", (int)greeting.output.n,
			   (const char *)greeting.output.p);
	if (r.ok)
		*out = psa;
	else
		psa_close(psa);
	return r;
}

/* Appends the output; `size` is what it must have, 0 = any length but none. */
static enum psa_status call(struct psa *psa, const struct psa_request *request, size_t size,
			    struct buf *output)
{
	struct buf message = {0};
	struct psa_answer answer = {.status = PSA_ERROR_COMMUNICATION_FAILURE};
	psa_request_encode(&message, request);
	if (message.failed)
		return PSA_ERROR_INSUFFICIENT_MEMORY;
	pthread_mutex_lock(&psa->lock);
	if (!psa_channel_send(psa->fd, buf_view(&message)) || !receive_answer(psa, &answer))
		answer.status = PSA_ERROR_COMMUNICATION_FAILURE;
	else if (answer.status == PSA_SUCCESS && output &&
		 (size ? answer.output.n != size : answer.output.n == 0))
		answer.status = PSA_ERROR_COMMUNICATION_FAILURE;
	if (answer.status == PSA_SUCCESS && output)
		buf_bytes(output, answer.output);
	pthread_mutex_unlock(&psa->lock);
	buf_free(&message);
	if (output && output->failed)
		return PSA_ERROR_INSUFFICIENT_MEMORY;
	return answer.status;
}

static enum psa_status call_fixed(struct psa *psa, const struct psa_request *request, uint8_t *out,
				  size_t size)
{
	struct buf output = {0};
	enum psa_status status = call(psa, request, size, &output);
	if (status == PSA_SUCCESS)
		memcpy(out, output.p, size);
	buf_free(&output);
	return status;
}

enum psa_status psa_generate_key(struct psa *psa, uint32_t key)
{
	return call(psa, &(struct psa_request){.call = PSA_GENERATE_KEY, .key = key}, 0, NULL);
}

enum psa_status psa_export_public_key(struct psa *psa, uint32_t key, uint8_t point[PSA_POINT_SIZE])
{
	const struct psa_request request = {.call = PSA_EXPORT_PUBLIC_KEY, .key = key};
	return call_fixed(psa, &request, point, PSA_POINT_SIZE);
}

enum psa_status psa_sign_hash(struct psa *psa, uint32_t key, const uint8_t hash[PSA_HASH_SIZE],
			      uint8_t signature[PSA_SIGNATURE_SIZE])
{
	const struct psa_request request = {
		.call = PSA_SIGN_HASH, .key = key, .input = {hash, PSA_HASH_SIZE}};
	return call_fixed(psa, &request, signature, PSA_SIGNATURE_SIZE);
}

enum psa_status psa_destroy_key(struct psa *psa, uint32_t key)
{
	return call(psa, &(struct psa_request){.call = PSA_DESTROY_KEY, .key = key}, 0, NULL);
}

enum psa_status psa_initial_attest_get_token(struct psa *psa, const uint8_t challenge[PSA_CHALLENGE_SIZE],
					     struct buf *token)
{
	const struct psa_request request = {.call = PSA_INITIAL_ATTEST_GET_TOKEN,
					    .input = {challenge, PSA_CHALLENGE_SIZE}};
	return call(psa, &request, 0, token);
}

enum psa_status psa_cose_sign_csr(struct psa *psa, const uint8_t challenge[PSA_CHALLENGE_SIZE],
				  struct bytes csr, struct buf *evidence)
{
	const struct psa_request request = {
		.call = PSA_COSE_SIGN_CSR, .input = {challenge, PSA_CHALLENGE_SIZE}, .second = csr};
	return call(psa, &request, 0, evidence);
}

enum psa_status psa_rot_identity(struct psa *psa, uint8_t instance_id[INSTANCE_ID_SIZE],
				 uint8_t key[P256_POINT_SIZE])
{
	uint8_t out[PSA_ROT_IDENTITY_SIZE];
	enum psa_status status =
		call_fixed(psa, &(struct psa_request){.call = PSA_ROT_IDENTITY}, out, sizeof out);
	if (status != PSA_SUCCESS)
		return status;
	memcpy(instance_id, out, INSTANCE_ID_SIZE);
	memcpy(key, out + INSTANCE_ID_SIZE + 1, P256_POINT_SIZE);
	return PSA_SUCCESS;
}

enum psa_status psa_stage_countersign(struct psa *psa, const struct psa_stage *stage,
				      uint8_t signature[PSA_SIGNATURE_SIZE])
{
	struct buf input = {0};
	psa_stage_encode(&input, stage);
	const struct psa_request request = {.call = PSA_STAGE_COUNTERSIGN, .input = buf_view(&input)};
	enum psa_status status = input.failed ? PSA_ERROR_INSUFFICIENT_MEMORY
					      : call_fixed(psa, &request, signature, PSA_SIGNATURE_SIZE);
	buf_free(&input);
	return status;
}

outcome psa_key_spki(struct psa *psa, uint32_t key, uint8_t spki[SPKI_MAX], size_t *n, struct fault *f)
{
	uint8_t point[PSA_POINT_SIZE];
	enum psa_status status = psa_export_public_key(psa, key, point);
	if (status != PSA_SUCCESS)
		return psa_fault(f, "psa_export_public_key", status);
	EVP_PKEY *public = p256_key_from_point(point + 1, point + 33);
	*n = public ? ec_key_to_spki(public, spki, SPKI_MAX) : 0;
	EVP_PKEY_free(public);
	return *n ? DONE : refuse(f, REASON_CRYPTO, "SEC 1 2.3.4: the exported point is not on P-256");
}

outcome psa_sign_hash_der(struct psa *psa, uint32_t key, const uint8_t hash[PSA_HASH_SIZE], struct buf *der,
			  struct fault *f)
{
	uint8_t raw[PSA_SIGNATURE_SIZE], encoded[PSA_SIGNATURE_SIZE + 16];
	enum psa_status status = psa_sign_hash(psa, key, hash, raw);
	if (status != PSA_SUCCESS)
		return psa_fault(f, "psa_sign_hash", status);
	size_t n = ecdsa_raw_to_der(bytes_of(raw, sizeof raw), encoded, sizeof encoded);
	buf_add(der, encoded, n);
	return n && !der->failed ? DONE
				 : refuse(f, REASON_CRYPTO, "RFC 3279 2.2.3: no DER form of a signature");
}

outcome psa_fault(struct fault *f, const char *call_name, enum psa_status status)
{
	enum reason reason = status == PSA_ERROR_INSUFFICIENT_STORAGE  ? REASON_DISK_FULL
			     : status == PSA_ERROR_STORAGE_FAILURE     ? REASON_IO
			     : status == PSA_ERROR_INSUFFICIENT_MEMORY ? REASON_NO_MEMORY
								       : REASON_CRYPTO;
	return refuse(f, reason, "%s: %s", call_name, psa_status_name(status));
}
