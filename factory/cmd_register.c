#include "device_list.h"
#include "register.h"
#include "register_intake.h"
#include "register_receipt.h"

#include "device/store.h"

#include <openssl/pem.h>
#include <stdio.h>
#include <unistd.h>

/* ---- init, open ---- */

static int register_init(struct ctl *c, const struct arguments *a)
{
	char key_path[FACTORY_PATH_MAX], public_path[FACTORY_PATH_MAX] = "";
	const char *folder = NULL;
	struct fault f;
	EVP_PKEY *key = NULL;
	(void)c;
	outcome r = factory_need(a, "dir", &folder, &f);
	if (r.ok)
		r = factory_folder(folder, 0700, &f);
	if (r.ok)
		r = factory_path(folder, "register.key", key_path, &f);
	if (r.ok)
		r = factory_path(folder, "register.pub.pem", public_path, &f);
	if (r.ok && !access(key_path, F_OK) && !access(public_path, F_OK))
		r = refuse(&f, REASON_CONFLICT, "%s has a register's key already", folder);
	if (r.ok)
		r = factory_own_key(key_path, &key, &f);
	if (r.ok)
		r = key_save_public_pem(public_path, key, &f);
	if (r.ok) {
		PEM_write_PUBKEY(stdout, key);
		printf("  to send            %s to the OEM: programme init --register-key\n"
		       "  to take in         programme.json, which comes back:\n"
		       "                     mooring-factory register open --dir %s --programme "
		       "programme.json\n",
		       public_path, folder);
	}
	EVP_PKEY_free(key);
	return factory_end(r, &f);
}

static int register_open(struct ctl *c, const struct arguments *a)
{
	struct programme p;
	struct fault f;
	const char *folder, *programme;
	(void)c;
	outcome r = factory_need(a, "dir", &folder, &f);
	if (r.ok)
		r = factory_need(a, "programme", &programme, &f);
	if (r.ok)
		r = programme_load(programme, &p, &f);
	if (r.ok)
		r = register_log_create(folder, &p, &f);
	if (r.ok)
		printf("the register of %s is open: %s/register.log\n", p.name, folder);
	return factory_end(r, &f);
}

static void print_refusal(void *arg, const struct candidate *c, const struct fault *f)
{
	static const char *const kinds[] = {[PROVENANCE_WORK_ORDER] = "work order",
					    [PROVENANCE_STAGE_STATEMENT] = "statement",
					    [PROVENANCE_LINE_RECORD] = "line record"};
	const char *kind = c->type > 0 && c->type <= PROVENANCE_LINE_RECORD ? kinds[c->type] : "object";
	uint8_t hash[SHA256_SIZE];
	char hex[HEX_SIZE(8)];
	(void)arg;
	sha256(c->object, hash);
	hex_encode(bytes_of(hash, 8), hex);
	fprintf(stderr, "mooring-factory: %s: %s %s: %s: %s\n", c->file, kind, hex, reason_code(f->reason),
		f->text);
}

static int register_add(struct ctl *c, const struct arguments *a)
{
	struct factory_register r;
	struct register_intake in = {0};
	struct fault f;
	outcome o = register_begin(&r, a, true, &f);
	for (size_t i = 0; o.ok && i < a->word_count; i++)
		o = register_intake_read(&in, a->words[i], &f);
	if (o.ok)
		o = register_intake_offer(&in, &r, print_refusal, NULL, &f);
	if (o.ok)
		o = register_log_commit(&r.log, &f);
	if (o.ok && c->json)
		printf("{\"new\": %zu, \"there\": %zu, \"refused\": %zu, \"entries\": %zu}\n", in.taken,
		       in.there, in.refused, r.log.count);
	else if (o.ok)
		printf("%zu new, %zu there already, %zu refused; %zu entries\n", in.taken, in.there,
		       in.refused, r.log.count);
	int code = !o.ok ? ctl_fail(&f) : in.refused ? (int)EXIT_REFUSED : (int)EXIT_DONE;
	register_intake_free(&in);
	register_end(&r);
	return code;
}

static outcome put_receipt(const struct factory_register *r, const char *device, struct fault *f)
{
	struct store store;
	struct buf chain = {0}, out = {0};
	outcome o = store_create(device, &store, f);
	if (o.ok)
		o = store_load_chain(&store, &chain, f);
	if (o.ok && !chain.n)
		o = refuse(f, REASON_CHAIN_MISSING, "the device has no chain");
	if (o.ok)
		o = register_receipt_put(r, buf_view(&chain), &out, f);
	if (o.ok)
		o = store_save_chain(&store, buf_view(&out), f);
	buf_free(&chain);
	buf_free(&out);
	return o;
}

static int register_receipt(struct ctl *c, const struct arguments *a)
{
	struct factory_register r;
	struct device_list devices = {0};
	struct fault f;
	size_t done = 0;
	(void)c;
	outcome o = register_begin(&r, a, false, &f);
	if (o.ok)
		o = device_list_make(a, NULL, &devices, &f);
	for (size_t i = 0; o.ok && i < devices.count; i++) {
		if (put_receipt(&r, devices.paths[i], &f).ok)
			done++;
		else
			fprintf(stderr, "mooring-factory: %s: %s: %s\n", devices.paths[i],
				reason_code(f.reason), f.text);
		if (devices.count > 1)
			factory_progress(i + 1 == devices.count, "%zu of %zu", i + 1, devices.count);
	}
	int code = !o.ok ? ctl_fail(&f) : done < devices.count ? (int)EXIT_REFUSED : (int)EXIT_DONE;
	if (o.ok)
		printf("receipts for %zu of %zu device%s\n", done, devices.count,
		       devices.count == 1 ? "" : "s");
	device_list_free(&devices);
	register_end(&r);
	return code;
}

static const struct option_spec dir_options[] = {
	{"dir", "DIR", "the register's folder"},
	{NULL, NULL, NULL},
};
static const struct option_spec init_options[] = {
	{"dir", "DIR", "the register's folder; made where it is missing (0700)"},
	{NULL, NULL, NULL},
};
static const struct option_spec open_options[] = {
	{"dir", "DIR", "the register's folder, with its key"},
	{"programme", "PROGRAMME.json", "the OEM's public file"},
	{NULL, NULL, NULL},
};
static const struct option_spec receipt_options[] = {
	{"dir", "DIR", "the register's folder"},
	{"all", "FOLDER", "each device in this folder"},
	{NULL, NULL, NULL},
};
const struct command register_commands[] = {
	{
		.name = "register init",
		.arguments = "--dir DIR",
		.summary = "a key for the register; its public half goes to the OEM",
		.help = "The register says when a statement came to it, in a time that no line can choose. "
			"It has\n"
			"a key of its own and belongs to nobody who has a line or a gateway.",
		.examples = "  mooring-factory register init --dir register\n",
		.files = "  DIR/register.key        PKCS#8, 0600\n"
			 "  DIR/register.pub.pem    public: programme init --register-key\n",
		.options = init_options,
		.run = register_init,
		.offline = true,
	},
	{
		.name = "register open",
		.arguments = "--dir DIR --programme PROGRAMME.json",
		.summary = "begin the register of a programme, once its public file is there",
		.help = "Checks that the programme names this register's key, and begins an empty log.",
		.examples = "  mooring-factory register open --dir register --programme programme.json\n",
		.options = open_options,
		.run = register_open,
		.offline = true,
	},
	{
		.name = "register add",
		.arguments = "--dir DIR FILE...",
		.summary = "take in line records, work orders and the statements of lines' outboxes",
		.help = "Files and folders in any order: records go in first, then orders, then each "
			"statement\n"
			"after the one that it names. Checked: signatures, programme, that the line is "
			"known, active\n"
			"and may do the stage, the order and its number, the line before, the times. What is "
			"there\n"
			"already is counted and not added again. Two statements with one number are refused, "
			"and\n"
			"both are kept in DIR/proofs. When it answers, everything new is on disk.",
		.examples = "  mooring-factory register add --dir register *.record *.order line-1/outbox\n",
		.options = dir_options,
		.words_min = 1,
		.words_max = WORDS_MAX,
		.run = register_add,
		.offline = true,
	},
	{
		.name = "register receipt",
		.arguments = "--dir DIR (DEVICE... | --all FOLDER)",
		.summary = "put the register's receipt into the chain of a device",
		.help = "With a receipt a gateway needs no export to accept the device. Each device must "
			"have its\n"
			"whole chain in the register.",
		.examples = "  mooring-factory register receipt --dir register --all factory\n",
		.options = receipt_options,
		.words_max = WORDS_MAX,
		.run = register_receipt,
		.offline = true,
	},
	{0},
};
