#include "commands.h"

#include "folder.h"
#include "common/clock.h"
#include "common/file.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SALT_BYTES = 32 };

static const char *const files[] = {"root.key",	   "root.pem",	     "device.key",
				    "device.pem",  "unattested.key", "unattested.pem",
				    "service.key", "service.pem",    "salt"};
enum { FILES = sizeof files / sizeof *files };

struct init {
	const char *dir, *name, *trust_domain;
	int64_t now;
	struct issuer root;
	struct buf root_cert;
};

static outcome make_folder(const char *dir, struct fault *f)
{
	if (mkdir(dir, 0700) && errno != EEXIST)
		return file_fault(f, errno, "make folder", dir);
	return DONE;
}

static outcome all_new(const char *dir, struct fault *f)
{
	char path[PATH_MAX];
	outcome o = DONE;
	for (size_t i = 0; o.ok && i < FILES; i++) {
		o = folder_path(dir, files[i], path, f);
		if (o.ok)
			o = folder_must_be_new(path, f);
	}
	return o;
}

/* What this run made, so that it can be tried again: all_new has said that nothing else was there. */
static void remove_all(const char *dir)
{
	char path[PATH_MAX];
	struct fault ignored;
	for (size_t i = 0; i < FILES; i++)
		if (folder_path(dir, files[i], path, &ignored).ok)
			unlink(path);
}

/* The root's own certificate: issuer and subject are one. */
static outcome issue_root(struct init *c, struct bytes spki, struct fault *f)
{
	char uri[SAN_URI_MAX];
	struct plan plan = {.profile = profile_find("root"),
			    .issuer = &c->root,
			    .not_before = c->root.not_before,
			    .not_after = c->root.not_after,
			    .subject = buf_view(&c->root.subject),
			    .spki = spki,
			    .trust_domain = c->trust_domain,
			    .uri = uri};
	certificate_random_serial(plan.serial);
	outcome o = certificate_uri(c->trust_domain, NULL, c->name, uri, f);
	return o.ok ? certificate_issue(&plan, &c->root, c->now, &c->root_cert, f) : o;
}

static outcome make_root(struct init *c, struct fault *f)
{
	char name[2 * COMMON_NAME_MAX];
	uint8_t spki[SPKI_MAX];
	size_t spki_size = 0;
	struct buf subject = {0};
	EVP_PKEY *key = NULL;
	snprintf(name, sizeof name, "%.64s Root CA", c->name);
	outcome o = certificate_name(name, c->name, &subject, f);
	if (o.ok)
		o = folder_new_key(&key, spki, &spki_size, f);
	if (o.ok)
		o = issuer_make_root(key, buf_view(&subject), c->now - BACKDATE_S,
				     c->now + profile_find("root")->lifetime_max_s, &c->root, f);
	if (o.ok)
		o = issue_root(c, bytes_of(spki, spki_size), f);
	buf_free(&subject);
	return o;
}

static outcome save_root(const struct init *c, struct fault *f)
{
	char key_path[PATH_MAX], cert_path[PATH_MAX];
	outcome o = folder_path(c->dir, "root.key", key_path, f);
	if (o.ok)
		o = folder_path(c->dir, "root.pem", cert_path, f);
	return o.ok ? folder_save_pair(key_path, c->root.key, cert_path, buf_view(&c->root_cert), NULL, f)
		    : o;
}

static outcome make_all_issuing(struct init *c, struct fault *f)
{
	static const char *const kinds[] = {"device", "unattested", "service"};
	char prefix[PATH_MAX];
	outcome o = DONE;
	for (size_t i = 0; o.ok && i < sizeof kinds / sizeof *kinds; i++) {
		o = folder_path(c->dir, kinds[i], prefix, f);
		if (o.ok)
			o = folder_make_issuing(kinds[i], &c->root, c->name, c->trust_domain, prefix, c->now,
						f);
	}
	return o;
}

static outcome make_salt(const char *dir, struct fault *f)
{
	char path[PATH_MAX];
	uint8_t salt[SALT_BYTES];
	crypto_random(salt, sizeof salt);
	outcome o = folder_path(dir, "salt", path, f);
	return o.ok ? file_replace(path, bytes_of(salt, sizeof salt), 0600, f) : o;
}

static outcome init(struct init *c, struct fault *f)
{
	outcome o = trust_domain_check(c->trust_domain, f);
	if (o.ok)
		o = make_folder(c->dir, f);
	if (o.ok)
		o = all_new(c->dir, f);
	if (!o.ok)
		return o;
	o = make_root(c, f);
	if (o.ok)
		o = save_root(c, f);
	if (o.ok)
		o = make_all_issuing(c, f);
	if (o.ok)
		o = make_salt(c->dir, f);
	if (!o.ok)
		remove_all(c->dir);
	return o;
}

static void say_done(const struct init *c)
{
	printf("Made in %s:\n"
	       "  root.key root.pem                the root: devices pin root.pem; take root.key off-line "
	       "now\n"
	       "  device.key device.pem            the signer's: issues to attested devices\n"
	       "  unattested.key unattested.pem    off unless the signer's configuration names it\n"
	       "  service.key service.pem          yours: mooring-ca issue-service\n"
	       "  salt                             the signer's and the gateway's: thing names are made from "
	       "it\n",
	       c->dir);
}

int command_init(int argc, char **argv)
{
	static const struct option table[] = {{"dir", required_argument, NULL, 'd'},
					      {"name", required_argument, NULL, 'n'},
					      {"trust-domain", required_argument, NULL, 't'},
					      {NULL, 0, NULL, 0}};
	struct init c = {.now = clock_wall_s()};
	struct fault f;
	for (int o; (o = getopt_long(argc, argv, "", table, NULL)) != -1;) {
		if (o == 'd')
			c.dir = optarg;
		else if (o == 'n')
			c.name = optarg;
		else if (o == 't')
			c.trust_domain = optarg;
		else
			return command_wrong_option(argv, table);
	}
	if (!c.dir || !c.name || !c.trust_domain || optind < argc)
		return command_usage("init needs --dir, --name and --trust-domain");
	outcome done = init(&c, &f);
	if (done.ok)
		say_done(&c);
	issuer_free(&c.root);
	buf_free(&c.root_cert);
	return done.ok ? EXIT_SUCCESS : command_failed(&f);
}
