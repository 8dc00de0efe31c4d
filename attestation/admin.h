/*
 * admin.h - the device records' interface for their owner (SigV4): import, look up, suspend, resume.
 *
 * The caller is checked by routes.c before any of these is called.
 */
#ifndef MOORING_ATTESTATION_ADMIN_H
#define MOORING_ATTESTATION_ADMIN_H

#include "worker.h"
#include "common/scgi/scgi.h"

enum { RECORDS_PAGE_MAX = 500, RECORDS_PAGE = 100 };

/* Who asks, for the log: the id of the access key. Each takes the path's variable parts. */
void admin_import(struct worker *w, struct scgi_request *r, const char *caller, const char *import,
		  const char *number);
void admin_list(struct worker *w, struct scgi_request *r);
void admin_show(struct worker *w, struct scgi_request *r, const char *instance);
void admin_stand_record(struct worker *w, struct scgi_request *r, const char *caller, const char *instance,
			bool suspended);
void admin_stand_batch(struct worker *w, struct scgi_request *r, const char *caller, const char *batch,
		       bool suspended);

#endif
