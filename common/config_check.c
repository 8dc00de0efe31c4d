#include "config_check.h"

#include <stdlib.h>
#include <string.h>

enum { UID_DIGITS_MAX = 9 };

static const char *const levels[] = {"debug", "info", "warn", "error"};

outcome config_check_uid(const char *value, struct fault *f)
{
	size_t n = strlen(value);
	if (n == 0 || n > UID_DIGITS_MAX || strspn(value, "0123456789") != n)
		return refuse(f, REASON_CONFIG, "\"%s\" is not the number of a user", value);
	return DONE;
}

outcome config_check_log_level(const char *value, struct fault *f)
{
	for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
		if (!strcmp(value, levels[i]))
			return DONE;
	return refuse(f, REASON_CONFIG, "\"%s\" is none of debug, info, warn, error", value);
}

uid_t *config_uids(const struct config_strings *values)
{
	uid_t *uids = values->count ? calloc(values->count, sizeof *uids) : NULL;
	for (size_t i = 0; uids && i < values->count; i++)
		uids[i] = (uid_t)strtoul(values->items[i], NULL, 10);
	return uids;
}

enum log_level config_log_level(const char *value)
{
	enum log_level level = LOG_LEVEL_DEBUG;
	while (level < LOG_LEVEL_ERROR && strcmp(levels[level], value))
		level++;
	return level;
}
