#include "sigv4_internal.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

outcome sigv4_malformed(struct fault *f, const char *rule)
{
	return refuse(f, REASON_SIGV4_MALFORMED, "SigV4: %s", rule);
}

const char *sigv4_header_value(const struct sigv4_request *r, const char *name)
{
	for (size_t i = 0; i < r->header_count; i++)
		if (!strcasecmp(r->headers[i].name, name))
			return r->headers[i].value;
	return NULL;
}

static bool is_signed(const char *signed_headers, const char *name)
{
	struct bytes list = bytes_str(signed_headers), at;
	while (sigv4_next_name(&list, &at))
		if (at.n == strlen(name) && !strncasecmp((const char *)at.p, name, at.n))
			return true;
	return false;
}

/* Copies the text up to a character of `until` (or the end) and
 * moves past it; false where empty or too long. */
static bool take(const char **from, const char *until, char *out, size_t room)
{
	size_t n = strcspn(*from, until);
	if (n == 0 || n >= room)
		return false;
	memcpy(out, *from, n);
	out[n] = '\0';
	*from += n + ((*from)[n] ? 1 : 0);
	return true;
}

/* AKID/20261122/region/service/aws4_request */
static bool parse_credential(const char *text, struct sigv4_claim *out)
{
	return take(&text, "/", out->key_id, sizeof out->key_id) &&
	       take(&text, "/", out->scope_date, sizeof out->scope_date) && strlen(out->scope_date) == 8 &&
	       take(&text, "/", out->region, sizeof out->region) &&
	       take(&text, "/", out->service, sizeof out->service) && !strcmp(text, "aws4_request");
}

/* Credential=…, SignedHeaders=…, Signature=…: each once, in any order, spaces after commas optional. */
static outcome parse_authorization(const char *text, struct sigv4_claim *out, struct fault *f)
{
	char credential[256] = "", signature[2 * SHA256_SIZE + 1] = "";
	const struct {
		const char *name;
		char *value;
		size_t room;
	} fields[] = {
		{"Credential=", credential, sizeof credential},
		{"SignedHeaders=", out->signed_headers, sizeof out->signed_headers},
		{"Signature=", signature, sizeof signature},
	};
	while (*(text += strspn(text, " "))) {
		size_t i = 0;
		while (i < 3 && strncmp(text, fields[i].name, strlen(fields[i].name)))
			i++;
		if (i == 3 || fields[i].value[0])
			return sigv4_malformed(f,
					       "the Authorization header has an unknown or repeated field");
		text += strlen(fields[i].name);
		if (!take(&text, ", ", fields[i].value, fields[i].room))
			return sigv4_malformed(f, "a field of the Authorization header is empty or too long");
	}
	size_t n;
	if (!parse_credential(credential, out))
		return sigv4_malformed(f, "Credential is not KEY/YYYYMMDD/REGION/SERVICE/aws4_request");
	if (strlen(signature) != 2 * SHA256_SIZE ||
	    !hex_decode(signature, strlen(signature), out->signature, SHA256_SIZE, &n))
		return sigv4_malformed(f, "Signature is not 64 hexadecimal digits");
	return DONE;
}

/* Two digits at a time: strptime would take spaces, signs and other lengths. */
bool sigv4_parse_date_time(const char *text, int64_t *out)
{
	struct tm t = {0};
	int *const parts[] = {&t.tm_mon, &t.tm_mday, &t.tm_hour, &t.tm_min, &t.tm_sec};
	static const uint8_t at[] = {4, 6, 9, 11, 13};
	if (strlen(text) != 16 || text[8] != 'T' || text[15] != 'Z')
		return false;
	for (size_t i = 0; i < 15; i++)
		if (i != 8 && !isdigit((unsigned char)text[i]))
			return false;
	for (size_t i = 0; i < 5; i++)
		*parts[i] = (text[at[i]] - '0') * 10 + text[at[i] + 1] - '0';
	t.tm_year =
		(text[0] - '0') * 1000 + (text[1] - '0') * 100 + (text[2] - '0') * 10 + text[3] - '0' - 1900;
	t.tm_mon--;
	*out = (int64_t)timegm(&t);
	return true;
}

/* AWS signs them sorted and in lower case; another order would make a second form of the same request. */
static outcome check_signed_names(const char *signed_headers, struct fault *f)
{
	struct bytes list = bytes_str(signed_headers), name, last = {0};
	size_t count = 0;
	while (sigv4_next_name(&list, &name)) {
		size_t least = name.n < last.n ? name.n : last.n;
		int order = count ? memcmp(last.p, name.p, least) : -1;
		if (name.n == 0 || order > 0 || (order == 0 && last.n >= name.n))
			return sigv4_malformed(f, "SignedHeaders are not sorted, or one stands there twice");
		for (size_t i = 0; i < name.n; i++)
			if (isupper(name.p[i]))
				return sigv4_malformed(f, "SignedHeaders are not in lower case");
		last = name;
		if (++count > SIGV4_HEADERS_MAX)
			return sigv4_malformed(f, "more than 64 SignedHeaders");
	}
	return DONE;
}

/* What is not signed could be changed on the way: host, date and every x-amz-* header must be. */
outcome sigv4_check_coverage(const struct sigv4_request *r, const char *signed_headers, struct fault *f)
{
	if (!is_signed(signed_headers, "host"))
		return sigv4_malformed(f, "the host header is not signed");
	if (!is_signed(signed_headers, "x-amz-date"))
		return sigv4_malformed(f, "the x-amz-date header is not signed");
	for (size_t i = 0; i < r->header_count; i++)
		if (!strncasecmp(r->headers[i].name, "x-amz-", 6) &&
		    !is_signed(signed_headers, r->headers[i].name))
			return refuse(f, REASON_SIGV4_MALFORMED,
				      "SigV4: header %.60s is there but not signed", r->headers[i].name);
	return DONE;
}

outcome sigv4_claim_parse(const struct sigv4_request *r, struct sigv4_claim *out, struct fault *f)
{
	*out = (struct sigv4_claim){0};
	const char *authorization = sigv4_header_value(r, "authorization"),
		   *date = sigv4_header_value(r, "x-amz-date");
	const char *payload = sigv4_header_value(r, "x-amz-content-sha256");
	size_t prefix = sizeof SIGV4_ALGORITHM - 1;
	if (!authorization || !authorization[0])
		return refuse(f, REASON_NO_SIGNATURE, "SigV4: the request has no Authorization header");
	if (strncmp(authorization, SIGV4_ALGORITHM, prefix) || authorization[prefix] != ' ')
		return sigv4_malformed(f, "the Authorization header does not begin with AWS4-HMAC-SHA256");
	if (r->header_count > SIGV4_HEADERS_MAX)
		return sigv4_malformed(f, "more than 64 headers");
	outcome result = parse_authorization(authorization + prefix + 1, out, f);
	if (result.ok)
		result = check_signed_names(out->signed_headers, f);
	if (!result.ok)
		return result;
	if (!date || !sigv4_parse_date_time(date, &out->time))
		return sigv4_malformed(f, "x-amz-date is not YYYYMMDDThhmmssZ");
	if (strncmp(date, out->scope_date, 8))
		return sigv4_malformed(f, "the day of the scope is not that of x-amz-date");
	if (payload && (!strcmp(payload, "UNSIGNED-PAYLOAD") || !strncmp(payload, "STREAMING-", 10)))
		return sigv4_malformed(f, "the payload must be signed");
	return sigv4_check_coverage(r, out->signed_headers, f);
}
