/*
 * tls_site.h - a CA in a folder and a small HTTPS server in a thread, for tests of HTTPS clients.
 */
#ifndef MOORING_TLS_SITE_H
#define MOORING_TLS_SITE_H

#include "common/crypto/crypto.h"

#include <arpa/inet.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Answers one request (head and body as received) with a whole HTTP response, or NULL: nothing, until the client closes. */
typedef char *tls_answer(const char *head, const char *body, const char *client_name);

struct tls_site {
	char folder[64];
	int fd, port;
	atomic_int connections;
	SSL_CTX *ctx;
	tls_answer *answer;
	pthread_t thread;
};

static inline void site_path(const struct tls_site *s, const char *name, char out[128])
{
	snprintf(out, 128, "%s/%s", s->folder, name);
}

static inline void site_save(const struct tls_site *s, const char *name, X509 *cert, EVP_PKEY *key)
{
	char path[128], file[64];
	struct fault f;
	snprintf(file, sizeof file, "%s.pem", name);
	site_path(s, file, path);
	FILE *out = fopen(path, "w");
	PEM_write_X509(out, cert);
	fclose(out);
	snprintf(file, sizeof file, "%s.key", name);
	site_path(s, file, path);
	if (!key_save_private_pem(path, key, &f).ok)
		abort();
}

static inline void site_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	X509_add_ext(cert, e, -1);
	X509_EXTENSION_free(e);
}

/* san NULL: a CA, signed by itself. */
static inline void site_issue(const struct tls_site *s, const char *name, const char *san, X509 **ca,
			      EVP_PKEY **ca_key)
{
	static long serial;
	EVP_PKEY *key = p256_key_generate();
	X509 *cert = X509_new();
	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), ++serial);
	X509_gmtime_adj(X509_getm_notBefore(cert), -60);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
				   (const unsigned char *)name, -1, -1, 0);
	X509_set_pubkey(cert, key);
	X509_set_issuer_name(cert, X509_get_subject_name(san ? *ca : cert));
	site_extension(cert, san ? *ca : cert, NID_basic_constraints, san ? "CA:FALSE" : "critical,CA:TRUE");
	if (san)
		site_extension(cert, *ca, NID_subject_alt_name, san);
	X509_sign(cert, san ? *ca_key : key, EVP_sha256());
	site_save(s, name, cert, key);
	if (san) {
		X509_free(cert);
		EVP_PKEY_free(key);
		return;
	}
	*ca = cert;
	*ca_key = key;
}

/* ca, server (127.0.0.1, gw.example), client, and another CA that issued nothing here. */
static inline void site_certificates(const struct tls_site *s)
{
	X509 *ca, *other;
	EVP_PKEY *ca_key, *other_key;
	site_issue(s, "ca", NULL, &ca, &ca_key);
	site_issue(s, "server", "IP:127.0.0.1,DNS:gw.example", &ca, &ca_key);
	site_issue(s, "client", "DNS:client", &ca, &ca_key);
	site_issue(s, "other", NULL, &other, &other_key);
	X509_free(ca);
	X509_free(other);
	EVP_PKEY_free(ca_key);
	EVP_PKEY_free(other_key);
}

struct tls_guest {
	struct tls_site *site;
	int fd;
};

/* One request from a connection: false at its end. */
static inline bool site_read(SSL *ssl, char *all, size_t room, char **body)
{
	size_t n = 0, want = 0;
	for (;;) {
		int got = SSL_read(ssl, all + n, (int)(room - n - 1));
		if (got <= 0)
			return false;
		n += (size_t)got;
		all[n] = '\0';
		char *end = strstr(all, "\r\n\r\n"), *length = strcasestr(all, "\r\nContent-Length:");
		if (!end)
			continue;
		*body = end + 4;
		want = length && length < end ? (size_t)atol(length + 17) : 0;
		if (n - (size_t)(*body - all) >= want)
			return true;
	}
}

static inline void *site_serve(void *arg)
{
	struct tls_guest g = *(struct tls_guest *)arg;
	char *all = malloc(1 << 20), *body, name[64] = "";
	SSL *ssl = SSL_new(g.site->ctx);
	free(arg);
	SSL_set_fd(ssl, g.fd);
	if (SSL_accept(ssl) == 1) {
		X509 *peer = SSL_get0_peer_certificate(ssl);
		if (peer)
			X509_NAME_get_text_by_NID(X509_get_subject_name(peer), NID_commonName, name,
						  sizeof name);
		while (site_read(ssl, all, 1 << 20, &body)) {
			char *answer = g.site->answer(all, body, name);
			bool close_now = answer && strstr(answer, "Connection: close");
			if (answer)
				SSL_write(ssl, answer, (int)strlen(answer));
			free(answer);
			if (close_now)
				break;
		}
	}
	SSL_free(ssl);
	close(g.fd);
	free(all);
	return NULL;
}

static inline void *site_accept(void *arg)
{
	struct tls_site *s = arg;
	for (;;) {
		int fd = accept(s->fd, NULL, NULL);
		if (fd < 0)
			return NULL;
		struct tls_guest *g = malloc(sizeof *g);
		pthread_t t;
		*g = (struct tls_guest){s, fd};
		atomic_fetch_add(&s->connections, 1);
		if (pthread_create(&t, NULL, site_serve, g) == 0)
			pthread_detach(t);
	}
}

static inline void site_open(struct tls_site *s, tls_answer *answer)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof a;
	char cert[128], key[128], ca[128];
	*s = (struct tls_site){.folder = "/tmp/tls_site.XXXXXX", .answer = answer};
	if (!mkdtemp(s->folder))
		abort();
	site_certificates(s);
	site_path(s, "server.pem", cert);
	site_path(s, "server.key", key);
	site_path(s, "ca.pem", ca);
	s->ctx = SSL_CTX_new(TLS_server_method());
	if (SSL_CTX_use_certificate_chain_file(s->ctx, cert) != 1 ||
	    SSL_CTX_use_PrivateKey_file(s->ctx, key, SSL_FILETYPE_PEM) != 1 ||
	    SSL_CTX_load_verify_locations(s->ctx, ca, NULL) != 1)
		abort();
	SSL_CTX_set_verify(s->ctx, SSL_VERIFY_PEER, NULL);
	s->fd = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(s->fd, (struct sockaddr *)&a, sizeof a) || listen(s->fd, 64) ||
	    getsockname(s->fd, (struct sockaddr *)&a, &n))
		abort();
	s->port = ntohs(a.sin_port);
	if (pthread_create(&s->thread, NULL, site_accept, s))
		abort();
}

static inline void site_close(struct tls_site *s)
{
	static const char *const names[] = {"ca", "server", "client", "other"};
	char path[128], file[64];
	shutdown(s->fd, SHUT_RDWR);
	pthread_join(s->thread, NULL);
	close(s->fd);
	SSL_CTX_free(s->ctx);
	for (size_t i = 0; i < 4; i++)
		for (int key = 0; key < 2; key++) {
			snprintf(file, sizeof file, "%s.%s", names[i], key ? "key" : "pem");
			site_path(s, file, path);
			unlink(path);
		}
	rmdir(s->folder);
}

#endif
