/*
 * edge.h - a daemon behind its edge: the SCGI server as the configuration wants it.
 */
#ifndef MOORING_EDGE_H
#define MOORING_EDGE_H

#include "common/config/config_common.h"
#include "common/scgi/scgi.h"

/* scgi_start with socket, peers and number of workers from the configuration; the rest is as in `options`. */
MUST_USE outcome edge_serve(const struct config_edge *c, const struct scgi_options *options,
			    scgi_handler *handler, void *arg, struct scgi_server **out, struct fault *f);
/* For /healthz: the process answers. Whether it can do its work is /readyz. */
void edge_answer_alive(struct scgi_request *r);

#endif
