/* Start and end. Whatever is not as it must be keeps the broker from starting. */
#include "plugin/plugin.h"

#include "common/clock.h"
#include "plugin/config_scan.h"

#include <curl/curl.h>
#include <stdlib.h>

#define EXPORTED __attribute__((visibility("default")))

enum { PLUGIN_VERSION = 5, EVENT_CLIENT_OFFLINE = 28 /* Mosquitto 2.1 */ };

static const struct {
	int event;
	int (*callback)(int event, void *event_data, void *userdata);
	bool optional; /* not in every version */
} callbacks[] = {
	{MOSQ_EVT_BASIC_AUTH, on_basic_auth, false},
	{MOSQ_EVT_ACL_CHECK, on_acl_check, false},
	{MOSQ_EVT_DISCONNECT, on_disconnect, false},
	{MOSQ_EVT_RELOAD, on_reload, false},
	{MOSQ_EVT_TICK, on_tick, false},
	{EVENT_CLIENT_OFFLINE, on_disconnect, true},
};

EXPORTED int mosquitto_plugin_version(int supported_version_count, const int *supported_versions)
{
	for (int i = 0; i < supported_version_count; i++)
		if (supported_versions[i] == PLUGIN_VERSION)
			return PLUGIN_VERSION;
	return -1;
}

/* The saved table is there, in the feed's thread. It is as old as its last word from the gateway, whatever the broker's
 * start does. */
static void on_opened(void *arg)
{
	struct mooring *m = arg;
	int64_t wall = clock_wall_ms(), monotonic = clock_monotonic_ms();
	int64_t known = m->keeper.position.time_ms;
	broker_clock_start(&m->clock, wall, monotonic, known);
	m->now_s = broker_clock_now_s(&m->clock, monotonic);
	int64_t age = m->keeper.table && wall > known ? wall - known : 0;
	int64_t too_old = (m->options.staleness_s + 1) * INT64_C(1000);
	/* What was cut off may have been a revocation that was called effective, if it was the disk that failed. */
	if (m->keeper.table && table_journal_cut_off(m->keeper.journal) && age < too_old)
		age = too_old;
	atomic_store(&m->view.fresh_ms, monotonic - age);
	atomic_store(&m->view.seq, m->keeper.position.seq);
	m->bound = atomic_load(&m->table);
}

static outcome start(struct mooring *m, struct fault *f)
{
	outcome o = config_scan_broker(m->options.config_file, f);
	if (o.ok)
		o = crypto_ready(f);
	if (!o.ok)
		return o;
	if (!(m->sessions = sessions_new()) || !(m->fields = fields_new()))
		return refuse(f, REASON_NO_MEMORY, "no memory for sessions");
	m->keeper.published = &m->table;
	m->keeper.retire = &m->retire;
	m->keeper.log = &m->log;
	o = key_load_public_pem(m->options.feed_key, &m->keeper.key, f);
	if (o.ok)
		o = wake_start(&m->wake, f);
	const struct feed_parts parts = {
		.options = &m->options,
		.keeper = &m->keeper,
		.receipts = &m->receipts,
		.roster = &m->roster,
		.wake = m->wake,
		.log = &m->log,
		.view = &m->view,
		.opened = on_opened,
		.arg = m,
	};
	return o.ok ? feed_start(&parts, &m->feed, f) : o;
}

static outcome register_callbacks(struct mooring *m, struct fault *f)
{
	for (size_t i = 0; i < sizeof callbacks / sizeof *callbacks; i++) {
		int rc = mosquitto_callback_register(m->id, callbacks[i].event, callbacks[i].callback, NULL,
						     m);
		if (rc != MOSQ_ERR_SUCCESS && !callbacks[i].optional)
			return refuse(
				f, REASON_CONFIG,
				"the broker does not register event %d (%d): is the plugin configured twice?",
				callbacks[i].event, rc);
	}
	return DONE;
}

static void end(struct mooring *m)
{
	char line[RING_LINE_MAX];
	int level;
	feed_stop(m->feed);
	wake_stop(m->wake);
	while (ring_take(&m->log, &level, line))
		mosquitto_log_printf(level, "%s", line);
	retire_all(&m->retire);
	sessions_free(m->sessions);
	fields_free(m->fields);
	EVP_PKEY_free(m->keeper.key);
	options_free(&m->options);
	receipts_destroy(&m->receipts);
	roster_free(&m->roster);
	ring_destroy(&m->log);
	tickets_end(m->tickets);
	free(m);
}

EXPORTED int mosquitto_plugin_init(mosquitto_plugin_id_t *identifier, void **userdata,
				   struct mosquitto_opt *options, int option_count)
{
	struct fault f = {0};
	struct mooring *m = calloc(1, sizeof *m);
	if (!m) {
		mosquitto_log_printf(MOSQ_LOG_ERR, "mooring: the plugin does not start: %s",
				     reason_code(REASON_NO_MEMORY));
		return MOSQ_ERR_NOMEM;
	}
	m->id = identifier;
	ring_init(&m->log);
	receipts_init(&m->receipts);
	m->tickets = tickets_start();
	curl_global_init(CURL_GLOBAL_DEFAULT);
	outcome o = options_read(options, option_count, &m->options, &f);
	if (o.ok)
		o = start(m, &f);
	if (o.ok)
		o = register_callbacks(m, &f);
	if (!o.ok) {
		mosquitto_log_printf(MOSQ_LOG_ERR, "mooring: the plugin does not start: %s: %s",
				     reason_code(f.reason), f.text);
		end(m);
		return MOSQ_ERR_UNKNOWN;
	}
	*userdata = m;
	return MOSQ_ERR_SUCCESS;
}

/* The broker has closed its listeners and unloads this code next: all threads end here. */
EXPORTED int mosquitto_plugin_cleanup(void *userdata, struct mosquitto_opt *options, int option_count)
{
	struct mooring *m = userdata;
	(void)options;
	(void)option_count;
	for (size_t i = 0; i < sizeof callbacks / sizeof *callbacks; i++)
		mosquitto_callback_unregister(m->id, callbacks[i].event, callbacks[i].callback, NULL);
	end(m);
	curl_global_cleanup();
	return MOSQ_ERR_SUCCESS;
}
