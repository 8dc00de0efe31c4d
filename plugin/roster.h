/*
 * roster.h - which sessions are live, where the gateway asks: a page at a time, from the broker's thread to the feed's.
 *
 * Questions wait with the feed's thread, which puts one at a time. The broker's thread copies the page for it, for a
 * short while in each TICK so that nobody waits for it, and hands it back. While nobody asks, nothing is kept and TICK
 * looks at one number.
 */
#ifndef MOORING_PLUGIN_ROSTER_H
#define MOORING_PLUGIN_ROSTER_H

#include "common/feed/feed_format.h"
#include "plugin/sessions.h"

enum {
	ROSTER_WAITING_MAX = 32,  /* questions; what comes then is left unanswered */
	ROSTER_BODY_MAX = 200000, /* bytes; the rest of the page is for another question */
	ROSTER_CLIENT_ID_SIZE = 129,
	ROSTER_ADDRESS_SIZE = 64,
};

struct roster_question {
	uint8_t id[FEED_QUESTION_SIZE];
	int64_t after_us;
	size_t limit;
	char name[FEED_NAME_MAX + 1]; /* "": of all */
};

struct roster_row {
	char name[FEED_NAME_MAX + 1]; /* thing or service; "": its certificate is registered no more */
	bool is_service;
	char client_id[ROSTER_CLIENT_ID_SIZE];
	char username[SESSION_USERNAME_SIZE]; /* the certificate's id */
	char address[ROSTER_ADDRESS_SIZE];    /* "": not known */
	int64_t since_us;
	int protocol;
};

enum roster_turn {
	ROSTER_NOBODY, /* nothing is asked */
	ROSTER_BROKER, /* the broker's thread copies */
	ROSTER_FEED,   /* the page is there */
};

struct roster {
	_Atomic int turn; /* enum roster_turn: who may touch what follows */
	struct roster_question question;
	struct roster_row *rows;
	size_t count;
	size_t live;	 /* sessions of this broker, whatever was asked */
	bool more;	 /* there may be others after the last row */
	int64_t seen_us; /* how far the broker's thread has looked */
	/* the feed's thread's */
	struct roster_question waiting[ROSTER_WAITING_MAX];
	size_t waiting_count;
};

void roster_free(struct roster *r);

/* The feed's thread. A question has come. */
void roster_ask(struct roster *r, const struct feed_record *question);
/* Puts the next question; true where the broker's thread has to be woken for it. */
MUST_USE bool roster_put(struct roster *r);
/* Appends the page that is there, as JSON; false where none is. */
MUST_USE bool roster_answer(struct roster *r, const char *broker, const char *stream, struct buf *body);
/* Questions that wait will not be answered: who asked is gone. */
void roster_forget(struct roster *r);

/* The broker's thread, in TICK: copies for `slice_us` at most. What remains is for the next TICK where the turn is
 * ROSTER_BROKER still; ROSTER_FEED: the feed's thread has something to do; ROSTER_NOBODY: nothing was asked. */
enum roster_turn roster_copy(struct roster *r, const struct sessions *sessions, int64_t slice_us);

#endif
