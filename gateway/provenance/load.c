#include "load.h"

#include <semaphore.h>

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

static outcome result_of(const struct loading *l, const struct fault *f)
{
	return f ? refuse(l->fault, f->reason, "%s", f->text) : DONE;
}

static void on_programme(int64_t programme, const struct fault *f, void *arg)
{
	struct loading *l = arg;
	l->number = programme;
	l->result = result_of(l, f);
	sem_post(&l->done);
}

static void on_lines(const struct store_line *lines, size_t count, const struct fault *f, void *arg)
{
	struct loading *l = arg;
	l->result = result_of(l, f);
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
	l->result = result_of(l, f);
	for (size_t i = 0; l->result.ok && i < count; i++) {
		l->result = book_put_order(l->book, &orders[i], l->fault);
		l->number = orders[i].id;
	}
	l->count = count;
	sem_post(&l->done);
}

static void load_programmes(struct store *s, struct provenance_classes *classes, struct loading *l)
{
	for (size_t i = 0; l->result.ok && i < classes->count; i++) {
		store_programme(s, classes->items[i].programme.id, on_programme, l);
		wait_for(l);
		classes->items[i].programme_number = l->number;
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
	for (l->count = 1; l->result.ok && l->count;) {
		store_orders(s, &(struct store_order_query){.after = l->number}, on_orders, l);
		wait_for(l);
	}
}

outcome load_from_store(struct store *s, struct provenance_classes *classes, struct book *book,
			struct fault *f)
{
	struct loading l = {.book = book, .result = DONE, .fault = f};
	sem_init(&l.done, 0, 0);
	load_programmes(s, classes, &l);
	load_book(s, &l);
	sem_destroy(&l.done);
	return l.result;
}
