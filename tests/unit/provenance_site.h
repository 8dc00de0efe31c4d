/*
 * provenance_site.h - a programme with its keys, its register, its lines and a device that was built there: what
 * the tests of provenance share. Everything is made anew, and valid; a test then breaks one thing.
 */
#ifndef MOORING_TESTS_PROVENANCE_SITE_H
#define MOORING_TESTS_PROVENANCE_SITE_H

#include "common/provenance/chain_check.h"

#include "vectors.h"

enum { SITE_T0 = 1700000000, SITE_MINUTE = 60 };

struct site {
	uint8_t programme[PROGRAMME_ID_SIZE];
	EVP_PKEY *programme_key, *authority, *register_key, *rot;
	EVP_PKEY *line_keys[STAGES_MAX];
	uint8_t register_point[P256_POINT_SIZE], line_ids[STAGES_MAX][KEY_ID_SIZE];
	uint8_t instance_id[INSTANCE_ID_SIZE];
	size_t count; /* stages 10, 20 and so on, one line each */
	struct line_record lines[STAGES_MAX];
	struct work_order orders[STAGES_MAX];
	struct chain_rules rules;
	struct chain_world world;
	int64_t registered_at[STAGES_MAX]; /* for what has no receipt; 0: not registered */
	/* the device's chain */
	struct stage_statement statements[STAGES_MAX];
	struct buf objects[STAGES_MAX];
	struct receipt receipt;
	struct buf receipt_object;
	uint8_t nonce[STAGE_NONCE_SIZE], countersignature[P256_SIGNATURE_SIZE];
	struct chain_parts parts;
	struct buf chain;
};

static inline const struct line_record *site_line(void *arg, const uint8_t key_id[KEY_ID_SIZE])
{
	struct site *s = arg;
	for (size_t i = 0; i < s->count; i++)
		if (!memcmp(s->line_ids[i], key_id, KEY_ID_SIZE))
			return &s->lines[i];
	return NULL;
}

static inline const struct work_order *site_order(void *arg, const uint8_t line[KEY_ID_SIZE],
						  const char *batch, int64_t stage)
{
	struct site *s = arg;
	for (size_t i = 0; i < s->count; i++)
		if (!memcmp(s->orders[i].line, line, KEY_ID_SIZE) && !strcmp(s->orders[i].batch, batch) &&
		    s->orders[i].stage == stage)
			return &s->orders[i];
	return NULL;
}

static inline bool site_registered(void *arg, const uint8_t statement[SHA256_SIZE], int64_t *time)
{
	struct site *s = arg;
	uint8_t hash[SHA256_SIZE];
	for (size_t i = 0; i < s->count; i++) {
		sha256(buf_view(&s->objects[i]), hash);
		if (!memcmp(hash, statement, SHA256_SIZE) && s->registered_at[i]) {
			*time = s->registered_at[i];
			return true;
		}
	}
	return false;
}

static inline void site_add_line(struct site *s, size_t i)
{
	struct line_record *line = &s->lines[i];
	struct work_order *order = &s->orders[i];
	s->line_keys[i] = p256_key_generate();
	*line = (struct line_record){.version = 1,
				     .site = "Łódź, hall 2",
				     .stages = {(uint8_t)(10 * (i + 1))},
				     .stage_count = 1,
				     .not_before = SITE_T0 - 86400,
				     .not_after = SITE_T0 + 86400,
				     .state = LINE_ACTIVE};
	memcpy(line->programme, s->programme, PROGRAMME_ID_SIZE);
	assert_true(provenance_point(s->line_keys[i], line->key));
	provenance_key_id(line->key, s->line_ids[i]);
	*order = (struct work_order){.batch = "B-2026.11_000001",
				     .stage = 10 * ((int64_t)i + 1),
				     .quota = 70000,
				     .not_before = SITE_T0 - 3600,
				     .not_after = SITE_T0 + 3600,
				     .register_within_s = 3600};
	memcpy(order->programme, s->programme, PROGRAMME_ID_SIZE);
	memcpy(order->line, s->line_ids[i], KEY_ID_SIZE);
	if (i) {
		order->previous_count = 1;
		memcpy(order->previous[0], s->line_ids[i - 1], KEY_ID_SIZE);
	}
	s->rules.variants[0].stages[i] = (uint8_t)order->stage;
}

/* The statements, each signed, as the fields now are; what names the one before is set. */
static inline void site_sign_statements(struct site *s)
{
	struct fault f;
	for (size_t i = 0; i < s->count; i++) {
		struct stage_statement *st = &s->statements[i];
		if (i)
			sha256(buf_view(&s->objects[i - 1]), st->previous);
		else
			provenance_start(st->programme, st->dev, st->previous);
		buf_free(&s->objects[i]);
		s->objects[i] = (struct buf){0};
		accepted(stage_statement_sign(&s->objects[i], st, s->line_keys[i], &f), &f, "a statement");
	}
}

static inline void site_countersign(struct site *s)
{
	struct fault f;
	uint8_t digest[SHA256_SIZE];
	stage_countersigned(&s->statements[s->count - 1], s->line_ids[s->count - 1], s->nonce, digest);
	accepted(stage_countersign(digest, s->rot, s->countersignature, &f), &f, "a countersignature");
}

static inline void site_sign_receipt(struct site *s)
{
	struct fault f;
	buf_free(&s->receipt_object);
	s->receipt_object = (struct buf){0};
	if (s->receipt.count) {
		sha256(buf_view(&s->objects[s->receipt.count - 1]), s->receipt.statement);
		accepted(receipt_sign(&s->receipt_object, &s->receipt, s->register_key, &f), &f, "a receipt");
	}
}

/* The chain of the parts as they are. */
static inline struct bytes site_chain(struct site *s)
{
	s->parts =
		(struct chain_parts){.count = s->count,
				     .countersignature = bytes_of(s->countersignature, P256_SIGNATURE_SIZE),
				     .receipt = buf_view(&s->receipt_object)};
	for (size_t i = 0; i < s->count; i++)
		s->parts.statements[i] = buf_view(&s->objects[i]);
	memcpy(s->parts.nonce, s->nonce, STAGE_NONCE_SIZE);
	buf_free(&s->chain);
	s->chain = (struct buf){0};
	chain_write(&s->chain, &s->parts);
	return buf_view(&s->chain);
}

/* Everything signed again over what the fields now are. */
static inline struct bytes site_build(struct site *s)
{
	site_sign_statements(s);
	site_countersign(s);
	site_sign_receipt(s);
	return site_chain(s);
}

static inline void site_make(struct site *s, size_t stages)
{
	*s = (struct site){.count = stages};
	crypto_random(s->programme, sizeof s->programme);
	s->programme_key = p256_key_generate();
	s->authority = p256_key_generate();
	s->register_key = p256_key_generate();
	s->rot = p256_key_generate();
	assert_true(provenance_point(s->register_key, s->register_point));
	assert_true(evidence_instance_id(s->rot, s->instance_id));
	memcpy(s->rules.programme, s->programme, PROGRAMME_ID_SIZE);
	s->rules.variants[0].count = stages;
	s->rules.variant_count = 1;
	s->world = (struct chain_world){.line = site_line,
					.order = site_order,
					.registered = site_registered,
					.register_key = s->register_point,
					.arg = s};
	memcpy(s->receipt.programme, s->programme, PROGRAMME_ID_SIZE);
	s->receipt.count = stages;
	for (size_t i = 0; i < stages; i++) {
		site_add_line(s, i);
		struct stage_statement *st = &s->statements[i];
		*st = (struct stage_statement){.stage = s->orders[i].stage,
					       .seq = 65536 + (int64_t)i,
					       .time = SITE_T0,
					       .has_rot_key = i == 0};
		memcpy(st->programme, s->programme, PROGRAMME_ID_SIZE);
		memcpy(st->batch, s->orders[i].batch, sizeof st->batch);
		provenance_dev(s->programme, s->instance_id, st->dev);
		s->receipt.at[i].index = (int64_t)i + 7;
		s->receipt.at[i].time = SITE_T0 + SITE_MINUTE * (int64_t)i;
	}
	assert_true(provenance_point(s->rot, s->statements[0].rot_key));
	crypto_random(s->nonce, sizeof s->nonce);
	site_build(s);
}

static inline void site_free(struct site *s)
{
	EVP_PKEY *keys[] = {s->programme_key, s->authority, s->register_key, s->rot};
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		EVP_PKEY_free(keys[i]);
	for (size_t i = 0; i < STAGES_MAX; i++) {
		EVP_PKEY_free(s->line_keys[i]);
		buf_free(&s->objects[i]);
	}
	buf_free(&s->receipt_object);
	buf_free(&s->chain);
}

/* The chain as it is now, read and checked. */
static inline outcome site_check(struct site *s, struct chain_shown *shown, struct fault *f)
{
	struct chain c;
	outcome o = chain_read(buf_view(&s->chain), &c, f);
	return o.ok ? chain_check(&c, s->instance_id, &s->rules, &s->world, shown, f) : o;
}

#endif
