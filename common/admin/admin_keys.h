/*
 * admin_keys.h - the master secret's file, from which the secrets of all access keys are derived.
 */
#ifndef MOORING_ADMIN_KEYS_H
#define MOORING_ADMIN_KEYS_H

#include "common/bytes.h"

enum { ADMIN_MASTER_SIZE = 32 };

/* Reads the 32 bytes; refuses another size, and a file that others can read. Caller frees and wipes. */
MUST_USE outcome admin_master_load(const char *path, struct buf *out, struct fault *f);

#endif
