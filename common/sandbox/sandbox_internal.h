/*
 * sandbox_internal.h - the two kernel mechanisms behind sandbox.h, a file each.
 */
#ifndef MOORING_SANDBOX_INTERNAL_H
#define MOORING_SANDBOX_INTERNAL_H

#include "sandbox.h"

/* Paths: everything but s->read_only, s->read_write and what the C library needs is out of reach. *confined
 * is false, with success, where the kernel has no Landlock. */
MUST_USE outcome sandbox_landlock(const struct sandbox *s, bool *confined, struct fault *f);
/* System calls that no daemon needs fail with EPERM; without `network` so do all sockets but Unix ones. */
MUST_USE outcome sandbox_seccomp(bool network, struct fault *f);

#endif
