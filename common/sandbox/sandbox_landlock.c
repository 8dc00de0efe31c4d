#include "sandbox_internal.h"

#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The kernel's interface (Documentation/userspace-api/landlock.rst), written out: the headers of Debian 12
 * stop at ABI 2, its kernels and later ones do not. */
enum { CREATE_RULESET_VERSION = 1, RULE_PATH_BENEATH = 1 };

enum access {
	EXECUTE = 1 << 0,
	WRITE_FILE = 1 << 1,
	READ_FILE = 1 << 2,
	READ_DIR = 1 << 3,
	REMOVE_DIR = 1 << 4,
	REMOVE_FILE = 1 << 5,
	MAKE_DIR = 1 << 7,
	MAKE_REG = 1 << 8,
	MAKE_SOCK = 1 << 9,
	REFER = 1 << 13,
	TRUNCATE = 1 << 14,
	IOCTL_DEV = 1 << 15,
};

enum {
	ABI_1_ACCESS = (1 << 13) - 1,
	FILE_ACCESS = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV,
	READ_ACCESS = READ_FILE | READ_DIR,
	WRITE_ACCESS = READ_ACCESS | WRITE_FILE | TRUNCATE | REMOVE_FILE | REMOVE_DIR | MAKE_REG | MAKE_DIR |
		       MAKE_SOCK,
};

enum { SCOPE_ABSTRACT_UNIX_SOCKET = 1 << 0, SCOPE_SIGNAL = 1 << 1 };

struct ruleset {
	uint64_t handled_fs;
	uint64_t handled_net; /* ABI 4; seccomp does this for us */
	uint64_t scoped;      /* ABI 6 */
};

struct path_rule {
	uint64_t allowed;
	int32_t parent;
} __attribute__((packed));

/* What the C library, the resolver and OpenSSL open on their own. */
static const char *const library_paths[] = {
	"/lib",
	"/lib64",
	"/usr/lib",
	"/usr/share/zoneinfo",
	"/etc/localtime",
	"/etc/ld.so.cache",
	"/etc/resolv.conf",
	"/etc/hosts",
	"/etc/nsswitch.conf",
	"/etc/host.conf",
	"/etc/gai.conf",
	"/etc/services",
	"/etc/ssl/openssl.cnf",
	"/dev/urandom",
	"/sys/devices/system/cpu",
	NULL,
};
static const char *const library_write_paths[] = {"/dev/null", NULL};

static uint64_t access_of_abi(long abi)
{
	uint64_t known = ABI_1_ACCESS;
	if (abi >= 2)
		known |= REFER;
	if (abi >= 3)
		known |= TRUNCATE;
	if (abi >= 5)
		known |= IOCTL_DEV;
	return known;
}

static size_t ruleset_size(long abi)
{
	return abi >= 6 ? sizeof(struct ruleset) : abi >= 4 ? 2 * sizeof(uint64_t) : sizeof(uint64_t);
}

static outcome broken(struct fault *f, const char *what, const char *path)
{
	return refuse(f, REASON_CONFIG, "sandbox: %s %s: %s", what, path, strerror(errno));
}

/* A path that does not exist gets no rule, and so stays out of reach should it appear. */
static outcome allow(int ruleset, const char *path, uint64_t access, struct fault *f)
{
	struct stat st;
	struct path_rule rule = {.allowed = access, .parent = open(path, O_PATH | O_CLOEXEC)};
	if (rule.parent < 0 && errno == ENOENT)
		return DONE;
	if (rule.parent < 0)
		return broken(f, "cannot open", path);
	outcome result = DONE;
	if (fstat(rule.parent, &st))
		result = broken(f, "cannot stat", path);
	else if (!S_ISDIR(st.st_mode))
		rule.allowed &= FILE_ACCESS;
	if (result.ok && syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &rule, 0))
		result = broken(f, "Landlock takes no rule for", path);
	close(rule.parent);
	return result;
}

static outcome allow_all(int ruleset, const char *const *paths, uint64_t access, struct fault *f)
{
	for (; paths && *paths; paths++) {
		outcome result = allow(ruleset, *paths, access, f);
		if (!result.ok)
			return result;
	}
	return DONE;
}

static outcome allow_paths(int ruleset, const struct sandbox *s, uint64_t known, struct fault *f)
{
	outcome result = allow_all(ruleset, library_paths, READ_ACCESS & known, f);
	if (result.ok)
		result = allow_all(ruleset, library_write_paths, WRITE_ACCESS & known, f);
	if (result.ok)
		result = allow_all(ruleset, s->read_only, READ_ACCESS & known, f);
	if (result.ok)
		result = allow_all(ruleset, s->read_write, WRITE_ACCESS & known, f);
	return result;
}

outcome sandbox_landlock(const struct sandbox *s, bool *confined, struct fault *f)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_RULESET_VERSION);
	*confined = false;
	if (abi < 1)
		return DONE;
	uint64_t known = access_of_abi(abi);
	struct ruleset wanted = {.handled_fs = known, .scoped = SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL};
	int ruleset = (int)syscall(SYS_landlock_create_ruleset, &wanted, ruleset_size(abi), 0);
	if (ruleset < 0)
		return broken(f, "Landlock makes no", "ruleset");
	outcome result = allow_paths(ruleset, s, known, f);
	if (result.ok && syscall(SYS_landlock_restrict_self, ruleset, 0))
		result = broken(f, "Landlock refuses", "to confine");
	close(ruleset);
	*confined = result.ok;
	if (result.ok)
		log_line(LOG_LEVEL_INFO, NULL, "confined by Landlock (ABI %ld)", abi);
	return result;
}
