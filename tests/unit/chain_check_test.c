#include "provenance_site.h"

static void test_a_chain_of_each_length_is_accepted_and_its_variant_and_times_are_shown(void **state)
{
	(void)state;
	for (size_t stages = 1; stages <= STAGES_MAX; stages++) {
		struct site s;
		struct chain_shown shown;
		struct fault f = {0};
		site_make(&s, stages);
		accepted(site_check(&s, &shown, &f), &f, "a valid chain");
		assert_ptr_equal(shown.variant, &s.rules.variants[0]);
		assert_int_equal(shown.honest, stages);
		for (size_t i = 0; i < stages; i++)
			assert_int_equal(shown.times[i], s.receipt.at[i].time);
		site_free(&s);
	}
}

/* ---- one thing broken, of the second of three stages unless it says otherwise ---- */

static void other_device(struct site *s)
{
	s->instance_id[5] ^= 1;
}
static void one_statement_of_another_device(struct site *s)
{
	s->statements[1].dev[0] ^= 1;
	site_build(s);
}
static void other_programme(struct site *s)
{
	s->statements[1].programme[0] ^= 1;
	site_build(s);
}
static void wrong_start(struct site *s)
{
	s->statements[0].previous[0] ^= 1;
	struct fault f;
	buf_free(&s->objects[0]);
	s->objects[0] = (struct buf){0};
	accepted(stage_statement_sign(&s->objects[0], &s->statements[0], s->line_keys[0], &f), &f, "start");
	site_chain(s);
}
static void first_signed_again(struct site *s)
{
	struct fault f;
	buf_free(&s->objects[0]);
	s->objects[0] = (struct buf){0};
	accepted(stage_statement_sign(&s->objects[0], &s->statements[0], s->line_keys[0], &f), &f, "again");
	site_chain(s);
}
static void stage_repeated(struct site *s)
{
	s->statements[1].stage = s->statements[0].stage;
	site_build(s);
}
static void line_not_known(struct site *s)
{
	s->line_ids[1][0] ^= 1;
}
static void stage_not_of_line(struct site *s)
{
	s->lines[1].stages[0]++;
}
static void statement_altered(struct site *s)
{
	s->objects[2].p[s->objects[2].n - 1] ^= 1;
	site_chain(s);
}
static void record_has_another_key(struct site *s)
{
	memcpy(s->lines[1].key, s->lines[0].key, P256_POINT_SIZE);
}
static void no_order(struct site *s)
{
	snprintf(s->orders[1].batch, BATCH_SIZE, "other");
}
static void above_quota(struct site *s)
{
	s->orders[1].quota = s->statements[1].seq - 1;
}
static void line_before_not_in_order(struct site *s)
{
	s->orders[1].previous[0][0] ^= 1;
}
static void first_stage_ordered_after_another(struct site *s)
{
	s->orders[0].previous_count = 1;
}
static void later_stage_ordered_as_first(struct site *s)
{
	s->orders[1].previous_count = 0;
}
static void receipt_altered(struct site *s)
{
	s->receipt_object.p[s->receipt_object.n - 1] ^= 1;
	site_chain(s);
}
static void receipt_of_another_register(struct site *s)
{
	s->world.register_key = s->lines[0].key;
}
static void no_register_known(struct site *s)
{
	s->world.register_key = NULL;
}
static void receipt_of_another_programme(struct site *s)
{
	s->receipt.programme[0] ^= 1;
	site_build(s);
}
static void receipt_of_another_statement(struct site *s)
{
	struct fault f;
	s->receipt.statement[0] ^= 1;
	buf_free(&s->receipt_object);
	s->receipt_object = (struct buf){0};
	accepted(receipt_sign(&s->receipt_object, &s->receipt, s->register_key, &f), &f, "a receipt");
	site_chain(s);
}
static void receipt_with_a_time_too_few(struct site *s)
{
	struct fault f;
	s->receipt.count--;
	buf_free(&s->receipt_object);
	s->receipt_object = (struct buf){0};
	accepted(receipt_sign(&s->receipt_object, &s->receipt, s->register_key, &f), &f, "a receipt");
	site_chain(s);
}
static void receipt_with_a_time_too_many(struct site *s)
{
	struct fault f;
	s->receipt.at[3] = s->receipt.at[2];
	s->receipt.at[3].index++;
	s->receipt.count = 4;
	buf_free(&s->receipt_object);
	s->receipt_object = (struct buf){0};
	accepted(receipt_sign(&s->receipt_object, &s->receipt, s->register_key, &f), &f, "a receipt");
	site_chain(s);
}
static void revoked_at_that_time(struct site *s)
{
	s->lines[1].state = LINE_REVOKED;
	s->lines[1].revoked_from = s->receipt.at[1].time;
}
static void without_receipt(struct site *s)
{
	s->receipt.count = 0;
	site_build(s);
}
static void revoked_and_unregistered(struct site *s)
{
	without_receipt(s);
	s->lines[1].state = LINE_REVOKED;
	s->lines[1].revoked_from = PROVENANCE_TIME_MAX;
}
static void nobody_to_ask(struct site *s)
{
	without_receipt(s);
	s->world.registered = NULL;
}
static void times_fall(struct site *s)
{
	without_receipt(s);
	s->registered_at[0] = SITE_T0;
	s->registered_at[1] = SITE_T0 - 1;
	s->registered_at[2] = SITE_T0;
}
static void suspended(struct site *s)
{
	s->lines[1].state = LINE_SUSPENDED;
}
static void line_not_yet_valid(struct site *s)
{
	s->lines[1].not_before = s->receipt.at[1].time + 1;
}
static void line_no_longer_valid(struct site *s)
{
	s->lines[1].not_after = s->receipt.at[1].time - 1;
}
static void before_the_order(struct site *s)
{
	s->orders[1].not_before = s->receipt.at[1].time + 1;
}
static void too_long_after_the_order(struct site *s)
{
	s->orders[1].not_after = s->receipt.at[1].time - 1 - s->orders[1].register_within_s;
}
static void countersigned_by_another(struct site *s)
{
	EVP_PKEY *rot = s->rot;
	s->rot = s->line_keys[0];
	site_countersign(s);
	s->rot = rot;
	site_chain(s);
}
static void nonce_altered(struct site *s)
{
	s->nonce[0] ^= 1;
	site_chain(s);
}
static void left_early(struct site *s)
{
	s->rules.variants[0].count = 4;
	s->rules.variants[0].stages[3] = 77;
}
static void one_more_than_asked(struct site *s)
{
	s->rules.variants[0].count = 2;
}
static void other_stages(struct site *s)
{
	s->rules.variants[0].stages[1]++;
}
static void no_variants(struct site *s)
{
	s->rules.variant_count = 0;
}

static const struct {
	const char *what;
	void (*alter)(struct site *s);
	enum reason reason;
	size_t honest;
} broken[] = {
	{"the chain of another device", other_device, REASON_CHAIN_DEVICE, 0},
	{"a statement of another device", one_statement_of_another_device, REASON_CHAIN_DEVICE, 1},
	{"a statement of another programme", other_programme, REASON_CHAIN_PROGRAMME, 1},
	{"a first statement that names another start", wrong_start, REASON_CHAIN_BROKEN, 0},
	{"a first statement that was signed again", first_signed_again, REASON_CHAIN_BROKEN, 1},
	{"a stage twice", stage_repeated, REASON_CHAIN_BROKEN, 1},
	{"a line nobody knows", line_not_known, REASON_LINE_UNKNOWN, 1},
	{"a stage that the line may not do", stage_not_of_line, REASON_LINE_STAGE, 1},
	{"a statement that was altered", statement_altered, REASON_PROVENANCE_SIGNATURE, 0},
	{"a record with a key of another id", record_has_another_key, REASON_PROVENANCE_SIGNATURE, 1},
	{"no work order", no_order, REASON_ORDER_MISSING, 1},
	{"a number above the quota", above_quota, REASON_ORDER_QUOTA, 1},
	{"a line before that the order does not name", line_before_not_in_order, REASON_ORDER_ROUTE, 1},
	{"a first stage that should follow one", first_stage_ordered_after_another, REASON_ORDER_ROUTE, 0},
	{"a later stage that should be first", later_stage_ordered_as_first, REASON_ORDER_ROUTE, 1},
	{"a receipt that was altered", receipt_altered, REASON_RECEIPT_SIGNATURE, 0},
	{"a receipt of another register", receipt_of_another_register, REASON_RECEIPT_SIGNATURE, 0},
	{"a receipt and no register known", no_register_known, REASON_RECEIPT_SIGNATURE, 0},
	{"a receipt of another programme", receipt_of_another_programme, REASON_RECEIPT_MISMATCH, 0},
	{"a receipt of another statement", receipt_of_another_statement, REASON_RECEIPT_MISMATCH, 0},
	{"a receipt with a time too few", receipt_with_a_time_too_few, REASON_RECEIPT_MISMATCH, 0},
	{"a receipt with a time too many", receipt_with_a_time_too_many, REASON_RECEIPT_MISMATCH, 0},
	{"a line revoked from that time on", revoked_at_that_time, REASON_LINE_REVOKED, 1},
	{"a revoked line and no time", revoked_and_unregistered, REASON_LINE_REVOKED, 0},
	{"no receipt", without_receipt, REASON_CHAIN_UNREGISTERED, 0},
	{"no receipt and nobody to ask", nobody_to_ask, REASON_CHAIN_UNREGISTERED, 0},
	{"times that fall", times_fall, REASON_CHAIN_UNREGISTERED, 1},
	{"a suspended line", suspended, REASON_LINE_SUSPENDED, 1},
	{"a line not valid yet", line_not_yet_valid, REASON_LINE_TIME, 1},
	{"a line not valid any more", line_no_longer_valid, REASON_LINE_TIME, 1},
	{"a time before the order's", before_the_order, REASON_ORDER_TIME, 1},
	{"a time too long after the order's", too_long_after_the_order, REASON_ORDER_TIME, 1},
	{"a countersignature of another key", countersigned_by_another, REASON_COUNTERSIGNATURE, 3},
	{"another nonce", nonce_altered, REASON_COUNTERSIGNATURE, 3},
	{"a chain that ends early", left_early, REASON_CHAIN_DIVERTED, 3},
	{"a stage more than asked for", one_more_than_asked, REASON_CHAIN_STAGES, 3},
	{"other stages", other_stages, REASON_CHAIN_STAGES, 3},
	{"no variants", no_variants, REASON_CHAIN_STAGES, 3},
};

static void test_each_rule_is_kept_and_says_how_far_the_chain_was_honest(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
		struct site s;
		struct chain_shown shown;
		struct fault f = {0};
		site_make(&s, 3);
		broken[i].alter(&s);
		refused_for(site_check(&s, &shown, &f), &f, broken[i].reason, broken[i].what);
		if (shown.honest != broken[i].honest)
			fail_msg("%s: %zu honest, should be %zu", broken[i].what, shown.honest,
				 broken[i].honest);
		assert_null(shown.variant);
		site_free(&s);
	}
}

static void test_what_is_just_within_is_accepted(void **state)
{
	(void)state;
	struct site s;
	struct chain_shown shown;
	struct fault f = {0};
	site_make(&s, 3);
	int64_t t = s.receipt.at[1].time;
	s.orders[1].quota = s.statements[1].seq;
	s.lines[1].not_before = s.lines[1].not_after = t;
	s.orders[1].not_before = t;
	s.orders[1].not_after = t - s.orders[1].register_within_s;
	accepted(site_check(&s, &shown, &f), &f,
		 "at both ends, the last number, registered at the last second");
	site_free(&s);
}

static void test_the_rule_that_comes_first_is_the_reason(void **state)
{
	(void)state;
	struct site s;
	struct chain_shown shown;
	struct fault f = {0};
	/* from the last rule to the first: each new break is named, whatever was broken before */
	site_make(&s, 3);
	static void (*const alter[])(struct site * s) = {left_early,
							 nonce_altered,
							 too_long_after_the_order,
							 line_not_yet_valid,
							 suspended,
							 without_receipt,
							 revoked_and_unregistered,
							 above_quota,
							 stage_not_of_line,
							 line_not_known,
							 stage_repeated,
							 other_programme,
							 one_statement_of_another_device};
	static const enum reason reason[] = {
		REASON_CHAIN_DIVERTED, REASON_COUNTERSIGNATURE,	  REASON_ORDER_TIME,   REASON_LINE_TIME,
		REASON_LINE_SUSPENDED, REASON_CHAIN_UNREGISTERED, REASON_LINE_REVOKED, REASON_ORDER_QUOTA,
		REASON_LINE_STAGE,     REASON_LINE_UNKNOWN,	  REASON_CHAIN_BROKEN, REASON_CHAIN_PROGRAMME,
		REASON_CHAIN_DEVICE};
	for (size_t i = 0; i < sizeof alter / sizeof *alter; i++) {
		alter[i](&s);
		refused_for(site_check(&s, &shown, &f), &f, reason[i], reason_code(reason[i]));
	}
	site_free(&s);
}

static void test_a_receipt_for_the_first_stages_is_completed_by_the_register(void **state)
{
	(void)state;
	struct site s;
	struct chain_shown shown;
	struct fault f = {0};
	site_make(&s, 3);
	s.receipt.count = 2;
	s.registered_at[2] = SITE_T0 + 300;
	site_build(&s);
	accepted(site_check(&s, &shown, &f), &f, "two by receipt, one by the register");
	assert_int_equal(shown.times[1], s.receipt.at[1].time);
	assert_int_equal(shown.times[2], SITE_T0 + 300);
	site_free(&s);
}

static void test_what_a_revoked_line_did_before_is_good(void **state)
{
	(void)state;
	struct site s;
	struct chain_shown shown;
	struct fault f = {0};
	site_make(&s, 3);
	s.lines[1].state = LINE_REVOKED;
	s.lines[1].revoked_from = s.receipt.at[1].time + 1;
	accepted(site_check(&s, &shown, &f), &f, "registered a second before");
	site_free(&s);
}

static void test_the_variant_that_fits_is_shown(void **state)
{
	(void)state;
	struct site s;
	struct chain_shown shown;
	struct fault f = {0};
	site_make(&s, 3);
	s.rules.variants[2] = s.rules.variants[0];
	s.rules.variants[0].count = 4;
	s.rules.variants[0].stages[3] = 77;
	s.rules.variants[1] = (struct chain_variant){.stages = {1}, .count = 1};
	s.rules.variants[2].raises_generation = true;
	s.rules.variant_count = 3;
	accepted(site_check(&s, &shown, &f), &f, "the third variant");
	assert_ptr_equal(shown.variant, &s.rules.variants[2]);
	site_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_chain_of_each_length_is_accepted_and_its_variant_and_times_are_shown),
		cmocka_unit_test(test_each_rule_is_kept_and_says_how_far_the_chain_was_honest),
		cmocka_unit_test(test_what_is_just_within_is_accepted),
		cmocka_unit_test(test_the_rule_that_comes_first_is_the_reason),
		cmocka_unit_test(test_a_receipt_for_the_first_stages_is_completed_by_the_register),
		cmocka_unit_test(test_what_a_revoked_line_did_before_is_good),
		cmocka_unit_test(test_the_variant_that_fits_is_shown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
