/*
 * stop.h - SIGTERM and SIGINT end the device in order; everything that waits, waits for them too.
 */
#ifndef MOORING_STOP_H
#define MOORING_STOP_H

#include "fault.h"

#include <stdint.h>

/* Catches both signals. Before other threads are started. */
MUST_USE outcome stop_catch(struct fault *f);
/* Readable from the first of them on. */
int stop_fd(void);
/* Waits; false when the device is to stop. `arg` is not used. */
bool stop_pause(void *arg, int64_t ms);

#endif
