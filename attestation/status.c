#include "status.h"

#include "sessions.h"
#include "writer.h"
#include "common/clock.h"
#include "common/metrics.h"
#include "common/scgi/scgi_json.h"

#include <stdlib.h>

enum { PROBE_EVERY_MS = 1000 };

static struct metric_reasons refused = {.name = "mooring_attestation_contraindicated_total",
					.help = "Appraisals that spoke against the device, by reason."};
static struct metric affirmed = {METRIC_COUNTER, "mooring_attestation_affirming_total",
				 "Appraisals that found the evidence genuine.", 0};
static struct metric_histogram appraisals = {.name = "mooring_attestation_appraisal_seconds",
					     .help = "Time to appraise and to sign the result."};
static struct metric inserted_records = {METRIC_COUNTER, "mooring_records_imported_total",
					 "Device records that were new.", 0};
static struct metric unchanged_records = {METRIC_COUNTER, "mooring_records_unchanged_total",
					  "Device records that were there already.", 0};
static struct metric withdrawn = {METRIC_COUNTER, "mooring_records_state_changes_total",
				  "Device records suspended or resumed.", 0};
static atomic_int_least64_t probed_ms;

void status_appraised(enum reason reason, int64_t us)
{
	metric_observe_us(&appraisals, us);
	if (reason == REASON_NONE)
		metric_add(&affirmed, 1);
	else
		metric_count_reason(&refused, reason);
}

void status_imported(int64_t inserted, int64_t unchanged)
{
	metric_add(&inserted_records, (uint64_t)inserted);
	metric_add(&unchanged_records, (uint64_t)unchanged);
}

void status_withdrawn(int64_t devices)
{
	metric_add(&withdrawn, (uint64_t)devices);
}

static void answer_ready(struct worker *w, struct scgi_request *r)
{
	struct fault f;
	if (writer_healthy(w->service->writer, &f)) {
		scgi_json_answer(r, 200, "application/json", json_pack("{sb}", "ready", 1));
		return;
	}
	scgi_answer_header(r, "Retry-After", "5");
	scgi_json_answer(r, 503, "application/json",
			 json_pack("{sb ss ss}", "ready", 0, "reason", reason_code(f.reason), "detail",
				   "device records cannot be written"));
}

struct probe {
	struct change change;
	struct worker *worker;
	struct scgi_request *request;
};

static void probed(struct change *c)
{
	struct probe *p = (struct probe *)c;
	answer_ready(p->worker, p->request);
	free(p);
}

void status_ready(struct worker *w, struct scgi_request *r)
{
	int64_t now = clock_monotonic_ms(), before = atomic_load(&probed_ms);
	bool due = now - before >= PROBE_EVERY_MS && atomic_compare_exchange_strong(&probed_ms, &before, now);
	struct probe *p = due ? calloc(1, sizeof *p) : NULL;
	if (!p) {
		answer_ready(w, r);
		return;
	}
	*p = (struct probe){.change = {.done = probed, .loop = w->loop}, .worker = w, .request = r};
	writer_probe(w->service->writer, &p->change);
}

void status_metrics(struct worker *w, struct scgi_request *r)
{
	struct buf out = {0};
	struct fault f;
	metrics_write(&out, &affirmed);
	metrics_write_reasons(&out, &refused);
	metrics_write_histogram(&out, &appraisals);
	metrics_write(&out, &inserted_records);
	metrics_write(&out, &unchanged_records);
	metrics_write(&out, &withdrawn);
	metrics_write_value(&out, METRIC_GAUGE, "mooring_attestation_sessions",
			    "Challenge-response sessions in memory.", sessions_count(w->service->sessions));
	metrics_write_value(&out, METRIC_GAUGE, "mooring_requests_open", "Requests that are being worked on.",
			    scgi_open_count(w->service->server));
	metrics_write_value(&out, METRIC_GAUGE, "mooring_store_writable",
			    "1 where the last commit went well.", writer_healthy(w->service->writer, &f));
	metrics_write_process(&out);
	scgi_answer(r, 200, METRICS_CONTENT_TYPE, buf_view(&out));
	buf_free(&out);
}
