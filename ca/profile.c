#include "profile.h"

#include <string.h>

enum { DAY = 86400, YEAR = 365 * DAY };

#define DIGITAL_SIGNATURE                                                                                    \
	{                                                                                                    \
		0x03, 0x02, 0x07, 0x80                                                                       \
	}
#define CERT_AND_CRL_SIGN                                                                                    \
	{                                                                                                    \
		0x03, 0x02, 0x01, 0x06                                                                       \
	}

/* The service CA has no name constraints: every device verifies its certificates, and TLS libraries for small
 * devices refuse a critical extension that they do not know. */
static const struct profile profiles[] = {
	{.name = "root", .path_length = 1, .key_usage = CERT_AND_CRL_SIGN, .lifetime_max_s = 20LL * YEAR},
	{.name = "device-ca",
	 .client_auth = true,
	 .constrained = true,
	 .path_length = 0,
	 .key_usage = CERT_AND_CRL_SIGN,
	 .lifetime_max_s = 3LL * YEAR},
	{.name = "unattested-ca",
	 .client_auth = true,
	 .constrained = true,
	 .path_length = 0,
	 .key_usage = CERT_AND_CRL_SIGN,
	 .lifetime_max_s = 3LL * YEAR},
	{.name = "service-ca",
	 .client_auth = true,
	 .server_auth = true,
	 .path_length = 0,
	 .key_usage = CERT_AND_CRL_SIGN,
	 .lifetime_max_s = 3LL * YEAR},
	{.name = "device",
	 .uri_kind = "thing",
	 .by_signer = true,
	 .attested = true,
	 .client_auth = true,
	 .path_length = PATH_LENGTH_NONE,
	 .key_usage = DIGITAL_SIGNATURE,
	 .lifetime_max_s = YEAR},
	{.name = "unattested",
	 .uri_kind = "unattested",
	 .by_signer = true,
	 .client_auth = true,
	 .path_length = PATH_LENGTH_NONE,
	 .key_usage = DIGITAL_SIGNATURE,
	 .lifetime_max_s = 30LL * DAY},
	{.name = "service-server",
	 .uri_kind = "service",
	 .server_auth = true,
	 .host_names = true,
	 .path_length = PATH_LENGTH_NONE,
	 .key_usage = DIGITAL_SIGNATURE,
	 .lifetime_max_s = 398LL * DAY},
	{.name = "service-client",
	 .uri_kind = "service",
	 .client_auth = true,
	 .path_length = PATH_LENGTH_NONE,
	 .key_usage = DIGITAL_SIGNATURE,
	 .lifetime_max_s = 398LL * DAY},
};

const struct profile *profile_find(const char *name)
{
	for (size_t i = 0; i < sizeof profiles / sizeof *profiles; i++)
		if (!strcmp(name, profiles[i].name))
			return &profiles[i];
	return NULL;
}
