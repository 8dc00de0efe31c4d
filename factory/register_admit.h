/*
 * register_admit.h - what the register takes: only what is signed, known, within its order, and follows what is
 * there already.
 */
#ifndef MOORING_FACTORY_REGISTER_ADMIT_H
#define MOORING_FACTORY_REGISTER_ADMIT_H

#include "register_index.h"

struct factory_register {
	struct register_log log;
	struct register_index index;
	int64_t now; /* Unix seconds; never before the last entry's */
};

enum admission {
	ADMISSION_NEW,
	ADMISSION_THERE, /* this very object is in the register */
	ADMISSION_LATER, /* the statement before it is not in the register yet; `f` says so */
};

/* Appends the object where it is right; it counts with the next register_log_commit. Reasons are those of
 * chain_check.h; EQUIVOCATION where another statement has its number: both are kept, see register_proofs.h. */
MUST_USE outcome register_admit(struct factory_register *r, struct bytes object, enum admission *out,
				struct fault *f);

#endif
