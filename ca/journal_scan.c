#include "journal_internal.h"

#include "common/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHUNK = 1 << 20 };

/* A window on the file that moves forward. */
struct scan {
	struct journal *j;
	uint64_t size;	 /* of the file */
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
	uint32_t n = bytes_be32(in.p);
	*record_size = n;
	return n > 0 && n <= RECORD_MAX && (n ^ bytes_be32(chain)) == bytes_be32(in.p + 4);
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
	journal_chain_next(s->j->chain, bytes_of(in.p, 4), *record, chain);
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

/* Was the write of this frame cut short? Its head is right as far as it is there, and the file ends inside
 * the frame; or blocks that were never written read as zeros from its chain value, or from all of it, to the
 * end. */
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
		      "%s: record %llu at byte %llu: %s; bring the file back from a copy (what follows was "
		      "handed out and must "
		      "not be forgotten)",
		      s->j->path, (unsigned long long)s->frames, (unsigned long long)position(s), what);
}

static outcome visit_frame(struct scan *s, uint64_t offset, struct bytes bytes, journal_visit *visit,
			   void *arg, struct fault *f)
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

outcome journal_scan(struct journal *j, journal_visit *visit, void *arg, struct fault *f)
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
	buf_free(&s.window);
	return o;
}
