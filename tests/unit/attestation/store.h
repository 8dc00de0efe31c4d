/*
 * store.h - a writer with a database in a folder of its own, and changes that are waited for.
 */
#ifndef MOORING_TEST_STORE_H
#define MOORING_TEST_STORE_H

#include "attestation/writer.h"

#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct store {
	char folder[64], path[96];
	struct loop *loop;
	struct writer *writer;
	struct records reader;
	atomic_int commits;
};

static sem_t store_change_done;

static inline void store_committed(void *arg)
{
	struct store *s = arg;
	atomic_fetch_add(&s->commits, 1);
}

static inline void store_start(struct store *s)
{
	struct fault f = {0};
	struct writer_options o = {s->path, store_committed, s};
	if (!writer_open(&o, &s->writer, &f).ok || !writer_start(s->writer, &f).ok ||
	    !records_open_reader(s->path, &s->reader, &f).ok) {
		fprintf(stderr, "%s\n", f.text);
		abort();
	}
}

static inline void store_open(struct store *s)
{
	*s = (struct store){.folder = "/tmp/attestd_test.XXXXXX"};
	if (!mkdtemp(s->folder))
		abort();
	snprintf(s->path, sizeof s->path, "%s/attestd.db", s->folder);
	sem_init(&store_change_done, 0, 0);
	s->loop = loop_start("test");
	store_start(s);
}

static inline void store_restart(struct store *s)
{
	records_close(&s->reader);
	writer_stop(s->writer);
	store_start(s);
}

static inline void store_close(struct store *s)
{
	static const char *const suffixes[] = {"", "-wal", "-shm"};
	char path[128];
	records_close(&s->reader);
	writer_stop(s->writer);
	loop_stop(s->loop);
	for (size_t i = 0; i < 3; i++) {
		snprintf(path, sizeof path, "%s%s", s->path, suffixes[i]);
		unlink(path);
	}
	rmdir(s->folder);
}

/* The one number that a query gives. */
static inline int64_t store_number(const struct store *s, const char *sql)
{
	sqlite3_stmt *q;
	if (sqlite3_prepare_v2(s->reader.conn.db, sql, -1, &q, NULL) != SQLITE_OK ||
	    sqlite3_step(q) != SQLITE_ROW)
		abort();
	int64_t n = sqlite3_column_int64(q, 0);
	sqlite3_finalize(q);
	return n;
}

static inline void store_note_done(struct change *c)
{
	(void)c;
	sem_post(&store_change_done);
}

static inline bool store_run(struct store *s, struct change *c)
{
	c->loop = s->loop;
	c->done = store_note_done;
	writer_submit(s->writer, c);
	sem_wait(&store_change_done);
	return c->ok;
}

#endif
