#include "probe.h"

#include "common/clock.h"
#include "common/http/httpc.h"
#include "common/log.h"
#include "attest_json.h"
#include "health.h"

#include <event2/event_struct.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TICK_S = 1, GOOD_FOR_MS = 10000, PROBE_TIMEOUT_MS = 5000, DOCUMENT_MAX = 65536 };

struct attest_probe {
	struct worker *worker;
	struct event tick;
	bool asking;
	int64_t good_until_ms; /* monotonic */
	bool known;	       /* a state was logged; `up` is what it was */
	bool up;
	bool warned_about_key;
};

static bool key_is_pinned(const struct gateway *g, const uint8_t point[64])
{
	for (size_t i = 0; i < g->keys.ear_count; i++) {
		const struct ear_pin *pin = &g->keys.ear[i];
		if (!memcmp(pin->spki + pin->n - 64, point, 64))
			return true;
	}
	return false;
}

/* Keys come from the configuration alone; what the service announces is good for a warning before
 * it rotates. */
static void watch_key(struct attest_probe *p, const struct discovery *d)
{
	bool strange = d->has_key && !key_is_pinned(p->worker->gateway, d->point);
	if (strange && !p->warned_about_key)
		log_line(LOG_LEVEL_WARN, NULL,
			 "the attestation service announces a key that ear_keys does not list");
	p->warned_about_key = strange;
}

static outcome read_document(const struct httpc_answer *answer, const struct fault *why, struct discovery *d,
			     struct fault *f)
{
	if (!answer->status)
		return refuse(f, REASON_VERIFIER_UNAVAILABLE, "discovery: %s", why->text);
	if (answer->status != 200)
		return refuse(f, REASON_VERIFIER_UNAVAILABLE, "discovery: HTTP status %d", answer->status);
	outcome r = discovery_parse(answer->body, d, f);
	if (r.ok && !d->ready)
		return refuse(f, REASON_VERIFIER_UNAVAILABLE,
			      "discovery: the service says that it is not ready");
	if (r.ok && !d->types)
		return refuse(f, REASON_VERIFIER_UNAVAILABLE,
			      "discovery: the service takes none of our evidence types");
	return r;
}

static void note_state(struct attest_probe *p, bool up, const struct fault *f)
{
	if (p->known && p->up == up)
		return;
	if (up)
		log_line(LOG_LEVEL_INFO, NULL, "the attestation service is ready");
	else
		log_fault(LOG_LEVEL_WARN, NULL, f, "the attestation service is not available");
	p->known = true;
	p->up = up;
}

static void on_document(const struct httpc_answer *answer, const struct fault *why, void *arg)
{
	struct attest_probe *p = arg;
	struct discovery d = {0};
	struct fault f = {0};
	p->asking = false;
	if (p->worker->stopping)
		return;
	bool up = read_document(answer, why, &d, &f).ok;
	if (answer->status)
		attest_health_discovered(p->worker->gateway->attest, up ? d.types : 0);
	attest_health_report(p->worker->gateway->attest, up, clock_monotonic_ms());
	if (up)
		watch_key(p, &d);
	note_state(p, up, &f);
	p->good_until_ms = up ? clock_monotonic_ms() + GOOD_FOR_MS : 0;
}

static void ask(struct attest_probe *p)
{
	char url[1200];
	static const char *const headers[] = {"Accept: application/vnd.veraison.discovery+json", NULL};
	snprintf(url, sizeof url, "%s/.well-known/veraison/verification",
		 p->worker->gateway->config.attestation_url);
	const struct httpc_call get = {
		.method = "GET",
		.url = url,
		.headers = headers,
		.answer_max = DOCUMENT_MAX,
		.timeout_ms = PROBE_TIMEOUT_MS,
	};
	p->asking = true;
	httpc_send(p->worker->attestation, &get, on_document, p);
}

/* A call that failed since the last probe is reason enough to look at once. */
static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct attest_probe *p = arg;
	bool good = attest_health_up(p->worker->gateway->attest) && clock_monotonic_ms() < p->good_until_ms;
	(void)fd, (void)what;
	if (!good && !p->asking && !p->worker->stopping)
		ask(p);
}

outcome attest_probe_start(struct worker *w, struct attest_probe **out, struct fault *f)
{
	struct attest_probe *p = calloc(1, sizeof *p);
	if (!p)
		return refuse(f, REASON_NO_MEMORY, "no memory for the probe");
	struct timeval tick = {.tv_sec = TICK_S};
	p->worker = w;
	event_assign(&p->tick, loop_base(w->loop), -1, EV_PERSIST, on_tick, p);
	event_add(&p->tick, &tick);
	*out = p;
	ask(p);
	return DONE;
}

void attest_probe_stop(struct attest_probe *p)
{
	if (!p)
		return;
	event_del(&p->tick);
	free(p);
}
