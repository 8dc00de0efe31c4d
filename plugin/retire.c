#include "retire.h"

#include <stdlib.h>

struct retire_item {
	struct retire_item *next;
	void *p;
	void (*free_p)(void *p);
	uint64_t turn;
};

void retire_turn(struct retire *r)
{
	atomic_fetch_add(&r->turns, 1);
}

bool retire_prepare(struct retire *r)
{
	if (!r->spare)
		r->spare = malloc(sizeof *r->spare);
	return r->spare != NULL;
}

void retire_later(struct retire *r, void *p, void (*free_p)(void *p))
{
	struct retire_item *item = r->spare;
	r->spare = NULL;
	*item = (struct retire_item){.p = p, .free_p = free_p, .turn = atomic_load(&r->turns)};
	if (r->newest)
		r->newest->next = item;
	else
		r->oldest = item;
	r->newest = item;
}

static void free_oldest(struct retire *r)
{
	struct retire_item *item = r->oldest;
	r->oldest = item->next;
	if (!r->oldest)
		r->newest = NULL;
	item->free_p(item->p);
	free(item);
}

void retire_reap(struct retire *r)
{
	uint64_t turns = atomic_load(&r->turns);
	while (r->oldest && r->oldest->turn + 2 <= turns)
		free_oldest(r);
}

void retire_all(struct retire *r)
{
	while (r->oldest)
		free_oldest(r);
	free(r->spare);
	r->spare = NULL;
}
