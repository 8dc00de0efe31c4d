#include "sandbox_internal.h"

#include <errno.h>
#include <seccomp.h>
#include <string.h>
#include <sys/socket.h>

/* Other processes' memory and descriptors; the file system's shape; the kernel's own code, keys and counters;
 * the clock; other programs. io_uring makes sockets past this filter. */
static const char *const denied[] = {
	"ptrace",
	"process_vm_readv",
	"process_vm_writev",
	"process_madvise",
	"pidfd_getfd",
	"kcmp",
	"mount",
	"umount",
	"umount2",
	"fsopen",
	"fsconfig",
	"fsmount",
	"fspick",
	"move_mount",
	"open_tree",
	"mount_setattr",
	"pivot_root",
	"chroot",
	"open_by_handle_at",
	"quotactl",
	"quotactl_fd",
	"swapon",
	"swapoff",
	"unshare",
	"setns",
	"sethostname",
	"setdomainname",
	"acct",
	"reboot",
	"syslog",
	"init_module",
	"finit_module",
	"delete_module",
	"kexec_load",
	"kexec_file_load",
	"add_key",
	"request_key",
	"keyctl",
	"bpf",
	"perf_event_open",
	"userfaultfd",
	"lookup_dcookie",
	"io_uring_setup",
	"io_uring_enter",
	"io_uring_register",
	"iopl",
	"ioperm",
	"modify_ldt",
	"personality",
	"settimeofday",
	"clock_settime",
	"adjtimex",
	"clock_adjtime",
	"execve",
	"execveat",
};

/* The families that a daemon with a network needs; netlink is how the resolver finds its own addresses. */
static bool is_wanted(int family)
{
	return family == AF_UNIX || family == AF_INET || family == AF_INET6 || family == AF_NETLINK;
}

static int deny_names(scmp_filter_ctx ctx)
{
	for (size_t i = 0; i < sizeof denied / sizeof *denied; i++) {
		int nr = seccomp_syscall_resolve_name(denied[i]);
		if (nr == __NR_SCMP_ERROR)
			continue; /* newer than this libseccomp, or not on this processor */
		int rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), nr, 0);
		if (rc)
			return rc;
	}
	return 0;
}

static int deny_family(scmp_filter_ctx ctx, enum scmp_compare compare, int family)
{
	const struct scmp_arg_cmp first = {.arg = 0, .op = compare, .datum_a = (scmp_datum_t)family};
	return seccomp_rule_add_array(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 1, &first);
}

/* The kernel looks at the low 32 bits of the family, the filter at 64: what has more bits is above every
 * limit. */
static int deny_families(scmp_filter_ctx ctx, bool network)
{
	int last = network ? AF_NETLINK : AF_UNIX;
	int rc = deny_family(ctx, SCMP_CMP_GT, last);
	for (int family = AF_UNIX; !rc && family <= last; family++)
		if (!is_wanted(family))
			rc = deny_family(ctx, SCMP_CMP_EQ, family);
	return rc;
}

outcome sandbox_seccomp(bool network, struct fault *f)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	int rc = ctx ? seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1) : -ENOMEM;
	if (!rc)
		rc = deny_names(ctx);
	if (!rc)
		rc = deny_families(ctx, network);
	if (!rc)
		rc = seccomp_load(ctx);
	if (ctx)
		seccomp_release(ctx);
	return rc ? refuse(f, REASON_CONFIG, "sandbox: seccomp refuses the filter: %s", strerror(-rc)) : DONE;
}
