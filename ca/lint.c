#include "lint_internal.h"

#include "oid.h"
#include "common/crypto/der.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	SERIAL_MIN = 8,
	SERIAL_MAX = 20,
	DER_UTC_TIME = 0x17,
	DER_GENERALIZED_TIME = 0x18,
	DER_EXTENSIONS = 0xa3
};

struct lint_approval {
	const struct issuer *issuer;
	bool spent;
	size_t n;
	uint8_t tbs[];
};

outcome lint_refuse(struct fault *f, const char *rule)
{
	return refuse(f, REASON_SIGNER_LINT, "%s", rule);
}

static outcome check_version(struct bytes *in, struct fault *f)
{
	struct der_item wrapped, version;
	if (!der_take(in, DER_CONTEXT_0, &wrapped) || !der_take(&wrapped.contents, DER_INTEGER, &version) ||
	    wrapped.contents.n || version.contents.n != 1 || version.contents.p[0] != 2)
		return lint_refuse(f, "RFC 5280 4.1.2.1: a certificate with extensions is version 3");
	return DONE;
}

/* At least 8 bytes: what a CSPRNG gives is never shorter in practice, and a counter is not random. */
static outcome check_serial(struct bytes *in, struct fault *f)
{
	struct der_item serial;
	if (!der_take(in, DER_INTEGER, &serial) || serial.contents.n < SERIAL_MIN ||
	    serial.contents.n > SERIAL_MAX)
		return lint_refuse(f, "RFC 5280 4.1.2.2: a serial number has 8 (our rule) to 20 bytes");
	const uint8_t *p = serial.contents.p;
	if (p[0] >= 0x80)
		return lint_refuse(f, "RFC 5280 4.1.2.2: a serial number is positive");
	if (p[0] == 0 && p[1] < 0x80)
		return lint_refuse(f, "X.690 8.3.2: a serial number has no leading zero bytes");
	return DONE;
}

static outcome check_algorithm_and_issuer(const struct lint_reading *r, struct bytes *in, struct fault *f)
{
	const struct issuer *issuer = r->expect->issuer;
	struct der_item algorithm, name;
	if (!der_take(in, DER_SEQUENCE, &algorithm) || !bytes_equal(algorithm.whole, issuer->algorithm))
		return lint_refuse(
			f, "RFC 5280 4.1.2.3: the signature algorithm is not that of the issuing key");
	if (!der_take(in, DER_SEQUENCE, &name) || name.contents.n == 0 ||
	    !bytes_equal(name.whole, buf_view(&issuer->subject)))
		return lint_refuse(
			f, "RFC 5280 4.1.2.4: the issuer name is not the issuing certificate's subject");
	return DONE;
}

static bool two_digits(const uint8_t *p, int *out)
{
	*out = (p[0] - '0') * 10 + p[1] - '0';
	return p[0] >= '0' && p[0] <= '9' && p[1] >= '0' && p[1] <= '9';
}

/* RFC 5280 4.1.2.5: YYMMDDHHMMSSZ through 2049, YYYYMMDDHHMMSSZ from 2050; a date that exists. */
static bool read_time(struct bytes *in, int64_t *out)
{
	struct der_item item;
	int field[7]; /* century, year, month, day, hour, minute, second */
	if (!der_next(in, &item) || (item.tag != DER_UTC_TIME && item.tag != DER_GENERALIZED_TIME))
		return false;
	int first = item.tag == DER_UTC_TIME;
	struct bytes text = item.contents;
	if (text.n != (first ? 13u : 15u) || text.p[text.n - 1] != 'Z')
		return false;
	for (int i = first; i < 7; i++)
		if (!two_digits(text.p + 2 * (i - first), &field[i]))
			return false;
	if (first)
		field[0] = field[1] < 50 ? 20 : 19;
	struct tm tm = {.tm_year = field[0] * 100 + field[1] - 1900,
			.tm_mon = field[2] - 1,
			.tm_mday = field[3],
			.tm_hour = field[4],
			.tm_min = field[5],
			.tm_sec = field[6]};
	struct tm normal = tm;
	*out = timegm(&normal);
	return normal.tm_mon == tm.tm_mon && normal.tm_mday == tm.tm_mday && normal.tm_hour == tm.tm_hour &&
	       normal.tm_min == tm.tm_min && normal.tm_sec == tm.tm_sec && (first || normal.tm_year >= 150);
}

static outcome check_validity(const struct lint_reading *r, struct bytes *in, struct fault *f)
{
	const struct lint_expect *e = r->expect;
	struct der_item validity;
	int64_t from, to, longest = e->profile->lifetime_max_s;
	if (e->lifetime_max_s && e->lifetime_max_s < longest)
		longest = e->lifetime_max_s;
	if (!der_take(in, DER_SEQUENCE, &validity) || !read_time(&validity.contents, &from) ||
	    !read_time(&validity.contents, &to) || validity.contents.n)
		return lint_refuse(f, "RFC 5280 4.1.2.5: the dates are not written as they should be");
	if (from > e->now)
		return lint_refuse(f, "RFC 5280 4.1.2.5: notBefore is in the future");
	if (to <= e->now)
		return lint_refuse(f, "RFC 5280 4.1.2.5: notAfter has passed");
	if (to - from > longest + BACKDATE_S)
		return lint_refuse(f, "the validity is longer than the profile and max_lifetime_s allow");
	if (from < e->issuer->not_before || to > e->issuer->not_after)
		return lint_refuse(f, "the validity is not within that of the issuing certificate");
	return DONE;
}

/* One attribute in one RDN: a UTF8String of 1 to 64 characters. */
static bool read_attribute(struct bytes *in, const char *oid, struct bytes *value)
{
	struct der_item rdn, attribute, type, text;
	if (!der_take(in, DER_SET, &rdn) || !der_take(&rdn.contents, DER_SEQUENCE, &attribute) ||
	    rdn.contents.n || !der_take(&attribute.contents, DER_OID, &type) ||
	    !bytes_equal(type.contents, bytes_str(oid)) ||
	    !der_take(&attribute.contents, DER_UTF8_STRING, &text) || attribute.contents.n)
		return false;
	*value = text.contents;
	return text.contents.n >= 1 && text.contents.n <= 64 && !memchr(text.contents.p, 0, text.contents.n);
}

/* CN alone; O and CN for a CA. */
static outcome check_subject(struct lint_reading *r, struct bytes *in, struct fault *f)
{
	struct der_item name;
	struct bytes organisation, cn;
	bool ca = r->expect->profile->path_length != PATH_LENGTH_NONE;
	if (!der_take(in, DER_SEQUENCE, &name) ||
	    (ca && !read_attribute(&name.contents, OID_ORGANISATION, &organisation)) ||
	    !read_attribute(&name.contents, OID_COMMON_NAME, &cn) || name.contents.n)
		return lint_refuse(f,
				   "RFC 5280 4.1.2.6: the subject is not the profile's (CN; a CA: O and CN)");
	memcpy(r->common_name, cn.p, cn.n);
	r->common_name[cn.n] = '\0';
	return DONE;
}

static outcome check_key(struct lint_reading *r, struct bytes *in, struct fault *f)
{
	/* AlgorithmIdentifier with id-ecPublicKey and the named curve (RFC 5480 2.1.1), and the uncompressed
	 * point's size */
	static const struct {
		size_t n;
		const char *identifier;
		size_t point;
	} kinds[] = {
		{21, "\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07",
		 65},
		{18, "\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22", 97},
		{18, "\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x23", 133},
	};
	struct der_item spki, algorithm, bits;
	if (!der_take(in, DER_SEQUENCE, &spki) || !der_take(&spki.contents, DER_SEQUENCE, &algorithm) ||
	    !der_take(&spki.contents, DER_BIT_STRING, &bits) || spki.contents.n ||
	    !der_bits(&bits, &r->key_bits))
		return lint_refuse(f, "RFC 5280 4.1.2.7: the public key is not a SubjectPublicKeyInfo");
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (bytes_equal(algorithm.whole, bytes_of(kinds[i].identifier, kinds[i].n)))
			return r->key_bits.n == kinds[i].point && r->key_bits.p[0] == 4
				       ? DONE
				       : lint_refuse(f, "RFC 5480 2.2: the key is not an uncompressed point "
							"of its curve");
	return lint_refuse(f, "the key is not of P-256, P-384 or P-521");
}

static outcome check_extensions(const struct lint_reading *r, struct bytes *in, struct fault *f)
{
	struct der_item wrapped, list;
	if (!der_take(in, DER_EXTENSIONS, &wrapped) || !der_take(&wrapped.contents, DER_SEQUENCE, &list) ||
	    wrapped.contents.n || in->n)
		return lint_refuse(
			f, "RFC 5280 4.1.2.9: the extensions follow the key, and nothing follows them");
	return lint_extensions(r, list.contents, f);
}

static outcome check(struct bytes tbs, struct lint_reading *r, struct fault *f)
{
	struct der_item whole;
	struct bytes in = tbs;
	if (!der_well_formed(tbs) || !der_take(&in, DER_SEQUENCE, &whole) || in.n)
		return lint_refuse(f, "X.690 10: the to-be-signed certificate is not one DER SEQUENCE");
	in = whole.contents;
	outcome o = check_version(&in, f);
	if (o.ok)
		o = check_serial(&in, f);
	if (o.ok)
		o = check_algorithm_and_issuer(r, &in, f);
	if (o.ok)
		o = check_validity(r, &in, f);
	if (o.ok)
		o = check_subject(r, &in, f);
	if (o.ok)
		o = check_key(r, &in, f);
	return o.ok ? check_extensions(r, &in, f) : o;
}

outcome lint_approve(struct bytes tbs, const struct lint_expect *expect, struct lint_approval **out,
		     struct fault *f)
{
	struct lint_reading r = {.expect = expect};
	outcome o = check(tbs, &r, f);
	if (!o.ok)
		return o;
	struct lint_approval *a = malloc(sizeof *a + tbs.n);
	if (!a)
		return refuse(f, REASON_NO_MEMORY, "no memory for an approval");
	*a = (struct lint_approval){.issuer = expect->issuer, .n = tbs.n};
	memcpy(a->tbs, tbs.p, tbs.n);
	*out = a;
	return DONE;
}

bool lint_approval_spend(struct lint_approval *a, const struct issuer *issuer, struct bytes *tbs)
{
	if (a->spent || a->issuer != issuer)
		return false;
	a->spent = true;
	*tbs = bytes_of(a->tbs, a->n);
	return true;
}

void lint_approval_free(struct lint_approval *a)
{
	free(a);
}
