/* What the signer knows by heart. */
#include "ca_fixture.h"

#include "ca/ledger.h"

static struct journal_record record_of(uint32_t number)
{
	struct journal_record r = {.kind = number % 7 ? JOURNAL_CERTIFICATE : JOURNAL_VOID,
				   .attested = number % 7 && number % 3};
	memcpy(r.intent, &number, sizeof number);
	if (r.kind == JOURNAL_CERTIFICATE)
		memcpy(r.serial + 8, &number, sizeof number);
	if (r.attested)
		memcpy(r.binding + 4, &number, sizeof number);
	return r;
}

static void add(struct ledger *l, uint32_t number)
{
	struct journal_record r = record_of(number);
	struct fault f = {0};
	done(ledger_add(l, &r, (uint64_t)number * 1000, &f), &f);
}

static void must_know(const struct ledger *l, uint32_t number, bool known)
{
	struct journal_record r = record_of(number);
	const struct ledger_entry *e = ledger_by_intent(l, r.intent);
	assert_true((e != NULL) == known);
	assert_true(!e || (e->offset == (uint64_t)number * 1000 && e->is_void == (r.kind == JOURNAL_VOID)));
	if (r.kind == JOURNAL_CERTIFICATE)
		assert_ptr_equal(ledger_by_serial(l, r.serial), e);
	if (r.attested)
		assert_ptr_equal(ledger_by_binding(l, r.binding), e);
}

static void test_every_entry_is_found_by_each_of_its_keys(void **state)
{
	(void)state;
	enum { COUNT = 50000 };
	struct ledger *l = ledger_new();
	for (uint32_t i = 1; i <= COUNT; i++)
		add(l, i);
	for (uint32_t i = 1; i <= COUNT; i++)
		must_know(l, i, true);
	for (uint32_t i = COUNT + 1; i < 2 * COUNT; i++)
		must_know(l, i, false);
	ledger_free(l);
}

/* A void intent has no serial and a certificate without evidence no binding: their zeros must not be found. */
static void test_what_an_entry_does_not_have_is_not_found(void **state)
{
	(void)state;
	const uint8_t zeros[BINDING_SIZE] = {0};
	struct ledger *l = ledger_new();
	add(l, 7);
	add(l, 3);
	assert_null(ledger_by_serial(l, zeros));
	assert_null(ledger_by_binding(l, zeros));
	ledger_free(l);
}

static void test_the_last_entries_can_be_forgotten_also_across_growth(void **state)
{
	(void)state;
	struct ledger *l = ledger_new();
	for (uint32_t i = 1; i <= 400; i++)
		add(l, i);
	for (uint32_t i = 401; i <= 3000; i++)
		add(l, i);
	ledger_drop_last(l, 2600);
	for (uint32_t i = 1; i <= 3000; i++)
		must_know(l, i, i <= 400);
	for (uint32_t i = 401; i <= 800; i++)
		add(l, i);
	for (uint32_t i = 1; i <= 900; i++)
		must_know(l, i, i <= 800);
	ledger_drop_last(l, 5000);
	must_know(l, 1, false);
	ledger_free(l);
}

static void test_no_key_is_there_twice(void **state)
{
	(void)state;
	struct ledger *l = ledger_new();
	struct fault f = {0};
	add(l, 1);
	for (int key = 0; key < 3; key++) {
		struct journal_record r = record_of(2);
		const struct journal_record first = record_of(1);
		if (key == 0)
			memcpy(r.intent, first.intent, sizeof r.intent);
		else if (key == 1)
			memcpy(r.serial, first.serial, sizeof r.serial);
		else
			memcpy(r.binding, first.binding, sizeof r.binding);
		refused(ledger_add(l, &r, 2000, &f), &f, REASON_CONFLICT, "twice");
		must_know(l, 1, true);
		must_know(l, 2, false);
	}
	add(l, 2);
	must_know(l, 2, true);
	ledger_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_entry_is_found_by_each_of_its_keys),
		cmocka_unit_test(test_no_key_is_there_twice),
		cmocka_unit_test(test_what_an_entry_does_not_have_is_not_found),
		cmocka_unit_test(test_the_last_entries_can_be_forgotten_also_across_growth),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
