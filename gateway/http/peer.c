#include "peer.h"

#include "cert.h"
#include "clock.h"

#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

static outcome check_role(X509 *cert, const char *trust_domain, const char *role, struct peer *out,
			  struct fault *f)
{
	char uri[512], expected[512];
	if (!cert_common_name(cert, out->name, sizeof out->name))
		return refuse(f, REASON_PEER_CERTIFICATE, "the client certificate has no single common name");
	if (!cert_uri(cert, uri, sizeof uri))
		return refuse(f, REASON_PEER_CERTIFICATE,
			      "the client certificate has no single URI as subject alternative name");
	snprintf(expected, sizeof expected, "spiffe://%s/service/%s/%s", trust_domain, role, out->name);
	if (strcmp(uri, expected))
		return refuse(f, REASON_PEER_ROLE, "the client certificate is for %.120s, not %.120s", uri,
			      expected);
	return DONE;
}

outcome peer_check_certificate(struct bytes pem, X509 *service_ca, const char *trust_domain, const char *role,
			       int64_t now, struct peer *out, struct fault *f)
{
	struct fault why;
	X509 *cert = pem.n ? cert_from_pem(pem) : NULL;
	outcome r = DONE;
	*out = (struct peer){0};
	if (!pem.n)
		return refuse(f, REASON_PEER_CERTIFICATE, "no client certificate was presented");
	if (!cert)
		return refuse(f, REASON_PEER_CERTIFICATE, "the client certificate cannot be read");
	if (!cert_verify(cert, service_ca, now, NID_client_auth, &why).ok)
		r = refuse(f, REASON_PEER_CERTIFICATE, "the client certificate: %s", why.text);
	if (r.ok)
		r = check_role(cert, trust_domain, role, out, f);
	if (r.ok)
		cert_dates(cert, &out->not_before, &out->not_after);
	X509_free(cert);
	return r;
}

/* ---- what this thread has verified ---- */

enum { REMEMBERED = 16 };

struct memory {
	uint8_t key[SHA256_SIZE]; /* of role and certificate */
	struct peer peer;	  /* name "" = free */
};

static _Thread_local struct memory memories[REMEMBERED];
static _Thread_local unsigned next_memory;

static void memory_key(const char *role, struct bytes pem, uint8_t key[SHA256_SIZE])
{
	const struct bytes parts[] = {bytes_of(role, strlen(role) + 1), pem};
	sha256_parts(parts, 2, key);
}

static const struct peer *recall(const uint8_t key[SHA256_SIZE], int64_t now)
{
	for (size_t i = 0; i < REMEMBERED; i++) {
		const struct peer *p = &memories[i].peer;
		if (p->name[0] && !memcmp(memories[i].key, key, SHA256_SIZE))
			return p->not_before <= now && now <= p->not_after ? p : NULL;
	}
	return NULL;
}

static void remember(const uint8_t key[SHA256_SIZE], const struct peer *peer)
{
	struct memory *m = &memories[next_memory++ % REMEMBERED];
	memcpy(m->key, key, SHA256_SIZE);
	m->peer = *peer;
}

outcome peer_check(const struct gateway *g, const struct scgi_request *r, const char *role, struct peer *out,
		   struct fault *f)
{
	uint8_t key[SHA256_SIZE];
	struct bytes pem = scgi_client_cert(r);
	int64_t now = clock_wall_s();
	memory_key(role, pem, key);
	const struct peer *known = recall(key, now);
	if (known) {
		*out = *known;
		return DONE;
	}
	outcome checked =
		peer_check_certificate(pem, g->keys.service, g->config.trust_domain, role, now, out, f);
	if (checked.ok)
		remember(key, out);
	return checked;
}
