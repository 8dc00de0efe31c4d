#include "signer_client.h"

#include "common/backoff.h"
#include "common/clock.h"
#include "common/log.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event_struct.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { RECONNECT_MIN_MS = 50, RECONNECT_MAX_MS = 2000, TICK_MS = 250 };

struct call {
	TAILQ_ENTRY(call) entry; /* in the order of sending, which is the order of deadlines */
	uint8_t intent[INTENT_ID_SIZE];
	struct buf message; /* kept for a second sending */
	int64_t deadline_ms;
	signer_done *done;
	void *arg;
};

struct signer_client {
	struct event_base *base;
	struct sockaddr_un address;
	struct bufferevent *connection; /* NULL between connections */
	bool connected;
	int64_t lost_ms; /* monotonic, when the last connection ended */
	struct backoff backoff;
	struct event reconnect;
	struct event tick;
	TAILQ_HEAD(call_list, call) calls;
};

static void end_call(struct signer_client *c, struct call *call, const struct signer_answer *answer,
		     const struct fault *f)
{
	TAILQ_REMOVE(&c->calls, call, entry);
	call->done(answer, f, call->arg);
	buf_free(&call->message);
	free(call);
}

static void lose_connection(struct signer_client *c, const char *why)
{
	int64_t wait_ms = backoff_window_ms(&c->backoff);
	struct timeval wait = {.tv_sec = wait_ms / 1000, .tv_usec = wait_ms % 1000 * 1000};
	if (c->connected) {
		log_line(LOG_LEVEL_WARN, NULL, "the connection to the signer is lost: %s", why);
		c->lost_ms = clock_monotonic_ms();
	}
	bufferevent_free(c->connection);
	c->connection = NULL;
	c->connected = false;
	event_add(&c->reconnect, &wait);
}

static struct call *find_call(struct signer_client *c, const uint8_t intent[INTENT_ID_SIZE])
{
	struct call *call;
	TAILQ_FOREACH(call, &c->calls, entry)
	if (!memcmp(call->intent, intent, INTENT_ID_SIZE))
		return call;
	return NULL;
}

/* False when the signer broke the protocol: nothing after it on this connection can be trusted. */
static bool take_answer(struct signer_client *c, struct evbuffer *in, struct fault *f)
{
	struct signer_answer answer;
	struct bytes message = {0};
	size_t n = evbuffer_get_length(in);
	if (!signer_frame(bytes_of(evbuffer_pullup(in, -1), n), &message, f).ok)
		return false;
	if (message.n == 0)
		return true;
	if (!signer_answer_decode(message, &answer, f).ok)
		return false;
	struct call *call = find_call(c, answer.intent);
	if (call) /* else its time was up */
		end_call(c, call, &answer, NULL);
	evbuffer_drain(in, SIGNER_PREFIX_SIZE + message.n);
	return true;
}

static void on_readable(struct bufferevent *b, void *arg)
{
	struct signer_client *c = arg;
	struct evbuffer *in = bufferevent_get_input(b);
	struct fault f;
	size_t before;
	do {
		before = evbuffer_get_length(in);
		if (!take_answer(c, in, &f)) {
			log_fault(LOG_LEVEL_ERROR, NULL, &f, "the signer's answer is not understood");
			lose_connection(c, "protocol");
			return;
		}
	} while (evbuffer_get_length(in) < before && evbuffer_get_length(in) > 0);
}

static void on_connected(struct signer_client *c)
{
	struct call *call;
	c->connected = true;
	backoff_reset(&c->backoff);
	TAILQ_FOREACH(call, &c->calls, entry)
	bufferevent_write(c->connection, call->message.p, call->message.n);
}

static void on_event(struct bufferevent *b, short what, void *arg)
{
	(void)b;
	if (what & BEV_EVENT_CONNECTED)
		on_connected(arg);
	else
		lose_connection(arg, what & BEV_EVENT_EOF ? "closed by the signer" : "error");
}

static void connect_now(struct signer_client *c)
{
	c->connection = bufferevent_socket_new(c->base, -1, BEV_OPT_CLOSE_ON_FREE);
	if (!c->connection)
		abort(); /* out of memory: nobody could be told */
	bufferevent_setcb(c->connection, on_readable, NULL, on_event, c);
	bufferevent_enable(c->connection, EV_READ | EV_WRITE);
	/* What fails at once is told through on_event, or by the return value alone. */
	if (bufferevent_socket_connect(c->connection, (struct sockaddr *)&c->address, sizeof c->address) &&
	    c->connection)
		lose_connection(c, "cannot connect");
}

static void on_reconnect(evutil_socket_t fd, short what, void *arg)
{
	struct signer_client *c = arg;
	(void)fd, (void)what;
	if (!c->connection)
		connect_now(c);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct signer_client *c = arg;
	bool gone = signer_client_gone(c);
	int64_t until_ms = gone ? INT64_MAX : clock_monotonic_ms();
	struct fault f;
	struct call *call;
	(void)fd, (void)what;
	if (gone)
		refuse(&f, REASON_SIGNER_UNAVAILABLE, "there has been no connection to the signer for %d ms",
		       SIGNER_GONE_MS);
	else
		refuse(&f, REASON_SIGNER_UNAVAILABLE, "the signer did not answer within %d ms",
		       SIGNER_CALL_TIMEOUT_MS);
	while ((call = TAILQ_FIRST(&c->calls)) && call->deadline_ms <= until_ms)
		end_call(c, call, NULL, &f);
}

outcome signer_client_new(struct event_base *base, const char *socket_path, struct signer_client **out,
			  struct fault *f)
{
	struct timeval tick = {.tv_usec = TICK_MS * 1000};
	struct signer_client *c = calloc(1, sizeof *c);
	if (!c)
		return refuse(f, REASON_NO_MEMORY, "no memory for the signer's connection");
	c->base = base;
	c->backoff = (struct backoff){.base_ms = RECONNECT_MIN_MS, .cap_ms = RECONNECT_MAX_MS};
	c->lost_ms = clock_monotonic_ms();
	c->address.sun_family = AF_UNIX;
	TAILQ_INIT(&c->calls);
	if (strlen(socket_path) >= sizeof c->address.sun_path) {
		free(c);
		return refuse(f, REASON_CONFIG, "signer_socket: %s is too long for a Unix socket",
			      socket_path);
	}
	memcpy(c->address.sun_path, socket_path, strlen(socket_path) + 1);
	event_assign(&c->reconnect, base, -1, 0, on_reconnect, c);
	event_assign(&c->tick, base, -1, EV_PERSIST, on_tick, c);
	event_add(&c->tick, &tick);
	connect_now(c);
	*out = c;
	return DONE;
}

void signer_client_free(struct signer_client *c)
{
	struct fault f;
	struct call *call;
	if (!c)
		return;
	refuse(&f, REASON_SIGNER_UNAVAILABLE, "the gateway is stopping");
	while ((call = TAILQ_FIRST(&c->calls)))
		end_call(c, call, NULL, &f);
	if (c->connection)
		bufferevent_free(c->connection);
	event_del(&c->reconnect);
	event_del(&c->tick);
	free(c);
}

outcome signer_client_send(struct signer_client *c, const struct signer_request *r, signer_done *done,
			   void *arg, struct fault *f)
{
	struct call *call = calloc(1, sizeof *call);
	if (!call)
		return refuse(f, REASON_NO_MEMORY, "no memory for a request to the signer");
	outcome encoded = signer_request_encode(r, &call->message, f);
	if (!encoded.ok) {
		buf_free(&call->message);
		free(call);
		return encoded;
	}
	memcpy(call->intent, r->intent, INTENT_ID_SIZE);
	call->deadline_ms = clock_monotonic_ms() + SIGNER_CALL_TIMEOUT_MS;
	call->done = done;
	call->arg = arg;
	TAILQ_INSERT_TAIL(&c->calls, call, entry);
	if (c->connected)
		bufferevent_write(c->connection, call->message.p, call->message.n);
	return DONE;
}

bool signer_client_connected(const struct signer_client *c)
{
	return c->connected;
}

bool signer_client_gone(const struct signer_client *c)
{
	return !c->connected && clock_monotonic_ms() - c->lost_ms > SIGNER_GONE_MS;
}
