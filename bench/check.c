/*
 * check - what one policy check costs: nanoseconds of processor time, instructions where the machine counts them,
 * allocations. Each policy has ten statements with variables, and is bound to a connection as the plugin binds it.
 *
 *   check          one JSON object: {checks: in a sample, rows: [{name, ns, instructions, allocations}]}
 *   check NUMBER   asks one of the questions as often as a sample does, in ask(), and prints nothing
 */
#include "counters.h"
#include "heap.h"
#include "common/policy/policy.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { SAMPLES = 41, CHECKS = 20000, STATEMENTS = 10 };
#define ARN "\"arn:aws:iot:*:*:"
#define NAME "${iot:Connection.Thing.ThingName}"

#define THING "ajv7zq2kmeuxo4wd6tgc5hyb"
static const int64_t now_s = 1795363200;

/* Statements 0 to 8, with their number, and the last one. */
struct shape {
	const char *others, *last;
};

static const struct shape allows = {
	"{\"Effect\":\"Allow\",\"Action\":\"iot:Publish\",\"Resource\":" ARN "topic/dt/" NAME "/s%d/*\"}",
	"{\"Effect\":\"Allow\",\"Action\":\"iot:Publish\",\"Resource\":" ARN "topic/dt/" NAME "/s9/*\"}",
};
/* What makes a check slow: each Deny has to be looked for everywhere in the topic. */
static const struct shape denies = {
	"{\"Effect\":\"Deny\",\"Action\":\"iot:Publish\",\"Resource\":" ARN "topic/*/s%d/secret\"}",
	"{\"Effect\":\"Allow\",\"Action\":\"iot:Publish\",\"Resource\":" ARN "topic/dt/" NAME "/*\"}",
};
static const struct shape open_denies = {
	"{\"Effect\":\"Deny\",\"Action\":\"iot:Publish\",\"Resource\":" ARN "topic/*/admin%d/*\"}",
	"{\"Effect\":\"Allow\",\"Action\":\"iot:Publish\",\"Resource\":" ARN "topic/dt/" NAME "/*\"}",
};
static const struct shape untyped_denies = {
	"{\"Effect\":\"Deny\",\"Action\":\"iot:Publish\",\"Resource\":" ARN "*/admin%d/*\"}",
	"{\"Effect\":\"Allow\",\"Action\":\"iot:Publish\",\"Resource\":" ARN "topic/dt/" NAME "/*\"}",
};

struct question {
	const char *name;
	const struct shape *shape;
	const char *topic;
	enum policy_decision answer;
};

static const struct question questions[] = {
	{"allowed by the first of ten statements", &allows, "dt/" THING "/s0/temperature", POLICY_ALLOWED},
	{"allowed by the last of ten statements", &allows, "dt/" THING "/s9/temperature", POLICY_ALLOWED},
	{"another thing's topic: none of ten statements", &allows,
	 "dt/bjv7zq2kmeuxo4wd6tgc5hyb/s9/temperature", POLICY_IMPLICIT_DENY},
	{"allowed past nine Denies of */sN/secret", &denies, "dt/" THING "/s9/temperature", POLICY_ALLOWED},
	{"allowed past nine Denies of */adminN/*", &open_denies, "dt/" THING "/s9/temperature",
	 POLICY_ALLOWED},
	{"the same, of any type of resource", &untyped_denies, "dt/" THING "/s9/temperature", POLICY_ALLOWED},
};

static void die(const char *what, const struct fault *f)
{
	fprintf(stderr, "check: %s: %s\n", what, f->text);
	exit(1);
}

static void write_statements(struct buf *json, const struct shape *shape)
{
	for (int i = 0; i < STATEMENTS - 1; i++) {
		const char *number = strstr(shape->others, "%d");
		buf_bytes(json, bytes_of(shape->others, (size_t)(number - shape->others)));
		buf_printf(json, "%d%s,", i, number + 2);
	}
	buf_str(json, shape->last);
}

static struct policy_binding *make_binding(const struct shape *shape)
{
	const struct policy_connection connection = {
		.client_id = THING, .thing = {.name = THING, .attached = true, .exclusive = true}};
	struct buf json = {0};
	struct policy *p;
	struct policy_binding *b;
	struct fault f;
	buf_str(&json, "{\"Version\":\"2012-10-17\",\"Statement\":[");
	write_statements(&json, shape);
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

/* Kept a function of its own, for tools that count what happens in it. */
__attribute__((noinline)) static void ask(const struct policy_binding *b, const struct question *q)
{
	for (int i = 0; i < CHECKS; i++)
		if (policy_check_publish(b, q->topic, false, now_s) != q->answer)
			die(q->name, &(struct fault){.text = "the answer is another"});
}

static json_t *measure(const struct question *q, const struct counters *c)
{
	struct policy_binding *b = make_binding(q->shape);
	double ns[SAMPLES], instructions[SAMPLES];
	uint64_t allocations = 0;
	ask(b, q);
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
	policy_binding_free(b);
	if (counters_have_instructions(c))
		json_object_set_new(row, "instructions", json_real(median(instructions)));
	return row;
}

static int ask_one(const char *number)
{
	size_t n = (size_t)atoi(number);
	if (n >= sizeof questions / sizeof *questions)
		die(number, &(struct fault){.text = "there is no such question"});
	struct policy_binding *b = make_binding(questions[n].shape);
	ask(b, &questions[n]);
	policy_binding_free(b);
	return 0;
}

int main(int argc, char **argv)
{
	struct counters *counters;
	struct fault f;
	if (argc > 1)
		return ask_one(argv[1]);
	if (!counters_open(getpid(), &counters, &f).ok)
		die("counters", &f);
	json_t *rows = json_array();
	for (size_t i = 0; i < sizeof questions / sizeof *questions; i++)
		json_array_append_new(rows, measure(&questions[i], counters));
	json_t *report = json_pack("{s:i, s:o}", "checks", CHECKS, "rows", rows);
	json_dumpf(report, stdout, 0);
	putchar('\n');
	json_decref(report);
	counters_close(counters);
	return 0;
}
