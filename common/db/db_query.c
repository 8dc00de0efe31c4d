#include "db_query.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS_AT_FIRST = 64 };

void conn_close(struct conn *c)
{
	for (size_t i = 0; i < c->slots; i++)
		sqlite3_finalize(c->statements[i].statement);
	free(c->statements);
	sqlite3_close(c->db);
	memset(c, 0, sizeof *c);
}

/* Where it is, or the free slot where it would be: half of the slots are always free. */
static struct prepared *slot_of(struct prepared *statements, size_t slots, const char *sql)
{
	size_t i = (uintptr_t)sql / 8 % slots;
	while (statements[i].sql && statements[i].sql != sql)
		i = (i + 1) % slots;
	return &statements[i];
}

/* Makes room for one more. */
static bool grow(struct conn *c)
{
	if (2 * (c->statement_count + 1) <= c->slots)
		return true;
	size_t slots = c->slots ? 2 * c->slots : SLOTS_AT_FIRST;
	struct prepared *grown = calloc(slots, sizeof *grown);
	if (!grown)
		return false;
	for (size_t i = 0; i < c->slots; i++)
		if (c->statements[i].sql)
			*slot_of(grown, slots, c->statements[i].sql) = c->statements[i];
	free(c->statements);
	c->statements = grown;
	c->slots = slots;
	return true;
}

/* NULL: the step without a statement gives the fault. */
static sqlite3_stmt *find_statement(struct conn *c, const char *sql)
{
	struct fault ignored;
	if (!grow(c))
		return NULL;
	struct prepared *slot = slot_of(c->statements, c->slots, sql);
	if (!slot->sql && db_prepare(c->db, sql, &slot->statement, &ignored).ok) {
		slot->sql = sql;
		c->statement_count++;
	}
	return slot->statement;
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

struct bytes column_bytes(struct query *q, uint8_t *out, size_t room)
{
	struct bytes b = column_blob(q);
	size_t n = b.n < room ? b.n : room;
	if (n) /* SQLite gives NULL for an empty blob */
		memcpy(out, b.p, n);
	return bytes_of(out, n);
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
