/*
 * log.h - JSON lines on standard error, one object a line: time, level, daemon, request id, message, fields.
 */
#ifndef MOORING_LOG_H
#define MOORING_LOG_H

#include "fault.h"

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

/* Name of the daemon in every line; lines below `least` are dropped. Call once, before threads. */
void log_init(const char *daemon, enum log_level least);

/* `request` may be NULL. Safe from any thread: a line is one write(2). */
void log_line(enum log_level level, const char *request, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* The same with the fault's code and text as fields "reason" and "rule". */
void log_fault(enum log_level level, const char *request, const struct fault *f, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* The same with further members, ready-made JSON without braces ("\"status\":201,\"ms\":12"); `f` and `fields` may be NULL. */
void log_fields(enum log_level level, const char *request, const struct fault *f, const char *fields,
		const char *message);

#endif
