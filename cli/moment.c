#include "moment.h"

#include "arguments.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* timegm takes February 30th for March 2nd; here it is no date. */
static bool to_seconds(const struct tm *read, int64_t *unix_s)
{
	struct tm tm = *read;
	*unix_s = (int64_t)timegm(&tm);
	return tm.tm_mon == read->tm_mon && tm.tm_mday == read->tm_mday && tm.tm_hour == read->tm_hour &&
	       tm.tm_min == read->tm_min && tm.tm_sec == read->tm_sec;
}

/* The text has this form, in which 0 stands for a digit and T for what divides date and time. */
static bool has_form(const char *text, const char *form)
{
	for (; *form && *text; form++, text++) {
		bool ok = *form == '0'	 ? *text >= '0' && *text <= '9'
			  : *form == 'T' ? *text == 'T' || *text == ' '
					 : *text == *form;
		if (!ok)
			return false;
	}
	return !*form && (!*text || !strcmp(text, "Z"));
}

bool moment_read(const char *text, int64_t *unix_s)
{
	static const char *const forms[] = {"0000-00-00", "0000-00-00T00:00", "0000-00-00T00:00:00"};
	struct tm tm = {.tm_mday = 1};
	char *end;
	if (*text && !text[strspn(text, "0123456789")]) {
		*unix_s = strtoll(text, &end, 10);
		return *unix_s >= 0 && strlen(text) <= 12;
	}
	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
		if (!has_form(text, forms[i]))
			continue;
		tm.tm_year = atoi(text) - 1900;
		tm.tm_mon = atoi(text + 5) - 1;
		tm.tm_mday = atoi(text + 8);
		tm.tm_hour = i > 0 ? atoi(text + 11) : 0;
		tm.tm_min = i > 0 ? atoi(text + 14) : 0;
		tm.tm_sec = i > 1 ? atoi(text + 17) : 0;
		return to_seconds(&tm, unix_s) && *unix_s >= 0;
	}
	return false;
}

outcome moment_argument(const struct arguments *a, const char *option, int64_t otherwise, int64_t *unix_s,
			struct fault *f)
{
	const char *text = argument(a, option);
	*unix_s = otherwise;
	if (!text || moment_read(text, unix_s))
		return DONE;
	return refuse(
		f, REASON_BAD_FIELD,
		"--%s must be Unix seconds, or a time in UTC such as 2026-11-22T15:00: \"%.40s\" is neither",
		option, text);
}
