#include "psa_protocol.h"

#include "common/crypto/csr.h"
#include "psa_stage.h"

/* What a call takes: key ids from 1, and how long its inputs are. */
static const struct shape {
	bool key;
	size_t input_min, input_max;
	size_t second_min, second_max;
} shapes[PSA_CALL_COUNT] = {
	[PSA_GENERATE_KEY] = {.key = true},
	[PSA_EXPORT_PUBLIC_KEY] = {.key = true},
	[PSA_SIGN_HASH] = {.key = true, .input_min = PSA_HASH_SIZE, .input_max = PSA_HASH_SIZE},
	[PSA_DESTROY_KEY] = {.key = true},
	[PSA_INITIAL_ATTEST_GET_TOKEN] = {.input_min = PSA_CHALLENGE_SIZE, .input_max = PSA_CHALLENGE_SIZE},
	[PSA_COSE_SIGN_CSR] = {.input_min = PSA_CHALLENGE_SIZE,
			       .input_max = PSA_CHALLENGE_SIZE,
			       .second_min = 1,
			       .second_max = CSR_MAX},
	[PSA_STAGE_COUNTERSIGN] = {.input_min = PSA_STAGE_MIN, .input_max = PSA_STAGE_MAX},
};

static void put_be16(struct buf *out, size_t v)
{
	buf_byte(out, (uint8_t)(v >> 8));
	buf_byte(out, (uint8_t)v);
}

static void put_bytes(struct buf *out, struct bytes v)
{
	put_be16(out, v.n);
	buf_bytes(out, v);
}

static bool take(struct bytes *in, size_t n, const uint8_t **out)
{
	if (in->n < n)
		return false;
	*out = in->p;
	in->p += n;
	in->n -= n;
	return true;
}

static bool take_bytes(struct bytes *in, struct bytes *out)
{
	const uint8_t *p;
	if (!take(in, 2, &p))
		return false;
	out->n = (size_t)p[0] << 8 | p[1];
	return take(in, out->n, &out->p);
}

void psa_request_encode(struct buf *out, const struct psa_request *request)
{
	buf_be32(out, (uint32_t)(1 + 1 + 4 + 2 + request->input.n + 2 + request->second.n));
	buf_byte(out, PSA_PROTOCOL_VERSION);
	buf_byte(out, (uint8_t)request->call);
	buf_be32(out, request->key);
	put_bytes(out, request->input);
	put_bytes(out, request->second);
}

void psa_answer_encode(struct buf *out, const struct psa_answer *answer)
{
	buf_be32(out, (uint32_t)(1 + 4 + 2 + answer->output.n));
	buf_byte(out, PSA_PROTOCOL_VERSION);
	buf_be32(out, (uint32_t)answer->status);
	put_bytes(out, answer->output);
}

bool psa_length_decode(const uint8_t head[PSA_LENGTH_SIZE], size_t *length)
{
	*length = bytes_be32(head);
	return *length > 0 && *length <= PSA_MESSAGE_MAX;
}

static bool in_shape(const struct psa_request *r)
{
	const struct shape *s = &shapes[r->call];
	bool key_ok = s->key ? r->key >= 1 && r->key <= PSA_KEY_ID_MAX : r->key == 0;
	return key_ok && r->input.n >= s->input_min && r->input.n <= s->input_max &&
	       r->second.n >= s->second_min && r->second.n <= s->second_max;
}

bool psa_request_decode(struct bytes body, struct psa_request *out)
{
	const uint8_t *head;
	if (!take(&body, 6, &head) || head[0] != PSA_PROTOCOL_VERSION)
		return false;
	if (head[1] < PSA_GENERATE_KEY || head[1] >= PSA_CALL_COUNT)
		return false;
	out->call = (enum psa_call)head[1];
	out->key = bytes_be32(head + 2);
	return take_bytes(&body, &out->input) && take_bytes(&body, &out->second) && body.n == 0 &&
	       in_shape(out);
}

bool psa_answer_decode(struct bytes body, struct psa_answer *out)
{
	const uint8_t *head;
	if (!take(&body, 5, &head) || head[0] != PSA_PROTOCOL_VERSION)
		return false;
	out->status = (enum psa_status)(int32_t)bytes_be32(head + 1);
	return take_bytes(&body, &out->output) && body.n == 0;
}

const char *psa_status_name(enum psa_status status)
{
	static const struct {
		enum psa_status status;
		const char *name;
	} names[] = {
		{PSA_SUCCESS, "PSA_SUCCESS"},
		{PSA_ERROR_PROGRAMMER_ERROR, "PSA_ERROR_PROGRAMMER_ERROR"},
		{PSA_ERROR_GENERIC_ERROR, "PSA_ERROR_GENERIC_ERROR"},
		{PSA_ERROR_NOT_PERMITTED, "PSA_ERROR_NOT_PERMITTED"},
		{PSA_ERROR_INVALID_ARGUMENT, "PSA_ERROR_INVALID_ARGUMENT"},
		{PSA_ERROR_INVALID_HANDLE, "PSA_ERROR_INVALID_HANDLE"},
		{PSA_ERROR_ALREADY_EXISTS, "PSA_ERROR_ALREADY_EXISTS"},
		{PSA_ERROR_INSUFFICIENT_MEMORY, "PSA_ERROR_INSUFFICIENT_MEMORY"},
		{PSA_ERROR_INSUFFICIENT_STORAGE, "PSA_ERROR_INSUFFICIENT_STORAGE"},
		{PSA_ERROR_COMMUNICATION_FAILURE, "PSA_ERROR_COMMUNICATION_FAILURE"},
		{PSA_ERROR_STORAGE_FAILURE, "PSA_ERROR_STORAGE_FAILURE"},
	};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (names[i].status == status)
			return names[i].name;
	return "unknown status";
}
