/*
 * counted_heap.h - what the code under test allocates, and may fail to, of this program's own objects alone. To be
 * included once a program; the Makefile names the programs whose malloc, calloc, realloc and free go through here
 * (--wrap).
 */
#ifndef MOORING_TEST_COUNTED_HEAP_H
#define MOORING_TEST_COUNTED_HEAP_H

#include <malloc.h>
#include <stddef.h>

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void __real_free(void *p);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void __wrap_free(void *p);

static struct {
	size_t allocations;
	size_t bytes;	/* held now */
	size_t fail_at; /* the allocation with this number fails; 0: none */
} counted_heap;

static int heap_fails(void)
{
	return ++counted_heap.allocations == counted_heap.fail_at;
}

static void *note_taken(void *p)
{
	counted_heap.bytes += p ? malloc_usable_size(p) : 0;
	return p;
}

void *__wrap_malloc(size_t n)
{
	return heap_fails() ? NULL : note_taken(__real_malloc(n));
}

void *__wrap_calloc(size_t n, size_t size)
{
	return heap_fails() ? NULL : note_taken(__real_calloc(n, size));
}

void *__wrap_realloc(void *p, size_t n)
{
	if (heap_fails())
		return NULL;
	counted_heap.bytes -= p ? malloc_usable_size(p) : 0;
	return note_taken(__real_realloc(p, n));
}

void __wrap_free(void *p)
{
	counted_heap.bytes -= p ? malloc_usable_size(p) : 0;
	__real_free(p);
}

#endif
