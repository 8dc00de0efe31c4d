#include "store_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What feeds read: the head, changes after a number, the table in pages. */

/* ---- the head ---- */

struct head_op {
	struct op op;
	int64_t after;
	uint8_t hash[SHA256_SIZE];
	struct store_head head;
	bool known;
	void (*done)(const struct store_head *head, bool known, const struct fault *f, void *arg);
	void *arg;
};

static outcome read_bounds(struct conn *c, struct store_head *out, struct fault *f)
{
	static const char sql[] = "SELECT epoch, (SELECT coalesce(max(id), 0) FROM certificates) FROM meta";
	struct query q = query_start(c, sql);
	bool row;
	outcome o = query_row(&q, &row, f);
	if (!o.ok || !row)
		return o;
	out->epoch = column_int(&q);
	out->certificates_end = column_int(&q);
	query_end(&q);
	return DONE;
}

static outcome read_hash(struct conn *c, int64_t seq, uint8_t out[SHA256_SIZE], struct fault *f)
{
	static const char sql[] = "SELECT hash FROM log WHERE seq = ?";
	struct query q = query_start(c, sql);
	bool row;
	log_chain_start(out);
	query_int(&q, seq);
	outcome o = query_row(&q, &row, f);
	if (o.ok && row) {
		column_copy(&q, out, SHA256_SIZE);
		query_end(&q);
	}
	return o;
}

static outcome run_head(struct op *op, struct conn *c, struct fault *f)
{
	struct head_op *h = (struct head_op *)op;
	uint8_t hash[SHA256_SIZE];
	outcome o = read_bounds(c, &h->head, f);
	if (o.ok)
		o = log_load_head(c, &h->head.seq, h->head.hash, f);
	if (o.ok)
		o = read_hash(c, h->after, hash, f);
	h->known = h->after > 0 && h->after <= h->head.seq && !memcmp(hash, h->hash, SHA256_SIZE);
	return o;
}

static void answer_head(struct op *op, const struct fault *f)
{
	struct head_op *h = (struct head_op *)op;
	h->done(f ? NULL : &h->head, !f && h->known, f, h->arg);
}

void store_feed_head(struct store *s, int64_t after, const uint8_t hash[SHA256_SIZE],
		     void (*done)(const struct store_head *head, bool known, const struct fault *f,
				  void *arg),
		     void *arg)
{
	struct head_op *h = op_new(s, sizeof *h, run_head, answer_head);
	h->after = after;
	if (hash)
		memcpy(h->hash, hash, SHA256_SIZE);
	h->done = done;
	h->arg = arg;
	op_read(&h->op);
}

/* ---- changes and snapshots ---- */

struct page_op {
	struct op op;
	int64_t after, end;
	size_t limit;
	struct store_commit *page;
	size_t room;
	int64_t next;
	void (*changes_done)(struct store_commit *c, const struct fault *f, void *arg);
	void (*snapshot_done)(struct store_commit *c, int64_t next, const struct fault *f, void *arg);
	void *arg;
};

static outcome start_page(struct page_op *p, struct conn *c, struct fault *f)
{
	struct store_head head;
	p->page = calloc(1, sizeof *p->page);
	if (!p->page)
		return refuse(f, REASON_NO_MEMORY, "no memory for a page of the feed");
	p->page->refs = 1;
	outcome o = read_bounds(c, &head, f);
	p->page->epoch = head.epoch;
	return o;
}

static void release_page(struct op *op)
{
	store_commit_release(((struct page_op *)op)->page);
}

static struct feed_list page_list(struct page_op *p)
{
	return (struct feed_list){&p->page->records, &p->page->count, &p->room};
}

static outcome add_stored_policy(struct conn *c, const struct feed_list *l, int64_t seq, const char *name,
				 struct fault *f)
{
	struct buf document = {0};
	bool found;
	outcome o = policy_document(c, name, &document, &found, f);
	if (o.ok)
		o = feed_list_policy(l, seq, name, found ? (const char *)document.p : NULL, f);
	buf_free(&document);
	return o;
}

static bool has_policy(const struct store_commit *page, const char *name)
{
	for (size_t i = 0; i < page->count; i++)
		if (page->records[i].is_policy && !strcmp(page->records[i].name, name))
			return true;
	return false;
}

/* A certificate is told as it is now, perhaps under a policy whose own entry comes later: that is told before it. */
static outcome add_certificate(struct page_op *p, struct conn *c, int64_t seq, const uint8_t *fingerprint,
			       struct fault *f)
{
	struct feed_list l = page_list(p);
	size_t at = p->page->count;
	outcome o = feed_list_certificate(c, &l, seq, fingerprint, f);
	if (!o.ok || p->page->count == at || has_policy(p->page, p->page->records[at].policy) ||
	    !*p->page->records[at].policy)
		return o;
	char name[STORE_POLICY_NAME_SIZE];
	snprintf(name, sizeof name, "%s", p->page->records[at].policy);
	o = add_stored_policy(c, &l, seq, name, f);
	if (!o.ok)
		return o;
	struct store_feed_record certificate = p->page->records[at];
	p->page->records[at] = p->page->records[at + 1];
	p->page->records[at + 1] = certificate;
	return DONE;
}

/* Their entries are about all of a device's certificates. */
static bool is_of_thing(const char *kind)
{
	static const char *const kinds[] = {"policy-attached", "policy-detached", "thing-set",
					    "thing-attached", "thing-detached"};
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (!strcmp(kinds[i], kind))
			return true;
	return false;
}

static outcome add_thing(struct page_op *p, struct conn *c, int64_t seq, int64_t device_id, struct fault *f)
{
	struct certificate live[LIVE_MAX];
	size_t count = 0;
	outcome o = certificates_live(c, device_id, live, &count, f);
	for (size_t i = 0; o.ok && i < count; i++)
		o = add_certificate(p, c, seq, live[i].fingerprint, f);
	return o;
}

/* Columns: seq, kind, thing, fingerprint, hash, device_id. Copied out, since the records' own queries come in between. */
static outcome add_change(struct page_op *p, struct conn *c, struct query *q, struct fault *f)
{
	struct feed_list l = page_list(p);
	char name[STORE_NAME_SIZE];
	int64_t seq = p->page->last = column_int(q);
	const char *kind = column_text(q);
	bool is_policy = !strcmp(kind, "policy-set") || !strcmp(kind, "policy-deleted"),
	     of_thing = is_of_thing(kind);
	snprintf(name, sizeof name, "%s", column_text(q));
	struct bytes fingerprint = column_blob(q);
	column_copy(q, p->page->head, SHA256_SIZE);
	if (is_policy)
		return add_stored_policy(c, &l, seq, name, f);
	if (of_thing)
		return add_thing(p, c, seq, column_int(q), f);
	return fingerprint.n == FINGERPRINT_SIZE ? add_certificate(p, c, seq, fingerprint.p, f) : DONE;
}

static outcome run_changes(struct op *op, struct conn *c, struct fault *f)
{
	static const char sql[] = "SELECT seq, kind, thing, fingerprint, hash, device_id FROM log WHERE seq "
				  "> ? ORDER BY seq LIMIT "
				  "?";
	struct page_op *p = (struct page_op *)op;
	bool row = true;
	outcome o = start_page(p, c, f);
	if (!o.ok)
		return o;
	p->page->first = p->after + 1;
	p->page->last = p->after;
	struct query q = query_start(c, sql);
	query_int(&q, p->after);
	query_int(&q, (int64_t)p->limit);
	while (o.ok && row) {
		o = query_row(&q, &row, f);
		if (o.ok && row)
			o = add_change(p, c, &q, f);
	}
	query_end(&q);
	return o;
}

static void answer_changes(struct op *op, const struct fault *f)
{
	struct page_op *p = (struct page_op *)op;
	p->changes_done(f ? NULL : p->page, f, p->arg);
}

void store_feed_changes(struct store *s, int64_t after, size_t limit,
			void (*done)(struct store_commit *c, const struct fault *f, void *arg), void *arg)
{
	struct page_op *p = op_new(s, sizeof *p, run_changes, answer_changes);
	p->op.release = release_page;
	p->after = after;
	p->limit = limit;
	p->changes_done = done;
	p->arg = arg;
	op_read(&p->op);
}

static outcome add_policies(struct page_op *p, struct conn *c, struct fault *f)
{
	static const char sql[] = "SELECT name, document FROM policies ORDER BY name";
	struct feed_list l = page_list(p);
	struct query q = query_start(c, sql);
	bool row = true;
	outcome o = DONE;
	while (o.ok && row) {
		o = query_row(&q, &row, f);
		if (!o.ok || !row)
			break;
		char name[STORE_NAME_SIZE];
		snprintf(name, sizeof name, "%s", column_text(&q));
		o = feed_list_policy(&l, 0, name, column_text(&q), f);
	}
	query_end(&q);
	return o;
}

static outcome add_services(struct page_op *p, struct conn *c, struct fault *f)
{
	static const char sql[] =
		"SELECT " FEED_SERVICE_ROW "WHERE state = 0 AND not_after > unixepoch() ORDER BY fingerprint";
	struct feed_list l = page_list(p);
	struct query q = query_start(c, sql);
	bool row = true;
	outcome o = DONE;
	while (o.ok && row) {
		o = query_row(&q, &row, f);
		if (o.ok && row)
			o = feed_list_row(&l, &q, 0, f);
	}
	return o;
}

/* Revoked certificates are told as well until they expire: a broker can then say why it refuses one. */
static outcome add_devices(struct page_op *p, struct conn *c, struct fault *f)
{
	static const char sql[] =
		"SELECT c.id, " FEED_DEVICE_ROW "WHERE c.id > ? AND c.id <= ? AND c.state < 3 AND "
		"c.not_after > unixepoch() ORDER BY c.id LIMIT ?";
	struct feed_list l = page_list(p);
	struct query q = query_start(c, sql);
	bool row = true;
	size_t rows = 0;
	outcome o = DONE;
	query_int(&q, p->after);
	query_int(&q, p->end);
	query_int(&q, (int64_t)p->limit);
	while (o.ok && row) {
		o = query_row(&q, &row, f);
		if (!o.ok || !row)
			break;
		rows++;
		p->next = column_int(&q);
		o = feed_list_row(&l, &q, 0, f);
	}
	if (o.ok && rows < p->limit)
		p->next = -1;
	return o;
}

static outcome run_snapshot(struct op *op, struct conn *c, struct fault *f)
{
	struct page_op *p = (struct page_op *)op;
	outcome o = start_page(p, c, f);
	if (o.ok && p->after == 0)
		o = add_policies(p, c, f);
	if (o.ok && p->after == 0)
		o = add_services(p, c, f);
	return o.ok ? add_devices(p, c, f) : o;
}

static void answer_snapshot(struct op *op, const struct fault *f)
{
	struct page_op *p = (struct page_op *)op;
	p->snapshot_done(f ? NULL : p->page, p->next, f, p->arg);
}

void store_feed_snapshot(struct store *s, int64_t cursor, int64_t end, size_t limit,
			 void (*done)(struct store_commit *c, int64_t next, const struct fault *f, void *arg),
			 void *arg)
{
	struct page_op *p = op_new(s, sizeof *p, run_snapshot, answer_snapshot);
	p->op.release = release_page;
	p->after = cursor;
	p->end = end;
	p->limit = limit;
	p->snapshot_done = done;
	p->arg = arg;
	op_read(&p->op);
}
