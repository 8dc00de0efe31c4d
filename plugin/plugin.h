/*
 * plugin.h - Mooring in the broker: what its callbacks share.
 *
 * All callbacks run on the broker's one thread. They decide from memory, never wait, and where they do not
 * know they deny. A callback returns MOSQ_ERR_SUCCESS, MOSQ_ERR_AUTH (BASIC_AUTH) or MOSQ_ERR_ACL_DENIED
 * (ACL_CHECK) and nothing else: any other value makes the broker drop a connection, and not always the guilty
 * one's.
 */
#ifndef MOORING_PLUGIN_H
#define MOORING_PLUGIN_H

#include "plugin/broker.h"
#include "plugin/broker_clock.h"
#include "plugin/feed.h"
#include "plugin/fields.h"
#include "plugin/keeper.h"
#include "plugin/memo.h"
#include "plugin/options.h"
#include "plugin/receipts.h"
#include "plugin/retire.h"
#include "plugin/ring.h"
#include "plugin/roster.h"
#include "plugin/sessions.h"
#include "plugin/table.h"
#include "plugin/tickets.h"
#include "plugin/wake.h"

enum { INTRUDERS_MAX = 16, INTRUDER_NAME_MAX = 256 };

/* Connections that the broker has let in without asking: to be cut in the next TICK, by user name. */
struct intruders {
	char names[INTRUDERS_MAX][INTRUDER_NAME_MAX];
	size_t count;
	bool nameless; /* one without a user name */
};

struct counters {
	uint64_t admitted;
	uint64_t refused[REASON_COUNT]; /* connections, by reason */
	uint64_t denied_publish;
	uint64_t denied_subscribe;
	uint64_t denied_receive;
	uint64_t cut;
};

struct mooring {
	mosquitto_plugin_id_t *id;
	struct options options;
	struct ring log;
	struct retire retire;
	_Atomic(struct table *) table; /* NULL: nobody is admitted */
	struct keeper keeper;	       /* the feed's thread's */
	struct receipts receipts;
	struct roster roster;
	struct feed_view view;
	struct wake *wake;
	struct feed *feed;
	int tickets; /* tickets_start's */
	/* the broker's thread's from here */
	struct sessions *sessions;
	struct fields *fields;
	struct memo memo;
	const struct table *bound; /* the table that sessions point into */
	struct broker_clock clock;
	int64_t now_s;	/* by that clock, at the last TICK */
	uint64_t heard; /* heartbeats taken into the clock */
	bool reloading; /* the broker asks again about every session, offline ones included */
	bool cutting;	/* the broker asks which subscriptions the session that is cut may keep */
	struct intruders intruders;
	struct counters counters;
	int64_t state_at_ms; /* when to publish the next state */
};

/* The callbacks; `userdata` is the struct mooring. */
int on_basic_auth(int event, void *event_data, void *userdata);
int on_acl_check(int event, void *event_data, void *userdata);
int on_disconnect(int event, void *event_data, void *userdata);
int on_reload(int event, void *event_data, void *userdata);
int on_tick(int event, void *event_data, void *userdata);

/* "$SYS/broker/mooring/...": see state.c. */
void state_publish(struct mooring *m, int64_t monotonic_ms);

#endif
