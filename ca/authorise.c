#include "authorise.h"

#include "common/clock.h"
#include "common/evidence/ear.h"

#include <string.h>

enum { UNATTESTED_TYPE = 0x00, MINUTE_US = 60000000 };

static outcome choose_profile(struct authoriser *a, const struct signer_request *r, struct authorisation *m,
			      struct fault *f)
{
	m->profile = profile_find(r->profile);
	if (!m->profile || !m->profile->by_signer)
		return refuse(f, REASON_SIGNER_PROFILE, "the signer has no such profile");
	m->issuer = m->profile->attested ? &a->keys->device : &a->keys->unattested;
	if (!m->issuer->key)
		return refuse(f, REASON_SIGNER_PROFILE,
			      "certificates without evidence are off: unattested_key is not set");
	if (m->profile->attested && !r->ear.n)
		return refuse(f, REASON_SIGNER_PROFILE, "the profile needs an attestation result");
	if (!m->profile->attested && r->ear.n)
		return refuse(f, REASON_SIGNER_PROFILE,
			      "the profile is for devices without evidence, and here is some");
	return DONE;
}

static outcome check_audience(const struct authoriser *a, const struct signer_request *r, struct fault *f)
{
	for (size_t i = 0; i < a->config->issuing.origins.count; i++)
		if (!strcmp(r->audience, a->config->issuing.origins.items[i]))
			return DONE;
	return refuse(f, REASON_BAD_ORIGIN, "the audience is none of the signer's own origins");
}

/* A result speaks for one intent; the same intent may be asked for again with it. */
static outcome check_unspent(const struct authoriser *a, const struct signer_request *r,
			     const struct authorisation *m, struct fault *f)
{
	const struct ledger_entry *spent = ledger_by_binding(a->ledger, m->binding);
	if (!spent || !memcmp(spent->intent, r->intent, INTENT_ID_SIZE))
		return DONE;
	return refuse(f, REASON_EAR_REUSED, "this binding was used for another intent");
}

static outcome authorise_attested(const struct authoriser *a, const struct signer_request *r, int64_t now,
				  struct authorisation *m, struct fault *f)
{
	struct ear_expect expect = {.keys = a->keys->ear_keys,
				    .key_count = a->keys->ear_key_count,
				    .csr_spki = m->csr.spki,
				    .now = now};
	struct ear ear;
	outcome o = check_audience(a, r, f);
	if (!o.ok)
		return o;
	binding_compute(r->nonce, r->audience, m->csr.der, m->binding);
	o = check_unspent(a, r, m, f);
	if (!o.ok)
		return o;
	memcpy(expect.binding, m->binding, sizeof expect.binding);
	o = ear_check(r->ear, &expect, &ear, f);
	if (o.ok && !ear.has_instance_id)
		o = refuse(f, REASON_EAR_INSTANCE, "the attestation result names no instance ID");
	if (o.ok)
		o = evidence_check_key_not_rot(ear.instance_id, m->csr.spki, f);
	if (o.ok)
		cert_thing_name(bytes_of(a->keys->salt, SALT_SIZE), ear.instance_id, m->thing);
	return o;
}

/* Without evidence the key is all the identity there is. The type byte keeps these names apart from attested
 * ones. */
static void name_unattested(const struct authoriser *a, struct authorisation *m)
{
	uint8_t id[INSTANCE_ID_SIZE] = {UNATTESTED_TYPE};
	memcpy(id + 1, m->csr.spki_sha256, SHA256_SIZE);
	cert_thing_name(bytes_of(a->keys->salt, SALT_SIZE), id, m->thing);
}

outcome authorise_request(struct authoriser *a, const struct signer_request *r, int64_t now,
			  struct authorisation *out, struct fault *f)
{
	*out = (struct authorisation){0};
	outcome o = choose_profile(a, r, out, f);
	if (o.ok)
		o = csr_parse(r->csr, false, &out->csr, f);
	if (!o.ok)
		return o;
	if (!out->profile->attested)
		name_unattested(a, out);
	else
		o = authorise_attested(a, r, now, out, f);
	return o;
}

/* The generic cell rate algorithm. */
static bool take(int64_t *next_us, int64_t interval_us, int64_t burst_us, int64_t now_us)
{
	int64_t after = (*next_us > now_us ? *next_us : now_us) + interval_us;
	if (after - now_us > burst_us)
		return false;
	*next_us = after;
	return true;
}

/* A burst of one minute's worth, then evenly. */
outcome authorise_take_unattested(struct authoriser *a, int64_t now_us, struct fault *f)
{
	int64_t interval = MINUTE_US / a->config->unattested_per_minute;
	if (take(&a->unattested_next_us, interval, MINUTE_US, now_us))
		return DONE;
	return refuse(f, REASON_RATE_LIMITED, "more than %lld certificates without evidence in a minute",
		      (long long)a->config->unattested_per_minute);
}

outcome authorise_take_void(struct authoriser *a, int64_t now_us, struct fault *f)
{
	if (take(&a->void_next_us, VOID_INTERVAL_US, (int64_t)VOID_BURST * VOID_INTERVAL_US, now_us))
		return DONE;
	return refuse(f, REASON_OVERLOADED,
		      "more than %d intents given up at once, and then more than one a second", VOID_BURST);
}
