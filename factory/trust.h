/*
 * trust.h - the line records that somebody has at hand: of each line the latest version.
 */
#ifndef MOORING_FACTORY_TRUST_H
#define MOORING_FACTORY_TRUST_H

#include "objects.h"

struct trust {
	const struct programme *programme;
	struct held_record *records;
	size_t count, room;
};

struct trust trust_begin(const struct programme *programme);
void trust_free(struct trust *t);
/* Takes the record over, also on failure. An older version than the one at hand is passed over. */
MUST_USE outcome trust_add(struct trust *t, struct held_record *record, struct fault *f);
MUST_USE outcome trust_add_file(struct trust *t, const char *path, struct fault *f);
/* All files of a folder; one that is not there has none. */
MUST_USE outcome trust_add_folder(struct trust *t, const char *folder, struct fault *f);
/* NULL where the line is not known. */
const struct line_record *trust_find(const struct trust *t, const uint8_t line[KEY_ID_SIZE]);

#endif
