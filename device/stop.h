/*
 * stop.h - SIGTERM and SIGINT end the device in order; everything that waits, waits for them too.
 */
#ifndef MOORING_STOP_H
#define MOORING_STOP_H

#include "common/fault.h"

#include <stdint.h>

/* Catches both signals. Before other threads are started. */
MUST_USE outcome stop_catch(struct fault *f);
/* While on, the process ends in the signal handler, with exit code 0: for the time before there is an
 * identity, when a call to a gateway may take long and what is on disk is all that counts. */
void stop_at_once(bool on);
/* Readable from the first of them on. */
int stop_fd(void);
/* Waits; false when the device is to stop. `arg` is not used. */
bool stop_pause(void *arg, int64_t ms);

#endif
