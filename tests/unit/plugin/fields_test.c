#include "plugin/fields.h"

#include "broker_stub.h"

#include <openssl/err.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { MANY = 1000 };

static struct fault f;
static struct retire retire;

static X509 *certificate(unsigned n)
{
	char name[16];
	X509 *cert = X509_new();
	snprintf(name, sizeof name, "lamp-%u", n);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), (long)n);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC, (const uint8_t *)name, -1,
				   -1, 0);
	return cert;
}

static const uint8_t *fingerprint(unsigned n)
{
	static uint8_t fp[SHA256_SIZE];
	memset(fp, 0, sizeof fp);
	memcpy(fp, &n, sizeof n);
	return fp;
}

static const char *common_name(struct fields *fields, unsigned n, const struct mosquitto *client)
{
	const struct policy_certificate *c = fields_of(fields, fingerprint(n), client);
	for (size_t i = 0; c && i < c->count; i++)
		if (!strcmp(c->fields[i].name, "Subject.CommonName"))
			return c->fields[i].value;
	return NULL;
}

static void test_fields_outlive_the_connection(void **state)
{
	(void)state;
	struct fields *fields = fields_new();
	struct mosquitto offline = {0};
	char name[16];
	assert_null(common_name(fields, 0, &offline));
	for (unsigned n = 0; n < MANY; n++) {
		struct mosquitto client = {.cert = certificate(n)};
		assert_non_null(common_name(fields, n, &client));
		X509_free(client.cert);
	}
	for (unsigned n = 0; n < MANY; n++) {
		snprintf(name, sizeof name, "lamp-%u", n);
		assert_string_equal(common_name(fields, n, &offline), name);
	}
	assert_null(common_name(fields, MANY, &offline));
	assert_int_equal(ERR_peek_error(), 0);
	fields_free(fields);
}

static void put(struct table *t, unsigned n, enum feed_state state, int64_t not_after)
{
	struct feed_record r = {.type = FEED_CERTIFICATE,
				.fingerprint = {fingerprint(n), SHA256_SIZE},
				.state = state,
				.not_after = not_after,
				.name = bytes_str("thing"),
				.policy = bytes_str("p")};
	assert_true(table_put(t, &r, &f, &f).ok);
}

/* A third is active, a third is revoked, a third has ended, and the first ten were never registered. */
static void test_what_is_no_longer_active_is_forgotten(void **state)
{
	(void)state;
	struct fields *fields = fields_new();
	struct table *t = table_new(&retire);
	struct mosquitto offline = {0};
	for (unsigned n = 0; n < MANY; n++) {
		struct mosquitto client = {.cert = certificate(n)};
		if (n >= 10)
			put(t, n, n % 3 == 1 ? FEED_REVOKED : FEED_ACTIVE, n % 3 == 2 ? 99 : 100);
		fields_of(fields, fingerprint(n), &client);
		X509_free(client.cert);
	}
	fields_sweep(fields, NULL, 100);
	for (unsigned n = 0; n < MANY; n++)
		assert_non_null(common_name(fields, n, &offline));
	/* The second time they have not doubled yet, and nothing is looked at. */
	for (int64_t now = 100; now <= 101; now++) {
		fields_sweep(fields, t, now);
		for (unsigned n = 0; n < MANY; n++)
			assert_true((common_name(fields, n, &offline) != NULL) == (n >= 10 && n % 3 == 0));
	}
	fields_free(fields);
	table_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields_outlive_the_connection),
		cmocka_unit_test(test_what_is_no_longer_active_is_forgotten),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
