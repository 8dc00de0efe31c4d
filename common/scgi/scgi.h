/*
 * scgi.h - the daemons' side of the edge: SCGI over a Unix socket, one request a connection.
 *
 * nginx has done TLS, HTTP, sizes and slow clients. The parameters are length-prefixed, so that no
 * HTTP header can name one. Peers other than root, the daemon's own uid and the configured uids are
 * dropped (SO_PEERCRED).
 */
#ifndef MOORING_SCGI_H
#define MOORING_SCGI_H

#include "common/bytes.h"
#include "common/loop.h"

#include <sys/types.h>

enum { SCGI_BODY_MAX = 262144 + 4096, SCGI_HEADERS_MAX = 65536, REQUEST_ID_SIZE = 27 };

struct scgi_server;
struct scgi_request;

struct scgi_options {
	const char *socket_path;
	const uid_t *peer_uids; /* besides root and the own uid */
	size_t peer_count;
	unsigned workers;	  /* loops; 0 = one a core */
	unsigned connections_max; /* open requests in all; beyond it 503 at once; 0 = 4096 */
	unsigned read_deadline_s; /* absolute, for the whole request; 0 = 30 */
	/* What each worker needs of its own (a connection, a client, a cache) is made and freed on its
	 * loop, with the handler's `arg`: before it accepts anything, and after its last request. May be
	 * NULL. */
	outcome (*worker_start)(struct loop *loop, unsigned worker, void *arg, struct fault *f);
	void (*worker_stop)(unsigned worker, void *arg);
};

/* Called on a worker's loop with the whole request. It answers now, or later from the same loop; a
 * request whose client has left is answered all the same (the bytes go nowhere). */
typedef void scgi_handler(struct scgi_request *r, void *arg);

MUST_USE outcome scgi_start(const struct scgi_options *options, scgi_handler *handler, void *arg,
			    struct scgi_server **out, struct fault *f);
/* Stops accepting, ends streams, gives open requests `grace_ms` to finish. The loops go on, so that
 * whatever still posts to them can be closed before scgi_stop. */
void scgi_drain(struct scgi_server *s, int grace_ms);
/* The same where it was not done yet, then ends the loops. */
void scgi_stop(struct scgi_server *s, int grace_ms);
/* Requests that are open now. */
unsigned scgi_open_count(const struct scgi_server *s);
unsigned scgi_worker_count(const struct scgi_server *s);
struct loop *scgi_worker(struct scgi_server *s, unsigned i);

/* Valid until answered. Strings are never NULL. */
const char *scgi_method(const struct scgi_request *r);
const char *scgi_path(const struct scgi_request *r);  /* raw, from REQUEST_URI, without the query */
const char *scgi_query(const struct scgi_request *r); /* raw, without '?' */
const char *scgi_header(const struct scgi_request *r, const char *name); /* HTTP header, any case; "" */
size_t scgi_header_count(const struct scgi_request *r);
void scgi_header_at(const struct scgi_request *r, size_t i, const char **name, const char **value);
struct bytes scgi_body(const struct scgi_request *r);
/* The client certificate's PEM from CLIENT_CERT, percent-decoded; n = 0 where none was presented. */
struct bytes scgi_client_cert(const struct scgi_request *r);
/* Crockford base32 of time and randomness: sorts by time. Sent back as X-Request-Id. */
const char *scgi_request_id(const struct scgi_request *r);
/* Percent-decoded value of a query parameter into `out`; false where absent, malformed or too long. */
MUST_USE bool scgi_query_get(const struct scgi_request *r, const char *name, char *out, size_t room);
/* True where the query names it at all, whatever its value. */
bool scgi_query_has(const struct scgi_request *r, const char *name);
/* A query parameter that is a plain decimal number, 0 .. max; `otherwise` where the query does not name it.
 * REASON_BAD_FIELD. */
MUST_USE outcome scgi_query_number(const struct scgi_request *r, const char *name, int64_t max,
				   int64_t otherwise, int64_t *out, struct fault *f);
struct loop *scgi_request_loop(const struct scgi_request *r);
/* Which worker has it: 0 .. scgi_worker_count - 1. */
unsigned scgi_worker_index(const struct scgi_request *r);
/* Memory that lives as long as the request; aborts the request with 503 and returns NULL when there is
 * none. */
void *scgi_alloc(struct scgi_request *r, size_t n);

/* Adds a header to the answer. */
void scgi_answer_header(struct scgi_request *r, const char *name, const char *value);
/* Sends the answer and ends the request; `r` is gone afterwards. */
void scgi_answer(struct scgi_request *r, int status, const char *content_type, struct bytes body);
/* RFC 9457 problem document of the fault's public row with this request id; `detail` may be NULL. For public
 * rows about malformed input the detail is the fault's text. Where the row is retryable, Retry-After: the
 * fault's, else 1 s for a conflict and 5 s for the rest. */
void scgi_answer_problem(struct scgi_request *r, const struct fault *f);
/* The same with reason code and text in any case, for a caller who has proved to be an operator: where the
 * log cannot be written, nothing else would tell. */
void scgi_answer_problem_to_operator(struct scgi_request *r, const struct fault *f);

/* A stream: head first, then chunks until scgi_stream_end or until the client has left (`left` is called
 * once, on the loop; afterwards `r` is gone). Buffered bytes beyond `limit` end the stream. */
void scgi_stream_begin(struct scgi_request *r, const char *content_type, size_t limit,
		       void (*left)(void *arg), void *arg);
void scgi_stream_send(struct scgi_request *r, struct bytes chunk);
/* `drained` is called on the loop, with the stream's arg, whenever the edge has taken all that was sent,
 * also from within scgi_stream_send: a sender of much can wait for it instead of filling the buffer. */
void scgi_stream_on_drained(struct scgi_request *r, void (*drained)(void *arg));
void scgi_stream_end(struct scgi_request *r);

#endif
