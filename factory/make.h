/*
 * make.h - the factory line: a RoT key for each device, and its record for the attestation service.
 */
#ifndef MOORING_MAKE_H
#define MOORING_MAKE_H

#include "common/evidence/evidence.h"

struct make_request {
	uint64_t count;
	const char *folder; /* OUT: <n>/secure/{rot.key,identity.json} for n from 1, and records.ndjson */
	const char *batch;
	const char *model;
	const char *rot_key_file; /* inject this key instead of generating one (count 1); NULL: generate */
	bool psa_token, cose_csr; /* what evidence the devices are registered to give */
	bool records_only;	  /* keys and folders are not kept: for tests of imports */
	void (*progress)(uint64_t made, uint64_t count); /* after each device; may be NULL */
};

/* Each device is on disk before its record is; records.ndjson appears when all are. REASON_CONFLICT where OUT
 * has records already. */
MUST_USE outcome make_devices(const struct make_request *request, struct fault *f);

#endif
