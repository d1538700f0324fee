// SPDX-License-Identifier: GPL-2.0
/*
 * Concern: TAP, ports, endpoints, handles and frames for the test programs.
 * Context: user space, one controlling thread a process: only that one reports.
 * Locking: none.
 * Lifetime: the counters live as long as the program; a port until port_close().
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "mcp_test.h"

/* It ends a hang, no more; who runs a slow kernel says so by $TEST_SECONDS. */
#define ALARM_SECONDS	300

static int tests, failures;

static void on_alarm(int signal)
{
	static const char text[] = "Bail out! the program hangs\n";

	(void)signal;
	(void)!write(STDOUT_FILENO, text, sizeof(text) - 1);
	_exit(1);
}

/* A child does not inherit it. */
static void set_alarm(void)
{
	const char *given = getenv("TEST_SECONDS");
	int seconds = given ? atoi(given) : 0;

	alarm(seconds > 0 ? seconds : ALARM_SECONDS);
}

void test_begin(void)
{
	int fd;

	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("TAP version 13\n");
	signal(SIGALRM, on_alarm);
	set_alarm();
	fd = open(MCP_DEVICE, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		skip_all(MCP_DEVICE " cannot be opened");
	close(fd);
	if (geteuid())
		skip_all("root runs this");
}

int test_end(void)
{
	printf("1..%d\n", tests);
	if (failures)
		printf("# %d of %d failed\n", failures, tests);
	return failures || !tests;
}

void skip_all(const char *why)
{
	printf("1..0 # SKIP %s\n", why);
	exit(4); /* kselftest's "skipped" */
}

void bail_out(const char *why)
{
	printf("Bail out! %s: %s\n", why, strerror(errno));
	exit(1);
}

static bool report(bool good, const char *format, va_list arguments)
{
	tests++;
	failures += !good;
	printf("%sok %d ", good ? "" : "not ", tests);
	vprintf(format, arguments);
	printf("\n");
	return good;
}

bool check(bool good, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	report(good, format, arguments);
	va_end(arguments);
	return good;
}

bool check_errno(long got, int wanted, const char *format, ...)
{
	bool good = wanted ? got == -wanted : got >= 0;
	va_list arguments;

	va_start(arguments, format);
	report(good, format, arguments);
	va_end(arguments);
	if (!good)
		printf("# got %ld (%s), wanted %d (%s)\n", got,
		       got < 0 ? strerror(-got) : "success",
		       -wanted, wanted ? strerror(wanted) : "success");
	return good;
}

/* ---- Ports --------------------------------------------------------------- */

int call(int fd, unsigned long number, void *argument)
{
	int result = ioctl(fd, number, argument);

	return result < 0 ? -errno : result;
}

int port_open(struct port *port, size_t bytes)
{
	struct mcp_arena arena = { .size = sizeof(arena), .flags = MCP_ARENA_TAKES_FDS,
				   .bytes = bytes };
	void *memory;
	int error;

	*port = (struct port){ .fd = open(MCP_DEVICE, O_RDWR | O_CLOEXEC) };
	if (port->fd < 0)
		return -errno;
	if (!bytes)
		return 0;
	error = call(port->fd, MCP_IOC_ARENA, &arena);
	if (error)
		goto close_file;
	memory = mmap(NULL, bytes, PROT_READ, MAP_SHARED, port->fd, 0);
	if (memory == MAP_FAILED) {
		error = -errno;
		goto close_file;
	}
	port->arena = memory;
	port->bytes = bytes;
	return 0;

close_file:
	close(port->fd);
	port->fd = -1;
	return error;
}

void port_need(struct port *port, size_t bytes)
{
	int error = port_open(port, bytes);

	if (error) {
		errno = -error;
		bail_out("a port");
	}
}

void port_close(struct port *port)
{
	if (port->arena)
		munmap((void *)port->arena, port->bytes);
	if (port->fd >= 0)
		close(port->fd);
	*port = (struct port){ .fd = -1 };
}

/* ---- Endpoints and handles ----------------------------------------------- */

void test_name(__u8 name[MCP_NAME_SIZE], const char *suffix)
{
	memset(name, 0, MCP_NAME_SIZE);
	snprintf((char *)name, MCP_NAME_SIZE, "test.%d.%s", (int)getpid(), suffix);
}

void fill_digest(__u8 digest[MCP_DIGEST_SIZE], unsigned char byte)
{
	memset(digest, byte, MCP_DIGEST_SIZE);
}

struct mcp_tool tool_row(unsigned int id, unsigned int flags, unsigned char digest,
			 const char *name)
{
	struct mcp_tool row = { .id = id, .flags = flags };

	fill_digest(row.digest, digest);
	snprintf((char *)row.name, sizeof(row.name), "%s", name);
	return row;
}

struct mcp_serve serve_args(const __u8 name[MCP_NAME_SIZE])
{
	struct mcp_serve args = { .size = sizeof(args), .uid = ~0u, .gid = ~0u, .mode = 0700,
				  .tool_size = sizeof(struct mcp_tool) };

	memcpy(args.name, name, MCP_NAME_SIZE);
	return args;
}

__u64 serve_need(const struct port *port, const __u8 name[MCP_NAME_SIZE])
{
	struct mcp_tool tools[] = {
		tool_row(TOOL_READ, MCP_TOOL_READ_ONLY, 0x11, "look"),
		tool_row(TOOL_WRITE, 0, 0x22, "change"),
		tool_row(TOOL_LAST, 0, 0x33, "last"),
	};
	struct mcp_serve args = serve_args(name);

	args.tools = address(tools);
	args.ntools = ARRAY_SIZE(tools);
	if (call(port->fd, MCP_IOC_SERVE, &args))
		bail_out("an endpoint");
	return args.sender;
}

struct mcp_open open_args(const __u8 name[MCP_NAME_SIZE], unsigned int rights)
{
	struct mcp_open args = { .size = sizeof(args), .rights = rights,
				 .pin_size = sizeof(struct mcp_pin) };

	memcpy(args.name, name, MCP_NAME_SIZE);
	return args;
}

int open_handle(const struct port *port, const __u8 name[MCP_NAME_SIZE], unsigned int rights,
		__u64 *sender)
{
	struct mcp_open args = open_args(name, rights);
	int error;

	error = call(port->fd, MCP_IOC_OPEN, &args);
	if (error)
		return error;
	if (sender)
		*sender = args.sender;
	return args.fd;
}

struct mcp_grant grant_args(int handle, unsigned int rights)
{
	return (struct mcp_grant){ .size = sizeof(struct mcp_grant), .handle = handle,
				   .rights = rights, .pin_size = sizeof(struct mcp_pin) };
}

int grant(const struct port *port, struct mcp_grant *args)
{
	int error = call(port->fd, MCP_IOC_GRANT, args);

	return error ? error : args->fd;
}

int revoke(const struct port *port, int handle, __u64 sender)
{
	struct mcp_revoke args = { .size = sizeof(args), .handle = handle, .sender = sender };

	return call(port->fd, MCP_IOC_REVOKE, &args);
}

bool handle_dead(int handle, int milliseconds)
{
	struct pollfd wait = { .fd = handle };

	return poll(&wait, 1, milliseconds) == 1 && (wait.revents & POLLHUP);
}

/* ---- Frames -------------------------------------------------------------- */

static struct mcp_frame frame(unsigned int kind, const void *body, size_t len)
{
	return (struct mcp_frame){
		.envelope = { .magic = MCP_MAGIC, .version = MCP_ENVELOPE_VERSION, .kind = kind,
			      .len = len },
		/* An address of nothing is refused. */
		.body = len ? address(body) : 0,
		.handle = -1,
	};
}

struct mcp_frame frame_request(int handle, unsigned int tool, const void *body, size_t len)
{
	struct mcp_frame made = frame(MCP_REQUEST, body, len);

	made.handle = handle;
	made.envelope.tool = tool;
	made.envelope.reserve = 256;
	return made;
}

struct mcp_frame frame_nested(__u64 parent, const void *body, size_t len)
{
	struct mcp_frame made = frame_request(-1, 0, body, len);

	made.envelope.parent = parent;
	return made;
}

struct mcp_frame frame_response(__u64 cookie, const void *body, size_t len)
{
	struct mcp_frame made = frame(MCP_RESPONSE, body, len);

	made.envelope.cookie = cookie;
	return made;
}

struct mcp_frame frame_notify(__u64 parent, const void *body, size_t len)
{
	struct mcp_frame made = frame(MCP_NOTIFY, body, len);

	made.envelope.parent = parent;
	return made;
}

struct mcp_frame frame_cancel(__u64 cookie)
{
	struct mcp_frame made = frame(MCP_CANCEL, NULL, 0);

	made.envelope.cookie = cookie;
	return made;
}

__u64 address(const void *pointer)
{
	return (uintptr_t)pointer;
}

__u64 now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

void sleep_ms(unsigned int milliseconds)
{
	struct timespec left = { milliseconds / 1000, milliseconds % 1000 * 1000000l };

	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		;
}

/* ---- Other users --------------------------------------------------------- */

static int wait_child(pid_t child)
{
	int status;

	if (child < 0 || waitpid(child, &status, 0) != child)
		bail_out("a child");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 100 + WTERMSIG(status);
}

int as_user(uid_t uid, gid_t gid, gid_t extra, int (*function)(void *), void *argument)
{
	gid_t groups[] = { 0, extra };
	pid_t child = fork();

	if (child)
		return wait_child(child);
	set_alarm();
	if (setgroups(ARRAY_SIZE(groups), groups) || setresgid(gid, gid, gid) ||
	    setresuid(uid, uid, uid))
		_exit(200);
	_exit(function(argument));
}

int in_child(int (*function)(void *), void *argument)
{
	pid_t child = fork();

	if (child)
		return wait_child(child);
	set_alarm();
	_exit(function(argument));
}
