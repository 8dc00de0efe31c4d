#include "trust_domain.h"

#include <string.h>

enum { DNS_LABEL_MAX = 63 };

static bool is_label(const char *p, size_t n)
{
	return n > 0 && n <= DNS_LABEL_MAX && strspn(p, "abcdefghijklmnopqrstuvwxyz0123456789-") >= n &&
	       p[0] != '-' && p[n - 1] != '-';
}

outcome trust_domain_check(const char *domain, struct fault *f)
{
	bool ok = strlen(domain) <= TRUST_DOMAIN_MAX;
	for (const char *p = domain; ok;) {
		size_t n = strcspn(p, ".");
		ok = is_label(p, n);
		if (p[n] == '\0')
			break;
		p += n + 1;
	}
	return ok ? DONE
		  : refuse(f, REASON_CONFIG,
			   "trust domain \"%.60s\": it must be a DNS name in lower case, such as example.com",
			   domain);
}
