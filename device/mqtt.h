/*
 * mqtt.h - one connection to the broker: MQTT 5 over TLS, with libmosquitto. It is never mended: when it
 * ends, the caller opens another.
 */
#ifndef MOORING_MQTT_H
#define MOORING_MQTT_H

#include "common/bytes.h"
#include "tls_key.h"

/* What a connection tells its owner, from within mqtt_service. Reason codes are those of MQTT 5 2.4 where
 * they are 128 or more; else libmosquitto's errors, with their text. */
struct mqtt_listener {
	void (*connected)(void *arg, bool session_present);
	void (*refused)(void *arg, int reason, const char *text); /* CONNACK */
	void (*acknowledged)(void *arg, int mid,
			     int reason); /* PUBACK; 0 = accepted, 16 = nobody subscribed */
	void (*message)(void *arg, const char *topic, struct bytes payload);
	void (*ended)(void *arg, int reason, const char *text); /* once, last, unless refused came */
	void *arg;
};

struct mqtt_options {
	const char *host;
	int port;
	const char *client_id;
	struct tls_client tls;
	struct mqtt_listener listener;
};

struct mqtt;

/* Connects TCP before it returns; the rest happens in mqtt_service. REASON_UNREACHABLE. */
MUST_USE outcome mqtt_open(const struct mqtt_options *options, struct mqtt **out, struct fault *f);
/* Without a word to the broker. Not from within a listener. */
void mqtt_close(struct mqtt *m);
/* Says goodbye, then closes. */
void mqtt_leave(struct mqtt *m);

/* Another argument for the listener from now on. */
void mqtt_listen(struct mqtt *m, void *arg);
bool mqtt_is_connected(const struct mqtt *m);
/* After `refused` or `ended`. */
bool mqtt_is_over(const struct mqtt *m);
/* For poll(2); -1 when it is over. */
int mqtt_fd(const struct mqtt *m);
short mqtt_events(const struct mqtt *m);
/* With what poll(2) said, and at least once a second. */
void mqtt_service(struct mqtt *m, short revents);

/* QoS 1. *mid comes back with the acknowledgement. */
MUST_USE outcome mqtt_publish(struct mqtt *m, const char *topic, struct bytes payload, int *mid,
			      struct fault *f);
MUST_USE outcome mqtt_subscribe(struct mqtt *m, const char *filter, struct fault *f);

#endif
