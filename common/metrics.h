/*
 * metrics.h - counters, gauges and histograms of a process, as Prometheus text (exposition format 0.0.4).
 *
 * Names follow Prometheus: base units (seconds, bytes), counters end in _total, Unix times in
 * _timestamp_seconds. Metrics are static objects of the file that counts; whoever answers /metrics writes
 * the ones it knows. Counting takes no lock and is right from any thread.
 */
#ifndef MOORING_METRICS_H
#define MOORING_METRICS_H

#include "bytes.h"

#include <stdatomic.h>

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE };
enum { METRIC_BUCKETS = 16 };

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct metric {
	enum metric_kind kind;
	const char *name;
	const char *help;
	atomic_uint_least64_t value;
};

/* Durations; buckets from 100 us to 10 s. */
struct metric_histogram {
	const char *name;
	const char *help;
	atomic_uint_least64_t bucket[METRIC_BUCKETS + 1]; /* the last one: longer than all */
	atomic_uint_least64_t sum_us;
};

/* One counter a reason of reasons.def, label "reason". */
struct metric_reasons {
	const char *name;
	const char *help;
	atomic_uint_least64_t value[REASON_COUNT];
};

void metric_add(struct metric *m, uint64_t n);
void metric_set(struct metric *m, uint64_t value);
void metric_observe_us(struct metric_histogram *h, int64_t us);
void metric_count_reason(struct metric_reasons *m, enum reason reason);

void metrics_write(struct buf *out, const struct metric *m);
void metrics_write_histogram(struct buf *out, const struct metric_histogram *h);
/* Reasons that never occurred are left out. */
void metrics_write_reasons(struct buf *out, const struct metric_reasons *m);
/* A family of one value, which is computed on the spot. */
void metrics_write_value(struct buf *out, enum metric_kind kind, const char *name, const char *help,
			 uint64_t value);
/* The same of a time that was measured in microseconds, written in seconds, as Prometheus counts time. */
void metrics_write_seconds(struct buf *out, enum metric_kind kind, const char *name, const char *help,
			   uint64_t us);
/* The process's resident memory, CPU seconds and open files, under the names Prometheus's own clients use. */
void metrics_write_process(struct buf *out);

#endif
