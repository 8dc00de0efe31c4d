#include "health.h"

#include "common/backoff.h"

#include <pthread.h>
#include <stdlib.h>

struct attest_health {
	pthread_mutex_t lock;
	unsigned types; /* 0: nothing known, or not ready */
	unsigned failures;
	struct backoff pause;
	int64_t paused_until_ms;
};

outcome attest_health_new(struct attest_health **out, struct fault *f)
{
	struct attest_health *h = calloc(1, sizeof *h);
	if (!h)
		return refuse(f, REASON_NO_MEMORY, "no memory for the attestation service's state");
	pthread_mutex_init(&h->lock, NULL);
	h->pause = (struct backoff){.base_ms = ATTEST_PAUSE_MIN_MS, .cap_ms = ATTEST_PAUSE_MAX_MS};
	*out = h;
	return DONE;
}

void attest_health_free(struct attest_health *h)
{
	if (!h)
		return;
	pthread_mutex_destroy(&h->lock);
	free(h);
}

outcome attest_health_admit(struct attest_health *h, enum evidence_type type, int64_t now_ms, struct fault *f)
{
	pthread_mutex_lock(&h->lock);
	unsigned types = h->types;
	bool paused = now_ms < h->paused_until_ms;
	unsigned failures = h->failures;
	pthread_mutex_unlock(&h->lock);
	if (!types)
		return refuse(f, REASON_VERIFIER_UNAVAILABLE,
			      "the attestation service has not said that it is ready");
	if (paused)
		return refuse(f, REASON_VERIFIER_UNAVAILABLE,
			      "the attestation service failed %u times in a row", failures);
	if (!(types & 1u << type))
		return refuse(f, REASON_EVIDENCE_TYPE, "the attestation service does not take %s",
			      evidence_type_name(type));
	return DONE;
}

/* Failures of calls that began before the pause lengthen nothing: one outage is counted once a pause. */
void attest_health_report(struct attest_health *h, bool answered, int64_t now_ms)
{
	pthread_mutex_lock(&h->lock);
	if (answered) {
		h->failures = 0;
		h->paused_until_ms = 0;
		backoff_reset(&h->pause);
	} else if (now_ms >= h->paused_until_ms) {
		h->failures++;
		if (h->failures >= ATTEST_FAILURES_MAX)
			h->paused_until_ms = now_ms + backoff_window_ms(&h->pause);
	}
	pthread_mutex_unlock(&h->lock);
}

void attest_health_discovered(struct attest_health *h, unsigned types)
{
	pthread_mutex_lock(&h->lock);
	h->types = types;
	pthread_mutex_unlock(&h->lock);
}

bool attest_health_up(struct attest_health *h)
{
	pthread_mutex_lock(&h->lock);
	bool up = h->types && h->failures == 0;
	pthread_mutex_unlock(&h->lock);
	return up;
}
