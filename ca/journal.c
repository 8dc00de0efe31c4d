#include "journal_record.h"

#include "clock.h"
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FRAME_HEAD = 8, CHAIN_SIZE = SHA256_SIZE, FRAME_MAX = FRAME_HEAD + RECORD_MAX + CHAIN_SIZE, CHUNK = 1 << 20 };

struct journal {
	char path[PATH_MAX];
	int folder; /* holds the lock */
	int fd;
	struct journal_facts facts;
	uint8_t chain[CHAIN_SIZE]; /* after the last committed frame */
	struct buf pending;        /* frames of the next commit */
	uint64_t pending_records;
	uint8_t pending_chain[CHAIN_SIZE];
	bool tail_unsure; /* a failed commit may have left bytes after facts.bytes */
};

static uint32_t read_be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void chain_next(const uint8_t chain[CHAIN_SIZE], struct bytes length, struct bytes record,
		       uint8_t out[CHAIN_SIZE])
{
	const struct bytes parts[] = {{chain, CHAIN_SIZE}, length, record};
	sha256_parts(parts, sizeof parts / sizeof *parts, out);
}

static void add_frame(struct buf *out, uint8_t chain[CHAIN_SIZE], struct bytes record)
{
	uint8_t length[4] = {(uint8_t)(record.n >> 24), (uint8_t)(record.n >> 16), (uint8_t)(record.n >> 8),
			     (uint8_t)record.n};
	buf_add(out, length, sizeof length);
	buf_be32(out, (uint32_t)record.n ^ read_be32(chain));
	chain_next(chain, bytes_of(length, sizeof length), record, chain);
	buf_bytes(out, record);
	buf_add(out, chain, CHAIN_SIZE);
}

/* ---- opening ---- */

static outcome lock_folder(struct journal *j, struct fault *f)
{
	char copy[PATH_MAX];
	snprintf(copy, sizeof copy, "%s", j->path);
	const char *folder = dirname(copy);
	j->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (j->folder < 0)
		return file_fault(f, errno, "open folder", folder);
	if (flock(j->folder, LOCK_EX | LOCK_NB))
		return refuse(f, REASON_CONFIG, "%s is in use: another signer runs on it", folder);
	return DONE;
}

static outcome create_if_absent(struct journal *j, struct fault *f)
{
	struct stat st;
	if (!stat(j->path, &st))
		return DONE;
	if (errno != ENOENT)
		return file_fault(f, errno, "stat", j->path);
	struct buf header = {0}, file = {0};
	uint8_t chain[CHAIN_SIZE] = {0};
	journal_header_encode(clock_wall_s(), &header);
	add_frame(&file, chain, buf_view(&header));
	outcome o = header.failed || file.failed ? refuse(f, REASON_NO_MEMORY, "no memory for a journal")
						 : file_replace(j->path, buf_view(&file), 0600, f);
	buf_free(&header);
	buf_free(&file);
	j->facts.created = o.ok;
	return o;
}

/* A window on the file that moves forward. */
struct scan {
	struct journal *j;
	uint64_t size;   /* of the file */
	uint64_t offset; /* of what `window` holds */
	struct buf window;
	size_t at; /* read position in the window */
	uint64_t frames;
};

static uint64_t position(const struct scan *s)
{
	return s->offset + s->at;
}

/* Has the window hold at least FRAME_MAX bytes from here, or the rest of the file. */
static outcome refill(struct scan *s, struct fault *f)
{
	size_t held = s->window.n - s->at;
	if (held >= FRAME_MAX || s->offset + s->window.n >= s->size)
		return DONE;
	memmove(s->window.p, s->window.p + s->at, held);
	s->offset += s->at;
	s->at = 0;
	s->window.n = held;
	while (s->window.n < s->window.cap && s->offset + s->window.n < s->size) {
		ssize_t n = pread(s->j->fd, s->window.p + s->window.n, s->window.cap - s->window.n,
				  (off_t)(s->offset + s->window.n));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return file_fault(f, n ? errno : EIO, "read", s->j->path);
		s->window.n += (size_t)n;
	}
	return DONE;
}

static struct bytes rest_of_window(const struct scan *s)
{
	return bytes_of(s->window.p + s->at, s->window.n - s->at);
}

static bool head_ok(struct bytes in, const uint8_t chain[CHAIN_SIZE], size_t *record_size)
{
	if (in.n < FRAME_HEAD)
		return false;
	uint32_t n = read_be32(in.p);
	*record_size = n;
	return n > 0 && n <= RECORD_MAX && (n ^ read_be32(chain)) == read_be32(in.p + 4);
}

/* The next frame's record, if it verifies; then the chain and the position move on. */
static bool take_frame(struct scan *s, struct bytes *record)
{
	struct bytes in = rest_of_window(s);
	uint8_t chain[CHAIN_SIZE];
	size_t n;
	if (!head_ok(in, s->j->chain, &n) || in.n < FRAME_HEAD + n + CHAIN_SIZE)
		return false;
	*record = bytes_of(in.p + FRAME_HEAD, n);
	chain_next(s->j->chain, bytes_of(in.p, 4), *record, chain);
	if (memcmp(chain, record->p + n, CHAIN_SIZE))
		return false;
	memcpy(s->j->chain, chain, CHAIN_SIZE);
	s->at += FRAME_HEAD + n + CHAIN_SIZE;
	s->frames++;
	return true;
}

/* Is there nothing but zeros from `from` to the end of the file? Looks at what follows the window too. */
static bool only_zeros(const struct scan *s, uint64_t from)
{
	uint8_t chunk[4096];
	while (from < s->size) {
		ssize_t n = pread(s->j->fd, chunk, sizeof chunk, (off_t)from);
		if (n <= 0)
			return false;
		for (ssize_t i = 0; i < n; i++)
			if (chunk[i])
				return false;
		from += (uint64_t)n;
	}
	return true;
}

/* Was the write of this frame cut short? Its head is right as far as it is there, and the file ends inside the frame;
 * or blocks that were never written read as zeros from its chain value, or from all of it, to the end. */
static bool is_torn(const struct scan *s)
{
	struct bytes in = rest_of_window(s);
	size_t n;
	if (in.n < FRAME_HEAD || only_zeros(s, position(s)))
		return true;
	if (!head_ok(in, s->j->chain, &n))
		return false;
	return in.n < FRAME_HEAD + n + CHAIN_SIZE || only_zeros(s, position(s) + FRAME_HEAD + n);
}

static outcome damaged(const struct scan *s, const char *what, struct fault *f)
{
	return refuse(f, REASON_JOURNAL,
		      "%s: record %llu at byte %llu: %s; bring the file back from a copy (what follows was handed out and must "
		      "not be forgotten)",
		      s->j->path, (unsigned long long)s->frames, (unsigned long long)position(s), what);
}

static outcome visit_frame(struct scan *s, uint64_t offset, struct bytes bytes, journal_visit *visit, void *arg,
			   struct fault *f)
{
	struct journal_record record;
	struct fault why;
	bool header = s->frames == 1;
	outcome o = header ? journal_header_decode(bytes, &why) : journal_record_decode(bytes, &record, &why);
	if (!o.ok)
		return damaged(s, why.text, f);
	return header ? DONE : visit(arg, &record, offset, f);
}

static outcome scan_all(struct scan *s, journal_visit *visit, void *arg, struct fault *f)
{
	for (;;) {
		struct bytes record;
		outcome o = refill(s, f);
		uint64_t offset = position(s);
		if (!o.ok || offset >= s->size)
			return o;
		if (!take_frame(s, &record))
			return is_torn(s) && s->frames ? DONE : damaged(s, "the hash chain does not hold", f);
		o = visit_frame(s, offset, record, visit, arg, f);
		if (!o.ok)
			return o;
	}
}

static outcome sync_file(struct journal *j, struct fault *f)
{
	return fdatasync(j->fd) ? file_fault(f, errno, "sync", j->path) : DONE;
}

/* Makes the file end after the last committed frame, durably. */
static outcome cut_tail(struct journal *j, struct fault *f)
{
	if (ftruncate(j->fd, (off_t)j->facts.bytes))
		return file_fault(f, errno, "truncate", j->path);
	outcome o = sync_file(j, f);
	j->tail_unsure = !o.ok;
	return o;
}

static outcome read_all(struct journal *j, journal_visit *visit, void *arg, struct fault *f)
{
	struct scan s = {.j = j};
	struct stat st;
	if (fstat(j->fd, &st))
		return file_fault(f, errno, "stat", j->path);
	s.size = (uint64_t)st.st_size;
	s.window = (struct buf){.p = malloc(CHUNK), .cap = CHUNK};
	outcome o = !s.window.p	  ? refuse(f, REASON_NO_MEMORY, "no memory to read a journal")
		    : s.size == 0 ? damaged(&s, "the file is empty", f)
				  : scan_all(&s, visit, arg, f);
	j->facts.bytes = position(&s);
	j->facts.records = s.frames ? s.frames - 1 : 0;
	j->facts.cut = s.size - position(&s);
	memcpy(j->pending_chain, j->chain, CHAIN_SIZE);
	if (o.ok && j->facts.cut)
		o = cut_tail(j, f);
	buf_free(&s.window);
	return o;
}

outcome journal_open(const char *path, journal_visit *visit, void *arg, struct journal **out, struct fault *f)
{
	struct journal *j = calloc(1, sizeof *j);
	if (!j)
		return refuse(f, REASON_NO_MEMORY, "no memory for a journal");
	j->fd = j->folder = -1;
	outcome o = (size_t)snprintf(j->path, sizeof j->path, "%s", path) < sizeof j->path
			    ? lock_folder(j, f)
			    : file_fault(f, ENAMETOOLONG, "open", path);
	if (o.ok)
		o = create_if_absent(j, f);
	if (o.ok && (j->fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW)) < 0)
		o = file_fault(f, errno, "open", path);
	if (o.ok)
		o = read_all(j, visit, arg, f);
	if (!o.ok) {
		journal_close(j);
		return o;
	}
	*out = j;
	return DONE;
}

void journal_close(struct journal *j)
{
	if (!j)
		return;
	if (j->fd >= 0)
		close(j->fd);
	if (j->folder >= 0)
		close(j->folder);
	buf_free(&j->pending);
	free(j);
}

/* ---- writing ---- */

uint64_t journal_end(const struct journal *j)
{
	return j->facts.bytes + j->pending.n;
}

outcome journal_append(struct journal *j, const struct journal_record *record, struct fault *f)
{
	struct buf encoded = {0};
	size_t before = j->pending.n;
	uint8_t chain[CHAIN_SIZE];
	memcpy(chain, j->pending_chain, CHAIN_SIZE);
	journal_record_encode(record, &encoded);
	outcome o = encoded.n <= RECORD_MAX ? DONE : refuse(f, REASON_TOO_LARGE, "a journal record of %zu bytes", encoded.n);
	if (o.ok)
		add_frame(&j->pending, chain, buf_view(&encoded));
	if (encoded.failed || j->pending.failed) {
		j->pending.failed = false;
		j->pending.n = before;
		o = refuse(f, REASON_NO_MEMORY, "no memory for a journal record");
	}
	if (o.ok) {
		j->pending_records++;
		memcpy(j->pending_chain, chain, CHAIN_SIZE);
	}
	buf_free(&encoded);
	return o;
}

static outcome write_pending(struct journal *j, struct fault *f)
{
	outcome o = j->tail_unsure ? cut_tail(j, f) : DONE;
	if (!o.ok)
		return o;
	j->tail_unsure = true;
	if (lseek(j->fd, (off_t)j->facts.bytes, SEEK_SET) < 0)
		return file_fault(f, errno, "seek", j->path);
	o = file_write_all(j->fd, buf_view(&j->pending), j->path, f);
	if (o.ok)
		o = sync_file(j, f);
	if (o.ok)
		j->tail_unsure = false;
	return o;
}

outcome journal_commit(struct journal *j, struct fault *f)
{
	struct fault ignored;
	if (j->pending.n == 0)
		return DONE;
	outcome o = write_pending(j, f);
	if (o.ok) {
		j->facts.bytes += j->pending.n;
		j->facts.records += j->pending_records;
		memcpy(j->chain, j->pending_chain, CHAIN_SIZE);
	} else {
		memcpy(j->pending_chain, j->chain, CHAIN_SIZE);
		/* Now, for whoever reads the file meanwhile; where it fails, the next commit does it. */
		if (!cut_tail(j, &ignored).ok)
			j->tail_unsure = true;
	}
	j->pending.n = 0;
	j->pending_records = 0;
	return o;
}

bool journal_is_pending(const struct journal *j, uint64_t offset)
{
	return offset >= j->facts.bytes;
}

/* ---- reading ---- */

static outcome read_at(struct journal *j, uint64_t offset, size_t n, struct buf *raw, struct fault *f)
{
	uint8_t chunk[FRAME_MAX];
	size_t done = 0;
	while (done < n) {
		ssize_t got = pread(j->fd, chunk + done, n - done, (off_t)(offset + done));
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return file_fault(f, got ? errno : EIO, "read", j->path);
		done += (size_t)got;
	}
	raw->n = 0;
	buf_add(raw, chunk, n);
	return raw->failed ? refuse(f, REASON_NO_MEMORY, "no memory to read a journal record") : DONE;
}

/* The frame at `offset`, as far as FRAME_MAX bytes reach. */
static outcome read_frame(struct journal *j, uint64_t offset, struct buf *raw, struct fault *f)
{
	if (journal_is_pending(j, offset)) {
		raw->n = 0;
		size_t at = (size_t)(offset - j->facts.bytes);
		buf_add(raw, j->pending.p + at, j->pending.n - at);
		return raw->failed ? refuse(f, REASON_NO_MEMORY, "no memory to read a journal record") : DONE;
	}
	uint64_t left = j->facts.bytes - offset;
	return read_at(j, offset, left < FRAME_MAX ? (size_t)left : FRAME_MAX, raw, f);
}

outcome journal_read(struct journal *j, uint64_t offset, struct buf *raw, struct journal_record *out, struct fault *f)
{
	outcome o = read_frame(j, offset, raw, f);
	if (!o.ok)
		return o;
	size_t n = raw->n < FRAME_HEAD ? 0 : read_be32(raw->p);
	if (n == 0 || n > raw->n - FRAME_HEAD)
		return refuse(f, REASON_JOURNAL, "%s: no record at byte %llu", j->path, (unsigned long long)offset);
	return journal_record_decode(bytes_of(raw->p + FRAME_HEAD, n), out, f);
}

struct journal_facts journal_facts(const struct journal *j)
{
	return j->facts;
}
