#include "log_chain.h"

#include "common/cbor/cbor.h"

#include <string.h>

void log_chain_start(uint8_t out[SHA256_SIZE])
{
	static const char label[] = "mooring-log/1"; /* the terminating NUL is part of it */
	sha256(bytes_of(label, sizeof label), out);
}

static void put_optional(struct buf *b, struct bytes v)
{
	if (v.n)
		cbor_put_bstr(b, v);
	else
		cbor_put_null(b);
}

static void put_canonical(struct buf *b, const struct log_entry *e)
{
	cbor_put_array(b, 10);
	cbor_put_int(b, e->seq);
	cbor_put_int(b, e->time_ms);
	cbor_put_tstr(b, e->kind);
	cbor_put_tstr(b, e->actor);
	cbor_put_tstr(b, e->request_id);
	put_optional(b, e->instance_id);
	cbor_put_tstr(b, e->thing);
	put_optional(b, e->fingerprint);
	cbor_put_tstr(b, e->reason);
	cbor_put_tstr(b, e->detail);
}

bool log_chain_next(const uint8_t previous[SHA256_SIZE], const struct log_entry *e, uint8_t out[SHA256_SIZE])
{
	struct buf canonical = {0};
	put_canonical(&canonical, e);
	bool done = !canonical.failed;
	if (done) {
		struct bytes parts[] = {bytes_of(previous, SHA256_SIZE), buf_view(&canonical)};
		sha256_parts(parts, 2, out);
	}
	buf_free(&canonical);
	return done;
}

struct log_chain log_chain_begin(void)
{
	struct log_chain c = {.seq = 0};
	log_chain_start(c.hash);
	return c;
}

outcome log_chain_check(struct log_chain *c, const struct log_entry *e, struct fault *f)
{
	uint8_t hash[SHA256_SIZE];
	if (e->seq != c->seq + 1)
		return refuse(f, REASON_LOG_CHAIN, "entry %lld follows entry %lld", (long long)e->seq,
			      (long long)c->seq);
	if (!log_chain_next(c->hash, e, hash))
		return refuse(f, REASON_NO_MEMORY, "no memory for entry %lld", (long long)e->seq);
	if (memcmp(hash, e->hash, SHA256_SIZE) != 0)
		return refuse(f, REASON_LOG_CHAIN, "entry %lld, or one before it, is not what was written",
			      (long long)e->seq);
	c->seq = e->seq;
	memcpy(c->hash, hash, SHA256_SIZE);
	return DONE;
}
