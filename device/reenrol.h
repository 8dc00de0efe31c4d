/*
 * reenrol.h - a new key in place of one whose certificate was revoked, once the operator has allowed it.
 *
 * The new key is the one after the current, as in a renewal. It is on disk, and the state says that it is being asked
 * with, before the gateway hears of it; from then on every power-on asks with this same key until there is an answer. A
 * certificate takes the place of the old one; the old key goes when the new certificate has been seen to work. A no
 * ends it: the new key is destroyed, and the device is what it was. So a power cut never leads to a second new key,
 * which the gateway would take for a clone's.
 */
#ifndef MOORING_REENROL_H
#define MOORING_REENROL_H

#include "identity.h"

/* Settles what a power cut has left; then, where a new key is `asked` for, makes it, unless it is there already. A
 * device that has no key at all yet has nothing to begin. */
MUST_USE outcome reenrol_begin(struct device *d, bool asked, struct fault *f);
/* d->state.reenrolling: asks, until there is a certificate (out->credential), a refusal or a stop. */
MUST_USE outcome reenrol_go_on(struct device *d, struct identity *out, struct fault *f);

#endif
