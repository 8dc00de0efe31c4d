/*
 * config_scan.h - finds in mosquitto.conf what would make the broker decide without asking the plugin, or
 * keep the plugin from acting.
 */
#ifndef MOORING_PLUGIN_CONFIG_SCAN_H
#define MOORING_PLUGIN_CONFIG_SCAN_H

#include "common/fault.h"

/* REASON_CONFIG with file, line and remedy at the first such
 * option; follows include_dir as the broker does. */
MUST_USE outcome config_scan(const char *path, struct fault *f);
/* The files that the broker was started with, by this process's command line, and `named`, unless NULL.
 * REASON_CONFIG also where there is none to look at. */
MUST_USE outcome config_scan_broker(const char *named, struct fault *f);

#endif
