/*
 * mqttgen.h - what the verbs of the MQTT load generator share: options, identities, the loop.
 */
#ifndef MOORING_BENCH_MQTTGEN_H
#define MOORING_BENCH_MQTTGEN_H

#include "counters.h"
#include "mqtt.h"

#include <jansson.h>

struct mqttgen_options {
	const char *identities; /* a folder of NAME.pem, in the order of their names */
	const char *subscriber; /* PEM file of the one who may read dt/# */
	const char *ca;
	long port, pid; /* the broker's */
	long from, to;	/* of the identities */
	long count, concurrency, publishers, subscribers, qos, batch;
	long pause_ms; /* pulse: between two messages of a publisher */
};

struct mqttgen {
	const struct mqttgen_options *o;
	struct mqtt_site *site;
	struct mqtt_identity *identities;
	long identity_count;
	struct counters *counters; /* NULL: no --pid */
	int epoll;
	mqtt_packet *packet;
	/* A connection has ended; it is closed by the one who is called. */
	void (*ended)(struct mqttgen *g, struct mqtt_client *c);
	void *verb; /* what the verb keeps */
};

/* Ends the program with a message. */
void mqttgen_die(const char *what, const struct fault *f) __attribute__((noreturn));
void *mqttgen_room(size_t n, size_t size);

/* Begins a connection; the loop takes it on. */
struct mqtt_client *mqttgen_open(struct mqttgen *g, const struct mqtt_identity *who, const char *client_id,
				 long number);
/* One turn of the loop. False: nothing has happened for so long. */
bool mqttgen_turn(struct mqttgen *g, int timeout_ms);
/* The same until a condition holds; 30 s without anything end the program. */
#define MQTTGEN_UNTIL(g, condition)                                                                          \
	while (!(condition))                                                                                 \
		if (!mqttgen_turn(g, 30000))                                                                 \
	mqttgen_die("nothing happened for 30 s", NULL)
/* One JSON object on a line; the counters' difference is added per `count`. */
void mqttgen_report(struct mqttgen *g, json_t *report, const struct counted *before, double count);

void mqttgen_connect(struct mqttgen *g);
void mqttgen_publish(struct mqttgen *g);
void mqttgen_hold(struct mqttgen *g);
void mqttgen_pulse(struct mqttgen *g);

#endif
