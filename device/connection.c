#include "operation_internal.h"

#include "report.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

static void on_connected(void *arg, bool session_present)
{
	((struct connection *)arg)->session_present = session_present;
}

static void note_end(struct connection *c, bool refused, int reason, const char *text)
{
	c->refused = refused;
	c->reason = reason;
	snprintf(c->text, sizeof c->text, "%s", text);
}

static void on_refused(void *arg, int reason, const char *text)
{
	note_end(arg, true, reason, text);
}

static void on_ended(void *arg, int reason, const char *text)
{
	note_end(arg, false, reason, text);
}

/* Message ids are those of the connection that readings are sent on. */
static void on_acknowledged(void *arg, int mid, int reason)
{
	struct connection *c = arg;
	if (c->begun)
		operation_acknowledged(c->op, mid, reason);
}

static void on_message(void *arg, const char *topic, struct bytes payload)
{
	(void)arg;
	json_t *text = json_stringn((const char *)payload.p, payload.n);
	if (text) {
		report("message", "{s:s,s:o}", "topic", topic, "payload", text);
		return;
	}
	char *base64 = malloc(BASE64_SIZE(payload.n));
	if (!base64)
		return;
	base64_encode(payload, base64);
	report("message", "{s:s,s:s}", "topic", topic, "payload_base64", base64);
	free(base64);
}

outcome connection_open(struct operation *op, struct connection *c, struct fault *f)
{
	const struct device *d = op->device;
	const struct credential *credential = &op->identity->credential;
	*c = (struct connection){.op = op, .key = d->state.key};
	snprintf(c->certificate_id, sizeof c->certificate_id, "%s", credential->certificate_id);
	const struct mqtt_options options = {
		.host = op->options->host,
		.port = op->options->port,
		.client_id = credential->thing,
		.tls = {.credential = credential,
			.psa = d->psa,
			.key = d->state.key,
			.root = d->root,
			.host = op->options->host,
			.now = device_clock_s(d->clock)},
		.listener = {on_connected, on_refused, on_acknowledged, on_message, on_ended, c},
	};
	return mqtt_open(&options, &c->mqtt, f);
}

void connection_close(struct connection *c)
{
	mqtt_close(c->mqtt);
	c->mqtt = NULL;
	c->begun = false;
}

void connection_move(struct connection *to, struct connection *from)
{
	*to = *from;
	*from = (struct connection){0};
	mqtt_listen(to->mqtt, to);
}
