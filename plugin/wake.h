/*
 * wake.h - brings the broker's thread to its next TICK at once: an idle broker takes one every 100 ms, and
 * one built without websockets may take none for hours.
 *
 * A signal makes the broker's epoll_wait return early. One that arrives just before epoll_wait is lost, so it
 * is sent again, soon at first and then every millisecond, until the TICK has answered.
 */
#ifndef MOORING_PLUGIN_WAKE_H
#define MOORING_PLUGIN_WAKE_H

#include "common/fault.h"

struct wake;

/* On the thread to be woken. Takes SIGRTMIN+5, which no version of the broker uses, and starts a thread. */
MUST_USE outcome wake_start(struct wake **out, struct fault *f);
void wake_stop(struct wake *w);
/* Any thread. */
void wake_request(struct wake *w);
/* The woken thread, first thing in TICK, before it looks for what it was woken for. */
void wake_answer(struct wake *w);

#endif
