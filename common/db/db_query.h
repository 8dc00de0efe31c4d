/*
 * db_query.h - a connection to a database with its statements, and one use of a statement: binds from the
 * left, then rows, each read from the left.
 *
 * static const char sql[] = "SELECT id, name FROM things WHERE id > ? AND kind = ?"; struct query q =
 * query_start(conn, sql); query_int(&q, after); query_text(&q, kind); while ((o = query_row(&q, &row,
 * f)).ok && row) use(column_int(&q), column_text(&q));
 */
#ifndef MOORING_DB_QUERY_H
#define MOORING_DB_QUERY_H

#include "db.h"

struct prepared {
	const char *sql; /* NULL: a free slot */
	sqlite3_stmt *statement;
};

/* For one thread at a time. All zero: closed. */
struct conn {
	sqlite3 *db; /* owned */
	/* Owned: a hash table by the address of a statement's text. A statement is prepared when it is first used; the
	 * table grows with them, so that half of its slots are always free. */
	struct prepared *statements;
	size_t statement_count, slots;
};

/* Closes a connection however far its opening came. */
void conn_close(struct conn *c);

struct query {
	struct conn *conn;
	sqlite3_stmt *statement; /* the connection's */
	int at;			 /* next parameter, next column */
};

/* `sql` is a text that stays where it is: a static one. A text that is no SQL fails when it is run. */
struct query query_start(struct conn *c, const char *sql);
void query_int(struct query *q, int64_t v);
void query_text(struct query *q, const char *v);	   /* must live until the query has run */
void query_blob(struct query *q, const void *p, size_t n); /* the same; p NULL binds NULL */

/* Faults are db_fault's, with the SQL. */

/* Runs a statement that gives no rows. */
MUST_USE outcome query_run(struct query *q, struct fault *f);
/* The next row, if there is one; its columns are valid until the next call. */
MUST_USE outcome query_row(struct query *q, bool *row, struct fault *f);
/* Ends a query before its last row. */
void query_end(struct query *q);
/* A statement without parameters and rows. */
MUST_USE outcome query_exec(struct conn *c, const char *sql, struct fault *f);
/* The first column of the first row; `otherwise` where there is none. Ends the query. */
MUST_USE outcome query_number(struct query *q, int64_t otherwise, int64_t *out, struct fault *f);

int64_t column_int(struct query *q);
const char *column_text(struct query *q); /* "" for NULL */
struct bytes column_blob(struct query *q);
/* A blob that outlives the query, cut where it does not fit: a view of `out`. */
struct bytes column_bytes(struct query *q, uint8_t *out, size_t room);
void column_copy(struct query *q, void *out, size_t n);	     /* a blob of exactly n bytes, else zeros */
void column_string(struct query *q, char *out, size_t room); /* a text, cut where it does not fit */

#endif
