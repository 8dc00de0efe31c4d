#include "ctl.h"
#include "text.h"
#include "common/clock.h"
#include "common/crypto/cert.h"
#include "common/file.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { WARN_DAYS = 30, PEM_FILE_MAX = 1 << 20, ROLE_SIZE = 64, DAY_S = 86400 };

struct survey {
	long warn_days;
	int64_t now;
	json_t *found; /* one object a certificate */
	bool warned;
};

/* ---- what a certificate is for ---- */

/* The part after "spiffe://<trust domain>/" of the first such URI among the alternative names; false where
 * there is none. */
static bool spiffe_path(X509 *cert, char *out, size_t room)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	bool found = false;
	for (int i = 0; i < sk_GENERAL_NAME_num(names) && !found; i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
		if (name->type != GEN_URI)
			continue;
		char uri[256];
		int n = ASN1_STRING_length(name->d.uniformResourceIdentifier);
		snprintf(uri, sizeof uri, "%.*s", n < 255 ? n : 255,
			 (const char *)ASN1_STRING_get0_data(name->d.uniformResourceIdentifier));
		const char *path = strncmp(uri, "spiffe://", 9) ? NULL : strchr(uri + 9, '/');
		found = path && snprintf(out, room, "%s", path + 1) < (int)room;
	}
	GENERAL_NAMES_free(names);
	return found;
}

static void find_role(X509 *cert, char out[ROLE_SIZE])
{
	char path[256] = "";
	uint32_t flags = X509_get_extension_flags(cert), use = X509_get_extended_key_usage(cert);
	const char *purpose = use == UINT32_MAX ? "any purpose"
			      : (use & XKU_SSL_CLIENT)
				      ? (use & XKU_SSL_SERVER ? "client and server" : "client")
			      : (use & XKU_SSL_SERVER) ? "server"
						       : "other purposes";
	if (flags & EXFLAG_CA)
		snprintf(out, ROLE_SIZE, flags & EXFLAG_SS ? "root CA" : "issuing CA, %s", purpose);
	else if (spiffe_path(cert, path, sizeof path) && !strncmp(path, "thing/", 6))
		snprintf(out, ROLE_SIZE, "device");
	else if (!strncmp(path, "service/", 8))
		snprintf(out, ROLE_SIZE, "%.*s, %s", (int)strcspn(path + 8, "/"), path + 8, purpose);
	else
		snprintf(out, ROLE_SIZE, "%s", purpose);
}

/* ---- the survey ---- */

static const char *standing_of(struct survey *s, int64_t not_before, int64_t not_after)
{
	const char *state = not_after < s->now				? "expired"
			    : not_before > s->now			? "not yet valid"
			    : not_after - s->now < s->warn_days * DAY_S ? "renew soon"
									: "ok";
	s->warned = s->warned || strcmp(state, "ok");
	return state;
}

static bool is_known(const struct survey *s, const char *id)
{
	size_t i;
	json_t *known;
	json_array_foreach(s->found, i, known)
		if (!strcmp(json_string_value(json_object_get(known, "certificateId")), id))
			return true;
	return false;
}

/* The same certificate stands in many files: chains repeat their issuer. It is counted once. */
static void add(struct survey *s, const char *path, X509 *cert)
{
	struct buf der = {0};
	uint8_t fingerprint[FINGERPRINT_SIZE];
	char id[HEX_SIZE(FINGERPRINT_SIZE)], name[128] = "", role[ROLE_SIZE];
	int64_t not_before = 0, not_after = 0;
	if (!cert_to_der(cert, &der))
		return;
	cert_fingerprint(buf_view(&der), fingerprint);
	buf_free(&der);
	hex_encode(bytes_of(fingerprint, sizeof fingerprint), id);
	if (is_known(s, id))
		return;
	if (!cert_common_name(cert, name, sizeof name))
		strcpy(name, "(no single common name)");
	find_role(cert, role);
	cert_dates(cert, &not_before, &not_after);
	json_array_append_new(s->found, json_pack("{s:s, s:s, s:I, s:I, s:s, s:s, s:s}", "name", name, "role",
						  role, "notAfter", (json_int_t)not_after, "daysLeft",
						  (json_int_t)((not_after - s->now) / DAY_S), "state",
						  standing_of(s, not_before, not_after), "certificateId", id,
						  "file", path));
}

/* Every certificate of a PEM file, chains included; *count says how many there were. */
static outcome survey_file(struct survey *s, const char *path, size_t *count, struct fault *f)
{
	struct buf text = {0};
	outcome o = file_read(path, PEM_FILE_MAX, &text, f);
	if (!o.ok)
		return o;
	BIO *bio = BIO_new_mem_buf(text.p, (int)text.n);
	X509 *cert;
	*count = 0;
	while (bio && (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
		add(s, path, cert);
		X509_free(cert);
		++*count;
	}
	ERR_clear_error();
	BIO_free(bio);
	buf_free(&text);
	return DONE;
}

static int is_pem(const struct dirent *e)
{
	const char *dot = strrchr(e->d_name, '.');
	return dot && (!strcmp(dot, ".pem") || !strcmp(dot, ".crt") || !strcmp(dot, ".cer"));
}

/* Files without a certificate, such as public keys, are passed over here. */
static outcome survey_folder(struct survey *s, const char *path, struct fault *f)
{
	struct dirent **names = NULL;
	int n = scandir(path, &names, is_pem, alphasort);
	outcome o = n < 0 ? file_fault(f, errno, "read folder", path) : DONE;
	for (int i = 0; i < n; i++) {
		char file[PATH_MAX];
		size_t count;
		bool fits =
			(size_t)snprintf(file, sizeof file, "%s/%s", path, names[i]->d_name) < sizeof file;
		if (o.ok && fits)
			o = survey_file(s, file, &count, f);
		free(names[i]);
	}
	free(names);
	return o;
}

static outcome survey_path(struct survey *s, const char *path, struct fault *f)
{
	struct stat st;
	size_t count;
	if (stat(path, &st))
		return file_fault(f, errno, "open", path);
	if (S_ISDIR(st.st_mode))
		return survey_folder(s, path, f);
	outcome o = survey_file(s, path, &count, f);
	if (o.ok && count == 0)
		return refuse(f, REASON_BAD_ENCODING, "%s holds no PEM certificate", path);
	return o;
}

/* ---- what is printed ---- */

static void print_people(const struct ctl *c, const struct survey *s)
{
	static const char *const headings[] = {"NAME", "ROLE", "NOT AFTER", "DAYS", "STATE", "FILE"};
	struct table *t = table_new(headings, 6);
	size_t i;
	json_t *cert;
	json_array_foreach(s->found, i, cert) {
		char when[TEXT_TIME_SIZE], days[24];
		const char *state = json_string_value(json_object_get(cert, "state"));
		snprintf(days, sizeof days, "%" JSON_INTEGER_FORMAT,
			 json_integer_value(json_object_get(cert, "daysLeft")));
		const char *cells[] = {
			json_string_value(json_object_get(cert, "name")),
			json_string_value(json_object_get(cert, "role")),
			text_time_s(json_integer_value(json_object_get(cert, "notAfter")), when),
			days,
			state,
			json_string_value(json_object_get(cert, "file")),
		};
		table_row(t, cells, 4, text_state_colour(state));
	}
	table_end(t, c->colour, "no certificates");
}

static int by_not_after(const void *a, const void *b)
{
	json_int_t x = json_integer_value(json_object_get(*(json_t *const *)a, "notAfter"));
	json_int_t y = json_integer_value(json_object_get(*(json_t *const *)b, "notAfter"));
	return x < y ? -1 : x > y;
}

/* What ends first comes first. */
static void sort(json_t *found)
{
	size_t n = json_array_size(found);
	json_t **all = calloc(n + 1, sizeof *all);
	for (size_t i = 0; all && i < n; i++)
		all[i] = json_incref(json_array_get(found, i));
	if (all)
		qsort(all, n, sizeof *all, by_not_after);
	for (size_t i = 0; all && i < n; i++)
		json_array_set_new(found, i, all[i]);
	free(all);
}

static int ca_status(struct ctl *c, const struct arguments *a)
{
	struct survey s = {.now = clock_wall_s(), .found = json_array()};
	struct fault f = {0};
	if (!argument_number(a, "days", 0, 36500, WARN_DAYS, &s.warn_days, &f).ok) {
		json_decref(s.found);
		return ctl_usage("%s", f.text);
	}
	int code = EXIT_DONE;
	for (size_t i = 0; i < a->word_count; i++)
		if (!survey_path(&s, a->words[i], &f).ok)
			code = ctl_fail(&f);
	bool nothing = code != EXIT_DONE && !json_array_size(s.found);
	sort(s.found);
	if (!nothing && !c->json)
		print_people(c, &s);
	json_t *all = json_pack("{s:o}", "certificates", s.found);
	if (!nothing && c->json) {
		json_dumpf(all, stdout, JSON_PRESERVE_ORDER);
		putchar('\n');
	}
	json_decref(all);
	return s.warned ? EXIT_REFUSED : code;
}

static const struct option_spec options[] = {
	{"days", "N", "warn this many days before the end, 0 to 36500 (30)"},
	{NULL, NULL, NULL},
};

const struct command ca_commands[] = {
	{
		.name = "ca status",
		.arguments = "FILE-OR-FOLDER... [--days N]",
		.summary = "certificates by their end: names, roles, days left",
		.help = "Reads every certificate of the PEM files given, and of the *.pem, *.crt and\n"
			"*.cer files of the folders given: authorities and servers alike. What ends\n"
			"first comes first. A file given that holds no certificate, such as a public key,\n"
			"is named, and the others are shown all the same. Made to be a daily job.",
		.examples =
			"  mooringctl ca status /etc/mooring/pki\n"
			"  mooringctl ca status root.pem device.pem /srv/*/pki --days 60 || mail -s 'renew' ops@example.com\n",
		.options = options,
		.words_min = 1,
		.words_max = WORDS_MAX,
		.run = ca_status,
		.offline = true,
		.exits =
			"0 all are good for longer; 1 one has expired, is not valid yet, or ends within --days,\n"
			"  or a file given cannot be read or holds none; 2 wrong usage",
	},
	{0},
};
