#include "metrics.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

/* Upper bounds of the buckets, in microseconds. */
static const int64_t bounds_us[METRIC_BUCKETS] = {100,	   250,	    500,     1000,    2500,   5000,
						  10000,   25000,   50000,   100000,  250000, 500000,
						  1000000, 2500000, 5000000, 10000000};

void metric_add(struct metric *m, uint64_t n)
{
	atomic_fetch_add_explicit(&m->value, n, memory_order_relaxed);
}

void metric_set(struct metric *m, uint64_t value)
{
	atomic_store_explicit(&m->value, value, memory_order_relaxed);
}

void metric_observe_us(struct metric_histogram *h, int64_t us)
{
	size_t i = 0;
	while (i < METRIC_BUCKETS && us > bounds_us[i])
		i++;
	atomic_fetch_add_explicit(&h->bucket[i], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&h->sum_us, us > 0 ? (uint64_t)us : 0, memory_order_relaxed);
}

void metric_count_reason(struct metric_reasons *m, enum reason reason)
{
	atomic_fetch_add_explicit(&m->value[(unsigned)reason < REASON_COUNT ? reason : REASON_INTERNAL], 1,
				  memory_order_relaxed);
}

static void write_head(struct buf *out, enum metric_kind kind, const char *name, const char *help)
{
	buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name,
		   kind == METRIC_COUNTER ? "counter" : "gauge");
}

void metrics_write(struct buf *out, const struct metric *m)
{
	metrics_write_value(out, m->kind, m->name, m->help,
			    atomic_load_explicit(&m->value, memory_order_relaxed));
}

void metrics_write_histogram(struct buf *out, const struct metric_histogram *h)
{
	uint64_t so_far = 0;
	buf_printf(out, "# HELP %s %s\n# TYPE %s histogram\n", h->name, h->help, h->name);
	for (size_t i = 0; i < METRIC_BUCKETS; i++) {
		so_far += atomic_load_explicit(&h->bucket[i], memory_order_relaxed);
		buf_printf(out, "%s_bucket{le=\"%g\"} %" PRIu64 "\n", h->name, (double)bounds_us[i] / 1e6,
			   so_far);
	}
	so_far += atomic_load_explicit(&h->bucket[METRIC_BUCKETS], memory_order_relaxed);
	buf_printf(out, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n%s_sum %.6f\n%s_count %" PRIu64 "\n", h->name,
		   so_far, h->name, (double)atomic_load_explicit(&h->sum_us, memory_order_relaxed) / 1e6,
		   h->name, so_far);
}

void metrics_write_reasons(struct buf *out, const struct metric_reasons *m)
{
	write_head(out, METRIC_COUNTER, m->name, m->help);
	for (enum reason r = REASON_NONE; r < REASON_COUNT; r++) {
		uint64_t n = atomic_load_explicit(&m->value[r], memory_order_relaxed);
		if (n)
			buf_printf(out, "%s{reason=\"%s\"} %" PRIu64 "\n", m->name, reason_code(r), n);
	}
}

void metrics_write_value(struct buf *out, enum metric_kind kind, const char *name, const char *help,
			 uint64_t value)
{
	write_head(out, kind, name, help);
	buf_printf(out, "%s %" PRIu64 "\n", name, value);
}

void metrics_write_seconds(struct buf *out, enum metric_kind kind, const char *name, const char *help,
			   uint64_t us)
{
	write_head(out, kind, name, help);
	buf_printf(out, "%s %.6f\n", name, (double)us / 1e6);
}

static uint64_t resident_bytes(void)
{
	unsigned long total, resident = 0;
	FILE *f = fopen("/proc/self/statm", "re");
	if (!f)
		return 0;
	if (fscanf(f, "%lu %lu", &total, &resident) != 2)
		resident = 0;
	fclose(f);
	return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t open_files(void)
{
	uint64_t n = 0;
	DIR *dir = opendir("/proc/self/fd");
	if (!dir)
		return 0;
	while (readdir(dir))
		n++;
	closedir(dir);
	return n > 3 ? n - 3 : 0; /* ".", ".." and the one that reads */
}

void metrics_write_process(struct buf *out)
{
	struct timespec cpu = {0};
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
	metrics_write_seconds(out, METRIC_COUNTER, "process_cpu_seconds_total", "User and system CPU time.",
			      (uint64_t)cpu.tv_sec * 1000000 + (uint64_t)cpu.tv_nsec / 1000);
	uint64_t resident = resident_bytes(), files = open_files();
	if (resident) /* absent where the sandbox hides /proc */
		metrics_write_value(out, METRIC_GAUGE, "process_resident_memory_bytes", "Resident memory.",
				    resident);
	if (files)
		metrics_write_value(out, METRIC_GAUGE, "process_open_fds", "Open file descriptors.", files);
}
