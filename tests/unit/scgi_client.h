/*
 * scgi_client.h - the edge's side of an SCGI socket, for tests.
 */
#ifndef MOORING_SCGI_CLIENT_H
#define MOORING_SCGI_CLIENT_H

#include "common/bytes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static inline void scgi_client_param(struct buf *block, const char *name, const char *value)
{
	buf_add(block, name, strlen(name) + 1);
	buf_add(block, value, strlen(value) + 1);
}

/* extra: "NAME", "value", ..., NULL; caller frees (buf_free). */
static inline struct buf scgi_client_request(const char *method, const char *uri, struct bytes body,
					     const char *const *extra)
{
	struct buf block = {0}, whole = {0};
	char length[24];
	snprintf(length, sizeof length, "%zu", body.n);
	scgi_client_param(&block, "CONTENT_LENGTH", length);
	scgi_client_param(&block, "SCGI", "1");
	scgi_client_param(&block, "REQUEST_METHOD", method);
	scgi_client_param(&block, "REQUEST_URI", uri);
	for (size_t i = 0; extra && extra[i]; i += 2)
		scgi_client_param(&block, extra[i], extra[i + 1]);
	buf_printf(&whole, "%zu:", block.n);
	buf_bytes(&whole, buf_view(&block));
	buf_byte(&whole, ',');
	buf_bytes(&whole, body);
	buf_free(&block);
	return whole;
}

static inline int scgi_client_dial(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (connect(fd, (struct sockaddr *)&a, sizeof a)) {
		fprintf(stderr, "connect %s: %s\n", path, strerror(errno));
		abort();
	}
	return fd;
}

static inline void scgi_client_send(int fd, struct bytes b)
{
	while (b.n) {
		ssize_t n = send(fd, b.p, b.n, MSG_NOSIGNAL);
		if (n <= 0) {
			perror("send");
			abort();
		}
		b.p += n;
		b.n -= (size_t)n;
	}
}

/* Everything until the server closes, as a string; the caller frees. */
static inline char *scgi_client_read(int fd)
{
	struct buf all = {0};
	char chunk[65536];
	ssize_t n;
	while ((n = recv(fd, chunk, sizeof chunk, 0)) > 0)
		buf_add(&all, chunk, (size_t)n);
	if (n < 0) {
		perror("recv");
		abort();
	}
	close(fd);
	return buf_take_str(&all);
}

#endif
