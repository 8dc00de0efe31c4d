/*
 * heap.h - what the program that links it allocates: malloc and its kin are glibc's, counted.
 */
#ifndef MOORING_BENCH_HEAP_H
#define MOORING_BENCH_HEAP_H

#include <stddef.h>
#include <stdint.h>

struct heap {
	uint64_t allocations;
	size_t bytes; /* that are held now, with what the allocator rounds up */
	size_t peak;
};

struct heap heap_now(void);
/* The peak is what is held now. */
void heap_forget_peak(void);

#endif
