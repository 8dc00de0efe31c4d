#include "server.h"

#include "common/clock.h"
#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	CONNECTIONS_MAX = 64,
	BATCH_MAX = 256,   /* decisions a commit */
	IN_MAX = 1 << 18,  /* bytes read and not yet decided, a connection */
	OUT_MAX = 1 << 20, /* bytes answered and not yet taken: beyond it nothing more is read */
	READ_SIZE = 1 << 16,
	BACKLOG = 64,
	LISTENER = 0, /* places in the poll set; connections follow */
	SIGNALS = 1,
	FIXED = 2,
};

struct connection {
	int fd; /* -1: free */
	struct buf in, out;
	bool waiting; /* may hold a whole request that this turn had no room for */
};

struct server {
	struct sockaddr_un address;
	uid_t *uids;
	size_t uid_count;
	int listener, signals;
	bool stopping;
	bool journal_lost;
	struct connection connections[CONNECTIONS_MAX];
	struct pollfd polled[FIXED + CONNECTIONS_MAX];
	struct signer_decision decisions[BATCH_MAX];
	struct connection *asked_by[BATCH_MAX];
	size_t decided;
	bool more; /* requests wait that no event will announce */
};

/* ---- setting up ---- */

static outcome broken(const struct server *v, const char *verb, struct fault *f)
{
	return refuse(f, REASON_IO, "%s %s: %s", verb, v->address.sun_path, strerror(errno));
}

static bool somebody_listens(const struct server *v)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool yes = fd >= 0 && connect(fd, (const struct sockaddr *)&v->address, sizeof v->address) == 0;
	if (fd >= 0)
		close(fd);
	return yes;
}

static outcome remove_stale(const struct server *v, struct fault *f)
{
	struct stat st;
	if (lstat(v->address.sun_path, &st))
		return errno == ENOENT ? DONE : broken(v, "stat", f);
	if (!S_ISSOCK(st.st_mode))
		return refuse(f, REASON_CONFIG, "socket: %s exists and is no socket", v->address.sun_path);
	if (somebody_listens(v))
		return refuse(f, REASON_CONFIG, "socket: another process listens on %s", v->address.sun_path);
	return unlink(v->address.sun_path) ? broken(v, "remove", f) : DONE;
}

static outcome listen_on(struct server *v, struct fault *f)
{
	outcome o = remove_stale(v, f);
	if (!o.ok)
		return o;
	v->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (v->listener < 0 || bind(v->listener, (struct sockaddr *)&v->address, sizeof v->address) ||
	    chmod(v->address.sun_path, 0666) || listen(v->listener, BACKLOG))
		return broken(v, "listen on", f);
	return DONE;
}

static outcome watch_signals(struct server *v, struct fault *f)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	v->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return v->signals < 0 ? broken(v, "watch signals for", f) : DONE;
}

outcome server_new(const char *socket_path, uid_t *uids, size_t uid_count, struct server **out,
		   struct fault *f)
{
	struct server *v = calloc(1, sizeof *v);
	if (!v || (uid_count && !uids)) {
		free(v);
		free(uids);
		return refuse(f, REASON_NO_MEMORY, "no memory for the server");
	}
	v->uids = uids;
	v->uid_count = uid_count;
	v->listener = v->signals = -1;
	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		v->connections[i].fd = -1;
	v->address.sun_family = AF_UNIX;
	size_t n = strlen(socket_path);
	outcome o = n < sizeof v->address.sun_path
			    ? DONE
			    : refuse(f, REASON_CONFIG,
				     "socket: a path of %zu bytes is longer than Unix sockets take", n);
	if (o.ok) {
		memcpy(v->address.sun_path, socket_path, n + 1);
		o = listen_on(v, f);
	}
	if (o.ok)
		o = watch_signals(v, f);
	if (!o.ok) {
		server_free(v);
		return o;
	}
	*out = v;
	return DONE;
}

static void drop(struct connection *c)
{
	close(c->fd);
	buf_free(&c->in);
	buf_free(&c->out);
	*c = (struct connection){.fd = -1};
}

void server_free(struct server *v)
{
	if (!v)
		return;
	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		if (v->connections[i].fd >= 0)
			drop(&v->connections[i]);
	if (v->listener >= 0) {
		close(v->listener);
		unlink(v->address.sun_path);
	}
	if (v->signals >= 0)
		close(v->signals);
	free(v->uids);
	free(v);
}

/* ---- who may ask ---- */

static bool is_peer_uid(const struct server *v, uid_t uid)
{
	for (size_t i = 0; i < v->uid_count; i++)
		if (v->uids[i] == uid)
			return true;
	return v->uid_count == 0 && uid == geteuid();
}

/* A pid of 0 is a process that this one's pid namespace does not show: the log could not name it. */
static outcome check_peer(const struct server *v, int fd, struct ucred *peer, struct fault *f)
{
	socklen_t n = sizeof *peer;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, peer, &n) || n != sizeof *peer)
		return refuse(f, REASON_SIGNER_PEER, "the peer has no credentials: %s", strerror(errno));
	if (peer->pid <= 0)
		return refuse(f, REASON_SIGNER_PEER,
			      "the peer is of another pid namespace: gateway and signer must share one");
	if (!is_peer_uid(v, peer->uid))
		return refuse(f, REASON_SIGNER_PEER,
			      "pid %ld of uid %lu may not ask: it is none of peer_uids", (long)peer->pid,
			      (unsigned long)peer->uid);
	return DONE;
}

static struct connection *free_connection(struct server *v)
{
	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		if (v->connections[i].fd < 0)
			return &v->connections[i];
	return NULL;
}

static void accept_one(struct server *v, int fd)
{
	struct ucred peer = {0};
	struct fault f;
	struct connection *c = free_connection(v);
	outcome o = check_peer(v, fd, &peer, &f);
	if (o.ok && !c)
		o = refuse(&f, REASON_OVERLOADED, "%d connections are open", CONNECTIONS_MAX);
	if (!o.ok) {
		log_fault(LOG_LEVEL_WARN, NULL, &f, "a connection was refused");
		close(fd);
		return;
	}
	*c = (struct connection){.fd = fd};
	log_line(LOG_LEVEL_INFO, NULL, "pid %ld of uid %lu is connected", (long)peer.pid,
		 (unsigned long)peer.uid);
}

static void accept_all(struct server *v)
{
	for (;;) {
		int fd = accept4(v->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd >= 0)
			accept_one(v, fd);
		else if (errno != EINTR && errno != ECONNABORTED)
			return; /* EAGAIN, or no descriptors: the backlog waits */
	}
}

/* ---- requests ---- */

static void read_some(struct connection *c)
{
	uint8_t chunk[READ_SIZE];
	ssize_t n = read(c->fd, chunk, sizeof chunk);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0)
		buf_add(&c->in, chunk, (size_t)n);
	if (n <= 0 || c->in.failed)
		drop(c);
}

static void end_connection(struct connection *c, const struct fault *f)
{
	log_fault(LOG_LEVEL_ERROR, NULL, f, "a request is not understood: its connection ends");
	shutdown(c->fd, SHUT_RDWR); /* the next read drops it */
	c->in.n = 0;
}

/* The first request at the start of `in`; its length with the prefix, 0 where none is whole. */
static outcome decide_one(struct server *v, struct signer *s, struct connection *c, struct bytes in,
			  size_t *used, struct fault *f)
{
	struct signer_request request;
	struct bytes message;
	*used = 0;
	outcome o = signer_frame(in, &message, f);
	if (!o.ok || message.n == 0)
		return o;
	o = signer_request_decode(message, &request, f);
	if (!o.ok)
		return o;
	*used = SIGNER_PREFIX_SIZE + message.n;
	v->asked_by[v->decided] = c;
	signer_decide(s, message, &request, clock_wall_s(), &v->decisions[v->decided++]);
	return DONE;
}

static void decide_requests(struct server *v, struct signer *s, struct connection *c)
{
	struct bytes rest = buf_view(&c->in);
	struct fault f;
	size_t used = 1;
	while (used && v->decided < BATCH_MAX && c->out.n < OUT_MAX) {
		if (!decide_one(v, s, c, rest, &used, &f).ok) {
			end_connection(c, &f);
			return;
		}
		rest = bytes_of(rest.p + used, rest.n - used);
	}
	c->waiting = used && rest.n;
	buf_consume(&c->in, c->in.n - rest.n);
}

static void write_some(struct connection *c)
{
	while (c->out.n) {
		ssize_t n = send(c->fd, c->out.p, c->out.n, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN)
			drop(c);
		if (n < 0)
			return;
		buf_consume(&c->out, (size_t)n);
	}
}

static void answer_all(struct server *v, struct signer *s)
{
	struct fault f;
	v->journal_lost = !signer_commit(s, v->decisions, v->decided);
	for (size_t i = 0; i < v->decided; i++) {
		struct connection *c = v->asked_by[i];
		if (!signer_answer_encode(&v->decisions[i].answer, &c->out, &f).ok) {
			log_fault(LOG_LEVEL_ERROR, NULL, &f, "an answer cannot be made: its connection ends");
			buf_free(&c->out);
			shutdown(c->fd, SHUT_RDWR);
		}
		signer_decision_free(&v->decisions[i]);
	}
	v->decided = 0;
}

/* ---- the loop ---- */

static short wanted(const struct connection *c)
{
	short events = c->out.n ? POLLOUT : 0;
	if (c->in.n < IN_MAX && c->out.n < OUT_MAX)
		events |= POLLIN;
	return events;
}

static void prepare_poll(struct server *v)
{
	v->polled[LISTENER] = (struct pollfd){.fd = v->listener, .events = POLLIN};
	v->polled[SIGNALS] = (struct pollfd){.fd = v->signals, .events = POLLIN};
	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		v->polled[FIXED + i] =
			(struct pollfd){.fd = v->connections[i].fd, .events = wanted(&v->connections[i])};
}

/* Connections that came after the poll set was made have no events yet. */
static void turn(struct server *v, struct signer *s)
{
	v->more = false;
	if (v->polled[SIGNALS].revents)
		v->stopping = true;
	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		if (v->polled[FIXED + i].revents & (POLLIN | POLLHUP | POLLERR))
			read_some(&v->connections[i]);
	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		if (v->connections[i].in.n)
			decide_requests(v, s, &v->connections[i]);
	answer_all(v, s);
	for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
		write_some(&v->connections[i]);
		if (v->connections[i].waiting && v->connections[i].out.n < OUT_MAX)
			v->more = true;
	}
	if (v->polled[LISTENER].revents)
		accept_all(v);
}

outcome server_run(struct server *v, struct signer *s, struct fault *f)
{
	while (!v->stopping) {
		prepare_poll(v);
		if (poll(v->polled, FIXED + CONNECTIONS_MAX, v->more ? 0 : -1) < 0) {
			if (errno == EINTR)
				continue;
			return broken(v, "wait on", f);
		}
		turn(v, s);
		if (v->journal_lost)
			return refuse(
				f, REASON_JOURNAL_IO,
				"the journal could not be synced: only a new start can tell what it holds");
	}
	return DONE;
}
