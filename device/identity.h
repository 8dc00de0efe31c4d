/*
 * identity.h - how a device that was just powered on comes to its certificate, wherever the power failed
 * before.
 *
 *   no key            -> make one; it is on disk before the first request
 *   key, no (valid) certificate -> enrol with this key, as often as it takes
 *   certificate of this key     -> keep it
 *   certificate of the next key -> a renewal had come that far: the next key is this key now
 *   a new key was asked for     -> see reenrol.h
 */
#ifndef MOORING_IDENTITY_H
#define MOORING_IDENTITY_H

#include "enrol.h"

struct identity {
	struct credential credential;
	enum enrol_result result; /* ENROL_CERTIFIED: credential is filled */
};

/* Loads the state and starts the clock. To be called first. */
MUST_USE outcome identity_load(struct device *d, int64_t system_ms, struct fault *f);
/* Makes sure that the current key exists; reports key-made or key-kept. */
MUST_USE outcome identity_ensure_key(struct device *d, struct fault *f);
/* Until there is a certificate, a refusal or a stop. `new_key`: for a new key, whatever there is. */
MUST_USE outcome identity_power_on(struct device *d, bool new_key, struct identity *out, struct fault *f);
/* Stores the answer's certificate, then makes `key` (current or next) the current one; reports `event`. `out`
 * is replaced. */
MUST_USE outcome identity_adopt(struct device *d, uint32_t key, const struct enrol_answer *answer,
				const char *event, struct credential *out, struct fault *f);
/* Enrols again with the current key: the same certificate, or a new one where it has expired. As
 * identity_power_on. */
MUST_USE outcome identity_enrol(struct device *d, struct identity *out, struct fault *f);
/* Destroys the key before the current one, if it is still there. Done once the certificate in use has been
 * seen to work. */
MUST_USE outcome identity_forget_previous(struct device *d, struct fault *f);

#endif
