#include "heap.h"

#include <malloc.h>
#include <stdatomic.h>

extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);
extern void __libc_free(void *p);

static _Atomic uint64_t allocations;
static _Atomic size_t bytes, peak;

static void *taken(void *p)
{
	size_t now = atomic_fetch_add(&bytes, p ? malloc_usable_size(p) : 0), most = atomic_load(&peak);
	now += p ? malloc_usable_size(p) : 0;
	atomic_fetch_add(&allocations, 1);
	while (now > most && !atomic_compare_exchange_weak(&peak, &most, now)) {
	}
	return p;
}

void *malloc(size_t n)
{
	return taken(__libc_malloc(n));
}

void *calloc(size_t n, size_t size)
{
	return taken(__libc_calloc(n, size));
}

void *realloc(void *p, size_t n)
{
	size_t before = p ? malloc_usable_size(p) : 0;
	void *moved = __libc_realloc(p, n);
	if (moved || n == 0)
		atomic_fetch_sub(&bytes, before);
	return taken(moved);
}

void free(void *p)
{
	if (p)
		atomic_fetch_sub(&bytes, malloc_usable_size(p));
	__libc_free(p);
}

struct heap heap_now(void)
{
	return (struct heap){atomic_load(&allocations), atomic_load(&bytes), atomic_load(&peak)};
}

void heap_forget_peak(void)
{
	atomic_store(&peak, atomic_load(&bytes));
}
