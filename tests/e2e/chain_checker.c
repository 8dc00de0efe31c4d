/*
 * chain_checker - the chain check over standard input, for tests that compare it with a reference in Python.
 * One command a line, words apart by a space, bytes in hex; "-" is nothing:
 *
 *   world PROGRAMME REGISTER-KEY    forget everything; these are the programme and its register
 *   line RECORD                     a line record in force
 *   order ORDER                     a work order
 *   registered STATEMENT TIME       what the register has, by hash
 *   variant STAGES                  the next variant, a byte a stage
 *   chain INSTANCE-ID CHAIN         prints "REASON HONEST", or "malformed REASON"
 *   replace INSTANCE-ID CHAIN SEED  each byte of the chain replaced by another: prints the offsets at which the chain
 *                                   was still accepted, and "done"
 *   formats                         prints the tables that objects are read and written by, and "done"
 *   make                            prints an object of each kind, "NAME HEX", and "done"
 */
#include "common/provenance/chain_check.h"
#include "common/provenance/provenance_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KNOWN_MAX = 512, WORDS = 4, IN_MAX = 4 * CHAIN_MAX };

static struct {
	struct line_record lines[KNOWN_MAX];
	struct work_order orders[KNOWN_MAX];
	struct register_entry registered[KNOWN_MAX];
	size_t line_count, order_count, registered_count;
	uint8_t register_key[P256_POINT_SIZE];
} known;
static struct chain_rules rules;
static struct chain_world world;

static void fail(const char *what, const char *text)
{
	fprintf(stderr, "chain_checker: %s: %s\n", what, text);
	exit(2);
}

static struct bytes take_hex(const char *hex, uint8_t *out, size_t room)
{
	size_t n = 0;
	if (strcmp(hex, "-") != 0 && !hex_decode(hex, strlen(hex), out, room, &n))
		fail("no hex", hex);
	return bytes_of(out, n);
}

/* ---- the world ---- */

static const struct line_record *find_line(void *arg, const uint8_t key_id[KEY_ID_SIZE])
{
	uint8_t id[KEY_ID_SIZE];
	(void)arg;
	for (size_t i = 0; i < known.line_count; i++) {
		provenance_key_id(known.lines[i].key, id);
		if (!memcmp(id, key_id, KEY_ID_SIZE))
			return &known.lines[i];
	}
	return NULL;
}

static const struct work_order *find_order(void *arg, const uint8_t line[KEY_ID_SIZE], const char *batch,
					   int64_t stage)
{
	(void)arg;
	for (size_t i = 0; i < known.order_count; i++) {
		const struct work_order *o = &known.orders[i];
		if (!memcmp(o->line, line, KEY_ID_SIZE) && !strcmp(o->batch, batch) && o->stage == stage)
			return o;
	}
	return NULL;
}

static bool find_time(void *arg, const uint8_t statement[SHA256_SIZE], int64_t *time)
{
	(void)arg;
	for (size_t i = 0; i < known.registered_count; i++)
		if (!memcmp(known.registered[i].object, statement, SHA256_SIZE)) {
			*time = known.registered[i].time;
			return true;
		}
	return false;
}

static void do_world(char **words)
{
	memset(&known, 0, sizeof known);
	rules = (struct chain_rules){0};
	take_hex(words[1], rules.programme, sizeof rules.programme);
	struct bytes key = take_hex(words[2], known.register_key, sizeof known.register_key);
	world = (struct chain_world){.line = find_line,
				     .order = find_order,
				     .registered = find_time,
				     .register_key = key.n ? key.p : NULL};
}

static void do_line(char **words)
{
	uint8_t in[PROVENANCE_OBJECT_MAX];
	struct fault f;
	if (!line_record_read(take_hex(words[1], in, sizeof in), &known.lines[known.line_count++], &f).ok)
		fail("line", f.text);
}

static void do_order(char **words)
{
	uint8_t in[PROVENANCE_OBJECT_MAX];
	struct fault f;
	if (!work_order_read(take_hex(words[1], in, sizeof in), &known.orders[known.order_count++], &f).ok)
		fail("order", f.text);
}

static void do_registered(char **words)
{
	struct register_entry *e = &known.registered[known.registered_count++];
	take_hex(words[1], e->object, sizeof e->object);
	e->time = strtoll(words[2], NULL, 10);
}

static void do_variant(char **words)
{
	struct chain_variant *v = &rules.variants[rules.variant_count++];
	v->count = take_hex(words[1], v->stages, sizeof v->stages).n;
}

/* ---- the check ---- */

static outcome check(struct bytes in, const uint8_t *instance_id, struct chain_shown *shown, bool *malformed,
		     struct fault *f)
{
	struct chain c;
	outcome o = chain_read(in, &c, f);
	*malformed = !o.ok;
	return o.ok ? chain_check(&c, instance_id, &rules, &world, shown, f) : o;
}

static void do_chain(char **words)
{
	uint8_t instance_id[INSTANCE_ID_SIZE], in[IN_MAX];
	struct chain_shown shown = {0};
	struct fault f = {0};
	bool malformed;
	take_hex(words[1], instance_id, sizeof instance_id);
	outcome o = check(take_hex(words[2], in, sizeof in), instance_id, &shown, &malformed, &f);
	if (malformed)
		printf("malformed %s\n", reason_code(f.reason));
	else
		printf("%s %zu\n", o.ok ? "accepted" : reason_code(f.reason), shown.honest);
}

static void do_replace(char **words)
{
	uint8_t instance_id[INSTANCE_ID_SIZE], in[IN_MAX];
	struct chain_shown shown;
	bool malformed;
	take_hex(words[1], instance_id, sizeof instance_id);
	struct bytes chain = take_hex(words[2], in, sizeof in);
	srandom((unsigned)strtoul(words[3], NULL, 10));
	for (size_t i = 0; i < chain.n; i++) {
		uint8_t kept = in[i];
		in[i] ^= (uint8_t)(1 + random() % 255);
		if (check(chain, instance_id, &shown, &malformed, NULL).ok)
			printf("%zu ", i);
		in[i] = kept;
	}
	puts("done");
}

/* ---- the formats ---- */

static const struct provenance_format *const formats[] = {&work_order_format, &stage_statement_format,
							  &line_record_format, &receipt_format,
							  &register_head_format};
static const char *const field_types[] = {"uint", "bstr", "bstr", "tstr", "tstr"};

static void do_formats(char **words)
{
	(void)words;
	for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
		const struct provenance_format *format = formats[i];
		for (size_t key = 0; key < format->fields.count; key++)
			printf("%s %zu %s %s %s %" PRId64 " %" PRId64 "\n", format->name, key,
			       format->limits[key].name,
			       format->optional & CBOR_FIELD_BIT(key) ? "optional" : "required",
			       field_types[format->fields.rows[key].type], format->limits[key].least,
			       format->limits[key].most);
	}
	puts("done");
}

static void print_object(const char *name, outcome o, struct buf *b, const struct fault *f)
{
	char hex[HEX_SIZE(CHAIN_MAX)];
	if (!o.ok)
		fail(name, f->text);
	hex_encode(buf_view(b), hex);
	printf("%s %s\n", name, hex);
	b->n = 0;
}

static void make_objects(EVP_PKEY *key, const uint8_t *point, bool whole)
{
	struct fault f = {0};
	struct buf b = {0};
	struct stage_statement s = {.batch = "B", .stage = 1, .seq = 1, .has_rot_key = whole};
	struct work_order o = {.batch = "B-2026.11_000001",
			       .stage = STAGE_NUMBER_MAX,
			       .quota = UINT32_MAX,
			       .not_after = PROVENANCE_TIME_MAX,
			       .previous_count = whole ? STAGES_MAX : 0};
	struct line_record r = {.version = 1,
				.site = "Łódź",
				.stages = {1, 2},
				.stage_count = whole ? 2 : 1,
				.state = whole ? LINE_REVOKED : LINE_ACTIVE,
				.per_hour = whole};
	struct receipt t = {.at = {{1, 0}, {UINT32_MAX, PROVENANCE_TIME_MAX}}, .count = whole ? 2 : 1};
	struct register_head h = {.size = whole ? UINT32_MAX : 0};
	memcpy(s.rot_key, point, P256_POINT_SIZE);
	memcpy(r.key, point, P256_POINT_SIZE);
	print_object("stage-statement", stage_statement_sign(&b, &s, key, &f), &b, &f);
	print_object("work-order", work_order_sign(&b, &o, key, &f), &b, &f);
	print_object("line-record", line_record_sign(&b, &r, key, &f), &b, &f);
	print_object("receipt", receipt_sign(&b, &t, key, &f), &b, &f);
	print_object("register-head", register_head_sign(&b, &h, key, &f), &b, &f);
	buf_free(&b);
}

static void make_chain(EVP_PKEY *key, const uint8_t *point, size_t stages)
{
	struct fault f = {0};
	static const uint8_t signature[P256_SIGNATURE_SIZE];
	struct buf objects[STAGES_MAX] = {0}, receipt = {0}, out = {0};
	struct chain_parts parts = {.count = stages,
				    .countersignature = bytes_of(signature, sizeof signature)};
	struct receipt t = {.at = {{1, 0}}, .count = 1};
	outcome o = receipt_sign(&receipt, &t, key, &f);
	for (size_t i = 0; i < stages && o.ok; i++) {
		struct stage_statement s = {.batch = "B", .stage = 1, .seq = 1, .has_rot_key = i == 0};
		memcpy(s.rot_key, point, P256_POINT_SIZE);
		o = stage_statement_sign(&objects[i], &s, key, &f);
		parts.statements[i] = buf_view(&objects[i]);
	}
	if (stages > 1)
		parts.receipt = buf_view(&receipt);
	chain_write(&out, &parts);
	print_object("provenance-chain", o, &out, &f);
	for (size_t i = 0; i < stages; i++)
		buf_free(&objects[i]);
	buf_free(&receipt);
	buf_free(&out);
}

static void do_make(char **words)
{
	uint8_t point[P256_POINT_SIZE];
	EVP_PKEY *key = p256_key_generate();
	(void)words;
	if (!key || !provenance_point(key, point))
		fail("make", "no key");
	make_objects(key, point, false);
	make_objects(key, point, true);
	make_chain(key, point, 1);
	make_chain(key, point, STAGES_MAX);
	EVP_PKEY_free(key);
	puts("done");
}

/* ---- commands ---- */

static const struct {
	const char *name;
	size_t words;
	void (*run)(char **words);
} commands[] = {
	{"world", 3, do_world},		  {"line", 2, do_line},	      {"order", 2, do_order},
	{"registered", 3, do_registered}, {"variant", 2, do_variant}, {"chain", 3, do_chain},
	{"replace", 4, do_replace},	  {"formats", 1, do_formats}, {"make", 1, do_make},
};

static void run(char *line)
{
	char *words[WORDS] = {0}, *rest = line;
	size_t n = 0;
	for (char *word; n < WORDS && (word = strsep(&rest, " ")) != NULL;)
		words[n++] = word;
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
		if (words[0] && !strcmp(words[0], commands[i].name) && n == commands[i].words) {
			commands[i].run(words);
			return;
		}
	fail("no such command", line);
}

int main(void)
{
	char *line = NULL;
	size_t room = 0;
	for (ssize_t n; (n = getline(&line, &room, stdin)) > 0;) {
		if (line[n - 1] == '\n')
			line[n - 1] = '\0';
		run(line);
		fflush(stdout);
	}
	free(line);
	crypto_end();
	return 0;
}
