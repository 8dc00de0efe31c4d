#include "plugin/table_journal.h"

#include "common/file.h"
#include "plugin/table_blocks.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PART_SIZE = 65536, NAME_SIZE = sizeof "journal-" + 2 * SHA256_SIZE, JOURNAL_SMALL = 16 << 20 };
static const size_t file_limit = (size_t)4 << 30;

struct table_journal {
	char dir[PATH_MAX - NAME_SIZE - 8];
	int dir_fd;
	int fd; /* of the journal; -1: nothing can be appended */
	uint8_t chain[SHA256_SIZE];
	size_t snapshot_size;
	size_t journal_size;
	size_t cut_off;
};

static const char *path_of(const struct table_journal *j, const char *name, char out[PATH_MAX])
{
	snprintf(out, PATH_MAX, "%s/%s", j->dir, name);
	return out;
}

static void journal_name(const uint8_t id[SHA256_SIZE], char out[NAME_SIZE])
{
	memcpy(out, "journal-", 8);
	hex_encode(bytes_of(id, SHA256_SIZE), out + 8);
}

outcome table_journal_open(const char *dir, struct table_journal **out, struct fault *f)
{
	struct table_journal *j = calloc(1, sizeof *j);
	outcome o = DONE;
	if (!j)
		return refuse(f, REASON_NO_MEMORY, "no memory for the table's journal");
	j->fd = -1;
	j->dir_fd = -1;
	if ((size_t)snprintf(j->dir, sizeof j->dir, "%s", dir) >= sizeof j->dir)
		o = refuse(f, REASON_CONFIG, "the path of the state folder is too long");
	else if ((j->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		o = file_fault(f, errno, "open", dir);
	else if (flock(j->dir_fd, LOCK_EX | LOCK_NB))
		o = refuse(f, REASON_CONFLICT, "%s is in use by another broker", dir);
	if (o.ok)
		*out = j;
	else
		table_journal_close(j);
	return o;
}

void table_journal_close(struct table_journal *j)
{
	if (!j)
		return;
	if (j->fd >= 0)
		close(j->fd);
	if (j->dir_fd >= 0)
		close(j->dir_fd);
	free(j);
}

/* ---- loading ---- */

/* An unfinished block is cut off now, so that the next one follows what is good. */
static outcome continue_journal(struct table_journal *j, const char *path, size_t size, size_t good,
				struct fault *f)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	if (fd < 0)
		return file_fault(f, errno, "open", path);
	if (good != size && (ftruncate(fd, (off_t)good) || fsync(fd))) {
		outcome o = file_fault(f, errno, "cut off the end of", path);
		close(fd);
		return o;
	}
	j->fd = fd;
	j->journal_size = good;
	j->cut_off = size - good;
	return DONE;
}

static outcome load_journal(struct table_journal *j, struct table *table, struct table_position *position,
			    struct fault *refused, struct fault *f)
{
	char name[NAME_SIZE], path[PATH_MAX];
	struct buf file = {0};
	size_t good = 0;
	journal_name(j->chain, name);
	outcome o = file_read(path_of(j, name, path), file_limit, &file, f);
	if (!o.ok)
		return refuse(f, REASON_JOURNAL, "the snapshot's journal cannot be read: %s", path);
	o = blocks_read_journal(buf_view(&file), j->chain, table, position, &good, refused, f);
	if (o.ok)
		o = continue_journal(j, path, file.n, good, f);
	buf_free(&file);
	return o;
}

outcome table_journal_load(struct table_journal *j, struct retire *retire, struct table **out,
			   struct table_position *position, struct fault *refused, struct fault *f)
{
	char path[PATH_MAX];
	struct buf file = {0};
	struct table *table = NULL;
	*out = NULL;
	if (faccessat(j->dir_fd, "table", F_OK, 0) && errno == ENOENT)
		return DONE;
	outcome o = file_read(path_of(j, "table", path), file_limit, &file, f);
	if (!o.ok)
		goto out;
	j->snapshot_size = file.n;
	table = table_new(retire);
	o = table ? blocks_read_snapshot(buf_view(&file), j->chain, table, position, refused, f)
		  : refuse(f, REASON_NO_MEMORY, "no memory for the table of certificates");
	buf_free(&file);
	if (o.ok)
		o = load_journal(j, table, position, refused, f);
	if (o.ok) {
		*out = table;
		table = NULL;
	}
out:
	table_free(table);
	buf_free(&file);
	return o;
}

/* ---- appending ---- */

static void stop_appending(struct table_journal *j)
{
	if (j->fd >= 0)
		close(j->fd);
	j->fd = -1;
}

outcome table_journal_append(struct table_journal *j, const struct table_position *position,
			     struct bytes records, size_t count, struct fault *f)
{
	struct buf block = {0};
	outcome o;
	if (j->fd < 0)
		return refuse(f, REASON_JOURNAL, "the journal is closed since it could not be written");
	blocks_put(&block, j->chain, BLOCK_CHANGES, position, records, count);
	if (block.failed)
		o = refuse(f, REASON_NO_MEMORY, "no memory for a block of the journal");
	else
		o = file_write_all(j->fd, buf_view(&block), j->dir, f);
	if (o.ok && fdatasync(j->fd))
		o = file_fault(f, errno, "fdatasync the journal in", j->dir);
	if (o.ok)
		j->journal_size += block.n;
	else
		stop_appending(j);
	buf_free(&block);
	return o;
}

size_t table_journal_cut_off(const struct table_journal *j)
{
	return j->cut_off;
}

bool table_journal_wants_replacing(const struct table_journal *j)
{
	return j->fd < 0 || (j->journal_size > JOURNAL_SMALL && j->journal_size > j->snapshot_size);
}

/* ---- replacing ---- */

struct writing {
	int fd;
	const char *path;
	uint8_t chain[SHA256_SIZE];
	const struct table_position *position;
	struct buf records;
	size_t count;
	size_t written;
};

static outcome write_block(struct writing *w, enum block_kind kind, struct fault *f)
{
	struct buf block = {0};
	blocks_put(&block, w->chain, kind, w->position, buf_view(&w->records), w->count);
	outcome o = block.failed || w->records.failed
			    ? refuse(f, REASON_NO_MEMORY, "no memory for a snapshot")
			    : file_write_all(w->fd, buf_view(&block), w->path, f);
	w->written += block.n;
	w->records.n = 0;
	w->count = 0;
	buf_free(&block);
	return o;
}

static outcome write_record(void *arg, const struct feed_record *record, struct fault *f)
{
	struct writing *w = arg;
	if (record->type == FEED_POLICY)
		feed_put_policy(&w->records, record->policy, record->document);
	else
		feed_put_certificate(&w->records, record);
	w->count++;
	return w->records.n < PART_SIZE ? DONE : write_block(w, BLOCK_PART, f);
}

static outcome write_snapshot(struct writing *w, const struct table *table, int64_t not_after,
			      struct fault *f)
{
	blocks_start(w->chain);
	outcome o = file_write_all(w->fd, bytes_str(blocks_snapshot_magic), w->path, f);
	if (o.ok)
		o = table_each(table, not_after, write_record, w, f);
	if (o.ok)
		o = write_block(w, BLOCK_LAST, f);
	if (o.ok && fsync(w->fd))
		o = file_fault(f, errno, "fsync", w->path);
	w->written += BLOCKS_MAGIC_SIZE;
	return o;
}

/* What is left of former snapshots and of attempts that failed. */
static void remove_others(const struct table_journal *j, const char *keep)
{
	int fd = dup(j->dir_fd);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		if (fd >= 0)
			close(fd);
		return;
	}
	rewinddir(dir);
	for (struct dirent *e; (e = readdir(dir));)
		if (!strncmp(e->d_name, "journal-", 8) && strcmp(e->d_name, keep))
			unlinkat(j->dir_fd, e->d_name, 0);
	closedir(dir);
}

/* The new journal is there before the new snapshot, which names it: at no time is there a snapshot without. */
static outcome change_over(struct table_journal *j, const struct writing *w, struct fault *f)
{
	char name[NAME_SIZE], path[PATH_MAX];
	journal_name(w->chain, name);
	outcome o = file_replace(path_of(j, name, path), bytes_str(blocks_journal_magic), 0600, f);
	if (o.ok && renameat(j->dir_fd, "table.new", j->dir_fd, "table"))
		o = file_fault(f, errno, "rename the snapshot in", j->dir);
	if (o.ok && fsync(j->dir_fd))
		o = file_fault(f, errno, "fsync", j->dir);
	if (o.ok)
		stop_appending(j);
	if (o.ok)
		o = continue_journal(j, path, BLOCKS_MAGIC_SIZE, BLOCKS_MAGIC_SIZE, f);
	if (!o.ok)
		return o;
	memcpy(j->chain, w->chain, SHA256_SIZE);
	j->snapshot_size = w->written;
	remove_others(j, name);
	return DONE;
}

outcome table_journal_replace(struct table_journal *j, const struct table *table,
			      const struct table_position *position, int64_t not_after, struct fault *f)
{
	char path[PATH_MAX];
	struct writing w = {.path = path_of(j, "table.new", path), .position = position};
	w.fd = openat(j->dir_fd, "table.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (w.fd < 0)
		return file_fault(f, errno, "create", path);
	outcome o = write_snapshot(&w, table, not_after, f);
	close(w.fd);
	buf_free(&w.records);
	if (o.ok)
		o = change_over(j, &w, f);
	if (!o.ok) {
		unlinkat(j->dir_fd, "table.new", 0);
		stop_appending(j);
	}
	return o;
}
