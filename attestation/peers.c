#include "peers.h"

#include "cert.h"

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
static bool has_role(X509 *cert)
{
	static const char scheme[] = "spiffe://", role[] = "/service/gateway/";
	char uri[512];
	if (!cert_uri(cert, uri, sizeof uri) || strncmp(uri, scheme, sizeof scheme - 1))
		return false;
	const char *domain = uri + sizeof scheme - 1, *path = strchr(domain, '/');
	if (!path || path == domain || strncmp(path, role, sizeof role - 1))
		return false;
	const char *name = path + sizeof role - 1;
	return *name && !strchr(name, '/');
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
