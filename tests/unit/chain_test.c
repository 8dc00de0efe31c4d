#include "provenance_site.h"

/* ---- size ---- */

static void test_a_chain_of_five_stages_is_at_most_1500_bytes(void **state)
{
	(void)state;
	struct site s;
	site_make(&s, 5);
	print_message("five stages, receipt, COSE countersignature: %zu bytes\n", s.chain.n);
	assert_true(s.chain.n <= 1500);
	site_free(&s);
}

/* As mooring-device's RoT makes one, its nonce the hash that the line wants countersigned. */
static struct buf token_for(const struct site *s, const uint8_t digest[SHA256_SIZE])
{
	static const uint8_t hash[32] = {7}, alg_es256[] = {0xa1, 0x01, 0x26};
	struct buf payload = {0}, token = {0};
	struct fault f;
	struct psa_claims claims = {
		.client_id = 1, .lifecycle = 0x3000, .implementation_id = {9}, .component_count = 2};
	memcpy(claims.nonce, digest, sizeof claims.nonce);
	memcpy(claims.instance_id, s->instance_id, sizeof claims.instance_id);
	for (size_t i = 0; i < claims.component_count; i++)
		claims.components[i] = (struct sw_component){.type = bytes_str("NSPE"),
							     .value = bytes_of(hash, 32),
							     .version = bytes_str("1.2.3"),
							     .signer = bytes_of(hash, 32)};
	evidence_build_psa_payload(&payload, &claims);
	accepted(cose_sign(&token, bytes_of(alg_es256, sizeof alg_es256), buf_view(&payload), s->rot, &f), &f,
		 "a token");
	buf_free(&payload);
	return token;
}

static outcome check_with_token(struct site *s, struct bytes token, struct fault *f)
{
	struct chain_shown shown;
	site_chain(s);
	s->parts.countersignature = token;
	s->chain.n = 0;
	chain_write(&s->chain, &s->parts);
	return site_check(s, &shown, f);
}

static void test_a_token_countersigns_too_and_a_chain_with_one_is_at_most_2000_bytes(void **state)
{
	(void)state;
	struct site s;
	struct fault f;
	uint8_t digest[SHA256_SIZE];
	site_make(&s, 5);
	stage_countersigned(&s.statements[4], s.line_ids[4], s.nonce, digest);
	struct buf token = token_for(&s, digest);
	accepted(check_with_token(&s, buf_view(&token), &f), &f, "a token");
	print_message("five stages, receipt, PSA token: %zu bytes\n", s.chain.n);
	assert_true(s.chain.n <= 2000);
	token.p[token.n - 1] ^= 1;
	refused_for(check_with_token(&s, buf_view(&token), &f), &f, REASON_COUNTERSIGNATURE, "altered");
	token.p[token.n - 1] ^= 1;
	token.n--;
	refused_for(check_with_token(&s, buf_view(&token), &f), &f, REASON_COUNTERSIGNATURE, "cut");
	buf_free(&token);
	digest[0] ^= 1;
	token = token_for(&s, digest);
	refused_for(check_with_token(&s, buf_view(&token), &f), &f, REASON_COUNTERSIGNATURE, "another nonce");
	buf_free(&token);
	site_free(&s);
}

/* ---- shape ---- */

static void test_a_chain_taken_apart_is_written_again_byte_for_byte(void **state)
{
	(void)state;
	for (size_t stages = 1; stages <= STAGES_MAX; stages++) {
		struct site s;
		struct chain_parts parts;
		struct buf again = {0};
		struct fault f;
		site_make(&s, stages);
		accepted(chain_take_apart(buf_view(&s.chain), &parts, &f), &f, "take apart");
		assert_int_equal(parts.count, stages);
		assert_true(bytes_equal(parts.receipt, buf_view(&s.receipt_object)));
		chain_write(&again, &parts);
		assert_true(bytes_equal(buf_view(&again), buf_view(&s.chain)));
		buf_free(&again);
		site_free(&s);
	}
}

static void rot_key_in_the_second(struct site *s)
{
	s->statements[1].has_rot_key = true;
	memcpy(s->statements[1].rot_key, s->statements[0].rot_key, P256_POINT_SIZE);
	site_build(s);
}
static void no_rot_key(struct site *s)
{
	s->statements[0].has_rot_key = false;
	site_build(s);
}
static void no_statement(struct site *s)
{
	s->count = 0;
	site_chain(s);
}
static void written_with(struct site *s, struct bytes countersignature)
{
	s->parts.countersignature = countersignature;
	s->chain.n = 0;
	chain_write(&s->chain, &s->parts);
}
static void countersignature_too_short(struct site *s)
{
	written_with(s, bytes_of(s->countersignature, P256_SIGNATURE_SIZE - 1));
}
static void countersignature_too_long(struct site *s)
{
	static const uint8_t long_one[COUNTERSIGNATURE_MAX + 1];
	written_with(s, bytes_of(long_one, sizeof long_one));
}
static void a_statement_as_receipt(struct site *s)
{
	s->parts.receipt = buf_view(&s->objects[1]);
	s->chain.n = 0;
	chain_write(&s->chain, &s->parts);
}
static void a_receipt_as_statement(struct site *s)
{
	s->parts.statements[1] = buf_view(&s->receipt_object);
	s->chain.n = 0;
	chain_write(&s->chain, &s->parts);
}
static void undefined_for_null(struct site *s)
{
	s->receipt.count = 0;
	site_build(s);
	s->chain.p[s->chain.n - 1] = 0xf7;
}
static void longer_array_head(struct site *s)
{
	struct buf b = {0};
	buf_str(&b, "\x98\x03");
	buf_add(&b, s->chain.p + 1, s->chain.n - 1);
	buf_free(&s->chain);
	s->chain = b;
}
static void larger_than_any(struct site *s)
{
	uint8_t more[CHAIN_MAX] = {0};
	buf_add(&s->chain, more, sizeof more);
}
static void bytes_after(struct site *s)
{
	buf_byte(&s->chain, 0);
}
static void cut(struct site *s)
{
	s->chain.n--;
}
static void nine_statements(struct site *s)
{
	s->chain.p[1] = 0x89;
}
static void longer_nonce(struct site *s)
{
	struct buf b = {0};
	const uint8_t *nonce = memmem(s->chain.p, s->chain.n, s->nonce, sizeof s->nonce);
	assert_non_null(nonce);
	size_t before = (size_t)(nonce - s->chain.p);
	buf_add(&b, s->chain.p, before);
	b.p[before - 1]++;
	buf_byte(&b, 0);
	buf_add(&b, nonce, s->chain.n - before);
	buf_free(&s->chain);
	s->chain = b;
}
static void two_parts(struct site *s)
{
	s->chain.p[0] = 0x82;
}

static void test_a_chain_of_another_shape_is_refused(void **state)
{
	(void)state;
	static const struct {
		const char *what;
		void (*alter)(struct site *s);
		enum reason reason;
	} shapes[] = {
		{"the RoT key in the second statement", rot_key_in_the_second, REASON_CHAIN_MALFORMED},
		{"no RoT key", no_rot_key, REASON_CHAIN_MALFORMED},
		{"no statement", no_statement, REASON_CHAIN_MALFORMED},
		{"a countersignature too short", countersignature_too_short, REASON_CHAIN_MALFORMED},
		{"a countersignature too long", countersignature_too_long, REASON_CHAIN_MALFORMED},
		{"a statement for a receipt", a_statement_as_receipt, REASON_CHAIN_MALFORMED},
		{"a receipt for a statement", a_receipt_as_statement, REASON_CHAIN_MALFORMED},
		{"undefined for null", undefined_for_null, REASON_CBOR_TYPE},
		{"a head longer than it needs", longer_array_head, REASON_CHAIN_MALFORMED},
		{"more than 4096 bytes", larger_than_any, REASON_CHAIN_MALFORMED},
		{"bytes after it", bytes_after, REASON_CBOR_TRAILING},
		{"a byte too few", cut, REASON_CBOR_OVERRUN},
		{"a nonce of 17 bytes", longer_nonce, REASON_CHAIN_MALFORMED},
		{"nine statements", nine_statements, REASON_CHAIN_MALFORMED},
		{"an array of two", two_parts, REASON_CHAIN_MALFORMED},
	};
	for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
		struct site s;
		struct chain c;
		struct fault f = {0};
		site_make(&s, 2);
		shapes[i].alter(&s);
		struct bytes exact = heap_copy(buf_view(&s.chain));
		refused_for(chain_read(exact, &c, &f), &f, shapes[i].reason, shapes[i].what);
		heap_free(exact);
		site_free(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_chain_of_five_stages_is_at_most_1500_bytes),
		cmocka_unit_test(test_a_token_countersigns_too_and_a_chain_with_one_is_at_most_2000_bytes),
		cmocka_unit_test(test_a_chain_taken_apart_is_written_again_byte_for_byte),
		cmocka_unit_test(test_a_chain_of_another_shape_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
