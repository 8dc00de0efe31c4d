/*
 * fixed_memory.h - zeroed memory that is there in full from the start, so that what callers make us remember
 * never makes the process grow.
 */
#ifndef MOORING_FIXED_MEMORY_H
#define MOORING_FIXED_MEMORY_H

#include <stddef.h>

/* NULL when there is none. */
void *fixed_memory_new(size_t size);
void fixed_memory_free(void *memory, size_t size);

#endif
