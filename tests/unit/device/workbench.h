/*
 * workbench.h - a device fresh from the factory in a folder of its own, for tests of its worlds.
 */
#ifndef MOORING_TESTS_WORKBENCH_H
#define MOORING_TESTS_WORKBENCH_H

#include "device/psa.h"
#include "factory/make.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct workbench {
	char folder[64];
	char device[96], secure[128];
};

static inline void workbench_make(struct workbench *w)
{
	struct fault f = {0};
	strcpy(w->folder, "/tmp/workbench.XXXXXX");
	assert_non_null(mkdtemp(w->folder));
	const struct make_request request = {.count = 1,
					     .folder = w->folder,
					     .batch = "B1",
					     .model = "thermo-1",
					     .psa_token = true,
					     .cose_csr = true};
	if (!make_devices(&request, &f).ok)
		fail_msg("%s", f.text);
	snprintf(w->device, sizeof w->device, "%s/1", w->folder);
	snprintf(w->secure, sizeof w->secure, "%s/secure", w->device);
}

static inline void workbench_remove(struct workbench *w)
{
	char command[128];
	snprintf(command, sizeof command, "rm -rf %s", w->folder);
	assert_int_equal(system(command), 0);
}

static inline EVP_PKEY *workbench_rot(const struct workbench *w)
{
	char path[160];
	struct fault f = {0};
	EVP_PKEY *key = NULL;
	snprintf(path, sizeof path, "%s/rot.key", w->secure);
	if (!key_load_private_pem(path, &key, &f).ok)
		fail_msg("%s", f.text);
	return key;
}

#endif
