#include "factory.h"

#include "common/record_upload.h"
#include "make.h"

#include <stdio.h>
#include <string.h>

static void show_made(uint64_t made, uint64_t count)
{
	if (count > 100)
		factory_progress(made == count, "%llu of %llu devices", (unsigned long long)made,
				 (unsigned long long)count);
}

static void show_sent(const struct record_upload_progress *p, void *arg)
{
	(void)arg;
	factory_progress(p->bytes == p->bytes_total, "%llu records, %llu %%", (unsigned long long)p->records,
			 (unsigned long long)(p->bytes_total ? p->bytes * 100 / p->bytes_total : 100));
}

static const char *either(const char *value, const char *otherwise)
{
	return value ? value : otherwise;
}

static outcome take_request(const struct arguments *a, struct make_request *o, struct fault *f)
{
	long count = 0;
	const char *evidence = either(argument(a, "evidence"), "both");
	bool both = !strcmp(evidence, "both");
	*o = (struct make_request){
		.batch = either(argument(a, "batch"), "B1"),
		.model = either(argument(a, "model"), "thermo-1"),
		.rot_key_file = argument(a, "rot-key"),
		.psa_token = both || !strcmp(evidence, "psa-token"),
		.cose_csr = both || !strcmp(evidence, "cose-csr"),
		.records_only = argument_flag(a, "records-only"),
		.progress = show_made,
	};
	outcome r = factory_need(a, "dir", &o->folder, f);
	if (r.ok && !argument(a, "count"))
		r = refuse(f, REASON_BAD_FIELD, "--count is needed");
	if (r.ok)
		r = argument_number(a, "count", 1, 100000000, 0, &count, f);
	o->count = (uint64_t)count;
	return r;
}

static int make(struct ctl *c, const struct arguments *a)
{
	struct make_request o;
	struct fault f;
	(void)c;
	if (!take_request(a, &o, &f).ok)
		return ctl_usage("make: %s", f.text);
	if (!make_devices(&o, &f).ok)
		return ctl_fail(&f);
	printf("%llu device%s of batch %s, model %s: %s/records.ndjson\n", (unsigned long long)o.count,
	       o.count == 1 ? "" : "s", o.batch, o.model, o.folder);
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
	ctl_fail(f);
	if (remedy[0])
		fprintf(stderr, "mooring-factory: %s\n", remedy);
	fprintf(stderr,
		"mooring-factory: %llu records are in; what is missing is sent by the same command again "
		"(import %s)\n",
		(unsigned long long)p->records, import_id);
	return EXIT_REFUSED;
}

static outcome take_service(const struct arguments *a, struct admin_client_options *service, struct fault *f)
{
	outcome r = factory_need(a, "endpoint", &service->endpoint, f);
	if (r.ok)
		r = factory_need(a, "ca", &service->ca_file, f);
	return r.ok ? factory_need(a, "key", &service->key_file, f) : r;
}

static int publish(struct ctl *c, const struct arguments *a)
{
	const char *records = a->words[0], *import_id = argument(a, "import-id");
	struct admin_client_options service = {0};
	char derived[IMPORT_ID_SIZE];
	struct record_upload_progress p;
	struct fault f;
	if (!take_service(a, &service, &f).ok)
		return ctl_usage("publish: %s", f.text);
	if (!import_id && !record_upload_import_id(records, derived, &f).ok)
		return ctl_fail(&f);
	import_id = either(import_id, derived);
	if (!admin_client_new(&service, &c->client, &f).ok)
		return ctl_fail(&f);
	outcome r = record_upload(c->client, records, import_id, show_sent, NULL, &p, &f);
	return r.ok ? print_published(import_id, &p)
		    : fail_to_publish(import_id, &p, &f, admin_client_remedy(c->client));
}

static const struct option_spec make_options[] = {
	{"count", "N", "how many, 1 to 100000000"},
	{"dir", "OUT", "a folder that has no records yet; made where it is missing"},
	{"batch", "B", "production batch, 1 to 64 of A-Z a-z 0-9 . _ - (B1)"},
	{"model", "M", "product, the same (thermo-1)"},
	{"evidence", "psa-token|cose-csr|both", "what its devices are registered to give (both)"},
	{"rot-key", "PEM", "inject this key instead of a new one, into one device: an emulator"},
	{"records-only", NULL, "only the records; the keys are thrown away. For trying a big import"},
	{NULL, NULL, NULL},
};

static const struct option_spec publish_options[] = {
	{"endpoint", "URL", "the attestation service, https://host[:port]"},
	{"ca", "PEM", "its certificate authority, the only one that is trusted"},
	{"key", "KEYFILE", "an access key of that service (mooringctl admin init)"},
	{"import-id", "ID", "names the import (from the contents of RECORDS)"},
	{NULL, NULL, NULL},
};

const struct command make_commands[] = {
	{
		.name = "make",
		.arguments = "--count N --dir OUT [--batch B] [--model M] [--evidence TYPE]",
		.summary = "make devices: a RoT key, an identity and a record for each",
		.help = "Makes N devices, each with a new Root of Trust key and an identity, and one record "
			"a\n"
			"device for the attestation service: instance ID, public key, batch, model, kinds "
			"of\n"
			"evidence.",
		.examples = "  mooring-factory make --count 3 --dir factory --batch 2026-47\n",
		.files = "  OUT/<n>/secure          of device <n>: rot.key (its Root of Trust), "
			 "identity.json\n"
			 "  OUT/records.ndjson      the records, a JSON object a line: what publish sends\n",
		.options = make_options,
		.run = make,
		.offline = true,
	},
	{
		.name = "publish",
		.arguments = "RECORDS --endpoint URL --ca PEM --key KEYFILE [--import-id ID]",
		.summary = "send the records of devices to the attestation service",
		.help = "Sends the records in batches of at most 256 KiB. Interrupted, it is run again: what "
			"was\n"
			"recorded is not recorded twice, and is counted as there already.",
		.examples = "  mooring-factory publish factory/records.ndjson \\\n"
			    "      --endpoint https://attest.example.com --ca ca.pem --key admin.json\n",
		.options = publish_options,
		.words_min = 1,
		.words_max = 1,
		.run = publish,
		.offline = true,
	},
	{0},
};
