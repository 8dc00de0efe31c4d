/*
 * secure_world.h - the process that alone has the RoT key and the device keys.
 *
 * It is forked before anything else happens, opens DIR/secure, confines itself to it without network, closes
 * everything but its end of the socket, and answers one call at a time until the other end is closed.
 */
#ifndef MOORING_SECURE_WORLD_H
#define MOORING_SECURE_WORLD_H

#include "psa.h"

#include <sys/types.h>

struct secure_world_options {
	const char *folder; /* DIR/secure; the process becomes the user who owns it */
	bool insecure;	    /* go on where nothing confines the process */
	bool quiet;	    /* log errors only */
};

/* Forks the secure world and waits until it has read its keys and confined itself. Only one process at a time
 * can hold a folder: REASON_CONFLICT. Call with no other thread running. */
MUST_USE outcome secure_world_start(const struct secure_world_options *options, struct psa **out, pid_t *pid,
				    struct fault *f);
/* The secure world's own life: serves `fd` until end of file; the process's exit code. */
int secure_world_main(const struct secure_world_options *options, int fd);

#endif
