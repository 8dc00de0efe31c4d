/*
 * http.h - the gateway's resources: one table of method, path, handler and caller.
 */
#ifndef MOORING_HTTP_H
#define MOORING_HTTP_H

#include "gateway/gateway.h"

/* Handler for scgi_start; `arg` is the gateway. */
void http_handle(struct scgi_request *r, void *arg);

/* challenges.c */
void http_challenges(struct gateway *g, struct scgi_request *r);
/* enrolments.c */
void http_enrolments(struct gateway *g, struct scgi_request *r);
void http_renewals(struct gateway *g, struct scgi_request *r);
/* ca.c */
void http_root(struct gateway *g, struct scgi_request *r);
void http_chain(struct gateway *g, struct scgi_request *r);
/* health.c */
void http_healthz(struct gateway *g, struct scgi_request *r);
void http_readyz(struct gateway *g, struct scgi_request *r);
void http_metrics(struct gateway *g, struct scgi_request *r);

#endif
