/*
 * broker_stub.h - the broker's side of the plugin interface, for tests: to be included once a program. It
 * remembers what it was asked to do.
 */
#ifndef MOORING_TEST_BROKER_STUB_H
#define MOORING_TEST_BROKER_STUB_H

#include "plugin/broker.h"

#include <openssl/x509.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct mosquitto {
	const char *id;
	char username[80];
	const char *address;
	X509 *cert;
	bool online;
	bool clean;
};

static struct broker_stub {
	struct {
		int event;
		MOSQ_FUNC_generic_callback callback;
		void *userdata;
	} callbacks[8];
	int callback_count;
	struct mosquitto *clients[4096]; /* the live ones, for kicks */
	int client_count;
	int kicks;
	char log[65536];
	int published;
} stub;

/* Calls the plugin as the broker would. */
static inline int stub_call(int event, void *data)
{
	for (int i = 0; i < stub.callback_count; i++)
		if (stub.callbacks[i].event == event)
			return stub.callbacks[i].callback(event, data, stub.callbacks[i].userdata);
	return -1;
}

int mosquitto_callback_register(mosquitto_plugin_id_t *identifier, int event,
				MOSQ_FUNC_generic_callback cb_func, const void *event_data, void *userdata)
{
	(void)identifier;
	(void)event_data;
	if (event > MOSQ_EVT_DISCONNECT)
		return MOSQ_ERR_NOT_SUPPORTED;
	stub.callbacks[stub.callback_count].event = event;
	stub.callbacks[stub.callback_count].callback = cb_func;
	stub.callbacks[stub.callback_count++].userdata = userdata;
	return MOSQ_ERR_SUCCESS;
}

int mosquitto_callback_unregister(mosquitto_plugin_id_t *identifier, int event,
				  MOSQ_FUNC_generic_callback cb_func, const void *event_data)
{
	(void)identifier;
	(void)event;
	(void)cb_func;
	(void)event_data;
	stub.callback_count = 0;
	return MOSQ_ERR_SUCCESS;
}

void mosquitto_log_printf(int level, const char *fmt, ...)
{
	size_t n = strlen(stub.log);
	va_list args;
	(void)level;
	va_start(args, fmt);
	vsnprintf(stub.log + n, sizeof stub.log - n, fmt, args);
	va_end(args);
	n = strlen(stub.log);
	snprintf(stub.log + n, sizeof stub.log - n, "\n");
}

const char *mosquitto_client_id(const struct mosquitto *client)
{
	return client->id;
}

const char *mosquitto_client_username(const struct mosquitto *client)
{
	return *client->username ? client->username : NULL;
}

const char *mosquitto_client_address(const struct mosquitto *client)
{
	return client->address;
}

int mosquitto_client_protocol_version(const struct mosquitto *client)
{
	(void)client;
	return 4;
}

bool mosquitto_client_clean_session(const struct mosquitto *client)
{
	return client->clean;
}

void *mosquitto_client_certificate(const struct mosquitto *client)
{
	if (client->cert)
		X509_up_ref(client->cert);
	return client->cert;
}

int mosquitto_set_username(struct mosquitto *client, const char *username)
{
	snprintf(client->username, sizeof client->username, "%s", username);
	return MOSQ_ERR_SUCCESS;
}

/* As Mosquitto 2.0: walks live sockets, and each end is a DISCONNECT at once. */
int mosquitto_kick_client_by_username(const char *username, bool with_will)
{
	stub.kicks++;
	if (with_will)
		abort();
	for (int i = 0; i < stub.client_count; i++) {
		struct mosquitto *c = stub.clients[i];
		struct mosquitto_evt_disconnect ed = {.client = c, .reason = -1};
		if (!c->online || strcmp(c->username, username ? username : ""))
			continue;
		c->online = false;
		stub_call(MOSQ_EVT_DISCONNECT, &ed);
	}
	return MOSQ_ERR_SUCCESS;
}

/* The same, of whoever has this client id last: a session that is offline is one that the caller should not have named. */
int mosquitto_kick_client_by_clientid(const char *clientid, bool with_will)
{
	stub.kicks++;
	if (with_will)
		abort();
	for (int i = stub.client_count; i-- > 0;) {
		struct mosquitto *c = stub.clients[i];
		struct mosquitto_evt_disconnect ed = {.client = c, .reason = -1};
		if (strcmp(c->id ? c->id : "", clientid))
			continue;
		if (!c->online)
			abort();
		c->online = false;
		stub_call(MOSQ_EVT_DISCONNECT, &ed);
		return MOSQ_ERR_SUCCESS;
	}
	return MOSQ_ERR_NOT_FOUND;
}

int mosquitto_broker_publish(const char *clientid, const char *topic, int payloadlen, void *payload, int qos,
			     bool retain, mosquitto_property *properties)
{
	(void)clientid;
	(void)topic;
	(void)payloadlen;
	(void)qos;
	(void)retain;
	(void)properties;
	stub.published++;
	free(payload);
	return MOSQ_ERR_SUCCESS;
}

void *mosquitto_malloc(size_t size)
{
	return malloc(size);
}

void mosquitto_free(void *mem)
{
	free(mem);
}

#endif
