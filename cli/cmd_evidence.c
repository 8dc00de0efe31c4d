#include "checks.h"
#include "claims.h"
#include "ctl.h"
#include "enrolment.h"
#include "input.h"
#include "text.h"
#include "common/crypto/csr.h"
#include "common/evidence/evidence.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a check was given, and what came of it so far. */
struct check {
	struct buf input, csr_input;
	struct evidence evidence;
	struct csr csr;
	EVP_PKEY *key;
	uint8_t binding[BINDING_SIZE];
	bool has_binding, allow_test_keys, parsed;
	enum evidence_type type;
	json_t *taken; /* what came of each step */
};

static void check_free(struct check *k)
{
	buf_free(&k->input);
	buf_free(&k->csr_input);
	EVP_PKEY_free(k->key);
	json_decref(k->taken);
}

static outcome read_binding(const char *hex, struct check *k, struct fault *f)
{
	size_t n;
	if (!hex)
		return DONE;
	k->has_binding = true;
	if (!hex_decode(hex, strlen(hex), k->binding, sizeof k->binding, &n) || n != sizeof k->binding)
		return refuse(f, REASON_BAD_FIELD, "--binding must be 64 hexadecimal digits");
	return DONE;
}

static outcome read_type(const char *name, struct check *k, struct fault *f)
{
	k->type = name					   ? evidence_type_find(name)
		  : claims_are_of_csr(buf_view(&k->input)) ? EVIDENCE_COSE_CSR
							   : EVIDENCE_PSA_TOKEN;
	return k->type ? DONE : refuse(f, REASON_BAD_FIELD, "--type must be psa-token or cose-csr");
}

/* A whole enrolment request says everything but the key. What the command line says goes first. */
static outcome take_apart(const struct arguments *a, struct check *k, struct fault *f)
{
	struct enrolment e;
	outcome o = enrolment_read(buf_view(&k->input), &e, f);
	if (!o.ok)
		return o;
	buf_free(&k->input);
	k->input = e.evidence;
	k->type = e.type;
	if (!k->has_binding)
		memcpy(k->binding, e.binding, sizeof k->binding);
	k->has_binding = true;
	if (argument(a, "csr")) {
		buf_free(&e.csr);
		return DONE;
	}
	k->csr_input = e.csr;
	return DONE;
}

static outcome read_all(const struct arguments *a, struct check *k, struct fault *f)
{
	const char *form, *csr = argument(a, "csr");
	k->allow_test_keys = argument_flag(a, "allow-test-keys");
	outcome o = read_binding(argument(a, "binding"), k, f);
	if (o.ok)
		o = input_read(a->words[0], 65536, &k->input, &form, f);
	if (o.ok && !strcmp(form, "JSON"))
		o = take_apart(a, k, f);
	if (o.ok && (!k->type || argument(a, "type")))
		o = read_type(argument(a, "type"), k, f);
	if (o.ok && csr)
		o = input_read(csr, CSR_MAX, &k->csr_input, &form, f);
	if (o.ok && argument(a, "key"))
		o = key_load_public_pem(argument(a, "key"), &k->key, f);
	return o;
}

/* ---- the steps, in the order in which gateway and attestation service take them ---- */

static outcome step_format(void *arg, struct fault *f)
{
	struct check *k = arg;
	outcome o = evidence_parse(k->type, buf_view(&k->input), &k->evidence, f);
	k->parsed = o.ok;
	return o;
}

static outcome step_csr(void *arg, struct fault *f)
{
	struct check *k = arg;
	outcome o = csr_parse(buf_view(&k->csr_input), k->allow_test_keys, &k->csr, f);
	return o.ok ? evidence_check_key_not_rot(k->evidence.instance_id, k->csr.spki, f) : o;
}

static outcome step_binding(void *arg, struct fault *f)
{
	struct check *k = arg;
	struct bytes csr = k->csr_input.n ? buf_view(&k->csr_input) : k->evidence.cose.payload;
	return evidence_check_binding(&k->evidence, k->binding, csr, f);
}

static outcome step_signature(void *arg, struct fault *f)
{
	struct check *k = arg;
	uint8_t spki[SPKI_MAX];
	struct bytes rot = bytes_of(spki, ec_key_to_spki(k->key, spki, sizeof spki));
	return evidence_verify(&k->evidence, rot, k->allow_test_keys, f);
}

static bool has_csr(const void *arg)
{
	const struct check *k = arg;
	return k->csr_input.n != 0;
}

static bool has_binding(const void *arg)
{
	const struct check *k = arg;
	return k->has_binding;
}

static bool has_key(const void *arg)
{
	const struct check *k = arg;
	return k->key != NULL;
}

static const struct check_step steps[] = {
	{"format and claims", NULL, NULL, step_format},
	{"the request, and that its key is not the RoT key", "--csr", has_csr, step_csr},
	{"binding to challenge, gateway and request", "--binding", has_binding, step_binding},
	{"signature by the RoT key", "--key", has_key, step_signature},
};

/* ---- what is printed ---- */

/* Which of TF-M's derivations ties the instance ID to the key; a maker may as well use neither. */
static const char *instance_derivation(const struct check *k)
{
	uint8_t id[INSTANCE_ID_SIZE];
	if (!k->key || !evidence_instance_id(k->key, id))
		return NULL;
	if (!memcmp(id, k->evidence.instance_id, sizeof id))
		return "01 and SHA-256 of the key's COSE_Key (TF-M 2.2 and later)";
	if (evidence_instance_id_old(k->key, id) && !memcmp(id, k->evidence.instance_id, sizeof id))
		return "01 and SHA-256 of the key's point (TF-M before 2.2)";
	return "not derived from this key by TF-M's rules";
}

static void print_people(const struct ctl *c, struct check *k, const json_t *claims)
{
	const char *derivation = k->parsed ? instance_derivation(k) : NULL;
	printf("%s, %zu bytes\n", evidence_type_name(k->type), k->input.n);
	claims_print(claims, c->colour);
	if (derivation)
		printf("  %-20s%s\n", "instance ID is", derivation);
	checks_print(k->taken);
}

/* Whatever else is in order: evidence that nobody checked the signature of is not accepted. */
static int print_incomplete(const struct ctl *c)
{
	text_print_colour(c->colour, YELLOW, "INCOMPLETE");
	puts(": nothing breaks a rule, but without --key the signature was not checked");
	return EXIT_REFUSED;
}

static int print_json(const struct check *k, json_t *claims, outcome checked, const struct fault *f)
{
	json_object_set_new(claims, "type", json_string(evidence_type_name(k->type)));
	json_object_set_new(claims, "bytes", json_integer((json_int_t)k->input.n));
	checks_print_json(claims, k->taken, k->key != NULL, checked, f);
	return checked.ok && k->key ? EXIT_DONE : EXIT_REFUSED;
}

static int evidence_check(struct ctl *c, const struct arguments *a)
{
	struct check k = {0};
	struct fault f = {0};
	int code;
	outcome o = read_all(a, &k, &f);
	if (!o.ok) {
		check_free(&k);
		return ctl_fail_given(&f);
	}
	json_t *claims = claims_read(buf_view(&k.input));
	o = checks_run(steps, sizeof steps / sizeof *steps, &k, &k.taken, &f);
	if (c->json) {
		code = print_json(&k, claims, o, &f);
	} else {
		print_people(c, &k, claims);
		code = o.ok && !k.key ? print_incomplete(c) : ctl_print_result(c, o, &f);
	}
	json_decref(claims);
	check_free(&k);
	return code;
}

static const struct option_spec evidence_options[] = {
	{"key", "PEM", "public key of the device's RoT; without it the signature is not checked"},
	{"type", "psa-token|cose-csr", "what FILE is (found out from it)"},
	{"csr", "FILE", "the certificate signing request that the evidence is for"},
	{"binding", "HEX", "B, the 32 bytes that tie evidence to challenge, gateway and request"},
	{"allow-test-keys", NULL, "accept published test keys (TF-M's dummy key and the like)"},
	{NULL, NULL, NULL},
};

const struct command evidence_commands[] = {
	{
		.name = "evidence check",
		.arguments = "FILE --key PEM [--type TYPE] [--csr FILE] [--binding HEX] [--allow-test-keys]",
		.summary = "read attestation evidence with the daemons' own parser, and check it",
		.help = "Prints every claim by name, then each check, then ACCEPT or REJECT with the\n"
			"reason code and the rule: the same code and rule that the gateway logs.\n"
			"Nothing is asked of any server. FILE (\"-\": standard input) holds the\n"
			"evidence itself, its hexadecimal or base64, or a whole enrolment request (JSON, as\n"
			"`mooring-device request` writes it), which brings CSR and binding along.",
		.examples =
			"  mooringctl evidence check token.cbor --key rot-public.pem\n"
			"  mooringctl evidence check token.hex --key rot-public.pem --csr device.csr --binding 2ce31adb…\n"
			"  mooringctl evidence check request.json --key rot-public.pem\n"
			"  echo $TOKEN_BASE64 | mooringctl --json evidence check - --key rot-public.pem\n",
		.options = evidence_options,
		.words_min = 1,
		.words_max = 1,
		.run = evidence_check,
		.offline = true,
		.exits =
			"0 ACCEPT; 1 REJECT, or INCOMPLETE: without --key the signature was not checked; 2 wrong usage",
	},
	{0},
};
