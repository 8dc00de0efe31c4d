/*
 * signer_client.h - one worker's connection to the signer.
 *
 * Requests are pipelined and answered in any order; each is idempotent by its intent id, so that after a lost
 * connection what was not answered is simply sent again, until the call's time is up, or the signer has been away for
 * longer than a restart takes.
 */
#ifndef MOORING_SIGNER_CLIENT_H
#define MOORING_SIGNER_CLIENT_H

#include "common/signer_protocol.h"

#include <event2/event.h>

struct signer_client;

enum { SIGNER_CALL_TIMEOUT_MS = 8000, SIGNER_GONE_MS = 2000 };

/* On the loop's thread. Connects at once and again whenever the connection is lost. */
MUST_USE outcome signer_client_new(struct event_base *base, const char *socket_path,
				   struct signer_client **out, struct fault *f);
/* Calls that are under way end with SIGNER_UNAVAILABLE. Not from within `done`. */
void signer_client_free(struct signer_client *c);

/* Once, on the loop, never from within signer_client_send. `f` is SIGNER_UNAVAILABLE and `answer` NULL, or
 * the other way round; the answer's views live until it returns. */
typedef void signer_done(const struct signer_answer *answer, const struct fault *f, void *arg);
/* Refuses a request that cannot be encoded, and then never calls `done`. */
MUST_USE outcome signer_client_send(struct signer_client *c, const struct signer_request *r,
				    signer_done *done, void *arg, struct fault *f);
bool signer_client_connected(const struct signer_client *c);
/* Not connected for SIGNER_GONE_MS: more than a restart, so that there is no use in beginning what would wait
 * for it. */
bool signer_client_gone(const struct signer_client *c);

#endif
