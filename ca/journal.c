#include "journal_internal.h"

#include "common/clock.h"
#include "common/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

void journal_chain_next(const uint8_t chain[CHAIN_SIZE], struct bytes length, struct bytes record,
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
	buf_be32(out, (uint32_t)record.n ^ bytes_be32(chain));
	journal_chain_next(chain, bytes_of(length, sizeof length), record, chain);
	buf_bytes(out, record);
	buf_add(out, chain, CHAIN_SIZE);
}

/* ---- opening ---- */

static outcome lock_folder(struct journal *j, struct fault *f)
{
	char folder[PATH_MAX];
	file_folder_of(j->path, folder);
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

static outcome sync_file(struct journal *j, struct fault *f)
{
	return fdatasync(j->fd) ? file_fault(f, errno, "sync", j->path) : DONE;
}

/* Makes the file end after the last committed frame, durably. */
static outcome cut_tail(struct journal *j, struct fault *f)
{
	if (ftruncate(j->fd, (off_t)j->facts.bytes))
		return file_fault(f, errno, "truncate", j->path);
	return sync_file(j, f);
}

/* Where an earlier process ended with a sync that failed, its last commit may be in the kernel's memory and not
 * on disk. What is read is to come from the disk. */
static void forget_cached_tail(const struct journal *j)
{
	enum { COMMIT_MAX = 4 << 20 };
	struct stat st;
	if (!fstat(j->fd, &st))
		posix_fadvise(j->fd, st.st_size > COMMIT_MAX ? st.st_size - COMMIT_MAX : 0, 0,
			      POSIX_FADV_DONTNEED);
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
	if (o.ok) {
		forget_cached_tail(j);
		o = journal_scan(j, visit, arg, f);
	}
	memcpy(j->pending_chain, j->chain, CHAIN_SIZE);
	if (o.ok && j->facts.cut)
		o = cut_tail(j, f);
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
	outcome o = encoded.n <= RECORD_MAX
			    ? DONE
			    : refuse(f, REASON_TOO_LARGE, "a journal record of %zu bytes", encoded.n);
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

/* Says so in the fault; `why` keeps its sentence. */
static outcome lose(struct journal *j, struct fault *f)
{
	const struct fault why = *f;
	j->lost = true;
	return refuse(f, REASON_JOURNAL_IO, "%s: what is on disk is not known until the next start",
		      why.text);
}

static outcome write_pending(struct journal *j, struct fault *f)
{
	struct fault uncut;
	if (lseek(j->fd, (off_t)j->facts.bytes, SEEK_SET) < 0) {
		file_fault(f, errno, "seek", j->path);
		return lose(j, f);
	}
	if (file_write_all(j->fd, buf_view(&j->pending), j->path, f).ok)
		return sync_file(j, f).ok ? DONE : lose(j, f);
	if (f->reason != REASON_DISK_FULL)
		return lose(j, f);
	if (cut_tail(j, &uncut).ok)
		return (outcome){false};
	*f = uncut;
	return lose(j, f);
}

static outcome refuse_lost(const struct journal *j, struct fault *f)
{
	return refuse(f, REASON_JOURNAL_IO,
		      "%s: a write failed: what is on disk is not known until the next start", j->path);
}

outcome journal_commit(struct journal *j, struct fault *f)
{
	if (j->pending.n == 0)
		return DONE;
	outcome o = j->lost ? refuse_lost(j, f) : write_pending(j, f);
	if (o.ok) {
		j->facts.bytes += j->pending.n;
		j->facts.records += j->pending_records;
		memcpy(j->chain, j->pending_chain, CHAIN_SIZE);
	} else {
		memcpy(j->pending_chain, j->chain, CHAIN_SIZE);
	}
	j->pending.n = 0;
	j->pending_records = 0;
	return o;
}

bool journal_is_lost(const struct journal *j)
{
	return j->lost;
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
			return refuse(f, REASON_JOURNAL_IO, "read %s: %s", j->path,
				      strerror(got ? errno : EIO));
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

outcome journal_read(struct journal *j, uint64_t offset, struct buf *raw, struct journal_record *out,
		     struct fault *f)
{
	outcome o = read_frame(j, offset, raw, f);
	if (!o.ok)
		return o;
	size_t n = raw->n < FRAME_HEAD ? 0 : bytes_be32(raw->p);
	if (n == 0 || n > raw->n - FRAME_HEAD)
		return refuse(f, REASON_JOURNAL, "%s: no record at byte %llu", j->path,
			      (unsigned long long)offset);
	return journal_record_decode(bytes_of(raw->p + FRAME_HEAD, n), out, f);
}

struct journal_facts journal_facts(const struct journal *j)
{
	return j->facts;
}
