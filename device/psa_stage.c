#include "psa_stage.h"

#include <string.h>

void psa_stage_encode(struct buf *out, const struct psa_stage *s)
{
	buf_add(out, s->statement.programme, PROGRAMME_ID_SIZE);
	buf_add(out, s->line, KEY_ID_SIZE);
	buf_add(out, s->statement.previous, SHA256_SIZE);
	buf_add(out, s->nonce, STAGE_NONCE_SIZE);
	buf_byte(out, (uint8_t)s->statement.stage);
	buf_be32(out, (uint32_t)s->statement.seq);
	buf_str(out, s->statement.batch);
}

static void take(const uint8_t **at, void *out, size_t n)
{
	memcpy(out, *at, n);
	*at += n;
}

bool psa_stage_decode(struct bytes in, struct psa_stage *out)
{
	const uint8_t *at = in.p;
	struct stage_statement *s = &out->statement;
	*out = (struct psa_stage){0};
	if (in.n < PSA_STAGE_MIN || in.n > PSA_STAGE_MAX)
		return false;
	take(&at, s->programme, sizeof s->programme);
	take(&at, out->line, sizeof out->line);
	take(&at, s->previous, sizeof s->previous);
	take(&at, out->nonce, sizeof out->nonce);
	s->stage = *at++;
	s->seq = bytes_be32(at);
	at += 4;
	size_t length = in.n - PSA_STAGE_FIXED;
	memcpy(s->batch, at, length);
	return s->stage >= 1 && s->seq >= 1 && strlen(s->batch) == length && provenance_batch_valid(s->batch);
}
