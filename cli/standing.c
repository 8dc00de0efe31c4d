#include "standing.h"

#include "text.h"
#include "watch.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_effective_at(const json_t *broker)
{
	return !strcmp(api_text(broker, "state"), "effective");
}

const char *standing_heard(const json_t *broker, char out[STANDING_HEARD_SIZE])
{
	json_t *lag = json_object_get(broker, "lag_s");
	if (json_is_number(lag))
		snprintf(out, STANDING_HEARD_SIZE, "%.0f s ago", json_number_value(lag));
	else
		snprintf(out, STANDING_HEARD_SIZE, "not since the gateway started");
	return out;
}

void standing_print_brokers(const struct ctl *c, json_t *brokers)
{
	static const char *const headings[] = {"BROKER", "STATE", "EFFECTIVE AFTER", "LAST HEARD OF"};
	struct table *t = table_new(headings, 4);
	json_t *broker;
	size_t i;
	json_array_foreach(brokers, i, broker) {
		char after[32] = "", heard[STANDING_HEARD_SIZE];
		const char *state = api_text(broker, "state");
		if (json_is_integer(json_object_get(broker, "effective_ms")))
			snprintf(after, sizeof after, "%" PRId64 " ms", api_number(broker, "effective_ms"));
		const char *cells[] = {api_text(broker, "name"), state, after, standing_heard(broker, heard)};
		table_row(t, cells, 1, text_state_colour(state));
	}
	table_end(t, c->colour, "no broker has a feed");
}

/* "recorded; not yet effective at: broker-b (feed lost 40 s), broker-c (pending)", and how to see that it is. */
void standing_print_missing(json_t *brokers, int64_t seq)
{
	const char *separator = "";
	json_t *broker;
	size_t i;
	fputs("recorded; not yet effective at: ", stdout);
	json_array_foreach(brokers, i, broker) {
		if (is_effective_at(broker))
			continue;
		fputs(separator, stdout);
		text_print(api_text(broker, "name"));
		if (strcmp(api_text(broker, "state"), "lost"))
			fputs(" (pending)", stdout);
		else if (json_is_number(json_object_get(broker, "lag_s")))
			printf(" (feed lost %.0f s)", json_number_value(json_object_get(broker, "lag_s")));
		else
			fputs(" (feed lost)", stdout);
		separator = ", ";
	}
	printf("\nit takes effect there as soon as the broker hears of it: `mooringctl brokers` then shows\n"
	       "CONFIRMED %" PRId64
	       " or more. A broker that is gone for good: `mooringctl broker remove NAME`\n",
	       seq);
}

/* "recorded at 2026-11-22 15:00:01.123, log entry 17"; where it stood so before, also why and by whom. */
static void print_recorded(const json_t *answer)
{
	char when[TEXT_TIME_SIZE];
	printf("recorded at %s, log entry %" PRId64, text_time_ms(api_number(answer, "recorded_at_ms"), when),
	       api_number(answer, "seq"));
	if (api_text(answer, "reason")[0]) {
		fputs(", because ", stdout);
		text_print(api_text(answer, "reason"));
	}
	if (api_text(answer, "actor")[0]) {
		fputs(", by ", stdout);
		text_print(api_text(answer, "actor"));
	}
	puts(api_flag(answer, "already") ? "; nothing is changed now" : "");
}

static void print_done(const struct ctl *c, const struct standing_change *what, const json_t *answer)
{
	printf("%s%s: ", api_flag(answer, "already") ? "already " : "", what->done);
	text_print(what->name);
	putchar('\n');
	if (what->more)
		what->more(c, answer);
	print_recorded(answer);
}

static int report(const struct ctl *c, const struct standing_change *what, json_t *answer)
{
	json_t *brokers = json_object_get(answer, "brokers");
	bool effective = api_flag(answer, "effective");
	if (c->json) {
		int code = api_print_json(answer);
		return code == EXIT_DONE && !effective ? EXIT_NOT_YET_EFFECTIVE : code;
	}
	print_done(c, what, answer);
	standing_print_brokers(c, brokers);
	if (effective)
		puts("effective");
	else
		standing_print_missing(brokers, api_number(answer, "seq"));
	if (what->next)
		puts(what->next);
	json_decref(answer);
	return effective ? EXIT_DONE : EXIT_NOT_YET_EFFECTIVE;
}

/* Recorded it is; the brokers follow while somebody looks on. */
static int report_and_watch(struct ctl *c, const struct standing_change *what, json_t *answer)
{
	int64_t seq = api_number(answer, "seq");
	if (c->json) {
		json_object_del(answer, "brokers");
		json_object_set_new(answer, "event", json_string("recorded"));
		api_print_json(answer);
	} else {
		print_done(c, what, answer);
		json_decref(answer);
	}
	int code = watch_change(c, seq);
	if (what->next && !c->json)
		puts(what->next);
	return code;
}

static outcome take_wait(const struct arguments *a, const struct standing_change *what, long *wait_ms,
			 struct fault *f)
{
	bool watch = argument_flag(a, "watch");
	if (watch && argument(a, "wait"))
		return refuse(f, REASON_BAD_FIELD,
			      "--watch waits until it is effective: --wait is for without it");
	return argument_number(a, "wait", 0, STANDING_WAIT_MAX_MS,
			       watch	       ? 0
			       : what->wait_ms ? what->wait_ms
					       : STANDING_WAIT_MS,
			       wait_ms, f);
}

int standing_change(struct ctl *c, const struct arguments *a, const struct standing_change *what,
		    json_t *body)
{
	struct fault f = {0};
	json_t *answer = NULL;
	long wait_ms;
	char tail[64];
	if (!take_wait(a, what, &wait_ms, &f).ok) {
		json_decref(body);
		return ctl_usage("%s", f.text);
	}
	if (body) {
		snprintf(tail, sizeof tail, "%s", what->suffix);
		json_object_set_new(body, "wait_ms", json_integer(wait_ms));
	} else {
		snprintf(tail, sizeof tail, "%s?wait_ms=%ld", what->suffix, wait_ms);
	}
	char *target = api_target(what->prefix, what->in_body ? "" : what->name, tail);
	int code = api_call(c, what->method, target, body, &answer);
	free(target);
	if (code != EXIT_DONE)
		return code;
	return argument_flag(a, "watch") ? report_and_watch(c, what, answer) : report(c, what, answer);
}
