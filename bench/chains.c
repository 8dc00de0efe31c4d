/*
 * chains - a supply chain for the devices of loadgen, in bulk: what mooring-factory's tools would make one by one.
 *
 *   chains --keys FILE --dir FOLDER [--stages N]
 *
 * FOLDER gets programme.json, line-K.record and line-K.order for each stage K, register.ndjson as it is shown to gateways,
 * and chains: a struct prepared_chain for each device of FILE, with the countersignature of its Root of Trust and the
 * register's receipt. The register has the statements in the order of devices. The answer is one JSON object: devices, stages, and the bytes of a chain.
 */
#include "prepared.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/provenance/line_record.h"
#include "common/provenance/programme.h"
#include "common/provenance/work_order.h"

#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH "BENCH"

enum { AGO_S = 600, DAY_S = 86400, PER_HOUR = 100000, EXPORT_ENTRIES = 1000 };

struct line {
	EVP_PKEY *key;
	uint8_t point[P256_POINT_SIZE], id[KEY_ID_SIZE];
};

struct supply {
	const char *folder;
	long stages, devices;
	struct programme programme;
	EVP_PKEY *programme_key, *authority, *register_key;
	struct line lines[STAGES_MAX];
	struct register_entry newest;
	uint8_t head[SHA256_SIZE];
	FILE *export; /* of the register */
	size_t bytes; /* of all chains */
};

static void must(bool ok, const char *what, const struct fault *f)
{
	if (ok)
		return;
	fprintf(stderr, "chains: %s: %s\n", what, f ? f->text : "failed");
	exit(1);
}

static EVP_PKEY *new_key(uint8_t point[P256_POINT_SIZE])
{
	EVP_PKEY *key = p256_key_generate();
	must(key && provenance_point(key, point), "key generation", NULL);
	return key;
}

static void keep(const struct supply *s, const char *kind, size_t i, struct buf *object)
{
	char path[PATH_MAX];
	struct fault f;
	snprintf(path, sizeof path, "%s/line-%zu.%s", s->folder, i + 1, kind);
	must(file_replace(path, buf_view(object), 0644, &f).ok, path, &f);
	buf_free(object);
}

static void begin_programme(struct supply *s)
{
	struct programme *p = &s->programme;
	char path[PATH_MAX];
	struct fault f;
	*p = (struct programme){.name = "Bench"};
	crypto_random(p->id, sizeof p->id);
	s->programme_key = new_key(p->programme_key);
	s->authority = new_key(p->line_authority_key);
	s->register_key = new_key(p->register_key);
	register_start(p->id, s->head);
	snprintf(path, sizeof path, "%s/programme.json", s->folder);
	must(programme_save(path, p, &f).ok, path, &f);
}

static void certify(struct supply *s, size_t i)
{
	struct line *line = &s->lines[i];
	struct line_record r = {.version = 1,
				.site = "Bench",
				.stages = {(uint8_t)(i + 1)},
				.stage_count = 1,
				.not_before = clock_wall_s() - AGO_S,
				.not_after = clock_wall_s() + DAY_S,
				.state = LINE_ACTIVE,
				.per_hour = PER_HOUR};
	struct buf object = {0};
	struct fault f;
	line->key = new_key(line->point);
	provenance_key_id(line->point, line->id);
	memcpy(r.programme, s->programme.id, PROGRAMME_ID_SIZE);
	memcpy(r.key, line->point, P256_POINT_SIZE);
	must(line_record_sign(&object, &r, s->authority, &f).ok, "a line record", &f);
	keep(s, "record", i, &object);
}

static void place_order(struct supply *s, size_t i)
{
	struct work_order order = {.batch = BATCH,
				   .stage = (int64_t)i + 1,
				   .quota = s->devices,
				   .not_before = clock_wall_s() - AGO_S,
				   .not_after = clock_wall_s() + DAY_S,
				   .register_within_s = DAY_S,
				   .previous_count = i ? 1 : 0};
	struct buf object = {0};
	struct fault f;
	memcpy(order.programme, s->programme.id, PROGRAMME_ID_SIZE);
	memcpy(order.line, s->lines[i].id, KEY_ID_SIZE);
	if (i)
		memcpy(order.previous[0], s->lines[i - 1].id, KEY_ID_SIZE);
	must(work_order_sign(&object, &order, s->programme_key, &f).ok, "a work order", &f);
	keep(s, "order", i, &object);
}

/* ---- a device ---- */

struct built {
	EVP_PKEY *rot;
	struct stage_statement statement; /* the newest; its successor grows out of it */
	struct buf objects[STAGES_MAX];
	struct receipt receipt;
	struct chain_parts parts;
};

/* A line of the export ends with the register's word for what it says so far. */
static void end_export_line(struct supply *s)
{
	struct register_head word = {.size = s->newest.index, .time = clock_wall_s()};
	char text[BASE64_SIZE(PROVENANCE_OBJECT_MAX)];
	struct buf object = {0};
	struct fault f;
	memcpy(word.programme, s->programme.id, PROGRAMME_ID_SIZE);
	memcpy(word.head, s->head, SHA256_SIZE);
	must(register_head_sign(&object, &word, s->register_key, &f).ok, "the register's word", &f);
	base64url_encode(buf_view(&object), text);
	fprintf(s->export, "], \"head\": \"%s\"}\n", text);
	buf_free(&object);
}

static void export_entry(struct supply *s)
{
	const struct register_entry *e = &s->newest;
	char hex[HEX_SIZE(SHA256_SIZE)];
	bool begins = e->index % EXPORT_ENTRIES == 1;
	if (begins)
		fprintf(s->export, "{\"first\": %lld, \"entries\": [", (long long)e->index);
	hex_encode(bytes_of(e->object, SHA256_SIZE), hex);
	fprintf(s->export, "%s{\"time\": %lld, \"object\": \"%s\"}", begins ? "" : ", ", (long long)e->time,
		hex);
	if (e->index % EXPORT_ENTRIES == 0)
		end_export_line(s);
}

static void register_statement(struct supply *s, struct built *b, size_t i)
{
	uint8_t head[SHA256_SIZE];
	s->newest.index++;
	s->newest.time = clock_wall_s();
	sha256(buf_view(&b->objects[i]), s->newest.object);
	register_next(s->head, &s->newest, head);
	memcpy(s->head, head, SHA256_SIZE);
	export_entry(s);
	b->receipt.at[i].index = s->newest.index;
	b->receipt.at[i].time = s->newest.time;
}

static void sign_stage(struct supply *s, struct built *b, size_t i)
{
	struct stage_statement *st = &b->statement;
	struct fault f;
	st->stage = (int64_t)i + 1;
	st->has_rot_key = i == 0;
	if (i)
		memcpy(st->previous, s->newest.object, SHA256_SIZE);
	else
		provenance_start(st->programme, st->dev, st->previous);
	must(stage_statement_sign(&b->objects[i], st, s->lines[i].key, &f).ok, "a statement", &f);
	b->parts.statements[i] = buf_view(&b->objects[i]);
	register_statement(s, b, i);
}

static void begin_device(const struct supply *s, const struct prepared *p, long number, struct built *b)
{
	const uint8_t *der = p->rot_der;
	uint8_t instance[INSTANCE_ID_SIZE];
	*b = (struct built){.statement = {.batch = BATCH, .seq = number + 1, .time = clock_wall_s()},
			    .receipt = {.count = (size_t)s->stages},
			    .parts = {.count = (size_t)s->stages}};
	b->rot = d2i_AutoPrivateKey_ex(NULL, &der, (long)p->rot_size, crypto_ctx(), NULL);
	must(b->rot && evidence_instance_id(b->rot, instance) &&
		     provenance_point(b->rot, b->statement.rot_key),
	     "a Root of Trust key", NULL);
	memcpy(b->statement.programme, s->programme.id, PROGRAMME_ID_SIZE);
	memcpy(b->receipt.programme, s->programme.id, PROGRAMME_ID_SIZE);
	provenance_dev(s->programme.id, instance, b->statement.dev);
}

static void write_chain(struct supply *s, struct built *b, FILE *file)
{
	uint8_t digest[SHA256_SIZE], countersignature[P256_SIGNATURE_SIZE];
	struct prepared_chain out = {0};
	struct buf receipt = {0}, chain = {0};
	struct fault f;
	memcpy(b->receipt.statement, s->newest.object, SHA256_SIZE);
	memcpy(b->receipt.head, s->head, SHA256_SIZE);
	must(receipt_sign(&receipt, &b->receipt, s->register_key, &f).ok, "a receipt", &f);
	crypto_random(b->parts.nonce, STAGE_NONCE_SIZE);
	stage_countersigned(&b->statement, s->lines[s->stages - 1].id, b->parts.nonce, digest);
	must(stage_countersign(digest, b->rot, countersignature, &f).ok, "a countersignature", &f);
	b->parts.countersignature = bytes_of(countersignature, sizeof countersignature);
	b->parts.receipt = buf_view(&receipt);
	chain_write(&chain, &b->parts);
	must(chain.n <= CHAIN_MAX, "a chain's size", NULL);
	out.size = (uint32_t)chain.n;
	memcpy(out.chain, chain.p, chain.n);
	must(fwrite(&out, sizeof out, 1, file) == 1, "write", NULL);
	s->bytes += chain.n;
	buf_free(&receipt);
	buf_free(&chain);
}

static void build(struct supply *s, const struct prepared *p, long number, FILE *file)
{
	struct built b;
	begin_device(s, p, number, &b);
	for (size_t i = 0; i < (size_t)s->stages; i++)
		sign_stage(s, &b, i);
	write_chain(s, &b, file);
	for (size_t i = 0; i < STAGES_MAX; i++)
		buf_free(&b.objects[i]);
	EVP_PKEY_free(b.rot);
}

static FILE *open_file(const struct supply *s, const char *name)
{
	char path[PATH_MAX];
	snprintf(path, sizeof path, "%s/%s", s->folder, name);
	FILE *file = fopen(path, "w");
	must(file, path, NULL);
	return file;
}

static void make(struct supply *s, const char *keys_path)
{
	struct buf keys;
	struct fault f;
	must(file_read(keys_path, (size_t)1 << 32, &keys, &f).ok, "keys", &f);
	const struct prepared *prepared = (const void *)keys.p;
	s->devices = (long)(keys.n / sizeof *prepared);
	must(s->devices > 0, "keys", NULL);
	begin_programme(s);
	for (size_t i = 0; i < (size_t)s->stages; i++) {
		certify(s, i);
		place_order(s, i);
	}
	FILE *file = open_file(s, "chains");
	s->export = open_file(s, "register.ndjson");
	for (long i = 0; i < s->devices; i++)
		build(s, &prepared[i], i, file);
	if (s->newest.index % EXPORT_ENTRIES)
		end_export_line(s);
	must(fclose(file) == 0 && fclose(s->export) == 0, "write", NULL);
	buf_free(&keys);
}

int main(int argc, char **argv)
{
	static const struct option long_options[] = {
		{"keys", 1, 0, 'k'}, {"dir", 1, 0, 'd'}, {"stages", 1, 0, 's'}, {0}};
	struct supply s = {.stages = 5};
	const char *keys = NULL;
	for (int c; (c = getopt_long(argc, argv, "", long_options, NULL)) != -1;)
		switch (c) {
		case 'k':
			keys = optarg;
			break;
		case 'd':
			s.folder = optarg;
			break;
		case 's':
			s.stages = atol(optarg);
			break;
		default:
			return 2;
		}
	if (!keys || !s.folder || s.stages < 1 || s.stages > STAGES_MAX) {
		fprintf(stderr, "usage: chains --keys FILE --dir FOLDER [--stages 1..8]\n");
		return 2;
	}
	make(&s, keys);
	printf("{\"devices\": %ld, \"stages\": %ld, \"bytes\": %.0f}\n", s.devices, s.stages,
	       (double)s.bytes / (double)s.devices);
	EVP_PKEY_free(s.programme_key);
	EVP_PKEY_free(s.authority);
	EVP_PKEY_free(s.register_key);
	for (size_t i = 0; i < STAGES_MAX; i++)
		EVP_PKEY_free(s.lines[i].key);
	return 0;
}
