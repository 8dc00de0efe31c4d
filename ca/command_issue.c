#include "commands.h"

#include "folder.h"
#include "common/clock.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DAY_S = 86400, DAYS_DEFAULT = 365, DAYS_MAX = 398 };

struct issue {
	const char *name, *dir, *out, *role;
	const char *hosts[HOST_NAMES_MAX];
	size_t host_count;
	bool server, client;
	long days;
	int64_t now;
};

/* An issuing CA of the folder with its certificate; caller frees both. */
static outcome load_ca(const char *dir, const char *name, struct issuer *issuer, X509 **cert, struct fault *f)
{
	char key_path[PATH_MAX], cert_path[PATH_MAX], file[32];
	EVP_PKEY *key = NULL;
	snprintf(file, sizeof file, "%s.key", name);
	outcome o = folder_path(dir, file, key_path, f);
	snprintf(file, sizeof file, "%s.pem", name);
	if (o.ok)
		o = folder_path(dir, file, cert_path, f);
	if (o.ok)
		o = cert_load_pem(cert_path, cert, f);
	if (o.ok)
		o = key_load_uri(key_path, &key, f);
	return o.ok ? issuer_make(key, *cert, issuer, f) : o;
}

/* RFC 6125 6.4.4: clients look at SANs alone, so that a server's own name must be among them. */
static void name_self(struct issue *c)
{
	struct fault ignored;
	if (c->server && c->host_count == 0 && certificate_check_host(c->name, &ignored).ok)
		c->hosts[c->host_count++] = c->name;
}

static outcome check_issue(struct issue *c, struct fault *f)
{
	static const char *const roles[] = {"broker", "gateway", "edge", "backend"};
	outcome o = DONE;
	size_t i = 0, count = sizeof roles / sizeof *roles;
	if (!c->role)
		c->role = c->server ? "edge" : "backend";
	while (i < count && strcmp(c->role, roles[i]))
		i++;
	if (i == count)
		return refuse(f, REASON_BAD_FIELD,
			      "--role is one of broker, gateway, edge, backend; not \"%.20s\"", c->role);
	if (strspn(c->name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") !=
		    strlen(c->name) ||
	    !*c->name)
		return refuse(f, REASON_BAD_FIELD,
			      "NAME has letters, digits, dots, dashes and underscores; not \"%.64s\"",
			      c->name);
	name_self(c);
	for (i = 0; o.ok && i < c->host_count; i++)
		o = certificate_check_host(c->hosts[i], f);
	if (o.ok && c->server && c->host_count == 0)
		return refuse(f, REASON_BAD_FIELD,
			      "a server certificate needs --san: the names and addresses that clients dial");
	return o;
}

static outcome issue_leaf(const struct issue *c, struct issuer *ca, X509 *ca_cert, struct bytes spki,
			  struct buf *cert, struct fault *f)
{
	char trust_domain[TRUST_DOMAIN_MAX + 1], kind[32], uri[SAN_URI_MAX];
	struct buf subject = {0};
	struct plan plan = {.profile = profile_find(c->server ? "service-server" : "service-client"),
			    .issuer = ca,
			    .not_before = c->now - BACKDATE_S,
			    .not_after = c->now + c->days * DAY_S,
			    .spki = spki,
			    .trust_domain = trust_domain,
			    .uri = uri,
			    .hosts = c->hosts,
			    .host_count = c->host_count};
	if (plan.not_after > ca->not_after)
		plan.not_after = ca->not_after;
	if (plan.not_before < ca->not_before)
		plan.not_before = ca->not_before;
	certificate_random_serial(plan.serial);
	snprintf(kind, sizeof kind, "%s/%s", plan.profile->uri_kind, c->role);
	outcome o = folder_trust_domain(ca_cert, trust_domain, f);
	if (o.ok)
		o = certificate_uri(trust_domain, kind, c->name, uri, f);
	if (o.ok)
		o = certificate_name(c->name, NULL, &subject, f);
	plan.subject = buf_view(&subject);
	if (o.ok)
		o = certificate_issue(&plan, ca, c->now, cert, f);
	buf_free(&subject);
	return o;
}

static outcome issue_service(struct issue *c, struct fault *f)
{
	char key_path[PATH_MAX], cert_path[PATH_MAX];
	struct issuer ca = {0};
	X509 *ca_cert = NULL;
	EVP_PKEY *key = NULL;
	uint8_t spki[SPKI_MAX];
	size_t spki_size = 0;
	struct buf cert = {0};
	outcome o = check_issue(c, f);
	if (o.ok)
		o = folder_new_file(c->out, ".key", key_path, f);
	if (o.ok)
		o = folder_new_file(c->out, ".pem", cert_path, f);
	if (o.ok)
		o = load_ca(c->dir, "service", &ca, &ca_cert, f);
	if (o.ok)
		o = folder_new_key(&key, spki, &spki_size, f);
	if (o.ok)
		o = issue_leaf(c, &ca, ca_cert, bytes_of(spki, spki_size), &cert, f);
	if (o.ok)
		o = folder_save_pair(key_path, key, cert_path, buf_view(&cert), ca_cert, f);
	issuer_free(&ca);
	X509_free(ca_cert);
	EVP_PKEY_free(key);
	buf_free(&cert);
	return o;
}

static const char *check_usage(int argc, char **argv, const char *days_end, struct issue *c)
{
	if (optind != argc - 1 || !c->dir || !c->out)
		return "issue-service needs NAME, --dir and --out";
	c->name = argv[optind];
	if (c->server == c->client)
		return "issue-service needs --server or --client: a certificate is for one of them";
	if (c->client && c->host_count)
		return "issue-service: --san is for --server";
	if ((days_end && *days_end) || c->days < 1 || c->days > DAYS_MAX)
		return "issue-service: --days is 1 to 398";
	return NULL;
}

/* 0, or the exit code of wrong usage. */
static int parse_issue(int argc, char **argv, struct issue *c)
{
	static const struct option table[] = {
		{"dir", required_argument, NULL, 'd'},	{"out", required_argument, NULL, 'o'},
		{"role", required_argument, NULL, 'r'}, {"san", required_argument, NULL, 's'},
		{"days", required_argument, NULL, 'n'}, {"server", no_argument, NULL, 'S'},
		{"client", no_argument, NULL, 'C'},	{NULL, 0, NULL, 0},
	};
	char *end = NULL;
	for (int o; (o = getopt_long(argc, argv, "", table, NULL)) != -1;) {
		if (o == 'd')
			c->dir = optarg;
		else if (o == 'o')
			c->out = optarg;
		else if (o == 'r')
			c->role = optarg;
		else if (o == 's' && c->host_count < HOST_NAMES_MAX)
			c->hosts[c->host_count++] = optarg;
		else if (o == 'n')
			c->days = strtol(optarg, &end, 10);
		else if (o == 'S')
			c->server = true;
		else if (o == 'C')
			c->client = true;
		else
			return o == 's' ? command_usage("issue-service: too many --san")
					: command_wrong_option(argv, table);
	}
	const char *wrong = check_usage(argc, argv, end, c);
	return wrong ? command_usage(wrong) : 0;
}

int command_issue_service(int argc, char **argv)
{
	struct issue c = {.days = DAYS_DEFAULT, .now = clock_wall_s()};
	struct fault f;
	int wrong = parse_issue(argc, argv, &c);
	if (wrong)
		return wrong;
	if (!issue_service(&c, &f).ok)
		return command_failed(&f);
	printf("%s.key %s.pem\n", c.out, c.out);
	return EXIT_SUCCESS;
}

static outcome issue_ca(const char *kind, const char *dir, const char *out, struct fault *f)
{
	char trust_domain[TRUST_DOMAIN_MAX + 1], organisation[COMMON_NAME_MAX + 1];
	struct issuer root = {0};
	X509 *cert = NULL;
	outcome o = load_ca(dir, "root", &root, &cert, f);
	if (o.ok)
		o = folder_trust_domain(cert, trust_domain, f);
	if (o.ok)
		o = folder_organisation(cert, organisation, f);
	if (o.ok)
		o = folder_make_issuing(kind, &root, organisation, trust_domain, out, clock_wall_s(), f);
	issuer_free(&root);
	X509_free(cert);
	return o;
}

int command_issue_ca(int argc, char **argv)
{
	static const struct option table[] = {{"dir", required_argument, NULL, 'd'},
					      {"out", required_argument, NULL, 'o'},
					      {NULL, 0, NULL, 0}};
	const char *dir = NULL, *out = NULL;
	struct fault f;
	for (int o; (o = getopt_long(argc, argv, "", table, NULL)) != -1;) {
		if (o == 'd')
			dir = optarg;
		else if (o == 'o')
			out = optarg;
		else
			return command_wrong_option(argv, table);
	}
	if (optind != argc - 1 || !dir || !out)
		return command_usage("issue-ca needs device, unattested or service, and --dir and --out");
	if (!issue_ca(argv[optind], dir, out, &f).ok)
		return command_failed(&f);
	printf("%s.key %s.pem\n", out, out);
	return EXIT_SUCCESS;
}
