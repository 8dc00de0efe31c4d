#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

const char *text_time_s(int64_t unix_s, char out[TEXT_TIME_SIZE])
{
	time_t s = (time_t)unix_s;
	struct tm t;
	if (!unix_s || !gmtime_r(&s, &t) || !strftime(out, TEXT_TIME_SIZE, "%Y-%m-%d %H:%M:%S", &t))
		strcpy(out, "-");
	return out;
}

const char *text_time_ms(int64_t unix_ms, char out[TEXT_TIME_SIZE])
{
	text_time_s(unix_ms / 1000, out);
	if (unix_ms)
		sprintf(out + strlen(out), ".%03d", (int)(unix_ms % 1000));
	return out;
}

const char *text_duration(int64_t seconds, char out[TEXT_TIME_SIZE])
{
	static const struct {
		int64_t seconds;
		const char *name;
	} units[] = {{86400, "day"}, {3600, "hour"}};
	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		int64_t n = seconds / units[i].seconds;
		if (n == 0 || seconds % units[i].seconds)
			continue;
		snprintf(out, TEXT_TIME_SIZE, "%" PRId64 " %s%s", n, units[i].name, n == 1 ? "" : "s");
		return out;
	}
	snprintf(out, TEXT_TIME_SIZE, "%" PRId64 " s", seconds);
	return out;
}

/* Bytes of the well-formed, printable UTF-8 character at s (RFC 3629 4, without the C1 controls); 0 where
 * there is none. */
static size_t printable(const unsigned char *s)
{
	unsigned least = s[1] & 0x3f;
	if (s[0] < 0x80)
		return s[0] >= 0x20 && s[0] != 0x7f;
	if (s[0] < 0xc2 || s[0] > 0xf4 || (s[1] & 0xc0) != 0x80)
		return 0;
	if (s[0] < 0xe0)
		return s[0] == 0xc2 && least < 0x20 ? 0 : 2;
	if ((s[2] & 0xc0) != 0x80)
		return 0;
	if (s[0] < 0xf0)
		return (s[0] == 0xe0 && least < 0x20) || (s[0] == 0xed && least >= 0x20) ? 0 : 3;
	if ((s[3] & 0xc0) != 0x80)
		return 0;
	return (s[0] == 0xf0 && least < 0x10) || (s[0] == 0xf4 && least >= 0x10) ? 0 : 4;
}

void text_print(const char *s)
{
	while (*s) {
		size_t n = printable((const unsigned char *)s);
		if (n)
			fwrite(s, 1, n, stdout);
		else
			putchar('?');
		s += n ? n : 1;
	}
}

size_t text_width(const char *s)
{
	size_t columns = 0;
	for (; *s; columns++) {
		size_t n = printable((const unsigned char *)s);
		s += n ? n : 1;
	}
	return columns;
}

bool text_wants_colour(void)
{
	const char *no = getenv("NO_COLOR");
	return isatty(STDOUT_FILENO) && (!no || !no[0]);
}

void text_print_colour(bool on, enum colour colour, const char *s)
{
	static const char *const codes[] = {
		[BOLD] = "1", [DIM] = "2", [RED] = "31", [GREEN] = "32", [YELLOW] = "33"};
	if (!on || colour == PLAIN) {
		text_print(s);
		return;
	}
	printf("\033[%sm", codes[colour]);
	text_print(s);
	fputs("\033[0m", stdout);
}

enum colour text_state_colour(const char *state)
{
	static const struct {
		const char *state;
		enum colour colour;
	} colours[] = {
		{"active", GREEN},     {"live", GREEN},	     {"effective", GREEN}, {"ok", GREEN},
		{"suspended", YELLOW}, {"inactive", YELLOW}, {"pending", YELLOW},  {"renew soon", YELLOW},
		{"revoked", RED},      {"lost", RED},	     {"expired", RED},	   {"removed", RED},
		{"ended", RED},
	};
	for (size_t i = 0; i < sizeof colours / sizeof *colours; i++)
		if (!strcmp(state, colours[i].state))
			return colours[i].colour;
	return PLAIN;
}

void text_field(const char *label, const char *value)
{
	printf("  %-18s ", label);
	text_print(value);
	putchar('\n');
}

void text_number(const char *label, int64_t value)
{
	char text[24];
	snprintf(text, sizeof text, "%" PRId64, value);
	text_field(label, text);
}
