#include "api.h"
#include "ctl.h"
#include "standing.h"
#include "text.h"
#include "common/file.h"
#include "common/json_read.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CERT_FILE_MAX = 65536, POLICY_FILE_MAX = 65536 };

/* The first certificate alone: issue-service writes the leaf, then its issuer. */
static outcome first_certificate(struct buf *pem, const char *path, struct fault *f)
{
	static const char end[] = "-----END CERTIFICATE-----\n";
	char *text = (char *)pem->p, *at = strstr(text, end);
	if (!at)
		return refuse(f, REASON_BAD_ENCODING, "%s holds no PEM certificate", path);
	at[sizeof end - 1] = '\0';
	return DONE;
}

static outcome read_policy(const char *path, json_t **out, struct fault *f)
{
	struct buf text = {0};
	outcome o = file_read(path, POLICY_FILE_MAX, &text, f);
	if (o.ok)
		o = json_read_object(buf_view(&text), path, out, f);
	buf_free(&text);
	return o;
}

static int service_add(struct ctl *c, const struct arguments *a)
{
	const char *name = argument(a, "name"), *policy_path = argument(a, "policy");
	struct buf pem = {0};
	struct fault f = {0};
	json_t *policy = NULL;
	if (!name || !policy_path)
		return ctl_usage("service add needs --name and --policy");
	outcome o = file_read(a->words[0], CERT_FILE_MAX, &pem, &f);
	if (o.ok)
		o = first_certificate(&pem, a->words[0], &f);
	if (o.ok)
		o = read_policy(policy_path, &policy, &f);
	json_t *body = o.ok ? json_pack("{s:s, s:s, s:o}", "name", name, "certificatePem", (char *)pem.p,
					"policy", policy)
			    : NULL;
	buf_free(&pem);
	if (!o.ok)
		return ctl_fail(&f);
	struct standing_change what = {
		.method = "POST",
		.prefix = "/v1/admin/services",
		.name = name,
		.suffix = "",
		.done = "registered service",
		.in_body = true,
	};
	return standing_change(c, a, &what, body);
}

static int service_remove(struct ctl *c, const struct arguments *a)
{
	struct standing_change what = {
		.method = "DELETE",
		.prefix = "/v1/admin/services/",
		.name = a->words[0],
		.suffix = "",
		.done = "removed service",
	};
	return standing_change(c, a, &what, NULL);
}

static void print_services(const struct ctl *c, json_t *answer)
{
	static const char *const headings[] = {"SERVICE", "CERTIFICATE", "NOT BEFORE", "NOT AFTER"};
	json_t *service;
	size_t i;
	struct table *t = table_new(headings, 4);
	json_array_foreach(json_object_get(answer, "services"), i, service) {
		char id[20], from[TEXT_TIME_SIZE], to[TEXT_TIME_SIZE];
		snprintf(id, sizeof id, "%.16s", api_text(service, "certificateId"));
		const char *cells[] = {api_text(service, "name"), id,
				       text_time_s(api_number(service, "not_before"), from),
				       text_time_s(api_number(service, "not_after"), to)};
		table_row(t, cells, 0, PLAIN);
	}
	table_end(t, c->colour, "no services");
}

static int service_list(struct ctl *c, const struct arguments *a)
{
	(void)a;
	return api_show(c, api_target("/v1/admin/services", "", ""), print_services);
}

static int epoch_raise(struct ctl *c, const struct arguments *a)
{
	const char *reason = argument(a, "reason");
	if (!reason)
		return ctl_usage("epoch raise needs --reason: which copy was put back, and why");
	struct standing_change what = {
		.method = "POST",
		.prefix = "/v1/admin/epoch",
		.name = reason,
		.suffix = "",
		.done = "epoch raised",
		.in_body = true,
		.wait_ms = STANDING_WAIT_MAX_MS,
	};
	return standing_change(c, a, &what, json_pack("{s:s}", "reason", reason));
}

static const struct option_spec epoch_options[] = {
	{"reason", "TEXT", "for the log: which copy was put back, and why"},
	{"wait", "MS", "how long to wait for the brokers: 0 to 30000 milliseconds (30000)"},
	{NULL, NULL, NULL},
};

static const struct option_spec add_options[] = {
	{"name", "NAME", "of the service; in policies ${iot:Certificate.Subject.CommonName}, as issued"},
	{"policy", "FILE", "AWS IoT policy document: what it may connect as, publish and read"},
	STANDING_WAIT_OPTION,
	{NULL, NULL, NULL},
};

static const struct option_spec wait_options[] = {
	STANDING_WAIT_OPTION,
	{NULL, NULL, NULL},
};

const struct command service_commands[] = {
	{
		.name = "service add",
		.arguments = "CERT --name NAME --policy FILE [--wait MS]",
		.summary = "admit a back end's certificate to the brokers",
		.help = "CERT was issued by `mooring-ca issue-service NAME --client`. The broker admits\n"
			"registered certificates only; the policy says what this one may do. Adding\n"
			"again replaces the policy; further certificates of the name live side by side.",
		.examples =
			"  mooringctl service add telemetry-1.pem --name telemetry-1 --policy policy-reader.json\n",
		.options = add_options,
		.words_min = 1,
		.words_max = 1,
		.run = service_add,
		.exits = STANDING_EXITS,
	},
	{
		.name = "service remove",
		.arguments = "NAME [--wait MS]",
		.summary = "take a back end off the brokers",
		.help = "All certificates of the name stop being registered; sessions are cut.",
		.examples = "  mooringctl service remove telemetry-1\n",
		.options = wait_options,
		.words_min = 1,
		.words_max = 1,
		.run = service_remove,
		.exits = STANDING_EXITS,
	},
	{
		.name = "service list",
		.arguments = "",
		.summary = "the registered back ends",
		.help = "A line for each certificate. With --json each service's policy, too.",
		.examples = "  mooringctl service list\n",
		.words_min = 0,
		.words_max = 0,
		.run = service_list,
	},
	{
		.name = "epoch raise",
		.arguments = "--reason TEXT [--wait MS]",
		.summary = "have the brokers follow an older database that was put back",
		.help = "Brokers that are ahead of the gateway's database refuse its feed, and an alarm\n"
			"`log-rolled-back` tells of it. This says that the older copy was put back\n"
			"knowingly: they take its state for theirs. Revoke again first what was revoked\n"
			"since the copy was made: it would be active again.\n\n"
			"It ends every broker's feed. Each connects anew, half a second later or, where it\n"
			"was refused for a while, up to 30 s, takes the whole table, and confirms: that is\n"
			"waited for. With exit code 3 the epoch is raised for good, and `brokers` shows when\n"
			"the last broker has followed: do not raise it again.",
		.examples = "  mooringctl epoch raise --reason 'disk lost; copy of 03:00 put back'\n",
		.options = epoch_options,
		.words_min = 0,
		.words_max = 0,
		.run = epoch_raise,
		.exits = STANDING_EXITS,
	},
	{0},
};
