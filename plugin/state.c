/* "$SYS/broker/mooring/...": how the plugin stands, one number a topic, as the broker's own $SYS topics do
 * it. */
#include "plugin/plugin.h"

#include <stdio.h>
#include <string.h>

enum { INTERVAL_MS = 5000, NUMBER_MAX = 24 };

static void publish(const char *name, int64_t value)
{
	char topic[64];
	char *payload = mosquitto_malloc(NUMBER_MAX);
	if (!payload)
		return;
	snprintf(topic, sizeof topic, "$SYS/broker/mooring/%s", name);
	int n = snprintf(payload, NUMBER_MAX, "%lld", (long long)value);
	/* Not the _copy variant: it spoils the memory accounting of Mosquitto 2.0. */
	if (mosquitto_broker_publish(NULL, topic, n, payload, 0, true, NULL) != MOSQ_ERR_SUCCESS)
		mosquitto_free(payload);
}

static int64_t refused_in_all(const struct counters *c)
{
	uint64_t sum = 0;
	for (enum reason r = REASON_NONE; r < REASON_COUNT; r++)
		sum += c->refused[r];
	return (int64_t)sum;
}

void state_publish(struct mooring *m, int64_t monotonic_ms)
{
	if (monotonic_ms < m->state_at_ms)
		return;
	m->state_at_ms = monotonic_ms + INTERVAL_MS;
	const struct table *table = atomic_load(&m->table);
	publish("feed/live", atomic_load(&m->view.live));
	publish("feed/lag_ms", monotonic_ms - atomic_load(&m->view.fresh_ms));
	publish("feed/seq", atomic_load(&m->view.seq));
	publish("feed/refused", (int64_t)atomic_load(&m->view.refused));
	publish("certificates", table ? (int64_t)table_count(table) : 0);
	publish("sessions", (int64_t)sessions_count(m->sessions));
	publish("clock/suspect", m->clock.suspect);
	publish("connect/admitted", (int64_t)m->counters.admitted);
	publish("connect/refused", refused_in_all(&m->counters));
	publish("connect/bypassed", (int64_t)m->counters.refused[REASON_PLUGIN_BYPASSED]);
	publish("connect/cut", (int64_t)m->counters.cut);
	publish("denied/publish", (int64_t)m->counters.denied_publish);
	publish("denied/subscribe", (int64_t)m->counters.denied_subscribe);
	publish("denied/receive", (int64_t)m->counters.denied_receive);
}
