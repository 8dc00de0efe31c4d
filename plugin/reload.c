/* SIGHUP (logrotate sends it): the broker asks BASIC_AUTH about every session there is. */
#include "plugin/config_scan.h"
#include "plugin/plugin.h"

/* What would go round the plugin does so from the broker's next start on at the earliest, and then the plugin
 * does not start: better to hear of it now. */
static void look_ahead(const struct mooring *m)
{
	struct fault f = {0};
	if (!config_scan_broker(m->options.config_file, &f).ok)
		mosquitto_log_printf(MOSQ_LOG_ERR,
				     "mooring: WITH THIS CONFIGURATION THE BROKER WILL NOT START AGAIN: %s",
				     f.text);
}

/* Until the next TICK; basic_auth.c says why. The plugin's own options are read at start only. */
int on_reload(int event, void *event_data, void *userdata)
{
	struct mooring *m = userdata;
	(void)event;
	(void)event_data;
	m->reloading = true;
	look_ahead(m);
	return MOSQ_ERR_SUCCESS;
}
