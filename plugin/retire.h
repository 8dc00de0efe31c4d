/*
 * retire.h - memory that the feed thread has replaced and the broker's thread may still be reading.
 *
 * The broker's thread is the only reader. In each TICK it lets go of what it has kept, looks again, and says
 * so. What was replaced may have been looked at in the turn that was under way; it is free when the turn
 * after that has ended.
 */
#ifndef MOORING_PLUGIN_RETIRE_H
#define MOORING_PLUGIN_RETIRE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct retire_item;

struct retire {
	_Atomic uint64_t turns;	    /* of the reader */
	struct retire_item *oldest; /* the writer's */
	struct retire_item *newest;
	struct retire_item *spare; /* for the next one */
};

/* Reader, in TICK, once it points to nothing that it has not looked up anew in this TICK. */
void retire_turn(struct retire *r);
/* Writer, before anything is replaced: false when out of memory, and then nothing may be. */
bool retire_prepare(struct retire *r);
/* Writer, after `p` has been replaced, once for each retire_prepare: free_p(p) is called as soon as the reader
 * cannot hold it. */
void retire_later(struct retire *r, void *p, void (*free_p)(void *p));
/* Writer, now and then. */
void retire_reap(struct retire *r);
/* With no reader left. */
void retire_all(struct retire *r);

#endif
