#include "api.h"
#include "ctl.h"
#include "standing.h"
#include "text.h"
#include "common/crypto/cert.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CERTS_MAX = 4, KEY_SHOWN = 16 };

/* ---- listing ---- */

static void print_revoked(const struct ctl *c, const json_t *revoked)
{
	static const char *const headings[] = {"REVOKED", "KEY", "SINCE", "BECAUSE", "BY"};
	json_t *broker;
	size_t i;
	if (!json_array_size(revoked))
		return;
	putchar('\n');
	struct table *t = table_new(headings, 5);
	json_array_foreach(revoked, i, broker) {
		char key[KEY_SHOWN + 1], since[TEXT_TIME_SIZE];
		const char *hash = api_text(broker, "spki_sha256");
		snprintf(key, sizeof key, "%s", *hash ? hash : "every");
		const char *cells[] = {api_text(broker, "name"), key,
				       text_time_ms(api_number(broker, "revoked_at_ms"), since),
				       api_text(broker, "reason"), api_text(broker, "actor")};
		table_row(t, cells, 0, text_state_colour("revoked"));
	}
	table_end(t, c->colour, "");
}

static void print_brokers(const struct ctl *c, json_t *answer)
{
	static const char *const headings[] = {"BROKER", "FEED", "FOR", "CONFIRMED", "LAST HEARD OF"};
	json_t *broker;
	size_t i;
	struct table *t = table_new(headings, 5);
	json_array_foreach(json_object_get(answer, "brokers"), i, broker) {
		char seq[32], since[32], heard[STANDING_HEARD_SIZE];
		const char *state = api_text(broker, "state");
		snprintf(seq, sizeof seq, "%" PRId64, api_number(broker, "seq"));
		snprintf(since, sizeof since, "%" PRId64 " s", api_number(broker, "connected_s"));
		const char *cells[] = {api_text(broker, "name"), state, strcmp(state, "live") ? "" : since,
				       seq, standing_heard(broker, heard)};
		table_row(t, cells, 1, text_state_colour(state));
	}
	table_end(t, c->colour, "no broker has a feed");
	print_revoked(c, api_array(answer, "revoked"));
}

static int broker_list(struct ctl *c, const struct arguments *a)
{
	(void)a;
	return api_show(c, api_target("/v1/admin/brokers", "", ""), print_brokers);
}

/* ---- removing and revoking ---- */

static int broker_remove(struct ctl *c, const struct arguments *a)
{
	struct standing_change what = {
		.method = "DELETE",
		.prefix = "/v1/admin/brokers/",
		.name = a->words[0],
		.suffix = "",
		.done = "forgotten broker",
	};
	return standing_change(c, a, &what, NULL);
}

static outcome hash_in_file(const char *path, char hex[HEX_SIZE(SHA256_SIZE)], struct fault *f)
{
	uint8_t hash[SHA256_SIZE];
	X509 *certs[CERTS_MAX];
	size_t count;
	outcome o = cert_load_pems(path, certs, CERTS_MAX, &count,
				   f); /* issue-service puts the issuer after it */
	if (!o.ok)
		return o;
	if (cert_spki_sha256(certs[0], hash))
		hex_encode(bytes_of(hash, sizeof hash), hex);
	else
		o = refuse(f, REASON_NO_MEMORY, "no memory for a certificate");
	while (count)
		X509_free(certs[--count]);
	return o;
}

/* A certificate's file, or what `brokers --json` gives. */
static outcome take_key(const char *certificate, char hex[HEX_SIZE(SHA256_SIZE)], struct fault *f)
{
	uint8_t hash[SHA256_SIZE];
	size_t n = 0;
	if (!hex_decode(certificate, strlen(certificate), hash, sizeof hash, &n) || n != sizeof hash)
		return hash_in_file(certificate, hex, f);
	hex_encode(bytes_of(hash, n), hex);
	return DONE;
}

/* The gateway has no hold on the broker itself. */
static void print_next(bool whole)
{
	puts(whole ? "next: stop the broker's machine, or take its address away from the devices: cut off, it goes on\n"
		     "serving until its staleness budget (plugin_opt_staleness, 15 minutes unless set) has passed"
		   : "next: give the broker a new certificate if it has no other yet; it reads it by itself. Without one it\n"
		     "goes on serving until its staleness budget (plugin_opt_staleness, 15 minutes unless set) has passed");
}

static int print_revocation(const struct ctl *c, const char *name, bool whole, json_t *answer)
{
	char when[TEXT_TIME_SIZE];
	bool already = api_flag(answer, "already");
	if (c->json)
		return api_print_json(answer);
	printf("%srevoked for good: broker ", already ? "already " : "");
	text_print(name);
	puts(whole ? ", whatever its certificate" : ", this certificate's key");
	printf("recorded at %s, log entry %" PRId64 "\n",
	       text_time_ms(api_number(answer, "recorded_at_ms"), when), api_number(answer, "seq"));
	if (whole && !already && !api_number(answer, "certificates"))
		puts("no broker of this name has ever had a feed: is it the right name?");
	else
		print_next(whole);
	json_decref(answer);
	return EXIT_DONE;
}

static int broker_revoke(struct ctl *c, const struct arguments *a)
{
	const char *reason = argument(a, "reason"), *certificate = argument(a, "certificate");
	char key[HEX_SIZE(SHA256_SIZE)];
	struct fault f = {0};
	json_t *answer = NULL;
	if (!reason)
		return ctl_usage("broker revoke is final and needs --reason");
	if (certificate && !take_key(certificate, key, &f).ok)
		return ctl_fail(&f);
	json_t *body = json_pack("{s:s, s:s*}", "reason", reason, "spki_sha256", certificate ? key : NULL);
	char *target = api_target("/v1/admin/brokers/", a->words[0], "/revoke");
	int code = api_call(c, "POST", target, body, &answer);
	free(target);
	return code == EXIT_DONE ? print_revocation(c, a->words[0], !certificate, answer) : code;
}

static const struct option_spec revoke_options[] = {
	{"reason", "TEXT", "for the log"},
	{"certificate", "FILE",
	 "only this certificate's key (or the key's hash), so that the broker goes on with another"},
	{NULL, NULL, NULL},
};

static const struct option_spec wait_options[] = {
	STANDING_WAIT_OPTION,
	{NULL, NULL, NULL},
};

const struct command broker_commands[] = {
	{
		.name = "brokers",
		.arguments = "",
		.summary = "the brokers' feeds: live or lost, and how far each has confirmed",
		.help = "CONFIRMED is the last log entry that the broker has made effective. A broker\n"
			"that lost its feed keeps serving from what it knows for 15 minutes (its\n"
			"plugin_opt_staleness), then admits nobody new. Revoked ones are listed below; with\n"
			"--json also the hash of each certificate's key, which `broker revoke` takes.",
		.examples = "  mooringctl brokers\n",
		.words_min = 0,
		.words_max = 0,
		.run = broker_list,
	},
	{
		.name = "broker remove",
		.arguments = "NAME [--wait MS]",
		.summary = "forget a broker that is gone for good",
		.help = "A broker that once had a feed is waited for by every change: one that will not\n"
			"come back is taken off with this. One that has a live feed is refused: stop it\n"
			"first. It may come back as long as it is not revoked.",
		.examples = "  mooringctl broker remove broker-b\n",
		.options = wait_options,
		.words_min = 1,
		.words_max = 1,
		.run = broker_remove,
		.exits = STANDING_EXITS,
	},
	{
		.name = "broker revoke",
		.arguments = "NAME --reason TEXT [--certificate FILE]",
		.summary = "end a broker's feed, for good",
		.help = "Its feed ends at once, it gets no other, and its receipts count for nothing: not\n"
			"for its name, whatever certificate it shows, and nothing waits for it any more.\n"
			"With --certificate (its file, or the hash that `brokers --json` gives) for the key\n"
			"of that one alone: a broker whose certificate was stolen goes on under its name\n"
			"with a new one.\n\n"
			"The broker itself is not stopped. Cut off, it serves from what it knows for 15\n"
			"minutes (its plugin_opt_staleness), then admits nobody new: stop its machine, too.",
		.examples =
			"  mooringctl broker revoke broker-b --reason 'machine sold'\n"
			"  mooringctl broker revoke broker-b --certificate broker-b.pem --reason stolen\n",
		.options = revoke_options,
		.words_min = 1,
		.words_max = 1,
		.run = broker_revoke,
	},
	{0},
};
