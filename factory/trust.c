#include "trust.h"

#include "factory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct trust trust_begin(const struct programme *programme)
{
	return (struct trust){.programme = programme};
}

void trust_free(struct trust *t)
{
	for (size_t i = 0; i < t->count; i++)
		buf_free(&t->records[i].bytes);
	free(t->records);
	*t = (struct trust){0};
}

static struct held_record *find(const struct trust *t, const uint8_t line[KEY_ID_SIZE])
{
	uint8_t id[KEY_ID_SIZE];
	for (size_t i = 0; i < t->count; i++) {
		provenance_key_id(t->records[i].record.key, id);
		if (!memcmp(id, line, sizeof id))
			return &t->records[i];
	}
	return NULL;
}

static bool make_room(struct trust *t)
{
	if (t->count < t->room)
		return true;
	size_t room = t->room ? 2 * t->room : 8;
	struct held_record *more = realloc(t->records, room * sizeof *more);
	if (!more)
		return false;
	t->records = more;
	t->room = room;
	return true;
}

outcome trust_add(struct trust *t, struct held_record *record, struct fault *f)
{
	uint8_t id[KEY_ID_SIZE];
	provenance_key_id(record->record.key, id);
	struct held_record *there = find(t, id);
	if (there && there->record.version >= record->record.version) {
		buf_free(&record->bytes);
		return DONE;
	}
	if (!there && !make_room(t)) {
		buf_free(&record->bytes);
		return refuse(f, REASON_NO_MEMORY, "no memory for a line record");
	}
	if (there)
		buf_free(&there->bytes);
	else
		there = &t->records[t->count++];
	*there = *record;
	return DONE;
}

outcome trust_add_file(struct trust *t, const char *path, struct fault *f)
{
	struct held_record record;
	outcome r = held_record_load(path, t->programme, &record, f);
	return r.ok ? trust_add(t, &record, f) : r;
}

static outcome add_entry(void *trust, const char *path, struct fault *f)
{
	return trust_add_file(trust, path, f);
}

outcome trust_add_folder(struct trust *t, const char *folder, struct fault *f)
{
	if (access(folder, F_OK) && errno == ENOENT)
		return DONE;
	return factory_each(folder, add_entry, t, f);
}

const struct line_record *trust_find(const struct trust *t, const uint8_t line[KEY_ID_SIZE])
{
	const struct held_record *there = find(t, line);
	return there ? &there->record : NULL;
}
