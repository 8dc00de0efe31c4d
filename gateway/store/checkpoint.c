#include "store_internal.h"

#include "common/log.h"

/*
 * The write-ahead log is copied into the database by a thread of its own: a checkpoint syncs the database
 * file, and a device's answer should not wait for that. Under unbroken load such a checkpoint never catches
 * up with the writer, so beyond a hard limit the writer makes one itself, which lets the log file start again
 * from its beginning.
 */
enum { PAGES_WANTED = 16384, PAGES_LIMIT = 65536 };

static int on_commit(void *arg, sqlite3 *db, const char *name, int pages)
{
	struct store *s = arg;
	if (pages >= PAGES_LIMIT)
		sqlite3_wal_checkpoint_v2(db, name, SQLITE_CHECKPOINT_RESTART, NULL, NULL);
	if (pages < PAGES_WANTED)
		return SQLITE_OK;
	pthread_mutex_lock(&s->checkpoint_lock);
	s->checkpoint_due = true;
	pthread_mutex_unlock(&s->checkpoint_lock);
	pthread_cond_signal(&s->checkpoint_wanted);
	return SQLITE_OK;
}

void checkpoint_watch(struct store *s)
{
	sqlite3_wal_hook(s->writer.conn.db, on_commit, s);
}

static bool wait_until_due(struct store *s)
{
	pthread_mutex_lock(&s->checkpoint_lock);
	while (!s->checkpoint_due && !s->checkpoint_closing)
		pthread_cond_wait(&s->checkpoint_wanted, &s->checkpoint_lock);
	s->checkpoint_due = false;
	bool go_on = !s->checkpoint_closing;
	pthread_mutex_unlock(&s->checkpoint_lock);
	return go_on;
}

void *checkpoint_main(void *arg)
{
	struct store *s = arg;
	sqlite3 *db = NULL;
	struct fault f;
	while (wait_until_due(s)) {
		if (!db && !db_open(s->path, store_schema, STORE_SCHEMA_VERSION, &db, &f).ok)
			log_fault(LOG_LEVEL_WARN, NULL, &f, "the store's checkpoints have to wait");
		if (db)
			sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
	}
	sqlite3_close(db);
	return NULL;
}

void checkpoint_close(struct store *s)
{
	pthread_mutex_lock(&s->checkpoint_lock);
	s->checkpoint_closing = true;
	pthread_mutex_unlock(&s->checkpoint_lock);
	pthread_cond_signal(&s->checkpoint_wanted);
}
