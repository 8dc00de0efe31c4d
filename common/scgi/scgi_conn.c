#include "scgi_internal.h"

#include "common/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void on_io(evutil_socket_t fd, short what, void *arg);
static void on_timer(evutil_socket_t fd, short what, void *arg);

static void arm_io(struct scgi_request *r, short what)
{
	event_del(&r->io);
	event_assign(&r->io, loop_base(r->worker->loop), r->fd, what | EV_PERSIST, on_io, r);
	event_add(&r->io, NULL);
}

/* Absolute: bytes that come or go do not move it. */
static void arm_deadline(struct scgi_request *r, int seconds)
{
	struct timeval t = {.tv_sec = seconds};
	event_add(&r->timer, &t);
}

static void disarm(struct scgi_request *r)
{
	event_del(&r->io);
	event_del(&r->timer);
}

static void close_socket(struct scgi_request *r)
{
	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
}

void scgi_conn_release(struct scgi_request *r)
{
	close_socket(r);
	*r->link = r->next;
	if (r->next)
		r->next->link = r->link;
	atomic_fetch_sub(&r->worker->server->open, 1);
	while (r->arena) {
		struct scgi_block *next = r->arena->next;
		free(r->arena);
		r->arena = next;
	}
	buf_free(&r->in);
	buf_free(&r->out);
	buf_free(&r->extra);
	free(r);
}

static void conn_free(struct scgi_request *r)
{
	disarm(r);
	scgi_conn_release(r);
}

/* The handler may still be on the stack above us with `r` in its hands. */
static void conn_end(struct scgi_request *r)
{
	if (!r->in_handler) {
		conn_free(r);
		return;
	}
	disarm(r);
	close_socket(r);
	r->state = SCGI_OVER;
}

void scgi_conn_abandon(struct scgi_request *r)
{
	disarm(r);
	close_socket(r);
	r->left = true;
}

void scgi_conn_end(struct scgi_request *r)
{
	event_del(&r->io);
	r->closing = true;
	event_active(&r->timer, EV_TIMEOUT, 0);
}

static void client_left(struct scgi_request *r)
{
	r->left = true;
	event_del(&r->io);
	if (r->state == SCGI_STREAMING)
		scgi_conn_end(r);
	else if (r->state != SCGI_HANDLING)
		conn_end(r);
}

/* Refused before the peer has sent all: closing now would throw our answer away with the unread bytes. */
static void linger(struct scgi_request *r)
{
	shutdown(r->fd, SHUT_WR);
	r->state = SCGI_LINGERING;
	arm_io(r, EV_READ);
	arm_deadline(r, SCGI_LINGER_S);
}

static void sent_all(struct scgi_request *r)
{
	r->out.n = r->out_sent = 0;
	if (r->state == SCGI_WRITING && r->linger) {
		linger(r);
	} else if (r->state == SCGI_WRITING || r->ending) {
		conn_end(r);
	} else {
		arm_io(r, EV_READ);
		if (r->stream_drained)
			r->stream_drained(r->stream_arg);
	}
}

void scgi_conn_flush(struct scgi_request *r)
{
	if (r->left || r->closing) {
		if (r->state == SCGI_WRITING || r->ending)
			conn_end(r);
		else if (!r->closing)
			scgi_conn_end(r);
		return;
	}
	while (r->out_sent < r->out.n) {
		ssize_t n = send(r->fd, r->out.p + r->out_sent, r->out.n - r->out_sent, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			bool last = r->state == SCGI_WRITING || r->ending;
			if (last && !event_pending(&r->timer, EV_TIMEOUT, NULL))
				arm_deadline(r, SCGI_WRITE_DEADLINE_S);
			arm_io(r, EV_WRITE);
			return;
		}
		if (n < 0) {
			client_left(r);
			return;
		}
		r->out_sent += (size_t)n;
	}
	sent_all(r);
}

/* Before the handler has it: the refusal is the answer. */
static void refuse_early(struct scgi_request *r, const struct fault *f)
{
	event_del(&r->timer);
	r->linger = true;
	scgi_answer_problem(r, f);
}

static void dispatch(struct scgi_request *r)
{
	struct fault f;
	event_del(&r->timer);
	if (!scgi_request_fill(r, &f).ok) {
		log_fault(LOG_LEVEL_WARN, r->id, &f, "a request from the edge was refused");
		scgi_answer_problem(r, &f);
		return;
	}
	if (r->overloaded) {
		refuse(&f, REASON_OVERLOADED, "more than %u requests are open",
		       r->worker->server->options.connections_max);
		scgi_answer_problem(r, &f);
		return;
	}
	r->state = SCGI_HANDLING;
	r->in_handler = true;
	r->worker->server->handler(r, r->worker->server->arg);
	r->in_handler = false;
	if (r->state == SCGI_OVER)
		conn_free(r);
	else if (r->state == SCGI_HANDLING)
		arm_io(r, EV_READ); /* to notice a client that leaves */
}

/* True when the request is whole or refused. */
static bool take_bytes(struct scgi_request *r, size_t n)
{
	struct fault f;
	size_t length;
	buf_add(&r->in, r->worker->scratch, n);
	if (r->in.failed) {
		conn_end(r);
		return true;
	}
	if (!scgi_measure(buf_view(&r->in), &length, &f).ok) {
		log_fault(LOG_LEVEL_WARN, r->id, &f, "a request from the edge was refused");
		refuse_early(r, &f);
		return true;
	}
	if (length == 0 || r->in.n < length)
		return false;
	dispatch(r);
	return true;
}

static void read_request(struct scgi_request *r)
{
	for (;;) {
		ssize_t n = recv(r->fd, r->worker->scratch, SCGI_SCRATCH, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			if (!event_pending(&r->io, EV_READ, NULL)) {
				arm_io(r, EV_READ);
				arm_deadline(r, (int)r->worker->server->options.read_deadline_s);
			}
			return;
		}
		if (n <= 0) {
			client_left(r);
			return;
		}
		if (take_bytes(r, (size_t)n))
			return;
	}
}

/* One request a connection: whatever comes now is the end of the client, or a client that breaks the
 * protocol. */
static void watch_client(struct scgi_request *r)
{
	ssize_t n = recv(r->fd, r->worker->scratch, SCGI_SCRATCH, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (r->state == SCGI_LINGERING && n > 0)
		return;
	client_left(r);
}

static void on_io(evutil_socket_t fd, short what, void *arg)
{
	struct scgi_request *r = arg;
	(void)fd;
	if (what & EV_WRITE)
		scgi_conn_flush(r);
	else if (r->state == SCGI_READING)
		read_request(r);
	else
		watch_client(r);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct scgi_request *r = arg;
	(void)fd, (void)what;
	if (r->state == SCGI_STREAMING && !r->ending)
		r->stream_left(r->stream_arg);
	conn_free(r);
}

void scgi_conn_open(struct scgi_worker *w, int fd)
{
	unsigned max = w->server->options.connections_max;
	unsigned open = atomic_fetch_add(&w->server->open, 1);
	struct scgi_request *r = open < max + max / 4 + 16 ? calloc(1, sizeof *r) : NULL;
	if (!r) {
		atomic_fetch_sub(&w->server->open, 1);
		close(fd);
		return;
	}
	r->worker = w;
	r->fd = fd;
	r->overloaded = open >= max;
	r->link = &w->open;
	if ((r->next = w->open))
		r->next->link = &r->next;
	w->open = r;
	scgi_request_name(r);
	event_assign(&r->io, loop_base(w->loop), fd, EV_READ | EV_PERSIST, on_io, r);
	event_assign(&r->timer, loop_base(w->loop), -1, 0, on_timer, r);
	read_request(r);
}
