/* The end of a connection, and from Mosquitto 2.1 on that of one whose session stays (CLIENT_OFFLINE): same
 * data. */
#include "plugin/plugin.h"

/* By the pointer alone: a refused impostor's end can carry his victim's client id. */
int on_disconnect(int event, void *event_data, void *userdata)
{
	const struct mosquitto_evt_disconnect *ed = event_data;
	struct mooring *m = userdata;
	(void)event;
	sessions_depart(m->sessions, ed->client);
	return MOSQ_ERR_SUCCESS;
}
