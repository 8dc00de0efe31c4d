#include "admin_seen.h"

#include "common/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { BUCKETS = 4096, SLOTS = 16 };

struct slot {
	int64_t until; /* 0: never used */
	uint8_t signature[SHA256_SIZE];
};

struct admin_seen {
	struct slot (*buckets)[SLOTS];
};

enum { FILE_SIZE = BUCKETS * SLOTS * sizeof(struct slot) };

/* Blocks are allocated now: a write to a mapped hole of a full disk would kill the process. */
static outcome map_file(int fd, const char *path, void **out, struct fault *f)
{
	int error = posix_fallocate(fd, 0, FILE_SIZE);
	if (error)
		return file_fault(f, error, "allocate", path);
	*out = mmap(NULL, FILE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return *out == MAP_FAILED ? file_fault(f, errno, "map", path) : DONE;
}

outcome admin_seen_open(const char *path, struct admin_seen **out, struct fault *f)
{
	struct admin_seen *s = calloc(1, sizeof *s);
	void *memory = NULL;
	if (!s)
		return refuse(f, REASON_NO_MEMORY, "no memory for %s", path);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	outcome result = fd < 0 ? file_fault(f, errno, "open", path) : map_file(fd, path, &memory, f);
	if (fd >= 0)
		close(fd);
	if (!result.ok) {
		free(s);
		return result;
	}
	s->buckets = memory;
	*out = s;
	return DONE;
}

void admin_seen_close(struct admin_seen *s)
{
	if (!s)
		return;
	munmap(s->buckets, FILE_SIZE);
	free(s);
}

enum seen admin_seen_add(struct admin_seen *s, const uint8_t signature[SHA256_SIZE], int64_t until,
			 int64_t now)
{
	struct slot *bucket = s->buckets[(signature[0] << 8 | signature[1]) % BUCKETS], *free_slot = NULL;
	for (size_t i = 0; i < SLOTS; i++) {
		if (bucket[i].until < now)
			free_slot = &bucket[i];
		else if (!memcmp(bucket[i].signature, signature, SHA256_SIZE))
			return SEEN_BEFORE;
	}
	if (!free_slot)
		return SEEN_FULL;
	memcpy(free_slot->signature, signature, SHA256_SIZE);
	free_slot->until = until;
	return SEEN_NEW;
}
