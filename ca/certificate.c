#include "certificate.h"

#include "oid.h"
#include "common/crypto/der.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
	DER_BOOLEAN = 0x01,
	DER_OCTET_STRING = 0x04,
	DER_UTC_TIME = 0x17,
	DER_GENERALIZED_TIME = 0x18,
	CONTEXT_0_PRIMITIVE = 0x80, /* AuthorityKeyIdentifier.keyIdentifier */
	NAME_EMAIL = 0x81,	    /* GeneralName (RFC 5280 4.2.1.6) */
	NAME_DNS = 0x82,
	NAME_URI = 0x86,
	NAME_IP = 0x87,
	PERMITTED = 0xa0, /* NameConstraints */
	EXCLUDED = 0xa1,
	EXTENSIONS = 0xa3,
};

static const uint8_t version_3[] = {DER_CONTEXT_0, 3, DER_INTEGER, 1, 2};
static const uint8_t true_value[] = {0xff};

static void put_oid(struct buf *b, const char *oid)
{
	der_put(b, DER_OID, bytes_str(oid));
}

static void put_attribute(struct buf *b, const char *oid, const char *value)
{
	size_t start = b->n;
	put_oid(b, oid);
	der_put(b, DER_UTF8_STRING, bytes_str(value));
	der_wrap(b, start, DER_SEQUENCE);
	der_wrap(b, start, DER_SET);
}

outcome certificate_name(const char *common_name, const char *organisation, struct buf *out, struct fault *f)
{
	size_t start = out->n;
	if (!*common_name || strlen(common_name) > COMMON_NAME_MAX ||
	    (organisation && strlen(organisation) > COMMON_NAME_MAX))
		return refuse(f, REASON_BAD_FIELD, "RFC 5280 A.1: a name has 1 to %d characters: \"%.80s\"",
			      COMMON_NAME_MAX, common_name);
	if (organisation)
		put_attribute(out, OID_ORGANISATION, organisation);
	put_attribute(out, OID_COMMON_NAME, common_name);
	der_wrap(out, start, DER_SEQUENCE);
	return out->failed ? refuse(f, REASON_NO_MEMORY, "no memory for a name") : DONE;
}

outcome certificate_uri(const char *trust_domain, const char *kind, const char *name, char out[SAN_URI_MAX],
			struct fault *f)
{
	int n = kind ? snprintf(out, SAN_URI_MAX, "spiffe://%s/%s/%s", trust_domain, kind, name)
		     : snprintf(out, SAN_URI_MAX, "spiffe://%s", trust_domain);
	return n > 0 && n < SAN_URI_MAX
		       ? DONE
		       : refuse(f, REASON_BAD_FIELD, "the SPIFFE URI of %.64s is too long", name);
}

/* Contents of the iPAddress name: 4 or 16 bytes, 0 where the text is no address. */
static size_t address(const char *host, uint8_t out[16])
{
	if (inet_pton(AF_INET, host, out) == 1)
		return 4;
	return inet_pton(AF_INET6, host, out) == 1 ? 16 : 0;
}

outcome certificate_check_host(const char *host, struct fault *f)
{
	uint8_t ip[16];
	struct fault ignored;
	const char *name = strncmp(host, "*.", 2) ? host : host + 2;
	if (address(host, ip) || trust_domain_check(name, &ignored).ok)
		return DONE;
	return refuse(f, REASON_BAD_FIELD, "\"%.80s\" is neither a DNS name in lower case nor an IP address",
		      host);
}

void certificate_random_serial(uint8_t out[SERIAL_SIZE])
{
	do {
		crypto_random(out, SERIAL_SIZE);
		out[0] &= 0x7f;
	} while (out[0] == 0);
}

/* X.690 8.3.2: no leading zero bytes but the one that keeps it positive. */
static void put_serial(struct buf *b, const uint8_t serial[SERIAL_SIZE])
{
	uint8_t positive[SERIAL_SIZE + 1] = {0};
	memcpy(positive + 1, serial, SERIAL_SIZE);
	size_t skip = 0;
	while (skip < SERIAL_SIZE && positive[skip] == 0 && positive[skip + 1] < 0x80)
		skip++;
	der_put(b, DER_INTEGER, bytes_of(positive + skip, sizeof positive - skip));
}

/* RFC 5280 4.1.2.5: UTCTime through 2049, GeneralizedTime from 2050. */
static void put_time(struct buf *b, int64_t unix_s)
{
	char text[24];
	time_t t = (time_t)unix_s;
	struct tm tm;
	bool readable = gmtime_r(&t, &tm) && tm.tm_year >= 50 && tm.tm_year <= 9999 - 1900;
	bool short_year = readable && tm.tm_year < 150;
	if (!readable || !strftime(text, sizeof text, "%Y%m%d%H%M%SZ", &tm))
		b->failed = true;
	else
		der_put(b, short_year ? DER_UTC_TIME : DER_GENERALIZED_TIME,
			bytes_str(short_year ? text + 2 : text));
}

static void put_validity(struct buf *b, int64_t not_before, int64_t not_after)
{
	size_t start = b->n;
	put_time(b, not_before);
	put_time(b, not_after);
	der_wrap(b, start, DER_SEQUENCE);
}

/* An extension is begun, its value appended, and ended. */
static size_t extension_begin(struct buf *b, const char *oid, bool critical)
{
	size_t start = b->n;
	put_oid(b, oid);
	if (critical)
		der_put(b, DER_BOOLEAN, bytes_of(true_value, sizeof true_value));
	return start;
}

static void extension_end(struct buf *b, size_t start, size_t value)
{
	der_wrap(b, value, DER_OCTET_STRING);
	der_wrap(b, start, DER_SEQUENCE);
}

static void put_basic_constraints(struct buf *b, const struct profile *p)
{
	size_t start = extension_begin(b, OID_BASIC_CONSTRAINTS, true), value = b->n;
	if (p->path_length != PATH_LENGTH_NONE) {
		uint8_t length = (uint8_t)p->path_length;
		der_put(b, DER_BOOLEAN, bytes_of(true_value, sizeof true_value));
		der_put(b, DER_INTEGER, bytes_of(&length, 1));
	}
	der_wrap(b, value, DER_SEQUENCE);
	extension_end(b, start, value);
}

static void put_key_usage(struct buf *b, const struct profile *p)
{
	size_t start = extension_begin(b, OID_KEY_USAGE, true), value = b->n;
	buf_add(b, p->key_usage, sizeof p->key_usage);
	extension_end(b, start, value);
}

static void put_ext_key_usage(struct buf *b, const struct profile *p)
{
	if (!p->client_auth && !p->server_auth)
		return;
	size_t start = extension_begin(b, OID_EXT_KEY_USAGE, false), value = b->n;
	if (p->server_auth)
		put_oid(b, OID_SERVER_AUTH);
	if (p->client_auth)
		put_oid(b, OID_CLIENT_AUTH);
	der_wrap(b, value, DER_SEQUENCE);
	extension_end(b, start, value);
}

static outcome put_subject_key_id(struct buf *b, struct bytes spki, struct fault *f)
{
	uint8_t id[KEY_ID_SIZE];
	if (!issuer_key_id(spki, id))
		return refuse(f, REASON_CRYPTO,
			      "RFC 5280 4.1.2.7: the key to certify is no SubjectPublicKeyInfo");
	size_t start = extension_begin(b, OID_SUBJECT_KEY_ID, false), value = b->n;
	der_put(b, DER_OCTET_STRING, bytes_of(id, sizeof id));
	extension_end(b, start, value);
	return DONE;
}

static void put_authority_key_id(struct buf *b, const struct issuer *issuer)
{
	size_t start = extension_begin(b, OID_AUTHORITY_KEY_ID, false), value = b->n;
	der_put(b, CONTEXT_0_PRIMITIVE, bytes_of(issuer->key_id, issuer->key_id_size));
	der_wrap(b, value, DER_SEQUENCE);
	extension_end(b, start, value);
}

static void put_subject_alt_name(struct buf *b, const struct plan *p)
{
	size_t start = extension_begin(b, OID_SUBJECT_ALT_NAME, false), value = b->n;
	uint8_t ip[16];
	der_put(b, NAME_URI, bytes_str(p->uri));
	for (size_t i = 0; i < p->host_count; i++) {
		size_t n = address(p->hosts[i], ip);
		der_put(b, n ? NAME_IP : NAME_DNS, n ? bytes_of(ip, n) : bytes_str(p->hosts[i]));
	}
	der_wrap(b, value, DER_SEQUENCE);
	extension_end(b, start, value);
}

static void put_subtree(struct buf *b, uint8_t tag, struct bytes base)
{
	size_t start = b->n;
	der_put(b, tag, base);
	der_wrap(b, start, DER_SEQUENCE);
}

/* RFC 5280 4.2.1.10: URIs of the trust domain's host; no DNS name, no address, no mailbox at all. */
static void put_name_constraints(struct buf *b, const struct plan *p)
{
	static const uint8_t any_ip[32];
	if (!p->profile->constrained)
		return;
	size_t start = extension_begin(b, OID_NAME_CONSTRAINTS, true), value = b->n;
	put_subtree(b, NAME_URI, bytes_str(p->trust_domain));
	der_wrap(b, value, PERMITTED);
	size_t excluded = b->n;
	put_subtree(b, NAME_DNS, bytes_str(""));
	put_subtree(b, NAME_EMAIL, bytes_str(""));
	put_subtree(b, NAME_IP, bytes_of(any_ip, 8));
	put_subtree(b, NAME_IP, bytes_of(any_ip, 32));
	der_wrap(b, excluded, EXCLUDED);
	der_wrap(b, value, DER_SEQUENCE);
	extension_end(b, start, value);
}

static outcome put_extensions(struct buf *b, const struct plan *p, struct fault *f)
{
	size_t start = b->n;
	put_basic_constraints(b, p->profile);
	put_key_usage(b, p->profile);
	put_ext_key_usage(b, p->profile);
	outcome o = put_subject_key_id(b, p->spki, f);
	if (!o.ok)
		return o;
	put_authority_key_id(b, p->issuer);
	put_subject_alt_name(b, p);
	put_name_constraints(b, p);
	der_wrap(b, start, DER_SEQUENCE);
	der_wrap(b, start, EXTENSIONS);
	return DONE;
}

outcome certificate_tbs(const struct plan *p, struct buf *out, struct fault *f)
{
	size_t start = out->n;
	buf_add(out, version_3, sizeof version_3);
	put_serial(out, p->serial);
	buf_bytes(out, p->issuer->algorithm);
	buf_bytes(out, buf_view(&p->issuer->subject));
	put_validity(out, p->not_before, p->not_after);
	buf_bytes(out, p->subject);
	buf_bytes(out, p->spki);
	outcome o = put_extensions(out, p, f);
	der_wrap(out, start, DER_SEQUENCE);
	if (o.ok && out->failed)
		return refuse(f, REASON_SIGNER_LINT,
			      "the certificate cannot be written: a date out of range, or no memory");
	return o;
}

outcome certificate_issue(const struct plan *p, struct issuer *issuer, int64_t now, struct buf *out,
			  struct fault *f)
{
	const struct lint_expect expect = {p->profile, issuer, p->trust_domain, now, 0};
	struct lint_approval *approval = NULL;
	struct buf tbs = {0};
	outcome o = certificate_tbs(p, &tbs, f);
	if (o.ok)
		o = lint_approve(buf_view(&tbs), &expect, &approval, f);
	if (o.ok)
		o = issuer_sign(issuer, approval, out, f);
	lint_approval_free(approval);
	buf_free(&tbs);
	return o;
}
