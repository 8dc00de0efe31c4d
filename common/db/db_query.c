#include "db_query.h"

#include <stdio.h>
#include <string.h>

void conn_close(struct conn *c)
{
	for (size_t i = 0; i < CONN_STATEMENTS; i++)
		sqlite3_finalize(c->statements[i].statement);
	sqlite3_close(c->db);
	memset(c, 0, sizeof *c);
}

/* Open addressing by the text's address: a statement is prepared when it is first used on a connection. */
static sqlite3_stmt *find_statement(struct conn *c, const char *sql)
{
	for (size_t n = 0, i = (uintptr_t)sql / 8; n < CONN_STATEMENTS; n++, i++) {
		size_t at = i % CONN_STATEMENTS;
		if (c->statements[at].sql == sql)
			return c->statements[at].statement;
		if (c->statements[at].sql)
			continue;
		struct fault ignored; /* the step without a statement gives the fault */
		if (db_prepare(c->db, sql, &c->statements[at].statement, &ignored).ok)
			c->statements[at].sql = sql;
		return c->statements[at].statement;
	}
	return NULL;
}

struct query query_start(struct conn *c, const char *sql)
{
	return (struct query){.conn = c, .statement = find_statement(c, sql)};
}

void query_int(struct query *q, int64_t v)
{
	sqlite3_bind_int64(q->statement, ++q->at, v);
}

void query_text(struct query *q, const char *v)
{
	sqlite3_bind_text(q->statement, ++q->at, v, -1, SQLITE_STATIC);
}

void query_blob(struct query *q, const void *p, size_t n)
{
	q->at++;
	if (p)
		sqlite3_bind_blob64(q->statement, q->at, p, n, SQLITE_STATIC);
	else
		sqlite3_bind_null(q->statement, q->at);
}

void query_end(struct query *q)
{
	sqlite3_reset(q->statement); /* whose bindings stay, until the next use sets all of them again */
}

static outcome step_fault(struct query *q, struct fault *f)
{
	outcome o =
		db_fault(q->conn->db, f, q->statement ? sqlite3_sql(q->statement) : "preparing a statement");
	query_end(q);
	return o;
}

outcome query_row(struct query *q, bool *row, struct fault *f)
{
	int rc = q->statement ? sqlite3_step(q->statement) : SQLITE_ERROR;
	*row = rc == SQLITE_ROW;
	q->at = 0;
	if (rc == SQLITE_ROW)
		return DONE;
	if (rc != SQLITE_DONE)
		return step_fault(q, f);
	query_end(q);
	return DONE;
}

outcome query_run(struct query *q, struct fault *f)
{
	bool row;
	outcome o = query_row(q, &row, f);
	if (o.ok && row)
		query_end(q);
	return o;
}

outcome query_exec(struct conn *c, const char *sql, struct fault *f)
{
	struct query q = query_start(c, sql);
	return query_run(&q, f);
}

outcome query_number(struct query *q, int64_t otherwise, int64_t *out, struct fault *f)
{
	bool row;
	outcome o = query_row(q, &row, f);
	*out = o.ok && row ? column_int(q) : otherwise;
	if (o.ok && row)
		query_end(q);
	return o;
}

int64_t column_int(struct query *q)
{
	return sqlite3_column_int64(q->statement, q->at++);
}

const char *column_text(struct query *q)
{
	const unsigned char *s = sqlite3_column_text(q->statement, q->at++);
	return s ? (const char *)s : "";
}

struct bytes column_blob(struct query *q)
{
	const void *p = sqlite3_column_blob(q->statement, q->at);
	return bytes_of(p, (size_t)sqlite3_column_bytes(q->statement, q->at++));
}

void column_copy(struct query *q, void *out, size_t n)
{
	struct bytes b = column_blob(q);
	if (b.n == n)
		memcpy(out, b.p, n);
	else
		memset(out, 0, n);
}

void column_string(struct query *q, char *out, size_t room)
{
	snprintf(out, room, "%s", column_text(q));
}
