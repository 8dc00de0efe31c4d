/*
 * moment.h - a point in time as people write it.
 */
#ifndef MOORING_MOMENT_H
#define MOORING_MOMENT_H

#include "common/fault.h"

#include <stdint.h>

/* Unix seconds, or a date in UTC: "2026-11-22", "2026-11-22T15:00", "2026-11-22T15:00:01", with or without a Z (RFC
 * 3339), or with a blank for the T, as mooringctl prints times. */
MUST_USE bool moment_read(const char *text, int64_t *unix_s);
/* The same of the option, whose name is in REASON_BAD_FIELD. `otherwise` where it was not given. */
struct arguments;
MUST_USE outcome moment_argument(const struct arguments *a, const char *option, int64_t otherwise,
				 int64_t *unix_s, struct fault *f);

#endif
