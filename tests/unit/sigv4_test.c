/* Signature Version 4 against requests that AWS's own SDKs signed, and against what must not pass. */
#include "common/admin/sigv4.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>

enum { VECTORS = 16 };

struct vector {
	struct sigv4_header headers[SIGV4_HEADERS_MAX];
	struct sigv4_request request;
	struct sigv4_claim claim;
	char path[512], query[512];
	uint8_t body[1024];
	const char *secret, *canonical, *signature;
};

static json_t *vectors;

static int load_vectors(void **state)
{
	(void)state;
	json_error_t e;
	vectors = json_load_file("tests/vectors/sigv4_vectors.json", 0, &e);
	if (!vectors)
		fprintf(stderr, "tests/vectors/sigv4_vectors.json (run from the top folder): %s\n", e.text);
	return vectors && json_array_size(vectors) == VECTORS ? 0 : -1;
}

static int free_vectors(void **state)
{
	(void)state;
	json_decref(vectors);
	return 0;
}

static const char *text(const json_t *v, const char *key)
{
	const char *s = json_string_value(json_object_get(v, key));
	assert_non_null(s);
	return s;
}

static void read_vector(size_t index, struct vector *v)
{
	const json_t *json = json_array_get(vectors, index), *headers = json_object_get(json, "headers");
	const char *target = text(json, "target"), *body = text(json, "body_b64");
	size_t path = strcspn(target, "?"), n;
	*v = (struct vector){.secret = text(json, "secret"),
			     .canonical = text(json, "canonical_request"),
			     .signature = text(json, "signature")};
	snprintf(v->path, sizeof v->path, "%.*s", (int)path, target);
	snprintf(v->query, sizeof v->query, "%s", target[path] ? target + path + 1 : "");
	assert_true(base64_decode(body, strlen(body), v->body, sizeof v->body, &n));
	for (size_t i = 0; i < json_array_size(headers); i++) {
		const json_t *h = json_array_get(headers, i);
		v->headers[i] = (struct sigv4_header){json_string_value(json_array_get(h, 0)),
						      json_string_value(json_array_get(h, 1))};
	}
	v->request = (struct sigv4_request){.method = text(json, "method"),
					    .raw_path = v->path,
					    .raw_query = v->query,
					    .headers = v->headers,
					    .header_count = json_array_size(headers),
					    .body = bytes_of(v->body, n)};
}

static struct sigv4_header *find(struct vector *v, const char *name)
{
	for (size_t i = 0; i < v->request.header_count; i++)
		if (!strcasecmp(v->headers[i].name, name))
			return &v->headers[i];
	fail_msg("no header %s", name);
	return NULL;
}

static void parse_ok(struct vector *v)
{
	struct fault f = {0};
	if (!sigv4_claim_parse(&v->request, &v->claim, &f).ok)
		fail_msg("%s", f.text);
}

static void expect_parse(struct vector *v, enum reason reason, const char *rule)
{
	struct fault f = {0};
	assert_false(sigv4_claim_parse(&v->request, &v->claim, &f).ok);
	assert_string_equal(reason_code(f.reason), reason_code(reason));
	if (!strstr(f.text, rule))
		fail_msg("\"%s\" does not say \"%s\"", f.text, rule);
}

static void expect_verify(struct vector *v, int64_t now, enum reason reason, const char *rule)
{
	struct fault f = {0};
	assert_false(sigv4_verify(&v->request, &v->claim, v->secret, now, &f).ok);
	assert_string_equal(reason_code(f.reason), reason_code(reason));
	if (!strstr(f.text, rule))
		fail_msg("\"%s\" does not say \"%s\"", f.text, rule);
}

static void test_every_sdk_request_has_the_expected_canonical_form(void **state)
{
	(void)state;
	for (size_t i = 0; i < VECTORS; i++) {
		struct vector v;
		struct buf out = {0};
		read_vector(i, &v);
		parse_ok(&v);
		assert_true(sigv4_canonical_request(&v.request, v.claim.signed_headers, &out, NULL).ok);
		char *canonical = buf_take_str(&out);
		assert_string_equal(canonical, v.canonical);
		free(canonical);
	}
}

static void test_every_sdk_request_verifies(void **state)
{
	(void)state;
	for (size_t i = 0; i < VECTORS; i++) {
		struct vector v;
		struct fault f = {0};
		read_vector(i, &v);
		parse_ok(&v);
		assert_string_equal(v.claim.key_id, "AKIDEXAMPLE");
		assert_true(!strcmp(v.claim.service, "iot") || !strcmp(v.claim.service, "execute-api"));
		if (!sigv4_verify(&v.request, &v.claim, v.secret, v.claim.time, &f).ok)
			fail_msg("%zu: %s", i, f.text);
		expect_verify(&v, v.claim.time + 301, REASON_SIGV4_SKEW, "300 are allowed");
		v.secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEX";
		expect_verify(&v, v.claim.time, REASON_SIGV4_MISMATCH, "does not verify");
	}
}

/* The signer gets the headers that the SDK signed, in another order and case. */
static void test_our_signer_makes_the_sdks_signatures(void **state)
{
	(void)state;
	for (size_t i = 0; i < VECTORS; i++) {
		struct vector v;
		struct fault f = {0};
		struct sigv4_header some[SIGV4_HEADERS_MAX];
		char padded[1100];
		size_t n = 0;
		read_vector(i, &v);
		parse_ok(&v);
		snprintf(padded, sizeof padded, ";%s;", v.claim.signed_headers);
		for (size_t h = v.request.header_count; h-- > 0;) {
			char name[80];
			snprintf(name, sizeof name, ";%s;", v.headers[h].name);
			if (strcasestr(padded, name))
				some[n++] = v.headers[h];
		}
		v.request.headers = some;
		v.request.header_count = n;
		struct buf out = {0};
		if (!sigv4_sign(&v.request, v.claim.key_id, v.secret, v.claim.region, v.claim.service, &out,
				&f)
			     .ok)
			fail_msg("%zu: %s", i, f.text);
		char *authorization = buf_take_str(&out);
		assert_string_equal(strrchr(authorization, '=') + 1, v.signature);
		free(authorization);
	}
}

static void test_five_minutes_each_way_are_allowed_and_no_more(void **state)
{
	(void)state;
	struct vector v;
	read_vector(0, &v);
	parse_ok(&v);
	assert_true(sigv4_verify(&v.request, &v.claim, v.secret, v.claim.time + 300, NULL).ok);
	assert_true(sigv4_verify(&v.request, &v.claim, v.secret, v.claim.time - 300, NULL).ok);
	expect_verify(&v, v.claim.time + 301, REASON_SIGV4_SKEW, "signed -301 s from this clock");
	expect_verify(&v, v.claim.time - 301, REASON_SIGV4_SKEW, "signed 301 s from this clock");
}

static void test_tampering_with_any_part_is_a_mismatch(void **state)
{
	(void)state;
	struct vector v;
	read_vector(3, &v); /* PUT /certificates/…?newStatus=REVOKED, by the JS SDK */
	parse_ok(&v);
	strcpy(v.query, "newStatus=ACTIVE");
	expect_verify(&v, v.claim.time, REASON_SIGV4_MISMATCH, "does not verify");
	read_vector(3, &v);
	parse_ok(&v);
	v.path[15] = 'b';
	expect_verify(&v, v.claim.time, REASON_SIGV4_MISMATCH, "does not verify");
	read_vector(3, &v);
	parse_ok(&v);
	v.request.method = "GET";
	expect_verify(&v, v.claim.time, REASON_SIGV4_MISMATCH, "does not verify");
	read_vector(3, &v);
	parse_ok(&v);
	find(&v, "host")->value = "127.0.0.1:18081";
	expect_verify(&v, v.claim.time, REASON_SIGV4_MISMATCH, "does not verify");
	read_vector(3, &v);
	parse_ok(&v);
	v.claim.signature[31] ^= 1;
	expect_verify(&v, v.claim.time, REASON_SIGV4_MISMATCH, "does not verify");
}

static void test_a_path_encoded_otherwise_is_another_path(void **state)
{
	(void)state;
	struct vector v;
	read_vector(1, &v); /* /things/my%3Athing/principals */
	parse_ok(&v);
	strcpy(v.path, "/things/my:thing/principals");
	expect_verify(&v, v.claim.time, REASON_SIGV4_MISMATCH, "does not verify");
}

static void test_another_body_is_refused_with_and_without_its_hash(void **state)
{
	(void)state;
	struct vector v;
	read_vector(0, &v); /* x-amz-content-sha256 signed */
	parse_ok(&v);
	v.request.body = bytes_str("x");
	expect_verify(&v, v.claim.time, REASON_SIGV4_MISMATCH, "is not the hash of the body");
	read_vector(15, &v); /* boto3: none */
	parse_ok(&v);
	v.body[3] ^= 1;
	expect_verify(&v, v.claim.time, REASON_SIGV4_MISMATCH, "does not verify");
}

static void test_unsigned_payload_is_refused(void **state)
{
	(void)state;
	struct vector v;
	read_vector(0, &v);
	find(&v, "x-amz-content-sha256")->value = "UNSIGNED-PAYLOAD";
	expect_parse(&v, REASON_SIGV4_MALFORMED, "the payload must be signed");
	find(&v, "x-amz-content-sha256")->value = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
	expect_parse(&v, REASON_SIGV4_MALFORMED, "the payload must be signed");
}

static void test_what_must_be_signed(void **state)
{
	(void)state;
	struct vector v;
	char changed[600];
	static const char *const cases[][3] = {
		{"SignedHeaders=host;", "SignedHeaders=", "host header is not signed"},
		{";x-amz-date;", ";", "x-amz-date header is not signed"},
		{"x-amz-content-sha256;", "", "x-amz-content-sha256 is there but not signed"},
		{";x-amz-user-agent", "", "x-amz-user-agent is there but not signed"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		read_vector(0, &v);
		struct sigv4_header *h = find(&v, "authorization");
		const char *at = strstr(h->value, cases[i][0]);
		assert_non_null(at);
		snprintf(changed, sizeof changed, "%.*s%s%s", (int)(at - h->value), h->value, cases[i][1],
			 at + strlen(cases[i][0]));
		h->value = changed;
		expect_parse(&v, REASON_SIGV4_MALFORMED, cases[i][2]);
	}
	read_vector(0, &v);
	parse_ok(&v);
	find(&v, "host")->name = "hosd";
	expect_verify(&v, v.claim.time, REASON_SIGV4_MALFORMED, "signed header host is not in the request");
}

static void test_malformed_authorization_is_refused_by_rule(void **state)
{
	(void)state;
	static const char sig[] =
		"Signature=10dd9d5c49fea7851d0f593b476d90d2e4cc8128fba48fa63ba3ab581fba6ba5";
	static const char *const cases[][2] = {
		{"Bearer x", "does not begin with AWS4-HMAC-SHA256"},
		{"AWS4-HMAC-SHA256", "does not begin with AWS4-HMAC-SHA256"},
		{"AWS4-HMAC-SHA256 ", "Credential is not"},
		{"AWS4-HMAC-SHA256 Colour=red", "unknown or repeated field"},
		{"AWS4-HMAC-SHA256 Signature=00, Signature=00", "unknown or repeated field"},
		{"AWS4-HMAC-SHA256 Credential=, Signature=00", "empty or too long"},
		{"AWS4-HMAC-SHA256 Credential=A/20261122/r/iot, SignedHeaders=host, %s", "Credential is not"},
		{"AWS4-HMAC-SHA256 Credential=A/2026112/r/iot/aws4_request, SignedHeaders=host, %s",
		 "Credential is not"},
		{"AWS4-HMAC-SHA256 Credential=A/20261122/r/iot/aws5_request, SignedHeaders=host, %s",
		 "Credential is not"},
		{"AWS4-HMAC-SHA256 Credential=A/20261122/r/iot/aws4_request, SignedHeaders=host, "
		 "Signature=12",
		 "64 hex"},
		{"AWS4-HMAC-SHA256 Credential=A/20261122/r/iot/aws4_request, SignedHeaders=x-amz-date;host, "
		 "%s",
		 "not sorted"},
		{"AWS4-HMAC-SHA256 Credential=A/20261122/r/iot/aws4_request, SignedHeaders=host;host, %s",
		 "not sorted"},
		{"AWS4-HMAC-SHA256 Credential=A/20261122/r/iot/aws4_request, SignedHeaders=host;;x, %s",
		 "not sorted"},
		{"AWS4-HMAC-SHA256 Credential=A/20261122/r/iot/aws4_request, SignedHeaders=Host, %s",
		 "lower case"},
		{"AWS4-HMAC-SHA256 Credential=A/20261123/r/iot/aws4_request, SignedHeaders=host, %s",
		 "day of the scope"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct vector v;
		char value[400];
		const char *at = strstr(cases[i][0], "%s");
		snprintf(value, sizeof value, "%.*s%s", at ? (int)(at - cases[i][0]) : 400, cases[i][0],
			 at ? sig : "");
		read_vector(0, &v);
		find(&v, "authorization")->value = value;
		expect_parse(&v, REASON_SIGV4_MALFORMED, cases[i][1]);
	}
	struct vector v;
	read_vector(0, &v);
	find(&v, "authorization")->name = "x";
	expect_parse(&v, REASON_NO_SIGNATURE, "no Authorization header");
}

static void test_malformed_dates_are_refused(void **state)
{
	(void)state;
	static const char *const bad[] = {"",
					  "20261122T113253",
					  "2026-1122T11325Z",
					  "20261122 113253Z",
					  "20261122T1132 3Z",
					  "20261122T113253z",
					  "20261122T113253ZZ"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct vector v;
		read_vector(0, &v);
		find(&v, "x-amz-date")->value = bad[i];
		expect_parse(&v, REASON_SIGV4_MALFORMED, "x-amz-date is not");
	}
}

static void test_headers_are_trimmed_and_joined(void **state)
{
	(void)state;
	static const struct sigv4_header headers[] = {
		{"Host", "  a:1 "},
		{"X-Amz-Date", "20261122T113253Z"},
		{"x-amz-meta", " b  \t c "},
		{"X-AMZ-META", "d"},
	};
	struct sigv4_request r = {.method = "GET",
				  .raw_path = "",
				  .raw_query = "b=2&&a-=2&a=1&a=%2f&c&b=%20+",
				  .headers = headers,
				  .header_count = 4};
	struct buf out = {0};
	assert_true(sigv4_canonical_request(&r, "host;x-amz-date;x-amz-meta", &out, NULL).ok);
	char *canonical = buf_take_str(&out);
	assert_string_equal(canonical,
			    "GET\n/\na=%2F&a=1&a-=2&b=%20%2B&b=2&c=\nhost:a:1\nx-amz-date:20261122T113253Z\n"
			    "x-amz-meta:b c,d\n\nhost;x-amz-date;x-amz-meta\n"
			    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	free(canonical);
}

/* Golden value computed with Python's hmac and base64. */
static void test_secrets_are_derived_from_the_master(void **state)
{
	(void)state;
	uint8_t master[32];
	char secret[SECRET_SIZE];
	for (size_t i = 0; i < sizeof master; i++)
		master[i] = (uint8_t)i;
	sigv4_derive_secret(bytes_of(master, sizeof master), "MOORABCDEFGH", secret);
	assert_string_equal(secret, "XQa/OAg0tyKJusqKzzEr93BH8EiiVO/3ruegSMOO");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_sdk_request_has_the_expected_canonical_form),
		cmocka_unit_test(test_every_sdk_request_verifies),
		cmocka_unit_test(test_our_signer_makes_the_sdks_signatures),
		cmocka_unit_test(test_five_minutes_each_way_are_allowed_and_no_more),
		cmocka_unit_test(test_tampering_with_any_part_is_a_mismatch),
		cmocka_unit_test(test_a_path_encoded_otherwise_is_another_path),
		cmocka_unit_test(test_another_body_is_refused_with_and_without_its_hash),
		cmocka_unit_test(test_unsigned_payload_is_refused),
		cmocka_unit_test(test_what_must_be_signed),
		cmocka_unit_test(test_malformed_authorization_is_refused_by_rule),
		cmocka_unit_test(test_malformed_dates_are_refused),
		cmocka_unit_test(test_headers_are_trimmed_and_joined),
		cmocka_unit_test(test_secrets_are_derived_from_the_master),
	};
	return cmocka_run_group_tests(tests, load_vectors, free_vectors);
}
