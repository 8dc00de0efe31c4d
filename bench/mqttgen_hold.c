/* Sessions that wait to be ended, and traffic beside them that must not notice. */
#include "mqttgen.h"
#include "common/clock.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

static double wall_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* ---- hold ---- */

struct holding {
	long begun, greeted;
};

static void hold_next(struct mqttgen *g)
{
	struct holding *x = g->verb;
	const struct mqtt_identity *who = &g->identities[x->begun];
	mqttgen_open(g, who, who->name, x->begun++);
}

static void on_held(struct mqtt_client *c, uint8_t first, struct bytes body, void *arg)
{
	struct mqttgen *g = arg;
	struct holding *x = g->verb;
	(void)body;
	if (first != MQTT_CONNACK || !c->greeted)
		return;
	x->greeted++;
	if (x->begun < g->identity_count)
		hold_next(g);
}

static void on_session_ended(struct mqttgen *g, struct mqtt_client *c)
{
	printf("{\"ended\":\"%s\",\"at_ms\":%.3f}\n", g->identities[c->number].name, wall_ms());
	if (!c->greeted)
		mqttgen_die("a session was not admitted", NULL);
	mqtt_close(c);
}

/* Until standard input ends. */
void mqttgen_hold(struct mqttgen *g)
{
	struct holding x = {0};
	g->verb = &x;
	g->packet = on_held;
	g->ended = on_session_ended;
	while (x.begun < g->o->concurrency && x.begun < g->identity_count)
		hold_next(g);
	MQTTGEN_UNTIL(g, x.greeted == g->identity_count);
	printf("{\"ready\":%ld}\n", x.greeted);
	char byte;
	fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
	while (read(STDIN_FILENO, &byte, 1) != 0) {
		fflush(stdout);
		mqttgen_turn(g, 100);
	}
}

/* ---- pulse ---- */

struct pulsing {
	struct mqtt_client **publishers;
	char (*topics)[192];
	struct mqtt_client *subscriber;
	struct mqtt_identity reader;
	long greeted;
	bool subscribed;
	/* since the last report */
	long messages;
	int64_t last_us;
	int64_t worst_gap_us, worst_delay_us;
};

static void on_pulse_delivery(struct pulsing *x, struct bytes payload)
{
	int64_t sent, now = clock_monotonic_us();
	if (payload.n != sizeof sent)
		mqttgen_die("a message is not as it was sent", NULL);
	memcpy(&sent, payload.p, sizeof sent);
	if (x->messages++ && now - x->last_us > x->worst_gap_us)
		x->worst_gap_us = now - x->last_us;
	if (now - sent > x->worst_delay_us)
		x->worst_delay_us = now - sent;
	x->last_us = now;
}

static void on_pulse(struct mqtt_client *c, uint8_t first, struct bytes body, void *arg)
{
	struct mqttgen *g = arg;
	struct pulsing *x = g->verb;
	const uint8_t *packet;
	x->greeted += first == MQTT_CONNACK && c->greeted;
	x->subscribed |= first == MQTT_SUBACK && body.n == 3 && body.p[2] == 0;
	if ((first & 0xf0) == MQTT_PUBLISH)
		on_pulse_delivery(x, mqtt_payload(first, body, &packet));
}

static void on_pulse_ended(struct mqttgen *g, struct mqtt_client *c)
{
	(void)g;
	(void)c;
	mqttgen_die("an undisturbed client's connection ended", NULL);
}

static void open_pulse(struct mqttgen *g)
{
	struct pulsing *x = g->verb;
	x->publishers = mqttgen_room((size_t)g->o->publishers, sizeof *x->publishers);
	x->topics = mqttgen_room((size_t)g->o->publishers, sizeof *x->topics);
	for (long i = 0; i < g->o->publishers; i++) {
		const struct mqtt_identity *who = &g->identities[i % g->identity_count];
		snprintf(x->topics[i], sizeof x->topics[i], "dt/%.128s/pulse", who->name);
		x->publishers[i] = mqttgen_open(g, who, who->name, i);
	}
	x->subscriber = mqttgen_open(g, &x->reader, "bench-pulse", -1);
	MQTTGEN_UNTIL(g, x->greeted == g->o->publishers + 1);
	mqtt_put_subscribe(x->subscriber, "dt/+/pulse", 0);
	if (!mqtt_flush(x->subscriber))
		mqttgen_die("the subscriber's connection ended", NULL);
	MQTTGEN_UNTIL(g, x->subscribed);
}

static void report_pulse(struct pulsing *x)
{
	printf("{\"messages\":%ld,\"worst_gap_ms\":%.2f,\"worst_delay_ms\":%.2f}\n", x->messages,
	       (double)x->worst_gap_us / 1000, (double)x->worst_delay_us / 1000);
	fflush(stdout);
	x->messages = x->worst_gap_us = x->worst_delay_us = 0;
}

/* A line asks for a report. False: standard input has ended. */
static bool take_requests(struct pulsing *x)
{
	char bytes[16];
	ssize_t n = read(STDIN_FILENO, bytes, sizeof bytes);
	if (n > 0)
		report_pulse(x);
	return n != 0;
}

/* Publishers take turns, so that a message is due every pause / publishers. */
static void run_pulse(struct mqttgen *g)
{
	struct pulsing *x = g->verb;
	int64_t step_us = g->o->pause_ms * 1000 / g->o->publishers, due_us = clock_monotonic_us();
	for (long i = 0; take_requests(x); i = (i + 1) % g->o->publishers) {
		int64_t now;
		while ((now = clock_monotonic_us()) < due_us)
			mqttgen_turn(g, (int)((due_us - now + 999) / 1000));
		mqtt_put_publish(x->publishers[i], x->topics[i], bytes_of(&now, sizeof now), 0);
		if (!mqtt_flush(x->publishers[i]))
			mqttgen_die("a publisher's connection ended", NULL);
		due_us += step_us;
	}
}

void mqttgen_pulse(struct mqttgen *g)
{
	struct pulsing x = {0};
	struct fault f;
	if (!mqtt_identity_load(g->o->subscriber, &x.reader, &f).ok)
		mqttgen_die("subscriber", &f);
	g->verb = &x;
	g->packet = on_pulse;
	g->ended = on_pulse_ended;
	fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
	open_pulse(g);
	report_pulse(&x);
	run_pulse(g);
	for (long i = 0; i < g->o->publishers; i++)
		mqtt_close(x.publishers[i]);
	mqtt_close(x.subscriber);
	mqtt_identity_free(&x.reader);
	free(x.publishers);
	free(x.topics);
}
