#include "common/crypto/csr.h"

#include "common/crypto/der.h"
#include "common/evidence/evidence.h"
#include "vectors.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

static const struct {
	const char *file;
	enum reason reason; /* REASON_NONE: accepted */
	int bits;
} vectors[] = {
	{"ok-p256", REASON_NONE, 256},
	{"ok-p256-other", REASON_NONE, 256},
	{"ok-p384", REASON_NONE, 384},
	{"bad-empty", REASON_CSR_DER, 0},
	{"bad-truncated", REASON_CSR_DER, 0},
	{"bad-trailing", REASON_CSR_TRAILING, 0},
	{"bad-selfsig", REASON_CSR_SIGNATURE, 0},
	{"bad-spki-swapped", REASON_CSR_SIGNATURE, 0},
	{"bad-point-not-on-curve", REASON_CSR_KEY_POINT, 0},
	{"weak-p192", REASON_CSR_KEY, 0},
	{"weak-p224", REASON_CSR_KEY, 0},
	{"weak-rsa1024", REASON_CSR_KEY, 0},
	{"weak-rsa2048-e3", REASON_CSR_KEY, 0},
	{"weak-sha1-sig", REASON_CSR_SIGNATURE_ALG, 0},
	{"policy-rsa2048", REASON_CSR_KEY, 0},
	{"policy-ed25519", REASON_CSR_KEY, 0},
	{"policy-secp256k1", REASON_CSR_KEY, 0},
	{"policy-known-test-key", REASON_CSR_TEST_KEY, 0},
	{"policy-key-is-rot", REASON_CSR_TEST_KEY, 0}, /* the RoT of these vectors is TF-M's dummy key */
};

static struct buf read_csr(const char *name)
{
	char path[200];
	snprintf(path, sizeof path, DERIVED "csr/%s.der", name);
	return read_path(path);
}

static outcome parse(struct bytes der, bool allow_test_keys, struct fault *f)
{
	struct csr csr;
	*f = (struct fault){0};
	outcome o = csr_parse(der, allow_test_keys, &csr, f);
	if (!o.ok)
		assert_null(csr.spki.p);
	assert_int_equal(ERR_peek_error(), 0);
	return o;
}

static void test_every_request_is_taken_or_refused_as_the_vectors_say(void **state)
{
	(void)state;
	struct csr csr;
	struct fault f;
	for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
		struct buf der = read_csr(vectors[i].file);
		struct bytes in = heap_copy(buf_view(&der));
		outcome o = csr_parse(in, false, &csr, &f);
		if (vectors[i].reason == REASON_NONE) {
			accepted(o, &f, vectors[i].file);
			assert_int_equal(csr.key_bits, vectors[i].bits);
		} else {
			refused_for(o, &f, vectors[i].reason, vectors[i].file);
		}
		heap_free(in);
		buf_free(&der);
	}
}

static void test_a_test_key_is_accepted_where_it_is_allowed(void **state)
{
	(void)state;
	struct buf der = read_csr("policy-known-test-key");
	struct fault f;
	accepted(parse(buf_view(&der), true, &f), &f, "policy-known-test-key");
	buf_free(&der);
}

static void test_a_request_for_the_root_of_trust_key_is_left_to_who_knows_the_device(void **state)
{
	(void)state;
	struct buf der = read_csr("policy-key-is-rot");
	EVP_PKEY *iak = read_public_key(DERIVED "iak_pub.pem");
	struct csr csr;
	struct fault f;
	uint8_t instance[INSTANCE_ID_SIZE];
	assert_true(evidence_instance_id(iak, instance));
	accepted(csr_parse(buf_view(&der), true, &csr, &f), &f, "policy-key-is-rot");
	refused_for(evidence_check_key_not_rot(instance, csr.spki, &f), &f, REASON_CSR_KEY_IS_ROT,
		    "policy-key-is-rot");
	EVP_PKEY_free(iak);
	buf_free(&der);
}

static void test_parts_are_views_of_the_request(void **state)
{
	(void)state;
	struct buf der = read_csr("ok-p256");
	struct csr csr;
	struct fault f;
	char hex[HEX_SIZE(SHA256_SIZE)];
	accepted(csr_parse(buf_view(&der), false, &csr, &f), &f, "ok-p256");
	hex_encode(bytes_of(csr.spki_sha256, sizeof csr.spki_sha256), hex);
	assert_string_equal(hex, "684ffc105b43a27646939155756920dd316ba2912ebcaae76ea48c82697e46fc");
	assert_int_equal(csr.spki.n, 91);
	assert_true(csr.tbs.p == der.p + 3 && csr.tbs.n == 122);
	assert_int_equal(csr.subject.n, 24);
	buf_free(&der);
}

static void test_no_part_of_a_request_is_a_request(void **state)
{
	(void)state;
	struct buf der = read_csr("ok-p256");
	struct fault f;
	for (size_t n = 0; n < der.n; n++) {
		struct bytes part = heap_copy(bytes_of(der.p, n));
		refused_for(parse(part, false, &f), &f, REASON_CSR_DER, "a part");
		heap_free(part);
	}
	buf_free(&der);
}

static void test_no_changed_request_is_accepted(void **state)
{
	(void)state;
	static const char *const files[] = {"ok-p256", "ok-p384"};
	static const uint8_t masks[] = {0x01, 0x80, 0xff};
	struct fault f;
	for (size_t v = 0; v < 2; v++) {
		struct buf der = read_csr(files[v]);
		for (size_t i = 0; i < der.n; i++)
			for (size_t m = 0; m < sizeof masks; m++) {
				der.p[i] ^= masks[m];
				if (parse(buf_view(&der), false, &f).ok)
					fail_msg("%s: byte %zu changed by %02x and still accepted", files[v],
						 i, masks[m]);
				assert_true(f.reason != REASON_NONE);
				der.p[i] ^= masks[m];
			}
		accepted(parse(buf_view(&der), false, &f), &f, "unchanged");
		buf_free(&der);
	}
}

static void wrap(struct buf *b, uint8_t tag)
{
	struct buf outer = {0};
	der_put(&outer, tag, buf_view(b));
	buf_free(b);
	*b = outer;
}

/* A request whose info is made of these parts, signed with the key's own curve and SHA-256. */
struct recipe {
	const char *version; /* hex of whole items; NULL = as it should be */
	const char *subject;
	const char *attributes;
	const char *algorithm;
	const char *after_info; /* more items at the end of the info */
	const char *bits_prefix;
};

static void add_hex(struct buf *b, const char *given, const char *usual)
{
	const char *hex = given ? given : usual;
	uint8_t raw[256];
	size_t n;
	assert_true(hex_decode(hex, strlen(hex), raw, sizeof raw, &n));
	buf_add(b, raw, n);
}

static struct buf cook(EVP_PKEY *key, struct bytes spki, const struct recipe *r)
{
	struct buf info = {0}, bits = {0};
	uint8_t hash[SHA256_SIZE], signature[160];
	add_hex(&info, r->version, "020100");
	add_hex(&info, r->subject, "3000");
	buf_bytes(&info, spki);
	add_hex(&info, r->attributes, "a000");
	add_hex(&info, r->after_info, "");
	wrap(&info, DER_SEQUENCE);
	sha256(buf_view(&info), hash);
	add_hex(&bits, r->bits_prefix, "00");
	buf_add(&bits, signature, ecdsa_sign_digest_der(key, hash, signature, sizeof signature));
	wrap(&bits, DER_BIT_STRING);
	add_hex(&info, r->algorithm, "300a06082a8648ce3d040302");
	buf_bytes(&info, buf_view(&bits));
	buf_free(&bits);
	wrap(&info, DER_SEQUENCE);
	return info;
}

#define CHALLENGE                                                                                            \
	"3012"                                                                                               \
	"06092a864886f70d010907"                                                                             \
	"3105"                                                                                               \
	"0c03616263"
#define EVIDENCE_OID "060b2a864886f70d010910023b"

static const struct {
	const char *what;
	struct recipe recipe;
	enum reason reason;
} recipes[] = {
	{"nothing special", {0}, REASON_NONE},
	{"one attribute", {.attributes = "a014" CHALLENGE}, REASON_NONE},
	{"version 1", {.version = "020101"}, REASON_CSR_DER},
	{"version of two bytes", {.version = "02020000"}, REASON_CSR_DER},
	{"no subject", {.subject = ""}, REASON_CSR_DER},
	{"subject as a SET", {.subject = "3100"}, REASON_CSR_DER},
	{"subject that overruns", {.subject = "3003310530"}, REASON_CSR_DER},
	{"subject of indefinite length", {.subject = "30800000"}, REASON_CSR_DER},
	{"subject in long form", {.subject = "308100"}, REASON_CSR_DER},
	{"subject with an empty SET", {.subject = "30023100"}, REASON_CSR_DER},
	{"subject with a number", {.subject = "300c310a30080603550403020100"}, REASON_CSR_DER},
	{"subject with more than type and value",
	 {.subject = "300e310c300a06035504030c01610500"},
	 REASON_CSR_DER},
	{"subject with one name", {.subject = "300c310a300806035504030c0161"}, REASON_NONE},
	{"subject that is not UTF-8", {.subject = "300c310a300806035504030c01ff"}, REASON_CSR_DER},
	{"subject with half an OID", {.subject = "300c310a300806035504830c0161"}, REASON_CSR_DER},
	{"subject with a padded OID", {.subject = "300c310a300806035580030c0161"}, REASON_CSR_DER},
	{"subject with an empty OID", {.subject = "30093107300506000c0161"}, REASON_CSR_DER},
	{"no attributes", {.attributes = ""}, REASON_CSR_DER},
	{"attributes twice", {.after_info = "a000"}, REASON_CSR_DER},
	{"attribute that is no SEQUENCE", {.attributes = "a003020100"}, REASON_CSR_DER},
	{"attribute with more than type and values",
	 {.attributes = "a0083006060155310030"
			"00"},
	 REASON_CSR_DER},
	{"attribute without a value", {.attributes = "a011300f" EVIDENCE_OID "3100"}, REASON_CSR_ATTRIBUTE},
	{"attribute with two values",
	 {.attributes = "a0153013" EVIDENCE_OID "310430003000"},
	 REASON_CSR_ATTRIBUTE},
	{"attribute twice", {.attributes = "a028" CHALLENGE CHALLENGE}, REASON_CSR_ATTRIBUTE},
	{"evidence twice",
	 {.attributes = "a026"
			"3011" EVIDENCE_OID "31023000"
			"3011" EVIDENCE_OID "31023000"},
	 REASON_CSR_ATTRIBUTE},
	{"parameters of the signature",
	 {.algorithm = "300c06082a8648ce3d0403020500"},
	 REASON_CSR_SIGNATURE_ALG},
	{"ECDSA with SHA-224", {.algorithm = "300a06082a8648ce3d040301"}, REASON_CSR_SIGNATURE_ALG},
	{"ECDSA with SHA-384, said of SHA-256",
	 {.algorithm = "300a06082a8648ce3d040303"},
	 REASON_CSR_SIGNATURE},
	{"no signature algorithm", {.algorithm = "3000"}, REASON_CSR_SIGNATURE_ALG},
	{"unused bits", {.bits_prefix = "01"}, REASON_CSR_DER},
	{"a byte before the signature", {.bits_prefix = "0000"}, REASON_CSR_SIGNATURE},
};

static void test_requests_off_the_grammar_are_refused_for_their_reason(void **state)
{
	(void)state;
	uint8_t spki[SPKI_MAX];
	struct fault f;
	EVP_PKEY *key = p256_key_generate();
	size_t n = ec_key_to_spki(key, spki, sizeof spki);
	for (size_t i = 0; i < sizeof recipes / sizeof *recipes; i++) {
		struct buf der = cook(key, bytes_of(spki, n), &recipes[i].recipe);
		struct bytes in = heap_copy(buf_view(&der));
		outcome o = parse(in, false, &f);
		if (recipes[i].reason == REASON_NONE)
			accepted(o, &f, recipes[i].what);
		else
			refused_for(o, &f, recipes[i].reason, recipes[i].what);
		heap_free(in);
		buf_free(&der);
	}
	EVP_PKEY_free(key);
}

static void test_seventeen_attributes_are_too_many(void **state)
{
	(void)state;
	uint8_t spki[SPKI_MAX];
	char hex[600];
	struct fault f;
	EVP_PKEY *key = p256_key_generate();
	size_t n = ec_key_to_spki(key, spki, sizeof spki);
	for (int count = 16; count <= 17; count++) {
		/* SEQUENCE { OID, SET { NULL } }, each with an OID of its own */
		snprintf(hex, sizeof hex, "a081%02x", count * 9);
		for (int i = 0; i < count; i++)
			snprintf(hex + strlen(hex), sizeof hex - strlen(hex), "30070601%02x31020500",
				 0x30 + i);
		struct buf der = cook(key, bytes_of(spki, n), &(struct recipe){.attributes = hex});
		outcome o = parse(buf_view(&der), false, &f);
		if (count == 16)
			accepted(o, &f, "16 attributes");
		else
			refused_for(o, &f, REASON_CSR_ATTRIBUTE, "17 attributes");
		buf_free(&der);
	}
	EVP_PKEY_free(key);
}

static void test_keys_in_other_forms_are_refused(void **state)
{
	(void)state;
	uint8_t spki[SPKI_MAX], other[SPKI_MAX];
	struct fault f;
	EVP_PKEY *key = p256_key_generate();
	size_t n = ec_key_to_spki(key, spki, sizeof spki);
	static const struct {
		const char *what;
		size_t at;
		uint8_t value;
		enum reason reason;
	} changes[] = {
		{"hybrid point", 26, 0x06, REASON_CSR_KEY_POINT},
		{"compressed form in full length", 26, 0x02, REASON_CSR_KEY_POINT},
		{"unused bits", 25, 0x01, REASON_CSR_KEY},
		{"id-ecDH", 12, 0x02, REASON_CSR_KEY},
		{"curve parameters as NULL", 13, 0x05, REASON_CSR_KEY},
	};
	for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
		memcpy(other, spki, n);
		other[changes[i].at] = changes[i].value;
		struct buf der = cook(key, bytes_of(other, n), &(struct recipe){0});
		refused_for(parse(buf_view(&der), false, &f), &f, changes[i].reason, changes[i].what);
		buf_free(&der);
	}
	EVP_PKEY_free(key);
}

static void test_a_request_larger_than_the_limit_is_refused(void **state)
{
	(void)state;
	static const uint8_t zeros[CSR_MAX + 1];
	struct fault f;
	refused_for(parse(bytes_of(zeros, sizeof zeros), false, &f), &f, REASON_CSR_DER, "4097 bytes");
}

static void build(EVP_PKEY *key, const char *name, struct buf *out)
{
	struct buf info = {0};
	struct fault f;
	uint8_t spki[SPKI_MAX], hash[SHA256_SIZE], signature[80];
	accepted(csr_build_info(name, bytes_of(spki, ec_key_to_spki(key, spki, sizeof spki)), &info, &f), &f,
		 "info");
	sha256(buf_view(&info), hash);
	size_t n = ecdsa_sign_digest_der(key, hash, signature, sizeof signature);
	accepted(csr_build(buf_view(&info), bytes_of(signature, n), out, &f), &f, "request");
	buf_free(&info);
}

static void test_a_request_built_here_is_accepted_here_and_by_openssl(void **state)
{
	(void)state;
	EVP_PKEY *key = p256_key_generate();
	struct buf der = {0};
	struct fault f;
	char name[80];
	build(key, "thermometer-1", &der);
	accepted(parse(buf_view(&der), false, &f), &f, "own request");
	const uint8_t *p = der.p;
	X509_REQ *req = d2i_X509_REQ(NULL, &p, (long)der.n);
	assert_non_null(req);
	assert_true(p == der.p + der.n);
	assert_int_equal(X509_REQ_verify(req, key), 1);
	assert_int_equal(
		X509_NAME_get_text_by_NID(X509_REQ_get_subject_name(req), NID_commonName, name, sizeof name),
		13);
	assert_string_equal(name, "thermometer-1");
	X509_REQ_free(req);
	buf_free(&der);
	EVP_PKEY_free(key);
}

static void test_a_common_name_has_a_limit(void **state)
{
	(void)state;
	struct buf info = {0};
	struct fault f;
	refused_for(csr_build_info("0123456789012345678901234567890123456789012345678901234567890123x",
				   bytes_str(""), &info, &f),
		    &f, REASON_BAD_FIELD, "65 characters");
}

/* What openssl makes of these curves and digests is read, and only that. */
static void test_requests_of_openssl_are_read(void **state)
{
	(void)state;
	static const struct {
		const char *curve;
		const EVP_MD *(*digest)(void);
		enum reason reason;
		int bits;
	} cases[] = {
		{"P-256", EVP_sha256, REASON_NONE, 256},
		{"P-256", EVP_sha384, REASON_NONE, 256},
		{"P-256", EVP_sha512, REASON_NONE, 256},
		{"P-384", EVP_sha384, REASON_NONE, 384},
		{"P-521", EVP_sha512, REASON_NONE, 521},
		{"P-256", EVP_sha224, REASON_CSR_SIGNATURE_ALG, 0},
		{"brainpoolP256r1", EVP_sha256, REASON_CSR_KEY, 0},
	};
	struct csr csr;
	struct fault f;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		EVP_PKEY *key = EVP_EC_gen(cases[i].curve);
		X509_REQ *req = X509_REQ_new();
		uint8_t *der = NULL;
		X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(req), "CN", MBSTRING_UTF8,
					   (const uint8_t *)"x", -1, -1, 0);
		STACK_OF(X509_EXTENSION) *extensions = sk_X509_EXTENSION_new_null();
		sk_X509_EXTENSION_push(extensions,
				       X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "CA:TRUE"));
		X509_REQ_add_extensions(req, extensions);
		X509_REQ_set_pubkey(req, key);
		assert_true(X509_REQ_sign(req, key, cases[i].digest()) > 0);
		int n = i2d_X509_REQ(req, &der);
		outcome o = csr_parse(bytes_of(der, (size_t)n), false, &csr, &f);
		if (cases[i].reason == REASON_NONE)
			accepted(o, &f, cases[i].curve);
		else
			refused_for(o, &f, cases[i].reason, cases[i].curve);
		assert_int_equal(csr.key_bits, cases[i].bits);
		OPENSSL_free(der);
		sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
		X509_REQ_free(req);
		EVP_PKEY_free(key);
	}
}

static void test_the_working_groups_request_is_refused_for_its_rsa_key(void **state)
{
	(void)state;
	need_third_party();
	char path[512];
	struct fault f;
	BIO *bio = BIO_new_file(third_party("csr/tcgAttestTpmCertify.pem", path), "r");
	char *name = NULL, *header = NULL;
	uint8_t *der = NULL;
	long n = 0;
	assert_int_equal(PEM_read_bio(bio, &name, &header, &der, &n), 1);
	/* 3.5 KB with an attestation bundle: all of it is read before the key is refused. */
	refused_for(parse(bytes_of(der, (size_t)n), false, &f), &f, REASON_CSR_KEY, "tcgAttestTpmCertify");
	OPENSSL_free(name);
	OPENSSL_free(header);
	OPENSSL_free(der);
	BIO_free(bio);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_request_is_taken_or_refused_as_the_vectors_say),
		cmocka_unit_test(test_a_test_key_is_accepted_where_it_is_allowed),
		cmocka_unit_test(test_a_request_for_the_root_of_trust_key_is_left_to_who_knows_the_device),
		cmocka_unit_test(test_parts_are_views_of_the_request),
		cmocka_unit_test(test_no_part_of_a_request_is_a_request),
		cmocka_unit_test(test_no_changed_request_is_accepted),
		cmocka_unit_test(test_requests_off_the_grammar_are_refused_for_their_reason),
		cmocka_unit_test(test_seventeen_attributes_are_too_many),
		cmocka_unit_test(test_keys_in_other_forms_are_refused),
		cmocka_unit_test(test_a_request_larger_than_the_limit_is_refused),
		cmocka_unit_test(test_a_request_built_here_is_accepted_here_and_by_openssl),
		cmocka_unit_test(test_a_common_name_has_a_limit),
		cmocka_unit_test(test_requests_of_openssl_are_read),
		cmocka_unit_test(test_the_working_groups_request_is_refused_for_its_rsa_key),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
