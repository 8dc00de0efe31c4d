/*
 * broker.h - the broker's plugin interface, version 5, in the order in which the headers of Mosquitto 2.0.11
 * can be included. But for mosquitto_kick_*, _log_printf, _broker_publish and the like, which belong to the
 * broker's thread alone, nothing of it is called anywhere.
 */
#ifndef MOORING_PLUGIN_BROKER_H
#define MOORING_PLUGIN_BROKER_H

#include <mosquitto.h>
#include <mosquitto_broker.h>
/* after them */
#include <mosquitto_plugin.h>

#endif
