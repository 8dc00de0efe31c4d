#include "register_receipt.h"

#include "common/provenance/chain.h"

#include <string.h>

static outcome find_statements(const struct factory_register *r, const struct chain *c, struct receipt *out,
			       struct fault *f)
{
	for (size_t i = 0; i < c->count; i++) {
		const struct stage_statement *s = &c->statements[i];
		int64_t index = register_index_object(&r->index, s->object.sha256);
		if (!index)
			return refuse(f, REASON_CHAIN_UNREGISTERED,
				      "stage %lld of batch %s is not in the register: register add the "
				      "outbox of its line",
				      (long long)s->stage, s->batch);
		struct register_item item = register_log_at(&r->log, index);
		out->at[i].index = index;
		out->at[i].time = item.time;
		memcpy(out->head, item.head, sizeof out->head);
		memcpy(out->statement, s->object.sha256, sizeof out->statement);
		out->count++;
	}
	return DONE;
}

outcome register_receipt_put(const struct factory_register *r, struct bytes chain, struct buf *out,
			     struct fault *f)
{
	struct chain_parts parts;
	struct chain c;
	struct receipt receipt = {0};
	struct buf signed_receipt = {0};
	outcome o = chain_take_apart(chain, &parts, f);
	if (o.ok)
		o = chain_read(chain, &c, f);
	memcpy(receipt.programme, r->log.programme.id, sizeof receipt.programme);
	if (o.ok)
		o = find_statements(r, &c, &receipt, f);
	if (o.ok)
		o = receipt_sign(&signed_receipt, &receipt, r->log.key, f);
	if (o.ok) {
		parts.receipt = buf_view(&signed_receipt);
		chain_write(out, &parts);
		o = out->failed ? refuse(f, REASON_NO_MEMORY, "no memory for a chain")
				: chain_read(buf_view(out), &c, f);
	}
	buf_free(&signed_receipt);
	return o;
}
