/*
 * mqtt.h - the load generator's MQTT 3.1.1: TLS 1.3 with a client certificate, sockets that never block. What is put
 * is sent by mqtt_flush in one write, so that the caller decides how many packets share one.
 */
#ifndef MOORING_BENCH_MQTT_H
#define MOORING_BENCH_MQTT_H

#include "common/bytes.h"

#include <openssl/ssl.h>

enum { MQTT_CONNACK = 0x20, MQTT_PUBLISH = 0x30, MQTT_PUBACK = 0x40, MQTT_SUBACK = 0x90 };
enum { MQTT_INPUT_MAX = 16384 };

/* Who connects. */
struct mqtt_identity {
	char *name; /* the file's, without ".pem" */
	X509 *leaf, *issuer;
	EVP_PKEY *key;
};

/* A PEM file with key, leaf and issuing certificate, in this order. What could not be loaded whole is freed by mqtt_identity_free. */
MUST_USE outcome mqtt_identity_load(const char *path, struct mqtt_identity *out, struct fault *f);
void mqtt_identity_free(struct mqtt_identity *i);

struct mqtt_site; /* a broker on loopback, and whom to trust */

MUST_USE outcome mqtt_site_new(int port, const char *ca_file, struct mqtt_site **out, struct fault *f);
void mqtt_site_free(struct mqtt_site *s);

struct mqtt_client {
	int fd;
	SSL *tls;
	long number;  /* the owner's */
	bool greeted; /* CONNACK 0 has come */
	uint16_t packet;
	struct buf out;
	size_t in_size;
	uint8_t in[MQTT_INPUT_MAX];
};

/* A whole packet; `body` is what follows the remaining length. */
typedef void mqtt_packet(struct mqtt_client *c, uint8_t first, struct bytes body, void *arg);

/* Begins to connect and puts CONNECT (clean session, no keep-alive). mqtt_close after a failure too. */
MUST_USE outcome mqtt_open(const struct mqtt_site *s, const struct mqtt_identity *who, const char *client_id,
			   struct mqtt_client **out, struct fault *f);
void mqtt_close(struct mqtt_client *c);

/* After the socket has become readable or writable: reads all that is there, then sends what is put. False: the
 * connection has ended. */
MUST_USE bool mqtt_turn(struct mqtt_client *c, mqtt_packet *packet, void *arg);
/* False: the connection has ended. What the socket does not take now goes with a later turn. */
MUST_USE bool mqtt_flush(struct mqtt_client *c);

void mqtt_put_publish(struct mqtt_client *c, const char *topic, struct bytes payload, int qos);
void mqtt_put_puback(struct mqtt_client *c, const uint8_t packet[2]);
void mqtt_put_subscribe(struct mqtt_client *c, const char *filter, int qos);
void mqtt_put_disconnect(struct mqtt_client *c);

/* Of a PUBLISH: its payload, and its packet identifier (NULL with QoS 0). Empty where it is malformed. */
struct bytes mqtt_payload(uint8_t first, struct bytes body, const uint8_t **packet);

#endif
