/*
 * standing.h - changes of a standing: made, recorded, and how far they are effective.
 */
#ifndef MOORING_STANDING_CHANGE_H
#define MOORING_STANDING_CHANGE_H

#include "api.h"

/* Why a certificate may be revoked (RFC 5280 5.3.1), as the choices of an option. */
#define STANDING_REASONS                                                                                     \
	"unspecified|key-compromise|affiliation-changed|superseded|cessation-of-operation|privilege-withdrawn"

/* The option of every command that makes a change. */
#define STANDING_WAIT_OPTION                                                                                 \
	{                                                                                                    \
		"wait", "MS", "how long to wait for the brokers: 0 to 30000 milliseconds (2000)"             \
	}
#define STANDING_WATCH_OPTION                                                                                 \
	{                                                                                                     \
		"watch", NULL,                                                                                \
			"shows each broker confirm, until all have or Ctrl-C; without a terminal a line each" \
	}
/* The exit codes of every such command, for its help. */
#define STANDING_EXITS                                                                                       \
	"0 done, and effective at every broker; 1 refused or failed; 2 wrong usage; 3 recorded for good,\n"  \
	"  but a broker that the answer names has not confirmed yet: asking again is not needed"
enum { STANDING_WAIT_MAX_MS = 30000, STANDING_WAIT_MS = 2000, STANDING_HEARD_SIZE = 48 };

/* Makes the change at "<prefix><name><suffix>" and prints what was done ("revoked: thing-1"; where it was so
 * before, "already revoked: thing-1", and the change that made it so) and the state at each broker. `body` is taken over; NULL for a change without one. EXIT_DONE where it is effective
 * everywhere, EXIT_NOT_YET_EFFECTIVE where a broker has not confirmed. */
struct standing_change {
	const char *method, *prefix, *name, *suffix;
	const char *done;
	bool in_body;	  /* the name stands in the body, not in the path */
	const char *next; /* what comes now, for people; NULL: nothing */
	void (*more)(const struct ctl *c,
		     const json_t *answer); /* what else the answer says, for people; may be NULL */
	long wait_ms;			    /* where --wait does not say it; 0: STANDING_WAIT_MS */
};
int standing_change(struct ctl *c, const struct arguments *a, const struct standing_change *what,
		    json_t *body);

/* The state of each broker, of a change or of a watch; and which of them a change waits for, and how to see that
 * it has come. */
void standing_print_brokers(const struct ctl *c, json_t *brokers);
void standing_print_missing(json_t *brokers, int64_t seq);

/* When a broker was last heard of, from its "lag_s". */
const char *standing_heard(const json_t *broker, char out[STANDING_HEARD_SIZE]);

#endif
