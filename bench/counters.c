#include "counters.h"

#include <dirent.h>
#include <linux/perf_event.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { THREADS_MAX = 64, PATH_SIZE = 64 };

struct counters {
	pid_t pid;
	struct thread_counters {
		int user, kernel;
	} threads[THREADS_MAX];
	size_t count;
	bool instructions;
};

static int open_instructions(pid_t thread, bool kernel)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_HARDWARE,
		.size = sizeof attr,
		.config = PERF_COUNT_HW_INSTRUCTIONS,
		.inherit = 1,
		.exclude_kernel = !kernel,
		.exclude_user = kernel,
		.exclude_hv = 1,
	};
	return (int)syscall(SYS_perf_event_open, &attr, thread, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

/* Calls for each thread that there is now; false where there is no process. */
static bool each_thread(pid_t pid, void (*each)(pid_t pid, pid_t thread, void *arg), void *arg)
{
	char path[PATH_SIZE];
	snprintf(path, sizeof path, "/proc/%d/task", pid);
	DIR *dir = opendir(path);
	if (!dir)
		return false;
	for (struct dirent *e; (e = readdir(dir));)
		if (*e->d_name != '.')
			each(pid, (pid_t)atol(e->d_name), arg);
	closedir(dir);
	return true;
}

static void add_thread(pid_t pid, pid_t thread, void *arg)
{
	struct counters *c = arg;
	(void)pid;
	if (c->count == THREADS_MAX) {
		c->instructions = false;
		return;
	}
	struct thread_counters *t = &c->threads[c->count++];
	t->user = open_instructions(thread, false);
	t->kernel = open_instructions(thread, true);
	c->instructions &= t->user >= 0;
}

outcome counters_open(pid_t pid, struct counters **out, struct fault *f)
{
	struct counters *c = calloc(1, sizeof *c);
	if (!c)
		return refuse(f, REASON_NO_MEMORY, "no memory for counters");
	c->pid = pid;
	c->instructions = true;
	if (!each_thread(pid, add_thread, c)) {
		counters_close(c);
		return refuse(f, REASON_UNREACHABLE, "there is no process %d", pid);
	}
	*out = c;
	return DONE;
}

void counters_close(struct counters *c)
{
	for (size_t i = 0; c && i < c->count; i++) {
		if (c->threads[i].user >= 0)
			close(c->threads[i].user);
		if (c->threads[i].kernel >= 0)
			close(c->threads[i].kernel);
	}
	free(c);
}

bool counters_have_instructions(const struct counters *c)
{
	return c->instructions;
}

/* The first number of schedstat: nanoseconds on a processor. */
static void add_cpu(pid_t pid, pid_t thread, void *arg)
{
	char path[PATH_SIZE];
	unsigned long long ns;
	double *us = arg;
	snprintf(path, sizeof path, "/proc/%d/task/%d/schedstat", pid, thread);
	FILE *file = fopen(path, "r");
	if (!file)
		return;
	if (fscanf(file, "%llu", &ns) == 1)
		*us += (double)ns / 1000;
	fclose(file);
}

static double count_of(int fd)
{
	uint64_t n;
	return fd >= 0 && read(fd, &n, sizeof n) == sizeof n ? (double)n : 0;
}

struct counted counters_read(const struct counters *c)
{
	struct counted sum = {0};
	each_thread(c->pid, add_cpu, &sum.cpu_us);
	for (size_t i = 0; i < c->count; i++) {
		sum.instructions += count_of(c->threads[i].user);
		sum.kernel += count_of(c->threads[i].kernel);
	}
	return sum;
}
