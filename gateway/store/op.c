#include "store_internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *op_new(struct store *s, size_t size, outcome (*run)(struct op *op, struct conn *c, struct fault *f),
	     void (*answer)(struct op *op, const struct fault *f))
{
	struct op *op = calloc(1, size);
	if (!op)
		abort();
	op->store = s;
	op->loop = loop_current();
	op->run = run;
	op->answer = answer;
	return op;
}

void *op_alloc(struct op *op, size_t n)
{
	struct arena_block *block = calloc(1, sizeof *block + n);
	if (!block)
		abort();
	block->next = op->arena;
	op->arena = block;
	return block->memory;
}

struct bytes op_bytes(struct op *op, struct bytes b)
{
	uint8_t *copy = op_alloc(op, b.n);
	if (b.n)
		memcpy(copy, b.p, b.n);
	return bytes_of(copy, b.n);
}

const char *op_text(struct op *op, const char *s)
{
	if (!s || !*s)
		return "";
	char *copy = op_alloc(op, strlen(s) + 1);
	return strcpy(copy, s);
}

outcome op_refuse(struct op *op, enum reason reason, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	op->refused = true;
	op->fault.reason = reason;
	vsnprintf(op->fault.text, sizeof op->fault.text, fmt, args);
	va_end(args);
	return DONE;
}

static void op_free(struct op *op)
{
	if (op->release)
		op->release(op);
	for (struct arena_block *b = op->arena, *next; b; b = next) {
		next = b->next;
		free(b);
	}
	free(op);
}

static void give_answer(void *arg)
{
	struct op *op = arg;
	if (op->answer)
		op->answer(op, op->refused || op->failed ? &op->fault : NULL);
	op_free(op);
}

void op_finish(struct op *op)
{
	if (op->loop && op->answer)
		loop_post(op->loop, give_answer, op);
	else
		give_answer(op);
}

static bool is_gathered(const struct queue *q)
{
	return q->length >= q->wanted || q->urgent || q->closing;
}

static void queue_put(struct queue *q, struct op *op)
{
	pthread_mutex_lock(&q->lock);
	op->next = NULL;
	*q->last = op;
	q->last = &op->next;
	q->length++;
	q->urgent += op->urgent;
	bool wake = is_gathered(q);
	pthread_mutex_unlock(&q->lock);
	if (wake)
		pthread_cond_signal(&q->more);
}

void op_write(struct op *op)
{
	queue_put(&op->store->writes, op);
}

void op_read(struct op *op)
{
	queue_put(&op->store->reads, op);
}

void queue_init(struct queue *q)
{
	pthread_mutex_init(&q->lock, NULL);
	thread_cond_init(&q->more);
	q->last = &q->first;
	q->wanted = 1;
}

struct op *queue_take(struct queue *q)
{
	pthread_mutex_lock(&q->lock);
	struct op *op = q->first;
	if (op && !(q->first = op->next))
		q->last = &q->first;
	if (op) {
		q->length--;
		q->urgent -= op->urgent;
	}
	pthread_mutex_unlock(&q->lock);
	return op;
}

static struct timespec timespec_of_ms(int64_t ms)
{
	return (struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
}

bool queue_wait(struct queue *q, int64_t until_ms)
{
	struct timespec until = timespec_of_ms(until_ms);
	int rc = 0;
	pthread_mutex_lock(&q->lock);
	while (!q->first && !q->closing && rc != ETIMEDOUT)
		rc = until_ms ? pthread_cond_timedwait(&q->more, &q->lock, &until)
			      : pthread_cond_wait(&q->more, &q->lock);
	bool go_on = q->first || !q->closing;
	pthread_mutex_unlock(&q->lock);
	return go_on;
}

/* Nobody is woken for each operation that comes: the length is looked at once a lull. */
void queue_gather(struct queue *q, size_t wanted, int64_t lull_ms, int64_t until_ms)
{
	int64_t now = clock_monotonic_ms();
	pthread_mutex_lock(&q->lock);
	q->wanted = wanted;
	for (size_t before = 0; before < q->length && now < until_ms && !is_gathered(q);
	     now = clock_monotonic_ms()) {
		struct timespec lull = timespec_of_ms(now + lull_ms);
		before = q->length;
		while (!is_gathered(q) && pthread_cond_timedwait(&q->more, &q->lock, &lull) != ETIMEDOUT)
			;
	}
	q->wanted = 1;
	pthread_mutex_unlock(&q->lock);
}

void queue_close(struct queue *q)
{
	pthread_mutex_lock(&q->lock);
	q->closing = true;
	pthread_mutex_unlock(&q->lock);
	pthread_cond_broadcast(&q->more);
}

size_t queue_length(struct queue *q)
{
	pthread_mutex_lock(&q->lock);
	size_t length = q->length;
	pthread_mutex_unlock(&q->lock);
	return length;
}
