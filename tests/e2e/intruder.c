/*
 * mooring-intruder - what somebody could do who has taken over the gateway: it reads the gateway's
 * configuration, enters the gateway's own confinement, and then does what it is told, a command a line:
 *
 *   open PATH | write PATH | list PATH | unlink PATH     files and folders
 *   ptrace PID | vm PID | mem PID | pidfd PID | signal PID    another process
 *   exec PATH | socket FAMILY TYPE                        new programs, other networks
 *   ask SOCKET HEX...                                     each message to the signer, its answer
 *
 * It answers each line with "ok", "ok HEX..." or the name of the error. --free leaves the confinement out.
 */
#include "common/bytes.h"
#include "common/log.h"
#include "gateway/confine.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 1 << 20, MESSAGE_MAX = 1 << 16 };

/* Each does one thing: 0, or -1 with errno. */
typedef int deed(const char *argument);

static int closed(int fd)
{
	return fd < 0 ? -1 : close(fd);
}

static int do_open(const char *path)
{
	return closed(open(path, O_RDONLY | O_CLOEXEC));
}

static int do_write(const char *path)
{
	return closed(open(path, O_WRONLY | O_APPEND | O_CLOEXEC));
}

static int do_list(const char *path)
{
	DIR *folder = opendir(path);
	return folder ? closedir(folder) : -1;
}

static int do_ptrace(const char *pid)
{
	int target = atoi(pid);
	if (ptrace(PTRACE_ATTACH, target, NULL, NULL))
		return -1;
	waitpid(target, NULL, __WALL);
	return (int)ptrace(PTRACE_DETACH, target, NULL, NULL);
}

/* Whether the address is mapped does not matter: the right to ask is checked first, and EFAULT means that it
 * was there. */
static int do_vm(const char *pid)
{
	char here[1];
	struct iovec local = {here, sizeof here}, remote = {(void *)4096, sizeof here};
	return process_vm_readv(atoi(pid), &local, 1, &remote, 1, 0) >= 0 || errno == EFAULT ? 0 : -1;
}

static int do_mem(const char *pid)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/mem", atoi(pid));
	return do_open(path);
}

/* A descriptor of the other process: its first, which every daemon has. */
static int do_pidfd(const char *pid)
{
	int process = (int)syscall(SYS_pidfd_open, atoi(pid), 0);
	if (process < 0)
		return -1;
	int fd = (int)syscall(SYS_pidfd_getfd, process, 1, 0), error = errno;
	close(process);
	errno = error;
	return closed(fd);
}

/* Signal 0 alone: the right to send it is what is asked for. */
static int do_signal(const char *pid)
{
	return kill(atoi(pid), 0);
}

static int do_exec(const char *path)
{
	char *argv[] = {(char *)(uintptr_t)path, NULL};
	int status = 0;
	pid_t child = fork();
	if (child == 0) {
		execv(path, argv);
		_exit(errno);
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		return -1;
	errno = WEXITSTATUS(status);
	return errno ? -1 : 0;
}

static int do_socket(const char *numbers)
{
	int family = 0, type = 0;
	if (sscanf(numbers, "%d %d", &family, &type) != 2)
		abort();
	return closed(socket(family, type, 0));
}

static const struct {
	const char *name;
	deed *run;
} deeds[] = {
	{"open", do_open},     {"write", do_write}, {"list", do_list},	   {"unlink", unlink},
	{"ptrace", do_ptrace}, {"vm", do_vm},	    {"mem", do_mem},	   {"pidfd", do_pidfd},
	{"signal", do_signal}, {"exec", do_exec},   {"socket", do_socket},
};

static bool receive(int fd, uint8_t *out, size_t n)
{
	for (ssize_t got; n; out += got, n -= (size_t)got)
		if ((got = read(fd, out, n)) <= 0)
			return false;
	return true;
}

/* One message and its answer, both with their length before them; "gone" where the signer ends the
 * connection. */
static void exchange(int fd, const char *hex)
{
	static uint8_t message[MESSAGE_MAX];
	static char text[HEX_SIZE(MESSAGE_MAX)];
	size_t n = 0;
	if (!hex_decode(hex, strlen(hex), message, sizeof message, &n))
		abort();
	if (send(fd, message, n, MSG_NOSIGNAL) != (ssize_t)n || !receive(fd, message, 4)) {
		fputs(" gone", stdout);
		return;
	}
	n = (size_t)message[0] << 24 | (size_t)message[1] << 16 | (size_t)message[2] << 8 | message[3];
	if (n > sizeof message || !receive(fd, message, n))
		abort();
	hex_encode(bytes_of(message, n), text);
	printf(" %s", text);
}

static void ask(char *words)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char *rest = NULL, *path = strtok_r(words, " ", &rest);
	snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address)) {
		puts(strerrorname_np(errno));
	} else {
		fputs("ok", stdout);
		for (char *hex; (hex = strtok_r(NULL, " ", &rest));)
			exchange(fd, hex);
		puts("");
	}
	closed(fd);
}

static void obey(char *line)
{
	char *argument = strchr(line, ' ');
	if (!argument)
		abort();
	*argument++ = '\0';
	if (!strcmp(line, "ask")) {
		ask(argument);
		return;
	}
	for (size_t i = 0; i < sizeof deeds / sizeof *deeds; i++)
		if (!strcmp(line, deeds[i].name)) {
			puts(deeds[i].run(argument) ? strerrorname_np(errno) : "ok");
			return;
		}
	abort();
}

int main(int argc, char **argv)
{
	static struct gateway_config config;
	static char line[LINE_MAX_BYTES];
	struct fault f;
	bool free_to_act = argc == 3 && !strcmp(argv[2], "--free");
	if (argc != 2 && !free_to_act)
		return 2;
	log_init("intruder", LOG_LEVEL_INFO);
	if (!gateway_config_load(argv[1], &config, &f).ok ||
	    (!free_to_act && !gateway_confine(&config, false, &f).ok)) {
		log_fault(LOG_LEVEL_ERROR, NULL, &f, "not confined");
		return 1;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	while (fgets(line, sizeof line, stdin)) {
		line[strcspn(line, "\n")] = '\0';
		obey(line);
	}
	gateway_config_free(&config);
	return 0;
}
