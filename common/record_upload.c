#include "record_upload.h"

#include "backoff.h"
#include "file.h"

#include <errno.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { TRIES = 5, TARGET_MAX = 160, CHUNK = 65536 };

struct upload {
	struct admin_client *client;
	const char *path, *import_id;
	FILE *file;
	uint64_t line;	     /* of the file, from 1 */
	struct buf batch;    /* whole lines */
	uint64_t batch_from; /* line of its first record */
	struct record_upload_progress *progress;
};

/* ---- the file ---- */

static outcome open_file(const char *path, FILE **out, uint64_t *size, struct fault *f)
{
	struct stat st;
	*out = fopen(path, "re");
	if (!*out)
		return file_fault(f, errno, "open", path);
	if (fstat(fileno(*out), &st) || !S_ISREG(st.st_mode)) {
		fclose(*out);
		return refuse(f, REASON_IO, "%s is not a regular file", path);
	}
	*size = (uint64_t)st.st_size;
	return DONE;
}

outcome record_upload_import_id(const char *path, char out[IMPORT_ID_SIZE], struct fault *f)
{
	uint8_t hash[EVP_MAX_MD_SIZE], chunk[CHUNK];
	FILE *file;
	uint64_t size;
	outcome r = open_file(path, &file, &size, f);
	if (!r.ok)
		return r;
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	bool ok = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1;
	for (size_t n; ok && (n = fread(chunk, 1, sizeof chunk, file)) > 0;)
		ok = EVP_DigestUpdate(md, chunk, n) == 1;
	if (ferror(file))
		r = file_fault(f, errno, "read", path);
	else if (!ok || EVP_DigestFinal_ex(md, hash, NULL) != 1)
		r = crypto_fault(f, path);
	else
		hex_encode(bytes_of(hash, 16), out);
	EVP_MD_CTX_free(md);
	fclose(file);
	return r;
}

/* Adds the next record to the batch. *full: it does not fit, and stays unread. */
static outcome take_line(struct upload *u, bool *full, bool *end, struct fault *f)
{
	char line[RECORD_LINE_MAX + 2];
	long before = ftell(u->file);
	*full = *end = false;
	if (!fgets(line, sizeof line, u->file)) {
		*end = true;
		return ferror(u->file) ? file_fault(f, errno, "read", u->path) : DONE;
	}
	u->line++;
	size_t n = strlen(line);
	if (n == sizeof line - 1 && line[n - 1] != '\n')
		return refuse(f, REASON_TOO_LARGE, "%s:%llu: a record is longer than %d bytes", u->path,
			      (unsigned long long)u->line, RECORD_LINE_MAX);
	if (strspn(line, " \t\r\n") == n)
		return DONE;
	bool ended = line[n - 1] == '\n';
	if (u->batch.n + n + !ended > RECORD_BATCH_MAX) {
		*full = true;
		u->line--;
		return fseek(u->file, before, SEEK_SET) ? file_fault(f, errno, "read", u->path) : DONE;
	}
	if (u->batch.n == 0)
		u->batch_from = u->line;
	buf_add(&u->batch, line, n);
	if (!ended)
		buf_byte(&u->batch, '\n');
	return u->batch.failed ? refuse(f, REASON_NO_MEMORY, "no memory for a batch") : DONE;
}

static outcome fill_batch(struct upload *u, bool *end, struct fault *f)
{
	bool full = false;
	u->batch.n = 0;
	*end = false;
	while (!full && !*end) {
		outcome r = take_line(u, &full, end, f);
		if (!r.ok)
			return r;
	}
	return DONE;
}

/* ---- the service ---- */

static outcome refused(const struct upload *u, const struct httpc_answer *answer, struct fault *f)
{
	json_t *problem = json_loadb((const char *)answer->body.p, answer->body.n, 0, NULL);
	const char *code = json_string_value(json_object_get(problem, "code"));
	const char *detail = json_string_value(json_object_get(problem, "detail"));
	const char *request = json_string_value(json_object_get(problem, "request_id"));
	enum reason reason = code ? reason_find(code) : REASON_NONE;
	outcome r =
		refuse(f, reason == REASON_NONE ? REASON_PEER_ANSWER : reason,
		       "batch %llu (%s, from line %llu): status %d, %s%s%s (request %s)",
		       (unsigned long long)u->progress->batches + 1, u->path,
		       (unsigned long long)u->batch_from, answer->status, code ? code : "no problem document",
		       detail ? ": " : "", detail ? detail : "", request ? request : "unknown");
	json_decref(problem);
	return r;
}

/* A batch that the service had from an earlier run was new then, not now; one whose answer was lost on the way is of
 * this run (`sent_before`). */
static outcome take_counts(struct upload *u, const struct httpc_answer *answer, bool sent_before,
			   struct fault *f)
{
	json_int_t records, inserted, unchanged;
	int repeated = 0;
	json_t *counts = json_loadb((const char *)answer->body.p, answer->body.n, 0, NULL);
	bool ok = !json_unpack(counts, "{s:I,s:I,s:I,s?b}", "records", &records, "inserted", &inserted,
			       "unchanged", &unchanged, "repeated", &repeated);
	json_decref(counts);
	if (!ok || records < 0 || inserted < 0 || unchanged < 0)
		return refuse(f, REASON_PEER_ANSWER, "batch %llu: the answer does not say what was recorded",
			      (unsigned long long)u->progress->batches + 1);
	if (repeated && !sent_before) {
		unchanged = records;
		inserted = 0;
	}
	u->progress->batches++;
	u->progress->records += (uint64_t)records;
	u->progress->inserted += (uint64_t)inserted;
	u->progress->unchanged += (uint64_t)unchanged;
	u->progress->bytes = (uint64_t)ftell(u->file);
	return DONE;
}

/* Whether the same batch may be taken in a while. */
static bool may_pass(const struct upload *u, outcome called, const struct httpc_answer *answer,
		     const struct fault *f)
{
	if (!called.ok)
		return (f->reason == REASON_UNREACHABLE || f->reason == REASON_DEADLINE) &&
		       admin_client_may_recover(u->client);
	return answer->status == 429 || answer->status >= 500;
}

static outcome send_batch(struct upload *u, struct fault *f)
{
	char target[TARGET_MAX];
	struct httpc_answer answer = {.retry_after_s = -1};
	struct backoff backoff = {.base_ms = 1000, .cap_ms = BACKOFF_CAP_MS};
	snprintf(target, sizeof target, "/v1/records/imports/%s/batches/%llu", u->import_id,
		 (unsigned long long)u->progress->batches + 1);
	for (int left = TRIES - 1;; left--) {
		outcome r = admin_client_call(u->client, "POST", target, buf_view(&u->batch), &answer, f);
		if (r.ok && answer.status == 200)
			return take_counts(u, &answer, left < TRIES - 1, f);
		bool again = may_pass(u, r, &answer, f) && left > 0;
		if (r.ok)
			r = refused(u, &answer, f);
		if (!again)
			return r;
		int64_t wait_ms = answer.retry_after_s > 0 ? answer.retry_after_s * INT64_C(1000)
							   : backoff_window_ms(&backoff);
		struct timespec wait = {.tv_sec = wait_ms / 1000, .tv_nsec = wait_ms % 1000 * 1000000};
		nanosleep(&wait, NULL);
	}
}

static bool is_import_id(const char *id)
{
	size_t n = strlen(id);
	return n > 0 && n < IMPORT_ID_SIZE &&
	       strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == n;
}

outcome record_upload(struct admin_client *client, const char *path, const char *import_id,
		      record_upload_report *report, void *arg, struct record_upload_progress *progress,
		      struct fault *f)
{
	struct upload u = {.client = client, .path = path, .import_id = import_id, .progress = progress};
	*progress = (struct record_upload_progress){0};
	if (!is_import_id(import_id))
		return refuse(f, REASON_BAD_FIELD, "%s: an import id is 1 to 64 of A-Z a-z 0-9 . _ -",
			      import_id);
	outcome r = open_file(path, &u.file, &progress->bytes_total, f);
	if (!r.ok)
		return r;
	for (bool end = false; r.ok && !end;) {
		r = fill_batch(&u, &end, f);
		if (!r.ok || u.batch.n == 0)
			continue;
		r = send_batch(&u, f);
		if (r.ok && report)
			report(progress, arg);
	}
	buf_free(&u.batch);
	fclose(u.file);
	return r;
}
