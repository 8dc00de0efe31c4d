/*
 * record_upload.h - device records go to the attestation service, in numbered batches of at most 256 KiB.
 *
 * The file is NDJSON, one record a line, and is streamed: memory does not grow with it. Batches are cut the
 * same way each time, and the service takes (import, number, contents) once: an upload that was
 * interrupted is resumed by running it again with the same import id.
 */
#ifndef MOORING_RECORD_UPLOAD_H
#define MOORING_RECORD_UPLOAD_H

#include "common/admin/admin_client.h"

enum { RECORD_BATCH_MAX = 262144, RECORD_LINE_MAX = 4096, IMPORT_ID_SIZE = 65 };

struct record_upload_progress {
	uint64_t batches;
	uint64_t records;   /* sent and acknowledged */
	uint64_t inserted;  /* of them, new to the service with this upload */
	uint64_t unchanged; /* of them, there before with the same contents */
	uint64_t bytes;	    /* of the file, acknowledged */
	uint64_t bytes_total;
};

/* Called after each acknowledged batch. */
typedef void record_upload_report(const struct record_upload_progress *progress, void *arg);

/* Import id of a file where none is given: 32 hex digits of the SHA-256 of its contents. */
MUST_USE outcome record_upload_import_id(const char *path, char out[IMPORT_ID_SIZE], struct fault *f);

/* Sends every record of `path`. `import_id` is 1 to 64 of [A-Za-z0-9._-]. An unavailable service is tried
 * again (Retry-After, else 1, 2, 4, 8 s); after that, and at any refusal, the fault names batch, code and
 * request id, and `progress` holds what was acknowledged. `report` may be NULL. */
MUST_USE outcome record_upload(struct admin_client *client, const char *path, const char *import_id,
			       record_upload_report *report, void *arg,
			       struct record_upload_progress *progress, struct fault *f);

#endif
