/*
 * entry.h - log entries, for people and for the check of the hash chain.
 */
#ifndef MOORING_ENTRY_H
#define MOORING_ENTRY_H

#include "api.h"
#include "common/log_chain.h"

/* One line: number, time, kind, thing, reason, who, request; and what stands above them. */
void entry_print_heading(const struct ctl *c);
void entry_print_line(const struct ctl *c, const json_t *entry);
/* The same as a paragraph, with the rule and every detail; without the device where that is said already. */
void entry_print_story(const struct ctl *c, const json_t *entry, bool names_device);

/* The entry as it is hashed. `room` keeps what the JSON has in another form, and must outlive `out`.
 * REASON_BAD_FIELD. */
struct entry_room {
	uint8_t instance_id[64];
	uint8_t fingerprint[64];
};
MUST_USE outcome entry_read(const json_t *entry, struct entry_room *room, struct log_entry *out,
			    struct fault *f);

#endif
