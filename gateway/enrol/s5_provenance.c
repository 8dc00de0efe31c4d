/*
 * Provenance: the device was built on our lines, within our orders, and its evidence is signed by the chip that they saw,
 * so that not even the attestation service can vouch for one that was never there.
 *
 * What it uses up is the store's to decide, in the transaction that reserves the certificate. What a device has shown
 * once need not be shown again for a renewal: it has a certificate, and how its line stands now ends none (`mooringctl
 * recall --line` does).
 */
#include "stages.h"

#include "common/clock.h"
#include "gateway/provenance/provenance.h"

#include <string.h>

/* ---- what is asked of the store ---- */

static void on_origin(const struct store_origin *o, const struct fault *f, void *arg)
{
	struct provenance_out *mine = arg;
	mine->failed = f != NULL;
	if (f) {
		mine->fault = *f;
	} else {
		mine->origin = *o;
		mine->origin.chain = (struct bytes){0};
	}
	enrol_wake(mine->waker);
}

static enum step ask(const struct enrol *seen, struct provenance_out *mine)
{
	const struct chain *chain = &seen->csr.chain;
	uint8_t statements[STAGES_MAX][SHA256_SIZE];
	size_t count = seen->csr.has_chain ? chain->count : 0;
	for (size_t i = 0; i < count; i++)
		memcpy(statements[i], chain->statements[i].object.sha256, SHA256_SIZE);
	mine->asked = true;
	mine->waker = seen->waker;
	store_origin(seen->gateway->store, mine->class->programme_number, seen->attest.evidence.instance_id,
		     statements, count, on_origin, mine);
	return STEP_WAIT;
}

/* ---- rules ---- */

static outcome check_rot_key(const struct enrol *seen, const uint8_t point[P256_POINT_SIZE], struct fault *f)
{
	uint8_t spki[P256_SPKI_SIZE];
	struct fault own = {0};
	provenance_spki(point, spki);
	if (evidence_verify(&seen->attest.evidence, bytes_of(spki, sizeof spki), false, &own).ok)
		return DONE;
	return refuse(f, REASON_ROT_KEY, "the evidence is not by the RoT key that the first line saw: %s",
		      own.text);
}

static outcome go_without(struct provenance_out *mine, const char *rule, struct fault *f)
{
	if (mine->class->mode == CLASS_REQUIRED)
		return refuse(f, REASON_CHAIN_MISSING, "%s", rule);
	mine->verdict = PROVENANCE_NOT_SHOWN;
	return DONE;
}

/* Refusals that an operator is told of at once, and not only when somebody asks. */
static bool is_alarming(enum reason reason)
{
	return reason == REASON_CHAIN_DIVERTED || reason == REASON_ORDER_QUOTA ||
	       reason == REASON_ORDER_MISSING || reason == REASON_LINE_REVOKED || reason == REASON_ROT_KEY;
}

/* About the statement that broke the rule, or the last one where they all hold. */
static void raise_alarm(const struct enrol *seen, const struct provenance_out *mine, const struct fault *f)
{
	const struct chain *chain = &seen->csr.chain;
	size_t at = mine->story.honest < chain->count ? mine->story.honest : chain->count - 1;
	const struct stage_statement *s = &chain->statements[at];
	struct gateway *g = seen->gateway;
	if (!is_alarming(f->reason) || !g->store ||
	    !provenance_alarm_is_due(g->provenance, f->reason, s->object.key_id, s->batch,
				     clock_monotonic_ms()))
		return;
	json_t *detail = s5_provenance_detail(mine);
	char *text = json_dumps(detail, JSON_COMPACT);
	store_device_alarm(g->store, seen->id, seen->attest.evidence.instance_id, f, text ? text : "");
	free(text);
	json_decref(detail);
}

/* With the ID as a class file has it: it is what the operator has to put into one. */
static outcome no_class(const struct evidence *e, struct fault *f)
{
	char id[HEX_SIZE(sizeof e->implementation_id)];
	if (e->type != EVIDENCE_PSA_TOKEN)
		return refuse(f, REASON_DEVICE_CLASS,
			      "evidence without an implementation ID, and no class of devices is for it");
	hex_encode(bytes_of(e->implementation_id, sizeof e->implementation_id), id);
	return refuse(f, REASON_DEVICE_CLASS, "no class of devices is for implementation ID %s", id);
}

static enum step judge(const struct enrol *seen, struct provenance_out *mine, struct fault *f)
{
	struct book *book = provenance_book(seen->gateway->provenance);
	const struct provenance_case c = {
		.class = mine->class,
		.book = book,
		.chain = &seen->csr.chain,
		.chain_bytes = seen->request.chain,
		.times = mine->asked ? mine->origin.times : NULL,
	};
	outcome o = provenance_judge(&c, seen->attest.evidence.instance_id, &mine->use, &mine->story, f);
	book_release(book);
	if (o.ok)
		o = check_rot_key(seen, mine->use.rot_key, f);
	if (o.ok)
		mine->verdict = PROVENANCE_SHOWN;
	else
		raise_alarm(seen, mine, f);
	return step_of(o);
}

static bool is_on_record(const struct enrol *seen, const struct store_origin *o)
{
	const struct chain *chain = &seen->csr.chain;
	return o->recorded &&
	       (!seen->csr.has_chain ||
		!memcmp(chain->statements[chain->count - 1].object.sha256, o->last, SHA256_SIZE));
}

static enum step go_on(const struct enrol *seen, struct provenance_out *mine, struct fault *f)
{
	if (mine->failed) {
		*f = mine->fault;
		return STEP_FAIL;
	}
	if (seen->request.renews && is_on_record(seen, &mine->origin)) {
		mine->verdict = PROVENANCE_ON_RECORD;
		return step_of(check_rot_key(seen, mine->origin.rot_key, f));
	}
	if (!seen->csr.has_chain)
		return step_of(
			go_without(mine, "the renewal came without a chain, and none is on record", f));
	return judge(seen, mine, f);
}

/* ---- the stage ---- */

enum step s5_provenance(const struct enrol *seen, struct provenance_out *mine, struct fault *f)
{
	const struct provenance *p = seen->gateway->provenance;
	const struct chain *chain = &seen->csr.chain;
	if (mine->asked)
		return go_on(seen, mine, f);
	mine->verdict = PROVENANCE_NOT_ASKED;
	if (!provenance_is_asked(p))
		return STEP_NEXT;
	mine->class = provenance_class_of(provenance_classes(p), &seen->attest.evidence);
	if (!mine->class)
		return step_of(no_class(&seen->attest.evidence, f));
	if (mine->class->mode == CLASS_OFF)
		return STEP_NEXT;
	mine->verdict = PROVENANCE_UNSETTLED;
	if (seen->request.renews)
		return ask(seen, mine);
	if (!seen->csr.has_chain)
		return step_of(go_without(mine, "the enrolment came without a provenance chain", f));
	bool timed = chain->has_receipt && chain->receipt.count >= chain->count;
	return timed ? judge(seen, mine, f) : ask(seen, mine);
}

json_t *s5_provenance_detail(const struct provenance_out *p)
{
	char line[HEX_SIZE(KEY_ID_SIZE)];
	const struct provenance_story *story = &p->story;
	if (!p->class)
		return NULL;
	json_t *detail =
		json_pack("{s:s, s:s}", "class", p->class->name, "programme", p->class->programme.name);
	if (!story->honest)
		return detail;
	hex_encode(bytes_of(story->line, KEY_ID_SIZE), line);
	json_t *last = json_pack("{s:I, s:s, s:s, s:s}", "last_honest_stage", (json_int_t)story->stage,
				 "batch", story->batch, "line", line, "site", story->site);
	if (story->time)
		json_object_set_new(last, "registered", json_integer(story->time));
	json_object_update(detail, last);
	json_decref(last);
	return detail;
}
