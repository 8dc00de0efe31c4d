#include "report.h"

#include "common/bytes.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

static const struct device_clock *reported_clock;

void report_start(const struct device_clock *clock)
{
	reported_clock = clock;
}

void report(const char *event, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	json_t *members = json_vpack_ex(NULL, 0, format, args);
	va_end(args);
	json_t *line =
		json_pack("{s:s,s:I}", "event", event, "t_ms", (json_int_t)device_clock_ms(reported_clock));
	char *text =
		line && members && !json_object_update(line, members) ? json_dumps(line, JSON_COMPACT) : NULL;
	struct buf out = {0};
	if (text) {
		buf_str(&out, text);
		buf_byte(&out, '\n');
	}
	if (out.n && !out.failed && write(STDOUT_FILENO, out.p, out.n) < 0) {
		/* nobody listens */
	}
	buf_free(&out);
	free(text);
	json_decref(line);
	json_decref(members);
}
