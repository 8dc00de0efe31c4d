/* As fast as the broker goes: new connections, and messages. */
#include "mqttgen.h"
#include "common/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAYLOAD_SIZE = 64, TOPIC_SIZE = 192 };

static double since_s(int64_t start_us)
{
	return (double)(clock_monotonic_us() - start_us) / 1e6;
}

/* ---- connections ---- */

struct connecting {
	long begun, done;
};

static void connect_next(struct mqttgen *g)
{
	struct connecting *x = g->verb;
	const struct mqtt_identity *who = &g->identities[x->begun % g->identity_count];
	mqttgen_open(g, who, who->name, x->begun++);
}

static void on_greeting(struct mqtt_client *c, uint8_t first, struct bytes body, void *arg)
{
	(void)body;
	(void)arg;
	if (first != MQTT_CONNACK || !c->greeted)
		mqttgen_die("a client was not admitted", NULL);
	mqtt_put_disconnect(c);
}

static void on_connection_ended(struct mqttgen *g, struct mqtt_client *c)
{
	struct connecting *x = g->verb;
	if (!c->greeted)
		mqttgen_die("a connection ended before its CONNACK", NULL);
	mqtt_close(c);
	x->done++;
	if (x->begun < g->o->count)
		connect_next(g);
}

void mqttgen_connect(struct mqttgen *g)
{
	struct connecting x = {0};
	struct counted before = {0};
	g->verb = &x;
	g->packet = on_greeting;
	g->ended = on_connection_ended;
	if (g->counters)
		before = counters_read(g->counters);
	int64_t start = clock_monotonic_us();
	while (x.begun < g->o->concurrency && x.begun < g->o->count)
		connect_next(g);
	MQTTGEN_UNTIL(g, x.done == g->o->count);
	json_t *report = json_pack("{s:I, s:f}", "connections", (json_int_t)x.done, "wall_s", since_s(start));
	mqttgen_report(g, report, &before, (double)x.done);
}

/* ---- messages ---- */

struct publisher {
	struct mqtt_client *client;
	char topic[TOPIC_SIZE];
	long awaited; /* deliveries and acknowledgements of what it has sent */
};

struct publishing {
	struct publisher *publishers;
	struct mqtt_client **subscribers;
	long greeted, subscribed;
	long wanted, sent, settled; /* messages of this run */
};

static void send_batch(struct mqttgen *g, struct publisher *p)
{
	struct publishing *x = g->verb;
	uint8_t payload[PAYLOAD_SIZE] = {0};
	uint32_t number = (uint32_t)p->client->number;
	memcpy(payload, &number, sizeof number);
	for (long i = 0; i < g->o->batch; i++)
		mqtt_put_publish(p->client, p->topic, bytes_of(payload, sizeof payload), (int)g->o->qos);
	x->sent += g->o->batch;
	p->awaited = g->o->batch * (g->o->subscribers + (g->o->qos ? 1 : 0));
	if (!mqtt_flush(p->client))
		mqttgen_die("a publisher's connection ended", NULL);
}

static void settle(struct mqttgen *g, struct publisher *p)
{
	struct publishing *x = g->verb;
	if (--p->awaited)
		return;
	x->settled += g->o->batch;
	if (x->sent < x->wanted)
		send_batch(g, p);
}

static void on_delivery(struct mqttgen *g, struct mqtt_client *c, uint8_t first, struct bytes body)
{
	struct publishing *x = g->verb;
	const uint8_t *packet;
	uint32_t number;
	struct bytes payload = mqtt_payload(first, body, &packet);
	if (payload.n != PAYLOAD_SIZE)
		mqttgen_die("a message is not as it was sent", NULL);
	memcpy(&number, payload.p, sizeof number);
	if (packet)
		mqtt_put_puback(c, packet);
	settle(g, &x->publishers[number]);
}

static void on_traffic(struct mqtt_client *c, uint8_t first, struct bytes body, void *arg)
{
	struct mqttgen *g = arg;
	struct publishing *x = g->verb;
	switch (first & 0xf0) {
	case MQTT_CONNACK:
		x->greeted += c->greeted;
		break;
	case MQTT_SUBACK:
		x->subscribed += body.n == 3 && body.p[2] == g->o->qos;
		break;
	case MQTT_PUBACK:
		settle(g, &x->publishers[c->number]);
		break;
	case MQTT_PUBLISH:
		on_delivery(g, c, first, body);
		break;
	}
}

static void on_traffic_ended(struct mqttgen *g, struct mqtt_client *c)
{
	(void)g;
	(void)c;
	mqttgen_die("a connection ended", NULL);
}

static void open_all(struct mqttgen *g, const struct mqtt_identity *reader)
{
	struct publishing *x = g->verb;
	char id[32];
	for (long i = 0; i < g->o->publishers; i++) {
		const struct mqtt_identity *who = &g->identities[i % g->identity_count];
		x->publishers[i].client = mqttgen_open(g, who, who->name, i);
		snprintf(x->publishers[i].topic, TOPIC_SIZE, "dt/%.128s/temperature", who->name);
	}
	for (long i = 0; i < g->o->subscribers; i++) {
		snprintf(id, sizeof id, "bench-%ld", i);
		x->subscribers[i] = mqttgen_open(g, reader, id, i);
	}
	MQTTGEN_UNTIL(g, x->greeted == g->o->publishers + g->o->subscribers);
	for (long i = 0; i < g->o->subscribers; i++) {
		mqtt_put_subscribe(x->subscribers[i], "dt/#", (int)g->o->qos);
		if (!mqtt_flush(x->subscribers[i]))
			mqttgen_die("a subscriber's connection ended", NULL);
	}
	MQTTGEN_UNTIL(g, x->subscribed == g->o->subscribers);
}

/* Without sleeping: whether the broker has to wake its clients, for which it pays, would hang on who is faster. */
static void settle_all(struct mqttgen *g)
{
	struct publishing *x = g->verb;
	int64_t heard = clock_monotonic_us();
	while (x->settled < x->sent) {
		if (mqttgen_turn(g, 0))
			heard = clock_monotonic_us();
		else if (since_s(heard) > 30)
			mqttgen_die("nothing happened for 30 s", NULL);
	}
}

static void run_messages(struct mqttgen *g, long count)
{
	struct publishing *x = g->verb;
	x->wanted = count;
	x->sent = x->settled = 0;
	for (long i = 0; i < g->o->publishers && x->sent < count; i++)
		send_batch(g, &x->publishers[i]);
	settle_all(g);
}

static void run_burst(struct mqttgen *g)
{
	struct publishing *x = g->verb;
	struct counted before = {0};
	if (g->counters)
		before = counters_read(g->counters);
	int64_t start = clock_monotonic_us();
	run_messages(g, g->o->count);
	json_t *report = json_pack("{s:I, s:f}", "messages", (json_int_t)x->sent, "wall_s", since_s(start));
	mqttgen_report(g, report, &before, (double)x->sent);
}

void mqttgen_publish(struct mqttgen *g)
{
	struct publishing x = {
		.publishers = mqttgen_room((size_t)g->o->publishers, sizeof *x.publishers),
		.subscribers = mqttgen_room((size_t)g->o->subscribers, sizeof *x.subscribers),
	};
	struct mqtt_identity reader;
	struct fault f;
	char asked[8];
	if (!mqtt_identity_load(g->o->subscriber, &reader, &f).ok)
		mqttgen_die("subscriber", &f);
	g->verb = &x;
	g->packet = on_traffic;
	g->ended = on_traffic_ended;
	open_all(g, &reader);
	run_messages(g, g->o->count);
	while (fgets(asked, sizeof asked, stdin))
		run_burst(g);
	for (long i = 0; i < g->o->publishers; i++)
		mqtt_close(x.publishers[i].client);
	for (long i = 0; i < g->o->subscribers; i++)
		mqtt_close(x.subscribers[i]);
	mqtt_identity_free(&reader);
	free(x.publishers);
	free(x.subscribers);
}
