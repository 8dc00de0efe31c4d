#include "gateway/gateway.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char path[] = "/tmp/gateway-config-XXXXXX";

static const char required[] =
	"socket: /run/gw.sock\nstate_dir: /var/lib/gw\n"
	"root_cert: r\nissuing_cert: i\nservice_cert: s\n"
	"attestation_ca: a\nattestation_cert: c\nattestation_key: k\near_keys: [e]\n"
	"signer_socket: /run/s.sock\nfeed_key: f\nadmin_master: m\nsalt_file: t\ndefault_policy: p\n";
#define DOMAIN "trust_domain: example.com\n"
#define ORIGINS "origins: [https://enrol.example.com]\n"
#define ORIGIN DOMAIN ORIGINS
#define URL ORIGIN "attestation_url: https://attest.example.com\n"

static outcome load(const char *more, struct gateway_config *c, struct fault *f)
{
	FILE *out = fopen(path, "w");
	fprintf(out, "%s%s", required, more);
	fclose(out);
	return gateway_config_load(path, c, f);
}

static void refused(const char *more, const char *says)
{
	struct gateway_config c;
	struct fault f = {0};
	assert_false(load(more, &c, &f).ok);
	if (f.reason != REASON_CONFIG || !strstr(f.text, says))
		fail_msg("%s", f.text);
}

static void test_what_is_not_given_has_its_default(void **state)
{
	(void)state;
	struct gateway_config c;
	struct fault f = {0};
	assert_true(load(URL, &c, &f).ok);
	assert_string_equal(c.edge.region, "mooring-1");
	assert_int_equal(c.certificate_lifetime_s, 31536000);
	assert_int_equal(c.challenge_ttl_s, 300);
	assert_int_equal(c.rate_per_device, 10);
	assert_int_equal(c.supersede_after_s, 86400);
	assert_true(c.quarantine_clones);
	assert_int_equal(c.edge.peer_uids.count, 0);
	gateway_config_free(&c);
}

static void test_what_is_printed_is_a_configuration_again(void **state)
{
	(void)state;
	struct gateway_config c, again;
	struct fault f = {0};
	assert_true(load(URL "peer_uids: [33]\nquarantine_clones: false\n", &c, &f).ok);
	char *text = gateway_config_print(&c);
	FILE *out = fopen(path, "w");
	fputs(text, out);
	fclose(out);
	assert_true(gateway_config_load(path, &again, &f).ok);
	assert_false(again.quarantine_clones);
	assert_string_equal(again.edge.peer_uids.items[0], "33");
	assert_string_equal(again.issuing.origins.items[0], "https://enrol.example.com");
	free(text);
	gateway_config_free(&c);
	gateway_config_free(&again);
}

static void test_wrong_values_are_refused_with_key_and_line(void **state)
{
	(void)state;
	refused(ORIGIN, "attestation_url");
	refused(ORIGIN "attestation_url: http://attest.example.com\n", ":17: attestation_url");
	refused(ORIGIN "attestation_url: https://attest.example.com/\n", "attestation_url");
	refused(URL "challenge_ttl_s: 301\n", "challenge_ttl_s");
	refused(URL "peer_uids: [nginx]\n", "\"nginx\" is not the number of a user");
	refused(URL "log_level: loud\n", "log_level");
	refused(URL "rate_per_device: 0\n", "rate_per_device");
	refused(URL "typo: 1\n", "typo");
	refused(URL "certificate_lifetime_s: 100\ncertificate_lifetime_min_s: 200\n",
		"certificate_lifetime_min_s");
}

static void test_an_origin_is_written_as_devices_send_it(void **state)
{
	(void)state;
	refused(DOMAIN "origins: [https://Enrol.example.com]\nattestation_url: https://a.example\n",
		"origins");
	refused(DOMAIN "origins: [https://enrol.example.com/]\nattestation_url: https://a.example\n",
		"origins");
	refused(DOMAIN "origins: [http://enrol.example.com]\nattestation_url: https://a.example\n",
		"origins");
	refused(DOMAIN "origins: []\nattestation_url: https://a.example\n", "origins");
}

static void test_a_trust_domain_is_a_dns_name_in_lower_case(void **state)
{
	static const char url[] = ORIGINS "attestation_url: https://a.example\ntrust_domain: ";
	static const char *const wrong[] = {"Example.com", "example..com", "spiffe://example.com", "a_b",
					    "\"*.a\""};
	char more[200];
	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		snprintf(more, sizeof more, "%s%s\n", url, wrong[i]);
		refused(more, "trust_domain: trust domain \"");
	}
}

static void test_a_file_that_is_missing_is_named_with_its_key(void **state)
{
	(void)state;
	struct gateway_config c;
	struct gateway_keys k;
	struct fault f = {0};
	assert_true(load(URL, &c, &f).ok);
	free(c.root_cert);
	c.root_cert = strdup("/nonexistent/root.pem");
	assert_false(gateway_keys_load(&c, &k, &f).ok);
	assert_non_null(strstr(f.text, "root_cert: "));
	assert_non_null(strstr(f.text, "/nonexistent/root.pem"));
	gateway_config_free(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_not_given_has_its_default),
		cmocka_unit_test(test_what_is_printed_is_a_configuration_again),
		cmocka_unit_test(test_wrong_values_are_refused_with_key_and_line),
		cmocka_unit_test(test_an_origin_is_written_as_devices_send_it),
		cmocka_unit_test(test_a_trust_domain_is_a_dns_name_in_lower_case),
		cmocka_unit_test(test_a_file_that_is_missing_is_named_with_its_key),
	};
	int fd = mkstemp(path);
	if (fd < 0)
		return 1;
	close(fd);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	return failed;
}
