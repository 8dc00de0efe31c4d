#include "peers.h"

#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REMEMBERED = 64, URI_MAX = 512 };

struct known {
	uint8_t key[SHA256_SIZE]; /* of role and certificate */
	struct peer peer;	  /* name "": an empty place */
};

struct peers {
	const struct cert_issuers *cas;
	const char *trust_domain;
	struct known known[REMEMBERED];
};

struct peers *peers_new(const struct cert_issuers *cas, const char *trust_domain)
{
	struct peers *p = calloc(1, sizeof *p);
	if (!p)
		return NULL;
	p->cas = cas;
	p->trust_domain = trust_domain;
	return p;
}

void peers_free(struct peers *p)
{
	free(p);
}

/* The name in the URI, NULL where the URI is of another form, trust domain or role. */
static const char *name_in(const char *uri, const char *trust_domain, const char *role)
{
	static const char scheme[] = "spiffe://";
	char prefix[URI_MAX];
	if (strncmp(uri, scheme, sizeof scheme - 1))
		return NULL;
	const char *domain = trust_domain ? trust_domain : uri + sizeof scheme - 1;
	size_t domain_length = strcspn(domain, "/");
	int n = snprintf(prefix, sizeof prefix, "%s%.*s/service/%s/", scheme, (int)domain_length, domain,
			 role);
	if (domain_length == 0 || n >= URI_MAX || strncmp(uri, prefix, (size_t)n))
		return NULL;
	const char *name = uri + n;
	return *name && !strchr(name, '/') && strlen(name) < PEER_NAME_SIZE ? name : NULL;
}

static outcome check_name(const struct peers *p, X509 *cert, const char *role, struct peer *out,
			  struct fault *f)
{
	char uri[URI_MAX], common_name[PEER_NAME_SIZE];
	if (!cert_uri(cert, uri, sizeof uri))
		return refuse(f, REASON_PEER_CERTIFICATE,
			      "the client certificate has no single URI as subject alternative name");
	const char *name = name_in(uri, p->trust_domain, role);
	if (!name)
		return refuse(f, REASON_PEER_ROLE,
			      "the client certificate is for %.120s, not spiffe://%.60s/service/%s/NAME", uri,
			      p->trust_domain ? p->trust_domain : "DOMAIN", role);
	if (cert_common_name(cert, common_name, sizeof common_name) && strcmp(common_name, name))
		return refuse(f, REASON_PEER_CERTIFICATE, "the client certificate has two names, %s and %s",
			      common_name, name);
	strcpy(out->name, name);
	return DONE;
}

static outcome verify(const struct peers *p, struct bytes pem, const char *role, int64_t now,
		      struct peer *out, struct fault *f)
{
	struct fault why;
	X509 *cert = pem.n ? cert_from_pem(pem) : NULL;
	outcome r = DONE;
	if (!pem.n)
		return refuse(f, REASON_PEER_CERTIFICATE, "no client certificate was presented");
	if (!cert)
		return refuse(f, REASON_PEER_CERTIFICATE, "the client certificate is not one certificate");
	if (!cert_verify_any(cert, p->cas, now, NID_client_auth, &why).ok)
		r = refuse(f, REASON_PEER_CERTIFICATE, "the client certificate: %s", why.text);
	if (r.ok)
		r = check_name(p, cert, role, out, f);
	if (r.ok && !cert_spki_sha256(cert, out->spki_sha256))
		r = refuse(f, REASON_NO_MEMORY, "no memory for a certificate");
	if (r.ok)
		cert_dates(cert, &out->not_before, &out->not_after);
	X509_free(cert);
	return r;
}

outcome peers_check(struct peers *p, struct bytes pem, const char *role, int64_t now, struct peer *out,
		    struct fault *f)
{
	const struct bytes parts[] = {bytes_of(role, strlen(role) + 1), pem};
	uint8_t key[SHA256_SIZE];
	sha256_parts(parts, 2, key);
	struct known *k = &p->known[key[0] % REMEMBERED];
	if (k->peer.name[0] && !memcmp(k->key, key, sizeof key) && k->peer.not_before <= now &&
	    now <= k->peer.not_after) {
		*out = k->peer;
		return DONE;
	}
	*out = (struct peer){0};
	outcome r = verify(p, pem, role, now, out, f);
	if (r.ok) {
		memcpy(k->key, key, sizeof key);
		k->peer = *out;
	}
	return r;
}
