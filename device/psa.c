#include "psa.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct psa {
	int fd;
	pthread_mutex_t lock;
	uint8_t body[PSA_MESSAGE_MAX];
};

struct psa *psa_open(int fd)
{
	struct psa *psa = calloc(1, sizeof *psa);
	if (!psa)
		return NULL;
	psa->fd = fd;
	pthread_mutex_init(&psa->lock, NULL);
	return psa;
}

void psa_close(struct psa *psa)
{
	if (!psa)
		return;
	close(psa->fd);
	pthread_mutex_destroy(&psa->lock);
	free(psa);
}

static bool send_all(int fd, struct bytes out)
{
	while (out.n) {
		ssize_t n = send(fd, out.p, out.n, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		out.p += n;
		out.n -= (size_t)n;
	}
	return true;
}

static bool receive_all(int fd, uint8_t *into, size_t n)
{
	while (n) {
		ssize_t got = recv(fd, into, n, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		into += got;
		n -= (size_t)got;
	}
	return true;
}

/* The answer's output is a view into psa->body. */
static bool exchange(struct psa *psa, struct bytes message, struct psa_answer *answer)
{
	uint8_t head[PSA_LENGTH_SIZE];
	size_t length;
	return send_all(psa->fd, message) && receive_all(psa->fd, head, sizeof head) &&
	       psa_length_decode(head, &length) && receive_all(psa->fd, psa->body, length) &&
	       psa_answer_decode(bytes_of(psa->body, length), answer);
}

/* Appends the output; `size` is what it must have, 0 = any length but none. */
static enum psa_status call(struct psa *psa, const struct psa_request *request, size_t size, struct buf *output)
{
	struct buf message = {0};
	struct psa_answer answer = {.status = PSA_ERROR_COMMUNICATION_FAILURE};
	psa_request_encode(&message, request);
	if (message.failed)
		return PSA_ERROR_INSUFFICIENT_MEMORY;
	pthread_mutex_lock(&psa->lock);
	if (!exchange(psa, buf_view(&message), &answer))
		answer.status = PSA_ERROR_COMMUNICATION_FAILURE;
	else if (answer.status == PSA_SUCCESS && output && (size ? answer.output.n != size : answer.output.n == 0))
		answer.status = PSA_ERROR_COMMUNICATION_FAILURE;
	if (answer.status == PSA_SUCCESS && output)
		buf_bytes(output, answer.output);
	pthread_mutex_unlock(&psa->lock);
	buf_free(&message);
	if (output && output->failed)
		return PSA_ERROR_INSUFFICIENT_MEMORY;
	return answer.status;
}

static enum psa_status call_fixed(struct psa *psa, const struct psa_request *request, uint8_t *out, size_t size)
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
	const struct psa_request request = {
		.call = PSA_INITIAL_ATTEST_GET_TOKEN, .input = {challenge, PSA_CHALLENGE_SIZE}};
	return call(psa, &request, 0, token);
}

enum psa_status psa_cose_sign_csr(struct psa *psa, const uint8_t challenge[PSA_CHALLENGE_SIZE], struct bytes csr,
				  struct buf *evidence)
{
	const struct psa_request request = {
		.call = PSA_COSE_SIGN_CSR, .input = {challenge, PSA_CHALLENGE_SIZE}, .second = csr};
	return call(psa, &request, 0, evidence);
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
	return n && !der->failed ? DONE : refuse(f, REASON_CRYPTO, "RFC 3279 2.2.3: no DER form of a signature");
}

outcome psa_fault(struct fault *f, const char *call_name, enum psa_status status)
{
	enum reason reason = status == PSA_ERROR_INSUFFICIENT_STORAGE ? REASON_DISK_FULL
			     : status == PSA_ERROR_STORAGE_FAILURE    ? REASON_IO
			     : status == PSA_ERROR_INSUFFICIENT_MEMORY ? REASON_NO_MEMORY
								       : REASON_CRYPTO;
	return refuse(f, reason, "%s: %s", call_name, psa_status_name(status));
}
