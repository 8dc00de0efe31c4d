#include "line_outbox.h"

#include "common/file.h"
#include "objects.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static outcome take_statement(struct line_outbox *o, const struct work_order *order, struct bytes object,
			      struct fault *f)
{
	struct stage_statement s;
	struct fault own;
	if (!stage_statement_read(object, &s, &own).ok)
		return refuse(f, REASON_REGISTER_HISTORY, "%.120s: after %lld statements: %s", o->path,
			      (long long)o->count, own.text);
	if (strcmp(s.batch, order->batch) != 0 || s.stage != order->stage ||
	    memcmp(s.object.key_id, order->line, KEY_ID_SIZE) != 0)
		return refuse(f, REASON_REGISTER_HISTORY,
			      "%.120s: statement %lld is not of this line's order", o->path,
			      (long long)o->count + 1);
	o->count++;
	o->size += (int64_t)object.n;
	if (s.seq > o->last)
		o->last = s.seq;
	return DONE;
}

/* Statements of one order differ by the width of their numbers alone: more than one of them is no torn one. */
static size_t torn_most(const struct line_outbox *o)
{
	enum { WIDTHS = 16 };
	return o->count ? (size_t)(o->size / o->count) + WIDTHS : PROVENANCE_OBJECT_MAX;
}

static outcome walk(struct line_outbox *o, const struct work_order *order, struct bytes in, bool *torn,
		    struct fault *f)
{
	struct bytes object;
	outcome r = DONE;
	while (r.ok && objects_next(&in, &object))
		r = take_statement(o, order, object, f);
	*torn = r.ok && in.n > 0;
	if (r.ok && in.n > torn_most(o))
		return refuse(
			f, REASON_REGISTER_HISTORY,
			"%.120s is damaged after %lld statements: %zu bytes are none, more than a power cut "
			"leaves",
			o->path, (long long)o->count, in.n);
	return r;
}

static outcome repair(struct line_outbox *o, bool torn, struct fault *f)
{
	if (torn && (ftruncate(o->fd, o->size) || fsync(o->fd)))
		return file_fault(f, errno, "repair", o->path);
	return lseek(o->fd, o->size, SEEK_SET) == o->size ? DONE : file_fault(f, errno, "seek in", o->path);
}

static outcome open_file(struct line_outbox *o, struct fault *f)
{
	if (access(o->path, F_OK)) {
		outcome r = file_replace(o->path, (struct bytes){0}, 0644, f);
		if (!r.ok)
			return r;
	}
	o->fd = open(o->path, O_RDWR | O_CLOEXEC);
	return o->fd < 0 ? file_fault(f, errno, "open", o->path) : DONE;
}

outcome line_outbox_open(const char *folder, const struct work_order *order, struct line_outbox *out,
			 bool *torn, struct fault *f)
{
	struct buf in = {0};
	char line[LINE_ID_HEX];
	*out = (struct line_outbox){.fd = -1};
	*torn = false;
	line_id_hex(order->line, line);
	if ((size_t)snprintf(out->path, sizeof out->path, "%s/%s.%lld.%.8s", folder, order->batch,
			     (long long)order->stage, line) >= sizeof out->path)
		return file_fault(f, ENAMETOOLONG, "open", folder);
	outcome r = open_file(out, f);
	if (r.ok)
		r = file_read(out->path, OBJECTS_FILE_MAX, &in, f);
	if (r.ok)
		r = walk(out, order, buf_view(&in), torn, f);
	if (r.ok)
		r = repair(out, *torn, f);
	buf_free(&in);
	if (!r.ok)
		line_outbox_close(out);
	return r;
}

outcome line_outbox_append(struct line_outbox *o, struct bytes statement, struct fault *f)
{
	outcome r = file_write_all(o->fd, statement, o->path, f);
	if (r.ok && fdatasync(o->fd))
		r = file_fault(f, errno, "sync", o->path);
	if (r.ok) {
		o->size += (int64_t)statement.n;
		o->count++;
		return DONE;
	}
	/* Half a statement in the middle would be damage. Where even this fails, the next one to open cuts it off. */
	struct fault unheard;
	outcome repaired = repair(o, true, &unheard);
	if (!repaired.ok)
		line_outbox_close(o);
	return r;
}

void line_outbox_close(struct line_outbox *o)
{
	if (o->fd >= 0)
		close(o->fd);
	o->fd = -1;
}
