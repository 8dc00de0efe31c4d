#include "register_log.h"

#include "common/clock.h"
#include "common/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ENTRY_MAX = REGISTER_PREFIX + PROVENANCE_OBJECT_MAX + SHA256_SIZE };
/* What may be appended between two commits, and so be torn: see register_log_append. */
enum { PENDING_MAX = 4 << 20 };

static const size_t LOG_MAX = (size_t)1 << 34;

struct register_item register_log_at(const struct register_log *l, int64_t index)
{
	struct register_item item = {.index = index};
	size_t at = l->offsets[index - 1], size;
	/* It was read when the log was opened, or written by this process. */
	if (!register_item_read(bytes_of(l->bytes.p + at, l->bytes.n - at), &item, &size))
		abort();
	return item;
}

static outcome note_entry(void *arg, const struct register_item *item, size_t offset, struct fault *f)
{
	struct register_log *l = arg;
	if (l->count == l->room) {
		size_t room = l->room ? 2 * l->room : 1024;
		size_t *more = realloc(l->offsets, room * sizeof *more);
		if (!more)
			return refuse(f, REASON_NO_MEMORY, "no memory for the register");
		l->offsets = more;
		l->room = room;
	}
	l->offsets[l->count++] = offset;
	l->last_time = item->time;
	memcpy(l->head, item->head, sizeof l->head);
	return DONE;
}

/* ---- the signed head ---- */

outcome register_log_head(const struct register_log *l, int64_t size, int64_t now, struct buf *out,
			  struct fault *f)
{
	struct register_head h = {.size = size, .time = now};
	memcpy(h.programme, l->programme.id, sizeof h.programme);
	register_start(l->programme.id, h.head);
	if (size) {
		struct register_item last = register_log_at(l, size);
		memcpy(h.head, last.head, sizeof h.head);
		/* A clock that was set back does not make the word older than what it is about. */
		h.time = now < last.time ? last.time : now;
	}
	return register_head_sign(out, &h, l->key, f);
}

static outcome save_head(struct register_log *l, struct fault *f)
{
	char path[FACTORY_PATH_MAX];
	struct buf head = {0};
	outcome r = register_log_head(l, (int64_t)l->count, clock_wall_s(), &head, f);
	if (r.ok)
		r = factory_path(l->folder, "head.cose", path, f);
	if (r.ok)
		r = file_replace(path, buf_view(&head), 0644, f);
	if (r.ok)
		l->acknowledged = l->count;
	buf_free(&head);
	return r;
}

static outcome load_head(const struct register_log *l, struct register_head *h, struct fault *f)
{
	char path[FACTORY_PATH_MAX];
	struct buf in = {0};
	struct fault own;
	outcome r = factory_path(l->folder, "head.cose", path, f);
	if (r.ok)
		r = file_read(path, PROVENANCE_OBJECT_MAX, &in, f);
	if (!r.ok)
		return r;
	r = register_head_read(buf_view(&in), h, &own);
	if (r.ok)
		r = provenance_verify(&h->object, l->programme.register_key, &own);
	if (r.ok && memcmp(h->programme, l->programme.id, sizeof h->programme) != 0)
		r = refuse(&own, REASON_CHAIN_PROGRAMME, "it is of another programme");
	h->object = (struct provenance_object){0}; /* it looked into the file */
	buf_free(&in);
	return r.ok ? DONE : refuse(f, own.reason, "%.120s: %s", path, own.text);
}

/* ---- opening ---- */

static outcome check_acknowledged(struct register_log *l, const struct register_head *h, struct fault *f)
{
	uint8_t start[SHA256_SIZE];
	register_start(l->programme.id, start);
	if (h->size > (int64_t)l->count)
		return refuse(f, REASON_REGISTER_HISTORY,
			      "register.log holds %zu entries whose hashes hold, and the register has signed "
			      "for %lld: "
			      "entry %zu is missing or changed",
			      l->count, (long long)h->size, l->count + 1);
	if (memcmp(h->head, h->size ? register_log_at(l, h->size).head : start, SHA256_SIZE) != 0)
		return refuse(
			f, REASON_REGISTER_HISTORY,
			"register.log is not the history that the register has signed for at entry %lld",
			(long long)h->size);
	l->acknowledged = (size_t)h->size;
	return DONE;
}

/* Behind the last whole entry there may be what one commit had begun, and no more. */
static outcome check_rest(const struct register_log *l, size_t whole, struct fault *f)
{
	if (l->bytes.n - whole <= PENDING_MAX + ENTRY_MAX)
		return DONE;
	return refuse(f, REASON_REGISTER_HISTORY,
		      "register.log: %zu bytes after entry %zu are none of its entries", l->bytes.n - whole,
		      l->count);
}

static outcome load_log(struct register_log *l, bool append, struct fault *f)
{
	char path[FACTORY_PATH_MAX];
	struct register_head h;
	size_t whole;
	/* The head first: the log that is read after it is at least as long. */
	outcome r = load_head(l, &h, f);
	if (r.ok)
		r = factory_path(l->folder, "register.log", path, f);
	if (r.ok)
		r = file_read(path, LOG_MAX, &l->bytes, f);
	if (r.ok)
		r = register_walk(buf_view(&l->bytes), l->programme.id, note_entry, l, &whole, f);
	if (r.ok)
		r = check_acknowledged(l, &h, f);
	if (r.ok)
		r = check_rest(l, whole, f);
	if (!r.ok)
		return r;
	if (!append) {
		l->count = l->acknowledged;
		return DONE;
	}
	l->fd = open(path, O_RDWR | O_CLOEXEC);
	if (l->fd < 0)
		return file_fault(f, errno, "open", path);
	l->torn = l->bytes.n - whole;
	l->bytes.n = l->synced = whole;
	if (l->torn && (ftruncate(l->fd, (off_t)whole) || fsync(l->fd)))
		return file_fault(f, errno, "repair", path);
	return l->count > l->acknowledged ? save_head(l, f) : DONE;
}

/* The key in the folder is the one that the programme names. */
static outcome load_key(struct register_log *l, struct fault *f)
{
	char path[FACTORY_PATH_MAX];
	uint8_t point[P256_POINT_SIZE];
	outcome r = factory_path(l->folder, "register.key", path, f);
	if (r.ok)
		r = factory_load_key(path, &l->key, f);
	if (r.ok &&
	    (!provenance_point(l->key, point) || memcmp(point, l->programme.register_key, sizeof point) != 0))
		r = refuse(f, REASON_CONFIG, "%s is not the register's key that programme.json names", path);
	return r;
}

static outcome begin(const char *folder, bool alone, struct register_log *out, struct fault *f)
{
	*out = (struct register_log){.fd = -1};
	if (strlen(folder) >= sizeof out->folder)
		return file_fault(f, ENAMETOOLONG, "open", folder);
	strcpy(out->folder, folder);
	return alone ? file_hold_folder(folder, "mooring-factory", f) : DONE;
}

outcome register_log_open(const char *folder, bool append, struct register_log *out, struct fault *f)
{
	char path[FACTORY_PATH_MAX];
	outcome r = begin(folder, append, out, f);
	if (r.ok)
		r = factory_path(folder, "programme.json", path, f);
	if (r.ok && access(path, F_OK))
		r = refuse(f, REASON_CONFIG, "%s is not there: register open begins the register", path);
	if (r.ok)
		r = programme_load(path, &out->programme, f);
	if (r.ok)
		r = load_key(out, f);
	register_start(out->programme.id, out->head);
	return r.ok ? load_log(out, append, f) : r;
}

/* programme.json comes last: a folder that has one is complete. */
static outcome create(struct register_log *l, struct fault *f)
{
	char programme[FACTORY_PATH_MAX], log[FACTORY_PATH_MAX];
	struct stat st;
	outcome r = factory_path(l->folder, "programme.json", programme, f);
	if (r.ok)
		r = factory_path(l->folder, "register.log", log, f);
	if (r.ok && (!access(programme, F_OK) || (!stat(log, &st) && st.st_size > 0)))
		r = refuse(f, REASON_CONFLICT, "%s holds a register already", l->folder);
	if (r.ok)
		r = load_key(l, f);
	if (r.ok)
		r = file_replace(log, (struct bytes){0}, 0644, f);
	if (r.ok)
		r = save_head(l, f);
	return r.ok ? programme_save(programme, &l->programme, f) : r;
}

outcome register_log_create(const char *folder, const struct programme *programme, struct fault *f)
{
	struct register_log l;
	outcome r = begin(folder, true, &l, f);
	l.programme = *programme;
	if (r.ok)
		r = create(&l, f);
	register_log_close(&l);
	return r;
}

void register_log_close(struct register_log *l)
{
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
	EVP_PKEY_free(l->key);
	free(l->offsets);
	buf_free(&l->bytes);
	l->key = NULL;
	l->offsets = NULL;
}

/* ---- appending ---- */

outcome register_log_append(struct register_log *l, struct bytes object, int64_t time, struct fault *f)
{
	size_t offset = l->bytes.n;
	uint8_t head[SHA256_SIZE];
	if (offset - l->synced > PENDING_MAX - ENTRY_MAX) {
		outcome r = register_log_commit(l, f);
		if (!r.ok)
			return r;
	}
	memcpy(head, l->head, sizeof head);
	register_item_write(&l->bytes, (int64_t)l->count + 1, time, object, head);
	if (l->bytes.failed)
		return refuse(f, REASON_NO_MEMORY, "no memory for the register");
	const struct register_item item = {.index = (int64_t)l->count + 1, .time = time, .head = head};
	return note_entry(l, &item, offset, f);
}

static outcome write_pending(struct register_log *l, struct fault *f)
{
	struct bytes pending = bytes_of(l->bytes.p + l->synced, l->bytes.n - l->synced);
	if (lseek(l->fd, (off_t)l->synced, SEEK_SET) != (off_t)l->synced)
		return file_fault(f, errno, "seek in", "register.log");
	outcome r = file_write_all(l->fd, pending, "register.log", f);
	if (r.ok && fdatasync(l->fd))
		r = file_fault(f, errno, "sync", "register.log");
	return r;
}

outcome register_log_commit(struct register_log *l, struct fault *f)
{
	if (l->bytes.n == l->synced)
		return DONE;
	outcome r = write_pending(l, f);
	if (r.ok)
		l->synced = l->bytes.n;
	return r.ok ? save_head(l, f) : r;
}
