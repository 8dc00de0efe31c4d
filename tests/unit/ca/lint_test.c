/* Lint against certificates that are wrong in exactly one place, and against every single-bit change of a
 * right one. */
#include "ca_fixture.h"

#include "ca/oid.h"
#include "common/crypto/der.h"

enum { VERSION, SERIAL, ALGORITHM, ISSUER, VALIDITY, SUBJECT, KEY, EXTENSIONS, PARTS };
enum {
	EXT_BASIC,
	EXT_USAGE,
	EXT_PURPOSE,
	EXT_SUBJECT_KEY,
	EXT_AUTHORITY_KEY,
	EXT_NAMES,
	EXTS,
	EXT_APPEND = EXTS
};
enum { NO_EXTENSION = -1, EXTENSIONS_TAG = 0xa3 };

static struct ca ca;

static int setup(void **state)
{
	(void)state;
	make_ca(&ca);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free_ca(&ca);
	return 0;
}

static struct lint_expect expect(void)
{
	return (struct lint_expect){profile_find("device"), &ca.device, DOMAIN, NOW, 0};
}

static outcome lint(struct bytes tbs, const struct lint_expect *e, struct fault *f)
{
	struct lint_approval *approval = NULL;
	outcome o = lint_approve(tbs, e, &approval, f);
	assert_true(o.ok == (approval != NULL));
	lint_approval_free(approval);
	return o;
}

static struct buf good_tbs(void)
{
	struct plan plan = device_plan(&ca);
	struct buf tbs = {0};
	struct fault f = {0};
	done(certificate_tbs(&plan, &tbs, &f), &f);
	return tbs;
}

static void split(struct bytes tbs, struct bytes parts[PARTS], struct bytes exts[EXTS])
{
	struct der_item item, list;
	assert_true(der_take(&tbs, DER_SEQUENCE, &item));
	for (size_t i = 0; i < PARTS; i++) {
		struct der_item part;
		assert_true(der_next(&item.contents, &part));
		parts[i] = part.whole;
	}
	struct bytes in = parts[EXTENSIONS];
	assert_true(der_take(&in, EXTENSIONS_TAG, &item) && der_take(&item.contents, DER_SEQUENCE, &list));
	for (size_t i = 0; i < EXTS; i++) {
		struct der_item ext;
		assert_true(der_next(&list.contents, &ext));
		exts[i] = ext.whole;
	}
	assert_int_equal(list.contents.n, 0);
}

/* The certificate with one part or one extension put in another's place; EXT_APPEND adds one. */
static struct buf with(int part, int ext, struct bytes instead)
{
	struct buf tbs = good_tbs(), out = {0};
	struct bytes parts[PARTS], exts[EXTS];
	split(buf_view(&tbs), parts, exts);
	if (part != EXTENSIONS)
		parts[part] = instead;
	else if (ext >= 0 && ext < EXTS)
		exts[ext] = instead;
	for (int i = 0; i < EXTENSIONS; i++)
		buf_bytes(&out, parts[i]);
	size_t start = out.n;
	for (int i = 0; i < EXTS; i++)
		buf_bytes(&out, exts[i]);
	if (part == EXTENSIONS && ext == EXT_APPEND)
		buf_bytes(&out, instead);
	der_wrap(&out, start, DER_SEQUENCE);
	der_wrap(&out, start, EXTENSIONS_TAG);
	der_wrap(&out, 0, DER_SEQUENCE);
	buf_free(&tbs);
	return out;
}

#define HEX(text) text, sizeof text - 1

static const struct {
	const char *name;
	int part;
	const char *bytes;
	size_t n;
	const char *says;
} wrong[] = {
	{"version 1", VERSION, HEX("\xa0\x03\x02\x01\x00"), "4.1.2.1"},
	{"version absent", VERSION, HEX(""), "4.1.2.1"},
	{"negative serial", SERIAL, HEX("\x02\x08\x80\x01\x01\x01\x01\x01\x01\x01"), "positive"},
	{"serial with leading zeros", SERIAL, HEX("\x02\x09\x00\x01\x01\x01\x01\x01\x01\x01\x01"),
	 "leading zero"},
	{"short serial", SERIAL, HEX("\x02\x07\x01\x01\x01\x01\x01\x01\x01"), "8 (our rule) to 20"},
	{"serial of 21 bytes", SERIAL,
	 HEX("\x02\x15"
	     "aaaaaaaaaaaaaaaaaaaaa"),
	 "8 (our rule) to 20"},
	{"other algorithm", ALGORITHM, HEX("\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03"),
	 "signature algorithm"},
	{"empty issuer", ISSUER, HEX("\x30\x00"), "4.1.2.4"},
	{"other issuer", ISSUER, HEX("\x30\x0c\x31\x0a\x30\x08\x06\x03\x55\x04\x03\x0c\x01x"), "4.1.2.4"},
	{"one date", VALIDITY,
	 HEX("\x30\x0f\x17\x0d"
	     "261122120000Z"),
	 "4.1.2.5"},
	{"no such day", VALIDITY,
	 HEX("\x30\x1e\x17\x0d"
	     "261122120000Z\x17\x0d"
	     "270229120000Z"),
	 "4.1.2.5"},
	{"no Z", VALIDITY,
	 HEX("\x30\x1e\x17\x0d"
	     "261122120000Z\x17\x0d"
	     "270228120000+"),
	 "4.1.2.5"},
	{"GeneralizedTime before 2050", VALIDITY,
	 HEX("\x30\x20\x17\x0d"
	     "261122120000Z\x18\x0f"
	     "20270228120000Z"),
	 "4.1.2.5"},
	{"letters", VALIDITY,
	 HEX("\x30\x1e\x17\x0d"
	     "26112212000aZ\x17\x0d"
	     "270228120000Z"),
	 "4.1.2.5"},
	{"empty subject", SUBJECT, HEX("\x30\x00"), "4.1.2.6"},
	{"printable string", SUBJECT, HEX("\x30\x0c\x31\x0a\x30\x08\x06\x03\x55\x04\x03\x13\x01x"),
	 "4.1.2.6"},
	{"organisation for CN", SUBJECT, HEX("\x30\x0c\x31\x0a\x30\x08\x06\x03\x55\x04\x0a\x0c\x01x"),
	 "4.1.2.6"},
	{"two names", SUBJECT,
	 HEX("\x30\x18\x31\x0a\x30\x08\x06\x03\x55\x04\x03\x0c\x01x\x31\x0a\x30\x08\x06\x03\x55\x04\x03\x0c"
	     "\x01x"),
	 "4.1.2.6"},
	{"another name", SUBJECT, HEX("\x30\x0c\x31\x0a\x30\x08\x06\x03\x55\x04\x03\x0c\x01x"),
	 "subjectAltName"},
	{"no key", KEY, HEX("\x30\x00"), "4.1.2.7"},
	{"Ed25519", KEY,
	 HEX("\x30\x0c\x30\x05\x06\x03\x2b\x65\x70\x03\x03\x00"
	     "aa"),
	 "P-256"},
};

static const struct {
	const char *name;
	int ext;
	const char *oid; /* NULL: nothing in its place */
	bool critical;
	const char *value;
	size_t n;
	const char *says;
} wrong_extensions[] = {
	{"no basicConstraints", EXT_BASIC, NULL, false, HEX(""), "basicConstraints"},
	{"a CA", EXT_BASIC, OID_BASIC_CONSTRAINTS, true, HEX("\x30\x03\x01\x01\xff"), "basicConstraints"},
	{"basicConstraints not critical", EXT_BASIC, OID_BASIC_CONSTRAINTS, false, HEX("\x30\x00"),
	 "basicConstraints"},
	{"cA FALSE written out", EXT_BASIC, OID_BASIC_CONSTRAINTS, true, HEX("\x30\x03\x01\x01\x00"),
	 "basicConstraints"},
	{"a path length", EXT_BASIC, OID_BASIC_CONSTRAINTS, true, HEX("\x30\x03\x02\x01\x00"),
	 "basicConstraints"},
	{"no keyUsage", EXT_USAGE, NULL, false, HEX(""), "keyUsage"},
	{"keyCertSign too", EXT_USAGE, OID_KEY_USAGE, true, HEX("\x03\x02\x02\x84"), "keyUsage"},
	{"keyUsage not critical", EXT_USAGE, OID_KEY_USAGE, false, HEX("\x03\x02\x07\x80"), "keyUsage"},
	{"serverAuth", EXT_PURPOSE, OID_EXT_KEY_USAGE, false, HEX("\x30\x0a\x06\x08" OID_SERVER_AUTH),
	 "extKeyUsage"},
	{"both purposes", EXT_PURPOSE, OID_EXT_KEY_USAGE, false,
	 HEX("\x30\x14\x06\x08" OID_SERVER_AUTH "\x06\x08" OID_CLIENT_AUTH), "extKeyUsage"},
	{"clientAuth twice", EXT_PURPOSE, OID_EXT_KEY_USAGE, false,
	 HEX("\x30\x14\x06\x08" OID_CLIENT_AUTH "\x06\x08" OID_CLIENT_AUTH), "extKeyUsage"},
	{"any purpose", EXT_PURPOSE, OID_EXT_KEY_USAGE, false, HEX("\x30\x06\x06\x04\x55\x1d\x25\x00"),
	 "extKeyUsage"},
	{"no purpose", EXT_PURPOSE, OID_EXT_KEY_USAGE, false, HEX("\x30\x00"), "extKeyUsage"},
	{"critical purpose", EXT_PURPOSE, OID_EXT_KEY_USAGE, true, HEX("\x30\x0a\x06\x08" OID_CLIENT_AUTH),
	 "extKeyUsage"},
	{"foreign key id", EXT_SUBJECT_KEY, OID_SUBJECT_KEY_ID, false,
	 HEX("\x04\x14"
	     "aaaaaaaaaaaaaaaaaaaa"),
	 "subjectKeyIdentifier"},
	{"no authority key id", EXT_AUTHORITY_KEY, NULL, false, HEX(""), "authorityKeyIdentifier"},
	{"foreign authority", EXT_AUTHORITY_KEY, OID_AUTHORITY_KEY_ID, false,
	 HEX("\x30\x16\x80\x14"
	     "aaaaaaaaaaaaaaaaaaaa"),
	 "authorityKeyIdentifier"},
	{"DNS name", EXT_NAMES, OID_SUBJECT_ALT_NAME, false,
	 HEX("\x30\x03\x82\x01"
	     "a"),
	 "subjectAltName"},
	{"no name", EXT_NAMES, OID_SUBJECT_ALT_NAME, false, HEX("\x30\x00"), "subjectAltName"},
	{"an extension more", EXT_APPEND, "\x55\x1d\x20", false, HEX("\x30\x00"), "does not have"},
	{"an extension twice", EXT_APPEND, OID_BASIC_CONSTRAINTS, true, HEX("\x30\x00"), "does not have"},
};

static struct buf extension(const char *oid, bool critical, struct bytes value)
{
	struct buf b = {0};
	if (!oid)
		return b;
	der_put(&b, DER_OID, bytes_str(oid));
	if (critical)
		der_put(&b, 0x01, bytes_str("\xff"));
	der_put(&b, 0x04, value);
	der_wrap(&b, 0, DER_SEQUENCE);
	return b;
}

static void must_be_refused(const char *name, struct bytes tbs, const char *says)
{
	struct lint_expect e = expect();
	struct fault f = {0};
	outcome o = lint(tbs, &e, &f);
	if (o.ok)
		fail_msg("%s was approved", name);
	refused(o, &f, REASON_SIGNER_LINT, says);
}

static void test_each_wrong_extension_is_named(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof wrong_extensions / sizeof *wrong_extensions; i++) {
		struct buf ext = extension(wrong_extensions[i].oid, wrong_extensions[i].critical,
					   bytes_of(wrong_extensions[i].value, wrong_extensions[i].n));
		struct buf tbs = with(EXTENSIONS, wrong_extensions[i].ext, buf_view(&ext));
		must_be_refused(wrong_extensions[i].name, buf_view(&tbs), wrong_extensions[i].says);
		buf_free(&ext);
		buf_free(&tbs);
	}
}

static void test_a_uri_of_any_other_party_is_refused(void **state)
{
	(void)state;
	static const char *const uris[] = {
		"spiffe://" DOMAIN "/thing/" THING "x",
		"spiffe://" DOMAIN "/thing/",
		"spiffe://" DOMAIN "/unattested/" THING,
		"spiffe://" DOMAIN "/service/broker/" THING,
		"spiffe://" DOMAIN,
		"spiffe://" DOMAIN ".evil.example/thing/" THING,
		"https://" DOMAIN "/thing/" THING,
		"spiffe://xample.com/thing/" THING,
	};
	for (size_t i = 0; i < sizeof uris / sizeof *uris; i++) {
		struct buf names = {0};
		der_put(&names, 0x86, bytes_str(uris[i]));
		der_wrap(&names, 0, DER_SEQUENCE);
		struct buf ext = extension(OID_SUBJECT_ALT_NAME, false, buf_view(&names));
		struct buf tbs = with(EXTENSIONS, EXT_NAMES, buf_view(&ext));
		must_be_refused(uris[i], buf_view(&tbs), "subjectAltName");
		buf_free(&names);
		buf_free(&ext);
		buf_free(&tbs);
	}
}

static void test_each_wrong_place_is_named(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		struct buf tbs = with(wrong[i].part, NO_EXTENSION, bytes_of(wrong[i].bytes, wrong[i].n));
		must_be_refused(wrong[i].name, buf_view(&tbs), wrong[i].says);
		buf_free(&tbs);
	}
}

static void test_one_that_is_put_together_again_unchanged_is_approved(void **state)
{
	(void)state;
	struct lint_expect e = expect();
	struct fault f = {0};
	struct buf tbs = with(EXTENSIONS, NO_EXTENSION, bytes_of(NULL, 0));
	done(lint(buf_view(&tbs), &e, &f), &f);
	buf_free(&tbs);
}

/* Only what the gateway may choose freely can change unnoticed: the serial's and the dates' contents. */
static void test_no_single_bit_goes_unnoticed(void **state)
{
	(void)state;
	struct lint_expect e = expect();
	struct buf tbs = good_tbs();
	struct bytes parts[PARTS], exts[EXTS];
	split(buf_view(&tbs), parts, exts);
	for (size_t i = 0; i < tbs.n; i++)
		for (int bit = 0; bit < 8; bit++) {
			struct fault f = {0};
			const uint8_t *at = tbs.p + i;
			bool free_choice =
				(at >= parts[SERIAL].p + 2 && at < parts[SERIAL].p + parts[SERIAL].n) ||
				(at >= parts[VALIDITY].p + 2 && at < parts[VALIDITY].p + parts[VALIDITY].n);
			tbs.p[i] ^= (uint8_t)(1 << bit);
			outcome o = lint(buf_view(&tbs), &e, &f);
			if (o.ok && !free_choice)
				fail_msg("a change of bit %d of byte %zu was approved", bit, i);
			tbs.p[i] ^= (uint8_t)(1 << bit);
		}
	buf_free(&tbs);
}

static void test_no_part_of_a_certificate_is_one(void **state)
{
	(void)state;
	struct lint_expect e = expect();
	struct buf tbs = good_tbs();
	struct fault f = {0};
	for (size_t n = 0; n < tbs.n; n++)
		refused(lint(bytes_of(tbs.p, n), &e, &f), &f, REASON_SIGNER_LINT, NULL);
	buf_byte(&tbs, 0);
	refused(lint(buf_view(&tbs), &e, &f), &f, REASON_SIGNER_LINT, "one DER SEQUENCE");
	buf_free(&tbs);
}

static outcome lint_dates(int64_t from, int64_t to, int64_t limit, struct fault *f)
{
	struct plan plan = device_plan(&ca);
	struct lint_expect e = expect();
	struct buf tbs = {0};
	plan.not_before = from;
	plan.not_after = to;
	e.lifetime_max_s = limit;
	done(certificate_tbs(&plan, &tbs, f), f);
	outcome o = lint(buf_view(&tbs), &e, f);
	buf_free(&tbs);
	return o;
}

static void test_validity_is_bounded_on_all_sides(void **state)
{
	(void)state;
	struct fault f = {0};
	int64_t year = 365LL * DAY;
	done(lint_dates(NOW - BACKDATE_S, NOW + year, 0, &f), &f);
	done(lint_dates(NOW, NOW + 1, 0, &f), &f);
	done(lint_dates(NOW - BACKDATE_S, NOW + 60, 60, &f), &f);
	refused(lint_dates(NOW + 1, NOW + year, 0, &f), &f, REASON_SIGNER_LINT, "notBefore is in the future");
	refused(lint_dates(NOW - 2, NOW, 0, &f), &f, REASON_SIGNER_LINT, "notAfter has passed");
	refused(lint_dates(NOW - BACKDATE_S, NOW + year + 1, 0, &f), &f, REASON_SIGNER_LINT, "longer than");
	refused(lint_dates(NOW - BACKDATE_S, NOW + 61, 60, &f), &f, REASON_SIGNER_LINT, "longer than");
	refused(lint_dates(NOW - BACKDATE_S - 1, NOW + DAY, 0, &f), &f, REASON_SIGNER_LINT,
		"issuing certificate");
	/* A limit above the profile's changes nothing. */
	refused(lint_dates(NOW - BACKDATE_S, NOW + year + 1, 2 * year, &f), &f, REASON_SIGNER_LINT,
		"longer than");
}

static void test_no_certificate_outlives_its_issuer(void **state)
{
	(void)state;
	struct fault f = {0};
	int64_t end = ca.device.not_after;
	ca.device.not_after = NOW + DAY;
	done(lint_dates(NOW, NOW + DAY, 0, &f), &f);
	refused(lint_dates(NOW, NOW + DAY + 1, 0, &f), &f, REASON_SIGNER_LINT, "issuing certificate");
	ca.device.not_after = end;
}

static void test_a_certificate_is_held_against_the_profile_asked_for(void **state)
{
	(void)state;
	static const char *const others[] = {"root", "device-ca", "unattested", "service-server",
					     "service-client"};
	struct buf tbs = good_tbs();
	struct fault f = {0};
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		struct lint_expect e = expect();
		e.profile = profile_find(others[i]);
		refused(lint(buf_view(&tbs), &e, &f), &f, REASON_SIGNER_LINT, NULL);
	}
	struct lint_expect e = expect();
	e.trust_domain = "example.co";
	refused(lint(buf_view(&tbs), &e, &f), &f, REASON_SIGNER_LINT, "subjectAltName");
	e = expect();
	e.issuer = &ca.root;
	refused(lint(buf_view(&tbs), &e, &f), &f, REASON_SIGNER_LINT, "4.1.2.4");
	buf_free(&tbs);
}

static void test_an_approval_signs_once_and_for_its_issuer(void **state)
{
	(void)state;
	struct lint_expect e = expect();
	struct buf tbs = good_tbs(), out = {0};
	struct lint_approval *approval = NULL;
	struct fault f = {0};
	done(lint_approve(buf_view(&tbs), &e, &approval, &f), &f);
	refused(issuer_sign(&ca.root, approval, &out, &f), &f, REASON_SIGNER_LINT, "signs once");
	assert_int_equal(out.n, 0);
	done(issuer_sign(&ca.device, approval, &out, &f), &f);
	size_t n = out.n;
	refused(issuer_sign(&ca.device, approval, &out, &f), &f, REASON_SIGNER_LINT, "signs once");
	assert_int_equal(out.n, n);
	lint_approval_free(approval);
	buf_free(&tbs);
	buf_free(&out);
}

/* What is approved is copied: who changes his bytes afterwards has changed nothing. */
static void test_what_was_approved_is_what_is_signed(void **state)
{
	(void)state;
	struct lint_expect e = expect();
	struct buf tbs = good_tbs();
	struct lint_approval *approval = NULL;
	struct bytes given;
	struct fault f = {0};
	done(lint_approve(buf_view(&tbs), &e, &approval, &f), &f);
	struct buf copy = {0};
	buf_bytes(&copy, buf_view(&tbs));
	memset(tbs.p, 0, tbs.n);
	assert_true(lint_approval_spend(approval, &ca.device, &given));
	assert_true(bytes_equal(given, buf_view(&copy)));
	lint_approval_free(approval);
	buf_free(&tbs);
	buf_free(&copy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_wrong_place_is_named),
		cmocka_unit_test(test_each_wrong_extension_is_named),
		cmocka_unit_test(test_a_uri_of_any_other_party_is_refused),
		cmocka_unit_test(test_one_that_is_put_together_again_unchanged_is_approved),
		cmocka_unit_test(test_no_single_bit_goes_unnoticed),
		cmocka_unit_test(test_no_part_of_a_certificate_is_one),
		cmocka_unit_test(test_validity_is_bounded_on_all_sides),
		cmocka_unit_test(test_no_certificate_outlives_its_issuer),
		cmocka_unit_test(test_a_certificate_is_held_against_the_profile_asked_for),
		cmocka_unit_test(test_an_approval_signs_once_and_for_its_issuer),
		cmocka_unit_test(test_what_was_approved_is_what_is_signed),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
