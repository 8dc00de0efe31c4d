#include "lint_internal.h"

#include "oid.h"
#include "common/crypto/der.h"

#include <stdio.h>
#include <string.h>

enum {
	DER_BOOLEAN = 0x01,
	DER_OCTET_STRING = 0x04,
	NAME_EMAIL = 0x81,
	NAME_DNS = 0x82,
	NAME_URI = 0x86,
	NAME_IP = 0x87,
	ROLE_MAX = 16
};

static bool is_ca(const struct lint_reading *r)
{
	return r->expect->profile->path_length != PATH_LENGTH_NONE;
}

static bool basic_constraints(const struct lint_reading *r, struct bytes value)
{
	struct der_item list, ca, length;
	if (!der_take(&value, DER_SEQUENCE, &list) || value.n)
		return false;
	if (!is_ca(r))
		return list.contents.n == 0;
	return der_take(&list.contents, DER_BOOLEAN, &ca) && ca.contents.n == 1 && ca.contents.p[0] == 0xff &&
	       der_take(&list.contents, DER_INTEGER, &length) && list.contents.n == 0 &&
	       length.contents.n == 1 && length.contents.p[0] == r->expect->profile->path_length;
}

static bool key_usage(const struct lint_reading *r, struct bytes value)
{
	return bytes_equal(value, bytes_of(r->expect->profile->key_usage, KEY_USAGE_SIZE));
}

static bool has_ext_key_usage(const struct lint_reading *r)
{
	return r->expect->profile->client_auth || r->expect->profile->server_auth;
}

static bool ext_key_usage(const struct lint_reading *r, struct bytes value)
{
	struct der_item list, purpose;
	bool client = false, server = false;
	if (!der_take(&value, DER_SEQUENCE, &list) || value.n)
		return false;
	while (list.contents.n) {
		if (!der_take(&list.contents, DER_OID, &purpose))
			return false;
		bool *seen = bytes_equal(purpose.contents, bytes_str(OID_CLIENT_AUTH))	 ? &client
			     : bytes_equal(purpose.contents, bytes_str(OID_SERVER_AUTH)) ? &server
											 : NULL;
		if (!seen || *seen)
			return false;
		*seen = true;
	}
	return client == r->expect->profile->client_auth && server == r->expect->profile->server_auth;
}

static bool subject_key_id(const struct lint_reading *r, struct bytes value)
{
	struct der_item id;
	uint8_t hash[SHA256_SIZE];
	sha256(r->key_bits, hash);
	return der_take(&value, DER_OCTET_STRING, &id) && value.n == 0 &&
	       bytes_equal(id.contents, bytes_of(hash, KEY_ID_SIZE));
}

static bool authority_key_id(const struct lint_reading *r, struct bytes value)
{
	const struct issuer *issuer = r->expect->issuer;
	struct der_item list, id;
	return der_take(&value, DER_SEQUENCE, &list) && value.n == 0 && der_take(&list.contents, 0x80, &id) &&
	       list.contents.n == 0 &&
	       bytes_equal(id.contents, bytes_of(issuer->key_id, issuer->key_id_size));
}

/* Takes `prefix` off `text`. */
static bool take_text(struct bytes *text, const char *prefix)
{
	size_t n = strlen(prefix);
	if (text->n < n || memcmp(text->p, prefix, n))
		return false;
	*text = bytes_of(text->p + n, text->n - n);
	return true;
}

/* A service's URI names its role between kind and name: lower-case letters. */
static bool take_role(struct bytes *text)
{
	size_t n = 0;
	while (n < text->n && text->p[n] >= 'a' && text->p[n] <= 'z')
		n++;
	*text = bytes_of(text->p + n, text->n - n);
	return n > 0 && n <= ROLE_MAX && take_text(text, "/");
}

/* The URI says who the certificate is for in the same words as the common name. */
static bool names_the_subject(const struct lint_reading *r, struct bytes uri)
{
	const char *kind = r->expect->profile->uri_kind;
	if (!take_text(&uri, "spiffe://") || !take_text(&uri, r->expect->trust_domain))
		return false;
	if (is_ca(r))
		return uri.n == 0;
	return take_text(&uri, "/") && take_text(&uri, kind) && take_text(&uri, "/") &&
	       (strcmp(kind, "service") || take_role(&uri)) && bytes_equal(uri, bytes_str(r->common_name));
}

static bool host_name(const struct der_item *name)
{
	if (name->tag == NAME_IP)
		return name->contents.n == 4 || name->contents.n == 16;
	return name->tag == NAME_DNS && name->contents.n > 0 &&
	       !memchr(name->contents.p, 0, name->contents.n);
}

static bool subject_alt_name(const struct lint_reading *r, struct bytes value)
{
	struct der_item list, name;
	if (!der_take(&value, DER_SEQUENCE, &list) || value.n || !der_take(&list.contents, NAME_URI, &name) ||
	    !names_the_subject(r, name.contents))
		return false;
	while (list.contents.n)
		if (!r->expect->profile->host_names || !der_next(&list.contents, &name) || !host_name(&name))
			return false;
	return true;
}

static bool has_name_constraints(const struct lint_reading *r)
{
	return r->expect->profile->constrained;
}

static bool subtree(struct bytes *in, uint8_t tag, struct bytes base)
{
	struct der_item tree, name;
	return der_take(in, DER_SEQUENCE, &tree) && der_take(&tree.contents, tag, &name) &&
	       tree.contents.n == 0 && bytes_equal(name.contents, base);
}

static bool name_constraints(const struct lint_reading *r, struct bytes value)
{
	static const uint8_t zeros[32];
	struct der_item list, permitted, excluded;
	return der_take(&value, DER_SEQUENCE, &list) && value.n == 0 &&
	       der_take(&list.contents, 0xa0, &permitted) && der_take(&list.contents, 0xa1, &excluded) &&
	       list.contents.n == 0 &&
	       subtree(&permitted.contents, NAME_URI, bytes_str(r->expect->trust_domain)) &&
	       permitted.contents.n == 0 && subtree(&excluded.contents, NAME_DNS, bytes_str("")) &&
	       subtree(&excluded.contents, NAME_EMAIL, bytes_str("")) &&
	       subtree(&excluded.contents, NAME_IP, bytes_of(zeros, 8)) &&
	       subtree(&excluded.contents, NAME_IP, bytes_of(zeros, 32)) && excluded.contents.n == 0;
}

/* Every extension that a certificate may hold, in the one order that we write. */
static const struct {
	const char *oid;
	bool critical;
	bool (*wanted)(const struct lint_reading *r); /* NULL: always */
	bool (*right)(const struct lint_reading *r, struct bytes value);
	const char *rule;
} extensions[] = {
	{OID_BASIC_CONSTRAINTS, true, NULL, basic_constraints, "RFC 5280 4.2.1.9: basicConstraints"},
	{OID_KEY_USAGE, true, NULL, key_usage, "RFC 5280 4.2.1.3: keyUsage"},
	{OID_EXT_KEY_USAGE, false, has_ext_key_usage, ext_key_usage, "RFC 5280 4.2.1.12: extKeyUsage"},
	{OID_SUBJECT_KEY_ID, false, NULL, subject_key_id, "RFC 5280 4.2.1.2: subjectKeyIdentifier"},
	{OID_AUTHORITY_KEY_ID, false, NULL, authority_key_id, "RFC 5280 4.2.1.1: authorityKeyIdentifier"},
	{OID_SUBJECT_ALT_NAME, false, NULL, subject_alt_name, "RFC 5280 4.2.1.6: subjectAltName"},
	{OID_NAME_CONSTRAINTS, true, has_name_constraints, name_constraints,
	 "RFC 5280 4.2.1.10: nameConstraints"},
};

/* X.690 11.5: a default value, critical FALSE, is not written. */
static bool take_extension(struct bytes *in, const char *oid, bool critical, struct bytes *value)
{
	struct der_item extension, id, flag, octets;
	if (!der_take(in, DER_SEQUENCE, &extension) || !der_take(&extension.contents, DER_OID, &id) ||
	    !bytes_equal(id.contents, bytes_str(oid)))
		return false;
	if (critical && (!der_take(&extension.contents, DER_BOOLEAN, &flag) || flag.contents.n != 1 ||
			 flag.contents.p[0] != 0xff))
		return false;
	if (!der_take(&extension.contents, DER_OCTET_STRING, &octets) || extension.contents.n)
		return false;
	*value = octets.contents;
	return true;
}

outcome lint_extensions(const struct lint_reading *r, struct bytes in, struct fault *f)
{
	struct bytes value;
	for (size_t i = 0; i < sizeof extensions / sizeof *extensions; i++) {
		if (extensions[i].wanted && !extensions[i].wanted(r))
			continue;
		if (!take_extension(&in, extensions[i].oid, extensions[i].critical, &value) ||
		    !extensions[i].right(r, value))
			return refuse(f, REASON_SIGNER_LINT, "%s is not the profile's \"%s\"",
				      extensions[i].rule, r->expect->profile->name);
	}
	return in.n ? lint_refuse(f, "RFC 5280 4.2: an extension that the profile does not have") : DONE;
}
