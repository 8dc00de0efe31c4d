#include "line.h"

#include "common/file.h"
#include "common/json_read.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { LINE_JSON_MAX = 4096 };

outcome line_path(const struct line *l, const char *name, char out[FACTORY_PATH_MAX], struct fault *f)
{
	return factory_path(l->folder, name, out, f);
}

/* line.json says where a key is that is not in the folder. */
static outcome load_named_key(const char *path, EVP_PKEY **key, struct fault *f)
{
	static const char *const members[] = {"key", NULL};
	struct buf text = {0};
	json_t *o = NULL;
	outcome r = file_read(path, LINE_JSON_MAX, &text, f);
	if (r.ok)
		r = json_read_object(buf_view(&text), path, &o, f);
	if (r.ok)
		r = json_read_members(o, members, f);
	const char *uri = json_string_value(json_object_get(o, "key"));
	if (r.ok)
		r = uri ? factory_load_key(uri, key, f)
			: refuse(f, REASON_BAD_FIELD, "%s: key is the URI of a key", path);
	json_decref(o);
	buf_free(&text);
	return r;
}

static outcome load_key(struct line *l, struct fault *f)
{
	char path[FACTORY_PATH_MAX];
	outcome r = line_path(l, "line.json", path, f);
	if (r.ok && !access(path, F_OK))
		r = load_named_key(path, &l->key, f);
	else if (r.ok && (r = line_path(l, "line.key", path, f)).ok)
		r = factory_load_key(path, &l->key, f);
	if (r.ok && !provenance_point(l->key, l->point))
		r = crypto_fault(f, "the line's key");
	if (r.ok)
		provenance_key_id(l->point, l->id);
	return r;
}

/* What file_replace left behind when the power failed. A record is named by 32 digits; a counter's name ends with a
 * point and at most three. */
static outcome sweep(const struct line *l, struct fault *f)
{
	static const struct {
		const char *folder, *left_behind;
	} places[] = {
		{"trust", "????????????????????????????????.??????"},
		{"counters", "*.[[:alnum:]][[:alnum:]][[:alnum:]][[:alnum:]][[:alnum:]][[:alnum:]]"},
	};
	char path[FACTORY_PATH_MAX];
	outcome r = DONE;
	for (size_t i = 0; r.ok && i < sizeof places / sizeof *places; i++) {
		r = line_path(l, places[i].folder, path, f);
		if (r.ok)
			r = file_sweep(path, places[i].left_behind, f);
	}
	return r;
}

outcome line_open(const char *folder, struct line *out, struct fault *f)
{
	char path[FACTORY_PATH_MAX];
	*out = (struct line){0};
	if (strlen(folder) >= sizeof out->folder)
		return file_fault(f, ENAMETOOLONG, "open", folder);
	strcpy(out->folder, folder);
	outcome r = file_hold_folder(folder, "mooring-factory", f);
	if (r.ok)
		r = sweep(out, f);
	if (r.ok)
		r = line_path(out, "programme.json", path, f);
	if (r.ok)
		r = programme_load(path, &out->programme, f);
	out->trust = trust_begin(&out->programme);
	if (r.ok)
		r = load_key(out, f);
	if (r.ok)
		r = line_path(out, "trust", path, f);
	return r.ok ? trust_add_folder(&out->trust, path, f) : r;
}

void line_close(struct line *l)
{
	trust_free(&l->trust);
	EVP_PKEY_free(l->key);
	l->key = NULL;
}

outcome line_may_do(const struct line *l, int64_t stage, struct fault *f)
{
	const struct line_record *own = trust_find(&l->trust, l->id);
	if (!own)
		return refuse(f, REASON_LINE_UNKNOWN,
			      "this line has no record yet: send %s/request.json to the OEM, and take in "
			      "what comes "
			      "back: line trust --dir %s RECORD",
			      l->folder, l->folder);
	if (own->state != LINE_ACTIVE)
		return refuse(f, own->state == LINE_REVOKED ? REASON_LINE_REVOKED : REASON_LINE_SUSPENDED,
			      "this line is %s", line_state_name(own->state));
	if (line_record_may_do(own, stage))
		return DONE;
	return refuse(f, REASON_LINE_STAGE, "the record of this line does not name stage %lld",
		      (long long)stage);
}
