#include "sandbox.h"

#include "common/log.h"
#include "sandbox_internal.h"

#include <dirent.h>
#include <errno.h>
#include <grp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

static outcome broken(struct fault *f, const char *what)
{
	return refuse(f, REASON_CONFIG, "sandbox: %s: %s", what, strerror(errno));
}

/* Landlock confines the calling thread and those it starts: one that runs already would stay outside. */
static bool has_one_thread(void)
{
	unsigned n = 0;
	DIR *tasks = opendir("/proc/self/task");
	if (!tasks)
		return true; /* no /proc: nothing to count */
	for (struct dirent *e; (e = readdir(tasks));)
		n += e->d_name[0] != '.';
	closedir(tasks);
	return n == 1;
}

static outcome become(uid_t uid, gid_t gid, struct fault *f)
{
	if (setgroups(0, NULL) || setresgid(gid, gid, gid) || setresuid(uid, uid, uid))
		return broken(f, "cannot change to the configured uid and gid");
	if (setresuid(0, 0, 0) == 0 || setresgid(0, 0, 0) == 0)
		return refuse(f, REASON_CONFIG, "sandbox: root could be taken back after uid %u",
			      (unsigned)uid);
	return DONE;
}

/* Says in *own_uid whether the kernel now keeps other daemons' files from us by uid. */
static outcome drop_root(const struct sandbox *s, bool *own_uid, struct fault *f)
{
	*own_uid = false;
	if (geteuid()) {
		log_line(LOG_LEVEL_INFO, NULL, "single-user mode: not started as root, no uid of its own");
		return DONE;
	}
	if (s->uid && s->gid) {
		*own_uid = true;
		return become(s->uid, s->gid, f);
	}
	if (!s->insecure)
		return refuse(f, REASON_CONFIG,
			      "sandbox: started as root without run_as_uid and run_as_gid: set "
			      "both, or start it as a user of its own");
	log_line(LOG_LEVEL_WARN, NULL, "insecure: it stays root; run it as a user of its own");
	return DONE;
}

static outcome hide_memory(struct fault *f)
{
	struct rlimit none = {0, 0};
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) || setrlimit(RLIMIT_CORE, &none))
		return broken(f, "cannot make the process non-dumpable");
	return DONE;
}

static outcome confine(const struct sandbox *s, bool own_uid, struct fault *f)
{
	bool confined = false;
	outcome result = sandbox_landlock(s, &confined, f);
	if (!result.ok)
		return result;
	if (confined)
		return DONE;
	if (!own_uid && !s->insecure)
		return refuse(f, REASON_CONFIG,
			      "sandbox: neither a uid of its own nor Landlock confines this daemon; "
			      "--insecure-single-user runs it all the same");
	log_line(LOG_LEVEL_WARN, NULL, "this kernel has no Landlock: %s",
		 own_uid ? "the uid alone confines the daemon" : "insecure: nothing confines the daemon");
	return DONE;
}

outcome sandbox_enter(const struct sandbox *s, struct fault *f)
{
	bool own_uid;
	if (!has_one_thread())
		return refuse(f, REASON_INTERNAL, "sandbox: entered after threads were started");
	outcome result = drop_root(s, &own_uid, f);
	if (!result.ok)
		return result;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return broken(f, "cannot set no_new_privs");
	if (s->non_dumpable && !(result = hide_memory(f)).ok)
		return result;
	result = confine(s, own_uid, f);
	return result.ok ? sandbox_seccomp(s->network, f) : result;
}
