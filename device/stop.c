#include "stop.h"

#include "common/clock.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static int fd = -1;
static volatile sig_atomic_t at_once;

static void on_signal(int number)
{
	int error = errno;
	uint64_t one = 1;
	(void)number;
	if (at_once)
		_exit(0);
	if (write(fd, &one, sizeof one) < 0) {
		/* it was requested already */
	}
	errno = error;
}

outcome stop_catch(struct fault *f)
{
	/* No SA_RESTART: a blocking connect ends as well. */
	struct sigaction action = {.sa_handler = on_signal};
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd < 0)
		return refuse(f, REASON_IO, "eventfd: %s", strerror(errno));
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	return DONE;
}

void stop_at_once(bool on)
{
	at_once = on;
}

int stop_fd(void)
{
	return fd;
}

bool stop_pause(void *arg, int64_t ms)
{
	int64_t until = clock_monotonic_ms() + ms;
	(void)arg;
	for (;;) {
		int64_t left = until - clock_monotonic_ms();
		struct pollfd p = {.fd = fd, .events = POLLIN};
		if (poll(&p, 1, left < 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left) == 1)
			return false;
		if (left <= 0)
			return true;
	}
}
