/*
 * ca_fixture.h - a root and a device CA in memory, made anew for each test program, and the certificate of a
 * device.
 */
#ifndef CA_FIXTURE_H
#define CA_FIXTURE_H

#include "ca/certificate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { DAY = 86400, NOW = 1795363200 };

#define DOMAIN "example.com"
#define THING "abcdefghijklmnopqrstuvwx"

struct ca {
	struct issuer root, device;
	X509 *root_cert, *device_cert;
};

static inline void done(outcome o, const struct fault *f)
{
	if (!o.ok)
		fail_msg("%s: %s", reason_code(f->reason), f->text);
}

static inline void refused(outcome o, const struct fault *f, enum reason reason, const char *says)
{
	assert_false(o.ok);
	assert_string_equal(reason_code(f->reason), reason_code(reason));
	if (says && !strstr(f->text, says))
		fail_msg("\"%s\" does not say \"%s\"", f->text, says);
}

static inline struct bytes new_spki(EVP_PKEY **key, uint8_t room[SPKI_MAX])
{
	*key = p256_key_generate();
	assert_non_null(*key);
	return bytes_of(room, ec_key_to_spki(*key, room, SPKI_MAX));
}

/* A CA of this profile under `issuer`, which is its own for a root. */
static inline X509 *issue_ca(const char *profile, struct issuer *issuer, struct bytes subject,
			     struct bytes spki)
{
	struct fault f = {0};
	struct buf der = {0};
	struct plan plan = {.profile = profile_find(profile),
			    .issuer = issuer,
			    .not_before = NOW - BACKDATE_S,
			    .not_after = NOW + profile_find(profile)->lifetime_max_s,
			    .subject = subject,
			    .spki = spki,
			    .trust_domain = DOMAIN,
			    .uri = "spiffe://" DOMAIN};
	certificate_random_serial(plan.serial);
	done(certificate_issue(&plan, issuer, NOW, &der, &f), &f);
	X509 *cert = cert_from_der(buf_view(&der));
	assert_non_null(cert);
	buf_free(&der);
	return cert;
}

static inline void make_ca(struct ca *ca)
{
	struct fault f = {0};
	uint8_t room[SPKI_MAX];
	struct buf name = {0};
	EVP_PKEY *key;
	struct bytes spki = new_spki(&key, room);
	done(certificate_name("OEM Root CA", "OEM", &name, &f), &f);
	done(issuer_make_root(key, buf_view(&name), NOW - BACKDATE_S, NOW + 20LL * 365 * DAY, &ca->root, &f),
	     &f);
	ca->root_cert = issue_ca("root", &ca->root, buf_view(&name), spki);
	buf_free(&name);
	spki = new_spki(&key, room);
	done(certificate_name("OEM Device CA", "OEM", &name, &f), &f);
	ca->device_cert = issue_ca("device-ca", &ca->root, buf_view(&name), spki);
	done(issuer_make(key, ca->device_cert, &ca->device, &f), &f);
	buf_free(&name);
}

static inline void free_ca(struct ca *ca)
{
	issuer_free(&ca->root);
	issuer_free(&ca->device);
	X509_free(ca->root_cert);
	X509_free(ca->device_cert);
}

/* The plan of an ordinary device certificate; subject and key are static. */
static inline struct plan device_plan(const struct ca *ca)
{
	static struct buf subject;
	static uint8_t room[SPKI_MAX];
	static struct bytes spki;
	static EVP_PKEY *key;
	struct fault f = {0};
	if (!key) {
		spki = new_spki(&key, room);
		done(certificate_name(THING, NULL, &subject, &f), &f);
		EVP_PKEY_free(key);
	}
	struct plan plan = {.profile = profile_find("device"),
			    .issuer = &ca->device,
			    .not_before = NOW - BACKDATE_S,
			    .not_after = NOW + 365LL * DAY,
			    .subject = buf_view(&subject),
			    .spki = spki,
			    .trust_domain = DOMAIN,
			    .uri = "spiffe://" DOMAIN "/thing/" THING};
	memset(plan.serial, 0x21, sizeof plan.serial);
	return plan;
}

#endif
