#include "exchange.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HOST_SIZE = 256, REQUEST_MAX = 16384 };

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
	size_t request_size; /* 0: it is sent */
	char request[REQUEST_MAX];
	size_t answer_size, whole; /* what is there, and what it will be: 0 before the head has told */
	struct exchange_answer read;
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

outcome exchange_target_new(const char *origin, const char *ca_file, struct exchange_target **out,
			    struct fault *f)
{
	struct exchange_target *t = calloc(1, sizeof *t);
	*out = t;
	if (!t || sscanf(origin, "https://%255[^:/]:%7[0-9]", t->host, t->port) != 2)
		return refuse(f, REASON_CONFIG, "%s: not https://HOST:PORT", origin);
	t->tls = SSL_CTX_new(TLS_client_method());
	if (!t->tls || SSL_CTX_load_verify_file(t->tls, ca_file) != 1)
		return refuse(f, REASON_CONFIG, "%s: no trust anchor", ca_file);
	X509_VERIFY_PARAM *verify = SSL_CTX_get0_param(t->tls);
	if (!X509_VERIFY_PARAM_set1_ip_asc(verify, t->host) &&
	    !X509_VERIFY_PARAM_set1_host(verify, t->host, 0))
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
	struct exchange *x = malloc(sizeof *x);
	*out = x;
	if (!x)
		return refuse(f, REASON_NO_MEMORY, "no memory for a connection");
	*x = (struct exchange){.target = t};
	x->fd = socket(t->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (x->fd < 0 || setsockopt(x->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)) ||
	    (connect(x->fd, (const struct sockaddr *)&t->address, t->address_size) && errno != EINPROGRESS))
		return refuse(f, REASON_UNREACHABLE, "%s:%s: %s", t->host, t->port, strerror(errno));
	x->tls = SSL_new(t->tls);
	if (!x->tls || !SSL_set_fd(x->tls, x->fd))
		return refuse(f, REASON_NO_MEMORY, "no memory for a connection");
	SSL_set_connect_state(x->tls);
	return DONE;
}

void exchange_close(struct exchange *x)
{
	if (!x)
		return;
	if (x->tls && SSL_is_init_finished(x->tls))
		SSL_shutdown(x->tls);
	SSL_free(x->tls);
	if (x->fd >= 0)
		close(x->fd);
	free(x);
}

int exchange_socket(const struct exchange *x)
{
	return x->fd;
}

outcome exchange_post(struct exchange *x, const char *path, struct bytes body, struct fault *f)
{
	int head = snprintf(x->request, sizeof x->request,
			    "POST %s HTTP/1.1\r\nHost: %s:%s\r\nContent-Type: application/json\r\n"
			    "Content-Length: %zu\r\n\r\n",
			    path, x->target->host, x->target->port, body.n);
	if (head < 0 || (size_t)head + body.n > sizeof x->request)
		return refuse(f, REASON_TOO_LARGE, "a body of %zu bytes", body.n);
	memcpy(x->request + head, body.p, body.n);
	x->request_size = (size_t)head + body.n;
	x->answer_size = x->whole = 0;
	return DONE;
}

/* The head, as soon as it is there: what the edge answers has always a length. */
static bool read_head(struct exchange *x)
{
	const char *end = strstr(x->answer, "\r\n\r\n"),
		   *length = strcasestr(x->answer, "\r\nContent-Length:");
	if (!end)
		return true;
	if (!length || length > end || sscanf(x->answer, "HTTP/1.1 %d", &x->read.status) != 1)
		return false;
	x->read.body = bytes_of(end + 4, strtoul(length + strlen("\r\nContent-Length:"), NULL, 10));
	x->whole = (size_t)(end + 4 - x->answer) + x->read.body.n;
	return x->whole <= EXCHANGE_ANSWER_MAX;
}

static enum exchange_step wanted(const struct exchange *x, int rc)
{
	int error = SSL_get_error(x->tls, rc);
	return error == SSL_ERROR_WANT_READ    ? EXCHANGE_READS
	       : error == SSL_ERROR_WANT_WRITE ? EXCHANGE_WRITES
					       : EXCHANGE_FAILED;
}

enum exchange_step exchange_step(struct exchange *x, struct exchange_answer *out)
{
	if (x->request_size) {
		int sent = SSL_write(x->tls, x->request, (int)x->request_size);
		if (sent <= 0)
			return wanted(x, sent);
		x->request_size = 0;
	}
	while (!x->whole || x->answer_size < x->whole) {
		size_t room = EXCHANGE_ANSWER_MAX - x->answer_size;
		int got = SSL_read(x->tls, x->answer + x->answer_size, (int)room);
		if (got <= 0)
			return room ? wanted(x, got) : EXCHANGE_FAILED;
		x->answer[x->answer_size += (size_t)got] = 0;
		if (!x->whole && !read_head(x))
			return EXCHANGE_FAILED;
	}
	*out = x->read;
	return EXCHANGE_ANSWERED;
}
