/*
 * counters.h - what a process has cost so far, all of its threads together: processor time as the scheduler counts
 * it, and instructions where the machine can count them. Both are of the process alone, whatever else runs.
 */
#ifndef MOORING_BENCH_COUNTERS_H
#define MOORING_BENCH_COUNTERS_H

#include "common/fault.h"

#include <stdbool.h>
#include <sys/types.h>

struct counters;

struct counted {
	double cpu_us;
	double instructions; /* outside the kernel */
	double kernel;	     /* instructions inside it */
};

/* Of the threads that the process has now, and of those that they start later. REASON_UNREACHABLE: no such process. */
MUST_USE outcome counters_open(pid_t pid, struct counters **out, struct fault *f);
void counters_close(struct counters *c);
/* A virtual machine may have no counters, and another user's process may be closed to us: instructions are 0 then. */
bool counters_have_instructions(const struct counters *c);
struct counted counters_read(const struct counters *c);

#endif
