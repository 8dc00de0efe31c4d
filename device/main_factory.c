/* mooring-factory: makes devices, and publishes their records to the attestation service. */
#include "common/clock.h"
#include "factory_make.h"
#include "common/nearest.h"
#include "common/record_upload.h"
#include "common/version.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char HELP[] =
	"usage: mooring-factory make --count N --dir OUT [--batch B] [--model M] [--evidence TYPE]\n"
	"       mooring-factory publish RECORDS --endpoint URL --ca PEM --key KEYFILE [--import-id ID]\n"
	"\n"
	"mooring-factory - what happens to a thermometer before it is sold\n"
	"\n"
	"make      makes N devices, each with a new Root of Trust key and an identity, and one record a "
	"device:\n"
	"          instance ID, public key, batch, model, kinds of evidence.\n"
	"publish   sends the records to the attestation service, in batches of at most 256 KiB. Interrupted, "
	"it\n"
	"          is run again: what was recorded is not recorded twice, and is counted as there already.\n"
	"\n"
	"Options of make\n"
	"  --count N               how many, 1 to 100000000\n"
	"  --dir OUT               a folder that has no records yet; made where it is missing\n"
	"  --batch B               production batch, 1 to 64 of A-Z a-z 0-9 . _ - (B1)\n"
	"  --model M               product, the same (thermo-1)\n"
	"  --evidence TYPE         what its devices are registered to give: psa-token, cose-csr or both "
	"(both)\n"
	"  --rot-key PEM           inject this key instead of a new one, into one device: an emulator\n"
	"  --records-only          only the records; the keys are thrown away. For trying an import of a "
	"million\n"
	"\n"
	"Options of publish\n"
	"  --endpoint URL          the attestation service, https://host[:port]\n"
	"  --ca PEM                its certificate authority, the only one that is trusted\n"
	"  --key KEYFILE           an access key of that service (mooringctl admin init)\n"
	"  --import-id ID          names the import (from the contents of RECORDS)\n"
	"\n"
	"  --help, --version\n"
	"\n"
	"Exit code\n"
	"  0 done, 1 failed or refused, 2 wrong usage\n"
	"\n"
	"Files\n"
	"  OUT/<n>/secure          of device <n>: rot.key (its Root of Trust), identity.json\n"
	"  OUT/records.ndjson      the records, a JSON object a line: what publish sends\n"
	"\n"
	"Examples\n"
	"  mooring-factory make --count 3 --dir factory --batch 2026-47\n"
	"  mooring-factory publish factory/records.ndjson --endpoint https://attest.example.com --ca ca.pem "
	"\\\n"
	"      --key admin.json\n";

enum { EXIT_DONE, EXIT_FAILED, EXIT_USAGE };
enum {
	OPT_COUNT = 256,
	OPT_DIR,
	OPT_BATCH,
	OPT_MODEL,
	OPT_EVIDENCE,
	OPT_ROT_KEY,
	OPT_RECORDS_ONLY,
	OPT_ENDPOINT,
	OPT_CA,
	OPT_KEY,
	OPT_IMPORT_ID,
	OPT_HELP,
	OPT_VERSION
};

static const struct option long_options[] = {
	{"count", required_argument, NULL, OPT_COUNT},
	{"dir", required_argument, NULL, OPT_DIR},
	{"batch", required_argument, NULL, OPT_BATCH},
	{"model", required_argument, NULL, OPT_MODEL},
	{"evidence", required_argument, NULL, OPT_EVIDENCE},
	{"rot-key", required_argument, NULL, OPT_ROT_KEY},
	{"records-only", no_argument, NULL, OPT_RECORDS_ONLY},
	{"endpoint", required_argument, NULL, OPT_ENDPOINT},
	{"ca", required_argument, NULL, OPT_CA},
	{"key", required_argument, NULL, OPT_KEY},
	{"import-id", required_argument, NULL, OPT_IMPORT_ID},
	{"help", no_argument, NULL, OPT_HELP},
	{"version", no_argument, NULL, OPT_VERSION},
	{NULL, 0, NULL, 0},
};

struct arguments {
	struct factory_order order;
	struct admin_client_options service;
	const char *import_id;
};

static int usage(const char *what)
{
	fprintf(stderr, "mooring-factory: %s%s --help explains.\n", what,
		what[strlen(what) - 1] == '?' ? "" : ".");
	return EXIT_USAGE;
}

static int fail(const struct fault *f)
{
	fprintf(stderr, "mooring-factory: %s: %s\n", reason_code(f->reason), f->text);
	return EXIT_FAILED;
}

/* Once in a while, on a terminal only. */
static bool show_now(bool last)
{
	static int64_t shown;
	int64_t now = clock_monotonic_ms();
	if (!isatty(STDERR_FILENO) || (!last && now - shown < 200))
		return false;
	shown = now;
	return true;
}

static void show_made(uint64_t made, uint64_t count)
{
	if (count > 100 && show_now(made == count))
		fprintf(stderr, "\r%llu of %llu devices%s", (unsigned long long)made,
			(unsigned long long)count, made == count ? "\n" : "");
}

static void show_sent(const struct record_upload_progress *p, void *arg)
{
	bool last = p->bytes == p->bytes_total;
	(void)arg;
	if (show_now(last))
		fprintf(stderr, "\r%llu records, %llu %%%s", (unsigned long long)p->records,
			(unsigned long long)(p->bytes_total ? p->bytes * 100 / p->bytes_total : 100),
			last ? "\n" : "");
}

static bool take_count(const char *text, uint64_t *out)
{
	char *end;
	long long v = strtoll(text, &end, 10);
	*out = (uint64_t)v;
	return end != text && !*end && v >= 1 && v <= 100000000;
}

static bool take_evidence(const char *text, struct factory_order *order)
{
	bool both = !strcmp(text, "both");
	order->psa_token = both || !strcmp(text, "psa-token");
	order->cose_csr = both || !strcmp(text, "cose-csr");
	return order->psa_token || order->cose_csr;
}

static bool take(int option, const char *value, struct arguments *a)
{
	const char **const texts[] = {
		[OPT_DIR - OPT_COUNT] = &a->order.folder,
		[OPT_BATCH - OPT_COUNT] = &a->order.batch,
		[OPT_MODEL - OPT_COUNT] = &a->order.model,
		[OPT_ROT_KEY - OPT_COUNT] = &a->order.rot_key_file,
		[OPT_ENDPOINT - OPT_COUNT] = &a->service.endpoint,
		[OPT_CA - OPT_COUNT] = &a->service.ca_file,
		[OPT_KEY - OPT_COUNT] = &a->service.key_file,
		[OPT_IMPORT_ID - OPT_COUNT] = &a->import_id,
	};
	if (option == OPT_COUNT)
		return take_count(value, &a->order.count);
	if (option == OPT_EVIDENCE)
		return take_evidence(value, &a->order);
	if (option == OPT_RECORDS_ONLY)
		return a->order.records_only = true;
	if (option < OPT_COUNT || option > OPT_IMPORT_ID)
		return false;
	*texts[option - OPT_COUNT] = value;
	return true;
}

static int make(struct arguments *a)
{
	struct fault f;
	if (!a->order.count || !a->order.folder)
		return usage("make needs --count and --dir");
	a->order.progress = show_made;
	if (!factory_make(&a->order, &f).ok)
		return fail(&f);
	printf("%llu device%s of batch %s, model %s: %s/records.ndjson\n", (unsigned long long)a->order.count,
	       a->order.count == 1 ? "" : "s", a->order.batch, a->order.model, a->order.folder);
	return EXIT_DONE;
}

static int print_published(const char *import_id, const struct record_upload_progress *p)
{
	printf("import %s: %llu record%s in %llu batch%s, %llu new, %llu there already\n", import_id,
	       (unsigned long long)p->records, p->records == 1 ? "" : "s", (unsigned long long)p->batches,
	       p->batches == 1 ? "" : "es", (unsigned long long)p->inserted,
	       (unsigned long long)p->unchanged);
	return EXIT_DONE;
}

static int fail_to_publish(const char *import_id, const struct record_upload_progress *p,
			   const struct fault *f, const char *remedy)
{
	fail(f);
	if (remedy[0])
		fprintf(stderr, "mooring-factory: %s\n", remedy);
	fprintf(stderr,
		"mooring-factory: %llu records are in; what is missing is sent by the same command again "
		"(import %s)\n",
		(unsigned long long)p->records, import_id);
	return EXIT_FAILED;
}

static int publish(const struct arguments *a, const char *records)
{
	char derived[IMPORT_ID_SIZE];
	struct admin_client *client;
	struct record_upload_progress p;
	struct fault f;
	if (!a->service.endpoint || !a->service.ca_file || !a->service.key_file)
		return usage("publish needs --endpoint, --ca and --key");
	const char *import_id = a->import_id ? a->import_id : derived;
	if (!a->import_id && !record_upload_import_id(records, derived, &f).ok)
		return fail(&f);
	if (!admin_client_new(&a->service, &client, &f).ok)
		return fail(&f);
	outcome r = record_upload(client, records, import_id, show_sent, NULL, &p, &f);
	int code = r.ok ? print_published(import_id, &p)
			: fail_to_publish(import_id, &p, &f, admin_client_remedy(client));
	admin_client_free(client);
	return code;
}

/* What getopt_long calls wrong, or a value that its option does not take. */
static int wrong_option(int option, const char *value, char *const *argv)
{
	char text[NEAREST_TEXT_MAX];
	if (option == '?')
		nearest_option(argv, long_options, text);
	else
		snprintf(text, sizeof text, "%s: not a value of this option", value);
	return usage(text);
}

static int wrong_command(const char *word)
{
	char text[NEAREST_TEXT_MAX];
	struct nearest near = nearest_begin(word);
	nearest_offer(&near, "make");
	nearest_offer(&near, "publish");
	snprintf(text, sizeof text, "there is no command \"%.64s\"%s%s%s", word,
		 near.best[0] ? ": did you mean " : "", near.best, near.best[0] ? "?" : "");
	return usage(*word ? text : "one command is needed: make, or publish RECORDS");
}

int main(int argc, char **argv)
{
	struct arguments a = {
		.order = {.batch = "B1", .model = "thermo-1", .psa_token = true, .cose_csr = true}};
	int option;
	opterr = 0;
	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		if (option == OPT_HELP || option == OPT_VERSION) {
			fputs(option == OPT_HELP ? HELP : "mooring-factory " MOORING_VERSION "\n", stdout);
			return EXIT_DONE;
		}
		if (!take(option, optarg, &a))
			return wrong_option(option, optarg, argv);
	}
	const char *command = optind < argc ? argv[optind] : "";
	if (!strcmp(command, "make"))
		return optind + 1 == argc ? make(&a) : usage("make takes options only");
	if (!strcmp(command, "publish"))
		return optind + 2 == argc ? publish(&a, argv[optind + 1])
					  : usage("publish needs one file: RECORDS");
	return wrong_command(command);
}
