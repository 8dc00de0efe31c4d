#include "fixed_memory.h"

#include <sys/mman.h>

void *fixed_memory_new(size_t size)
{
	void *memory =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	return memory == MAP_FAILED ? NULL : memory;
}

void fixed_memory_free(void *memory, size_t size)
{
	if (memory)
		munmap(memory, size);
}
