/*
 * routes.h - every path of the service, who may use it, and what answers it: one table.
 */
#ifndef MOORING_ATTESTATION_ROUTES_H
#define MOORING_ATTESTATION_ROUTES_H

#include "common/scgi/scgi.h"

/* The handler of the SCGI server; `arg` is the struct attestd. */
void routes_handle(struct scgi_request *r, void *arg);

#endif
