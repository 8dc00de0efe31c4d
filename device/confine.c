#include "confine.h"

#include "common/file.h"
#include "common/sandbox/sandbox.h"

#include <errno.h>
#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool has_landlock(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) > 0;
}

outcome confine_enter(const struct confine *c, struct fault *f)
{
	static const char *const nothing[] = {NULL};
	const char *const own[] = {c->folder, NULL};
	struct stat st;
	if (stat(c->folder, &st))
		return file_fault(f, errno, "stat", c->folder);
	/* Folders of root's are those of someone who tries it out as root: Landlock keeps root out of them as
	 * well. */
	bool stays_root = geteuid() == 0 && st.st_uid == 0;
	if (stays_root && !has_landlock() && !c->insecure)
		return refuse(f, REASON_CONFIG,
			      "%s is root's and this kernel has no Landlock: nothing keeps the worlds apart. "
			      "Give the "
			      "folders two owners, or say --insecure-single-user",
			      c->folder);
	const struct sandbox sandbox = {
		.uid = st.st_uid,
		.gid = st.st_gid,
		.read_only = c->read_only ? c->read_only : nothing,
		.read_write = own,
		.network = c->network,
		.non_dumpable = true,
		.insecure = c->insecure || stays_root,
	};
	return sandbox_enter(&sandbox, f);
}
