/* The certificate of the guide's own example, field by field, and what is no text. */
#include "common/policy/policy_certificate.h"
#include "policies.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

struct part {
	int nid;
	const char *value;
	int n;
};

static X509_NAME *name_of(const struct part *parts, size_t count)
{
	X509_NAME *name = X509_NAME_new();
	for (size_t i = 0; i < count; i++)
		assert_true(X509_NAME_add_entry_by_NID(name, parts[i].nid, MBSTRING_UTF8,
						       (const unsigned char *)parts[i].value,
						       parts[i].n ? parts[i].n : -1, -1, 0));
	return name;
}

static void add_other(GENERAL_NAMES *names, int type, const char *value, size_t n)
{
	GENERAL_NAME *g = GENERAL_NAME_new();
	ASN1_STRING *s = type == GEN_IPADD ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();
	ASN1_STRING_set(s, value, (int)n);
	GENERAL_NAME_set0_value(g, type, s);
	sk_GENERAL_NAME_push(names, g);
}

static void add_directory(GENERAL_NAMES *names, const struct part *parts, size_t count)
{
	GENERAL_NAME *g = GENERAL_NAME_new();
	GENERAL_NAME_set0_value(g, GEN_DIRNAME, name_of(parts, count));
	sk_GENERAL_NAME_push(names, g);
}

static X509 *certificate(const struct part *subject, size_t n, GENERAL_NAMES *san, GENERAL_NAMES *ian)
{
	static const struct part issuer[] = {{NID_countryName, "US", 0},
					     {NID_organizationName, "IoT Devices", 0},
					     {NID_commonName, "IoT Devices Primary CA", 0}};
	X509 *cert = X509_new();
	X509_NAME *s = name_of(subject, n), *i = name_of(issuer, 3);
	BIGNUM *serial = NULL;
	X509_set_version(cert, 2);
	BN_hex2bn(&serial, "921285cbb7a5e086");
	BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(cert));
	X509_set_subject_name(cert, s);
	X509_set_issuer_name(cert, i);
	if (san)
		assert_true(X509_add1_ext_i2d(cert, NID_subject_alt_name, san, 0, 0));
	if (ian)
		assert_true(X509_add1_ext_i2d(cert, NID_issuer_alt_name, ian, 0, 0));
	GENERAL_NAMES_free(san);
	GENERAL_NAMES_free(ian);
	BN_free(serial);
	X509_NAME_free(s);
	X509_NAME_free(i);
	return cert;
}

/* The number-th value of the field; NULL where there is none. */
static const char *value(const struct policy_certificate *c, const char *name, size_t number)
{
	for (size_t i = 0; i < c->count; i++)
		if (!strcmp(c->fields[i].name, name) && number-- == 0)
			return c->fields[i].value;
	return NULL;
}

static const struct part bulb[] = {
	{NID_countryName, "US", 0},
	{NID_organizationName, "IoT Devices", 0},
	{NID_organizationalUnitName, "LightBulb", 0},
	{NID_stateOrProvinceName, "NY", 0},
	{NID_commonName, "LightBulb Device Cert", 0},
	{NID_givenName, "Bulb", 0},
	{NID_initials, "ZZ", 0},
	{NID_dnQualifier, "Bulb001", 0},
	{NID_surname, "Multi Color", 0},
	{NID_title, "RGB", 0},
	{NID_pseudonym, "RGB Device", 0},
	{NID_generationQualifier, "4", 0},
	{NID_serialNumber, "123", 0},
	{NID_localityName, "Seattle", 0}, /* no policy can name it */
};

static GENERAL_NAMES *others_of(const char *dns)
{
	static const struct part directory[] = {{NID_countryName, "US", 0},
						{NID_organizationName, "IoT", 0},
						{NID_organizationalUnitName, "Smart, Home", 0},
						{NID_commonName, "LightBulbCert", 0}};
	GENERAL_NAMES *names = GENERAL_NAMES_new();
	add_other(names, GEN_DNS, dns, strlen(dns));
	add_other(names, GEN_IPADD, "\x01\x02\x03\x04", 4);
	add_other(names, GEN_IPADD, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1", 16);
	add_other(names, GEN_IPADD, "\x01\x02\x03", 3);
	add_other(names, GEN_URI, "urn:a=b", 7);
	add_other(names, GEN_EMAIL, "device1@example.com", 19);
	add_other(names, GEN_EMAIL, "a\0b@example.com", 15);
	add_directory(names, directory, 4);
	return names;
}

static void test_the_fields_are_filled_in_as_the_guide_shows(void **state)
{
	(void)state;
	static const struct {
		const char *name, *value;
	} expected[] = {
		{"SerialNumber", "10525622389124227206"},
		{"Subject.Country", "US"},
		{"Subject.Organization", "IoT Devices"},
		{"Subject.OrganizationalUnit", "LightBulb"},
		{"Subject.State", "NY"},
		{"Subject.CommonName", "LightBulb Device Cert"},
		{"Subject.GivenName", "Bulb"},
		{"Subject.Initials", "ZZ"},
		{"Subject.DistinguishedNameQualifier", "Bulb001"},
		{"Subject.Surname", "Multi Color"},
		{"Subject.Title", "RGB"},
		{"Subject.Pseudonym", "RGB Device"},
		{"Subject.GenerationQualifier", "4"},
		{"Subject.SerialNumber", "123"},
		{"Issuer.Country", "US"},
		{"Issuer.Organization", "IoT Devices"},
		{"Issuer.CommonName", "IoT Devices Primary CA"},
		{"Subject.AlternativeName.DNSName", "example.com"},
		{"Subject.AlternativeName.IPAddress", "1.2.3.4"},
		{"Subject.AlternativeName.UniformResourceIdentifier", "urn:a=b"},
		{"Subject.AlternativeName.RFC822Name", "device1@example.com"},
		{"Subject.AlternativeName.DirectoryName", "cn=LightBulbCert,ou=Smart\\, Home,o=IoT,c=US"},
		{"Issuer.AlternativeName.DNSName", "issuer.com"},
		{"Issuer.AlternativeName.IPAddress", "1.2.3.4"},
	};
	X509 *cert = certificate(bulb, sizeof bulb / sizeof *bulb, others_of("example.com"),
				 others_of("issuer.com"));
	struct policy_certificate c;
	struct fault f;
	assert_true(policy_certificate_read(cert, &c, &f).ok);
	for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
		const char *found = value(&c, expected[i].name, 0);
		if (!found || strcmp(found, expected[i].value))
			fail_msg("%s: %s", expected[i].name, found ? found : "(none)");
	}
	assert_string_equal(value(&c, "Subject.AlternativeName.IPAddress", 1), "2001:db8::1");
	assert_null(value(&c, "Subject.AlternativeName.IPAddress", 2));
	assert_null(value(&c, "Subject.AlternativeName.RFC822Name", 1));
	assert_int_equal(c.count, 13 + 1 + 3 + 2 * 6);
	assert_int_equal(ERR_peek_error(), 0);
	policy_certificate_free(&c);
	X509_free(cert);
}

static void test_special_characters_have_a_backslash(void **state)
{
	(void)state;
	static const struct part subject[] = {{NID_organizationName, "A,B\"C\\D+E=F<G>H;I", 0},
					      {NID_commonName, "a\0b", 3},
					      {NID_commonName, "second", 0}};
	X509 *cert = certificate(subject, 3, NULL, NULL);
	struct policy_certificate c;
	struct fault f;
	assert_true(policy_certificate_read(cert, &c, &f).ok);
	assert_string_equal(value(&c, "Subject.Organization", 0), "A\\,B\\\"C\\\\D\\+E\\=F\\<G\\>H\\;I");
	assert_string_equal(value(&c, "Subject.CommonName", 0), "second");
	assert_null(value(&c, "Subject.CommonName", 1));
	policy_certificate_free(&c);
	X509_free(cert);
}

static enum policy_decision publish(const char *json, const struct policy_certificate *c, const char *topic)
{
	const struct policy_connection connection = {
		.client_id = "c", .certificate = c->fields, .certificate_count = c->count};
	return ask(json, POLICY_PUBLISH, topic, &connection);
}

static void test_five_values_count_and_none_that_is_too_long(void **state)
{
	(void)state;
	struct policy_attribute values[7];
	char long_value[POLICY_CERTIFICATE_VALUE_MAX + 2];
	const struct policy_certificate c = {values, 7};
	static const char *const texts[] = {"v0", "v1", "v2", "v3", "v4", "v5"};
	memset(long_value, 'x', sizeof long_value);
	long_value[POLICY_CERTIFICATE_VALUE_MAX + 1] = '\0';
	for (size_t i = 0; i < 6; i++)
		values[i] = (struct policy_attribute){"Subject.Title", texts[i]};
	values[6] = (struct policy_attribute){"Subject.State", long_value};
#define FIELD(name) STATEMENT("Allow", "iot:*", ARN "topic/${iot:Certificate.Subject." name "}")
	assert_int_equal(publish(FIELD("Title.4"), &c, "v4"), POLICY_ALLOWED);
	assert_int_equal(publish(FIELD("Title.5"), &c, "v5"), POLICY_IMPLICIT_DENY);
	assert_int_equal(publish(FIELD("State"), &c, long_value), POLICY_IMPLICIT_DENY);
	long_value[POLICY_CERTIFICATE_VALUE_MAX] = '\0';
	assert_int_equal(publish(FIELD("State"), &c, long_value), POLICY_ALLOWED);
}

/* AWS leaves such a value out of patterns. Conditions compare it. */
static void test_a_value_with_a_wildcard_is_not_put_into_patterns(void **state)
{
	(void)state;
	static const char *const values[] = {"a*", "a$", "a+", "?a", "#"};
	for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
		struct policy_attribute field = {"Subject.State", values[i]};
		const struct policy_certificate c = {&field, 1};
		char json[512];
		assert_int_equal(publish(FIELD("State"), &c, values[i]), POLICY_IMPLICIT_DENY);
		snprintf(json, sizeof json,
			 DOCUMENT("{\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"*\",\"Condition\":"
				  "{\"StringEquals\":{\"iot:Certificate.Subject.State\":\"%s\"}}}"),
			 values[i]);
		assert_int_equal(publish(json, &c, "x"), POLICY_ALLOWED);
		field.value = "a-b";
		assert_int_equal(publish(FIELD("State"), &c, "a-b"), POLICY_ALLOWED);
	}
}

static void test_every_field_has_a_name_of_its_own(void **state)
{
	(void)state;
	for (uint8_t i = 0; i < POLICY_CERTIFICATE_FIELDS; i++) {
		assert_int_equal(strncmp(policy_certificate_field(i), "iot:Certificate.", 16), 0);
		for (uint8_t j = 0; j < i; j++)
			assert_string_not_equal(policy_certificate_field(i), policy_certificate_field(j));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_fields_are_filled_in_as_the_guide_shows),
		cmocka_unit_test(test_special_characters_have_a_backslash),
		cmocka_unit_test(test_five_values_count_and_none_that_is_too_long),
		cmocka_unit_test(test_a_value_with_a_wildcard_is_not_put_into_patterns),
		cmocka_unit_test(test_every_field_has_a_name_of_its_own),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
