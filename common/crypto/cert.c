#include "cert.h"

#include "common/file.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

enum { PEM_FILE_MAX = 65536, THING_HASH_BYTES = 15, PEM_LINE = 64 };

void cert_fingerprint(struct bytes der, uint8_t out[FINGERPRINT_SIZE])
{
	sha256(der, out);
}

void cert_thing_name(struct bytes salt, const uint8_t instance_id[INSTANCE_ID_SIZE],
		     char out[THING_NAME_SIZE])
{
	const struct bytes parts[] = {bytes_str("mooring-thing/1"), salt, {instance_id, INSTANCE_ID_SIZE}};
	uint8_t hash[SHA256_SIZE];
	sha256_parts(parts, sizeof parts / sizeof *parts, hash);
	base32_encode_lower(bytes_of(hash, THING_HASH_BYTES), out);
}

X509 *cert_from_der(struct bytes der)
{
	const uint8_t *p = der.p;
	X509 *cert = der.n && der.n <= CERT_DER_MAX ? X509_new_ex(crypto_ctx(), NULL) : NULL;
	/* On failure OpenSSL has freed it and set it to NULL, or left it to us. */
	bool read = cert && d2i_X509(&cert, &p, (long)der.n) && p == der.p + der.n;
	if (!read) {
		X509_free(cert);
		cert = NULL;
	}
	ERR_clear_error();
	return cert;
}

static X509 *next_pem(BIO *bio)
{
	char *name = NULL, *header = NULL;
	unsigned char *der = NULL;
	long n = 0;
	X509 *cert = NULL;
	if (PEM_read_bio(bio, &name, &header, &der, &n) == 1 && !strcmp(name, PEM_STRING_X509) && n > 0)
		cert = cert_from_der(bytes_of(der, (size_t)n));
	OPENSSL_free(name);
	OPENSSL_free(header);
	OPENSSL_free(der);
	return cert;
}

/* Nothing but white space is left: a second block, or half of one, makes the first one doubtful. */
static bool at_end(BIO *bio)
{
	char c;
	while (BIO_read(bio, &c, 1) == 1)
		if (!strchr(" \t\r\n", c))
			return false;
	return true;
}

X509 *cert_from_pem(struct bytes pem)
{
	BIO *bio = pem.n && pem.n <= PEM_FILE_MAX ? BIO_new_mem_buf(pem.p, (int)pem.n) : NULL;
	X509 *cert = bio ? next_pem(bio) : NULL;
	if (cert && !at_end(bio)) {
		X509_free(cert);
		cert = NULL;
	}
	BIO_free(bio);
	ERR_clear_error();
	return cert;
}

outcome cert_load_pem(const char *path, X509 **out, struct fault *f)
{
	struct buf text = {0};
	outcome o = file_read(path, PEM_FILE_MAX, &text, f);
	if (!o.ok)
		return o;
	*out = cert_from_pem(buf_view(&text));
	buf_free(&text);
	return *out ? DONE
		    : refuse(f, REASON_CRYPTO, "%s: not exactly one certificate in PEM (RFC 7468 5)", path);
}

/* What follows the first certificate, blank lines left out; n = 0 at the end, or where there is none. */
static struct bytes after_first(struct bytes pem)
{
	static const char end[] = "-----END CERTIFICATE-----";
	const uint8_t *at = pem.n ? memmem(pem.p, pem.n, end, sizeof end - 1) : NULL;
	if (!at)
		return bytes_of(NULL, 0);
	at += sizeof end - 1;
	while (at < pem.p + pem.n && (*at == '\n' || *at == '\r'))
		at++;
	return bytes_of(at, (size_t)(pem.p + pem.n - at));
}

outcome cert_load_pems(const char *path, X509 **out, size_t room, size_t *count, struct fault *f)
{
	struct buf text = {0};
	struct bytes rest, after;
	*count = 0;
	outcome o = file_read(path, PEM_FILE_MAX, &text, f);
	if (!o.ok)
		return o;
	for (rest = buf_view(&text); o.ok && (rest.n || !*count); rest = after) {
		after = after_first(rest);
		if (*count == room)
			o = refuse(f, REASON_CRYPTO, "%s: more than %zu certificates", path, room);
		else if ((out[*count] = cert_from_pem(bytes_of(rest.p, rest.n - after.n))))
			++*count;
		else
			o = refuse(f, REASON_CRYPTO, "%s: certificate %zu is not one in PEM (RFC 7468 5)",
				   path, *count + 1);
	}
	buf_free(&text);
	while (!o.ok && *count)
		X509_free(out[--*count]);
	return o;
}

bool cert_to_pem(struct bytes der, struct buf *out)
{
	char text[BASE64_SIZE(CERT_DER_MAX)];
	if (der.n == 0 || der.n > CERT_DER_MAX)
		return false;
	base64_encode(der, text);
	size_t n = strlen(text);
	buf_str(out, "-----BEGIN CERTIFICATE-----\n");
	for (size_t i = 0; i < n; i += PEM_LINE) {
		buf_add(out, text + i, n - i < PEM_LINE ? n - i : PEM_LINE);
		buf_byte(out, '\n');
	}
	buf_str(out, "-----END CERTIFICATE-----\n");
	return !out->failed;
}

bool cert_to_der(X509 *cert, struct buf *out)
{
	uint8_t *der = NULL;
	int n = i2d_X509(cert, &der);
	if (n > 0)
		buf_add(out, der, (size_t)n);
	OPENSSL_free(der);
	ERR_clear_error();
	return n > 0 && !out->failed;
}

bool cert_spki_sha256(X509 *cert, uint8_t out[SHA256_SIZE])
{
	uint8_t *der = NULL;
	int n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);
	if (n <= 0)
		return false;
	sha256(bytes_of(der, (size_t)n), out);
	OPENSSL_free(der);
	return true;
}

bool cert_common_name(X509 *cert, char *out, size_t room)
{
	X509_NAME *subject = X509_get_subject_name(cert);
	int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
	if (at < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0)
		return false;
	uint8_t *utf8 = NULL;
	int n = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
	bool fits = n > 0 && (size_t)n < room && !memchr(utf8, 0, (size_t)n);
	if (fits) {
		memcpy(out, utf8, (size_t)n);
		out[n] = '\0';
	}
	OPENSSL_free(utf8);
	ERR_clear_error();
	return fits;
}

static bool take_uri(const ASN1_IA5STRING *uri, char *out, size_t room)
{
	const uint8_t *p = ASN1_STRING_get0_data(uri);
	int n = ASN1_STRING_length(uri);
	bool fits = n > 0 && (size_t)n < room && !memchr(p, 0, (size_t)n);
	if (fits) {
		memcpy(out, p, (size_t)n);
		out[n] = '\0';
	}
	return fits;
}

bool cert_uri(X509 *cert, char *out, size_t room)
{
	int count = 0;
	bool fits = false;
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
		if (name->type == GEN_URI && ++count == 1)
			fits = take_uri(name->d.uniformResourceIdentifier, out, room);
	}
	GENERAL_NAMES_free(names);
	ERR_clear_error();
	return fits && count == 1;
}

static int64_t unix_time(const ASN1_TIME *t, int64_t otherwise)
{
	struct tm tm;
	return ASN1_TIME_to_tm(t, &tm) == 1 ? timegm(&tm) : otherwise;
}

/* An unreadable date gives an empty validity. */
void cert_dates(X509 *cert, int64_t *not_before, int64_t *not_after)
{
	*not_before = unix_time(X509_get0_notBefore(cert), INT64_MAX);
	*not_after = unix_time(X509_get0_notAfter(cert), INT64_MIN);
}

static outcome check_issuer(X509 *leaf, X509 *issuer, struct fault *f)
{
	int match = X509_check_issued(issuer, leaf);
	if (match != X509_V_OK)
		return refuse(f, REASON_PEER_CERTIFICATE,
			      "RFC 5280 6.1.3: the certificate is of another issuer: %s",
			      X509_verify_cert_error_string(match));
	if (X509_check_ca(issuer) != 1)
		return refuse(f, REASON_PEER_CERTIFICATE, "RFC 5280 4.2.1.9: the issuer is no CA");
	return DONE;
}

static outcome check_validity(X509 *leaf, int64_t now, struct fault *f)
{
	int64_t not_before, not_after;
	cert_dates(leaf, &not_before, &not_after);
	if (now < not_before)
		return refuse(f, REASON_PEER_CERTIFICATE,
			      "RFC 5280 4.1.2.5: the certificate is not valid yet");
	if (now > not_after)
		return refuse(f, REASON_CERTIFICATE_EXPIRED, "RFC 5280 4.1.2.5: the certificate has expired");
	return DONE;
}

static outcome check_use(X509 *leaf, int purpose, struct fault *f)
{
	uint32_t wanted = purpose == NID_client_auth ? XKU_SSL_CLIENT : XKU_SSL_SERVER;
	uint32_t flags = X509_get_extension_flags(leaf);
	if (flags & (EXFLAG_INVALID | EXFLAG_CRITICAL))
		return refuse(f, REASON_PEER_CERTIFICATE,
			      "RFC 5280 4.2: an extension is malformed, or critical and unknown");
	if (X509_check_ca(leaf) != 0)
		return refuse(f, REASON_PEER_CERTIFICATE,
			      "RFC 5280 4.2.1.9: a CA's certificate is no end-entity certificate");
	if (!(flags & EXFLAG_XKUSAGE) || !(X509_get_extended_key_usage(leaf) & wanted))
		return refuse(f, REASON_PEER_CERTIFICATE,
			      "RFC 5280 4.2.1.12: the extended key usage lacks %s", OBJ_nid2ln(purpose));
	if (flags & EXFLAG_KUSAGE && !(X509_get_key_usage(leaf) & KU_DIGITAL_SIGNATURE))
		return refuse(f, REASON_PEER_CERTIFICATE,
			      "RFC 5280 4.2.1.3: the key usage lacks digitalSignature");
	return DONE;
}

/* The signature comes last: it is what costs. */
outcome cert_verify(X509 *leaf, X509 *issuer, int64_t now, int purpose, struct fault *f)
{
	outcome o = check_issuer(leaf, issuer, f);
	if (o.ok)
		o = check_validity(leaf, now, f);
	if (o.ok)
		o = check_use(leaf, purpose, f);
	if (o.ok && X509_verify(leaf, X509_get0_pubkey(issuer)) != 1)
		o = refuse(f, REASON_PEER_CERTIFICATE,
			   "RFC 5280 6.1.3: the certificate's signature does not verify");
	ERR_clear_error();
	return o;
}

outcome cert_issuers_load(const char *path, struct cert_issuers *out, struct fault *f)
{
	return cert_load_pems(path, out->certs, CERT_ISSUERS_MAX, &out->count, f);
}

void cert_issuers_free(struct cert_issuers *i)
{
	while (i->count)
		X509_free(i->certs[--i->count]);
}

size_t cert_issuer_of(const struct cert_issuers *i, X509 *leaf)
{
	for (size_t at = 0; at < i->count; at++)
		if (X509_check_issued(i->certs[at], leaf) == X509_V_OK)
			return at;
	return 0;
}

outcome cert_verify_any(X509 *leaf, const struct cert_issuers *issuers, int64_t now, int purpose,
			struct fault *f)
{
	outcome o = cert_verify(leaf, issuers->certs[cert_issuer_of(issuers, leaf)], now, purpose, f);
	/* Two of one name, and a leaf without an identifier of its issuer's key. */
	for (size_t i = 0; !o.ok && i < issuers->count; i++)
		if (X509_check_issued(issuers->certs[i], leaf) == X509_V_OK)
			o = cert_verify(leaf, issuers->certs[i], now, purpose, f);
	return o;
}
