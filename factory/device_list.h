/*
 * device_list.h - the device folders that a command works on: named, or all of a folder.
 */
#ifndef MOORING_FACTORY_DEVICE_LIST_H
#define MOORING_FACTORY_DEVICE_LIST_H

#include "factory.h"

struct device_list {
	char **paths;
	size_t count;
};

/* Each --NAME of the command (each of its words where that is NULL), and with --all each folder in that folder that has a secure world, in the order of
 * their numbers. REASON_BAD_FIELD where there is none. Caller device_list_free. */
MUST_USE outcome device_list_make(const struct arguments *a, const char *name, struct device_list *out,
				  struct fault *f);
void device_list_free(struct device_list *l);

#endif
