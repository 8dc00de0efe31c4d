#include "renew.h"

#include "common/clock.h"
#include "common/thread.h"
#include "report.h"
#include "stop.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct renewal {
	struct device device; /* a copy, with a root and a pause of this thread's own */
	struct buf root_der;
	char certificate_id[HEX_SIZE(FINGERPRINT_SIZE)];
	pthread_t thread;
	int ended, cancelled; /* eventfds */
	outcome outcome;
	struct fault fault;
	struct enrol_answer answer;
};

int64_t renewal_due(int64_t certified_at, int64_t not_after, uint32_t random)
{
	/* Thousandths of the life: 2/3 * 0.9 = 600 to 2/3 * 1.1 = 733. */
	int64_t life = not_after > certified_at ? not_after - certified_at : 0;
	int64_t thousandths = 600 + (int64_t)((uint64_t)random * 134 >> 32);
	return certified_at + life * thousandths / 1000;
}

static void set_event(int fd)
{
	uint64_t one = 1;
	if (write(fd, &one, sizeof one) < 0) {
		/* set already */
	}
}

static bool pause_renewal(void *arg, int64_t ms)
{
	const struct renewal *r = arg;
	int64_t until = clock_monotonic_ms() + ms;
	for (;;) {
		int64_t left = until - clock_monotonic_ms();
		struct pollfd p[] = {{.fd = r->cancelled, .events = POLLIN},
				     {.fd = stop_fd(), .events = POLLIN}};
		if (poll(p, 2, left < 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left) > 0)
			return false;
		if (left <= 0)
			return true;
	}
}

static outcome renew(struct renewal *r, struct fault *f)
{
	const struct request_renews renews = {r->certificate_id, r->device.state.key};
	uint32_t next = r->device.state.key + 1;
	enum psa_status status = psa_generate_key(r->device.psa, next);
	if (status == PSA_SUCCESS)
		report("key-made", "{s:I}", "key", (json_int_t)next);
	else if (status != PSA_ERROR_ALREADY_EXISTS)
		return psa_fault(f, "psa_generate_key", status);
	return enrol_run(&r->device, next, &renews, &r->answer, f);
}

static void *run(void *arg)
{
	struct renewal *r = arg;
	r->device.root = cert_from_der(buf_view(&r->root_der));
	r->outcome = r->device.root
			     ? renew(r, &r->fault)
			     : refuse(&r->fault, REASON_NO_MEMORY, "no memory for the root certificate");
	X509_free(r->device.root);
	set_event(r->ended);
	return NULL;
}

static void renewal_free(struct renewal *r)
{
	if (r->ended >= 0)
		close(r->ended);
	if (r->cancelled >= 0)
		close(r->cancelled);
	buf_free(&r->root_der);
	enrol_answer_free(&r->answer);
	free(r);
}

outcome renewal_start(const struct device *d, const char *certificate_id, struct renewal **out,
		      struct fault *f)
{
	struct renewal *r = calloc(1, sizeof *r);
	if (!r)
		return refuse(f, REASON_NO_MEMORY, "no memory for a renewal");
	r->device = *d;
	r->device.pause = pause_renewal;
	r->device.pause_arg = r;
	snprintf(r->certificate_id, sizeof r->certificate_id, "%s", certificate_id);
	r->ended = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r->cancelled = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	outcome o = r->ended >= 0 && r->cancelled >= 0 && cert_to_der(d->root, &r->root_der)
			    ? thread_start(&r->thread, "renewal", run, r, f)
			    : refuse(f, REASON_NO_MEMORY, "no memory for a renewal");
	if (o.ok)
		*out = r;
	else
		renewal_free(r);
	return o;
}

int renewal_fd(const struct renewal *r)
{
	return r->ended;
}

uint32_t renewal_key(const struct renewal *r)
{
	return r->device.state.key + 1;
}

outcome renewal_finish(struct renewal *r, struct enrol_answer *answer, struct fault *f)
{
	pthread_join(r->thread, NULL);
	outcome o = r->outcome;
	*f = r->fault;
	*answer = r->answer;
	r->answer.pem = (struct buf){0};
	renewal_free(r);
	return o;
}

bool renewal_cancel(struct renewal *r, int patience_ms)
{
	struct pollfd p = {.fd = r->ended, .events = POLLIN};
	set_event(r->cancelled);
	if (poll(&p, 1, patience_ms) != 1)
		return false;
	pthread_join(r->thread, NULL);
	renewal_free(r);
	return true;
}
