/* The sandbox, tried from inside: each test forks a child that enters it, does what a taken-over daemon
 * would, and reports the first thing that was not as it should be. */
#include "common/log.h"
#include "common/sandbox/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <sched.h>
#include <seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { NOBODY = 65534 };

static char base[] = "/tmp/sandbox_test.XXXXXX";
static char own[64], other[64], readable[80], secret[80], absent[80];

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
	if (fd < 0 || write(fd, text, strlen(text)) < 0 || fchmod(fd, 0666))
		abort();
	close(fd);
}

/* Everything is open to all by its mode, so that only the sandbox can be what refuses. */
static int make_tree(void **state)
{
	(void)state;
	if (!mkdtemp(base) || chmod(base, 0777))
		return -1;
	snprintf(own, sizeof own, "%s/own", base);
	snprintf(other, sizeof other, "%s/other", base);
	snprintf(readable, sizeof readable, "%s/other/readable", base);
	snprintf(secret, sizeof secret, "%s/other/secret", base);
	snprintf(absent, sizeof absent, "%s/other/absent", base);
	if (mkdir(own, 0777) || mkdir(other, 0777) || chmod(own, 0777) || chmod(other, 0777))
		return -1;
	write_file(readable, "r");
	write_file(secret, "s");
	return 0;
}

static int remove_tree(void **state)
{
	(void)state;
	char path[128];
	static const char *const files[] = {"own/sock", "own/b", "other/readable", "other/secret", "own",
					    "other",	"."};
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		snprintf(path, sizeof path, "%s/%s", base, files[i]);
		if (unlink(path))
			rmdir(path);
	}
	return rmdir(base);
}

#define CHECK(condition)                                                                                     \
	do {                                                                                                 \
		if (!(condition)) {                                                                          \
			fprintf(stderr, "line %d: %s (%s)\n", __LINE__, #condition, strerror(errno));        \
			_exit(1);                                                                            \
		}                                                                                            \
	} while (0)

static void enter(struct sandbox s)
{
	static const char *read_only[3], *read_write[2];
	struct fault f = {0};
	read_only[0] = readable;
	read_only[1] = absent;
	read_write[0] = own;
	s.read_only = read_only;
	s.read_write = read_write;
	if (!sandbox_enter(&s, &f).ok) {
		fprintf(stderr, "%s\n", f.text);
		_exit(2);
	}
}

static void expect_child_ok(void (*child)(void))
{
	int status;
	fflush(NULL);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		child();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* In a test run as root: any uid will do, it is the sandbox that is tried. */
static void stop_being_root(void)
{
	if (geteuid() == 0)
		CHECK(!setgroups(0, NULL) && !setresgid(NOBODY, NOBODY, NOBODY) &&
		      !setresuid(NOBODY, NOBODY, NOBODY));
}

static bool refused(long rc, int error)
{
	return rc == -1 && errno == error;
}

static int open_close(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);
	return fd < 0 ? -1 : close(fd);
}

static void files_child(void)
{
	char a[128], b[128];
	snprintf(a, sizeof a, "%s/a", own);
	snprintf(b, sizeof b, "%s/b", own);
	stop_being_root();
	enter((struct sandbox){0});
	CHECK(!open_close(a, O_RDWR | O_CREAT | O_EXCL) && !truncate(a, 10) && !rename(a, b) &&
	      !open_close(b, O_RDONLY));
	CHECK(!open_close(readable, O_RDONLY));
	CHECK(refused(open_close(readable, O_WRONLY), EACCES));
	CHECK(refused(truncate(readable, 0), EACCES));
	CHECK(refused(unlink(readable), EACCES));
	CHECK(refused(open_close(secret, O_RDONLY), EACCES));
	CHECK(refused(open_close(absent, O_RDWR | O_CREAT), EACCES));
	CHECK(refused(open_close("/etc/passwd", O_RDONLY), EACCES));
	CHECK(refused(open_close("/proc/self/environ", O_RDONLY), EACCES));
	snprintf(a, sizeof a, "/proc/%d/mem", (int)getppid());
	CHECK(refused(open_close(a, O_RDONLY), EACCES));
	snprintf(a, sizeof a, "%s/a", own);
	CHECK(refused(link(secret, a), EXDEV));
	CHECK(!open_close("/dev/null", O_RDWR));
}

static void test_only_the_given_paths_can_be_reached(void **state)
{
	(void)state;
	expect_child_ok(files_child);
}

static void calls_child(void)
{
	char byte;
	struct iovec here = {&byte, 1}, there = {&byte, 1};
	char *const arguments[] = {(char[]){"true"}, NULL};
	bool was_root = geteuid() == 0;
	enter((struct sandbox){.insecure = true}); /* stays root where it is: the filter must hold for root */
	CHECK(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	CHECK(refused(ptrace(PTRACE_ATTACH, getppid(), NULL, NULL), EPERM));
	CHECK(refused(ptrace(PTRACE_TRACEME, 0, NULL, NULL), EPERM));
	CHECK(refused(process_vm_readv(getpid(), &here, 1, &there, 1, 0), EPERM));
	CHECK(refused(mount("none", base, "tmpfs", 0, NULL), EPERM));
	CHECK(refused(unshare(CLONE_NEWUSER), EPERM));
	CHECK(refused(syscall(SYS_bpf, 0, NULL, 0), EPERM));
	CHECK(refused(syscall(SYS_add_key, "user", "x", "y", 1, -2), EPERM));
	CHECK(refused(syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0), EPERM));
	CHECK(refused(syscall(SYS_io_uring_setup, 1, NULL), EPERM));
	CHECK(refused(syscall(SYS_init_module, NULL, 0, ""), EPERM));
	CHECK(refused(syscall(SYS_kexec_load, 0, 0, NULL, 0), EPERM));
	CHECK(refused(execv("/bin/true", arguments), EPERM));
	CHECK(!was_root || geteuid() == 0);
}

static void test_system_calls_that_no_daemon_needs_are_refused(void **state)
{
	(void)state;
	expect_child_ok(calls_child);
}

static void no_network_child(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	snprintf(address.sun_path, sizeof address.sun_path, "%s/sock", own);
	stop_being_root();
	enter((struct sandbox){0});
	CHECK(refused(socket(AF_INET, SOCK_STREAM, 0), EPERM));
	CHECK(refused(socket(AF_INET6, SOCK_DGRAM, 0), EPERM));
	CHECK(refused(socket(AF_NETLINK, SOCK_RAW, 0), EPERM));
	CHECK(refused(socket(AF_VSOCK, SOCK_STREAM, 0), EPERM));
	/* the kernel would take this for AF_INET, which is 2 */
	CHECK(refused(syscall(SYS_socket, 0x100000002L, SOCK_STREAM, 0), EPERM));
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	CHECK(fd >= 0 && !bind(fd, (struct sockaddr *)&address, sizeof address));
}

static void test_without_network_there_are_unix_sockets_only(void **state)
{
	(void)state;
	expect_child_ok(no_network_child);
}

static void network_child(void)
{
	stop_being_root();
	enter((struct sandbox){.network = true});
	CHECK(socket(AF_INET, SOCK_STREAM, 0) >= 0);
	CHECK(socket(AF_UNIX, SOCK_STREAM, 0) >= 0);
	CHECK(refused(socket(AF_PACKET, SOCK_RAW, 0), EPERM));
	CHECK(refused(socket(AF_ALG, SOCK_SEQPACKET, 0), EPERM));
	CHECK(refused(syscall(SYS_socket, 0x100000000L + AF_ALG, SOCK_SEQPACKET, 0), EPERM));
}

static void test_with_network_there_are_the_internet_families_only(void **state)
{
	(void)state;
	expect_child_ok(network_child);
}

static void own_uid_child(void)
{
	uid_t r, e, s;
	gid_t groups[4];
	enter((struct sandbox){.uid = NOBODY, .gid = NOBODY, .non_dumpable = true});
	CHECK(!getresuid(&r, &e, &s) && r == NOBODY && e == NOBODY && s == NOBODY);
	CHECK(getegid() == NOBODY && getgroups(4, groups) == 0);
	CHECK(refused(setresuid(0, 0, 0), EPERM));
	CHECK(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0);
}

static void test_root_becomes_the_configured_uid_for_good(void **state)
{
	(void)state;
	if (geteuid()) {
		print_message("needs root\n");
		skip();
	}
	expect_child_ok(own_uid_child);
}

static void root_without_uid_child(void)
{
	struct fault f = {0};
	CHECK(!sandbox_enter(&(struct sandbox){0}, &f).ok);
	CHECK(f.reason == REASON_CONFIG && strstr(f.text, "run_as_uid"));
	CHECK(!sandbox_enter(&(struct sandbox){.uid = NOBODY}, &f).ok);
	CHECK(f.reason == REASON_CONFIG && strstr(f.text, "run_as_gid"));
}

static void test_root_without_a_uid_to_become_is_refused(void **state)
{
	(void)state;
	if (geteuid()) {
		print_message("needs root\n");
		skip();
	}
	expect_child_ok(root_without_uid_child);
}

/* Plays a kernel that has no Landlock. */
static void take_landlock_away(void)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	CHECK(ctx && !seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), (int)SYS_landlock_create_ruleset, 0));
	CHECK(!seccomp_load(ctx));
	seccomp_release(ctx);
}

static void no_landlock_child(void)
{
	struct fault f = {0};
	stop_being_root();
	take_landlock_away();
	CHECK(!sandbox_enter(&(struct sandbox){0}, &f).ok);
	CHECK(f.reason == REASON_CONFIG && strstr(f.text, "--insecure-single-user"));
	enter((struct sandbox){.insecure = true});
	CHECK(!open_close(secret, O_RDONLY));
	CHECK(refused(ptrace(PTRACE_TRACEME, 0, NULL, NULL), EPERM));
}

static void test_without_uid_and_landlock_it_refuses_unless_told(void **state)
{
	(void)state;
	expect_child_ok(no_landlock_child);
}

static void *wait_for_unlock(void *mutex)
{
	pthread_mutex_lock(mutex);
	pthread_mutex_unlock(mutex);
	return NULL;
}

static void threads_child(void)
{
	pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	pthread_t thread;
	struct fault f = {0};
	stop_being_root();
	pthread_mutex_lock(&mutex);
	CHECK(!pthread_create(&thread, NULL, wait_for_unlock, &mutex));
	CHECK(!sandbox_enter(&(struct sandbox){0}, &f).ok);
	CHECK(f.reason == REASON_INTERNAL && strstr(f.text, "after threads"));
	pthread_mutex_unlock(&mutex);
	pthread_join(thread, NULL);
}

static void test_a_process_with_threads_is_refused(void **state)
{
	(void)state;
	expect_child_ok(threads_child);
}

static void *try_from_thread(void *arg)
{
	(void)arg;
	CHECK(refused(open_close(secret, O_RDONLY), EACCES));
	CHECK(refused(socket(AF_INET, SOCK_STREAM, 0), EPERM));
	return NULL;
}

static void later_thread_child(void)
{
	pthread_t thread;
	stop_being_root();
	enter((struct sandbox){0});
	CHECK(!pthread_create(&thread, NULL, try_from_thread, NULL));
	CHECK(!pthread_join(thread, NULL));
}

static void test_threads_started_later_are_confined_too(void **state)
{
	(void)state;
	expect_child_ok(later_thread_child);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_only_the_given_paths_can_be_reached),
		cmocka_unit_test(test_system_calls_that_no_daemon_needs_are_refused),
		cmocka_unit_test(test_without_network_there_are_unix_sockets_only),
		cmocka_unit_test(test_with_network_there_are_the_internet_families_only),
		cmocka_unit_test(test_root_becomes_the_configured_uid_for_good),
		cmocka_unit_test(test_root_without_a_uid_to_become_is_refused),
		cmocka_unit_test(test_without_uid_and_landlock_it_refuses_unless_told),
		cmocka_unit_test(test_a_process_with_threads_is_refused),
		cmocka_unit_test(test_threads_started_later_are_confined_too),
	};
	log_init("sandbox_test", LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, make_tree, remove_tree);
}
