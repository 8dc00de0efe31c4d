#include "csr.h"

#include "der.h"
#include "common/evidence/evidence.h"

#include <string.h>

enum { ATTRIBUTES_MAX = 16, COMMON_NAME_MAX = 64 };

/* Contents of the object identifiers that a request may hold. */
struct oid {
	uint8_t n;
	uint8_t p[9];
};

static const struct oid oid_ec_public_key = {7, {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01}};
static const struct oid oid_common_name = {3, {0x55, 0x04, 0x03}};

static const struct {
	struct oid oid;
	int bits;
	size_t point_size;
} curves[] = {
	{{8, {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07}}, 256, 65}, /* RFC 5480 2.1.1.1 */
	{{5, {0x2b, 0x81, 0x04, 0x00, 0x22}}, 384, 97},
	{{5, {0x2b, 0x81, 0x04, 0x00, 0x23}}, 521, 133},
};

static const struct {
	struct oid oid;
	int digest_bits;
} signature_algorithms[] = {
	{{8, {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02}}, 256}, /* RFC 5758 3.2 */
	{{8, {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03}}, 384},
	{{8, {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04}}, 512},
};

static bool oid_is(const struct der_item *item, const struct oid *oid)
{
	return item->tag == DER_OID && bytes_equal(item->contents, bytes_of(oid->p, oid->n));
}

/* The parts of a request, before anything is checked but its encoding. */
struct parts {
	struct bytes attributes;
	struct bytes signature_algorithm;
	struct bytes signature;
};

static outcome refuse_der(struct fault *f, const char *what)
{
	return refuse(f, REASON_CSR_DER, "RFC 2986 4: the request's %s is not as it should be encoded", what);
}

static bool is_string(const struct der_item *item)
{
	if (item->tag == DER_UTF8_STRING)
		return bytes_are_utf8(item->contents);
	return item->tag == DER_PRINTABLE_STRING || item->tag == DER_IA5_STRING ||
	       item->tag == DER_TELETEX_STRING;
}

/* Name ::= SEQUENCE OF SET OF SEQUENCE { type OID, value string }: RFC 5280 4.1.2.4. */
static bool is_name(struct bytes in)
{
	struct der_item set, pair, type, value;
	while (in.n) {
		if (!der_take(&in, DER_SET, &set) || set.contents.n == 0)
			return false;
		while (set.contents.n)
			if (!der_take(&set.contents, DER_SEQUENCE, &pair) ||
			    !der_take_oid(&pair.contents, &type) || !der_next(&pair.contents, &value) ||
			    !is_string(&value) || pair.contents.n)
				return false;
	}
	return true;
}

static outcome read_info(struct csr *c, struct parts *parts, struct bytes in, struct fault *f)
{
	struct der_item item;
	if (!der_take(&in, DER_INTEGER, &item) || item.contents.n != 1 || item.contents.p[0] != 0)
		return refuse_der(f, "version");
	if (!der_take(&in, DER_SEQUENCE, &item) || !is_name(item.contents))
		return refuse_der(f, "subject");
	c->subject = item.whole;
	if (!der_take(&in, DER_SEQUENCE, &item))
		return refuse_der(f, "subjectPKInfo");
	c->spki = item.whole;
	if (!der_take(&in, DER_CONTEXT_0, &item) || in.n || !der_well_formed(item.contents))
		return refuse_der(f, "attributes field");
	parts->attributes = item.contents;
	return DONE;
}

static outcome read_parts(struct csr *c, struct parts *parts, struct fault *f)
{
	struct bytes in = c->der;
	struct der_item item;
	if (!der_take(&in, DER_SEQUENCE, &item))
		return refuse_der(f, "outermost SEQUENCE");
	if (in.n)
		return refuse(f, REASON_CSR_TRAILING, "RFC 2986 4.2: %zu bytes follow the request", in.n);
	in = item.contents;
	if (!der_take(&in, DER_SEQUENCE, &item))
		return refuse_der(f, "CertificationRequestInfo");
	c->tbs = item.whole;
	outcome o = read_info(c, parts, item.contents, f);
	if (!o.ok)
		return o;
	if (!der_take(&in, DER_SEQUENCE, &item))
		return refuse_der(f, "signatureAlgorithm");
	parts->signature_algorithm = item.contents;
	if (!der_next(&in, &item) || in.n || !der_bits(&item, &parts->signature))
		return refuse_der(f, "signature");
	return DONE;
}

/* Attribute ::= SEQUENCE { type OID, values SET OF }, and each type that we know of is SINGLE VALUE. */
static outcome check_attributes(struct bytes in, struct fault *f)
{
	struct bytes types[ATTRIBUTES_MAX];
	for (size_t n = 0; in.n; n++) {
		struct der_item attribute, type, values, value;
		if (n == ATTRIBUTES_MAX)
			return refuse(f, REASON_CSR_ATTRIBUTE, "the request holds more than %d attributes",
				      ATTRIBUTES_MAX);
		if (!der_take(&in, DER_SEQUENCE, &attribute) || !der_take_oid(&attribute.contents, &type) ||
		    !der_take(&attribute.contents, DER_SET, &values) || attribute.contents.n)
			return refuse_der(f, "attribute");
		if (!der_next(&values.contents, &value) || values.contents.n)
			return refuse(f, REASON_CSR_ATTRIBUTE,
				      "RFC 2986 4.1: an attribute without exactly one value");
		for (size_t i = 0; i < n; i++)
			if (bytes_equal(types[i], type.contents))
				return refuse(f, REASON_CSR_ATTRIBUTE,
					      "RFC 2986 4.1: an attribute type is there twice");
		types[n] = type.contents;
	}
	return DONE;
}

/* RFC 5480 2: a named curve of ours and an uncompressed point. */
static outcome read_key(struct csr *c, struct fault *f)
{
	struct bytes in = c->spki, fields, point;
	struct der_item item, algorithm, curve, bits;
	if (!der_take(&in, DER_SEQUENCE, &item))
		return refuse_der(f, "subjectPKInfo");
	in = item.contents;
	if (!der_take(&in, DER_SEQUENCE, &item) || !der_next(&in, &bits) || in.n)
		return refuse_der(f, "subjectPKInfo");
	fields = item.contents;
	if (!der_next(&fields, &algorithm) || !oid_is(&algorithm, &oid_ec_public_key))
		return refuse(f, REASON_CSR_KEY,
			      "the key is no elliptic-curve key: use P-256, P-384 or P-521");
	if (!der_next(&fields, &curve) || fields.n || !der_bits(&bits, &point))
		return refuse(f, REASON_CSR_KEY, "RFC 5480 2.1.1: the key names no curve");
	for (size_t i = 0; i < sizeof curves / sizeof *curves; i++) {
		if (!oid_is(&curve, &curves[i].oid))
			continue;
		if (point.n != curves[i].point_size || point.p[0] != 4)
			return refuse(f, REASON_CSR_KEY_POINT,
				      "RFC 5480 2.2: the key is no uncompressed point of its curve");
		c->key_bits = curves[i].bits;
		return DONE;
	}
	return refuse(f, REASON_CSR_KEY, "the key's curve is not one of P-256, P-384, P-521");
}

/* RFC 5758 3.2: the parameters are absent. */
static outcome read_digest(struct bytes in, int *bits, struct fault *f)
{
	struct der_item item;
	bool read = der_take(&in, DER_OID, &item);
	for (size_t i = 0; read && !in.n && i < sizeof signature_algorithms / sizeof *signature_algorithms;
	     i++) {
		*bits = signature_algorithms[i].digest_bits;
		if (oid_is(&item, &signature_algorithms[i].oid))
			return DONE;
	}
	return refuse(f, REASON_CSR_SIGNATURE_ALG,
		      "the request is not signed with ECDSA and SHA-256, SHA-384 or SHA-512");
}

/* Everything that costs no elliptic-curve operation comes first. */
static outcome parse(bool allow_test_keys, struct csr *c, struct fault *f)
{
	struct parts parts = {0};
	int digest_bits = 0;
	outcome o = read_parts(c, &parts, f);
	if (o.ok)
		o = check_attributes(parts.attributes, f);
	if (o.ok)
		o = read_key(c, f);
	if (o.ok)
		o = read_digest(parts.signature_algorithm, &digest_bits, f);
	if (!o.ok)
		return o;
	sha256(c->spki, c->spki_sha256);
	if (!allow_test_keys && evidence_is_test_key(c->spki_sha256))
		return refuse(f, REASON_CSR_TEST_KEY,
			      "the key to certify is a published test key: anyone can sign with it");
	EVP_PKEY *key = ec_key_borrow(c->spki);
	if (!key)
		return refuse(f, REASON_CSR_KEY_POINT, "SEC 1 3.2.2: the key's point is not on its curve");
	if (!ecdsa_verify_der(key, digest_bits, c->tbs, parts.signature))
		return refuse(f, REASON_CSR_SIGNATURE,
			      "RFC 2986 4.2: the signature does not verify under the request's own key");
	return DONE;
}

outcome csr_parse(struct bytes der, bool allow_test_keys, struct csr *out, struct fault *f)
{
	*out = (struct csr){.der = der};
	if (der.n > CSR_MAX)
		return refuse(f, REASON_CSR_DER, "the request is larger than %d bytes", CSR_MAX);
	outcome o = parse(allow_test_keys, out, f);
	if (!o.ok)
		*out = (struct csr){0};
	return o;
}

static outcome append(struct buf *out, struct buf *what, struct fault *f)
{
	buf_bytes(out, buf_view(what));
	bool failed = out->failed || what->failed;
	buf_free(what);
	return failed ? refuse(f, REASON_NO_MEMORY, "no memory for a certificate request") : DONE;
}

outcome csr_build_info(const char *common_name, struct bytes spki, struct buf *info, struct fault *f)
{
	static const uint8_t version[] = {DER_INTEGER, 1, 0}, no_attributes[] = {DER_CONTEXT_0, 0};
	struct buf name = {0}, b = {0};
	if (strlen(common_name) > COMMON_NAME_MAX)
		return refuse(f, REASON_BAD_FIELD, "RFC 5280 A.1: a common name has at most %d characters",
			      COMMON_NAME_MAX);
	der_put(&name, DER_OID, bytes_of(oid_common_name.p, oid_common_name.n));
	der_put(&name, DER_UTF8_STRING, bytes_str(common_name));
	der_wrap(&name, 0, DER_SEQUENCE);
	der_wrap(&name, 0, DER_SET);
	der_wrap(&name, 0, DER_SEQUENCE);
	buf_add(&b, version, sizeof version);
	buf_bytes(&b, buf_view(&name));
	buf_bytes(&b, spki);
	buf_add(&b, no_attributes, sizeof no_attributes);
	b.failed |= name.failed;
	buf_free(&name);
	der_wrap(&b, 0, DER_SEQUENCE);
	return append(info, &b, f);
}

outcome csr_build(struct bytes info, struct bytes signature_der, struct buf *out, struct fault *f)
{
	struct buf algorithm = {0}, bits = {0}, b = {0};
	der_put(&algorithm, DER_OID, bytes_of(signature_algorithms[0].oid.p, signature_algorithms[0].oid.n));
	der_wrap(&algorithm, 0, DER_SEQUENCE);
	buf_byte(&bits, 0);
	buf_bytes(&bits, signature_der);
	buf_bytes(&b, info);
	buf_bytes(&b, buf_view(&algorithm));
	der_put(&b, DER_BIT_STRING, buf_view(&bits));
	b.failed |= algorithm.failed || bits.failed;
	buf_free(&algorithm);
	buf_free(&bits);
	der_wrap(&b, 0, DER_SEQUENCE);
	return append(out, &b, f);
}
