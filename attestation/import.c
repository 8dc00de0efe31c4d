#include "import.h"

#include "lookup.h"
#include "common/clock.h"

#include <stdlib.h>
#include <string.h>

static outcome run_import(struct change *c, struct records *r, struct fault *f);

/* Says at which line; the reason stays. */
static outcome at_line(size_t line, const struct fault *why, struct fault *f)
{
	return refuse(f, why->reason, "line %zu: %s", line, why->text);
}

static struct record *next_slot(struct import_batch *b, size_t *room)
{
	if (b->count == *room) {
		size_t wanted = *room ? *room * 2 : 256;
		struct record *more = realloc(b->records, wanted * sizeof *more);
		if (!more)
			return NULL;
		b->records = more;
		*room = wanted;
	}
	return &b->records[b->count++];
}

outcome import_batch_parse(struct bytes body, bool allow_test_keys, struct import_batch *out, struct fault *f)
{
	size_t room = 0;
	struct fault why;
	if (body.n > IMPORT_BODY_MAX)
		return refuse(f, REASON_TOO_LARGE, "a batch of %zu bytes, the limit is %d", body.n,
			      IMPORT_BODY_MAX);
	while (body.n) {
		const uint8_t *end = memchr(body.p, '\n', body.n);
		size_t n = end ? (size_t)(end - body.p) : body.n;
		struct record *r = next_slot(out, &room);
		if (!r)
			return refuse(f, REASON_OVERLOADED, "no memory for a batch");
		if (!record_parse(bytes_of(body.p, n), allow_test_keys, r, &why).ok)
			return at_line(out->count, &why, f);
		body.p += n + (end != NULL);
		body.n -= n + (end != NULL);
	}
	if (!out->count)
		return refuse(f, REASON_BAD_REQUEST, "a batch without a record");
	out->change.run = run_import;
	return DONE;
}

void import_batch_clear(struct import_batch *b)
{
	free(b->records);
	b->records = NULL;
}

static outcome read_total(struct import_batch *b, struct records *r, struct fault *f)
{
	static const char sql[] = "SELECT coalesce(sum(records), 0) FROM imports WHERE import = ?";
	struct query q = query_start(&r->conn, sql);
	query_text(&q, b->import);
	return query_number(&q, 0, &b->total, f);
}

/* b->repeated where this number was taken before, with the same contents. */
static outcome find_batch(struct import_batch *b, struct records *r, struct fault *f)
{
	static const char sql[] = "SELECT hash, inserted FROM imports WHERE import = ? AND number = ?";
	struct query q = query_start(&r->conn, sql);
	query_text(&q, b->import);
	query_int(&q, b->number);
	outcome o = query_row(&q, &b->repeated, f);
	if (o.ok && b->repeated) {
		bool same = bytes_equal(column_blob(&q), bytes_of(b->hash, SHA256_SIZE));
		b->inserted = column_int(&q);
		if (!same)
			o = refuse(f, REASON_CONFLICT,
				   "batch %lld of import %s was taken with other contents",
				   (long long)b->number, b->import);
	}
	query_end(&q);
	return o;
}

static outcome remember_batch(const struct import_batch *b, struct records *r, int64_t now, struct fault *f)
{
	static const char sql[] = "INSERT INTO imports(import, number, hash, records, inserted, time) "
				  "VALUES(?, ?, ?, ?, ?, ?)";
	struct query q = query_start(&r->conn, sql);
	query_text(&q, b->import);
	query_int(&q, b->number);
	query_blob(&q, b->hash, SHA256_SIZE);
	query_int(&q, (int64_t)b->count);
	query_int(&q, b->inserted);
	query_int(&q, now);
	return query_run(&q, f);
}

static outcome check_same(const struct record *given, struct records *r, struct fault *f)
{
	struct record stored;
	bool found;
	char id[INSTANCE_ID_HEX];
	outcome o = records_find(r, given->instance_id, &stored, &found, f);
	if (!o.ok || (found && record_same(given, &stored)))
		return o;
	hex_encode(bytes_of(given->instance_id, INSTANCE_ID_SIZE), id);
	return refuse(f, REASON_CONFLICT, "instance ID %s is a record already, with other contents", id);
}

static outcome insert(const struct record *d, struct records *r, int64_t now, struct fault *f)
{
	static const char sql[] = "INSERT INTO records(" RECORD_COLUMNS ") VALUES(?, ?, ?, ?, ?, ?, 0, ?)";
	struct query q = query_start(&r->conn, sql);
	query_blob(&q, d->instance_id, INSTANCE_ID_SIZE);
	query_blob(&q, d->has_implementation ? d->implementation_id : NULL, IMPLEMENTATION_ID_SIZE);
	query_blob(&q, d->public_key, d->public_key_size);
	query_text(&q, d->batch);
	query_text(&q, d->model);
	query_int(&q, d->evidence);
	query_int(&q, now);
	outcome o = query_run(&q, f);
	return o.ok ? lookup_add(r, d->instance_id, sqlite3_last_insert_rowid(r->conn.db), f) : o;
}

/* The one writer is what keeps instance IDs unique: between look-up and insert nobody else inserts. */
static outcome store(const struct record *d, struct records *r, int64_t now, bool *inserted, struct fault *f)
{
	int64_t id;
	outcome o = lookup_find(r, d->instance_id, &id, f);
	*inserted = o.ok && !id;
	if (!o.ok)
		return o;
	return id ? check_same(d, r, f) : insert(d, r, now, f);
}

static outcome run_import(struct change *c, struct records *r, struct fault *f)
{
	struct import_batch *b = (struct import_batch *)c;
	struct fault why;
	bool inserted;
	int64_t now = clock_wall_s();
	b->inserted = 0;
	outcome o = find_batch(b, r, f);
	for (size_t i = 0; o.ok && !b->repeated && i < b->count; i++) {
		o = store(&b->records[i], r, now, &inserted, &why);
		if (!o.ok)
			return at_line(i + 1, &why, f);
		b->inserted += inserted;
	}
	if (o.ok && !b->repeated)
		o = remember_batch(b, r, now, f);
	if (o.ok && !b->repeated)
		o = lookup_settle(r, f);
	return o.ok ? read_total(b, r, f) : o;
}
