/*
 * options.h - the plugin_opt_ lines of mosquitto.conf. Unknown, missing, repeated or unreadable ones refuse
 * to start.
 *
 *   gateway      https://host[:port] of the gateway's edge for brokers
 *   ca_file      PEM, the only trust anchor for the gateway
 *   cert_file, key_file   PEM, this broker's client certificate (role broker)
 *   feed_key     PEM, the public key that signs the feed
 *   state_dir    folder of this broker alone, writable by the broker's user
 *   broker       this broker's name: letters, digits, '-', '_', '.'
 *   staleness    seconds without the gateway after which nobody new is admitted; 900
 *   config_file  path of mosquitto.conf, to check it for options that would go round the plugin; may be left
 *                out where the broker's command line names it, which is checked in any case
 */
#ifndef MOORING_PLUGIN_OPTIONS_H
#define MOORING_PLUGIN_OPTIONS_H

#include "common/fault.h"

struct mosquitto_opt;

enum { OPTIONS_STALENESS_DEFAULT = 900, OPTIONS_BROKER_MAX = 64 };

struct options {
	char *gateway; /* without a slash at its end */
	char *ca_file;
	char *cert_file;
	char *key_file;
	char *feed_key;
	char *state_dir;
	char *broker;
	char *config_file; /* NULL: not given */
	int staleness_s;
};

/* Copies: the broker's own strings do not outlive the call. REASON_CONFIG. Caller options_free, also after
 * failure. */
MUST_USE outcome options_read(const struct mosquitto_opt *list, int count, struct options *out,
			      struct fault *f);
void options_free(struct options *o);

#endif
