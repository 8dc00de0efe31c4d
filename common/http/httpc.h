/*
 * httpc.h - HTTPS client over libcurl: asynchronous on a loop for the daemons, blocking for the tools.
 */
#ifndef MOORING_HTTPC_H
#define MOORING_HTTPC_H

#include "common/bytes.h"
#include "common/loop.h"

struct httpc_tls {
	const char *ca_file;   /* the only trust anchor; PEM */
	const char *cert_file; /* client certificate and key; NULL where none */
	const char *key_file;
	const char *host_alias; /* name to verify instead of the URL's host; NULL: the URL's */
	const char *
		connect_to; /* "HOST:PORT" to dial, whatever the URL says: Host and verification stay the URL's; NULL: the URL's */
	int64_t verify_time; /* Unix time at which the server's certificate must be valid; 0: now, by the system's clock */
};

struct httpc_call {
	const char *method;
	const char *url;
	const char *const *headers; /* "Name: value", NULL-terminated; may be NULL */
	struct bytes body;	    /* copied */
	size_t answer_max;	    /* a longer answer is a failure */
	long timeout_ms;
	long connect_timeout_ms; /* 0: 5 s */
};

struct httpc_answer {
	int status; /* 0: no answer, see fault */
	struct bytes body;
	const char *content_type; /* "" where absent */
	const char *location;	  /* as it was sent: httpc_resolve; "" where absent */
	int retry_after_s;	  /* -1 where absent */
	int64_t date;		  /* Date header, Unix seconds; 0 where absent */
};

struct httpc; /* connection cache, bound to one loop */

/* On the loop's thread. The files of `tls` are read now and never again. Redirects are never followed, HTTP/1.1, TLS 1.2 or later. */
MUST_USE outcome httpc_new(struct event_base *base, const struct httpc_tls *tls, struct httpc **out,
			   struct fault *f);
/* Calls that are under way end with REASON_UNREACHABLE. Not from within `done`. */
void httpc_free(struct httpc *c);
typedef void httpc_done(const struct httpc_answer *answer, const struct fault *f, void *arg);
/* `done` is called once, on the loop, never from within this call. Without an answer `f` says why: REASON_DEADLINE,
 * REASON_UNREACHABLE (also for TLS failures), REASON_PEER_ANSWER (longer than answer_max); else it is NULL. The views
 * live until `done` returns. */
void httpc_send(struct httpc *c, const struct httpc_call *call, httpc_done *done, void *arg);
/* Where a Location leads that came in answer to a call to `url` (RFC 3986 5.2). The caller frees it; NULL where it is no
 * URL, or without memory. */
char *httpc_resolve(const char *url, const char *location);

/* Blocking, for tools: *answer's views live until httpc_sync_free. */
struct httpc_sync;
MUST_USE outcome httpc_sync_new(const struct httpc_tls *tls, struct httpc_sync **out, struct fault *f);
MUST_USE outcome httpc_sync_call(struct httpc_sync *c, const struct httpc_call *call,
				 struct httpc_answer *answer, struct fault *f);
/* How far the last call came that had no answer, so that a tool can say what to look at. */
enum httpc_failure {
	HTTPC_ANSWERED,
	HTTPC_NO_ADDRESS,  /* the host's name has none */
	HTTPC_NOT_THERE,   /* nobody listens, or nobody can be reached */
	HTTPC_NO_TLS,	   /* whoever listens does not speak TLS, or hangs up */
	HTTPC_BAD_CA_FILE, /* the pinned file holds no certificate */
	HTTPC_UNTRUSTED,   /* the server's certificate does not lead to the pinned CA */
	HTTPC_WRONG_HOST,  /* it is for another name */
	HTTPC_WRONG_TIME,  /* it is not valid yet, or no more, by this clock */
	HTTPC_SLOW,	   /* no answer in time */
	HTTPC_FAILED,	   /* anything else */
};
enum httpc_failure httpc_sync_failure(const struct httpc_sync *c);
void httpc_sync_free(struct httpc_sync *c);

#endif
