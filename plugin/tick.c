/* What the threads have prepared is done here, where broker functions may be called. */
#include "plugin/plugin.h"

#include "common/clock.h"

#include <stdatomic.h>

enum {
	CUT_BATCH = 64,
	CUT_TIME_US = 5000, /* a turn; then the others have theirs, and the next turn goes on */
	COPY_TIME_US = 1000,
};

static void drain_log(struct mooring *m)
{
	char line[RING_LINE_MAX];
	int level;
	while (ring_take(&m->log, &level, line))
		mosquitto_log_printf(level, "%s", line);
}

static void turn_clock(struct mooring *m, int64_t monotonic_ms)
{
	bool changed = broker_clock_turn(&m->clock, clock_wall_ms(), monotonic_ms);
	uint64_t heard = atomic_load(&m->view.heard);
	if (heard != m->heard) {
		m->heard = heard;
		changed ^= broker_clock_heartbeat(&m->clock, atomic_load(&m->view.gateway_ms), 0);
	}
	if (changed && m->clock.suspect)
		mosquitto_log_printf(MOSQ_LOG_ERR,
				     "mooring: %s: nobody new is admitted until the gateway's time agrees",
				     reason_code(REASON_CLOCK_SUSPECT));
	else if (changed)
		mosquitto_log_printf(MOSQ_LOG_NOTICE, "mooring: the clock agrees with the gateway's");
}

/* By client id: by user name the broker looks through every socket that it has, and a recall would cost the square of
 * its size. A client id that is offline must not be named: the broker would free memory that it goes on to use. One
 * that has not departed is online. Without the will, which a revoked device must not have published. The broker calls
 * on_disconnect from within; what it did not find is looked for by user name, among live sockets alone, and is not
 * live then, or TICK would never end. */
static void cut(struct mooring *m, const struct session *s, enum reason reason)
{
	if (s->departed)
		return;
	mosquitto_log_printf(MOSQ_LOG_NOTICE, "mooring: cut %s: %s", s->username, reason_code(reason));
	m->cutting = true;
	mosquitto_kick_client_by_clientid(s->client_id, false);
	if (!s->departed)
		mosquitto_kick_client_by_username(s->username, false);
	m->cutting = false;
	sessions_depart(m->sessions, s->client);
	m->counters.cut++;
}

/* True when nobody unwanted is left. */
static bool cut_unwanted(struct mooring *m)
{
	const struct session *found[CUT_BATCH];
	int64_t until_us = clock_monotonic_us() + CUT_TIME_US;
	for (;;) {
		size_t n = sessions_unwanted(m->sessions, found, CUT_BATCH);
		if (n == 0)
			return true;
		for (size_t i = 0; i < n; i++) {
			if (clock_monotonic_us() > until_us)
				return false;
			cut(m, found[i], session_fault(found[i]));
		}
	}
}

static void cut_expired(struct mooring *m)
{
	for (const struct session *s; !m->clock.suspect && (s = sessions_expired(m->sessions, m->now_s));)
		cut(m, s, REASON_CERTIFICATE_EXPIRED);
}

static void expel_intruders(struct mooring *m)
{
	struct intruders *in = &m->intruders;
	while (in->count)
		mosquitto_kick_client_by_username(in->names[--in->count], false);
	if (in->nameless)
		mosquitto_kick_client_by_username(NULL, false);
	in->nameless = false;
}

/* A snapshot has taken the table's place: nothing may point into the old one when retire_turn is called. */
static bool rebind(struct mooring *m)
{
	const struct table *table = atomic_load(&m->table);
	if (table == m->bound)
		return false;
	sessions_rebind(m->sessions, table);
	m->bound = table;
	return true;
}

/* `wanted` is read before the table and the states: what it counts is then seen, and so is done afterwards. */
static void cut_wanted(struct mooring *m, bool unsure)
{
	uint64_t wanted = receipts_cuts_wanted(&m->receipts);
	bool rebound = rebind(m);
	retire_turn(&m->retire);
	if (wanted == atomic_load(&m->receipts.cuts_done) && !rebound && !unsure)
		return;
	if (!cut_unwanted(m)) {
		wake_request(m->wake);
		return;
	}
	receipts_cuts_done(&m->receipts, wanted);
	feed_poke(m->feed);
}

/* What the gateway wants to know of who is here. */
static void copy_roster(struct mooring *m)
{
	switch (roster_copy(&m->roster, m->sessions, COPY_TIME_US)) {
	case ROSTER_NOBODY:
		break;
	case ROSTER_BROKER:
		wake_request(m->wake);
		break;
	case ROSTER_FEED:
		feed_poke(m->feed);
		break;
	}
}

int on_tick(int event, void *event_data, void *userdata)
{
	struct mooring *m = userdata;
	int64_t monotonic_ms = clock_monotonic_ms();
	bool reloaded = m->reloading;
	(void)event;
	(void)event_data;
	wake_answer(m->wake);
	m->reloading = false;
	sessions_forget_departed(m->sessions);
	turn_clock(m, monotonic_ms);
	m->now_s = broker_clock_now_s(&m->clock, monotonic_ms);
	cut_wanted(m, reloaded);
	cut_expired(m);
	expel_intruders(m);
	fields_sweep(m->fields, m->bound, m->now_s);
	copy_roster(m);
	drain_log(m);
	state_publish(m, monotonic_ms);
	return MOSQ_ERR_SUCCESS;
}
