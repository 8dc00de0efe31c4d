/*
 * sessions.h - challenge-response sessions: a nonce that evidence is awaited for, then evidence and result.
 *
 * In memory, of bounded number, shared by the workers under one lock. A session lives for its TTL; when all
 * places are taken, complete sessions give way to new ones, oldest first, and waiting ones do not.
 */
#ifndef MOORING_SESSIONS_H
#define MOORING_SESSIONS_H

#include "common/evidence/evidence.h"

enum { SESSION_ID_SIZE = 37, SESSIONS_MAX = 4096 };

struct sessions;

/* A copy: the views are owned by it, session_clear. */
struct session {
	char id[SESSION_ID_SIZE]; /* UUID, version 4 (RFC 9562 5.4) */
	uint8_t nonce[BINDING_SIZE];
	int64_t expires; /* Unix seconds */
	bool complete;
	enum evidence_type type; /* what follows is there where complete */
	struct buf evidence;
	char *result; /* the signed result */
};

MUST_USE outcome sessions_new(int64_t ttl_s, size_t max, struct sessions **out, struct fault *f);
void sessions_free(struct sessions *s);

/* REASON_OVERLOADED where every place waits for evidence. `nonce` NULL: one is made. */
MUST_USE outcome sessions_begin(struct sessions *s, const uint8_t *nonce, struct session *out,
				struct fault *f);
/* REASON_NOT_FOUND where there is none of this id, or no longer. */
MUST_USE outcome sessions_find(struct sessions *s, const char *id, struct session *out, struct fault *f);
/* Keeps evidence and result with the session, once; a session that was completed meanwhile stays as it is. */
MUST_USE outcome sessions_complete(struct sessions *s, const char *id, enum evidence_type type,
				   struct bytes evidence, const char *result, struct fault *f);
MUST_USE outcome sessions_end(struct sessions *s, const char *id, struct fault *f);
size_t sessions_count(struct sessions *s);
void session_clear(struct session *copy);

#endif
