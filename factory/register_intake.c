#include "register_intake.h"

#include "common/file.h"
#include "objects.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static outcome no_memory(struct fault *f)
{
	return refuse(f, REASON_NO_MEMORY, "no memory for what is to be registered");
}

static outcome add_candidate(struct register_intake *in, struct bytes object, const char *file,
			     struct fault *f)
{
	struct line_record record;
	struct fault unheard;
	if (in->count == in->room) {
		size_t room = in->room ? 2 * in->room : 256;
		struct candidate *more = realloc(in->candidates, room * sizeof *more);
		if (!more)
			return no_memory(f);
		in->candidates = more;
		in->room = room;
	}
	struct candidate *c = &in->candidates[in->count];
	*c = (struct candidate){
		.object = object, .file = file, .place = in->count, .type = provenance_type_of(object)};
	if (c->type == PROVENANCE_LINE_RECORD && line_record_read(object, &record, &unheard).ok)
		c->version = record.version;
	in->count++;
	return DONE;
}

/* Room for one more file, whose contents are in->files[in->file_count]. */
static outcome add_file_slot(struct register_intake *in, const char *path, struct fault *f)
{
	struct buf *files = realloc(in->files, (in->file_count + 1) * sizeof *files);
	if (files)
		in->files = files;
	char **names = realloc(in->names, (in->file_count + 1) * sizeof *names);
	if (names)
		in->names = names;
	if (!files || !names || !(names[in->file_count] = strdup(path)))
		return no_memory(f);
	files[in->file_count++] = (struct buf){0};
	return DONE;
}

static outcome read_file(void *arg, const char *path, struct fault *f)
{
	struct register_intake *in = arg;
	struct bytes object;
	outcome r = add_file_slot(in, path, f);
	if (!r.ok)
		return r;
	struct buf *file = &in->files[in->file_count - 1];
	r = file_read(path, OBJECTS_FILE_MAX, file, f);
	struct bytes rest = buf_view(file);
	while (r.ok && objects_next(&rest, &object))
		r = add_candidate(in, object, in->names[in->file_count - 1], f);
	if (r.ok && file->n && rest.n == file->n)
		r = refuse(f, REASON_CHAIN_MALFORMED,
			   "%s holds no line record, work order or stage statement", path);
	if (r.ok && rest.n > PROVENANCE_OBJECT_MAX)
		r = refuse(f, REASON_CHAIN_MALFORMED, "%s: its last %zu bytes are no object", path, rest.n);
	return r;
}

outcome register_intake_read(struct register_intake *in, const char *path, struct fault *f)
{
	struct stat st;
	if (stat(path, &st))
		return file_fault(f, errno, "open", path);
	return S_ISDIR(st.st_mode) ? factory_each(path, read_file, in, f) : read_file(in, path, f);
}

void register_intake_free(struct register_intake *in)
{
	for (size_t i = 0; i < in->file_count; i++) {
		buf_free(&in->files[i]);
		free(in->names[i]);
	}
	free(in->files);
	free(in->names);
	free(in->candidates);
	*in = (struct register_intake){0};
}

static int rank(const struct candidate *c)
{
	return c->type == PROVENANCE_LINE_RECORD ? 0 : c->type == PROVENANCE_WORK_ORDER ? 1 : 2;
}

static int compare(const void *pa, const void *pb)
{
	const struct candidate *a = pa, *b = pb;
	if (rank(a) != rank(b))
		return rank(a) - rank(b);
	if (a->version != b->version)
		return a->version < b->version ? -1 : 1;
	return a->place < b->place ? -1 : a->place > b->place;
}

/* True where what the register itself does has failed: nothing more can be taken. */
static bool is_fatal(const struct fault *f)
{
	return f->reason == REASON_IO || f->reason == REASON_DISK_FULL || f->reason == REASON_NO_MEMORY ||
	       f->reason == REASON_CRYPTO || f->reason == REASON_REGISTER_HISTORY;
}

static outcome offer_one(struct register_intake *in, struct candidate *c, struct factory_register *r,
			 bool last, register_refusal *refusal, void *arg, struct fault *f)
{
	enum admission admission = ADMISSION_NEW;
	outcome o = register_admit(r, c->object, &admission, f);
	if (!o.ok && is_fatal(f))
		return o;
	if (!o.ok && admission == ADMISSION_LATER && !last)
		return DONE;
	c->settled = true;
	in->taken += o.ok && admission == ADMISSION_NEW;
	in->there += o.ok && admission == ADMISSION_THERE;
	in->refused += !o.ok;
	if (!o.ok)
		refusal(arg, c, f);
	return DONE;
}

outcome register_intake_offer(struct register_intake *in, struct factory_register *r,
			      register_refusal *refusal, void *arg, struct fault *f)
{
	outcome o = DONE;
	if (in->count)
		qsort(in->candidates, in->count, sizeof *in->candidates, compare);
	/* A statement waits for the one before it as long as there is any progress. */
	for (size_t before = 0, settled = 1; o.ok && settled > before;) {
		before = in->taken + in->there + in->refused;
		for (size_t i = 0; o.ok && i < in->count; i++)
			if (!in->candidates[i].settled)
				o = offer_one(in, &in->candidates[i], r, false, refusal, arg, f);
		settled = in->taken + in->there + in->refused;
	}
	for (size_t i = 0; o.ok && i < in->count; i++)
		if (!in->candidates[i].settled)
			o = offer_one(in, &in->candidates[i], r, true, refusal, arg, f);
	return o;
}
