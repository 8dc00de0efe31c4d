/*
 * watch.h - the brokers' receipts of a change, shown as they come in.
 */
#ifndef MOORING_WATCH_H
#define MOORING_WATCH_H

#include "ctl.h"

#include <stdint.h>

/* From now on Ctrl-C sets watch_stopped instead of ending the program; a second one ends it. */
void watch_catch_interrupts(void);
bool watch_stopped(void);

/* Until the change with this log number is effective at every broker, or Ctrl-C. On a terminal a table that is kept up
 * to date, else a line for each broker that has confirmed, with --json an object a line: {"event": "broker", "name",
 * "state", "lag_s", "effective_ms"}, then {"event": "effective" or "stopped", "seq"}. EXIT_DONE where it is effective,
 * else EXIT_NOT_YET_EFFECTIVE; the cause of a call that failed stands on standard error. */
int watch_change(struct ctl *c, int64_t seq);

#endif
