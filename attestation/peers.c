#include "peers.h"

#include "cert.h"

#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

enum { REMEMBERED = 64, REMEMBER_S = 300, PEM_MAX = 16384 };

struct known {
	uint8_t hash[SHA256_SIZE];
	int64_t until; /* Unix seconds; 0: an empty place */
};

struct peers {
	X509 *ca;
	struct known known[REMEMBERED];
};

outcome peers_new(struct bytes ca, struct peers **out, struct fault *f)
{
	struct peers *p = calloc(1, sizeof *p);
	*out = p;
	if (p && (p->ca = cert_from_pem(ca)))
		return DONE;
	free(p);
	*out = NULL;
	return refuse(f, REASON_CONFIG, "relying_party_ca: not exactly one certificate");
}

void peers_free(struct peers *p)
{
	if (!p)
		return;
	X509_free(p->ca);
	free(p);
}

/* spiffe://<trust domain>/service/gateway/<name>: three parts after the domain, none empty. */
static bool is_gateway_uri(const ASN1_IA5STRING *uri)
{
	static const char scheme[] = "spiffe://", role[] = "/service/gateway/";
	const char *p = (const char *)ASN1_STRING_get0_data(uri);
	size_t n = (size_t)ASN1_STRING_length(uri), skip = sizeof scheme - 1;
	if (memchr(p, 0, n) || n < skip || memcmp(p, scheme, skip))
		return false;
	const char *path = memchr(p + skip, '/', n - skip);
	size_t rest = path ? n - (size_t)(path - p) : 0;
	return path != p + skip && rest > sizeof role - 1 && !memcmp(path, role, sizeof role - 1) &&
	       !memchr(path + sizeof role - 1, '/', rest - (sizeof role - 1));
}

static bool has_role(X509 *cert)
{
	bool found = false;
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
		found = found || (name->type == GEN_URI && is_gateway_uri(name->d.uniformResourceIdentifier));
	}
	GENERAL_NAMES_free(names);
	return found;
}

static void remember(struct peers *p, const uint8_t hash[SHA256_SIZE], int64_t until)
{
	struct known *k = &p->known[hash[0] % REMEMBERED];
	memcpy(k->hash, hash, SHA256_SIZE);
	k->until = until;
}

static outcome verify(struct peers *p, struct bytes pem, const uint8_t hash[SHA256_SIZE], int64_t now,
		      struct fault *f)
{
	int64_t not_before, not_after;
	X509 *cert = cert_from_pem(pem);
	if (!cert)
		return refuse(f, REASON_PEER_CERTIFICATE, "the client certificate is not one certificate");
	outcome r = cert_verify(cert, p->ca, now, NID_client_auth, f);
	if (r.ok && !has_role(cert))
		r = refuse(f, REASON_PEER_ROLE, "the client certificate names no service of role gateway");
	if (r.ok) {
		cert_dates(cert, &not_before, &not_after);
		remember(p, hash, not_after < now + REMEMBER_S ? not_after : now + REMEMBER_S);
	}
	X509_free(cert);
	return r;
}

outcome peers_check(struct peers *p, struct bytes pem, int64_t now, struct fault *f)
{
	uint8_t hash[SHA256_SIZE];
	if (pem.n == 0)
		return refuse(f, REASON_PEER_CERTIFICATE, "a relying party shows a client certificate");
	if (pem.n > PEM_MAX)
		return refuse(f, REASON_PEER_CERTIFICATE, "the client certificate is too large");
	sha256(pem, hash);
	const struct known *k = &p->known[hash[0] % REMEMBERED];
	if (now < k->until && !memcmp(k->hash, hash, SHA256_SIZE))
		return DONE;
	return verify(p, pem, hash, now, f);
}
