#include "watch.h"

#include "api.h"
#include "standing.h"
#include "text.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LOOK_MS = 500 }; /* so soon is Ctrl-C noticed, and that a broker's feed is lost or back */

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal)
{
	(void)signal;
	interrupted = 1;
}

void watch_catch_interrupts(void)
{
	struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = SA_RESETHAND};
	sigaction(SIGINT, &action, NULL);
}

bool watch_stopped(void)
{
	return interrupted;
}

struct watch {
	struct ctl *ctl;
	int64_t seq, effective; /* how many brokers have confirmed */
	bool terminal;
	size_t lines; /* of the table on the terminal */
	json_t *seen; /* the brokers as they were shown last */
};

/* ---- showing ---- */

static const char *state_seen(const struct watch *w, const char *name)
{
	json_t *broker;
	size_t i;
	json_array_foreach(w->seen, i, broker)
		if (!strcmp(api_text(broker, "name"), name))
			return api_text(broker, "state");
	return "";
}

static void show_line(const struct watch *w, json_t *broker)
{
	const char *state = api_text(broker, "state");
	if (w->ctl->json) {
		json_t *event = json_pack("{s:s}", "event", "broker");
		json_object_update(event, broker);
		api_print_json(event);
		return;
	}
	text_print(api_text(broker, "name"));
	printf(": %s", state);
	if (json_is_integer(json_object_get(broker, "effective_ms")))
		printf(" after %" PRId64 " ms", api_number(broker, "effective_ms"));
	putchar('\n');
}

/* Over the one before. */
static void show_table(struct watch *w, json_t *brokers)
{
	if (w->lines)
		printf("\033[%zuA\033[J", w->lines);
	standing_print_brokers(w->ctl, brokers);
	w->lines = 1 + json_array_size(brokers);
}

static void show(struct watch *w, json_t *brokers)
{
	json_t *broker;
	size_t i;
	if (w->terminal)
		show_table(w, brokers);
	else
		json_array_foreach(brokers, i, broker)
			if (strcmp(state_seen(w, api_text(broker, "name")), api_text(broker, "state")) != 0)
				show_line(w, broker);
	fflush(stdout);
	json_decref(w->seen);
	w->seen = json_incref(brokers);
}

static int end(struct watch *w, bool effective)
{
	if (w->ctl->json)
		api_print_json(json_pack("{s:s, s:I}", "event", effective ? "effective" : "stopped", "seq",
					 (json_int_t)w->seq));
	else if (effective)
		puts("effective");
	else
		standing_print_missing(w->seen, w->seq);
	json_decref(w->seen);
	return effective ? EXIT_DONE : EXIT_NOT_YET_EFFECTIVE;
}

/* ---- asking ---- */

static int64_t count_effective(json_t *brokers)
{
	json_t *broker;
	int64_t n = 0;
	size_t i;
	json_array_foreach(brokers, i, broker)
		n += !strcmp(api_text(broker, "state"), "effective");
	return n;
}

/* False where the call failed. */
static bool look(struct watch *w, int wait_ms, bool *effective)
{
	char target[128];
	json_t *answer = NULL;
	snprintf(target, sizeof target, "/v1/admin/changes/%" PRId64 "?known=%" PRId64 "&wait_ms=%d", w->seq,
		 w->effective, wait_ms);
	if (api_call(w->ctl, "GET", target, NULL, &answer) != EXIT_DONE)
		return false;
	json_t *brokers = json_object_get(answer, "brokers");
	*effective = api_flag(answer, "effective");
	w->effective = count_effective(brokers);
	show(w, brokers);
	json_decref(answer);
	return true;
}

int watch_change(struct ctl *c, int64_t seq)
{
	struct watch w = {
		.ctl = c, .seq = seq, .terminal = !c->json && isatty(STDOUT_FILENO), .seen = json_array()};
	bool effective = false, answered;
	int wait_ms = 0;
	watch_catch_interrupts();
	do {
		answered = look(&w, wait_ms, &effective);
		wait_ms = LOOK_MS;
	} while (answered && !effective && !watch_stopped());
	return end(&w, effective);
}
