#include "cose.h"

enum { TAG_MAC0 = 17, TAG_SIGN1 = 18 };
enum { HEADER_ALG = 1, HEADER_CRIT = 2, HEADER_KID = 4 };

struct algorithm {
	int64_t alg;
	int key_bits;
	size_t signature_size;
};

/* RFC 9053 2.1; ESP256 is RFC 9864's name for ES256 on P-256. */
static const struct algorithm algorithms[] = {
	{COSE_ES256, 256, 64},
	{COSE_ESP256, 256, 64},
	{COSE_ES384, 384, 96},
	{COSE_ES512, 521, 132},
};

static const struct algorithm *algorithm_find(int64_t alg)
{
	for (size_t i = 0; i < sizeof algorithms / sizeof *algorithms; i++)
		if (algorithms[i].alg == alg)
			return &algorithms[i];
	return NULL;
}

/* Both headers, while they are read. */
struct headers {
	struct cose_sign1 *out;
	struct cbor_label labels[CBOR_ENTRIES_MAX]; /* of the protected header */
	size_t label_count;
	bool has_alg, stray_alg;
};

static outcome take_alg(struct headers *h, struct cbor_reader *value, struct fault *f)
{
	struct cbor_item item;
	outcome o = cbor_next(value, &item, f);
	if (!o.ok)
		return o;
	if (item.type != CBOR_NINT || item.number > INT32_MAX || !algorithm_find(-1 - (int64_t)item.number))
		return refuse(f, REASON_COSE_ALG, "RFC 9053 2.1: alg is not one of ES256, ES384, ES512");
	h->out->alg = -1 - (int64_t)item.number;
	h->has_alg = true;
	return DONE;
}

static outcome refuse_crit(struct fault *f)
{
	return refuse(f, REASON_COSE_CRIT, "RFC 9052 3.1: crit names a header that is not understood");
}

static outcome protected_field(void *arg, struct cbor_label label, struct cbor_reader *value, struct fault *f)
{
	struct headers *h = arg;
	h->labels[h->label_count++] = label;
	if (cbor_label_is(label, HEADER_ALG))
		return take_alg(h, value, f);
	if (cbor_label_is(label, HEADER_CRIT))
		return refuse_crit(f);
	return cbor_skip(value, NULL, f);
}

static outcome read_protected(struct headers *h, struct bytes header, struct fault *f)
{
	if (header.n == 0)
		return DONE;
	struct cbor_reader r = cbor_reader(header);
	outcome o = cbor_map(&r, protected_field, h, f);
	return o.ok ? cbor_end(&r, f) : o;
}

static outcome unprotected_field(void *arg, struct cbor_label label, struct cbor_reader *value,
				 struct fault *f)
{
	struct headers *h = arg;
	struct cbor_item item;
	for (size_t i = 0; i < h->label_count; i++)
		if (cbor_label_equal(label, h->labels[i]))
			return refuse(f, REASON_CBOR_DUPLICATE, "RFC 9052 3: a label is in both headers");
	if (cbor_label_is(label, HEADER_CRIT))
		return refuse_crit(f);
	if (cbor_label_is(label, HEADER_KID)) {
		outcome o = cbor_expect(value, CBOR_BSTR, &item, f);
		h->out->unprotected_kid = item.bytes;
		return o;
	}
	h->stray_alg |= cbor_label_is(label, HEADER_ALG);
	return cbor_skip(value, NULL, f);
}

/* RFC 9052 2 and 4.2: the tag and the array of four. */
static outcome read_envelope(struct cbor_reader *r, struct fault *f)
{
	struct cbor_item item;
	outcome o = cbor_next(r, &item, f);
	if (!o.ok)
		return o;
	if (item.type == CBOR_TAG && item.number == TAG_MAC0)
		return refuse(f, REASON_COSE_MAC0,
			      "RFC 9783 9: COSE_Mac0 is not accepted; sign with an asymmetric key");
	if (item.type != CBOR_TAG || item.number != TAG_SIGN1)
		return refuse(f, REASON_COSE_STRUCTURE,
			      "RFC 9783 5.1.1: this is no tagged COSE_Sign1 (tag 18)");
	o = cbor_next(r, &item, f);
	if (o.ok && (item.type != CBOR_ARRAY || item.number != 4))
		return refuse(f, REASON_COSE_STRUCTURE, "RFC 9052 4.2: COSE_Sign1 is an array of four");
	return o;
}

static outcome read_bstr(struct cbor_reader *r, const char *what, struct bytes *out, struct fault *f)
{
	struct cbor_item item;
	outcome o = cbor_next(r, &item, f);
	if (o.ok && item.type != CBOR_BSTR)
		return refuse(f, REASON_COSE_STRUCTURE, "RFC 9052 4.2: the %s is no byte string", what);
	*out = item.bytes;
	return o;
}

outcome cose_parse(struct bytes in, struct cose_sign1 *out, struct fault *f)
{
	struct cbor_reader r = cbor_reader(in);
	*out = (struct cose_sign1){0};
	struct headers h = {.out = out};
	outcome o = read_envelope(&r, f);
	if (o.ok)
		o = read_bstr(&r, "protected header", &out->protected_header, f);
	if (o.ok)
		o = read_protected(&h, out->protected_header, f);
	if (o.ok)
		o = cbor_map(&r, unprotected_field, &h, f);
	if (o.ok)
		o = read_bstr(&r, "payload", &out->payload, f);
	if (o.ok)
		o = read_bstr(&r, "signature", &out->signature, f);
	if (o.ok)
		o = cbor_end(&r, f);
	if (!o.ok)
		return o;
	if (!h.has_alg)
		return refuse(f, REASON_COSE_NO_ALG, "RFC 9052 3.1: the protected header holds no alg%s",
			      h.stray_alg ? " (the unprotected one does)" : "");
	if (out->signature.n != algorithm_find(out->alg)->signature_size)
		return refuse(f, REASON_COSE_SIGNATURE_LENGTH,
			      "RFC 9053 2.1: a signature of %zu bytes for alg %d", out->signature.n,
			      (int)out->alg);
	return DONE;
}

static void put_sig_structure(struct buf *out, struct bytes protected_header, struct bytes payload)
{
	cbor_put_array(out, 4);
	cbor_put_tstr(out, "Signature1");
	cbor_put_bstr(out, protected_header);
	cbor_put_bstr(out, bytes_of(NULL, 0)); /* external_aad */
	cbor_put_bstr(out, payload);
}

static outcome check_key(int64_t alg, int bits, struct fault *f)
{
	const struct algorithm *a = algorithm_find(alg);
	if (!a || a->key_bits != bits)
		return refuse(f, REASON_COSE_ALG, "RFC 9053 2.1: alg %d does not go with a key of %d bits",
			      (int)alg, bits);
	return DONE;
}

/* With `key`, or else with `known`, which is of P-256. */
static outcome verify(const struct cose_sign1 *c, EVP_PKEY *key, EVP_PKEY_CTX *known, struct fault *f)
{
	struct buf message = {0};
	outcome o = check_key(c->alg, key ? ec_key_bits(key) : 256, f);
	if (!o.ok)
		return o;
	put_sig_structure(&message, c->protected_header, c->payload);
	if (message.failed)
		o = refuse(f, REASON_NO_MEMORY, "no memory for the Sig_structure");
	else if (!(key ? ecdsa_verify_raw(key, buf_view(&message), c->signature)
		       : p256_verify_known(known, buf_view(&message), c->signature)))
		o = refuse(f, REASON_SIGNATURE, "RFC 9052 4.4: the signature does not verify");
	buf_free(&message);
	return o;
}

outcome cose_verify(const struct cose_sign1 *c, EVP_PKEY *key, struct fault *f)
{
	return verify(c, key, NULL, f);
}

outcome cose_verify_known(const struct cose_sign1 *c, EVP_PKEY_CTX *verifier, struct fault *f)
{
	return verify(c, NULL, verifier, f);
}

outcome cose_sign(struct buf *out, struct bytes protected_header, struct bytes payload, EVP_PKEY *key,
		  struct fault *f)
{
	struct cose_sign1 header = {0};
	struct headers h = {.out = &header};
	struct buf message = {0};
	uint8_t signature[ECDSA_SIGNATURE_MAX];
	size_t n = 0;
	outcome o = read_protected(&h, protected_header, f);
	if (o.ok)
		o = check_key(header.alg, ec_key_bits(key), f);
	if (!o.ok)
		return o;
	put_sig_structure(&message, protected_header, payload);
	if (!message.failed)
		n = ecdsa_sign_raw(key, buf_view(&message), signature);
	buf_free(&message);
	if (n == 0)
		return crypto_fault(f, "signing a COSE_Sign1");
	cbor_put_tag(out, TAG_SIGN1);
	cbor_put_array(out, 4);
	cbor_put_bstr(out, protected_header);
	cbor_put_map(out, 0);
	cbor_put_bstr(out, payload);
	cbor_put_bstr(out, bytes_of(signature, n));
	return out->failed ? refuse(f, REASON_NO_MEMORY, "no memory for a COSE_Sign1") : DONE;
}
