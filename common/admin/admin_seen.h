/*
 * admin_seen.h - signatures of mutating requests, each remembered until its time is past: a replay is told
 * from a new request, also after a restart.
 *
 * The memory is a file of fixed size, mapped: 4096 buckets of 16. A bucket is chosen by the signature, which
 * only a holder of a key can choose. A crash of the process loses nothing; a power cut may lose what the
 * kernel had not written yet, some seconds.
 */
#ifndef MOORING_ADMIN_SEEN_H
#define MOORING_ADMIN_SEEN_H

#include "common/crypto/crypto.h"

enum seen { SEEN_NEW, SEEN_BEFORE, SEEN_FULL };

struct admin_seen;

/* Creates the file (0600) where it is absent. REASON_DISK_FULL, REASON_IO. */
MUST_USE outcome admin_seen_open(const char *path, struct admin_seen **out, struct fault *f);
void admin_seen_close(struct admin_seen *s);
/* Remembers the signature until Unix time `until`; not safe from two threads at once. */
enum seen admin_seen_add(struct admin_seen *s, const uint8_t signature[SHA256_SIZE], int64_t until,
			 int64_t now);

#endif
