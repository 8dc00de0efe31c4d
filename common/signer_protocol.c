#include "signer_protocol.h"

#include "cbor.h"

#include <string.h>

enum { VERSION = 1 };

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

enum answer_key {
	ANSWER_VERSION,
	ANSWER_STATUS,
	ANSWER_INTENT,
	ANSWER_CERTIFICATE,
	ANSWER_REASON,
	ANSWER_SENTENCE,
	ANSWER_KEYS
};

#define BIT(key) (1u << (key))
#define HEAD_KEYS (BIT(KEY_VERSION) | BIT(KEY_OP) | BIT(KEY_INTENT))
#define ISSUE_KEYS                                                                                           \
	(HEAD_KEYS | BIT(KEY_PROFILE) | BIT(KEY_SERIAL) | BIT(KEY_NOT_BEFORE) | BIT(KEY_NOT_AFTER) |         \
	 BIT(KEY_CSR))
#define EAR_KEYS (BIT(KEY_EAR) | BIT(KEY_NONCE) | BIT(KEY_AUDIENCE))
#define ANSWER_HEAD_KEYS (BIT(ANSWER_VERSION) | BIT(ANSWER_STATUS) | BIT(ANSWER_INTENT))

static const char *const op_names[] = {
	[SIGNER_ISSUE] = "issue", [SIGNER_FIND] = "find", [SIGNER_VOID] = "void"};
static const char *const status_names[] = {
	[SIGNER_OK] = "ok", [SIGNER_NONE] = "none", [SIGNER_REFUSED] = "refused"};

static void put_bytes(struct buf *b, int key, const void *p, size_t n)
{
	cbor_put_uint(b, (uint64_t)key);
	cbor_put_bstr(b, bytes_of(p, n));
}

static void put_text(struct buf *b, int key, const char *text)
{
	cbor_put_uint(b, (uint64_t)key);
	cbor_put_tstr(b, text);
}

static void put_number(struct buf *b, int key, uint64_t n)
{
	cbor_put_uint(b, (uint64_t)key);
	cbor_put_uint(b, n);
}

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
	struct buf m = {0};
	bool issue = r->op == SIGNER_ISSUE, attested = issue && r->ear.n;
	cbor_put_map(&m, attested ? 11 : issue ? 8 : 3);
	put_number(&m, KEY_VERSION, VERSION);
	put_text(&m, KEY_OP, op_names[r->op]);
	put_bytes(&m, KEY_INTENT, r->intent, sizeof r->intent);
	if (issue) {
		put_text(&m, KEY_PROFILE, r->profile);
		put_bytes(&m, KEY_SERIAL, r->serial, sizeof r->serial);
		put_number(&m, KEY_NOT_BEFORE, (uint64_t)r->not_before);
		put_number(&m, KEY_NOT_AFTER, (uint64_t)r->not_after);
		put_bytes(&m, KEY_CSR, r->csr.p, r->csr.n);
	}
	if (attested) {
		cbor_put_uint(&m, KEY_EAR);
		cbor_put_text(&m, r->ear);
		put_bytes(&m, KEY_NONCE, r->nonce, sizeof r->nonce);
		put_text(&m, KEY_AUDIENCE, r->audience);
	}
	return frame(&m, out, f);
}

outcome signer_answer_encode(const struct signer_answer *a, struct buf *out, struct fault *f)
{
	struct buf m = {0};
	bool refused = a->status == SIGNER_REFUSED, certificate = !refused && a->certificate.n;
	cbor_put_map(&m, refused ? 5 : certificate ? 4 : 3);
	put_number(&m, ANSWER_VERSION, VERSION);
	put_text(&m, ANSWER_STATUS, status_names[a->status]);
	put_bytes(&m, ANSWER_INTENT, a->intent, sizeof a->intent);
	if (certificate)
		put_bytes(&m, ANSWER_CERTIFICATE, a->certificate.p, a->certificate.n);
	if (refused) {
		put_text(&m, ANSWER_REASON, reason_code(a->refusal.reason));
		put_text(&m, ANSWER_SENTENCE, a->refusal.text);
	}
	return frame(&m, out, f);
}

outcome signer_frame(struct bytes in, struct bytes *message, struct fault *f)
{
	*message = (struct bytes){0};
	if (in.n < SIGNER_PREFIX_SIZE)
		return DONE;
	size_t n = (size_t)in.p[0] << 24 | (size_t)in.p[1] << 16 | (size_t)in.p[2] << 8 | in.p[3];
	if (n == 0 || n > SIGNER_MESSAGE_MAX)
		return refuse(f, REASON_SIGNER_PROTOCOL, "a message length of %zu is not 1 to %d", n,
			      SIGNER_MESSAGE_MAX);
	if (in.n - SIGNER_PREFIX_SIZE >= n)
		*message = bytes_of(in.p + SIGNER_PREFIX_SIZE, n);
	return DONE;
}

/* What a decoder fills, and the set of keys seen. */
struct decoding {
	struct signer_request *request;
	struct signer_answer *answer;
	unsigned seen;
};

static outcome get_fixed(struct cbor_reader *v, uint8_t *out, size_t n, struct fault *f)
{
	struct cbor_item item;
	outcome got = cbor_expect(v, CBOR_BSTR, &item, f);
	if (!got.ok)
		return got;
	if (item.bytes.n != n)
		return refuse(f, REASON_SIGNER_PROTOCOL, "%zu bytes where %zu belong", item.bytes.n, n);
	memcpy(out, item.bytes.p, n);
	return DONE;
}

static outcome get_text(struct cbor_reader *v, char *out, size_t room, struct fault *f)
{
	struct cbor_item item;
	outcome got = cbor_expect(v, CBOR_TSTR, &item, f);
	if (!got.ok)
		return got;
	if (item.bytes.n >= room || memchr(item.bytes.p, 0, item.bytes.n))
		return refuse(f, REASON_SIGNER_PROTOCOL, "a text is longer than %zu bytes or holds a NUL",
			      room - 1);
	memcpy(out, item.bytes.p, item.bytes.n);
	out[item.bytes.n] = '\0';
	return DONE;
}

static outcome get_view(struct cbor_reader *v, enum cbor_type type, struct bytes *out, struct fault *f)
{
	struct cbor_item item;
	outcome got = cbor_expect(v, type, &item, f);
	if (!got.ok)
		return got;
	if (item.bytes.n == 0)
		return refuse(f, REASON_SIGNER_PROTOCOL, "an empty string where contents belong");
	*out = item.bytes;
	return DONE;
}

static outcome get_uint(struct cbor_reader *v, int64_t *out, struct fault *f)
{
	outcome got = cbor_int(v, out, f);
	return got.ok && *out < 0 ? refuse(f, REASON_SIGNER_PROTOCOL, "a negative number") : got;
}

static outcome get_version(struct cbor_reader *v, struct fault *f)
{
	int64_t version;
	outcome got = get_uint(v, &version, f);
	return got.ok && version != VERSION ? refuse(f, REASON_SIGNER_PROTOCOL, "version %lld, not %d",
						     (long long)version, VERSION)
					    : got;
}

/* One of `count` names, from index 1. */
static outcome get_name(struct cbor_reader *v, const char *const *names, size_t count, unsigned *out,
			struct fault *f)
{
	char text[16];
	outcome got = get_text(v, text, sizeof text, f);
	if (!got.ok)
		return got;
	for (unsigned i = 1; i < count; i++)
		if (!strcmp(text, names[i])) {
			*out = i;
			return DONE;
		}
	return refuse(f, REASON_SIGNER_PROTOCOL, "an unknown operation or status");
}

static outcome request_value(struct signer_request *r, int64_t key, struct cbor_reader *v, struct fault *f)
{
	unsigned op;
	outcome got;
	switch (key) {
	case KEY_VERSION:
		return get_version(v, f);
	case KEY_OP:
		got = get_name(v, op_names, sizeof op_names / sizeof *op_names, &op, f);
		if (got.ok)
			r->op = (enum signer_op)op;
		return got;
	case KEY_INTENT:
		return get_fixed(v, r->intent, sizeof r->intent, f);
	case KEY_PROFILE:
		return get_text(v, r->profile, sizeof r->profile, f);
	case KEY_SERIAL:
		return get_fixed(v, r->serial, sizeof r->serial, f);
	case KEY_NOT_BEFORE:
		return get_uint(v, &r->not_before, f);
	case KEY_NOT_AFTER:
		return get_uint(v, &r->not_after, f);
	case KEY_CSR:
		return get_view(v, CBOR_BSTR, &r->csr, f);
	case KEY_EAR:
		return get_view(v, CBOR_TSTR, &r->ear, f);
	case KEY_NONCE:
		return get_fixed(v, r->nonce, sizeof r->nonce, f);
	default:
		return get_text(v, r->audience, sizeof r->audience, f);
	}
}

static outcome answer_value(struct signer_answer *a, int64_t key, struct cbor_reader *v, struct fault *f)
{
	unsigned status;
	char code[64];
	outcome got;
	switch (key) {
	case ANSWER_VERSION:
		return get_version(v, f);
	case ANSWER_STATUS:
		got = get_name(v, status_names, sizeof status_names / sizeof *status_names, &status, f);
		if (got.ok)
			a->status = (enum signer_status)status;
		return got;
	case ANSWER_INTENT:
		return get_fixed(v, a->intent, sizeof a->intent, f);
	case ANSWER_CERTIFICATE:
		return get_view(v, CBOR_BSTR, &a->certificate, f);
	case ANSWER_REASON:
		got = get_text(v, code, sizeof code, f);
		a->refusal.reason = got.ok ? reason_find(code) : REASON_NONE;
		return got.ok && a->refusal.reason == REASON_NONE
			       ? refuse(f, REASON_SIGNER_PROTOCOL, "a refusal with an unknown reason code")
			       : got;
	default:
		return get_text(v, a->refusal.text, sizeof a->refusal.text, f);
	}
}

static outcome take_field(void *arg, struct cbor_label label, struct cbor_reader *value, struct fault *f)
{
	struct decoding *d = arg;
	int64_t keys = d->request ? REQUEST_KEYS : ANSWER_KEYS;
	if (label.text.p || label.number < 0 || label.number >= keys)
		return refuse(f, REASON_SIGNER_PROTOCOL, "an unknown key");
	d->seen |= BIT(label.number);
	return d->request ? request_value(d->request, label.number, value, f)
			  : answer_value(d->answer, label.number, value, f);
}

static outcome decode(struct bytes message, struct decoding *d, struct fault *f)
{
	struct cbor_reader r = cbor_reader(message);
	outcome read = cbor_map(&r, take_field, d, f);
	return read.ok ? cbor_end(&r, f) : read;
}

outcome signer_request_decode(struct bytes message, struct signer_request *out, struct fault *f)
{
	*out = (struct signer_request){0};
	struct decoding d = {.request = out};
	outcome read = decode(message, &d, f);
	if (!read.ok)
		return read;
	bool fits = out->op == SIGNER_ISSUE ? d.seen == ISSUE_KEYS || d.seen == (ISSUE_KEYS | EAR_KEYS)
					    : d.seen == HEAD_KEYS;
	return fits ? DONE : refuse(f, REASON_SIGNER_PROTOCOL, "the keys %#x do not make a request", d.seen);
}

outcome signer_answer_decode(struct bytes message, struct signer_answer *out, struct fault *f)
{
	*out = (struct signer_answer){0};
	struct decoding d = {.answer = out};
	outcome read = decode(message, &d, f);
	if (!read.ok)
		return read;
	unsigned rest = d.seen & ~ANSWER_HEAD_KEYS;
	bool fits = (d.seen & ANSWER_HEAD_KEYS) == ANSWER_HEAD_KEYS &&
		    (out->status == SIGNER_OK	  ? (rest & ~BIT(ANSWER_CERTIFICATE)) == 0
		     : out->status == SIGNER_NONE ? rest == 0
						  : rest == (BIT(ANSWER_REASON) | BIT(ANSWER_SENTENCE)));
	return fits ? DONE : refuse(f, REASON_SIGNER_PROTOCOL, "the keys %#x do not make an answer", d.seen);
}
