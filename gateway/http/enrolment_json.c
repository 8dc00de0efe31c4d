#include "enrolment_json.h"

#include "common/json_read.h"

#include <inttypes.h>
#include <string.h>

static outcome bad_field(struct fault *f, const char *name, const char *rule)
{
	return refuse(f, REASON_BAD_FIELD, "%s: %s", name, rule);
}

/* ---- members of the top object, each with its reader ---- */

typedef outcome reader(const json_t *value, const char *name, struct enrol_request *out, struct fault *f);

/* Base64 text (RFC 4648 4) into a fixed room. */
static outcome read_base64(const json_t *value, const char *name, uint8_t *room, size_t size, size_t *n,
			   struct fault *f)
{
	size_t length = json_string_length(value);
	if (!json_is_string(value))
		return bad_field(f, name, "must be base64 text");
	if (length >= BASE64_SIZE(size))
		return bad_field(f, name, "is too long");
	if (!json_read_base64(value, room, size, n))
		return refuse(f, REASON_BAD_ENCODING, "%s: not base64 of at most %zu bytes (RFC 4648 4)",
			      name, size);
	return DONE;
}

static outcome read_csr(const json_t *value, const char *name, struct enrol_request *out, struct fault *f)
{
	size_t n = 0;
	outcome r = read_base64(value, name, out->csr_room, sizeof out->csr_room, &n, f);
	out->csr = bytes_of(out->csr_room, n);
	return r;
}

static outcome read_evidence(const json_t *value, const char *name, struct enrol_request *out,
			     struct fault *f)
{
	const char *type = json_string_value(json_object_get(value, "type"));
	size_t n = 0;
	if (!json_is_object(value) || json_object_size(value) != 2 || !type)
		return bad_field(f, name, "must be {\"type\", \"value\"}");
	out->type = evidence_type_find(type);
	if (!out->type)
		return refuse(f, REASON_EVIDENCE_TYPE, "evidence.type: \"%.40s\" is not a type of evidence",
			      type);
	outcome r = read_base64(json_object_get(value, "value"), "evidence.value", out->evidence_room,
				sizeof out->evidence_room, &n, f);
	out->evidence = bytes_of(out->evidence_room, n);
	return r;
}

static outcome read_chain(const json_t *value, const char *name, struct enrol_request *out, struct fault *f)
{
	size_t n = 0;
	if (!json_is_string(value))
		return bad_field(f, name, "must be base64url text");
	if (!base64url_decode(json_string_value(value), json_string_length(value), out->chain_room,
			      sizeof out->chain_room, &n) ||
	    n == 0)
		return refuse(f, REASON_BAD_ENCODING, "%s: not base64url of 1 to %zu bytes (RFC 4648 5)",
			      name, sizeof out->chain_room);
	out->chain = bytes_of(out->chain_room, n);
	return DONE;
}

static outcome read_nonce(const json_t *value, const char *name, struct enrol_request *out, struct fault *f)
{
	if (!json_is_string(value))
		return bad_field(f, name, "must be base64url text");
	if (!json_read_base64url(value, out->nonce, NONCE_SIZE))
		return refuse(f, REASON_BAD_ENCODING, "%s: not base64url of %d bytes (RFC 4648 5)", name,
			      NONCE_SIZE);
	return DONE;
}

static outcome read_audience(const json_t *value, const char *name, struct enrol_request *out,
			     struct fault *f)
{
	size_t n = json_string_length(value);
	if (n == 0 || n > ORIGIN_MAX)
		return bad_field(f, name, "must be the gateway's origin");
	memcpy(out->audience, json_string_value(value), n + 1);
	return DONE;
}

static outcome read_mode(const json_t *value, const char *name, struct enrol_request *out, struct fault *f)
{
	(void)out;
	if (!json_is_string(value) || strcmp(json_string_value(value), "C"))
		return bad_field(f, name, "must be \"C\": evidence beside the CSR");
	return DONE;
}

static outcome read_lifetime(const json_t *value, const char *name, struct enrol_request *out,
			     struct fault *f)
{
	if (!json_is_integer(value) || json_integer_value(value) < 1)
		return bad_field(f, name, "must be a number of seconds");
	out->lifetime_s = json_integer_value(value);
	return DONE;
}

static outcome read_renews(const json_t *value, const char *name, struct enrol_request *out, struct fault *f)
{
	const json_t *id = json_object_get(value, "certificateId");
	if (!json_is_object(value) || json_object_size(value) != 2 || !json_is_string(id))
		return bad_field(f, name, "must be {\"certificateId\", \"signature\"}");
	if (!json_read_hex(id, out->renews_fingerprint, FINGERPRINT_SIZE))
		return refuse(f, REASON_BAD_ENCODING, "renews.certificateId: not the hexadecimal of %d bytes",
			      FINGERPRINT_SIZE);
	out->renews = true;
	return read_base64(json_object_get(value, "signature"), "renews.signature", out->renews_signature,
			   sizeof out->renews_signature, &out->renews_signature_size, f);
}

enum need { REQUIRED, OPTIONAL, RENEWAL };

static const struct member {
	const char *name;
	enum need need;
	reader *read;
} members[] = {
	{"csr", REQUIRED, read_csr},	  {"evidence", REQUIRED, read_evidence},
	{"nonce", REQUIRED, read_nonce},  {"audience", REQUIRED, read_audience},
	{"mode", REQUIRED, read_mode},	  {"lifetime_s", OPTIONAL, read_lifetime},
	{"renews", RENEWAL, read_renews}, {"chain", OPTIONAL, read_chain},
};

enum { MEMBER_COUNT = sizeof members / sizeof *members };

static bool is_member(const char *name, bool renewal)
{
	for (size_t i = 0; i < MEMBER_COUNT; i++)
		if (!strcmp(members[i].name, name))
			return renewal || members[i].need != RENEWAL;
	return false;
}

static outcome check_names(json_t *top, bool renewal, struct fault *f)
{
	const char *name;
	json_t *value;
	json_object_foreach(top, name, value)
		if (!is_member(name, renewal))
			return refuse(f, REASON_BAD_FIELD, "\"%.40s\": there is no such member", name);
	return DONE;
}

static outcome read_members(const json_t *top, bool renewal, struct enrol_request *out, struct fault *f)
{
	for (size_t i = 0; i < MEMBER_COUNT; i++) {
		const struct member *m = &members[i];
		const json_t *value = json_object_get(top, m->name);
		if (!value && (m->need == REQUIRED || (m->need == RENEWAL && renewal)))
			return bad_field(f, m->name, "is missing");
		outcome r = value ? m->read(value, m->name, out, f) : DONE;
		if (!r.ok)
			return r;
	}
	return DONE;
}

outcome enrolment_json_parse(struct bytes body, bool renewal, struct enrol_request *out, struct fault *f)
{
	json_t *top;
	outcome r = json_read_object(body, "the body", &top, f);
	if (r.ok)
		r = check_names(top, renewal, f);
	if (r.ok)
		r = read_members(top, renewal, out, f);
	json_decref(top);
	return r;
}

/* PEM is printable ASCII and line ends: nothing else needs escaping. */
static void add_pem(struct buf *out, struct bytes pem)
{
	const char *p = (const char *)pem.p, *end = p + pem.n;
	while (p < end) {
		const char *line_end = memchr(p, '\n', (size_t)(end - p));
		size_t n = (size_t)((line_end ? line_end : end) - p);
		buf_add(out, p, n && p[n - 1] == '\r' ? n - 1 : n);
		if (line_end)
			buf_str(out, "\\n");
		p += n + 1;
	}
}

bool enrolment_json_answer(const struct enrol *e, struct buf *out)
{
	char id[HEX_SIZE(FINGERPRINT_SIZE)];
	hex_encode(bytes_of(e->respond.fingerprint, FINGERPRINT_SIZE), id);
	buf_printf(out, "{\"thing\":\"%s\",\"certificateId\":\"%s\",\"certificatePem\":\"",
		   e->issue.terms.thing, id);
	add_pem(out, buf_view(&e->respond.pem));
	buf_str(out, "\",\"chainPem\":\"");
	add_pem(out, gateway_chain_of(&e->gateway->keys, buf_view(&e->issue.certificate)));
	buf_printf(out, "\",\"notBefore\":%" PRId64 ",\"notAfter\":%" PRId64 ",\"requestId\":\"%s\"}\n",
		   e->issue.intent.not_before, e->issue.intent.not_after, e->id);
	return !out->failed;
}
