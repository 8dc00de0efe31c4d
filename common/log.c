#include "log.h"

#include "bytes.h"
#include "clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct {
	const char *daemon;
	enum log_level least;
} logger = {"mooring", LOG_LEVEL_INFO};

void log_init(const char *daemon, enum log_level least)
{
	logger.daemon = daemon;
	logger.least = least;
}

static void add_json_string(struct buf *line, const char *s)
{
	buf_byte(line, '"');
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;
		if (c == '"' || c == '\\')
			buf_printf(line, "\\%c", c);
		else if (c < 0x20 || c >= 0x7f)
			buf_printf(line, "\\u%04x", c);
		else
			buf_byte(line, c);
	}
	buf_byte(line, '"');
}

void log_fields(enum log_level level, const char *request, const struct fault *f, const char *fields,
		const char *message)
{
	static const char *const names[] = {"debug", "info", "warn", "error"};
	if (level < logger.least)
		return;
	char when[CLOCK_RFC3339_SIZE];
	clock_rfc3339_ms(clock_wall_ms(), when);
	struct buf line = {0};
	buf_printf(&line, "{\"time\":\"%s\",\"level\":\"%s\",\"daemon\":\"%s\"", when, names[level],
		   logger.daemon);
	if (request) {
		buf_str(&line, ",\"request\":");
		add_json_string(&line, request);
	}
	buf_str(&line, ",\"message\":");
	add_json_string(&line, message);
	if (f) {
		buf_printf(&line, ",\"reason\":\"%s\",\"rule\":", reason_code(f->reason));
		add_json_string(&line, f->text);
	}
	if (fields)
		buf_printf(&line, ",%s", fields);
	buf_str(&line, "}\n");
	if (!line.failed && write(STDERR_FILENO, line.p, line.n) < 0) {
		/* nobody is left to tell */
	}
	buf_free(&line);
}

static void write_line(enum log_level level, const char *request, const struct fault *f, const char *fmt,
		       va_list args) __attribute__((format(printf, 4, 0)));
static void write_line(enum log_level level, const char *request, const struct fault *f, const char *fmt,
		       va_list args)
{
	char message[1024];
	if (level < logger.least)
		return;
	vsnprintf(message, sizeof message, fmt, args);
	log_fields(level, request, f, NULL, message);
}

void log_line(enum log_level level, const char *request, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	write_line(level, request, NULL, fmt, args);
	va_end(args);
}

void log_fault(enum log_level level, const char *request, const struct fault *f, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	write_line(level, request, f, fmt, args);
	va_end(args);
}
