#include "provenance.h"

#include "common/log.h"

#include <inttypes.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>

enum { ALARMS_KEPT = 1024, ALARM_EVERY_MS = 3600 * 1000 };

struct provenance {
	struct provenance_classes classes;
	pthread_mutex_t
		lock; /* of the pointer, and of who makes the next book; held for no longer than that */
	struct book *book;
	pthread_mutex_t alarm_lock;
	struct {
		uint64_t about;
		int64_t at_ms; /* 0: never */
	} alarms[ALARMS_KEPT];
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
	pthread_mutex_init(&p->alarm_lock, NULL);
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
	pthread_mutex_destroy(&p->alarm_lock);
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

/* ---- out of the store, at start ---- */

struct loading {
	struct book *book;
	sem_t done;
	outcome result;
	struct fault *fault;
	int64_t number; /* of a programme; of the last line or order */
	size_t count;
};

static void wait_for(struct loading *l)
{
	while (sem_wait(&l->done))
		;
}

static void on_programme(int64_t programme, const struct fault *f, void *arg)
{
	struct loading *l = arg;
	l->number = programme;
	l->result = f ? refuse(l->fault, f->reason, "%s", f->text) : DONE;
	sem_post(&l->done);
}

static void on_lines(const struct store_line *lines, size_t count, const struct fault *f, void *arg)
{
	struct loading *l = arg;
	l->result = f ? refuse(l->fault, f->reason, "%s", f->text) : DONE;
	for (size_t i = 0; l->result.ok && i < count; i++) {
		l->result = book_put_line(l->book, &lines[i], l->fault);
		l->number = lines[i].id;
	}
	l->count = count;
	sem_post(&l->done);
}

static void on_orders(const struct store_order *orders, size_t count, const struct fault *f, void *arg)
{
	struct loading *l = arg;
	l->result = f ? refuse(l->fault, f->reason, "%s", f->text) : DONE;
	for (size_t i = 0; l->result.ok && i < count; i++) {
		l->result = book_put_order(l->book, &orders[i], l->fault);
		l->number = orders[i].id;
	}
	l->count = count;
	sem_post(&l->done);
}

static void load_programmes(struct provenance *p, struct store *s, struct loading *l)
{
	for (size_t i = 0; l->result.ok && i < p->classes.count; i++) {
		store_programme(s, p->classes.items[i].programme.id, on_programme, l);
		wait_for(l);
		p->classes.items[i].programme_number = l->number;
	}
}

static void load_book(struct store *s, struct loading *l)
{
	l->number = 0;
	for (l->count = 1; l->result.ok && l->count;) {
		store_lines(s, l->number, on_lines, l);
		wait_for(l);
	}
	l->number = 0;
	for (l->count = l->result.ok; l->result.ok && l->count;) {
		store_orders(s, &(struct store_order_query){.after = l->number}, on_orders, l);
		wait_for(l);
	}
}

outcome provenance_begin(struct provenance *p, struct store *s, struct fault *f)
{
	struct loading l = {.book = p->book, .result = DONE, .fault = f};
	sem_init(&l.done, 0, 0);
	load_programmes(p, s, &l);
	load_book(s, &l);
	sem_destroy(&l.done);
	if (l.result.ok && provenance_is_asked(p))
		log_line(LOG_LEVEL_INFO, NULL, "provenance: %zu classes of devices, %zu lines, %zu orders",
			 p->classes.count, p->book->line_count, p->book->order_count);
	else if (l.result.ok)
		log_line(LOG_LEVEL_INFO, NULL,
			 "provenance is asked of no device (provenance: is not configured)");
	return l.result;
}

/* ---- what admins bring ---- */

static const struct provenance_class *find_programme(const struct provenance *p,
						     const uint8_t id[PROGRAMME_ID_SIZE], struct fault *f)
{
	for (size_t i = 0; i < p->classes.count; i++)
		if (!memcmp(p->classes.items[i].programme.id, id, PROGRAMME_ID_SIZE))
			return &p->classes.items[i];
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

/* ---- alarms ---- */

static uint64_t subject(enum reason reason, const uint8_t line[KEY_ID_SIZE], const char *batch)
{
	const char *code = reason_code(reason);
	const struct bytes parts[] = {bytes_str(code), bytes_of(line, KEY_ID_SIZE), bytes_str(batch)};
	uint8_t hash[SHA256_SIZE];
	uint64_t about;
	sha256_parts(parts, 3, hash);
	memcpy(&about, hash, sizeof about);
	return about;
}

bool provenance_alarm_is_due(struct provenance *p, enum reason reason, const uint8_t line[KEY_ID_SIZE],
			     const char *batch, int64_t now_ms)
{
	uint64_t about = subject(reason, line, batch);
	size_t at = about % ALARMS_KEPT;
	pthread_mutex_lock(&p->alarm_lock);
	bool told = p->alarms[at].about == about && p->alarms[at].at_ms &&
		    now_ms - p->alarms[at].at_ms < ALARM_EVERY_MS;
	if (!told) {
		p->alarms[at].about = about;
		p->alarms[at].at_ms = now_ms;
	}
	pthread_mutex_unlock(&p->alarm_lock);
	return !told;
}
