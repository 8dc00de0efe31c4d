#include "file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

outcome file_fault(struct fault *f, int error, const char *verb, const char *path)
{
	enum reason reason =
		error == ENOSPC || error == EDQUOT || error == EFBIG ? REASON_DISK_FULL : REASON_IO;
	return refuse(f, reason, "%s %s: %s", verb, path, strerror(error));
}

static outcome read_open_file(int fd, const char *path, size_t limit, struct buf *out, struct fault *f)
{
	uint8_t chunk[16384];
	for (;;) {
		ssize_t n = read(fd, chunk, sizeof chunk);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return file_fault(f, errno, "read", path);
		if (n == 0)
			break;
		if ((size_t)n > limit - out->n)
			return refuse(f, REASON_TOO_LARGE, "%s is larger than %zu bytes", path, limit);
		buf_add(out, chunk, (size_t)n);
	}
	buf_byte(out, 0);
	if (out->failed)
		return refuse(f, REASON_NO_MEMORY, "no memory to read %s", path);
	out->n--;
	return DONE;
}

static outcome read_file(const char *path, size_t limit, mode_t forbidden, struct buf *out, struct fault *f)
{
	*out = (struct buf){0};
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return file_fault(f, errno, "open", path);
	struct stat st;
	outcome result;
	if (fstat(fd, &st))
		result = file_fault(f, errno, "stat", path);
	else if (!S_ISREG(st.st_mode))
		result = refuse(f, REASON_IO, "%s is not a regular file", path);
	else if (st.st_mode & forbidden)
		result = refuse(f, REASON_IO,
				"%s holds a secret but its mode is %04o: others can read it; chmod 600 it",
				path, (unsigned)(st.st_mode & 07777));
	else
		result = read_open_file(fd, path, limit, out, f);
	close(fd);
	if (!result.ok)
		buf_free(out);
	return result;
}

outcome file_read(const char *path, size_t limit, struct buf *out, struct fault *f)
{
	return read_file(path, limit, 0, out, f);
}

outcome file_read_secret(const char *path, size_t limit, struct buf *out, struct fault *f)
{
	return read_file(path, limit, S_IRWXG | S_IRWXO, out, f);
}

outcome file_write_all(int fd, struct bytes contents, const char *path, struct fault *f)
{
	while (contents.n) {
		ssize_t n = write(fd, contents.p, contents.n);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return file_fault(f, errno, "write", path);
		contents.p += n;
		contents.n -= (size_t)n;
	}
	return DONE;
}

void file_folder_of(const char *path, char out[PATH_MAX])
{
	char copy[PATH_MAX];
	snprintf(copy, sizeof copy, "%s", path);
	snprintf(out, PATH_MAX, "%s", dirname(copy));
}

static outcome sync_folder_of(const char *path, struct fault *f)
{
	char folder[PATH_MAX];
	file_folder_of(path, folder);
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return file_fault(f, errno, "open folder of", path);
	int rc = fsync(fd);
	int error = errno;
	close(fd);
	return rc ? file_fault(f, error, "fsync folder of", path) : DONE;
}

outcome file_replace(const char *path, struct bytes contents, mode_t mode, struct fault *f)
{
	char temp[PATH_MAX];
	if ((size_t)snprintf(temp, sizeof temp, "%s.XXXXXX", path) >= sizeof temp)
		return file_fault(f, ENAMETOOLONG, "write", path);
	int fd = mkostemp(temp, O_CLOEXEC);
	if (fd < 0)
		return file_fault(f, errno, "create", temp);
	outcome result = file_write_all(fd, contents, temp, f);
	if (result.ok && fchmod(fd, mode))
		result = file_fault(f, errno, "chmod", temp);
	if (result.ok && fsync(fd))
		result = file_fault(f, errno, "fsync", temp);
	if (close(fd) && result.ok)
		result = file_fault(f, errno, "close", temp);
	if (result.ok && rename(temp, path))
		result = file_fault(f, errno, "rename to", path);
	if (!result.ok)
		unlink(temp);
	return result.ok ? sync_folder_of(path, f) : result;
}

outcome file_remove(const char *path, struct fault *f)
{
	if (unlink(path) && errno != ENOENT)
		return file_fault(f, errno, "remove", path);
	return sync_folder_of(path, f);
}

outcome file_sweep(const char *folder, const char *pattern, struct fault *f)
{
	char path[PATH_MAX];
	DIR *entries = opendir(folder);
	if (!entries)
		return file_fault(f, errno, "open", folder);
	outcome result = DONE;
	for (const struct dirent *e; result.ok && (e = readdir(entries));) {
		if (fnmatch(pattern, e->d_name, 0))
			continue;
		if ((size_t)snprintf(path, sizeof path, "%s/%s", folder, e->d_name) >= sizeof path)
			result = file_fault(f, ENAMETOOLONG, "remove", e->d_name);
		else
			result = file_remove(path, f);
	}
	closedir(entries);
	return result;
}

/* The descriptor stays open: the kernel lets go of the lock when the process is gone, however it went. */
outcome file_hold_folder(const char *folder, const char *daemon, struct fault *f)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return file_fault(f, errno, "open folder", folder);
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return DONE;
	close(fd);
	return refuse(f, REASON_CONFIG, "%s is in use: another %s runs on it", folder, daemon);
}
