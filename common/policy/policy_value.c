/* The values of conditions, and of the keys that they are compared with: numbers, times, addresses. */
#include "policy_internal.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { DIGITS_MAX = 15, TIME_TEXT_MAX = 40, EPOCH_DIGITS_MAX = 12 };

/* ---- numbers ---- */

/* Digits from text[*at] on, at most DIGITS_MAX over all; how many there were. */
static size_t take_digits(struct bytes text, size_t *at, double *value)
{
	size_t n = 0;
	for (; *at < text.n && text.p[*at] >= '0' && text.p[*at] <= '9'; ++*at, n++)
		*value = *value * 10 + (text.p[*at] - '0');
	return n;
}

/* A sign, digits, a fraction. Fifteen digits are exact; a number with more is none. No locale. */
bool policy_value_number(struct bytes text, double *out)
{
	double value = 0, scale = 1;
	size_t at = text.n && (*text.p == '-' || *text.p == '+') ? 1 : 0, fraction = 0;
	size_t whole = take_digits(text, &at, &value);
	if (at + 1 < text.n && text.p[at] == '.') {
		at++;
		fraction = take_digits(text, &at, &value);
	}
	if (whole == 0 || whole + fraction > DIGITS_MAX || at != text.n)
		return false;
	while (fraction--)
		scale *= 10;
	*out = (*text.p == '-' ? -value : value) / scale;
	return true;
}

/* ---- times ---- */

static bool take_char(const char **at, char c)
{
	if (**at != c)
		return false;
	++*at;
	return true;
}

/* Exactly two or four digits. */
static bool take_field(const char **at, int digits, int *out)
{
	*out = 0;
	for (int i = 0; i < digits; i++, ++*at) {
		if (**at < '0' || **at > '9')
			return false;
		*out = *out * 10 + (**at - '0');
	}
	return true;
}

/* timegm takes February 30th for March 2nd; here it is no date. */
static bool take_date(const char **at, int64_t *seconds)
{
	int year, month, day;
	if (!take_field(at, 4, &year) || !take_char(at, '-') || !take_field(at, 2, &month) ||
	    !take_char(at, '-') || !take_field(at, 2, &day))
		return false;
	struct tm tm = {.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day};
	*seconds = timegm(&tm);
	return tm.tm_mon == month - 1 && tm.tm_mday == day;
}

/* "hh:mm", then perhaps ":ss", then perhaps ".sss" */
static bool take_time(const char **at, int64_t *seconds, int64_t *ms)
{
	int hour, minute, second = 0, unit = 100;
	if (!take_field(at, 2, &hour) || !take_char(at, ':') || !take_field(at, 2, &minute))
		return false;
	if (take_char(at, ':') && !take_field(at, 2, &second))
		return false;
	if (take_char(at, '.'))
		for (; **at >= '0' && **at <= '9'; ++*at, unit /= 10)
			*ms += (**at - '0') * unit;
	*seconds += hour * 3600 + minute * 60 + second;
	return hour < 24 && minute < 60 && second < 60;
}

/* "Z", "+01:00" */
static bool take_zone(const char **at, int64_t *seconds)
{
	int hours, minutes, sign = **at == '-' ? 1 : -1;
	if (take_char(at, 'Z'))
		return true;
	if ((!take_char(at, '+') && !take_char(at, '-')) || !take_field(at, 2, &hours) ||
	    !take_char(at, ':') || !take_field(at, 2, &minutes))
		return false;
	*seconds += sign * (hours * 3600 + minutes * 60);
	return hours < 24 && minutes < 60;
}

static bool take_epoch(const char *text, int64_t *ms)
{
	size_t n = strspn(text, "0123456789");
	if (n == 0 || text[n] || n > EPOCH_DIGITS_MAX)
		return false;
	*ms = strtoll(text, NULL, 10) * 1000;
	return true;
}

/* W3C's profile of ISO 8601, as IAM takes it, or the seconds since 1970. */
bool policy_value_time(struct bytes text, int64_t *ms)
{
	char copy[TIME_TEXT_MAX];
	int64_t seconds, fraction = 0;
	const char *at = copy;
	if (text.n == 0 || text.n >= sizeof copy)
		return false;
	memcpy(copy, text.p, text.n);
	copy[text.n] = '\0';
	if (take_epoch(copy, ms))
		return true;
	if (!take_date(&at, &seconds))
		return false;
	if (take_char(&at, 'T') && (!take_time(&at, &seconds, &fraction) || !take_zone(&at, &seconds)))
		return false;
	*ms = seconds * 1000 + fraction;
	return *at == '\0';
}

/* ---- addresses ---- */

static bool take_address(const char *text, uint8_t out[16], uint8_t *bits)
{
	memset(out, 0, 16);
	memset(out + 10, 0xff, 2);
	*bits = 32;
	if (inet_pton(AF_INET, text, out + 12) == 1)
		return true;
	*bits = 128;
	return inet_pton(AF_INET6, text, out) == 1;
}

/* "192.0.2.0/24", "2001:db8::1". An IPv4 address in IPv6's clothes is an IPv4 address. */
bool policy_value_network(struct bytes text, struct policy_network *out)
{
	char copy[INET6_ADDRSTRLEN + sizeof "/128"];
	uint8_t bits;
	if (text.n == 0 || text.n >= sizeof copy)
		return false;
	memcpy(copy, text.p, text.n);
	copy[text.n] = '\0';
	char *slash = strchr(copy, '/');
	if (slash)
		*slash++ = '\0';
	if (!take_address(copy, out->address, &bits))
		return false;
	unsigned wanted = bits;
	if (slash) {
		size_t n = strspn(slash, "0123456789");
		if (n == 0 || n > 3 || slash[n])
			return false;
		wanted = (unsigned)strtoul(slash, NULL, 10);
	}
	out->bits = (uint8_t)(wanted + 128 - bits);
	return wanted <= bits;
}
