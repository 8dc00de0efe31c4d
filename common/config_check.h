/*
 * config_check.h - keys that several daemons have: their checks, for the configuration table, and their
 * values.
 */
#ifndef MOORING_CONFIG_CHECK_H
#define MOORING_CONFIG_CHECK_H

#include "config.h"
#include "log.h"

#include <sys/types.h>

outcome config_check_uid(const char *value, struct fault *f);
outcome config_check_log_level(const char *value, struct fault *f);

/* Of values that were checked. The list of users is the caller's to free; NULL where it is empty or memory is
 * out. */
uid_t *config_uids(const struct config_strings *values);
enum log_level config_log_level(const char *value);

#endif
