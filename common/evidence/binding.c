#include "binding.h"

#include "common/crypto/crypto.h"

#include <stdlib.h>
#include <string.h>

void binding_compute(const uint8_t nonce[NONCE_SIZE], const char *audience, struct bytes csr,
		     uint8_t out[BINDING_SIZE])
{
	static const char label[] = "oem-enrol-att/1\0C";
	uint8_t audience_hash[SHA256_SIZE], csr_hash[SHA256_SIZE];
	sha256(bytes_str(audience), audience_hash);
	sha256(csr, csr_hash);
	const struct bytes parts[] = {
		{(const uint8_t *)label, sizeof label - 1},
		{nonce, NONCE_SIZE},
		{audience_hash, sizeof audience_hash},
		{csr_hash, sizeof csr_hash},
	};
	sha256_parts(parts, sizeof parts / sizeof *parts, out);
}

static const char *skip_name(const char *p)
{
	return p + strspn(p, "abcdefghijklmnopqrstuvwxyz0123456789-.");
}

/* RFC 3986 3.2.2: a name or IPv4 address, or an IPv6 address in brackets; NULL where it is neither. */
static const char *skip_host(const char *p)
{
	const char *end = p;
	if (*p == '[') {
		end = p + 1 + strspn(p + 1, "0123456789abcdef:.");
		return end > p + 1 && *end == ']' ? end + 1 : NULL;
	}
	end = skip_name(p);
	return end > p && *p != '.' && *p != '-' && end[-1] != '.' && end[-1] != '-' ? end : NULL;
}

static bool port_is_canonical(const char *p)
{
	size_t n = strspn(p, "0123456789");
	long port = n && n <= 5 ? strtol(p, NULL, 10) : 0;
	return p[n] == '\0' && *p != '0' && port > 0 && port <= 65535 && port != 443;
}

/* One origin has one spelling, since its hash is part of the binding. */
outcome binding_check_origin(const char *origin, struct fault *f)
{
	static const char scheme[] = "https://";
	if (strlen(origin) > ORIGIN_MAX)
		return refuse(f, REASON_BAD_ORIGIN, "the origin is longer than %d bytes", ORIGIN_MAX);
	if (strncmp(origin, scheme, sizeof scheme - 1) != 0)
		return refuse(f, REASON_BAD_ORIGIN, "the origin does not start with https://, in lower case");
	const char *end = skip_host(origin + sizeof scheme - 1);
	if (!end)
		return refuse(f, REASON_BAD_ORIGIN,
			      "the origin's host is no lower-case DNS name and no address");
	const char *rest = *end == ':' ? end + 1 + strspn(end + 1, "0123456789") : end;
	if (*end == ':' && !*rest && !port_is_canonical(end + 1))
		return refuse(
			f, REASON_BAD_ORIGIN,
			"RFC 6454 6.1: the origin's port is none, has a leading zero or is the default one");
	if (*rest)
		return refuse(
			f, REASON_BAD_ORIGIN,
			"RFC 6454 6.1: an origin ends after host and port, without a slash, in lower case");
	return DONE;
}
