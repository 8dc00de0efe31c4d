#include "provenance.h"

#include "common/log.h"
#include "alarms.h"
#include "load.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct provenance {
	struct provenance_classes classes;
	/* Of the pointer, and of who makes the next book; held for no longer than that. */
	pthread_mutex_t lock;
	struct book *book;
	struct alarms alarms;
};

outcome provenance_load(const struct config_strings *files, struct provenance **out, struct fault *f)
{
	struct provenance *p = calloc(1, sizeof *p);
	if (!p)
		return refuse(f, REASON_NO_MEMORY, "no memory for provenance");
	outcome o = provenance_classes_load(files, &p->classes, f);
	if (!o.ok) {
		free(p);
		return o;
	}
	pthread_mutex_init(&p->lock, NULL);
	alarms_init(&p->alarms);
	p->book = book_new();
	*out = p;
	return DONE;
}

void provenance_free(struct provenance *p)
{
	if (!p)
		return;
	book_release(p->book);
	provenance_classes_free(&p->classes);
	pthread_mutex_destroy(&p->lock);
	alarms_end(&p->alarms);
	free(p);
}

const struct provenance_classes *provenance_classes(const struct provenance *p)
{
	return &p->classes;
}

bool provenance_is_asked(const struct provenance *p)
{
	for (size_t i = 0; p && i < p->classes.count; i++)
		if (p->classes.items[i].mode != CLASS_OFF)
			return true;
	return false;
}

/* One that asks for this programme. */
static const struct provenance_class *any_class_of(const struct provenance *p,
						   const uint8_t id[PROGRAMME_ID_SIZE])
{
	for (size_t i = 0; i < p->classes.count; i++)
		if (!memcmp(p->classes.items[i].programme.id, id, PROGRAMME_ID_SIZE))
			return &p->classes.items[i];
	return NULL;
}

const char *provenance_programme_name(const struct provenance *p, const uint8_t id[PROGRAMME_ID_SIZE])
{
	const struct provenance_class *c = any_class_of(p, id);
	return c ? c->programme.name : NULL;
}

/* ---- the book ---- */

struct book *provenance_book(struct provenance *p)
{
	pthread_mutex_lock(&p->lock);
	struct book *b = book_hold(p->book);
	pthread_mutex_unlock(&p->lock);
	return b;
}

/* Counted as the store counts, and not set to what it has come to: changes are heard of in any order, and a book that lacks
 * one is older than it. */
static outcome put_all(struct book *b, const struct store_added *added, struct fault *f)
{
	outcome o = DONE;
	for (size_t i = 0; o.ok && i < added->line_count; i++)
		o = book_put_line(b, &added->lines[i], f);
	for (size_t i = 0; o.ok && i < added->order_count; i++)
		o = book_put_order(b, &added->orders[i], f);
	b->lines_state += added->lines_changed;
	return o;
}

/* Who only reads waits for two pointers at most: the next book is made beside the lock, and made again where somebody
 * else was quicker. */
outcome provenance_apply(struct provenance *p, const struct store_added *added, struct fault *f)
{
	for (;;) {
		struct book *before = provenance_book(p), *next = book_copy(before);
		outcome o = put_all(next, added, f);
		pthread_mutex_lock(&p->lock);
		bool mine = o.ok && p->book == before;
		if (mine)
			p->book = next;
		pthread_mutex_unlock(&p->lock);
		book_release(mine ? before : next);
		book_release(before);
		if (mine || !o.ok)
			return o;
	}
}

outcome provenance_begin(struct provenance *p, struct store *s, struct fault *f)
{
	outcome o = load_from_store(s, &p->classes, p->book, f);
	if (o.ok && provenance_is_asked(p))
		log_line(LOG_LEVEL_INFO, NULL, "provenance: %zu classes of devices, %zu lines, %zu orders",
			 p->classes.count, p->book->line_count, p->book->order_count);
	else if (o.ok)
		log_line(LOG_LEVEL_INFO, NULL,
			 "provenance is asked of no device (provenance: is not configured)");
	return o;
}

/* ---- what admins bring ---- */

static const struct provenance_class *find_programme(const struct provenance *p,
						     const uint8_t id[PROGRAMME_ID_SIZE], struct fault *f)
{
	const struct provenance_class *c = any_class_of(p, id);
	if (c)
		return c;
	refuse(f, REASON_CHAIN_PROGRAMME,
	       "it is of a programme that no class of devices is configured with: name a class file for it "
	       "under provenance: in gateway.yaml, then restart the gateway");
	return NULL;
}

static outcome read_line(const struct provenance *p, struct bytes in, struct line_record *line,
			 struct store_object *out, struct fault *f)
{
	const struct provenance_class *c = NULL;
	outcome o = line_record_read(in, line, f);
	if (o.ok && !(c = find_programme(p, line->programme, f)))
		return (outcome){false};
	if (o.ok)
		o = provenance_verify(&line->object, c->programme.line_authority_key, f);
	if (o.ok)
		*out = (struct store_object){.programme = c->programme_number, .object = in, .line = line};
	return o;
}

static outcome read_order(const struct provenance *p, struct bytes in, struct work_order *order,
			  struct store_object *out, struct fault *f)
{
	const struct provenance_class *c = NULL;
	outcome o = work_order_read(in, order, f);
	if (o.ok && !(c = find_programme(p, order->programme, f)))
		return (outcome){false};
	if (o.ok)
		o = provenance_verify(&order->object, c->programme.programme_key, f);
	if (o.ok)
		*out = (struct store_object){.programme = c->programme_number, .object = in, .order = order};
	return o;
}

outcome provenance_read_object(const struct provenance *p, struct bytes in,
			       struct provenance_object_room *room, struct store_object *out, struct fault *f)
{
	switch (provenance_type_of(in)) {
	case PROVENANCE_LINE_RECORD:
		return read_line(p, in, &room->line, out, f);
	case PROVENANCE_WORK_ORDER:
		return read_order(p, in, &room->order, out, f);
	default:
		return refuse(f, REASON_BAD_FIELD, "this is neither a line record nor a work order");
	}
}

outcome provenance_read_word(const struct provenance *p, struct bytes in, struct register_head *out,
			     int64_t *programme, struct fault *f)
{
	const struct provenance_class *c = NULL;
	outcome o = register_head_read(in, out, f);
	if (o.ok && !(c = find_programme(p, out->programme, f)))
		return (outcome){false};
	if (o.ok)
		o = provenance_verify(&out->object, c->programme.register_key, f);
	if (o.ok)
		*programme = c->programme_number;
	return o;
}

bool provenance_alarm_is_due(struct provenance *p, enum reason reason, const uint8_t line[KEY_ID_SIZE],
			     const char *batch, int64_t now_ms)
{
	return alarms_is_due(&p->alarms, reason, line, batch, now_ms);
}
