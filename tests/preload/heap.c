/*
 * heap.so, to be preloaded into the broker: allocations of the plugin that fail where a test wants them to.
 *
 * Counted is what the plugin's own code asks for and, as MOORING_TEST_HEAP_THREADS says, also what the libraries ask for
 * in its threads. (The broker has one thread: all others are the plugin's.) The file that MOORING_TEST_HEAP names is
 * shared with the test, which reads and sets the numbers in it at any time.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct shared {
	_Atomic int64_t counted;
	_Atomic int64_t first, end; /* numbers that fail; the first allocation is number 1 */
	_Atomic int64_t failed;
};

static struct {
	struct shared *shared;
	_Atomic uintptr_t low, high; /* the plugin's code */
	int threads;
	void *(*malloc)(size_t n);
	void *(*calloc)(size_t n, size_t size);
	void *(*realloc)(void *p, size_t n);
	void *(*dlopen)(const char *path, int flags);
} heap;

__attribute__((constructor)) static void open_shared(void)
{
	const char *path = getenv("MOORING_TEST_HEAP");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *p = fd < 0 ? MAP_FAILED
			 : mmap(NULL, sizeof *heap.shared, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (fd >= 0)
		close(fd);
	heap.threads = getenv("MOORING_TEST_HEAP_THREADS") != NULL;
	heap.shared = p == MAP_FAILED ? NULL : p;
}

static int find_plugin(struct dl_phdr_info *info, size_t size, void *arg)
{
	(void)size;
	(void)arg;
	if (!strstr(info->dlpi_name, "mosquitto_mooring.so"))
		return 0;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		if (p->p_type != PT_LOAD || !(p->p_flags & PF_X))
			continue;
		heap.low = info->dlpi_addr + p->p_vaddr;
		heap.high = heap.low + p->p_memsz;
	}
	return 1;
}

void *dlopen(const char *path, int flags)
{
	if (!heap.dlopen)
		heap.dlopen = (void *(*)(const char *, int))dlsym(RTLD_NEXT, "dlopen");
	if (!heap.malloc)
		free(malloc(1)); /* strdup needs it */
	void *handle = heap.dlopen(path, flags);
	if (handle && path && strstr(path, "mosquitto_mooring.so"))
		dl_iterate_phdr(find_plugin, NULL);
	return handle;
}

static int is_counted(const void *caller)
{
	static _Thread_local int is_main; /* 0: not known yet */
	uintptr_t at = (uintptr_t)caller;
	if (!heap.shared || !heap.high)
		return 0;
	if (at >= heap.low && at < heap.high)
		return 1;
	if (heap.threads && !is_main)
		is_main = gettid() == getpid() ? 1 : -1;
	return heap.threads && is_main < 0;
}

static int fails(const void *caller)
{
	if (!is_counted(caller))
		return 0;
	int64_t number = ++heap.shared->counted;
	if (number < heap.shared->first || number >= heap.shared->end)
		return 0;
	heap.shared->failed++;
	errno = ENOMEM;
	return 1;
}

#define CALLER __builtin_return_address(0)

void *malloc(size_t n)
{
	if (!heap.malloc)
		heap.malloc = (void *(*)(size_t))dlsym(RTLD_NEXT, "malloc");
	return fails(CALLER) ? NULL : heap.malloc(n);
}

void *calloc(size_t n, size_t size)
{
	if (!heap.calloc)
		heap.calloc = (void *(*)(size_t, size_t))dlsym(RTLD_NEXT, "calloc");
	return fails(CALLER) ? NULL : heap.calloc(n, size);
}

void *realloc(void *p, size_t n)
{
	if (!heap.realloc)
		heap.realloc = (void *(*)(void *, size_t))dlsym(RTLD_NEXT, "realloc");
	return fails(CALLER) ? NULL : heap.realloc(p, n);
}

char *strdup(const char *s)
{
	size_t n = strlen(s) + 1;
	char *copy = fails(CALLER) ? NULL : heap.malloc(n);
	return copy ? memcpy(copy, s, n) : NULL;
}
