/* The feed's stream and the payload of a frame. The payload is signed here, so that the fuzzer reaches what
 * lies behind the signature; what a whole frame says is written again and must read the same. */
#include "common/cbor/cose.h"
#include "common/feed/feed_format.h"

#include <stdlib.h>
#include <string.h>

static EVP_PKEY *key;
static const uint8_t es256[] = {0xa1, 0x01, 0x26};

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc, (void)argv;
	key = p256_key_generate();
	return key ? 0 : -1;
}

static void cut(struct bytes in)
{
	struct bytes frame;
	struct feed_frame out;
	size_t used = 0, at = 0;
	struct fault f;
	do {
		at += used;
		if (!feed_next(bytes_of(in.p + at, in.n - at), &frame, &used, &f).ok)
			return;
		if (used && feed_open(frame, key, &out, &f).ok)
			abort(); /* nobody signed it */
	} while (used);
}

static outcome write_again(void *arg, const struct feed_record *r, struct fault *f)
{
	(void)f;
	if (r->type == FEED_CERTIFICATE)
		feed_put_certificate(arg, r);
	else if (r->type == FEED_POLICY)
		feed_put_policy(arg, r->policy, r->document);
	else if (r->type == FEED_SESSIONS)
		feed_put_sessions(arg, r);
	else if (r->type == FEED_POLICY_REMOVED)
		feed_put_policy_removed(arg, r->policy);
	else
		feed_put_removed(arg, r->fingerprint);
	return DONE;
}

static void read_again(struct feed_frame *first)
{
	struct buf records = {0}, stream = {0};
	uint8_t previous[32];
	struct feed_frame second;
	struct bytes frame;
	size_t used;
	struct fault f;
	memcpy(previous, first->previous, 32);
	if (!feed_records(first, write_again, &records, &f).ok)
		abort();
	struct feed_frame copy = *first;
	copy.records = buf_view(&records);
	if (!feed_seal(&stream, &copy, previous, key, &f).ok)
		abort();
	if (stream.n <= FEED_FRAME_MAX) {
		if (!feed_next(buf_view(&stream), &frame, &used, &f).ok || used != stream.n ||
		    !feed_open(frame, key, &second, &f).ok)
			abort();
		if (second.first != first->first || second.last != first->last ||
		    second.count != first->count || !bytes_equal(second.records, copy.records))
			abort();
	}
	buf_free(&records);
	buf_free(&stream);
}

static void open_signed(struct bytes payload)
{
	struct buf frame = {0};
	struct feed_frame out;
	struct feed_chain chain = {.epoch = 1, .seq = 1};
	struct fault f;
	if (!cose_sign(&frame, bytes_of(es256, sizeof es256), payload, key, &f).ok)
		abort();
	if (feed_open(buf_view(&frame), key, &out, &f).ok) {
		(void)feed_chain_take(&chain, &out, &f).ok;
		read_again(&out);
	}
	buf_free(&frame);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct bytes in = bytes_of(p + 1, n ? n - 1 : 0);
	if (n == 0)
		return 0;
	if (p[0] & 1)
		cut(in);
	else
		open_signed(in);
	return 0;
}
