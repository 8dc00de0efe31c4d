#include "evidence.h"

#include "evidence_internal.h"

#include <string.h>
#include <strings.h>

enum { HEADER_CONTENT_TYPE = 3, HEADER_CWT_CLAIMS = 15, CWT_NONCE = 10, CWT_UEID = 256, UEID_RAND = 1 };

static const char pkcs10_type[] = "application/pkcs10";

static const struct {
	enum evidence_type type;
	const char *name;
	const char *media[6]; /* the first is the one that is sent */
} types[] = {
	{EVIDENCE_PSA_TOKEN,
	 "psa-token",
	 {
		 "application/psa-attestation-token",
		 "application/eat+cwt;eat_profile=\"tag:psacertified.org,2023:psa#tfm\"",
		 "application/eat+cwt;eat_profile=\"tag:psacertified.org,2019:psa#legacy\"",
		 "application/eat-cwt;profile=\"http://arm.com/psa/2.0.0\"",
		 "application/eat-cwt;profile=\"tag:psacertified.org,2023:psa#tfm\"",
		 "application/eat-cwt;profile=\"tag:psacertified.org,2019:psa#legacy\"",
	 }},
	{EVIDENCE_COSE_CSR, "cose-csr", {"application/vnd.mooring.cose-csr+cose"}},
};
enum { TYPE_COUNT = sizeof types / sizeof *types, MEDIA_COUNT = sizeof types->media / sizeof *types->media };

const char *evidence_type_name(enum evidence_type type)
{
	for (size_t i = 0; i < TYPE_COUNT; i++)
		if (types[i].type == type)
			return types[i].name;
	return "unknown";
}

enum evidence_type evidence_type_find(const char *name)
{
	for (size_t i = 0; i < TYPE_COUNT; i++)
		if (!strcmp(types[i].name, name))
			return types[i].type;
	return (enum evidence_type)0;
}

const char *evidence_media_type(enum evidence_type type)
{
	for (size_t i = 0; i < TYPE_COUNT; i++)
		if (types[i].type == type)
			return types[i].media[0];
	return "application/octet-stream";
}

enum evidence_type evidence_type_of_media(const char *media_type)
{
	char text[128];
	size_t n = 0;
	for (; *media_type && n < sizeof text - 1; media_type++)
		if (*media_type != ' ')
			text[n++] = *media_type;
	text[n] = '\0';
	for (size_t i = 0; i < TYPE_COUNT; i++)
		for (size_t j = 0; j < MEDIA_COUNT && types[i].media[j]; j++)
			if (!strcasecmp(types[i].media[j], text))
				return types[i].type;
	return (enum evidence_type)0;
}

outcome evidence_take(struct cbor_reader *value, enum cbor_type type, const char *claim,
		      struct cbor_item *out, struct fault *f)
{
	if (cbor_expect(value, type, out, NULL).ok)
		return DONE;
	return refuse(f, REASON_CLAIM_TYPE, "RFC 9783 4: the %s is of a type that it cannot have", claim);
}

outcome evidence_read_instance(struct cbor_reader *value, uint8_t out[INSTANCE_ID_SIZE], struct fault *f)
{
	struct cbor_item item;
	outcome o = evidence_take(value, CBOR_BSTR, "instance ID", &item, f);
	if (!o.ok)
		return o;
	if (item.bytes.n != INSTANCE_ID_SIZE || item.bytes.p[0] != UEID_RAND)
		return refuse(f, REASON_CLAIM_RANGE,
			      "RFC 9783 4.2.1: the instance ID is not 01 and 32 bytes");
	memcpy(out, item.bytes.p, INSTANCE_ID_SIZE);
	return DONE;
}

/* RFC 9597 and RFC 9052 3.1: what the protected header of a signed request holds. */
struct cwt_header {
	struct evidence *e;
	bool has_instance;
};

static outcome cwt_field(void *arg, struct cbor_label label, struct cbor_reader *value, struct fault *f)
{
	struct cwt_header *h = arg;
	struct cbor_item item;
	if (cbor_label_is(label, CWT_UEID)) {
		h->has_instance = true;
		return evidence_read_instance(value, h->e->instance_id, f);
	}
	if (!cbor_label_is(label, CWT_NONCE))
		return cbor_skip(value, NULL, f);
	outcome o = evidence_take(value, CBOR_BSTR, "nonce", &item, f);
	if (o.ok && item.bytes.n != BINDING_SIZE)
		return refuse(f, REASON_CLAIM_RANGE, "RFC 9711 4.1: a nonce of %zu bytes; the binding has 32",
			      item.bytes.n);
	h->e->nonce = item.bytes;
	return o;
}

static outcome header_field(void *arg, struct cbor_label label, struct cbor_reader *value, struct fault *f)
{
	struct cbor_item item;
	if (cbor_label_is(label, HEADER_CWT_CLAIMS))
		return cbor_map(value, cwt_field, arg, f);
	if (!cbor_label_is(label, HEADER_CONTENT_TYPE))
		return cbor_skip(value, NULL, f);
	if (!cbor_expect(value, CBOR_TSTR, &item, NULL).ok ||
	    !bytes_equal(item.bytes, bytes_str(pkcs10_type)))
		return refuse(f, REASON_COSE_STRUCTURE, "RFC 9052 3.1: the content type is not %s",
			      pkcs10_type);
	return DONE;
}

static outcome read_cose_csr(struct evidence *e, struct fault *f)
{
	struct cwt_header h = {.e = e};
	struct cbor_reader r = cbor_reader(e->cose.protected_header);
	outcome o = cbor_map(&r, header_field, &h, f);
	if (!o.ok)
		return o;
	if (!e->nonce.p)
		return refuse(f, REASON_CLAIM_MISSING,
			      "RFC 9597 2: the protected CWT claims hold no nonce (10)");
	if (!h.has_instance)
		return refuse(f, REASON_CLAIM_MISSING,
			      "RFC 9597 2: the protected CWT claims hold no UEID (256)");
	return DONE;
}

outcome evidence_parse(enum evidence_type type, struct bytes in, struct evidence *out, struct fault *f)
{
	*out = (struct evidence){.type = type};
	if (type != EVIDENCE_PSA_TOKEN && type != EVIDENCE_COSE_CSR)
		return refuse(f, REASON_EVIDENCE_TYPE, "the evidence is of a type that is not known here");
	if (in.n > EVIDENCE_MAX)
		return refuse(f, REASON_EVIDENCE_SIZE, "the evidence is larger than %d bytes", EVIDENCE_MAX);
	outcome o = cose_parse(in, &out->cose, f);
	if (!o.ok)
		return o;
	return type == EVIDENCE_PSA_TOKEN ? evidence_psa_read(out, f) : read_cose_csr(out, f);
}

outcome evidence_check_binding(const struct evidence *e, const uint8_t b[BINDING_SIZE], struct bytes csr,
			       struct fault *f)
{
	if (!bytes_equal_ct(e->nonce, bytes_of(b, BINDING_SIZE)))
		return refuse(
			f, REASON_NONCE_MISMATCH,
			"RFC 9711 4.1: the nonce is not the binding of this request, challenge and audience");
	if (e->type == EVIDENCE_COSE_CSR && !bytes_equal(e->cose.payload, csr))
		return refuse(f, REASON_PAYLOAD_NOT_CSR,
			      "the signed payload is not the certificate request that was sent");
	return DONE;
}

/* TF-M's template provisions this on every device that its maker has not provisioned. */
static bool is_dummy_implementation(const uint8_t id[32])
{
	for (size_t i = 0; i < 32; i++)
		if (id[i] != 0xaa + 0x11 * (i / 8))
			return false;
	return true;
}

static outcome refuse_test_keys(const struct evidence *e, struct bytes rot_spki, struct fault *f)
{
	uint8_t hash[SHA256_SIZE];
	sha256(rot_spki, hash);
	if (evidence_is_test_key(hash))
		return refuse(f, REASON_TEST_KEY,
			      "the device's key is a published test key: anyone can sign with it");
	if (e->type == EVIDENCE_PSA_TOKEN && is_dummy_implementation(e->implementation_id))
		return refuse(f, REASON_TEST_KEY,
			      "the implementation ID is the dummy of an unprovisioned TF-M");
	return DONE;
}

outcome evidence_verify(const struct evidence *e, struct bytes rot_spki, bool allow_test_keys,
			struct fault *f)
{
	EVP_PKEY *rot = ec_key_borrow(rot_spki);
	if (!rot)
		return refuse(f, REASON_COSE_ALG, "the device's key is not on P-256, P-384 or P-521");
	outcome o = allow_test_keys ? DONE : refuse_test_keys(e, rot_spki, f);
	return o.ok ? cose_verify(&e->cose, rot, f) : o;
}

/* TF-M since 2.2 hashes the COSE_Key {1: 2, -1: curve, -2: x, -3: y}. */
static bool hash_cose_key(struct bytes point, uint8_t out[SHA256_SIZE])
{
	struct buf b = {0};
	size_t field = point.n / 2;
	uint64_t curve = field == 32 ? 1 : field == 48 ? 2 : 3; /* RFC 9053 7.1 */
	cbor_put_map(&b, 4);
	cbor_put_int(&b, 1);
	cbor_put_int(&b, 2);
	cbor_put_int(&b, -1);
	cbor_put_uint(&b, curve);
	cbor_put_int(&b, -2);
	cbor_put_bstr(&b, bytes_of(point.p + 1, field));
	cbor_put_int(&b, -3);
	cbor_put_bstr(&b, bytes_of(point.p + 1 + field, field));
	bool ok = !b.failed;
	if (ok)
		sha256(buf_view(&b), out);
	buf_free(&b);
	return ok;
}

bool evidence_instance_id(EVP_PKEY *rot, uint8_t out[INSTANCE_ID_SIZE])
{
	uint8_t spki[SPKI_MAX];
	struct bytes point = ec_spki_point(bytes_of(spki, ec_key_to_spki(rot, spki, sizeof spki)));
	out[0] = UEID_RAND;
	return point.n && hash_cose_key(point, out + 1);
}

bool evidence_instance_id_old(EVP_PKEY *rot, uint8_t out[INSTANCE_ID_SIZE])
{
	uint8_t spki[SPKI_MAX];
	struct bytes point = ec_spki_point(bytes_of(spki, ec_key_to_spki(rot, spki, sizeof spki)));
	out[0] = UEID_RAND;
	if (point.n)
		sha256(point, out + 1);
	return point.n != 0;
}

outcome evidence_check_key_not_rot(const uint8_t instance_id[INSTANCE_ID_SIZE], struct bytes csr_spki,
				   struct fault *f)
{
	uint8_t now[SHA256_SIZE], old[SHA256_SIZE];
	struct bytes point = ec_spki_point(csr_spki);
	if (!point.n || !hash_cose_key(point, now))
		return refuse(f, REASON_CRYPTO, "the key to certify gives no instance ID");
	sha256(point, old);
	if (instance_id[0] == UEID_RAND &&
	    (!memcmp(now, instance_id + 1, sizeof now) || !memcmp(old, instance_id + 1, sizeof old)))
		return refuse(f, REASON_CSR_KEY_IS_ROT,
			      "the key to certify is the root of trust's own: an attestation key signs "
			      "nothing else");
	return DONE;
}

void evidence_build_cose_csr_header(struct buf *protected_header, const uint8_t instance_id[INSTANCE_ID_SIZE],
				    const uint8_t b[BINDING_SIZE])
{
	cbor_put_map(protected_header, 3);
	cbor_put_int(protected_header, 1);
	cbor_put_int(protected_header, COSE_ES256);
	cbor_put_uint(protected_header, HEADER_CONTENT_TYPE);
	cbor_put_tstr(protected_header, pkcs10_type);
	cbor_put_uint(protected_header, HEADER_CWT_CLAIMS);
	cbor_put_map(protected_header, 2);
	cbor_put_uint(protected_header, CWT_NONCE);
	cbor_put_bstr(protected_header, bytes_of(b, BINDING_SIZE));
	cbor_put_uint(protected_header, CWT_UEID);
	cbor_put_bstr(protected_header, bytes_of(instance_id, INSTANCE_ID_SIZE));
}
