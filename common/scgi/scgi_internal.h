/*
 * scgi_internal.h - what the files of the SCGI server share: the server, a worker, a connection with its request.
 */
#ifndef MOORING_SCGI_INTERNAL_H
#define MOORING_SCGI_INTERNAL_H

#include "scgi.h"
#include "scgi_parse.h"

#include <event2/event_struct.h>
#include <stdatomic.h>
#include <stddef.h>

enum { SCGI_READ_DEADLINE_S = 30, SCGI_WRITE_DEADLINE_S = 30, SCGI_LINGER_S = 2, SCGI_SCRATCH = 65536 };

enum scgi_state {
	SCGI_READING,	/* until the whole request is there */
	SCGI_HANDLING,	/* the handler owns it */
	SCGI_WRITING,	/* an answer is on its way out */
	SCGI_STREAMING, /* the handler may send more */
	SCGI_LINGERING, /* refused before all was read: what still comes is dropped, so that the answer arrives */
	SCGI_OVER,	/* to be freed as soon as the handler has returned */
};

struct scgi_block { /* one piece of a request's arena */
	struct scgi_block *next;
	_Alignas(max_align_t) uint8_t memory[];
};

struct scgi_request {
	struct scgi_worker *worker;
	struct scgi_request *next, **link; /* the worker's open requests */
	int fd;
	enum scgi_state state;
	bool in_handler, overloaded, left, ending, closing, linger;
	struct event io, timer;
	struct buf in, out, extra; /* request, unsent answer, headers that the handler added */
	size_t out_sent;
	struct scgi_head head;
	char *path, *query;
	struct bytes client_cert;
	struct scgi_pair *headers; /* HTTP headers under their own names; made when first asked for */
	size_t header_count;
	struct scgi_block *arena;
	char id[REQUEST_ID_SIZE];
	size_t stream_limit;
	void (*stream_left)(void *arg);
	void (*stream_drained)(void *arg); /* may be NULL */
	void *stream_arg;
};

struct scgi_worker {
	struct scgi_server *server;
	struct loop *loop;
	unsigned index;
	bool started;
	struct event *listen, *resume;
	struct scgi_request *open;
	int64_t warned_ms;
	uint8_t scratch[SCGI_SCRATCH];
};

struct scgi_server {
	int fd;
	char *path;
	uid_t *peer_uids;
	size_t peer_count;
	struct scgi_options options;
	scgi_handler *handler;
	void *arg;
	atomic_uint open;
	bool drained;
	struct scgi_worker *workers;
	unsigned worker_count;
};

/* conn: takes the descriptor; reads at once, since the edge mostly has sent already. */
void scgi_conn_open(struct scgi_worker *w, int fd);
/* Takes the connection from the loop but leaves the memory: a late answer to it goes nowhere and frees it. */
void scgi_conn_abandon(struct scgi_request *r);
/* Frees the memory alone, after the loop is gone. */
void scgi_conn_release(struct scgi_request *r);
/* Sends r->out; with `ending` it is the last of it. */
void scgi_conn_flush(struct scgi_request *r);
/* Ends a stream from within any call: the `left` callback and the free come in the loop's next turn. */
void scgi_conn_end(struct scgi_request *r);

/* request: fills path, query, certificate and id from the whole request in r->in. */
outcome scgi_request_fill(struct scgi_request *r, struct fault *f);
void scgi_request_name(struct scgi_request *r);

#endif
