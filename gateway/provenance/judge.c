#include "judge.h"

#include <string.h>

/* ---- what chain_check asks ---- */

static const struct line_record *find_line(void *arg, const uint8_t key_id[KEY_ID_SIZE])
{
	const struct provenance_case *c = arg;
	const struct book_line *line = book_line(c->book, c->class->programme_number, key_id);
	if (!line || !provenance_class_has_line(c->class, key_id))
		return NULL;
	return &line->record;
}

static const struct work_order *find_order(void *arg, const uint8_t line[KEY_ID_SIZE], const char *batch,
					   int64_t stage)
{
	const struct provenance_case *c = arg;
	const struct book_order *order = book_order(c->book, c->class->programme_number, line, batch, stage);
	return order ? &order->order : NULL;
}

static bool find_time(void *arg, const uint8_t statement[SHA256_SIZE], int64_t *time)
{
	const struct provenance_case *c = arg;
	for (size_t i = 0; c->times && i < c->chain->count; i++) {
		if (memcmp(c->chain->statements[i].object.sha256, statement, SHA256_SIZE) != 0)
			continue;
		*time = c->times[i];
		return *time >= 0;
	}
	return false;
}

/* ---- what comes of it ---- */

static void tell(const struct provenance_case *c, const struct chain_shown *shown,
		 struct provenance_story *story)
{
	const struct chain_rules *rules = &c->class->rules;
	*story = (struct provenance_story){.honest = shown->honest};
	if (shown->variant)
		story->variant = c->class->variant_names[shown->variant - rules->variants];
	if (!shown->honest)
		return;
	const struct stage_statement *s = &c->chain->statements[shown->honest - 1];
	const struct book_line *line = book_line(c->book, c->class->programme_number, s->object.key_id);
	memcpy(story->batch, s->batch, BATCH_SIZE);
	memcpy(story->line, s->object.key_id, KEY_ID_SIZE);
	story->stage = s->stage;
	story->time = shown->times[shown->honest - 1];
	if (line)
		memcpy(story->site, line->record.site, LINE_SITE_SIZE);
}

static void use_statement(const struct provenance_case *c, const struct chain_shown *shown, size_t i,
			  struct store_statement *out)
{
	const struct stage_statement *s = &c->chain->statements[i];
	const struct receipt *r = &c->chain->receipt;
	int64_t programme = c->class->programme_number;
	const struct book_line *line = book_line(c->book, programme, s->object.key_id);
	const struct book_order *order = book_order(c->book, programme, s->object.key_id, s->batch, s->stage);
	*out = (struct store_statement){
		.order = order->id,
		.line = line->id,
		.batch = s->batch,
		.stage = s->stage,
		.seq = s->seq,
		.time = shown->times[i],
		.index = c->chain->has_receipt && i < r->count ? r->at[i].index : 0,
		.per_hour = line->record.per_hour,
	};
	memcpy(out->sha256, s->object.sha256, SHA256_SIZE);
}

static void take_receipt(const struct chain *chain, struct store_chain *use)
{
	if (!chain->has_receipt)
		return;
	use->receipt = chain->receipt_object;
	use->receipt_count = chain->receipt.count;
	memcpy(use->head, chain->receipt.head, SHA256_SIZE);
}

outcome provenance_judge(const struct provenance_case *c, const uint8_t instance_id[INSTANCE_ID_SIZE],
			 struct store_chain *use, struct provenance_story *story, struct fault *f)
{
	const struct programme *programme = &c->class->programme;
	struct chain_shown shown;
	const struct chain_world world = {
		.line = find_line,
		.order = find_order,
		.registered = find_time,
		.register_key = programme->register_key,
		.arg = (void *)(uintptr_t)c,
	};
	outcome o = chain_check(c->chain, instance_id, &c->class->rules, &world, &shown, f);
	tell(c, &shown, story);
	if (!o.ok)
		return o;
	*use = (struct store_chain){
		.programme = c->class->programme_number,
		.lines_state = c->book->lines_state,
		.count = c->chain->count,
		.chain = c->chain_bytes,
		.raises_generation = shown.variant->raises_generation,
		.freeze = c->class->freeze,
	};
	for (size_t i = 0; i < use->count; i++)
		use_statement(c, &shown, i, &use->statements[i]);
	memcpy(use->rot_key, c->chain->statements[0].rot_key, P256_POINT_SIZE);
	take_receipt(c->chain, use);
	return DONE;
}
