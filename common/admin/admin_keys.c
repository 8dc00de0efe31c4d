#include "admin_keys.h"

#include "admin_auth.h"
#include "common/clock.h"
#include "common/db/db.h"
#include "common/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char table[] =
	"CREATE TABLE IF NOT EXISTS admin_keys("
	"id TEXT PRIMARY KEY, role TEXT NOT NULL, state TEXT NOT NULL, created INTEGER NOT NULL"
	") STRICT";

outcome admin_master_load(const char *path, struct buf *out, struct fault *f)
{
	outcome result = file_read_secret(path, 4096, out, f);
	if (result.ok && out->n != ADMIN_MASTER_SIZE) {
		result = refuse(f, REASON_CONFIG, "%s: a master secret is 32 bytes, this file has %zu", path,
				out->n);
		buf_free(out);
	}
	return result;
}

static outcome stat_folder_of(const char *path, struct stat *out, struct fault *f)
{
	char folder[PATH_MAX];
	file_folder_of(path, folder);
	return stat(folder, out) ? file_fault(f, errno, "stat the folder of", path) : DONE;
}

/* Run by root, what is made for the daemon belongs to whom the folder of its database belongs. */
static outcome give_to_daemon(const char *path, const char *db_path, struct fault *f)
{
	struct stat folder;
	if (geteuid())
		return DONE;
	outcome o = stat_folder_of(db_path, &folder, f);
	if (o.ok && lchown(path, folder.st_uid, folder.st_gid))
		return file_fault(f, errno, "chown", path);
	return o;
}

/* Creates `path`, which must not exist: an existing key or master is never overwritten. */
static outcome write_new(const char *path, struct bytes contents, struct fault *f)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 && errno == EEXIST)
		return refuse(f, REASON_CONFLICT, "%s exists already, and is left as it is", path);
	if (fd < 0)
		return file_fault(f, errno, "create", path);
	outcome result = file_write_all(fd, contents, path, f);
	if (result.ok && fsync(fd))
		result = file_fault(f, errno, "fsync", path);
	close(fd);
	if (!result.ok)
		unlink(path);
	return result;
}

static outcome load_or_make_master(const struct admin_key_request *request, struct buf *out, struct fault *f)
{
	uint8_t fresh[ADMIN_MASTER_SIZE];
	if (!access(request->master_file, F_OK))
		return admin_master_load(request->master_file, out, f);
	crypto_random(fresh, sizeof fresh);
	outcome result = write_new(request->master_file, bytes_of(fresh, sizeof fresh), f);
	OPENSSL_cleanse(fresh, sizeof fresh);
	if (result.ok)
		result = give_to_daemon(request->master_file, request->db_path, f);
	return result.ok ? admin_master_load(request->master_file, out, f) : result;
}

static bool is_valid_id(const char *id)
{
	size_t n = strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.");
	return n >= 4 && n < ACCESS_KEY_ID_MAX && !id[n];
}

static outcome choose_id(const char *wanted, char out[ACCESS_KEY_ID_MAX], struct fault *f)
{
	uint8_t random[10];
	char text[BASE32_SIZE(sizeof random)];
	if (wanted && !is_valid_id(wanted))
		return refuse(f, REASON_BAD_FIELD, "a key id is 4 to 63 of A-Z a-z 0-9 - _ .");
	if (wanted) {
		strcpy(out, wanted);
		return DONE;
	}
	crypto_random(random, sizeof random);
	base32_encode_lower(bytes_of(random, sizeof random), text);
	for (char *c = text; *c; c++)
		*c = *c >= 'a' ? (char)(*c - 'a' + 'A') : *c;
	snprintf(out, ACCESS_KEY_ID_MAX, "MOOR%s", text);
	return DONE;
}

static outcome insert_key(sqlite3 *db, const char *id, enum admin_role role, struct fault *f)
{
	sqlite3_stmt *q = NULL;
	outcome result = db_prepare(db, "INSERT INTO admin_keys VALUES(?, ?, 'active', ?)", &q, f);
	if (!result.ok)
		return result;
	sqlite3_bind_text(q, 1, id, -1, SQLITE_STATIC);
	sqlite3_bind_text(q, 2, admin_role_name(role), -1, SQLITE_STATIC);
	sqlite3_bind_int64(q, 3, clock_wall_s());
	int rc = sqlite3_step(q);
	if ((rc & 0xff) == SQLITE_CONSTRAINT)
		result = refuse(f, REASON_CONFLICT, "access key %s exists already", id);
	else if (rc != SQLITE_DONE)
		result = db_fault(db, f, "storing the access key");
	sqlite3_finalize(q);
	return result;
}

/* The database's folder is the daemon's, who could have put a link there to a place that only root may write:
 * root opens it with the daemon's rights. Back with -1, -1. */
static outcome act_as(uid_t uid, gid_t gid, struct fault *f)
{
	if (uid == (uid_t)-1 ? seteuid(0) || setegid(getgid()) : setegid(gid) || seteuid(uid))
		return file_fault(f, errno, "change user", "for the database");
	return DONE;
}

static outcome act_as_daemon(const char *db_path, bool *changed, struct fault *f)
{
	struct stat folder;
	*changed = false;
	if (geteuid())
		return DONE;
	outcome o = stat_folder_of(db_path, &folder, f);
	if (!o.ok || folder.st_uid == 0)
		return o;
	*changed = true;
	return act_as(folder.st_uid, folder.st_gid, f);
}

static outcome store_key(const struct admin_key_request *request, const char *id, struct fault *f)
{
	sqlite3 *db = NULL;
	bool changed;
	outcome result = act_as_daemon(request->db_path, &changed, f);
	if (result.ok)
		result = db_open(request->db_path, table, 0, &db, f);
	if (result.ok)
		result = insert_key(db, id, request->role, f);
	sqlite3_close(db);
	if (changed && !act_as((uid_t)-1, (gid_t)-1, NULL).ok)
		abort(); /* half of root's rights is nothing to go on with */
	return result;
}

/* Ids, base64 and regions need no escapes in JSON. */
static outcome write_key_file(const struct admin_key_request *request, const char *id, const char *secret,
			      struct fault *f)
{
	char json[512];
	int n = snprintf(json, sizeof json,
			 "{\n  \"access_key_id\": \"%s\",\n  \"secret_access_key\": \"%s\",\n  \"region\": "
			 "\"%s\"\n}\n",
			 id, secret, request->region);
	outcome result = n > 0 && (size_t)n < sizeof json
				 ? write_new(request->key_file, bytes_of(json, (size_t)n), f)
				 : refuse(f, REASON_BAD_FIELD, "the region is too long");
	OPENSSL_cleanse(json, sizeof json);
	return result;
}

/* The file before the row: a key that the store knows is in somebody's hands. */
outcome admin_key_create(const struct admin_key_request *request, char id_out[ACCESS_KEY_ID_MAX],
			 struct fault *f)
{
	char secret[SECRET_SIZE] = "";
	struct buf master = {0};
	outcome result = choose_id(request->id, id_out, f);
	if (result.ok)
		result = load_or_make_master(request, &master, f);
	if (!result.ok)
		return result;
	sigv4_derive_secret(buf_view(&master), id_out, secret);
	OPENSSL_cleanse(master.p, master.n);
	buf_free(&master);
	result = write_key_file(request, id_out, secret, f);
	OPENSSL_cleanse(secret, sizeof secret);
	if (!result.ok)
		return result;
	result = store_key(request, id_out, f);
	if (!result.ok)
		unlink(request->key_file);
	return result;
}

/* ---- afterwards ---- */

/* A database that is not there is not made by looking. */
static outcome open_existing(const char *db_path, sqlite3 **db, struct fault *f)
{
	if (access(db_path, F_OK))
		return file_fault(f, errno, "open", db_path);
	return db_open(db_path, table, 0, db, f);
}

static outcome end_key(sqlite3 *db, const char *id, struct fault *f)
{
	sqlite3_stmt *q = NULL;
	outcome result = db_prepare(
		db, "UPDATE admin_keys SET state = 'ended' WHERE id = ? AND state = 'active'", &q, f);
	if (!result.ok)
		return result;
	sqlite3_bind_text(q, 1, id, -1, SQLITE_STATIC);
	if (sqlite3_step(q) != SQLITE_DONE)
		result = db_fault(db, f, "ending the access key");
	else if (sqlite3_changes(db) == 0)
		result = refuse(f, REASON_NOT_FOUND, "there is no active access key %s", id);
	sqlite3_finalize(q);
	return result;
}

outcome admin_key_end(const char *db_path, const char *id, struct fault *f)
{
	sqlite3 *db = NULL;
	outcome result = open_existing(db_path, &db, f);
	if (result.ok)
		result = end_key(db, id, f);
	sqlite3_close(db);
	return result;
}

static outcome list_keys(sqlite3 *db, void (*row)(const struct admin_key_row *key, void *arg), void *arg,
			 struct fault *f)
{
	sqlite3_stmt *q = NULL;
	int rc;
	outcome result =
		db_prepare(db, "SELECT id, role, state, created FROM admin_keys ORDER BY created, id", &q, f);
	if (!result.ok)
		return result;
	while ((rc = sqlite3_step(q)) == SQLITE_ROW)
		row(&(struct admin_key_row){(const char *)sqlite3_column_text(q, 0),
					    (const char *)sqlite3_column_text(q, 1),
					    (const char *)sqlite3_column_text(q, 2),
					    sqlite3_column_int64(q, 3)},
		    arg);
	if (rc != SQLITE_DONE)
		result = db_fault(db, f, "reading the access keys");
	sqlite3_finalize(q);
	return result;
}

outcome admin_key_list(const char *db_path, void (*row)(const struct admin_key_row *key, void *arg),
		       void *arg, struct fault *f)
{
	sqlite3 *db = NULL;
	outcome result = open_existing(db_path, &db, f);
	if (result.ok)
		result = list_keys(db, row, arg, f);
	sqlite3_close(db);
	return result;
}
