#include "api.h"
#include "ctl.h"
#include "fleet.h"
#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CERTIFICATE_SHOWN = 16 };

static void print_sessions(const struct ctl *c, const json_t *answer)
{
	static const char *const headings[] = {"THING",		  "CLIENT ID", "CERTIFICATE", "BROKER",
					       "CONNECTED SINCE", "ADDRESS",   "MQTT"};
	struct table *t = table_new(headings, 7);
	json_t *s;
	size_t i;
	json_array_foreach(json_object_get(answer, "sessions"), i, s) {
		char name[160], certificate[CERTIFICATE_SHOWN + 1], since[TEXT_TIME_SIZE];
		const char *service = api_text(s, "service");
		snprintf(name, sizeof name, "%s%s", *service ? service : api_text(s, "thing"),
			 *service ? " (service)" : "");
		snprintf(certificate, sizeof certificate, "%s", api_text(s, "certificateId"));
		const char *cells[] = {name,
				       api_text(s, "client_id"),
				       certificate,
				       api_text(s, "broker"),
				       text_time_s(api_number(s, "connected_ms") / 1000, since),
				       api_text(s, "address"),
				       api_text(s, "protocol")};
		table_row(t, cells, 0, PLAIN);
	}
	table_end(t, c->colour, "no sessions");
	api_print_more(answer);
}

static bool is_service(const json_t *answer, const char *name)
{
	json_t *service;
	size_t i;
	json_array_foreach((json_t *)(uintptr_t)api_array(answer, "services"), i, service)
		if (!strcmp(api_text(service, "name"), name))
			return true;
	return false;
}

/* Nobody is connected under this name: a name that nobody has is not to read as one that is cut off. EXIT_DONE where
 * a thing or a service has it. */
static int check_name(struct ctl *c, const char *name)
{
	json_t *answer = NULL;
	char *things = api_target("/v1/admin/things/", name, "");
	int code = api_call(c, "GET", "/v1/admin/services", NULL, &answer);
	bool known = code == EXIT_DONE && is_service(answer, name);
	json_decref(answer);
	answer = NULL;
	if (code == EXIT_DONE && !known) {
		code = api_call(c, "GET", things, NULL, &answer);
		if (code != EXIT_DONE)
			fputs("mooringctl: nor is it a service: mooringctl service list shows them\n",
			      stderr);
	}
	json_decref(answer);
	free(things);
	return code;
}

static int sessions(struct ctl *c, const struct arguments *a)
{
	struct buf target = {0};
	struct fault f = {0};
	json_t *answer = NULL;
	long limit;
	if (!argument_number(a, "limit", 1, API_PAGE_MAX, 50, &limit, &f).ok)
		return ctl_usage("%s", f.text);
	buf_printf(&target, "/v1/admin/sessions?limit=%ld", limit);
	api_query(&target, "thing", argument(a, "thing"));
	api_query(&target, "broker", argument(a, "broker"));
	api_query(&target, "after", argument(a, "after"));
	char *text = buf_take_str(&target);
	int code = api_call(c, "GET", text, NULL, &answer);
	free(text);
	if (code != EXIT_DONE)
		return code;
	if (argument(a, "thing") && !json_array_size(json_object_get(answer, "sessions")))
		code = check_name(c, argument(a, "thing"));
	if (code != EXIT_DONE) {
		json_decref(answer);
		return code;
	}
	json_t *brokers = json_object_get(answer, "brokers");
	bool complete = fleet_all_answered(brokers, argument(a, "broker"));
	if (c->json)
		code = api_print_json(json_incref(answer));
	else if (json_array_size(brokers)) /* "no sessions" is what a broker has to have said */
		print_sessions(c, answer);
	json_decref(answer);
	return complete ? code : EXIT_REFUSED;
}

static const struct option_spec sessions_options[] = {
	{"thing", "NAME", "only those of this thing, or of this service"},
	{"broker", "NAME", "only those at this broker; the others are not asked"},
	{"after", "PLACE", "go on after this one, as the end of a page says"},
	{"limit", "N", "at most so many, 1 to 500 (50)"},
	{NULL, NULL, NULL},
};

const struct command session_commands[] = {
	{
		.name = "sessions",
		.arguments = "[--thing NAME] [--broker NAME] [--after PLACE] [--limit N]",
		.summary = "who is connected now, at every broker",
		.help = "Each broker is asked when this is asked, and waited for up to 2 s; nothing is kept\n"
			"of the answers. By broker, and of a broker in the order in which they connected.\n"
			"CONNECTED SINCE is by the broker's clock. With --json also how many sessions each\n"
			"broker has in all, whatever was asked for. A --thing that is neither a thing nor a\n"
			"service is refused.",
		.examples = "  mooringctl sessions\n"
			    "  mooringctl sessions --thing ajv7zq2kmeuxo4wd6tgc5hyb\n"
			    "  mooringctl --json sessions --limit 1 | jq '.brokers[] | {name, sessions}'\n",
		.options = sessions_options,
		.words_min = 0,
		.words_max = 0,
		.run = sessions,
		.exits =
			"0 done; 1 refused or failed, or a broker that standard error names did not say who is\n"
			"  connected to it, or no broker has a feed to be asked by; 2 wrong usage",
	},
	{0},
};
