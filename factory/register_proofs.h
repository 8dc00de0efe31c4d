/*
 * register_proofs.h - two statements with one number: REGISTER/proofs/<line>-<batch>-<stage>-<seq>/1.cose, 2.cose.
 *
 * Whoever has both and the line's record can see for themselves that the line has signed one number twice.
 */
#ifndef MOORING_FACTORY_REGISTER_PROOFS_H
#define MOORING_FACTORY_REGISTER_PROOFS_H

#include "common/provenance/stage_statement.h"
#include "factory.h"

/* On disk when it returns. A proof for this number that is there already stays as it is. */
MUST_USE outcome register_proofs_keep(const char *folder, const struct stage_statement *second,
				      struct bytes first_bytes, struct bytes second_bytes, struct fault *f);

#endif
