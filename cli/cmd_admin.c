#include "api.h"
#include "ctl.h"
#include "text.h"
#include "common/admin/admin_auth.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DAEMONS = 2 };

static const struct {
	const char *name, *database;
} daemons[DAEMONS] = {{"gateway", "gateway.db"}, {"attestd", "attestd.db"}};

static bool names_daemon(const char *folder, const char *daemon)
{
	char copy[PATH_MAX];
	snprintf(copy, sizeof copy, "%s", folder);
	for (char *part = copy, *save = NULL; (part = strtok_r(part, "/", &save)); part = NULL)
		if (!strcmp(part, daemon))
			return true;
	return false;
}

/* Whose folder it is: the database that is there says it; before the first start the folder's path may; else
 * --daemon must. */
static outcome find_database(const char *folder, const char *wanted, char out[PATH_MAX], struct fault *f)
{
	char real[PATH_MAX - 16];
	char resolved[PATH_MAX];
	int chosen = -1, there = 0, named = 0;
	if (!realpath(folder, resolved) || strlen(resolved) >= sizeof real)
		return refuse(f, REASON_IO,
			      "--state-dir %s: %s; it is the daemon's state_dir, and must be there", folder,
			      strerror(errno));
	strcpy(real, resolved);
	for (int i = 0; i < DAEMONS; i++) {
		snprintf(out, PATH_MAX, "%s/%s", real, daemons[i].database);
		if (wanted && !strcmp(wanted, daemons[i].name))
			chosen = i;
		else if (!wanted && !access(out, F_OK) && ++there)
			chosen = i;
	}
	for (int i = 0; i < DAEMONS && !wanted && !there; i++)
		if (names_daemon(real, daemons[i].name) && ++named)
			chosen = i;
	if (chosen < 0 || there > 1 || named > 1)
		return refuse(f, REASON_NOT_FOUND,
			      "%s: gateway.db or attestd.db? Say --daemon gateway or --daemon attestd",
			      folder);
	snprintf(out, PATH_MAX, "%s/%s", real, daemons[chosen].database);
	return DONE;
}

static void print_made(const struct ctl *c, const struct admin_key_request *r, const char *id)
{
	if (c->json) {
		printf("{\"access_key_id\":\"%s\",\"role\":\"%s\",\"region\":\"%s\"}\n", id,
		       admin_role_name(r->role), r->region);
		return;
	}
	printf("access key %s, role %s: %s\n", id, admin_role_name(r->role), r->key_file);
	printf("registered in %s, derived from the master secret in %s\n", r->db_path, r->master_file);
	printf("keep the master secret out of backups of the store; use the key with\n"
	       "  export MOORING_KEY=%s\n",
	       r->key_file);
}

static int admin_init(struct ctl *c, const struct arguments *a)
{
	struct fault f = {0};
	char db_path[PATH_MAX], id[ACCESS_KEY_ID_MAX];
	const char *role = argument(a, "role"), *region = argument(a, "region");
	const char *state_dir = argument(a, "state-dir");
	struct admin_key_request r = {
		.db_path = db_path,
		.master_file = argument(a, "master"),
		.id = argument(a, "id"),
		.role = ADMIN_ROLE_ADMIN,
		.region = region ? region : "mooring-1",
		.key_file = argument(a, "out"),
	};
	if (!state_dir || !r.master_file || !r.key_file)
		return ctl_usage("admin init needs --state-dir, --master and --out");
	if (role && !admin_role_find(role, &r.role))
		return ctl_usage("there is no role %s", role);
	if (r.region[strspn(r.region, "abcdefghijklmnopqrstuvwxyz0123456789-")] || strlen(r.region) > 31)
		return ctl_usage("--region must be up to 31 of a-z, 0-9 and -");
	if (!find_database(state_dir, argument(a, "daemon"), db_path, &f).ok)
		return ctl_fail(&f);
	if (!admin_key_create(&r, id, &f).ok)
		return ctl_fail(&f);
	print_made(c, &r, id);
	return EXIT_DONE;
}

/* The database that --state-dir and --daemon mean, or what to exit with. */
static int need_database(const struct arguments *a, char db_path[PATH_MAX])
{
	struct fault f = {0};
	const char *state_dir = argument(a, "state-dir");
	if (!state_dir)
		return ctl_usage("--state-dir names the daemon's state_dir");
	return find_database(state_dir, argument(a, "daemon"), db_path, &f).ok ? EXIT_DONE : ctl_fail(&f);
}

static void add_row(const struct admin_key_row *key, void *arg)
{
	json_array_append_new(arg,
			      json_pack("{s:s, s:s, s:s, s:I}", "access_key_id", key->id, "role", key->role,
					"state", key->state, "created", (json_int_t)key->created));
}

static void print_keys(const struct ctl *c, json_t *keys)
{
	static const char *const headings[] = {"ACCESS KEY", "ROLE", "STATE", "CREATED"};
	struct table *t = table_new(headings, 4);
	json_t *key;
	size_t i;
	json_array_foreach(keys, i, key) {
		char when[TEXT_TIME_SIZE];
		const char *state = api_text(key, "state");
		const char *cells[] = {api_text(key, "access_key_id"), api_text(key, "role"), state,
				       text_time_s(api_number(key, "created"), when)};
		table_row(t, cells, 2, text_state_colour(state));
	}
	table_end(t, c->colour, "no access keys");
}

static int admin_keys(struct ctl *c, const struct arguments *a)
{
	struct fault f = {0};
	char db_path[PATH_MAX];
	int code = need_database(a, db_path);
	if (code != EXIT_DONE)
		return code;
	json_t *keys = json_array();
	if (!admin_key_list(db_path, add_row, keys, &f).ok)
		code = ctl_fail(&f);
	else if (c->json)
		return api_print_json(json_pack("{s:o}", "keys", keys));
	else
		print_keys(c, keys);
	json_decref(keys);
	return code;
}

static int admin_end(struct ctl *c, const struct arguments *a)
{
	struct fault f = {0};
	char db_path[PATH_MAX];
	int code = need_database(a, db_path);
	if (code != EXIT_DONE)
		return code;
	if (!admin_key_end(db_path, a->words[0], &f).ok)
		return ctl_fail(&f);
	if (c->json)
		return api_print_json(
			json_pack("{s:s, s:s}", "access_key_id", a->words[0], "state", "ended"));
	printf("access key %s has ended: its next request is refused\n", a->words[0]);
	return EXIT_DONE;
}

static const struct option_spec folder_options[] = {
	{"state-dir", "DIR", "the daemon's state_dir, with gateway.db or attestd.db"},
	{"daemon", "gateway|attestd", "whose folder it is, where it does not tell"},
	{NULL, NULL, NULL},
};

static const struct option_spec options[] = {
	{"state-dir", "DIR", "the daemon's state_dir, with gateway.db or attestd.db"},
	{"master", "FILE", "the daemon's admin_master; made (0600) where it is absent"},
	{"out", "FILE", "where the access key goes (0600); must not exist"},
	{"role", "viewer|operator|admin",
	 "what it may do: read; suspend, resume and revoke too; all (admin)"},
	{"id", "ID", "the key's id (made up)"},
	{"region", "NAME", "the daemon's region (mooring-1)"},
	{"daemon", "gateway|attestd", "whose folder it is, where it does not tell"},
	{NULL, NULL, NULL},
};

const struct command admin_commands[] = {
	{
		.name = "admin init",
		.arguments = "--state-dir DIR --master FILE --out KEYFILE [--role ROLE] [--id ID]",
		.summary = "make an access key, on the daemon's own machine",
		.help = "Nothing that comes over the network can make an access key: this does, with\n"
			"the daemon's own files, before its first start or while it runs. Run it as the\n"
			"daemon's user, or as root. The secret is derived from the master secret and\n"
			"stands in no database.",
		.examples =
			"  mooringctl admin init --state-dir /var/lib/mooring/gateway --master /etc/mooring/admin.master \\\n"
			"      --out admin.json\n"
			"  mooringctl admin init --state-dir /var/lib/mooring/gateway --master /etc/mooring/admin.master \\\n"
			"      --out dashboard.json --role viewer --id dashboard\n",
		.options = options,
		.words_min = 0,
		.words_max = 0,
		.run = admin_init,
		.offline = true,
		.files =
			"  STATE-DIR/gateway.db, STATE-DIR/attestd.db   where the daemon keeps ids, roles and states\n"
			"  the master secret (--master)                 keep it out of backups of the state folder\n",
	},
	{
		.name = "admin keys",
		.arguments = "--state-dir DIR",
		.summary = "list the access keys of a daemon, on its own machine",
		.help = "Ids, roles and states. Secrets are not stored, and so cannot be shown.",
		.examples = "  mooringctl admin keys --state-dir /var/lib/mooring/gateway\n",
		.options = folder_options,
		.words_min = 0,
		.words_max = 0,
		.run = admin_keys,
		.offline = true,
	},
	{
		.name = "admin end",
		.arguments = "KEY-ID --state-dir DIR",
		.summary = "end an access key, on the daemon's own machine",
		.help = "The daemon refuses the key from its next request on; no restart is needed. The\n"
			"id cannot be used again.",
		.examples =
			"  mooringctl admin end MOOR5TA6HIQRIYXJVKW6 --state-dir /var/lib/mooring/gateway\n",
		.options = folder_options,
		.words_min = 1,
		.words_max = 1,
		.run = admin_end,
		.offline = true,
	},
	{0},
};
