#include "fault.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum public_id {
#define PUBLIC(id, code, status, retry, text) PUBLIC_##id,
#define REASON(id, code, public_id)
#include "reasons.def"
#undef PUBLIC
#undef REASON
};

static const struct reason_public publics[] = {
#define PUBLIC(id, code, status, retry, text) [PUBLIC_##id] = {code, status, retry, text},
#define REASON(id, code, public_id)
#include "reasons.def"
#undef PUBLIC
#undef REASON
};

static const struct {
	const char *code;
	enum public_id public_id;
} reasons[REASON_COUNT] = {
	[REASON_NONE] = {"none", PUBLIC_INTERNAL},
#define PUBLIC(id, code, status, retry, text)
#define REASON(id, code, public_id) [REASON_##id] = {code, PUBLIC_##public_id},
#include "reasons.def"
#undef PUBLIC
#undef REASON
};

outcome refuse(struct fault *f, enum reason reason, const char *fmt, ...)
{
	if (f) {
		va_list args;
		va_start(args, fmt);
		f->reason = reason;
		f->retry_after_s = 0;
		vsnprintf(f->text, sizeof f->text, fmt, args);
		va_end(args);
	}
	return (outcome){false};
}

const char *reason_code(enum reason reason)
{
	return (unsigned)reason < REASON_COUNT ? reasons[reason].code : reasons[REASON_NONE].code;
}

enum reason reason_find(const char *code)
{
	for (enum reason r = REASON_NONE; r < REASON_COUNT; r++)
		if (!strcmp(reasons[r].code, code))
			return r;
	return REASON_NONE;
}

const struct reason_public *reason_public(enum reason reason)
{
	return &publics[(unsigned)reason < REASON_COUNT ? reasons[reason].public_id : PUBLIC_INTERNAL];
}
