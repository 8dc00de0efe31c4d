/*
 * options.h - mooring-device's command line.
 */
#ifndef MOORING_DEVICE_OPTIONS_H
#define MOORING_DEVICE_OPTIONS_H

#include "common/evidence/evidence.h"

enum options_command { OPTIONS_RUN, OPTIONS_REQUEST };

struct options {
	enum options_command command;
	const char *folder;
	const char *origin;
	const char *ca_file;
	const char *connect_to; /* NULL: the origin's address */
	char mqtt_host[256];	/* "" where no broker was given */
	int mqtt_port;
	const char *topic; /* NULL: the default */
	const char *out_file;
	enum evidence_type evidence;
	int64_t lifetime_s;
	int64_t interval_ms;
	int64_t count;
	bool new_key;
	bool insecure;
};

enum options_result { OPTIONS_GO, OPTIONS_ANSWERED, OPTIONS_WRONG };

/* OPTIONS_ANSWERED: --help or --version was printed. OPTIONS_WRONG: what is wrong was printed to standard
 * error. Strings are those of argv. */
enum options_result options_parse(int argc, char **argv, struct options *out);

#endif
