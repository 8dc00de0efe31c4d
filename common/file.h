/*
 * file.h - whole files: read with a limit, replaced so that a power cut leaves the old or the new.
 */
#ifndef MOORING_FILE_H
#define MOORING_FILE_H

#include "bytes.h"

#include <limits.h>
#include <sys/types.h>

/* Reads a regular file of at most `limit` bytes; the caller frees out (buf_free). One NUL follows the
 * contents, not counted in n. REASON_IO with the path and the cause. */
MUST_USE outcome file_read(const char *path, size_t limit, struct buf *out, struct fault *f);
/* The same, and refuses a file that group or others can read: for keys and secrets. */
MUST_USE outcome file_read_secret(const char *path, size_t limit, struct buf *out, struct fault *f);
/* Writes beside `path`, fsyncs, renames, fsyncs the folder. REASON_DISK_FULL or REASON_IO. */
MUST_USE outcome file_replace(const char *path, struct bytes contents, mode_t mode, struct fault *f);
/* Unlinks, fsyncs the folder. A file that is not there is no failure. */
MUST_USE outcome file_remove(const char *path, struct fault *f);
/* Removes from `folder` what file_replace left behind when the power failed: entries that fnmatch(3)
 * `pattern`, which the caller ends with ".??????". */
MUST_USE outcome file_sweep(const char *folder, const char *pattern, struct fault *f);
/* The folder that a file is in, "." for a bare name. A path of PATH_MAX characters or more is cut. */
void file_folder_of(const char *path, char out[PATH_MAX]);
/* A process of its own holds the folder until it ends: a second `daemon` on the same state is refused,
 * REASON_CONFIG. */
MUST_USE outcome file_hold_folder(const char *folder, const char *daemon, struct fault *f);
/* Writes all n bytes at the file's offset, through short writes and EINTR. */
MUST_USE outcome file_write_all(int fd, struct bytes contents, const char *path, struct fault *f);
/* REASON_DISK_FULL for ENOSPC, EDQUOT and EFBIG, else REASON_IO, with path and strerror(error). */
outcome file_fault(struct fault *f, int error, const char *verb, const char *path);

#endif
