#include "operation.h"

#include "common/backoff.h"
#include "common/clock.h"
#include "common/log.h"
#include "operation_internal.h"
#include "report.h"
#include "stop.h"

#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	WINDOW = 16, /* readings on their way; brokers allow 20 (MQTT 5 3.1.2.11.3 leaves it to them) */
	TURN_MS = 1000,
	FIRST_RECONNECT_MS = 500,
	RECONNECT_CAP_MS = 60000,
	REFUSALS_MAX = 3,
	RENEW_AGAIN_S = 60,
	RENEW_REFUSED_S = 86400,
	LEAVE_MS = 2000,
	TAKEN_OVER = 142 /* MQTT 5 2.4: another connection of this client id took the session */
};

static void finish(struct operation *op, int code)
{
	if (!op->finished)
		op->exit_code = code;
	op->finished = true;
}

/* ---- connections ---- */

static void begin(struct operation *op)
{
	struct connection *c = &op->current;
	struct fault f;
	c->begun = true;
	report("connected", "{s:s,s:b}", "certificateId", c->certificate_id, "session_present",
	       c->session_present);
	backoff_reset(&op->reconnect);
	op->refusals = 0;
	outbox_connection_began(&op->outbox);
	if (!mqtt_subscribe(c->mqtt, op->commands, &f).ok)
		log_fault(LOG_LEVEL_WARN, NULL, &f, "commands are not subscribed to");
	if (c->key == op->device->state.key && !identity_forget_previous(op->device, &f).ok)
		log_fault(LOG_LEVEL_WARN, NULL, &f, "the key before this one stays");
}

/* The broker is asked again after a while; after several refusals the gateway is asked as well. */
static void connect_later(struct operation *op)
{
	op->connect_at = clock_monotonic_ms() + backoff_next_ms(&op->reconnect, -1, crypto_random_u32());
}

static void report_end(struct operation *op, const struct connection *c)
{
	if (c->refused) {
		op->refusals++;
		report("refused", "{s:s,s:s,s:i,s:s}", "by", "broker", "code",
		       c->reason == 135 ? "not-authorised" : "connection-refused", "reason", c->reason,
		       "detail", c->text);
	} else if (c->begun) {
		report("cut-off", "{s:i,s:s}", "reason", c->reason, "detail", c->text);
	} else {
		report("unreachable", "{s:i,s:s}", "reason", c->reason, "detail", c->text);
	}
}

/* The broker ends the current connection when the next one has come up, and that may be heard first;
 * Mosquitto closes it with or without giving the reason. */
static bool is_taken_over(const struct operation *op)
{
	return op->next.mqtt && (op->current.reason < 128 || op->current.reason == TAKEN_OVER);
}

/* What came of the last turn. The next connection, once it stands, replaces the current one: the broker
 * itself ends that, since both have the same client id. */
static void settle(struct operation *op)
{
	struct connection *current = &op->current, *next = &op->next;
	if (next->mqtt && mqtt_is_connected(next->mqtt)) {
		connection_close(current);
		connection_move(current, next);
	}
	if (next->mqtt && mqtt_is_over(next->mqtt)) {
		report_end(op, next);
		connection_close(next);
		connect_later(op);
	}
	if (current->mqtt && !current->begun && mqtt_is_connected(current->mqtt))
		begin(op);
	if (!current->mqtt || !mqtt_is_over(current->mqtt))
		return;
	if (!is_taken_over(op))
		report_end(op, current);
	connection_close(current);
	if (next->mqtt)
		connection_move(current, next);
	else
		connect_later(op);
}

static void open_connection(struct operation *op, struct connection *c)
{
	struct fault f;
	if (connection_open(op, c, &f).ok)
		return;
	report("unreachable", "{s:s,s:s}", "code", reason_code(f.reason), "detail", f.text);
	connect_later(op);
}

/* ---- the certificate ---- */

static bool has_expired(const struct operation *op)
{
	return credential_expired(&op->identity->credential, device_clock_s(op->device->clock));
}

static void plan_renewal(struct operation *op)
{
	const struct credential *c = &op->identity->credential;
	int64_t now = device_clock_s(op->device->clock), from = op->device->state.certified_at;
	bool usable = from > 0 && from <= now && from < c->not_after;
	op->renew_at = renewal_due(usable ? from : now, c->not_after, crypto_random_u32());
}

static void take_result(struct operation *op, outcome r, enum enrol_result result, const struct fault *f)
{
	if (!r.ok) {
		log_fault(LOG_LEVEL_ERROR, NULL, f, "no certificate");
		finish(op, EXIT_FAILED);
	} else if (result == ENROL_REFUSED) {
		finish(op, EXIT_REFUSED);
	} else if (result == ENROL_FAILED) {
		finish(op, EXIT_FAILED);
	} else if (result == ENROL_STOPPED) {
		finish(op, EXIT_DONE);
	}
}

/* The certificate has expired, and nothing connects without one: ask until there is an answer. */
static void enrol_again(struct operation *op)
{
	struct fault f;
	if (op->renewal && !renewal_cancel(op->renewal, 2 * GATEWAY_TIMEOUT_MS)) {
		connect_later(op);
		return;
	}
	op->renewal = NULL;
	outcome r = identity_enrol(op->device, op->identity, &f);
	take_result(op, r, op->identity->result, &f);
	plan_renewal(op);
}

/* The broker keeps refusing a certificate that looks good: is it one still? Asked once, since it may be the
 * broker. */
static void ask_gateway(struct operation *op)
{
	struct enrol_answer answer = {0};
	struct fault f;
	struct device *d = op->device;
	op->refusals = 0;
	outcome r = enrol_attempt(d, d->state.key, NULL, &answer, &f);
	if (r.ok && answer.result == ENROL_CERTIFIED)
		r = identity_adopt(d, d->state.key, &answer, "enrolled", &op->identity->credential, &f);
	else if (r.ok)
		enrol_report_no(answer.result == ENROL_REFUSED || answer.result == ENROL_FAILED ? "refused"
												: "retry",
				&answer, 0);
	take_result(op, r, answer.result, &f);
	enrol_answer_free(&answer);
}

static void connect_now(struct operation *op)
{
	if (has_expired(op))
		enrol_again(op);
	else if (op->refusals >= REFUSALS_MAX && !op->renewal)
		ask_gateway(op);
	if (op->finished)
		return;
	if (!has_expired(op)) {
		open_connection(op, &op->current);
		return;
	}
	/* Its clock and the gateway's disagree by more than the certificate's life. */
	log_line(LOG_LEVEL_ERROR, NULL, "the new certificate has expired as well");
	connect_later(op);
}

static void begin_renewal(struct operation *op)
{
	struct fault f;
	const struct credential *c = &op->identity->credential;
	report("renewing", "{s:s,s:I}", "certificateId", c->certificate_id, "notAfter",
	       (json_int_t)c->not_after);
	if (renewal_start(op->device, c->certificate_id, &op->renewal, &f).ok)
		return;
	log_fault(LOG_LEVEL_ERROR, NULL, &f, "no renewal");
	op->renew_at = device_clock_s(op->device->clock) + RENEW_AGAIN_S;
}

static void end_renewal(struct operation *op)
{
	struct enrol_answer answer;
	struct fault f;
	uint32_t key = renewal_key(op->renewal);
	int64_t now = device_clock_s(op->device->clock);
	outcome r = renewal_finish(op->renewal, &answer, &f);
	op->renewal = NULL;
	op->renew_at = now + RENEW_AGAIN_S;
	if (r.ok && answer.result == ENROL_CERTIFIED)
		r = identity_adopt(op->device, key, &answer, "renewed", &op->identity->credential, &f);
	if (!r.ok) {
		log_fault(LOG_LEVEL_ERROR, NULL, &f, "the renewal failed");
	} else if (answer.result == ENROL_CERTIFIED) {
		plan_renewal(op);
		op->switch_over = true;
	} else if (answer.result != ENROL_STOPPED) {
		/* The certificate in use may be good to its end. */
		op->renew_at = now + RENEW_REFUSED_S;
	}
	enrol_answer_free(&answer);
}

/* ---- readings ---- */

static bool wants_reading(const struct operation *op)
{
	const struct operation_options *o = op->options;
	if ((o->count && op->made == o->count) || outbox_full(&op->outbox))
		return false;
	return o->interval_ms || op->outbox.count < WINDOW;
}

static void read_temperature(struct operation *op)
{
	int64_t now = clock_monotonic_ms();
	while (wants_reading(op) && now >= op->read_at) {
		int hundredths = thermometer_read(&op->thermometer, crypto_random_u32());
		struct outbox_entry *e = outbox_add(&op->outbox, ++op->made);
		snprintf(e->payload, sizeof e->payload, "{\"t_ms\":%lld,\"celsius\":%d.%02d,\"n\":%llu}",
			 (long long)device_clock_ms(op->device->clock), hundredths / 100, hundredths % 100,
			 (unsigned long long)e->n);
		op->read_at += op->options->interval_ms;
		if (op->read_at < now)
			op->read_at = now;
		if (op->options->interval_ms)
			break;
	}
}

static void send_readings(struct operation *op)
{
	struct connection *c = &op->current;
	struct outbox_entry *e;
	struct fault f;
	int mid;
	while (c->begun && !mqtt_is_over(c->mqtt) && op->outbox.in_flight < WINDOW &&
	       (e = outbox_unsent(&op->outbox))) {
		if (!mqtt_publish(c->mqtt, op->topic, bytes_str(e->payload), &mid, &f).ok) {
			log_fault(LOG_LEVEL_WARN, NULL, &f, "a reading waits");
			return;
		}
		outbox_sent(&op->outbox, e, mid);
		report("published", "{s:I}", "n", (json_int_t)e->n);
	}
}

void operation_acknowledged(struct operation *op, int mid, int reason)
{
	uint64_t n;
	if (!outbox_acknowledge(&op->outbox, mid, &n))
		return;
	op->denied += reason >= 128;
	report("puback", "{s:I,s:i}", "n", (json_int_t)n, "reason", reason);
	if (op->options->count && op->made == op->options->count && op->outbox.count == 0)
		finish(op, op->denied ? EXIT_FAILED : EXIT_DONE);
}

/* ---- the loop ---- */

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int timeout_ms(const struct operation *op)
{
	int64_t now = clock_monotonic_ms(), wait = TURN_MS;
	if (!op->current.mqtt || (op->switch_over && !op->next.mqtt))
		wait = least(wait, op->connect_at - now);
	if (wants_reading(op))
		wait = least(wait, op->read_at - now);
	return wait < 0 ? 0 : (int)wait;
}

static void turn(struct operation *op)
{
	struct connection *connections[] = {&op->next, &op->current};
	struct pollfd p[4] = {
		{.fd = stop_fd(), .events = POLLIN},
		{.fd = op->renewal ? renewal_fd(op->renewal) : -1, .events = POLLIN},
		{.fd = -1},
		{.fd = -1},
	};
	for (size_t i = 0; i < 2; i++)
		if (connections[i]->mqtt) {
			p[2 + i].fd = mqtt_fd(connections[i]->mqtt);
			p[2 + i].events = mqtt_events(connections[i]->mqtt);
		}
	if (poll(p, 4, timeout_ms(op)) < 0)
		return;
	if (p[0].revents) {
		finish(op, EXIT_DONE);
		return;
	}
	if (p[1].revents)
		end_renewal(op);
	for (size_t i = 0; i < 2; i++)
		if (connections[i]->mqtt)
			mqtt_service(connections[i]->mqtt, p[2 + i].revents);
	settle(op);
}

static void keep_connected(struct operation *op)
{
	bool due = clock_monotonic_ms() >= op->connect_at;
	if (due && !op->current.mqtt) {
		op->switch_over = false;
		connect_now(op);
	} else if (due && op->switch_over && !op->next.mqtt) {
		open_connection(op, &op->next);
	}
	if (op->switch_over && op->current.mqtt && op->current.key == op->device->state.key)
		op->switch_over = false;
}

int operation_run(struct device *d, struct identity *identity, const struct operation_options *options)
{
	struct operation *op = calloc(1, sizeof *op);
	if (!op)
		return EXIT_FAILED;
	op->device = d;
	op->identity = identity;
	op->options = options;
	op->reconnect = (struct backoff){.base_ms = FIRST_RECONNECT_MS, .cap_ms = RECONNECT_CAP_MS};
	snprintf(op->commands, sizeof op->commands, "cmd/%s/#", identity->credential.thing);
	if (options->topic)
		snprintf(op->topic, sizeof op->topic, "%s", options->topic);
	else
		snprintf(op->topic, sizeof op->topic, "dt/%s/temperature", identity->credential.thing);
	thermometer_start(&op->thermometer);
	plan_renewal(op);
	op->connect_at = op->read_at = clock_monotonic_ms();
	while (!op->finished) {
		keep_connected(op);
		if (!op->finished && !op->renewal && device_clock_s(d->clock) >= op->renew_at)
			begin_renewal(op);
		read_temperature(op);
		send_readings(op);
		if (!op->finished)
			turn(op);
	}
	int code = op->exit_code;
	mqtt_close(op->next.mqtt);
	mqtt_leave(op->current.mqtt);
	/* A renewal that waits for an answer is left to the next power-on: its key is on disk. */
	if (op->renewal && !renewal_cancel(op->renewal, LEAVE_MS))
		_exit(code);
	free(op);
	return code;
}
