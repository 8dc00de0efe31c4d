/*
 * operation_internal.h - the state of one operation, and its connections to the broker.
 */
#ifndef MOORING_OPERATION_INTERNAL_H
#define MOORING_OPERATION_INTERNAL_H

#include "common/backoff.h"
#include "mqtt.h"
#include "operation.h"
#include "outbox.h"
#include "renew.h"
#include "thermometer.h"

struct operation;

/* Made with one certificate and its key; ends for one reason. */
struct connection {
	struct operation *op;
	struct mqtt *mqtt; /* NULL: none */
	uint32_t key;
	char certificate_id[HEX_SIZE(FINGERPRINT_SIZE)];
	bool begun; /* it is the one that readings are sent on */
	bool session_present;
	bool refused; /* by CONNACK */
	int reason;
	char text[128];
};

struct operation {
	struct device *device;
	struct identity *identity;
	const struct operation_options *options;
	char topic[512], commands[256];
	struct connection current, next;
	struct renewal *renewal;
	struct outbox outbox;
	struct thermometer thermometer;
	struct backoff reconnect;
	int64_t connect_at, read_at; /* monotonic milliseconds */
	int64_t renew_at;	     /* device clock, seconds */
	unsigned refusals;	     /* by the broker, in a row */
	uint64_t made, denied;	     /* readings */
	bool switch_over;	     /* the current connection is of the certificate before */
	bool finished;
	int exit_code;
};

/* With the certificate and key that are current now. */
MUST_USE outcome connection_open(struct operation *op, struct connection *c, struct fault *f);
void connection_close(struct connection *c);
/* `to` has been closed. */
void connection_move(struct connection *to, struct connection *from);

void operation_acknowledged(struct operation *op, int mid, int reason);

#endif
