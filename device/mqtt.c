#include "mqtt.h"

#include "common/log.h"

#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>

enum { KEEPALIVE_S = 30, SESSION_EXPIRY_S = 86400, LEAVE_TURNS = 20, LEAVE_TURN_MS = 50 };

struct mqtt {
	struct mosquitto *client;
	SSL_CTX *tls;
	struct mqtt_listener to;
	bool connected, over;
};

static void init_library(void)
{
	mosquitto_lib_init();
}

static void end(struct mqtt *m, int reason)
{
	if (m->over)
		return;
	m->over = true;
	m->connected = false;
	m->to.ended(m->to.arg, reason,
		    reason >= 128 ? mosquitto_reason_string(reason) : mosquitto_strerror(reason));
}

static void on_connect(struct mosquitto *client, void *arg, int reason, int flags,
		       const mosquitto_property *props)
{
	struct mqtt *m = arg;
	(void)client;
	(void)props;
	if (m->over)
		return;
	if (reason) {
		m->over = true;
		m->to.refused(m->to.arg, reason, mosquitto_reason_string(reason));
		return;
	}
	m->connected = true;
	m->to.connected(m->to.arg, flags & 1);
}

static void on_disconnect(struct mosquitto *client, void *arg, int reason, const mosquitto_property *props)
{
	(void)client;
	(void)props;
	end(arg, reason);
}

static void on_publish(struct mosquitto *client, void *arg, int mid, int reason,
		       const mosquitto_property *props)
{
	struct mqtt *m = arg;
	(void)client;
	(void)props;
	m->to.acknowledged(m->to.arg, mid, reason);
}

static void on_message(struct mosquitto *client, void *arg, const struct mosquitto_message *message,
		       const mosquitto_property *props)
{
	struct mqtt *m = arg;
	(void)client;
	(void)props;
	size_t n = message->payloadlen > 0 ? (size_t)message->payloadlen : 0;
	m->to.message(m->to.arg, message->topic, bytes_of(message->payload, n));
}

static void on_log(struct mosquitto *client, void *arg, int level, const char *text)
{
	(void)client;
	(void)arg;
	if (level == MOSQ_LOG_ERR || level == MOSQ_LOG_WARNING)
		log_line(LOG_LEVEL_WARN, NULL, "mqtt: %s", text);
}

static void listen_to(struct mqtt *m)
{
	mosquitto_connect_v5_callback_set(m->client, on_connect);
	mosquitto_disconnect_v5_callback_set(m->client, on_disconnect);
	mosquitto_publish_v5_callback_set(m->client, on_publish);
	mosquitto_message_v5_callback_set(m->client, on_message);
	mosquitto_log_callback_set(m->client, on_log);
}

static outcome configure(struct mqtt *m, struct fault *f)
{
	int rc = mosquitto_int_option(m->client, MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V5);
	if (!rc)
		rc = mosquitto_int_option(m->client, MOSQ_OPT_TCP_NODELAY, 1);
	if (!rc)
		rc = mosquitto_int_option(m->client, MOSQ_OPT_SSL_CTX_WITH_DEFAULTS, 0);
	if (!rc)
		rc = mosquitto_void_option(m->client, MOSQ_OPT_SSL_CTX, m->tls);
	return rc ? refuse(f, REASON_INTERNAL, "libmosquitto: %s", mosquitto_strerror(rc)) : DONE;
}

/* The session outlives the connection, so that commands sent during a change of connections are kept. */
static outcome connect_tcp(struct mqtt *m, const struct mqtt_options *options, struct fault *f)
{
	mosquitto_property *props = NULL;
	int rc = mosquitto_property_add_int32(&props, MQTT_PROP_SESSION_EXPIRY_INTERVAL, SESSION_EXPIRY_S);
	if (!rc)
		rc = mosquitto_connect_bind_v5(m->client, options->host, options->port, KEEPALIVE_S, NULL,
					       props);
	mosquitto_property_free_all(&props);
	return rc ? refuse(f, REASON_UNREACHABLE, "%s:%d: %s", options->host, options->port,
			   mosquitto_strerror(rc))
		  : DONE;
}

outcome mqtt_open(const struct mqtt_options *options, struct mqtt **out, struct fault *f)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, init_library);
	struct mqtt *m = calloc(1, sizeof *m);
	if (!m)
		return refuse(f, REASON_NO_MEMORY, "no memory for a connection");
	m->to = options->listener;
	m->client = mosquitto_new(options->client_id, false, m);
	outcome r = m->client ? tls_client_ctx(&options->tls, &m->tls, f)
			      : refuse(f, REASON_NO_MEMORY, "no memory for a connection");
	if (r.ok) {
		listen_to(m);
		r = configure(m, f);
	}
	if (r.ok)
		r = connect_tcp(m, options, f);
	if (r.ok)
		*out = m;
	else
		mqtt_close(m);
	return r;
}

void mqtt_close(struct mqtt *m)
{
	if (!m)
		return;
	m->over = true;
	mosquitto_destroy(m->client);
	SSL_CTX_free(m->tls);
	free(m);
}

static void end_quietly(void *arg, int reason, const char *text)
{
	(void)arg;
	(void)reason;
	(void)text;
}

void mqtt_leave(struct mqtt *m)
{
	if (m)
		m->to.ended = end_quietly;
	if (m && m->connected && !mosquitto_disconnect(m->client))
		for (int i = 0; i < LEAVE_TURNS && !m->over && mqtt_fd(m) >= 0; i++) {
			struct pollfd p = {.fd = mqtt_fd(m), .events = mqtt_events(m)};
			poll(&p, 1, LEAVE_TURN_MS);
			mqtt_service(m, p.revents);
		}
	mqtt_close(m);
}

void mqtt_listen(struct mqtt *m, void *arg)
{
	m->to.arg = arg;
}

bool mqtt_is_connected(const struct mqtt *m)
{
	return m->connected;
}

bool mqtt_is_over(const struct mqtt *m)
{
	return m->over;
}

int mqtt_fd(const struct mqtt *m)
{
	return m->over ? -1 : mosquitto_socket(m->client);
}

short mqtt_events(const struct mqtt *m)
{
	return (short)(POLLIN | (mosquitto_want_write(m->client) ? POLLOUT : 0));
}

void mqtt_service(struct mqtt *m, short revents)
{
	int rc = MOSQ_ERR_SUCCESS;
	if (m->over)
		return;
	if (revents & (POLLIN | POLLERR | POLLHUP))
		rc = mosquitto_loop_read(m->client, 1);
	if (!rc && !m->over && mosquitto_want_write(m->client))
		rc = mosquitto_loop_write(m->client, 1);
	if (!rc && !m->over)
		rc = mosquitto_loop_misc(m->client);
	if (rc)
		end(m, rc);
}

outcome mqtt_publish(struct mqtt *m, const char *topic, struct bytes payload, int *mid, struct fault *f)
{
	int rc = mosquitto_publish_v5(m->client, mid, topic, (int)payload.n, payload.p, 1, false, NULL);
	return rc ? refuse(f, REASON_UNREACHABLE, "publish: %s", mosquitto_strerror(rc)) : DONE;
}

outcome mqtt_subscribe(struct mqtt *m, const char *filter, struct fault *f)
{
	int rc = mosquitto_subscribe_v5(m->client, NULL, filter, 1, 0, NULL);
	return rc ? refuse(f, REASON_UNREACHABLE, "subscribe: %s", mosquitto_strerror(rc)) : DONE;
}
