#include "scgi_internal.h"

#include "common/clock.h"
#include "common/file.h"
#include "common/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { LISTEN_BACKLOG = 4096, FAILED_GRACE_MS = 5000 };

static bool peer_allowed(const struct scgi_server *s, uid_t uid)
{
	for (size_t i = 0; i < s->peer_count; i++)
		if (s->peer_uids[i] == uid)
			return true;
	return uid == 0 || uid == geteuid();
}

static void warn_once_a_second(struct scgi_worker *w, const char *what, long detail)
{
	int64_t now = clock_monotonic_ms();
	if (w->warned_ms && now - w->warned_ms < 1000)
		return;
	w->warned_ms = now;
	log_line(LOG_LEVEL_WARN, NULL, "%s: %s (%ld)", w->server->path, what, detail);
}

static void take_connection(struct scgi_worker *w, int fd)
{
	struct ucred peer = {0};
	socklen_t n = sizeof peer;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) || !peer_allowed(w->server, peer.uid)) {
		warn_once_a_second(w, "a peer that is not the edge was dropped, uid", (long)peer.uid);
		close(fd);
		return;
	}
	scgi_conn_open(w, fd);
}

/* Without descriptors the listening socket stays readable: wait a moment instead of spinning. */
static void pause_listening(struct scgi_worker *w)
{
	struct timeval moment = {.tv_usec = 50000};
	warn_once_a_second(w, "no connection can be accepted, errno", errno);
	event_del(w->listen);
	event_add(w->resume, &moment);
}

static void on_resume(evutil_socket_t fd, short what, void *arg)
{
	struct scgi_worker *w = arg;
	(void)fd, (void)what;
	event_add(w->listen, NULL);
}

/* One a turn: what else waits is for a worker that is idle, or for the next turn. */
static void on_listen(evutil_socket_t listen_fd, short what, void *arg)
{
	struct scgi_worker *w = arg;
	int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	(void)what;
	if (fd >= 0)
		take_connection(w, fd);
	else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
		pause_listening(w);
}

/* One call on every worker's loop, waited for. */
struct round {
	pthread_mutex_t lock;
	pthread_cond_t done;
	unsigned left;
	outcome result;
	struct fault *fault;
};

struct turn {
	struct round *round;
	struct scgi_worker *worker;
	outcome (*fn)(struct scgi_worker *w, struct fault *f);
};

static void run_turn(void *arg)
{
	struct turn *t = arg;
	struct fault f = {0};
	outcome r = t->fn(t->worker, &f);
	pthread_mutex_lock(&t->round->lock);
	if (!r.ok && t->round->result.ok) {
		t->round->result = r;
		if (t->round->fault)
			*t->round->fault = f;
	}
	if (--t->round->left == 0)
		pthread_cond_signal(&t->round->done);
	pthread_mutex_unlock(&t->round->lock);
	free(t);
}

static outcome on_every_worker(struct scgi_server *s, outcome (*fn)(struct scgi_worker *, struct fault *),
			       struct fault *f)
{
	struct round round = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, s->worker_count, DONE, f};
	for (unsigned i = 0; i < s->worker_count; i++) {
		struct turn *t = malloc(sizeof *t);
		if (!t)
			abort();
		*t = (struct turn){&round, &s->workers[i], fn};
		loop_post(s->workers[i].loop, run_turn, t);
	}
	pthread_mutex_lock(&round.lock);
	while (round.left)
		pthread_cond_wait(&round.done, &round.lock);
	pthread_mutex_unlock(&round.lock);
	return round.result;
}

static outcome worker_begin(struct scgi_worker *w, struct fault *f)
{
	struct scgi_server *s = w->server;
	if (s->options.worker_start) {
		outcome r = s->options.worker_start(w->loop, w->index, s->arg, f);
		if (!r.ok)
			return r;
	}
	w->started = true;
	return DONE;
}

static outcome worker_listen(struct scgi_worker *w, struct fault *f)
{
	struct event_base *base = loop_base(w->loop);
	w->listen = event_new(base, w->server->fd, EV_READ | EV_PERSIST, on_listen, w);
	w->resume = event_new(base, -1, 0, on_resume, w);
	if (!w->listen || !w->resume || event_add(w->listen, NULL))
		return refuse(f, REASON_NO_MEMORY, "no memory to listen");
	return DONE;
}

static outcome worker_drain(struct scgi_worker *w, struct fault *f)
{
	(void)f;
	if (w->listen)
		event_free(w->listen);
	if (w->resume)
		event_free(w->resume);
	w->listen = w->resume = NULL;
	for (struct scgi_request *r = w->open; r; r = r->next)
		if (r->state == SCGI_STREAMING && !r->closing)
			scgi_conn_end(r);
	return DONE;
}

static outcome worker_end(struct scgi_worker *w, struct fault *f)
{
	(void)f;
	for (struct scgi_request *r = w->open; r; r = r->next)
		scgi_conn_abandon(r);
	if (w->started && w->server->options.worker_stop)
		w->server->options.worker_stop(w->index, w->server->arg);
	return DONE;
}

/* A socket that nobody answers on was left by a process that is gone. */
static outcome remove_stale(const struct sockaddr_un *address, struct fault *f)
{
	struct stat st;
	if (lstat(address->sun_path, &st))
		return errno == ENOENT ? DONE : file_fault(f, errno, "stat", address->sun_path);
	if (!S_ISSOCK(st.st_mode))
		return refuse(f, REASON_CONFIG, "%s is there and is no socket", address->sun_path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool alive = fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof *address) == 0;
	if (fd >= 0)
		close(fd);
	if (alive)
		return refuse(f, REASON_CONFIG, "another process listens on %s", address->sun_path);
	return unlink(address->sun_path) ? file_fault(f, errno, "remove", address->sun_path) : DONE;
}

static outcome open_socket(struct scgi_server *s, struct fault *f)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if ((size_t)snprintf(address.sun_path, sizeof address.sun_path, "%s", s->path) >=
	    sizeof address.sun_path)
		return refuse(f, REASON_CONFIG, "%s is too long for a Unix socket (%zu bytes)", s->path,
			      sizeof address.sun_path - 1);
	outcome r = remove_stale(&address, f);
	if (!r.ok)
		return r;
	s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->fd < 0 || bind(s->fd, (struct sockaddr *)&address, sizeof address))
		return file_fault(f, errno, "bind", s->path);
	/* Anyone may connect: it is the peer's uid that decides, and that cannot be lent. */
	if (chmod(s->path, 0666) || listen(s->fd, LISTEN_BACKLOG))
		return file_fault(f, errno, "listen on", s->path);
	return DONE;
}

static struct scgi_server *server_new(const struct scgi_options *o, scgi_handler *handler, void *arg)
{
	struct scgi_server *s = calloc(1, sizeof *s);
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	if (!s)
		return NULL;
	s->fd = -1;
	s->options = *o;
	s->handler = handler;
	s->arg = arg;
	s->worker_count = o->workers ? o->workers : cores > 0 ? (unsigned)cores : 1;
	if (!s->options.connections_max)
		s->options.connections_max = 4096;
	if (!s->options.read_deadline_s)
		s->options.read_deadline_s = SCGI_READ_DEADLINE_S;
	s->path = strdup(o->socket_path);
	s->peer_uids = calloc(o->peer_count + 1, sizeof *s->peer_uids);
	s->workers = calloc(s->worker_count, sizeof *s->workers);
	if (!s->path || !s->peer_uids || !s->workers) {
		free(s->path);
		free(s->peer_uids);
		free(s->workers);
		free(s);
		return NULL;
	}
	s->peer_count = o->peer_count;
	if (o->peer_count)
		memcpy(s->peer_uids, o->peer_uids, o->peer_count * sizeof *s->peer_uids);
	return s;
}

static outcome start_workers(struct scgi_server *s, struct fault *f)
{
	unsigned wanted = s->worker_count;
	for (s->worker_count = 0; s->worker_count < wanted; s->worker_count++) {
		struct scgi_worker *w = &s->workers[s->worker_count];
		char name[24];
		snprintf(name, sizeof name, "worker-%u", s->worker_count);
		w->server = s;
		w->index = s->worker_count;
		w->loop = loop_start(name);
		if (!w->loop)
			return refuse(f, REASON_NO_MEMORY, "no thread for worker %u", s->worker_count);
	}
	return on_every_worker(s, worker_begin, f);
}

outcome scgi_start(const struct scgi_options *options, scgi_handler *handler, void *arg,
		   struct scgi_server **out, struct fault *f)
{
	struct scgi_server *s = server_new(options, handler, arg);
	*out = s;
	if (!s)
		return refuse(f, REASON_NO_MEMORY, "no memory for the server");
	/* What is most likely to fail comes while nothing runs yet. */
	outcome r = open_socket(s, f);
	if (r.ok)
		r = start_workers(s, f);
	else
		s->worker_count = 0;
	if (r.ok)
		r = on_every_worker(s, worker_listen, f);
	if (!r.ok) {
		scgi_stop(s, FAILED_GRACE_MS); /* some workers may have taken requests already */
		*out = NULL;
	}
	return r;
}

unsigned scgi_worker_count(const struct scgi_server *s)
{
	return s->worker_count;
}

struct loop *scgi_worker(struct scgi_server *s, unsigned i)
{
	return s->workers[i].loop;
}

unsigned scgi_open_count(const struct scgi_server *s)
{
	return atomic_load(&s->open);
}

void scgi_drain(struct scgi_server *s, int grace_ms)
{
	if (s->drained)
		return;
	s->drained = true;
	struct fault f;
	struct timespec moment = {.tv_nsec = 5000000};
	outcome r = on_every_worker(s, worker_drain, &f);
	int64_t end = clock_monotonic_ms() + grace_ms;
	while (r.ok && scgi_open_count(s) && clock_monotonic_ms() < end)
		nanosleep(&moment, NULL);
	if (s->fd < 0)
		return;
	close(s->fd);
	unlink(s->path);
}

void scgi_stop(struct scgi_server *s, int grace_ms)
{
	struct fault f;
	if (!s)
		return;
	scgi_drain(s, grace_ms);
	outcome r = on_every_worker(s, worker_end, &f);
	for (unsigned i = 0; r.ok && i < s->worker_count; i++) {
		struct scgi_worker *w = &s->workers[i];
		loop_stop(w->loop);
		while (w->open)
			scgi_conn_release(w->open);
	}
	free(s->workers);
	free(s->peer_uids);
	free(s->path);
	free(s);
}
