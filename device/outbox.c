#include "outbox.h"

static struct outbox_entry *at(struct outbox *o, size_t i)
{
	return &o->entries[(o->first + i) % OUTBOX_MAX];
}

bool outbox_full(const struct outbox *o)
{
	return o->count == OUTBOX_MAX;
}

struct outbox_entry *outbox_add(struct outbox *o, uint64_t n)
{
	struct outbox_entry *e = at(o, o->count++);
	*e = (struct outbox_entry){.n = n};
	return e;
}

struct outbox_entry *outbox_unsent(struct outbox *o)
{
	for (size_t i = 0; i < o->count; i++)
		if (at(o, i)->mid == 0)
			return at(o, i);
	return NULL;
}

void outbox_sent(struct outbox *o, struct outbox_entry *e, int mid)
{
	e->mid = mid;
	o->in_flight++;
}

bool outbox_acknowledge(struct outbox *o, int mid, uint64_t *n)
{
	size_t i = 0;
	while (i < o->count && at(o, i)->mid != mid)
		i++;
	if (mid == 0 || i == o->count)
		return false;
	*n = at(o, i)->n;
	/* Acknowledgements come in order, nearly: what moves is short. */
	for (; i > 0; i--)
		*at(o, i) = *at(o, i - 1);
	o->first = (o->first + 1) % OUTBOX_MAX;
	o->count--;
	o->in_flight--;
	return true;
}

void outbox_connection_began(struct outbox *o)
{
	for (size_t i = 0; i < o->count; i++)
		at(o, i)->mid = 0;
	o->in_flight = 0;
}
