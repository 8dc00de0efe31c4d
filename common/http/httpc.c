#include "httpc_call.h"

#include <event2/event_struct.h>
#include <stdlib.h>

enum { CACHED_CONNECTIONS = 256, HOST_CONNECTIONS = 64 };

/* One socket that libcurl wants watched. */
struct watch {
	struct event io;
};

struct pending {
	struct httpc *client;
	struct pending *next, **link;
	struct httpc_transfer transfer;
	struct event failed; /* tells about a call that could not even begin, from the loop */
	struct fault fault;
	httpc_done *done;
	void *arg;
};

enum { SPARE_HANDLES = 16 };

struct httpc {
	struct event_base *base;
	CURLM *multi;
	struct event timer;
	struct httpc_pins pins;
	struct pending *calls;
	CURL *spare[SPARE_HANDLES]; /* of calls that ended: a new one costs more than a reset one */
	size_t spare_count;
};

static CURL *handle_take(struct httpc *c)
{
	return c->spare_count ? c->spare[--c->spare_count] : curl_easy_init();
}

static void handle_put(struct httpc *c, CURL *easy)
{
	if (c->spare_count < SPARE_HANDLES)
		c->spare[c->spare_count++] = easy;
	else
		curl_easy_cleanup(easy);
}

static void pending_free(struct pending *p)
{
	*p->link = p->next;
	if (p->next)
		p->next->link = p->link;
	event_del(&p->failed);
	if (p->transfer.easy) {
		CURL *easy = p->transfer.easy;
		curl_multi_remove_handle(p->client->multi, easy);
		httpc_transfer_free(&p->transfer);
		handle_put(p->client, easy);
	}
	free(p);
}

static void finish(struct pending *p, CURLcode code)
{
	struct httpc_answer answer;
	bool ok = httpc_transfer_result(&p->transfer, code, &answer, &p->fault).ok;
	p->done(&answer, ok ? NULL : &p->fault, p->arg);
	pending_free(p);
}

/* After each action, outside of libcurl's callbacks: `done` may begin new calls. */
static void finish_all(struct httpc *c)
{
	CURLMsg *m;
	int left;
	while ((m = curl_multi_info_read(c->multi, &left))) {
		struct pending *p = NULL;
		CURLcode code = m->data.result;
		if (m->msg == CURLMSG_DONE &&
		    !curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&p) && p)
			finish(p, code);
	}
}

static void on_socket_event(evutil_socket_t fd, short what, void *arg)
{
	struct httpc *c = arg;
	int running,
		ready = (what & EV_READ ? CURL_CSELECT_IN : 0) | (what & EV_WRITE ? CURL_CSELECT_OUT : 0);
	curl_multi_socket_action(c->multi, fd, ready, &running);
	finish_all(c);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct httpc *c = arg;
	int running;
	(void)fd, (void)what;
	curl_multi_socket_action(c->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	finish_all(c);
}

static int watch_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
	struct httpc *c = arg;
	struct watch *w = known;
	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (w)
			event_del(&w->io);
		free(w);
		curl_multi_assign(c->multi, fd, NULL);
		return 0;
	}
	if (w)
		event_del(&w->io);
	else if (!(w = malloc(sizeof *w)))
		return -1;
	short wanted = (what & CURL_POLL_IN ? EV_READ : 0) | (what & CURL_POLL_OUT ? EV_WRITE : 0);
	event_assign(&w->io, c->base, fd, (short)(wanted | EV_PERSIST), on_socket_event, c);
	event_add(&w->io, NULL);
	curl_multi_assign(c->multi, fd, w);
	return 0;
}

static int set_timer(CURLM *multi, long ms, void *arg)
{
	struct httpc *c = arg;
	struct timeval t = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
	(void)multi;
	if (ms < 0)
		event_del(&c->timer);
	else
		event_add(&c->timer, &t);
	return 0;
}

outcome httpc_new(struct event_base *base, const struct httpc_tls *tls, struct httpc **out, struct fault *f)
{
	httpc_global();
	struct httpc *c = calloc(1, sizeof *c);
	*out = NULL;
	if (!c || !(c->multi = curl_multi_init())) {
		free(c);
		return refuse(f, REASON_NO_MEMORY, "no memory for the client");
	}
	c->base = base;
	event_assign(&c->timer, base, -1, 0, on_timer, c);
	curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
	curl_multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c);
	curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, set_timer);
	curl_multi_setopt(c->multi, CURLMOPT_TIMERDATA, c);
	curl_multi_setopt(c->multi, CURLMOPT_MAXCONNECTS, (long)CACHED_CONNECTIONS);
	curl_multi_setopt(c->multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)HOST_CONNECTIONS);
	curl_multi_setopt(c->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
	outcome r = httpc_pins_load(&c->pins, tls, f);
	if (r.ok)
		*out = c;
	else
		httpc_free(c);
	return r;
}

static void on_failed(evutil_socket_t fd, short what, void *arg)
{
	struct pending *p = arg;
	struct httpc_answer none = {.content_type = "", .location = "", .retry_after_s = -1};
	(void)fd, (void)what;
	p->done(&none, &p->fault, p->arg);
	pending_free(p);
}

static outcome begin(struct pending *p, const struct httpc_call *call)
{
	CURL *easy = handle_take(p->client);
	if (!easy)
		return refuse(&p->fault, REASON_NO_MEMORY, "no memory for a call to %s", call->url);
	outcome r = httpc_transfer_begin(&p->transfer, easy, &p->client->pins, call, &p->fault);
	if (!r.ok) {
		handle_put(p->client, easy);
		return r;
	}
	curl_easy_setopt(easy, CURLOPT_PRIVATE, p);
	if (curl_multi_add_handle(p->client->multi, easy))
		return refuse(&p->fault, REASON_NO_MEMORY, "no memory for a call to %s", call->url);
	return DONE;
}

void httpc_send(struct httpc *c, const struct httpc_call *call, httpc_done *done, void *arg)
{
	struct pending *p = calloc(1, sizeof *p);
	if (!p)
		abort(); /* nobody could be told */
	p->client = c;
	p->done = done;
	p->arg = arg;
	p->link = &c->calls;
	if ((p->next = c->calls))
		p->next->link = &p->next;
	c->calls = p;
	event_assign(&p->failed, c->base, -1, 0, on_failed, p);
	if (!begin(p, call).ok)
		event_active(&p->failed, EV_TIMEOUT, 0);
}

void httpc_free(struct httpc *c)
{
	if (!c)
		return;
	while (c->calls) {
		struct pending *p = c->calls;
		struct httpc_answer none = {.content_type = "", .location = "", .retry_after_s = -1};
		refuse(&p->fault, REASON_UNREACHABLE, "the client was closed before the answer");
		p->done(&none, &p->fault, p->arg);
		pending_free(p);
	}
	while (c->spare_count)
		curl_easy_cleanup(c->spare[--c->spare_count]);
	curl_multi_cleanup(c->multi);
	event_del(&c->timer);
	httpc_pins_free(&c->pins);
	free(c);
}
