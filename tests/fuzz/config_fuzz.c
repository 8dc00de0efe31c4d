/* A configuration file. What is accepted is printed, and that must read back the same. */
#include "common/config/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct settings {
	char *socket;
	int64_t ttl;
	bool quarantine;
	struct config_strings origins;
};

static const struct config_key keys[] = {
	{.name = "socket", .type = CONFIG_STRING, .offset = offsetof(struct settings, socket), .doc = "d"},
	{.name = "ttl",
	 .type = CONFIG_INT,
	 .offset = offsetof(struct settings, ttl),
	 .fallback = "3",
	 .max = 9,
	 .doc = "d"},
	{.name = "quarantine",
	 .type = CONFIG_BOOL,
	 .offset = offsetof(struct settings, quarantine),
	 .fallback = "true",
	 .doc = "d"},
	{.name = "origins",
	 .type = CONFIG_STRINGS,
	 .offset = offsetof(struct settings, origins),
	 .fallback = "[a, b]",
	 .doc = "d"},
};
enum { KEYS = sizeof keys / sizeof *keys };
static const struct config_part part = {keys, KEYS, 0};

static outcome load(const void *text, size_t n, struct settings *out)
{
	char path[40];
	int fd = memfd_create("config", MFD_CLOEXEC);
	*out = (struct settings){0};
	if (fd < 0 || write(fd, text, n) != (ssize_t)n)
		abort();
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	outcome result = config_load(path, &part, 1, out, NULL);
	close(fd);
	return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct settings first, second;
	if (!load(data, size, &first).ok)
		return 0;
	char *printed = config_print(&part, 1, &first);
	if (!printed || !load(printed, strlen(printed), &second).ok)
		abort();
	char *again = config_print(&part, 1, &second);
	if (!again || strcmp(printed, again))
		abort();
	config_free(&part, 1, &first);
	config_free(&part, 1, &second);
	free(printed);
	free(again);
	return 0;
}
