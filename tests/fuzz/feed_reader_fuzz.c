/*
 * The feed as the broker reads it: the input's pieces are payloads, signed here with the right key, or raw
 * bytes of the stream. A frame that is refused must leave the table where it was; one that is taken must not
 * move it back.
 *
 * links: plugin/keeper.c plugin/table.c plugin/table_policies.c plugin/table_texts.c plugin/table_blocks.c plugin/table_journal.c
 * links: plugin/retire.c plugin/ring.c
 */
#include "plugin/keeper.h"

#include "common/cbor/cbor.h"
#include "common/cbor/cose.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char dir[] = "/dev/shm/mooring-fuzz-XXXXXX";
static EVP_PKEY *key;
static struct retire retire;
static struct ring log_ring;
static _Atomic(struct table *) published;

static void no_cut(void *arg)
{
	(void)arg;
}

static void empty_dir(void)
{
	DIR *d = opendir(dir);
	for (struct dirent *e; d && (e = readdir(d));)
		unlinkat(dirfd(d), e->d_name, 0);
	closedir(d);
}

static void remove_dir(void)
{
	empty_dir();
	rmdir(dir);
}

static void start_once(void)
{
	if (key)
		return;
	key = p256_key_generate();
	ring_init(&log_ring);
	if (!key || !mkdtemp(dir))
		abort();
	atexit(remove_dir);
}

/* The payload as the gateway would have signed it. */
static void seal(struct buf *element, struct bytes payload)
{
	static const uint8_t header[] = {0xa1, 0x01, 0x26};
	struct buf cose = {0};
	struct fault f;
	if (!cose_sign(&cose, bytes_of(header, sizeof header), payload, key, &f).ok)
		abort();
	cbor_put_bstr(element, buf_view(&cose));
	buf_free(&cose);
}

/* True while the stream is worth going on with. */
static bool take(struct keeper *k, struct bytes stream)
{
	size_t used;
	struct bytes frame;
	struct fault f = {0};
	struct table_position before = k->position;
	size_t count = k->table ? table_count(k->table) : 0;
	bool newer;
	if (!feed_next(stream, &frame, &used, &f).ok || used == 0)
		return false;
	bool ok = keeper_take(k, frame, 0, &newer, &f).ok;
	if (ok && (k->position.epoch < before.epoch ||
		   (k->position.epoch == before.epoch && k->position.seq < before.seq)))
		abort();
	if (!ok && (memcmp(&before, &k->position, sizeof before) != 0 ||
		    (k->table ? table_count(k->table) : 0) != count))
		abort();
	if (newer && k->position.time_ms <= before.time_ms)
		abort();
	return ok;
}

/* Pieces: two bytes of length and so many bytes; the length's top bit asks for a signature. */
static void play(struct keeper *k, struct bytes in)
{
	while (in.n > 2) {
		size_t n = (size_t)(in.p[0] & 0x7f) << 8 | in.p[1];
		bool sign = in.p[0] & 0x80;
		if (n > in.n - 2)
			n = in.n - 2;
		struct buf element = {0};
		struct bytes piece = bytes_of(in.p + 2, n);
		if (sign)
			seal(&element, piece);
		else
			buf_bytes(&element, piece);
		if (!take(k, buf_view(&element)))
			keeper_stream(k);
		buf_free(&element);
		in = bytes_of(in.p + 2 + n, in.n - 2 - n);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fault f;
	start_once();
	struct keeper k = {
		.published = &published, .retire = &retire, .log = &log_ring, .key = key, .cut = no_cut};
	if (!keeper_open(&k, dir, &f).ok)
		abort();
	keeper_stream(&k);
	play(&k, bytes_of(data, size));
	keeper_close(&k);
	retire_all(&retire);
	empty_dir();
	return 0;
}
