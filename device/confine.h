/*
 * confine.h - each world may touch its own folder and nothing of the other's.
 */
#ifndef MOORING_DEVICE_CONFINE_H
#define MOORING_DEVICE_CONFINE_H

#include "common/fault.h"

struct confine {
	const char *folder;	      /* read and written; started as root the process becomes its owner */
	const char *const *read_only; /* NULL-terminated; may be NULL */
	bool network;
	bool insecure; /* --insecure-single-user */
};

/* For good. REASON_CONFIG where nothing would keep the worlds apart and `insecure` does not allow that. */
MUST_USE outcome confine_enter(const struct confine *c, struct fault *f);

#endif
