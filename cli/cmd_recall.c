/* A recall: many devices revoked or suspended, at a pace, and seen through to the brokers. */
#include "ctl.h"
#include "fleet.h"
#include "standing.h"
#include "text.h"
#include "watch.h"
#include "common/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { RATE_MAX = 100000, WAIT_MS = 30000, STEPS_A_SECOND = 5, UNKNOWN_SHOWN = 10 };

/* What a recall does to a device, and how it speaks of it. */
struct act {
	const char *path, *question, *done;
};
static const struct act revocation = {"/v1/admin/revocations", "revoke them for good", "revoked for good"};
static const struct act suspension = {"/v1/admin/suspensions", "suspend them", "suspended"};
static const struct act reattestation = {
	"/v1/admin/reattestations", "end their certificates, and have them enrol again", "to enrol again"};

struct recall {
	struct ctl *ctl;
	struct fleet fleet;
	const struct act *act;
	bool watch;
	bool counts; /* live sessions, beforehand: somebody will read how many there are */
	const char *reason;
	long rate;    /* devices to change in a second; 0: as fast as can be */
	long wait_ms; /* for the brokers, at the end */
	size_t at;    /* devices asked for so far */
	int64_t changed, already, added, certificates;
	int64_t began_ms;
	json_t *answer; /* the last one */
};

/* ---- options ---- */

/* "500/s" or "500". */
static outcome take_rate(const char *text, long *rate, struct fault *f)
{
	char *end;
	*rate = 0;
	if (!text)
		return DONE;
	*rate = strtol(text, &end, 10);
	if (end == text || (*end && strcmp(end, "/s") != 0) || *rate < 1 || *rate > RATE_MAX)
		return refuse(f, REASON_BAD_FIELD, "--rate must be a number of devices from 1/s to %d/s",
			      RATE_MAX);
	return DONE;
}

static bool is_reason(const char *reason)
{
	const char *at = STANDING_REASONS, *choice;
	while (at) {
		size_t n = option_next_choice(&at, &choice);
		if (strlen(reason) == n && !strncmp(reason, choice, n))
			return true;
	}
	return false;
}

static int take_options(struct recall *r, const struct arguments *a)
{
	struct fault f = {0};
	r->act = argument_flag(a, "suspend")	? &suspension
		 : argument_flag(a, "reattest") ? &reattestation
						: &revocation;
	r->watch = argument_flag(a, "watch");
	r->counts = argument_flag(a, "dry-run") || !argument_flag(a, "yes");
	r->reason = argument(a, "reason");
	if (!!argument(a, "batch") + !!argument(a, "things") + !!argument(a, "line") != 1)
		return ctl_usage("recall takes either --batch NAME or --things FILE or --line LINE");
	if (!argument(a, "line") != !argument(a, "since"))
		return ctl_usage("--line LINE and --since TIME go together");
	if (argument_flag(a, "suspend") && argument_flag(a, "reattest"))
		return ctl_usage("--suspend keeps them out, --reattest lets them in again: one of the two");
	if (!r->reason || (r->act != &suspension && !is_reason(r->reason)))
		return ctl_usage(
			"recall needs --reason: a text with --suspend, else unspecified, key-compromise, "
			"affiliation-changed, superseded, cessation-of-operation or privilege-withdrawn");
	if (r->watch && argument(a, "wait"))
		return ctl_usage("--watch waits until it is effective: --wait is for without it");
	if (!argument_flag(a, "yes") && !argument_flag(a, "dry-run") && !isatty(STDIN_FILENO))
		return ctl_usage(
			"recall asks before it begins: where nobody can be asked, --yes says that it may");
	outcome o = take_rate(argument(a, "rate"), &r->rate, &f);
	if (o.ok)
		o = argument_number(a, "wait", 0, STANDING_WAIT_MAX_MS, WAIT_MS, &r->wait_ms, &f);
	return o.ok ? EXIT_DONE : ctl_usage("%s", f.text);
}

/* ---- what it will touch ---- */

/* Things that the gateway does not know: of a batch they have never enrolled, in a list they are mistakes. */
static void name_unknown(const struct recall *r)
{
	size_t shown = 0;
	if (r->fleet.by_instance || !r->fleet.unknown)
		return;
	fprintf(stderr,
		"mooringctl: not-found: %zu of these things are not known to the gateway:", r->fleet.unknown);
	for (size_t i = 0; i < r->fleet.count && shown < UNKNOWN_SHOWN; i++) {
		if (r->fleet.devices[i].known)
			continue;
		fprintf(stderr, "%s %s", shown ? "," : "", r->fleet.devices[i].name);
		shown++;
	}
	fputs(r->fleet.unknown > shown ? ", ...\n" : "\n", stderr);
}

static void print_plan(const struct recall *r, bool complete)
{
	const struct fleet *fleet = &r->fleet;
	size_t absent = fleet->by_instance ? 0 : fleet->unknown;
	if (r->ctl->json) {
		json_t *event = json_pack("{s:s, s:I, s:I, s:I, s:I}", "event", "plan", "devices",
					  (json_int_t)fleet->count, "revoked", (json_int_t)fleet->revoked,
					  "never_enrolled", (json_int_t)(fleet->unknown - absent), "unknown",
					  (json_int_t)absent);
		if (r->counts)
			json_object_update_new(event, json_pack("{s:I, s:b}", "sessions",
								(json_int_t)fleet->sessions,
								"sessions_complete", complete));
		api_print_json(event);
		return;
	}
	printf("%zu device%s, %zu of them revoked already", fleet->count, fleet->count == 1 ? "" : "s",
	       fleet->revoked);
	if (fleet->by_instance && fleet->unknown)
		printf(", %zu never enrolled (refused when they come)", fleet->unknown);
	putchar('\n');
	if (r->counts)
		printf("%zu live session%s%s\n", fleet->sessions, fleet->sessions == 1 ? "" : "s",
		       complete ? "" : ", and those that a broker did not tell");
}

/* Brokers are asked for their sessions page by page, and one that is silent holds all up: with --yes a recall does not
 * wait for that. */
static int plan(struct recall *r)
{
	int code = fleet_look_up(&r->fleet, r->ctl);
	if (code == EXIT_DONE && r->counts)
		code = fleet_count_sessions(&r->fleet, r->ctl);
	if (code != EXIT_DONE)
		return code;
	print_plan(r, !r->counts || fleet_all_answered(r->fleet.brokers, NULL));
	fflush(stdout);
	name_unknown(r);
	return EXIT_DONE;
}

static bool is_confirmed(const struct recall *r)
{
	char answer[16] = "";
	fprintf(stderr, "%s? Type yes: ", r->act->question);
	fflush(stderr);
	return fgets(answer, sizeof answer, stdin) && !strcmp(answer, "yes\n");
}

/* ---- doing it ---- */

static void show_progress(const struct recall *r)
{
	int64_t ms = clock_monotonic_ms() - r->began_ms;
	if (r->ctl->json)
		api_print_json(json_pack("{s:s, s:I, s:I, s:I}", "event", "progress", "asked",
					 (json_int_t)r->at, "of", (json_int_t)r->fleet.count, "changed",
					 (json_int_t)r->changed));
	else if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r%3zu %%  %zu of %zu devices, %" PRId64 " changed, %" PRId64 "/s ",
			r->at * 100 / r->fleet.count, r->at, r->fleet.count, r->changed,
			ms ? r->changed * 1000 / ms : 0);
	fflush(NULL);
}

/* What is revoked already costs the brokers nothing and is not paced. */
static size_t next_count(const struct recall *r)
{
	size_t rest = r->fleet.count - r->at, step = FLEET_CALL_MAX;
	if (r->at < r->fleet.revoked)
		rest = r->fleet.revoked - r->at;
	else if (r->rate && r->rate / STEPS_A_SECOND < FLEET_CALL_MAX)
		step = r->rate < STEPS_A_SECOND ? 1 : (size_t)(r->rate / STEPS_A_SECOND);
	return rest < step ? rest : step;
}

/* Until so many changes are due at this rate, in short naps: Ctrl-C is noticed at once. */
static void keep_pace(const struct recall *r)
{
	const struct timespec nap = {0, 20000000};
	while (r->rate && !watch_stopped() &&
	       (clock_monotonic_ms() - r->began_ms) * r->rate < r->changed * 1000)
		nanosleep(&nap, NULL);
}

static int step(struct recall *r)
{
	size_t count = next_count(r);
	bool last = r->at + count == r->fleet.count;
	json_t *body = fleet_list(&r->fleet, r->at, count), *answer = NULL;
	json_object_set_new(body, "reason", json_string(r->reason));
	json_object_set_new(body, "wait_ms", json_integer(last && !r->watch ? r->wait_ms : 0));
	int code = api_call(r->ctl, "POST", r->act->path, body, &answer);
	if (code != EXIT_DONE)
		return code;
	r->at += count;
	r->changed += api_number(answer, "changed");
	r->already += api_number(answer, "unchanged");
	r->added += api_number(answer, "added");
	r->certificates += api_number(answer, "certificates");
	json_decref(r->answer);
	r->answer = answer;
	show_progress(r);
	return EXIT_DONE;
}

static int run_steps(struct recall *r)
{
	int code = EXIT_DONE;
	watch_catch_interrupts();
	r->began_ms = clock_monotonic_ms();
	while (code == EXIT_DONE && r->at < r->fleet.count && !watch_stopped()) {
		code = step(r);
		if (r->at < r->fleet.count)
			keep_pace(r);
	}
	if (!r->ctl->json && isatty(STDERR_FILENO))
		fputc('\n', stderr);
	return code;
}

/* ---- what has become of it ---- */

static void print_summary(const struct recall *r)
{
	int64_t ms = clock_monotonic_ms() - r->began_ms;
	if (r->ctl->json) {
		api_print_json(json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "event", "recorded", "seq",
					 (json_int_t)api_number(r->answer, "seq"), "changed",
					 (json_int_t)r->changed, "unchanged", (json_int_t)r->already, "added",
					 (json_int_t)r->added, "certificates", (json_int_t)r->certificates,
					 "ms", (json_int_t)ms));
		return;
	}
	printf("%s: %" PRId64 " device%s, %" PRId64 " certificate%s, in %.1f s; %" PRId64 " %s already\n",
	       r->act->done, r->changed, r->changed == 1 ? "" : "s", r->certificates,
	       r->certificates == 1 ? "" : "s", (double)ms / 1000, r->already,
	       r->already == 1 ? "was" : "were");
	if (r->added)
		printf("%" PRId64 " of them never enrolled, and will be refused\n", r->added);
	printf("recorded, up to log entry %" PRId64 "\n", api_number(r->answer, "seq"));
}

static int report(const struct recall *r)
{
	json_t *brokers = json_object_get(r->answer, "brokers");
	int64_t seq = api_number(r->answer, "seq");
	bool effective = api_flag(r->answer, "effective");
	if (r->ctl->json) {
		api_print_json(json_pack("{s:s, s:I, s:O}", "event",
					 effective ? "effective" : "not-yet-effective", "seq",
					 (json_int_t)seq, "brokers", brokers));
	} else {
		standing_print_brokers(r->ctl, brokers);
		if (effective)
			puts("effective");
		else
			standing_print_missing(brokers, seq);
	}
	return effective ? EXIT_DONE : EXIT_NOT_YET_EFFECTIVE;
}

static int say_stopped(const struct recall *r)
{
	fprintf(stderr,
		"mooringctl: not finished: %" PRId64
		" devices are %s, %zu of %zu were asked for; the same command "
		"goes on where this ended\n",
		r->changed + r->already, r->act->done, r->at, r->fleet.count);
	return EXIT_REFUSED;
}

static int carry_out(struct recall *r)
{
	int code = run_steps(r);
	if (r->answer)
		print_summary(r);
	if (code != EXIT_DONE || r->at < r->fleet.count)
		return say_stopped(r);
	code = r->watch ? watch_change(r->ctl, api_number(r->answer, "seq")) : report(r);
	return code == EXIT_DONE && !r->fleet.by_instance && r->fleet.unknown ? EXIT_REFUSED : code;
}

static int recall(struct ctl *c, const struct arguments *a)
{
	struct recall r = {.ctl = c};
	int code = take_options(&r, a);
	if (code == EXIT_DONE)
		code = fleet_read(&r.fleet, c, a);
	if (code == EXIT_DONE)
		code = plan(&r);
	if (code == EXIT_DONE && !argument_flag(a, "dry-run")) {
		if (argument_flag(a, "yes") || is_confirmed(&r))
			code = carry_out(&r);
		else {
			fputs("mooringctl: nothing is changed\n", stderr);
			code = EXIT_REFUSED;
		}
	}
	json_decref(r.answer);
	fleet_free(&r.fleet);
	return code;
}

static const struct option_spec recall_options[] = {
	{"batch", "NAME", "every device of this batch, as the attestation service's records have it"},
	{"things", "FILE", "these things: a name a line, '#' begins a comment; - is standard input"},
	{"line", "LINE", "devices that this line worked on: its key id, the beginning of it, or its site"},
	{"since", "TIME", "of --line: registered then or later; Unix seconds, or UTC as 2026-11-22T15:00"},
	{"reason", "REASON", "as for `revoke`; with --suspend any text"},
	{"suspend", NULL, "suspend them, which `resume` undoes, instead of revoking them"},
	{"reattest", NULL, "end their certificates, and let each enrol once more, through all that is asked"},
	{"rate", "N/s", "change at most so many devices a second (as many as can be)"},
	{"dry-run", NULL, "say what it would touch, and change nothing"},
	{"yes", NULL, "begin at once: nothing is asked, sessions are not counted first"},
	{"wait", "MS", "how long to wait for the brokers at the end: 0 to 30000 milliseconds (30000)"},
	{"watch", NULL, "at the end show each broker confirm, until all have or Ctrl-C"},
	{"attestation-endpoint", "URL",
	 "of the attestation service, for --batch (MOORING_ATTESTATION_ENDPOINT)"},
	{"attestation-ca", "PEM", "the only certificate authority to trust for it (MOORING_ATTESTATION_CA)"},
	{"attestation-key", "KEYFILE", "access key of it, any role (MOORING_ATTESTATION_KEY)"},
	{NULL, NULL, NULL},
};

const struct command recall_commands[] = {
	{
		.name = "recall",
		.arguments =
			"(--batch NAME | --things FILE | --line LINE --since TIME) --reason REASON\n"
			"                         [--suspend | --reattest] [--rate N/s] [--dry-run] [--yes]\n"
			"                         [--wait MS | --watch]",
		.summary = "revoke, suspend or re-attest a whole batch, a list, or what a line made",
		.help = "Says first how many devices and how many live sessions it will touch, and asks;\n"
			"with --yes it neither counts sessions nor asks, and begins at once.\n"
			"Then it goes through the list, 500 devices a transaction, each with its entry in\n"
			"the log; the brokers follow at once. Stopped or cut off, the same command goes on\n"
			"where it ended: what is revoked already is counted as such.\n\n"
			"Two services are asked. The gateway, by --endpoint, --ca and --key as for every\n"
			"command (role operator; viewer for --dry-run). With --batch also the attestation\n"
			"service, which has the records: by --attestation-endpoint, --attestation-ca and\n"
			"--attestation-key, which are what --endpoint, --ca and --key are for `records`.\n"
			"Devices of the batch that never enrolled are refused when they come; `records\n"
			"suspend --batch` has the attestation service itself stop vouching for the batch.",
		.examples =
			"  mooringctl recall --batch B2 --reason cessation-of-operation --dry-run\n"
			"  mooringctl recall --batch B2 --reason key-compromise --rate 500/s --watch\n"
			"  mooringctl recall --things stolen.txt --suspend --reason 'pallet stolen' --yes\n"
			"  mooringctl recall --line 3f09c2 --since 2026-11-22T15:00 --reattest --reason superseded\n",
		.options = recall_options,
		.words_min = 0,
		.words_max = 0,
		.run = recall,
		.exits =
			"0 done, and effective at every broker; 1 refused, failed or stopped, or a thing of the list\n"
			"  is not known; 2 wrong usage; 3 recorded for good, but a broker that the answer names has\n"
			"  not confirmed yet",
		.files = "  FILE                    names of things, one a line\n",
	},
	{0},
};
