#include "objects.h"

#include "common/file.h"

#include <stdio.h>
#include <string.h>

/* A fault of a reader's, with the file that it is about before it. */
static outcome in_file(const char *path, const struct fault *own, struct fault *f)
{
	return refuse(f, own->reason, "%.120s: %s", path, own->text);
}

outcome held_order_load(const char *path, const struct programme *programme, struct held_order *out,
			struct fault *f)
{
	struct fault own;
	*out = (struct held_order){0};
	outcome r = file_read(path, PROVENANCE_OBJECT_MAX, &out->bytes, f);
	if (!r.ok)
		return r;
	r = programme_work_order(programme, buf_view(&out->bytes), &out->order, &own);
	if (r.ok)
		return r;
	buf_free(&out->bytes);
	return in_file(path, &own, f);
}

outcome held_record_load(const char *path, const struct programme *programme, struct held_record *out,
			 struct fault *f)
{
	struct fault own;
	*out = (struct held_record){0};
	outcome r = file_read(path, PROVENANCE_OBJECT_MAX, &out->bytes, f);
	if (!r.ok)
		return r;
	r = programme_line_record(programme, buf_view(&out->bytes), &out->record, &own);
	if (r.ok)
		return r;
	buf_free(&out->bytes);
	return in_file(path, &own, f);
}

outcome held_record_save(const char *path, const struct line_record *record, EVP_PKEY *authority,
			 struct fault *f)
{
	struct buf out = {0};
	struct line_record again;
	outcome r = line_record_sign(&out, record, authority, f);
	/* What this version would not read is not given out. */
	if (r.ok)
		r = line_record_read(buf_view(&out), &again, f);
	if (r.ok)
		r = file_replace(path, buf_view(&out), 0644, f);
	buf_free(&out);
	return r;
}

bool objects_next(struct bytes *rest, struct bytes *object)
{
	struct cbor_reader r = cbor_reader(*rest);
	struct fault f;
	if (!rest->n || rest->p[0] != 0xd2 || !cbor_skip(&r, object, &f).ok ||
	    object->n > PROVENANCE_OBJECT_MAX)
		return false;
	rest->p += object->n;
	rest->n -= object->n;
	return true;
}

outcome line_id_of(const char *text, const struct programme *programme, uint8_t out[KEY_ID_SIZE],
		   struct fault *f)
{
	struct held_record held;
	size_t n = strlen(text), got;
	if (n == LINE_ID_HEX - 1 && hex_decode(text, n, out, KEY_ID_SIZE, &got))
		return DONE;
	outcome r = held_record_load(text, programme, &held, f);
	if (!r.ok)
		return r;
	provenance_key_id(held.record.key, out);
	buf_free(&held.bytes);
	return DONE;
}

void line_id_hex(const uint8_t id[KEY_ID_SIZE], char out[LINE_ID_HEX])
{
	hex_encode(bytes_of(id, KEY_ID_SIZE), out);
}
