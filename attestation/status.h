/*
 * status.h - how the service is: /healthz, /readyz, /metrics.
 */
#ifndef MOORING_STATUS_H
#define MOORING_STATUS_H

#include "worker.h"
#include "common/scgi/scgi.h"

/* One appraisal: REASON_NONE is affirming. */
void status_appraised(enum reason reason, int64_t us);
void status_imported(int64_t inserted, int64_t unchanged);
void status_withdrawn(int64_t devices);

/* Writes to the database, at most once a second, to know: 503 with the reason where that fails. */
void status_ready(struct worker *w, struct scgi_request *r);
void status_metrics(struct worker *w, struct scgi_request *r);

#endif
