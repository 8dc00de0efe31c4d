/*
 * probe.h - reads the attestation service's discovery document, again and again, for health.h.
 */
#ifndef MOORING_ATTEST_PROBE_H
#define MOORING_ATTEST_PROBE_H

#include "gateway/worker.h"

/* On the worker's loop; asks at once, then every ten seconds, and every second while calls fail. */
MUST_USE outcome attest_probe_start(struct worker *w, struct attest_probe **out, struct fault *f);
/* After the worker's httpc was freed. */
void attest_probe_stop(struct attest_probe *p);

#endif
