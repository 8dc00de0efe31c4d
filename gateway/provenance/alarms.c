#include "alarms.h"

#include "common/crypto/crypto.h"

#include <string.h>

enum { ALARM_EVERY_MS = 3600 * 1000 };

void alarms_init(struct alarms *a)
{
	pthread_mutex_init(&a->lock, NULL);
}

void alarms_end(struct alarms *a)
{
	pthread_mutex_destroy(&a->lock);
}

static uint64_t subject(enum reason reason, const uint8_t line[KEY_ID_SIZE], const char *batch)
{
	const char *code = reason_code(reason);
	const struct bytes parts[] = {bytes_str(code), bytes_of(line, KEY_ID_SIZE), bytes_str(batch)};
	uint8_t hash[SHA256_SIZE];
	uint64_t about;
	sha256_parts(parts, 3, hash);
	memcpy(&about, hash, sizeof about);
	return about;
}

bool alarms_is_due(struct alarms *a, enum reason reason, const uint8_t line[KEY_ID_SIZE], const char *batch,
		   int64_t now_ms)
{
	uint64_t about = subject(reason, line, batch);
	size_t at = about % ALARMS_KEPT;
	pthread_mutex_lock(&a->lock);
	bool told = a->kept[at].about == about && a->kept[at].at_ms &&
		    now_ms - a->kept[at].at_ms < ALARM_EVERY_MS;
	if (!told) {
		a->kept[at].about = about;
		a->kept[at].at_ms = now_ms;
	}
	pthread_mutex_unlock(&a->lock);
	return !told;
}
