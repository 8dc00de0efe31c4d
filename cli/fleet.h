/*
 * fleet.h - many devices at once: by the names of their things, or by their instance IDs as the attestation service
 * lists them; and what the gateway and the brokers know of them.
 */
#ifndef MOORING_FLEET_H
#define MOORING_FLEET_H

#include "api.h"

enum { FLEET_CALL_MAX = 500, FLEET_FILE_MAX = 256 << 20 };

struct fleet_device {
	char *name;  /* as it is asked for: a thing, or an instance ID in hex */
	char *thing; /* once it was looked up */
	bool known, revoked;
};

struct fleet {
	struct fleet_device *devices; /* none twice */
	size_t count, room;
	bool by_instance;
	/* after fleet_look_up */
	size_t revoked, unknown;
	/* after fleet_count_sessions */
	size_t sessions;
	json_t *brokers; /* how they have answered; NULL before */
};

void fleet_free(struct fleet *fleet);

/* Those that --batch NAME (page by page from the attestation service), --things FILE (a thing a line; blank lines and what
 * follows a '#' are passed over; "-" is standard input) or --line LINE with --since TIME names. Refuses an empty list.
 * EXIT_DONE, or what to exit with, the cause being said. */
int fleet_read(struct fleet *fleet, struct ctl *c, const struct arguments *a);

/* Asks the gateway about each; those that are revoked are then the first in the list. Exit codes as above. */
int fleet_look_up(struct fleet *fleet, struct ctl *c);
/* Asks the brokers, through the gateway, page by page: the sessions that are of these devices. After fleet_look_up. */
int fleet_count_sessions(struct fleet *fleet, struct ctl *c);

/* Of the "brokers" that a list of sessions comes with: standard error names each that did not say, and why, and false
 * is returned: the list lacks its sessions. So it is where none was asked. `only`: the one that was to be asked; NULL:
 * all. */
bool fleet_all_answered(json_t *brokers, const char *only);

/* {"things": [...]} or {"instance_ids": [...]} of the `count` devices from `from` on; json_decref. */
json_t *fleet_list(const struct fleet *fleet, size_t from, size_t count);

#endif
