#include "exchange.h"

#include "fault.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { TIMEOUT_S = 30, HOST_SIZE = 256, REQUEST_MAX = 16384 };

struct exchange_target {
	SSL_CTX *tls;
	char host[HOST_SIZE], port[8];
	struct sockaddr_storage address;
	socklen_t address_size;
};

struct exchange {
	const struct exchange_target *target;
	int fd;
	SSL *tls;
	char answer[EXCHANGE_ANSWER_MAX + 1];
};

static outcome look_up(struct exchange_target *t, struct fault *f)
{
	struct addrinfo want = {.ai_socktype = SOCK_STREAM}, *found = NULL;
	if (getaddrinfo(t->host, t->port, &want, &found))
		return refuse(f, REASON_UNREACHABLE, "%s: no such host", t->host);
	memcpy(&t->address, found->ai_addr, found->ai_addrlen);
	t->address_size = found->ai_addrlen;
	freeaddrinfo(found);
	return DONE;
}

outcome exchange_target_new(const char *origin, const char *ca_file, struct exchange_target **out, struct fault *f)
{
	struct exchange_target *t = calloc(1, sizeof *t);
	*out = t;
	if (!t || sscanf(origin, "https://%255[^:/]:%7[0-9]", t->host, t->port) != 2)
		return refuse(f, REASON_CONFIG, "%s: not https://HOST:PORT", origin);
	t->tls = SSL_CTX_new(TLS_client_method());
	if (!t->tls || SSL_CTX_load_verify_file(t->tls, ca_file) != 1)
		return refuse(f, REASON_CONFIG, "%s: no trust anchor", ca_file);
	X509_VERIFY_PARAM *verify = SSL_CTX_get0_param(t->tls);
	if (!X509_VERIFY_PARAM_set1_ip_asc(verify, t->host) && !X509_VERIFY_PARAM_set1_host(verify, t->host, 0))
		return refuse(f, REASON_CONFIG, "%s: no name to verify", t->host);
	SSL_CTX_set_verify(t->tls, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_session_cache_mode(t->tls, SSL_SESS_CACHE_OFF);
	return look_up(t, f);
}

void exchange_target_free(struct exchange_target *t)
{
	if (!t)
		return;
	SSL_CTX_free(t->tls);
	free(t);
}

outcome exchange_open(const struct exchange_target *t, struct exchange **out, struct fault *f)
{
	struct exchange *x = calloc(1, sizeof *x);
	struct timeval limit = {.tv_sec = TIMEOUT_S};
	*out = x;
	if (!x)
		return refuse(f, REASON_NO_MEMORY, "no memory for a connection");
	x->target = t;
	x->fd = socket(t->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (x->fd < 0 || setsockopt(x->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)) ||
	    setsockopt(x->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) ||
	    setsockopt(x->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) ||
	    connect(x->fd, (const struct sockaddr *)&t->address, t->address_size))
		return refuse(f, REASON_UNREACHABLE, "%s:%s: %s", t->host, t->port, strerror(errno));
	x->tls = SSL_new(t->tls);
	if (!x->tls || !SSL_set_fd(x->tls, x->fd) || SSL_connect(x->tls) != 1)
		return refuse(f, REASON_UNREACHABLE, "%s:%s: no TLS handshake", t->host, t->port);
	return DONE;
}

void exchange_close(struct exchange *x)
{
	if (!x)
		return;
	if (x->tls)
		SSL_shutdown(x->tls);
	SSL_free(x->tls);
	if (x->fd >= 0)
		close(x->fd);
	free(x);
}

static bool send_request(struct exchange *x, const char *path, struct bytes body)
{
	char request[REQUEST_MAX];
	int head = snprintf(request, sizeof request,
			    "POST %s HTTP/1.1\r\nHost: %s:%s\r\nContent-Type: application/json\r\n"
			    "Content-Length: %zu\r\n\r\n",
			    path, x->target->host, x->target->port, body.n);
	if (head < 0 || (size_t)head + body.n > sizeof request)
		return false;
	memcpy(request + head, body.p, body.n);
	return SSL_write(x->tls, request, head + (int)body.n) == head + (int)body.n;
}

/* The head and Content-Length bytes after it: what the edge answers has always a length. */
static bool read_answer(struct exchange *x, struct exchange_answer *out)
{
	size_t n = 0, want = SIZE_MAX;
	while (n < want) {
		int got = n < EXCHANGE_ANSWER_MAX ? SSL_read(x->tls, x->answer + n, (int)(EXCHANGE_ANSWER_MAX - n)) : 0;
		if (got <= 0)
			return false;
		x->answer[n += (size_t)got] = 0;
		const char *end = want == SIZE_MAX ? strstr(x->answer, "\r\n\r\n") : NULL, *length;
		if (!end)
			continue;
		length = strcasestr(x->answer, "\r\nContent-Length:");
		if (!length || length > end || sscanf(x->answer, "HTTP/1.1 %d", &out->status) != 1)
			return false;
		out->body.p = (const uint8_t *)end + 4;
		out->body.n = strtoul(length + 17, NULL, 10);
		want = (size_t)(end + 4 - x->answer) + out->body.n;
	}
	return true;
}

outcome exchange_post(struct exchange *x, const char *path, struct bytes body, struct exchange_answer *out, struct fault *f)
{
	if (!send_request(x, path, body) || !read_answer(x, out))
		return refuse(f, REASON_UNREACHABLE, "%s: no whole answer", path);
	return DONE;
}
