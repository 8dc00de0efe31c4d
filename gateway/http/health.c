#include "http.h"

#include "common/edge.h"
#include "common/metrics.h"
#include "gateway/enrol/enrol.h"
#include "gateway/feed/feed.h"
#include "gateway/readiness.h"
#include "gateway/store/store.h"
#include "gateway/withdrawals.h"

#include <stdlib.h>

void http_healthz(struct gateway *g, struct scgi_request *r)
{
	(void)g;
	edge_answer_alive(r);
}

static const char *word(bool ok)
{
	return ok ? "ok" : "unavailable";
}

/* Would an enrolment succeed now? Feeds and the admin interface work whatever this says. */
void http_readyz(struct gateway *g, struct scgi_request *r)
{
	struct readiness is = readiness_of(worker_of(g, r));
	bool ready = readiness_all(&is);
	struct buf body = {0};
	buf_printf(&body,
		   "{\"ready\":%s,\"store\":\"%s\",\"recovery\":\"%s\",\"signer\":\"%s\",\"attestation\":\"%"
		   "s\"}\n",
		   ready ? "true" : "false", word(is.store), is.recovered ? "ok" : "under way",
		   word(is.signer), word(is.attestation));
	scgi_answer(r, ready ? 200 : 503, "application/json", buf_view(&body));
	buf_free(&body);
}

static void write_store(struct buf *out, struct store *store)
{
	struct store_stats s;
	store_stats(store, &s);
	metrics_write_value(out, METRIC_GAUGE, "mooring_store_queued", "Operations that wait for a commit.",
			    s.queued);
	metrics_write_value(out, METRIC_GAUGE, "mooring_log_last_seq", "Number of the newest log entry.",
			    (uint64_t)s.last_seq);
	metrics_write_value(out, METRIC_COUNTER, "mooring_store_commits_total", "Transactions.", s.commits);
	metrics_write_value(out, METRIC_COUNTER, "mooring_store_operations_total", "Operations committed.",
			    s.operations);
	metrics_write_value(out, METRIC_COUNTER, "mooring_store_failures_total", "Operations that failed.",
			    s.failures);
	metrics_write_seconds(out, METRIC_COUNTER, "mooring_store_commit_seconds_total",
			      "Time spent in commits.", s.commit_us);
	metrics_write_value(out, METRIC_COUNTER, "mooring_log_refusals_dropped_total",
			    "Refusals that were counted instead of logged one by one.", s.refusals_dropped);
}

static void write_feed(struct buf *out, struct feed *feed)
{
	struct feed_stats s;
	feed_stats(feed, &s);
	metrics_write_value(out, METRIC_GAUGE, "mooring_feed_streams", "Brokers with a live feed.",
			    s.streams);
	metrics_write_value(out, METRIC_COUNTER, "mooring_feed_lost_total",
			    "Feeds ended because the broker did not read.", s.lost);
	metrics_write_value(out, METRIC_COUNTER, "mooring_feed_rivals_total",
			    "Feeds refused because the broker's name has a live one.", s.rivals);
	metrics_write_value(out, METRIC_COUNTER, "mooring_feed_revoked_total", "Requests of revoked brokers.",
			    s.revoked);
	metrics_write_value(out, METRIC_COUNTER, "mooring_feed_replaced_total",
			    "Silent feeds ended because their broker came anew.", s.replaced);
	metrics_write_value(out, METRIC_COUNTER, "mooring_feed_frames_total", "Frames sent to brokers.",
			    s.frames);
	metrics_write_value(out, METRIC_COUNTER, "mooring_feed_bytes_total", "Bytes sent to brokers.",
			    s.bytes);
}

void http_metrics(struct gateway *g, struct scgi_request *r)
{
	struct buf out = {0};
	struct readiness is = readiness_of(worker_of(g, r));
	enrol_metrics_write(&out);
	withdrawals_metrics_write(&out);
	store_metrics_write(&out);
	write_store(&out, g->store);
	write_feed(&out, g->feed);
	metrics_write_value(&out, METRIC_GAUGE, "mooring_requests_open", "Requests under way.",
			    scgi_open_count(g->server));
	metrics_write_value(&out, METRIC_GAUGE, "mooring_recovered",
			    "1 when what an earlier run left open is settled.", is.recovered);
	metrics_write_value(&out, METRIC_GAUGE, "mooring_signer_up", "1 when the signer is connected.",
			    is.signer);
	metrics_write_value(&out, METRIC_GAUGE, "mooring_attestation_up",
			    "1 when the attestation service answers.", is.attestation);
	metrics_write_value(&out, METRIC_GAUGE, "mooring_issuing_ca_not_after_timestamp_seconds",
			    "When the issuing CA ends, Unix time.", (uint64_t)g->keys.issuing_not_after);
	metrics_write_process(&out);
	scgi_answer(r, 200, METRICS_CONTENT_TYPE, buf_view(&out));
	buf_free(&out);
}
