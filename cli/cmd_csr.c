#include "ctl.h"
#include "enrolment.h"
#include "input.h"
#include "text.h"
#include "common/crypto/csr.h"

#include <jansson.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

static void subject_text(struct bytes der, char *out, size_t room)
{
	const uint8_t *p = der.p;
	X509_NAME *name = d2i_X509_NAME(NULL, &p, (long)der.n);
	BIO *bio = BIO_new(BIO_s_mem());
	int n = -1;
	if (name && bio && X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) >= 0)
		n = BIO_read(bio, out, (int)room - 1);
	out[n > 0 ? n : 0] = '\0';
	BIO_free(bio);
	X509_NAME_free(name);
}

static int csr_json(const struct csr *csr, const char *subject, const char *hash, size_t size, outcome o,
		    const struct fault *f)
{
	json_t *out =
		json_pack("{s:s, s:I, s:s, s:i, s:s, s:s, s:s}", "type", "csr", "bytes", (json_int_t)size,
			  "subject", subject, "key_bits", csr->key_bits, "spki_sha256", hash, "result",
			  o.ok ? "ACCEPT" : "REJECT", "reason", o.ok ? "" : reason_code(f->reason));
	json_object_set_new(out, "rule", json_string(o.ok ? "" : f->text));
	json_dumpf(out, stdout, JSON_PRESERVE_ORDER);
	putchar('\n');
	json_decref(out);
	return o.ok ? EXIT_DONE : EXIT_REFUSED;
}

static void csr_people(const struct csr *csr, const char *subject, const char *hash, const char *form,
		       size_t size)
{
	char key[32];
	snprintf(key, sizeof key, "EC, P-%d", csr->key_bits);
	printf("PKCS#10 request, %zu bytes of DER (given as %s)\n", size, form);
	if (!csr->key_bits)
		return;
	text_field("subject", subject[0] ? subject : "(empty)");
	text_field("key", key);
	text_field("SHA-256 of key", hash);
	puts("  subject and asked-for extensions never reach a certificate: its names come from the attested device");
}

static outcome csr_of_request(struct buf *input, struct fault *f)
{
	struct enrolment e;
	outcome o = enrolment_read(buf_view(input), &e, f);
	if (!o.ok)
		return o;
	buf_free(input);
	buf_free(&e.evidence);
	*input = e.csr;
	return DONE;
}

static int csr_check(struct ctl *c, const struct arguments *a)
{
	struct buf input = {0};
	struct csr csr = {0};
	struct fault f = {0};
	const char *form;
	char subject[256] = "", hash[HEX_SIZE(SHA256_SIZE)] = "";
	if (!input_read(a->words[0], 65536, &input, &form, &f).ok)
		return ctl_fail(&f);
	if (!strcmp(form, "JSON") && !csr_of_request(&input, &f).ok) {
		buf_free(&input);
		return ctl_fail(&f);
	}
	outcome o = csr_parse(buf_view(&input), argument_flag(a, "allow-test-keys"), &csr, &f);
	if (o.ok) {
		subject_text(csr.subject, subject, sizeof subject);
		hex_encode(bytes_of(csr.spki_sha256, SHA256_SIZE), hash);
	}
	int code;
	if (c->json) {
		code = csr_json(&csr, subject, hash, input.n, o, &f);
	} else {
		csr_people(&csr, subject, hash, form, input.n);
		code = ctl_print_result(c, o, &f);
	}
	buf_free(&input);
	return code;
}

static const struct option_spec csr_options[] = {
	{"allow-test-keys", NULL, "accept published test keys"},
	{NULL, NULL, NULL},
};

const struct command csr_commands[] = {
	{
		.name = "csr check",
		.arguments = "FILE [--allow-test-keys]",
		.summary = "read a certificate signing request as the gateway does, and check it",
		.help = "FILE (\"-\": standard input) is PEM, DER, its hexadecimal or base64, or a whole\n"
			"enrolment request (JSON, as `mooring-device request` writes it). Prints\n"
			"subject and key, then ACCEPT or REJECT with the reason code and the rule.",
		.examples =
			"  mooringctl csr check device.csr\n"
			"  openssl req -new -key device.key -subj /CN=x -outform DER | mooringctl csr check -\n",
		.options = csr_options,
		.words_min = 1,
		.words_max = 1,
		.run = csr_check,
		.offline = true,
		.exits = "0 ACCEPT; 1 REJECT; 2 wrong usage",
	},
	{0},
};
