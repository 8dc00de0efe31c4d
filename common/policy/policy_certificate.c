#include "policy_certificate.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

enum part { SERIAL, SUBJECT, ISSUER, SUBJECT_OTHER, ISSUER_OTHER };

#define NAME(field, nid)                                                                                     \
	{POLICY_CERTIFICATE_PREFIX "Subject." field, SUBJECT, nid},                                          \
	{                                                                                                    \
		POLICY_CERTIFICATE_PREFIX "Issuer." field, ISSUER, nid                                       \
	}
#define OTHER(field, type)                                                                                   \
	{POLICY_CERTIFICATE_PREFIX "Subject.AlternativeName." field, SUBJECT_OTHER, type},                   \
	{                                                                                                    \
		POLICY_CERTIFICATE_PREFIX "Issuer.AlternativeName." field, ISSUER_OTHER, type                \
	}

/* `kind`: a name's NID, or a GeneralName's type (RFC 5280 4.2.1.6). */
static const struct {
	const char *name;
	enum part part;
	int kind;
} fields[POLICY_CERTIFICATE_FIELDS] = {
	{POLICY_CERTIFICATE_PREFIX "SerialNumber", SERIAL, 0},
	NAME("DistinguishedNameQualifier", NID_dnQualifier),
	NAME("Country", NID_countryName),
	NAME("Organization", NID_organizationName),
	NAME("OrganizationalUnit", NID_organizationalUnitName),
	NAME("State", NID_stateOrProvinceName),
	NAME("CommonName", NID_commonName),
	NAME("SerialNumber", NID_serialNumber),
	NAME("Title", NID_title),
	NAME("Surname", NID_surname),
	NAME("GivenName", NID_givenName),
	NAME("Initials", NID_initials),
	NAME("Pseudonym", NID_pseudonym),
	NAME("GenerationQualifier", NID_generationQualifier),
	OTHER("RFC822Name", GEN_EMAIL),
	OTHER("DNSName", GEN_DNS),
	OTHER("DirectoryName", GEN_DIRNAME),
	OTHER("UniformResourceIdentifier", GEN_URI),
	OTHER("IPAddress", GEN_IPADD),
};

const char *policy_certificate_field(uint8_t number)
{
	return fields[number].name;
}

/* ---- collecting ---- */

struct collecting {
	struct policy_certificate *out;
	size_t room;
	bool failed;
};

/* Takes `value` over; NULL is a failed allocation. */
static void collect(struct collecting *c, size_t field, char *value)
{
	struct policy_certificate *out = c->out;
	if (value && out->count == c->room) {
		size_t room = c->room ? 2 * c->room : 8;
		struct policy_attribute *larger = realloc(out->fields, room * sizeof *larger);
		if (larger) {
			out->fields = larger;
			c->room = room;
		}
	}
	if (!value || out->count == c->room) {
		free(value);
		c->failed = true;
		return;
	}
	const char *name = fields[field].name + sizeof POLICY_CERTIFICATE_PREFIX - 1;
	out->fields[out->count++] = (struct policy_attribute){name, value};
}

/* The number of the field; POLICY_CERTIFICATE_FIELDS where a policy cannot name it. */
static size_t field_of(enum part part, int kind)
{
	size_t i = 0;
	while (i < POLICY_CERTIFICATE_FIELDS && (fields[i].part != part || fields[i].kind != kind))
		i++;
	return i;
}

/* ---- names ---- */

/* Appends with backslashes; false where it is no text. */
static bool put_escaped(struct buf *out, const ASN1_STRING *s)
{
	uint8_t *utf8 = NULL;
	int n = ASN1_STRING_to_UTF8(&utf8, s);
	bool good = n > 0 && !memchr(utf8, 0, (size_t)n);
	for (int i = 0; good && i < n; i++) {
		if (memchr(",\"\\+=<>;", utf8[i], 8))
			buf_byte(out, '\\');
		buf_byte(out, utf8[i]);
	}
	OPENSSL_free(utf8);
	return good;
}

static void collect_name(struct collecting *c, enum part part, const X509_NAME *name)
{
	for (int i = 0; i < X509_NAME_entry_count(name); i++) {
		X509_NAME_ENTRY *e = X509_NAME_get_entry(name, i);
		size_t field = field_of(part, OBJ_obj2nid(X509_NAME_ENTRY_get_object(e)));
		struct buf text = {0};
		if (field < POLICY_CERTIFICATE_FIELDS && put_escaped(&text, X509_NAME_ENTRY_get_data(e)))
			collect(c, field, buf_take_str(&text));
		buf_free(&text);
	}
}

static void collect_serial(struct collecting *c, const X509 *cert)
{
	BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(cert), NULL);
	char *decimal = number ? BN_bn2dec(number) : NULL;
	collect(c, field_of(SERIAL, 0), decimal ? strdup(decimal) : NULL);
	OPENSSL_free(decimal);
	BN_free(number);
}

/* ---- alternative names ---- */

static char *plain_text(const ASN1_STRING *s)
{
	size_t n = (size_t)ASN1_STRING_length(s);
	const char *text = (const char *)ASN1_STRING_get0_data(s);
	return n && !memchr(text, 0, n) ? strndup(text, n) : NULL;
}

static char *address_text(const ASN1_OCTET_STRING *s)
{
	char text[INET6_ADDRSTRLEN];
	int n = ASN1_STRING_length(s);
	if ((n != 4 && n != 16) ||
	    !inet_ntop(n == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(s), text, sizeof text))
		return NULL;
	return strdup(text);
}

/* From the last part to the first: "cn=Lamp,ou=Home,c=US". */
static char *directory_text(const X509_NAME *name)
{
	struct buf out = {0};
	bool good = true;
	for (int i = X509_NAME_entry_count(name) - 1; good && i >= 0; i--) {
		X509_NAME_ENTRY *e = X509_NAME_get_entry(name, i);
		const char *type = OBJ_nid2sn(OBJ_obj2nid(X509_NAME_ENTRY_get_object(e)));
		for (; *type; type++)
			buf_byte(&out, (uint8_t)(*type >= 'A' && *type <= 'Z' ? *type + 32 : *type));
		buf_byte(&out, '=');
		good = put_escaped(&out, X509_NAME_ENTRY_get_data(e));
		if (i)
			buf_byte(&out, ',');
	}
	char *text = good && out.n ? buf_take_str(&out) : NULL;
	buf_free(&out);
	return text;
}

static char *general_text(const GENERAL_NAME *g)
{
	switch (g->type) {
	case GEN_EMAIL:
	case GEN_DNS:
	case GEN_URI:
		return plain_text(g->d.ia5);
	case GEN_IPADD:
		return address_text(g->d.iPAddress);
	case GEN_DIRNAME:
		return directory_text(g->d.directoryName);
	default:
		return NULL;
	}
}

static void collect_others(struct collecting *c, enum part part, const X509 *cert, int nid)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, nid, NULL, NULL);
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, i);
		size_t field = field_of(part, g->type);
		char *text = field < POLICY_CERTIFICATE_FIELDS ? general_text(g) : NULL;
		if (text)
			collect(c, field, text);
	}
	GENERAL_NAMES_free(names);
}

outcome policy_certificate_read(const X509 *cert, struct policy_certificate *out, struct fault *f)
{
	*out = (struct policy_certificate){0};
	struct collecting c = {.out = out};
	ERR_set_mark();
	collect_serial(&c, cert);
	collect_name(&c, SUBJECT, X509_get_subject_name(cert));
	collect_name(&c, ISSUER, X509_get_issuer_name(cert));
	collect_others(&c, SUBJECT_OTHER, cert, NID_subject_alt_name);
	collect_others(&c, ISSUER_OTHER, cert, NID_issuer_alt_name);
	ERR_pop_to_mark();
	if (!c.failed)
		return DONE;
	policy_certificate_free(out);
	return refuse(f, REASON_NO_MEMORY, "no memory for a certificate's fields");
}

void policy_certificate_free(struct policy_certificate *c)
{
	for (size_t i = 0; i < c->count; i++)
		free((char *)(uintptr_t)c->fields[i].value);
	free(c->fields);
	*c = (struct policy_certificate){0};
}
