#include "commands.h"

#include "folder.h"
#include "common/clock.h"
#include "common/file.h"

#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { DAY_S = 86400, WARN_DAYS = 30, PEM_MAX = 262144, NAME_ROOM = 256 };

struct status {
	int64_t now;
	bool json;
	bool warned;
	size_t rows; /* printed, for people */
	json_t *list;
};

static const char *state_of(int64_t now, int64_t from, int64_t to)
{
	return now > to				       ? "expired"
	       : now < from			       ? "not yet valid"
	       : to - now < WARN_DAYS * (int64_t)DAY_S ? "expiring"
						       : "ok";
}

static void date_of(int64_t unix_s, char out[16])
{
	time_t t = (time_t)unix_s;
	struct tm tm;
	gmtime_r(&t, &tm);
	strftime(out, 16, "%Y-%m-%d", &tm);
}

static void add_cert(struct status *s, const char *file, X509 *cert)
{
	char name[NAME_ROOM], issuer[NAME_ROOM] = "", date[16];
	int64_t from, to;
	if (!cert_common_name(cert, name, sizeof name))
		snprintf(name, sizeof name, "(no common name)");
	X509_NAME_get_text_by_NID(X509_get_issuer_name(cert), NID_commonName, issuer, sizeof issuer);
	cert_dates(cert, &from, &to);
	const char *state = state_of(s->now, from, to);
	long long days = (to - s->now) / DAY_S;
	s->warned |= strcmp(state, "ok") != 0;
	if (s->json) {
		json_array_append_new(s->list, json_pack("{ss ss ss sI sI sI ss}", "file", file, "name", name,
							 "issuer", issuer, "not_before", (json_int_t)from,
							 "not_after", (json_int_t)to, "days_left",
							 (json_int_t)days, "state", state));
		return;
	}
	date_of(to, date);
	if (s->rows++ == 0)
		printf("%-14s %-40s %-10s %6s  %s\n", "STATE", "NAME", "EXPIRES", "DAYS", "FILE");
	printf("%-14s %-40s %-10s %6lld  %s\n", state, name, date, days, file);
}

/* Every certificate of a PEM file: leaf and chain. */
static outcome add_file(struct status *s, const char *path, struct fault *f)
{
	struct buf text = {0};
	size_t found = 0;
	outcome o = file_read(path, PEM_MAX, &text, f);
	if (!o.ok)
		return o;
	BIO *bio = BIO_new_mem_buf(text.p, (int)text.n);
	for (X509 *cert; bio && (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL)); found++) {
		add_cert(s, path, cert);
		X509_free(cert);
	}
	BIO_free(bio);
	ERR_clear_error();
	buf_free(&text);
	return found ? DONE : refuse(f, REASON_CRYPTO, "%s holds no certificate in PEM", path);
}

static int is_pem(const struct dirent *e)
{
	size_t n = strlen(e->d_name);
	return n > 4 && !strcmp(e->d_name + n - 4, ".pem");
}

static outcome add_folder(struct status *s, const char *dir, struct fault *f)
{
	struct dirent **entries = NULL;
	char path[PATH_MAX];
	int n = scandir(dir, &entries, is_pem, alphasort);
	outcome o = n > 0   ? DONE
		    : n < 0 ? file_fault(f, errno, "open", dir)
			    : refuse(f, REASON_NOT_FOUND,
				     "%s holds no .pem file: it is what `mooring-ca init` makes", dir);
	for (int i = 0; i < n; i++) {
		if (o.ok)
			o = folder_path(dir, entries[i]->d_name, path, f);
		if (o.ok)
			o = add_file(s, path, f);
		free(entries[i]);
	}
	free(entries);
	return o;
}

static outcome add_all(struct status *s, const char *dir, char **files, size_t count, struct fault *f)
{
	outcome o = dir ? add_folder(s, dir, f) : DONE;
	for (size_t i = 0; o.ok && i < count; i++)
		o = add_file(s, files[i], f);
	return o;
}

static int finish(const struct status *s, const char *dir)
{
	if (s->json) {
		json_dumpf(s->list, stdout, JSON_INDENT(2));
		putchar('\n');
	} else if (s->warned) {
		fprintf(stderr,
			"mooring-ca: not all is ok: renew what expires within %d days: mooring-ca "
			"issue-service, %s\n",
			WARN_DAYS, dir ? "mooring-ca issue-ca" : "mooring-ca issue-ca for a CA");
	}
	return s->warned ? EXIT_FAILURE : EXIT_SUCCESS;
}

int command_status(int argc, char **argv)
{
	static const struct option table[] = {{"dir", required_argument, NULL, 'd'},
					      {"cert", required_argument, NULL, 'c'},
					      {"json", no_argument, NULL, 'j'},
					      {NULL, 0, NULL, 0}};
	struct status s = {.now = clock_wall_s(), .list = json_array()};
	const char *dir = NULL;
	char **files = calloc((size_t)argc + 1, sizeof *files);
	size_t count = 0;
	struct fault f;
	int code = s.list && files ? -1 : EXIT_FAILURE;
	for (int o; code < 0 && (o = getopt_long(argc, argv, "", table, NULL)) != -1;) {
		if (o == 'd')
			dir = optarg;
		else if (o == 'c')
			files[count++] = optarg;
		else if (o == 'j')
			s.json = true;
		else
			code = command_wrong_option(argv, table);
	}
	while (code < 0 && count && optind < argc)
		files[count++] = argv[optind++];
	if (code < 0 && ((!dir && !count) || optind < argc))
		code = command_usage("status needs --dir DIR or --cert FILE...");
	if (code < 0)
		code = add_all(&s, dir, files, count, &f).ok ? finish(&s, dir) : command_failed(&f);
	json_decref(s.list);
	free(files);
	return code;
}
