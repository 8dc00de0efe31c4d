#include "psa_channel.h"

#include <errno.h>
#include <sys/socket.h>

bool psa_channel_send(int fd, struct bytes message)
{
	while (message.n) {
		ssize_t n = send(fd, message.p, message.n, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		message.p += n;
		message.n -= (size_t)n;
	}
	return true;
}

static bool receive_exactly(int fd, uint8_t *into, size_t n)
{
	while (n) {
		ssize_t got = recv(fd, into, n, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		into += got;
		n -= (size_t)got;
	}
	return true;
}

bool psa_channel_receive(int fd, uint8_t into[PSA_MESSAGE_MAX], struct bytes *body)
{
	uint8_t head[PSA_LENGTH_SIZE];
	body->p = into;
	return receive_exactly(fd, head, sizeof head) && psa_length_decode(head, &body->n) &&
	       receive_exactly(fd, into, body->n);
}
