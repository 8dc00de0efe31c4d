#include "book.h"

#include <stdlib.h>
#include <string.h>

static void *must(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

struct book *book_new(void)
{
	struct book *b = must(calloc(1, sizeof *b));
	b->refs = 1;
	return b;
}

struct book *book_copy(const struct book *b)
{
	struct book *copy = book_new();
	copy->lines_state = b->lines_state;
	copy->line_count = copy->line_room = b->line_count;
	copy->order_count = copy->order_room = b->order_count;
	copy->lines = must(malloc((b->line_count + 1) * sizeof(void *)));
	copy->orders = must(malloc((b->order_count + 1) * sizeof(void *)));
	for (size_t i = 0; i < b->line_count; i++) {
		copy->lines[i] = b->lines[i];
		b->lines[i]->refs++;
	}
	for (size_t i = 0; i < b->order_count; i++) {
		copy->orders[i] = b->orders[i];
		b->orders[i]->refs++;
	}
	return copy;
}

struct book *book_hold(struct book *b)
{
	b->refs++;
	return b;
}

static void release_line(struct book_line *l)
{
	if (--l->refs == 0)
		free(l);
}

void book_release(struct book *b)
{
	if (!b || --b->refs)
		return;
	for (size_t i = 0; i < b->line_count; i++)
		release_line(b->lines[i]);
	for (size_t i = 0; i < b->order_count; i++)
		if (--b->orders[i]->refs == 0)
			free(b->orders[i]);
	free(b->lines);
	free(b->orders);
	free(b);
}

/* ---- order ---- */

static int compare_numbers(int64_t a, int64_t b)
{
	return (a > b) - (a < b);
}

static int compare_line(const struct book_line *l, int64_t programme, const uint8_t line[KEY_ID_SIZE])
{
	int order = compare_numbers(l->programme, programme);
	return order ? order : memcmp(l->line, line, KEY_ID_SIZE);
}

static int compare_order(const struct book_order *o, int64_t programme, const uint8_t line[KEY_ID_SIZE],
			 const char *batch, int64_t stage)
{
	int order = compare_numbers(o->programme, programme);
	if (!order)
		order = memcmp(o->order.line, line, KEY_ID_SIZE);
	if (!order)
		order = strcmp(o->order.batch, batch);
	return order ? order : compare_numbers(o->order.stage, stage);
}

/* The first place whose line is not before this one. */
static size_t line_place(const struct book *b, int64_t programme, const uint8_t line[KEY_ID_SIZE])
{
	size_t from = 0, to = b->line_count;
	while (from < to) {
		size_t middle = from + (to - from) / 2;
		if (compare_line(b->lines[middle], programme, line) < 0)
			from = middle + 1;
		else
			to = middle;
	}
	return from;
}

static size_t order_place(const struct book *b, int64_t programme, const uint8_t line[KEY_ID_SIZE],
			  const char *batch, int64_t stage)
{
	size_t from = 0, to = b->order_count;
	while (from < to) {
		size_t middle = from + (to - from) / 2;
		if (compare_order(b->orders[middle], programme, line, batch, stage) < 0)
			from = middle + 1;
		else
			to = middle;
	}
	return from;
}

const struct book_line *book_line(const struct book *b, int64_t programme, const uint8_t line[KEY_ID_SIZE])
{
	size_t at = line_place(b, programme, line);
	bool there = at < b->line_count && !compare_line(b->lines[at], programme, line);
	return there ? b->lines[at] : NULL;
}

const struct book_order *book_order(const struct book *b, int64_t programme, const uint8_t line[KEY_ID_SIZE],
				    const char *batch, int64_t stage)
{
	size_t at = order_place(b, programme, line, batch, stage);
	bool there = at < b->order_count && !compare_order(b->orders[at], programme, line, batch, stage);
	return there ? b->orders[at] : NULL;
}

/* ---- putting ---- */

/* Room for one more at `at`. */
static void *open_place(void *array, size_t *count, size_t *room, size_t at)
{
	void **list = array;
	if (*count >= *room) {
		*room = *count + *count / 2 + 16;
		list = must(realloc(array, (*room + 1) * sizeof *list));
	}
	memmove(list + at + 1, list + at, (*count - at) * sizeof *list);
	++*count;
	return list;
}

/* A suspension stops everything; a revocation what came from its time on. */
static void apply_operator(struct book_line *l)
{
	struct line_record *r = &l->record;
	*r = l->signed_record;
	if (l->held || r->state == LINE_SUSPENDED) {
		r->state = LINE_SUSPENDED;
	} else if (l->revoked) {
		bool earlier = r->state == LINE_REVOKED && r->revoked_from < l->revoked_from;
		r->revoked_from = earlier ? r->revoked_from : l->revoked_from;
		r->state = LINE_REVOKED;
	}
}

outcome book_put_line(struct book *b, const struct store_line *line, struct fault *f)
{
	struct book_line *l = must(calloc(1, sizeof *l));
	if (!line_record_read(line->record, &l->signed_record, f).ok) {
		free(l);
		return refuse(f, REASON_INTERNAL, "a line record in the store cannot be read");
	}
	l->refs = 1;
	l->id = line->id;
	l->programme = line->programme;
	l->seq = line->seq;
	memcpy(l->line, line->line, KEY_ID_SIZE);
	l->held = line->held;
	l->revoked = line->revoked;
	l->revoked_from = line->revoked_from;
	apply_operator(l);
	size_t at = line_place(b, l->programme, l->line);
	if (at == b->line_count || compare_line(b->lines[at], l->programme, l->line)) {
		b->lines = open_place(b->lines, &b->line_count, &b->line_room, at);
		b->lines[at] = l;
		return DONE;
	}
	bool later = l->seq >= b->lines[at]->seq;
	release_line(later ? b->lines[at] : l);
	if (later)
		b->lines[at] = l;
	return DONE;
}

outcome book_put_order(struct book *b, const struct store_order *order, struct fault *f)
{
	struct book_order *o = must(calloc(1, sizeof *o));
	if (!work_order_read(order->order, &o->order, f).ok) {
		free(o);
		return refuse(f, REASON_INTERNAL, "a work order in the store cannot be read");
	}
	o->refs = 1;
	o->id = order->id;
	o->programme = order->programme;
	size_t at = order_place(b, o->programme, o->order.line, o->order.batch, o->order.stage);
	bool there = at < b->order_count && !compare_order(b->orders[at], o->programme, o->order.line,
							   o->order.batch, o->order.stage);
	if (there) {
		free(o);
		return DONE;
	}
	b->orders = open_place(b->orders, &b->order_count, &b->order_room, at);
	b->orders[at] = o;
	return DONE;
}
