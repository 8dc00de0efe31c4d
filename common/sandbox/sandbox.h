/*
 * sandbox.h - a daemon gives up what it does not need, before it reads the first byte from outside.
 */
#ifndef MOORING_SANDBOX_H
#define MOORING_SANDBOX_H

#include "common/fault.h"

#include <sys/types.h>

struct sandbox {
	uid_t uid; /* started as root: becomes this uid and gid; 0 is refused unless `insecure` */
	gid_t gid;
	const char *const *read_only; /* NULL-terminated paths, files or folders */
	const char *const *read_write;
	bool network; /* false: no sockets but Unix ones (seccomp) */
	bool non_dumpable;
	bool insecure; /* --insecure-single-user: go on where nothing confines us */
};

/* Drops root where it has it, then confines by Landlock (paths) and seccomp (no ptrace, no process_vm, no
 * mount, no module, no keyring; without `network` no AF_INET). Logs "single-user mode" where not started as
 * root. Refuses with REASON_CONFIG where neither own uid nor Landlock is there, unless `insecure`. */
MUST_USE outcome sandbox_enter(const struct sandbox *s, struct fault *f);

#endif
