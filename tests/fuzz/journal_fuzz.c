/*
 * A journal as it may lie on the disk. It opens or refuses; what opens opens again with the same records, and
 * takes more.
 *
 * The first byte chooses: the rest is the file as it is, or goes into frames with a right chain, to reach the
 * records.
 *
 * links: ca/journal.c ca/journal_scan.c ca/journal_record.c
 */
#include "ca/journal_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROUGH_MAX = 65536 };

static char folder[] = "/dev/shm/journal_fuzz.XXXXXX";
static char path[64];

static void check(bool right)
{
	if (!right)
		abort();
}

static void remove_folder(void)
{
	unlink(path);
	rmdir(folder);
}

static void make_folder(void)
{
	check(mkdtemp(folder) != NULL);
	snprintf(path, sizeof path, "%s/journal", folder);
	atexit(remove_folder);
}

static void write_file(struct bytes b)
{
	FILE *file = fopen(path, "we");
	check(file && fwrite(b.p, 1, b.n, file) == b.n && fclose(file) == 0);
}

static void add_frame(struct buf *out, uint8_t chain[CHAIN_SIZE], struct bytes record)
{
	size_t start = out->n;
	buf_be32(out, (uint32_t)record.n);
	buf_be32(out, (uint32_t)record.n ^ bytes_be32(chain));
	journal_chain_next(chain, bytes_of(out->p + start, 4), record, chain);
	buf_bytes(out, record);
	buf_add(out, chain, CHAIN_SIZE);
}

/* Two bytes of length before each record. */
static void write_framed(struct bytes in)
{
	struct buf file = {0}, header = {0};
	uint8_t chain[CHAIN_SIZE] = {0};
	journal_header_encode(1, &header);
	add_frame(&file, chain, buf_view(&header));
	while (in.n > 2) {
		size_t n = (size_t)in.p[0] << 8 | in.p[1];
		in = bytes_of(in.p + 2, in.n - 2);
		if (n > in.n)
			n = in.n;
		if (n)
			add_frame(&file, chain, bytes_of(in.p, n));
		in = bytes_of(in.p + n, in.n - n);
	}
	write_file(buf_view(&file));
	buf_free(&file);
	buf_free(&header);
}

static outcome visit(void *arg, const struct journal_record *r, uint64_t offset, struct fault *f)
{
	size_t *count = arg;
	(void)offset;
	(void)f;
	check(r->kind == JOURNAL_VOID || (r->kind == JOURNAL_CERTIFICATE && r->certificate.n));
	++*count;
	return DONE;
}

static void append_one(struct journal *j)
{
	struct journal_record r = {.kind = JOURNAL_VOID, .time = 1}, got;
	struct buf raw = {0};
	struct fault f = {0};
	uint64_t offset = journal_end(j);
	memset(r.intent, 7, sizeof r.intent);
	check(journal_append(j, &r, &f).ok && journal_commit(j, &f).ok);
	check(journal_read(j, offset, &raw, &got, &f).ok && got.kind == JOURNAL_VOID && got.intent[0] == 7);
	buf_free(&raw);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct journal *j = NULL;
	struct fault f = {0};
	size_t count = 0, again = 0;
	if (!path[0])
		make_folder();
	if (size < 1 || size > ROUGH_MAX)
		return 0;
	if (data[0] & 1)
		write_framed(bytes_of(data + 1, size - 1));
	else
		write_file(bytes_of(data + 1, size - 1));
	if (!journal_open(path, visit, &count, &j, &f).ok) {
		check(f.reason != REASON_NONE && f.text[0]);
		return 0;
	}
	append_one(j);
	journal_close(j);
	check(journal_open(path, visit, &again, &j, &f).ok && again == count + 1 &&
	      journal_facts(j).cut == 0);
	journal_close(j);
	return 0;
}
