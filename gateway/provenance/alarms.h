/*
 * alarms.h - which alarms about lines were told lately.
 */
#ifndef MOORING_PROVENANCE_ALARMS_H
#define MOORING_PROVENANCE_ALARMS_H

#include "common/fault.h"
#include "common/provenance/provenance.h"

#include <pthread.h>

enum { ALARMS_KEPT = 1024 }; /* by a hash of what they are about; two that meet are told more often */

struct alarms {
	pthread_mutex_t lock;
	struct {
		uint64_t about;
		int64_t at_ms; /* 0: never */
	} kept[ALARMS_KEPT];
};

/* `a` is all zero. */
void alarms_init(struct alarms *a);
void alarms_end(struct alarms *a);
/* Whether an alarm of this reason about this line and batch is due, which counts as told then; any thread. */
bool alarms_is_due(struct alarms *a, enum reason reason, const uint8_t line[KEY_ID_SIZE], const char *batch,
		   int64_t now_ms);

#endif
