#include "store.h"

#include "common/file.h"
#include "common/json_read.h"
#include "common/provenance/chain.h"
#include "credential.h"
#include "psa_protocol.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STATE_MAX = 4096 };

static void path_of(const struct store *s, const char *name, char out[4096])
{
	snprintf(out, 4096, "%s/%s", s->folder, name);
}

outcome store_create(const char *device_folder, struct store *out, struct fault *f)
{
	struct stat st;
	if ((size_t)snprintf(out->folder, sizeof out->folder, "%s/normal", device_folder) >=
	    sizeof out->folder)
		return file_fault(f, ENAMETOOLONG, "open", device_folder);
	if (stat(device_folder, &st))
		return file_fault(f, errno, "open", device_folder);
	if (mkdir(out->folder, 0700))
		return errno == EEXIST ? DONE : file_fault(f, errno, "make", out->folder);
	if (geteuid() == 0 && chown(out->folder, st.st_uid, st.st_gid))
		return file_fault(f, errno, "chown", out->folder);
	return DONE;
}

outcome store_clean(const struct store *s, struct fault *f)
{
	outcome r = file_sweep(s->folder, "state.json.??????", f);
	if (r.ok)
		r = file_sweep(s->folder, "certificate.pem.??????", f);
	return r.ok ? file_sweep(s->folder, "chain.cbor.??????", f) : r;
}

static bool is_missing(const char *path)
{
	return access(path, F_OK) && errno == ENOENT;
}

static outcome read_state(const json_t *text, const char *path, struct device_state *out, struct fault *f)
{
	json_int_t key, time, certified_at;
	int reenrolling = 0;
	json_error_t e;
	if (json_unpack_ex((json_t *)(uintptr_t)text, &e, JSON_STRICT, "{s:I,s:I,s:I,s?b}", "key", &key,
			   "clock", &time, "certified_at", &certified_at, "reenrolling", &reenrolling))
		return refuse(f, REASON_BAD_FIELD, "%s: %s", path, e.text);
	if (key < 1 || key > PSA_KEY_ID_MAX || time < 0 || certified_at < 0)
		return refuse(f, REASON_BAD_FIELD, "%s: a number is out of range", path);
	*out = (struct device_state){(uint32_t)key, time, certified_at, reenrolling};
	return DONE;
}

outcome store_load_state(const struct store *s, struct device_state *out, struct fault *f)
{
	char path[4096];
	struct buf text = {0};
	json_t *state = NULL;
	*out = (struct device_state){.key = 1};
	path_of(s, "state.json", path);
	if (is_missing(path))
		return DONE;
	outcome r = file_read(path, STATE_MAX, &text, f);
	if (r.ok)
		r = json_read_object(buf_view(&text), path, &state, f);
	if (r.ok)
		r = read_state(state, path, out, f);
	json_decref(state);
	buf_free(&text);
	return r;
}

outcome store_save_state(const struct store *s, const struct device_state *state, struct fault *f)
{
	char path[4096];
	struct buf text = {0};
	path_of(s, "state.json", path);
	buf_printf(&text, "{\"key\":%lu,\"clock\":%lld,\"certified_at\":%lld%s}\n", (unsigned long)state->key,
		   (long long)state->clock, (long long)state->certified_at,
		   state->reenrolling ? ",\"reenrolling\":true" : "");
	outcome r = text.failed ? refuse(f, REASON_NO_MEMORY, "no memory to write %s", path)
				: file_replace(path, buf_view(&text), 0600, f);
	buf_free(&text);
	return r;
}

outcome store_load_certificate(const struct store *s, struct buf *out, struct fault *f)
{
	char path[4096];
	*out = (struct buf){0};
	path_of(s, "certificate.pem", path);
	return is_missing(path) ? DONE : file_read(path, CREDENTIAL_MAX, out, f);
}

outcome store_save_certificate(const struct store *s, struct bytes pem, struct fault *f)
{
	char path[4096];
	path_of(s, "certificate.pem", path);
	return file_replace(path, pem, 0644, f);
}

outcome store_load_chain(const struct store *s, struct buf *out, struct fault *f)
{
	char path[4096];
	*out = (struct buf){0};
	path_of(s, "chain.cbor", path);
	return is_missing(path) ? DONE : file_read(path, CHAIN_MAX, out, f);
}

/* The lines write it, and whoever runs the device later reads it: there is no secret in it. */
outcome store_save_chain(const struct store *s, struct bytes chain, struct fault *f)
{
	char path[4096];
	path_of(s, "chain.cbor", path);
	return file_replace(path, chain, 0644, f);
}
