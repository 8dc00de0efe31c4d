#include "withdrawals.h"

#include "common/backoff.h"
#include "common/clock.h"
#include "common/http/httpc.h"
#include "common/log.h"
#include "common/metrics.h"
#include "withdrawals_json.h"

#include <event2/event_struct.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	WAIT_S = 25,
	POLL_TIMEOUT_MS = 40000,
	LIST_MAX = 2 << 20,
	PAUSE_MIN_MS = 500,
	PAUSE_MAX_MS = 30000,
	RESTART_INTERVAL_MS = 60000
};

static struct metric applied = {METRIC_COUNTER, "mooring_withdrawals_applied_total",
				"Changes of what the attestation service vouches for.", 0};
static struct metric restarts = {
	METRIC_COUNTER, "mooring_withdrawals_restarts_total",
	"How often the attestation service's list was another one, and was read anew.", 0};
static struct metric answered = {METRIC_GAUGE, "mooring_withdrawals_answered_timestamp_seconds",
				 "When the attestation service last answered about withdrawals, Unix time.",
				 0};

struct withdrawals {
	struct worker *worker;
	struct httpc *client; /* its own, so that the long poll holds no connection that enrolments want */
	struct event timer;
	/* Read and stored up to here; last -1: the store has not said yet. */
	struct store_withdrawals_position at;
	int64_t asked_ms, restarted_ms;
	struct backoff backoff;
	bool failing;
};

static void pause_then_ask(struct withdrawals *w)
{
	int64_t wait_ms = backoff_window_ms(&w->backoff);
	struct timeval wait = {.tv_sec = wait_ms / 1000, .tv_usec = wait_ms % 1000 * 1000};
	event_add(&w->timer, &wait);
}

static void fail(struct withdrawals *w, const struct fault *f)
{
	if (w->worker->stopping)
		return;
	if (!w->failing)
		log_fault(LOG_LEVEL_WARN, NULL, f, "withdrawals cannot be read");
	w->failing = true;
	pause_then_ask(w);
}

static void ask(struct withdrawals *w);

/* An answer that neither waited nor said anything must not make us ask without end. */
static void go_on(struct withdrawals *w, size_t count)
{
	if (w->failing)
		log_line(LOG_LEVEL_INFO, NULL, "withdrawals can be read again");
	w->failing = false;
	backoff_reset(&w->backoff);
	if (count == 0 && clock_monotonic_ms() - w->asked_ms < 1000)
		pause_then_ask(w);
	else
		ask(w);
}

struct application {
	struct withdrawals *owner;
	struct store_withdrawals_position reached;
	size_t count;
};

static void on_applied(const struct store_changed *answer, const struct fault *f, void *arg)
{
	struct application *a = arg;
	struct withdrawals *w = a->owner;
	(void)answer;
	if (f) {
		fail(w, f);
	} else if (!w->worker->stopping) {
		w->at = a->reached;
		metric_add(&applied, a->count);
		log_line(LOG_LEVEL_INFO, NULL, "withdrawals: %zu applied, up to number %" PRId64, a->count,
			 w->at.last);
		go_on(w, a->count);
	}
	free(a);
}

static void apply(struct withdrawals *w, const struct withdrawal_list *l)
{
	struct application *a = malloc(sizeof *a);
	if (!a)
		abort(); /* nobody could be told */
	*a = (struct application){w, {.last = l->last, .marked = true}, l->count};
	memcpy(a->reached.mark, l->entries[l->count - 1].mark, STORE_MARK_SIZE);
	store_withdrawals_apply(w->worker->gateway->store, l->entries, l->count, on_applied, a);
}

/* ---- another list ---- */

static void on_restarted(const struct store_changed *answer, const struct fault *f, void *arg)
{
	struct withdrawals *w = arg;
	(void)answer;
	if (f) {
		fail(w, f);
		return;
	}
	metric_add(&restarts, 1);
	w->at = (struct store_withdrawals_position){0};
	if (!w->worker->stopping)
		ask(w);
}

/* An older copy of the service's database was put back, or it is another service: its numbers mean other entries.
 * Whoever stands between can claim so as well, and gains nothing by it; but it is an alarm, so not too often. */
static void restart(struct withdrawals *w)
{
	struct fault f;
	int64_t now = clock_monotonic_ms();
	refuse(&f, REASON_WITHDRAWALS_ROLLED_BACK,
	       "the attestation service's list does not have entry %" PRId64
	       " as it was read: an older copy was put back there. It is read anew; what is withdrawn stays "
	       "withdrawn",
	       w->at.last);
	if (w->at.last <= 0 || (w->restarted_ms && now - w->restarted_ms < RESTART_INTERVAL_MS)) {
		fail(w, &f);
		return;
	}
	w->restarted_ms = now;
	log_fault(LOG_LEVEL_ERROR, NULL, &f, "withdrawals are read anew from the start");
	store_withdrawals_restart(w->worker->gateway->store, &f, on_restarted, w);
}

static outcome read_answer(struct withdrawals *w, const struct httpc_answer *answer, const struct fault *why,
			   struct withdrawal_list *l, struct fault *f)
{
	if (!answer->status)
		return refuse(f, REASON_VERIFIER_UNAVAILABLE, "withdrawals: %s", why->text);
	if (answer->status == 404) {
		w->backoff.failures = UINT_MAX; /* the longest wait: nothing will change soon */
		return refuse(f, REASON_VERIFIER_UNAVAILABLE,
			      "the attestation service has no withdrawals: suspend devices by mooringctl");
	}
	if (answer->status != 200)
		return refuse(f, REASON_VERIFIER_UNAVAILABLE, "withdrawals: HTTP status %d", answer->status);
	return withdrawal_list_parse(answer->body, w->at.last, w->worker->ear_keys,
				     w->worker->gateway->keys.ear_count, l, f);
}

static void on_answer(const struct httpc_answer *answer, const struct fault *why, void *arg)
{
	struct withdrawals *w = arg;
	struct withdrawal_list l = {0};
	struct fault f;
	if (w->worker->stopping)
		return;
	if (answer->status == 409) {
		restart(w);
		return;
	}
	if (!read_answer(w, answer, why, &l, &f).ok) {
		fail(w, &f);
		return;
	}
	metric_set(&answered, (uint64_t)clock_wall_s());
	if (l.count)
		apply(w, &l);
	else
		go_on(w, 0);
	withdrawal_list_free(&l);
}

static void on_position(const struct store_withdrawals_position *at, const struct fault *f, void *arg)
{
	struct withdrawals *w = arg;
	if (f) {
		fail(w, f);
		return;
	}
	w->at = *at;
	if (!w->worker->stopping)
		ask(w);
}

static void write_url(const struct withdrawals *w, char *url, size_t room)
{
	char mark[HEX_SIZE(STORE_MARK_SIZE)] = "";
	if (w->at.marked)
		hex_encode(bytes_of(w->at.mark, STORE_MARK_SIZE), mark);
	snprintf(url, room, "%s/v1/withdrawals?after=%" PRId64 "%s%s&wait=%d",
		 w->worker->gateway->config.attestation_url, w->at.last, w->at.marked ? "&mark=" : "", mark,
		 WAIT_S);
}

static void ask(struct withdrawals *w)
{
	char url[1200];
	static const char *const headers[] = {"Accept: application/json", NULL};
	if (w->at.last < 0) {
		store_withdrawals_position(w->worker->gateway->store, on_position, w);
		return;
	}
	write_url(w, url, sizeof url);
	const struct httpc_call get = {
		.method = "GET",
		.url = url,
		.headers = headers,
		.answer_max = LIST_MAX,
		.timeout_ms = POLL_TIMEOUT_MS,
	};
	w->asked_ms = clock_monotonic_ms();
	httpc_send(w->client, &get, on_answer, w);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	ask(arg);
}

outcome withdrawals_start(struct worker *worker, struct withdrawals **out, struct fault *f)
{
	const struct gateway_config *c = &worker->gateway->config;
	const struct httpc_tls tls = {
		.ca_file = c->attestation_ca,
		.cert_file = c->attestation_cert,
		.key_file = c->attestation_key,
	};
	struct withdrawals *w = calloc(1, sizeof *w);
	if (!w)
		return refuse(f, REASON_NO_MEMORY, "no memory for the withdrawals");
	outcome made = httpc_new(loop_base(worker->loop), &tls, &w->client, f);
	if (!made.ok) {
		free(w);
		return made;
	}
	w->worker = worker;
	w->at.last = -1;
	w->backoff = (struct backoff){.base_ms = PAUSE_MIN_MS, .cap_ms = PAUSE_MAX_MS};
	event_assign(&w->timer, loop_base(worker->loop), -1, 0, on_timer, w);
	*out = w;
	ask(w);
	return DONE;
}

void withdrawals_quiesce(struct withdrawals *w)
{
	if (!w)
		return;
	event_del(&w->timer);
	httpc_free(w->client);
	w->client = NULL;
}

void withdrawals_free(struct withdrawals *w)
{
	withdrawals_quiesce(w);
	free(w);
}

void withdrawals_metrics_write(struct buf *out)
{
	metrics_write(out, &applied);
	metrics_write(out, &restarts);
	metrics_write(out, &answered);
}
