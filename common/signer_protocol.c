#include "signer_protocol.h"

#include "common/cbor/cbor_fields.h"

#include <stdio.h>
#include <string.h>

enum { VERSION = 1, NAME_SIZE = 8, REASON_SIZE = 64 };

static const char *const op_names[] = {
	[SIGNER_ISSUE] = "issue", [SIGNER_FIND] = "find", [SIGNER_VOID] = "void"};
static const char *const status_names[] = {
	[SIGNER_OK] = "ok", [SIGNER_NONE] = "none", [SIGNER_REFUSED] = "refused"};

/* ---- the two messages, as they go over the socket ---- */

struct request {
	int64_t version;
	char op[NAME_SIZE];
	struct signer_request is;
};

enum request_key {
	KEY_VERSION,
	KEY_OP,
	KEY_INTENT,
	KEY_PROFILE,
	KEY_SERIAL,
	KEY_NOT_BEFORE,
	KEY_NOT_AFTER,
	KEY_CSR,
	KEY_EAR,
	KEY_NONCE,
	KEY_AUDIENCE,
	REQUEST_KEYS
};

static const struct cbor_fields_row request_rows[REQUEST_KEYS] = {
	[KEY_VERSION] = {CBOR_FIELD_UINT, offsetof(struct request, version), 0},
	[KEY_OP] = {CBOR_FIELD_TEXT, offsetof(struct request, op), NAME_SIZE},
	[KEY_INTENT] = {CBOR_FIELD_FIXED, offsetof(struct request, is.intent), INTENT_ID_SIZE},
	[KEY_PROFILE] = {CBOR_FIELD_TEXT, offsetof(struct request, is.profile), SIGNER_PROFILE_MAX + 1},
	[KEY_SERIAL] = {CBOR_FIELD_FIXED, offsetof(struct request, is.serial), SERIAL_SIZE},
	[KEY_NOT_BEFORE] = {CBOR_FIELD_UINT, offsetof(struct request, is.not_before), 0},
	[KEY_NOT_AFTER] = {CBOR_FIELD_UINT, offsetof(struct request, is.not_after), 0},
	[KEY_CSR] = {CBOR_FIELD_BYTES, offsetof(struct request, is.csr), SIGNER_MESSAGE_MAX},
	[KEY_EAR] = {CBOR_FIELD_TEXT_VIEW, offsetof(struct request, is.ear), SIGNER_MESSAGE_MAX},
	[KEY_NONCE] = {CBOR_FIELD_FIXED, offsetof(struct request, is.nonce), NONCE_SIZE},
	[KEY_AUDIENCE] = {CBOR_FIELD_TEXT, offsetof(struct request, is.audience), ORIGIN_MAX + 1},
};
static const struct cbor_fields request_fields = {request_rows, REQUEST_KEYS, REASON_SIGNER_PROTOCOL};

struct answer {
	int64_t version;
	char status[NAME_SIZE];
	struct signer_answer is;
	char reason[REASON_SIZE];
};

enum answer_key {
	ANSWER_VERSION,
	ANSWER_STATUS,
	ANSWER_INTENT,
	ANSWER_CERTIFICATE,
	ANSWER_REASON,
	ANSWER_SENTENCE,
	ANSWER_KEYS
};

static const struct cbor_fields_row answer_rows[ANSWER_KEYS] = {
	[ANSWER_VERSION] = {CBOR_FIELD_UINT, offsetof(struct answer, version), 0},
	[ANSWER_STATUS] = {CBOR_FIELD_TEXT, offsetof(struct answer, status), NAME_SIZE},
	[ANSWER_INTENT] = {CBOR_FIELD_FIXED, offsetof(struct answer, is.intent), INTENT_ID_SIZE},
	[ANSWER_CERTIFICATE] = {CBOR_FIELD_BYTES, offsetof(struct answer, is.certificate),
				SIGNER_MESSAGE_MAX},
	[ANSWER_REASON] = {CBOR_FIELD_TEXT, offsetof(struct answer, reason), REASON_SIZE},
	[ANSWER_SENTENCE] = {CBOR_FIELD_TEXT, offsetof(struct answer, is.refusal.text), FAULT_TEXT_MAX},
};
static const struct cbor_fields answer_fields = {answer_rows, ANSWER_KEYS, REASON_SIGNER_PROTOCOL};

#define BIT CBOR_FIELD_BIT
#define HEAD_KEYS (BIT(KEY_VERSION) | BIT(KEY_OP) | BIT(KEY_INTENT))
#define ISSUE_KEYS                                                                                           \
	(HEAD_KEYS | BIT(KEY_PROFILE) | BIT(KEY_SERIAL) | BIT(KEY_NOT_BEFORE) | BIT(KEY_NOT_AFTER) |         \
	 BIT(KEY_CSR))
#define EAR_KEYS (BIT(KEY_EAR) | BIT(KEY_NONCE) | BIT(KEY_AUDIENCE))
#define ANSWER_HEAD_KEYS (BIT(ANSWER_VERSION) | BIT(ANSWER_STATUS) | BIT(ANSWER_INTENT))
#define ANSWER_REFUSED_KEYS (ANSWER_HEAD_KEYS | BIT(ANSWER_REASON) | BIT(ANSWER_SENTENCE))

/* ---- writing ---- */

static outcome frame(struct buf *message, struct buf *out, struct fault *f)
{
	outcome result = DONE;
	if (message->n > SIGNER_MESSAGE_MAX)
		result = refuse(f, REASON_TOO_LARGE, "a signer message of %zu bytes is over the limit of %d",
				message->n, SIGNER_MESSAGE_MAX);
	buf_be32(out, (uint32_t)message->n);
	buf_bytes(out, buf_view(message));
	if (message->failed || out->failed)
		result = refuse(f, REASON_NO_MEMORY, "no memory for a signer message");
	buf_free(message);
	return result;
}

outcome signer_request_encode(const struct signer_request *r, struct buf *out, struct fault *f)
{
	struct request wire = {.version = VERSION, .is = *r};
	struct buf m = {0};
	uint32_t keys = r->op != SIGNER_ISSUE ? HEAD_KEYS : r->ear.n ? ISSUE_KEYS | EAR_KEYS : ISSUE_KEYS;
	snprintf(wire.op, sizeof wire.op, "%s", op_names[r->op]);
	cbor_fields_write(&m, &request_fields, keys, &wire);
	return frame(&m, out, f);
}

outcome signer_answer_encode(const struct signer_answer *a, struct buf *out, struct fault *f)
{
	struct answer wire = {.version = VERSION, .is = *a};
	struct buf m = {0};
	uint32_t keys = a->status == SIGNER_REFUSED ? ANSWER_REFUSED_KEYS
			: a->certificate.n	    ? ANSWER_HEAD_KEYS | BIT(ANSWER_CERTIFICATE)
						    : ANSWER_HEAD_KEYS;
	snprintf(wire.status, sizeof wire.status, "%s", status_names[a->status]);
	snprintf(wire.reason, sizeof wire.reason, "%s", reason_code(a->refusal.reason));
	cbor_fields_write(&m, &answer_fields, keys, &wire);
	return frame(&m, out, f);
}

/* ---- reading ---- */

outcome signer_frame(struct bytes in, struct bytes *message, struct fault *f)
{
	*message = (struct bytes){0};
	if (in.n < SIGNER_PREFIX_SIZE)
		return DONE;
	size_t n = bytes_be32(in.p);
	if (n == 0 || n > SIGNER_MESSAGE_MAX)
		return refuse(f, REASON_SIGNER_PROTOCOL, "a message length of %zu is not 1 to %d", n,
			      SIGNER_MESSAGE_MAX);
	if (in.n - SIGNER_PREFIX_SIZE >= n)
		*message = bytes_of(in.p + SIGNER_PREFIX_SIZE, n);
	return DONE;
}

/* The number of one of `count` names, which begin at 1; 0 for any other. */
static unsigned find_name(const char *name, const char *const *names, unsigned count)
{
	for (unsigned i = 1; i < count; i++)
		if (!strcmp(name, names[i]))
			return i;
	return 0;
}

static outcome check_head(int64_t version, unsigned name, const char *text, struct fault *f)
{
	if (version != VERSION)
		return refuse(f, REASON_SIGNER_PROTOCOL, "version %lld, not %d", (long long)version, VERSION);
	if (!name)
		return refuse(f, REASON_SIGNER_PROTOCOL, "an unknown operation or status: \"%s\"", text);
	return DONE;
}

static bool request_is_whole(enum signer_op op, uint32_t keys)
{
	return op == SIGNER_ISSUE ? keys == ISSUE_KEYS || keys == (ISSUE_KEYS | EAR_KEYS) : keys == HEAD_KEYS;
}

outcome signer_request_decode(struct bytes message, struct signer_request *out, struct fault *f)
{
	struct request wire = {0};
	uint32_t keys;
	*out = (struct signer_request){0};
	outcome o = cbor_fields_read(message, &request_fields, &wire, &keys, f);
	unsigned op = find_name(wire.op, op_names, sizeof op_names / sizeof *op_names);
	if (o.ok)
		o = check_head(wire.version, op, wire.op, f);
	if (o.ok && !request_is_whole((enum signer_op)op, keys))
		o = refuse(f, REASON_SIGNER_PROTOCOL, "the keys %#x do not make a request", keys);
	if (!o.ok)
		return o;
	wire.is.op = (enum signer_op)op;
	*out = wire.is;
	return DONE;
}

static bool answer_is_whole(enum signer_status status, uint32_t keys)
{
	if (status == SIGNER_OK)
		return (keys & ~BIT(ANSWER_CERTIFICATE)) == ANSWER_HEAD_KEYS;
	return keys == (status == SIGNER_REFUSED ? ANSWER_REFUSED_KEYS : ANSWER_HEAD_KEYS);
}

outcome signer_answer_decode(struct bytes message, struct signer_answer *out, struct fault *f)
{
	struct answer wire = {0};
	uint32_t keys;
	*out = (struct signer_answer){0};
	outcome o = cbor_fields_read(message, &answer_fields, &wire, &keys, f);
	unsigned status = find_name(wire.status, status_names, sizeof status_names / sizeof *status_names);
	if (o.ok)
		o = check_head(wire.version, status, wire.status, f);
	if (o.ok && !answer_is_whole((enum signer_status)status, keys))
		o = refuse(f, REASON_SIGNER_PROTOCOL, "the keys %#x do not make an answer", keys);
	wire.is.refusal.reason = reason_find(wire.reason);
	if (o.ok && status == SIGNER_REFUSED && wire.is.refusal.reason == REASON_NONE)
		o = refuse(f, REASON_SIGNER_PROTOCOL, "a refusal with an unknown reason code");
	if (!o.ok)
		return o;
	wire.is.status = (enum signer_status)status;
	*out = wire.is;
	return DONE;
}
