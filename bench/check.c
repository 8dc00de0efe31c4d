/*
 * check - what one policy check costs: nanoseconds of processor time, instructions where the machine counts them,
 * allocations. The policy has ten statements with variables, and is bound to a connection as the plugin binds it.
 *
 *   check        one JSON object: [{name, ns, instructions, allocations}]
 */
#include "counters.h"
#include "heap.h"
#include "common/policy/policy.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { SAMPLES = 41, CHECKS = 20000, STATEMENTS = 10 };

#define THING "ajv7zq2kmeuxo4wd6tgc5hyb"
static const int64_t now_s = 1795363200;

struct question {
	const char *name;
	const char *topic;
	enum policy_decision answer;
};

static const struct question questions[] = {
	{"allowed by the first of ten statements", "dt/" THING "/s0/temperature", POLICY_ALLOWED},
	{"allowed by the last of ten statements", "dt/" THING "/s9/temperature", POLICY_ALLOWED},
	{"another thing's topic: none of ten statements", "dt/bjv7zq2kmeuxo4wd6tgc5hyb/s9/temperature",
	 POLICY_IMPLICIT_DENY},
};

static void die(const char *what, const struct fault *f)
{
	fprintf(stderr, "check: %s: %s\n", what, f->text);
	exit(1);
}

static struct policy_binding *make_binding(void)
{
	static const char statement[] =
		"%s{\"Effect\":\"Allow\",\"Action\":\"iot:Publish\",\"Resource\":"
		"\"arn:aws:iot:*:*:topic/dt/${iot:Connection.Thing.ThingName}/s%d/*\"}";
	const struct policy_connection connection = {
		.client_id = THING, .thing = {.name = THING, .attached = true, .exclusive = true}};
	struct buf json = {0};
	struct policy *p;
	struct policy_binding *b;
	struct fault f;
	buf_str(&json, "{\"Version\":\"2012-10-17\",\"Statement\":[");
	for (int i = 0; i < STATEMENTS; i++)
		buf_printf(&json, statement, i ? "," : "", i);
	buf_str(&json, "]}");
	if (!policy_compile(buf_view(&json), &p, &f).ok)
		die("compile", &f);
	const struct policy *list[] = {p};
	if (!policy_bind(list, 1, &connection, &b, &f).ok)
		die("bind", &f);
	buf_free(&json);
	return b;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

static double median(double values[SAMPLES])
{
	qsort(values, SAMPLES, sizeof *values, by_value);
	return values[SAMPLES / 2];
}

/* The scheduler's own count is brought up to date too seldom for this. */
static double cpu_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void ask(const struct policy_binding *b, const struct question *q)
{
	for (int i = 0; i < CHECKS; i++)
		if (policy_check_publish(b, q->topic, false, now_s) != q->answer)
			die(q->name, &(struct fault){.text = "the answer is another"});
}

static json_t *measure(const struct policy_binding *b, const struct question *q, const struct counters *c)
{
	double ns[SAMPLES], instructions[SAMPLES];
	uint64_t allocations = 0;
	for (int i = 0; i < SAMPLES; i++) {
		double instructions_before = counters_read(c).instructions, ns_before = cpu_ns();
		uint64_t allocated = heap_now().allocations;
		ask(b, q);
		allocations += heap_now().allocations - allocated;
		ns[i] = (cpu_ns() - ns_before) / CHECKS;
		instructions[i] = (counters_read(c).instructions - instructions_before) / CHECKS;
	}
	json_t *row = json_pack("{s:s, s:f, s:I}", "name", q->name, "ns", median(ns), "allocations",
				(json_int_t)allocations);
	if (counters_have_instructions(c))
		json_object_set_new(row, "instructions", json_real(median(instructions)));
	return row;
}

int main(void)
{
	struct counters *counters;
	struct fault f;
	struct policy_binding *b = make_binding();
	if (!counters_open(getpid(), &counters, &f).ok)
		die("counters", &f);
	ask(b, &questions[0]);
	json_t *rows = json_array();
	for (size_t i = 0; i < sizeof questions / sizeof *questions; i++)
		json_array_append_new(rows, measure(b, &questions[i], counters));
	json_dumpf(rows, stdout, 0);
	putchar('\n');
	json_decref(rows);
	counters_close(counters);
	policy_binding_free(b);
	return 0;
}
