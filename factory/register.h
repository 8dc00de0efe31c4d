/*
 * register.h - the register that a command works on.
 */
#ifndef MOORING_FACTORY_REGISTER_H
#define MOORING_FACTORY_REGISTER_H

#include "register_admit.h"

/* The register in --dir: to read what it has signed for, or to append, repaired where the power had failed. What is
 * odd about it is said on standard error. Caller register_end, also on failure. */
MUST_USE outcome register_begin(struct factory_register *r, const struct arguments *a, bool append,
				struct fault *f);
void register_end(struct factory_register *r);

#endif
