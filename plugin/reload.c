/* SIGHUP (logrotate sends it): the broker asks BASIC_AUTH about every session there is. */
#include "plugin/plugin.h"

/* Until the next TICK; basic_auth.c says why. The plugin's own options are read at start only. */
int on_reload(int event, void *event_data, void *userdata)
{
	struct mooring *m = userdata;
	(void)event;
	(void)event_data;
	m->reloading = true;
	return MOSQ_ERR_SUCCESS;
}
