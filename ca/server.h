/*
 * server.h - the signer's socket and its one loop: read what is there, decide all of it, commit once, answer.
 */
#ifndef MOORING_CA_SERVER_H
#define MOORING_CA_SERVER_H

#include "signer.h"

#include <sys/types.h>

struct server;

/* Binds the Unix socket, replacing one that nobody listens on any more. Anyone may connect; who is not one
 * of `uids` (none: the own uid alone) is dropped (SO_PEERCRED). Blocks SIGTERM and SIGINT, which end server_run.
 * Takes the uids over. */
MUST_USE outcome server_new(const char *socket_path, uid_t *uids, size_t uid_count, struct server **out,
			    struct fault *f);
/* Until SIGTERM or SIGINT; REASON_JOURNAL_IO when the journal is lost to this process. */
MUST_USE outcome server_run(struct server *v, struct signer *s, struct fault *f);
void server_free(struct server *v);

#endif
