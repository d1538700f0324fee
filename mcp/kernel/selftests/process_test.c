// SPDX-License-Identifier: GPL-2.0
/*
 * Test of what happens to a process in the midst of an exchange: it executes
 * another program, is stopped, is frozen in its cgroup, or calls one that calls
 * it.
 *
 * Usage: process_test          on a machine where mcp.ko is loaded, as root
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mcp_ring.h"
#include "mcp_side.h"

/* What a child that has executed us does. */
#define WORD_SLEEP	"sleep"
#define WORD_PORT	"port"

static void end_child(pid_t child)
{
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

static void numbered_name(__u8 name[MCP_NAME_SIZE], const char *what, unsigned int number)
{
	char suffix[24];

	snprintf(suffix, sizeof(suffix), "%s.%u", what, number);
	test_name(name, suffix);
}

static void execute(const char *word, int port, __u64 cookie)
{
	char number[16], name[24];

	snprintf(number, sizeof(number), "%d", port);
	snprintf(name, sizeof(name), "%llu", (unsigned long long)cookie);
	execl("/proc/self/exe", "process_test", word, number, name, NULL);
	_exit(98);
}

/* Takes one message of a kind from a server's port; its envelope. */
static bool receive(const struct port *port, unsigned int kind, struct mcp_frame *frame)
{
	return read(port->fd, frame, sizeof(*frame)) == sizeof(*frame) &&
	       frame->envelope.kind == kind;
}

/* ---- exec ---------------------------------------------------------------- */

enum how { IN_CALL, ON_A_RING, IN_THE_QUEUE };

static const char *const how_names[] = { "in CALL", "on a ring", "by write" };

static void *call_for_ever(void *argument)
{
	struct side *side = argument;

	call(side->port.fd, MCP_IOC_CALL, &side->call.frame);
	return NULL;
}

/* In a child: serves @own, sends one request to @name, and executes another program. */
static void send_and_execute(enum how how, const __u8 *name, const __u8 *own)
{
	struct side side;
	pthread_t thread;
	int handle;

	side_need(&side, how == ON_A_RING ? BY_URING_CALL : BY_RW, PAIR_ARENA);
	serve_need(&side.port, own);
	handle = open_handle(&side.port, name, ALL_RIGHTS, NULL);
	side.call.frame = frame_request(handle, TOOL_READ, "x", 1);
	if (how == IN_CALL) {
		if (pthread_create(&thread, NULL, call_for_ever, &side))
			_exit(97);
	} else if (side_send(&side, &side.call.frame, NULL)) {
		_exit(96);
	}
	/* Until the request is there, and the thread sleeps. */
	sleep_ms(100);
	execute(WORD_SLEEP, -1, 0);
}

static void test_exec(enum how how)
{
	unsigned int status = how == ON_A_RING ? ECANCELED : EPIPE;
	__u8 name[MCP_NAME_SIZE], own[MCP_NAME_SIZE];
	struct port server, client;
	struct mcp_frame frame;
	int handle = -1;
	__u64 cookie;
	pid_t child;

	numbered_name(name, "exec", how);
	numbered_name(own, "exec.own", how);
	port_need(&server, PAIR_ARENA);
	port_need(&client, PAIR_ARENA);
	serve_need(&server, name);
	child = fork();
	if (!child)
		send_and_execute(how, name, own);
	check(receive(&server, MCP_REQUEST, &frame), "exec %s: the request of a child",
	      how_names[how]);
	cookie = frame.envelope.cookie;
	handle = open_handle(&client, own, ALL_RIGHTS, NULL);
	check_errno(handle, 0, "exec %s: which serves, too", how_names[how]);
	check(receive(&server, MCP_CANCEL, &frame) && frame.envelope.cookie == cookie &&
	      frame.envelope.status == status,
	      "exec %s: when it executes another program, the server gets a CANCEL with %s",
	      how_names[how], strerror(status));
	check(handle_dead(handle, SOON), "exec %s: its endpoint is gone", how_names[how]);
	check(!kill(child, 0) && waitpid(child, NULL, WNOHANG) == 0,
	      "exec %s: and the process lives", how_names[how]);
	frame = frame_response(cookie, NULL, 0);
	check(write(server.fd, &frame, sizeof(frame)) < 0 && errno == ECANCELED,
	      "exec %s: the answer is late", how_names[how]);
	end_child(child);
	close(handle);
	port_close(&client);
	port_close(&server);
}

/* The program that was executed, with a port that it was left. Gives an exit status. */
static int use_port(int fd, __u64 cookie)
{
	struct mcp_frame frame = frame_cancel(cookie);
	const unsigned char *arena;

	if (write(fd, &frame, sizeof(frame)) >= 0 || errno != EACCES)
		return 10;
	arena = mmap(NULL, MCP_ARENA_MIN, PROT_READ, MAP_SHARED, fd, 0);
	if (arena == MAP_FAILED)
		return 11;
	if (read(fd, &frame, sizeof(frame)) != sizeof(frame))
		return 12;
	if (frame.envelope.kind != MCP_RESPONSE || frame.envelope.cookie != cookie ||
	    frame.envelope.len != 6 || memcmp(arena + frame.slot + MCP_BODY_OFFSET, "answer", 6))
		return 13;
	if (call(fd, MCP_IOC_RELEASE, (void *)(uintptr_t)frame.slot))
		return 14;
	return 0;
}

static void test_exec_inherited(void)
{
	struct mcp_frame frame;
	__u8 name[MCP_NAME_SIZE];
	struct port server;
	int status = -1;
	pid_t child;

	test_name(name, "exec.inherited");
	port_need(&server, PAIR_ARENA);
	serve_need(&server, name);
	child = fork();
	if (!child) {
		struct port port;
		__u64 cookie = 0;
		int handle;

		port_need(&port, MCP_ARENA_MIN);
		handle = open_handle(&port, name, ALL_RIGHTS, NULL);
		frame = frame_request(handle, TOOL_READ, "x", 1);
		frame.result = address(&cookie);
		if (write(port.fd, &frame, sizeof(frame)) < 0)
			_exit(97);
		fcntl(port.fd, F_SETFD, 0);
		execute(WORD_PORT, port.fd, cookie);
	}
	check(receive(&server, MCP_REQUEST, &frame),
	      "exec with a port that is not close-on-exec: a request");
	sleep_ms(100);
	frame = frame_response(frame.envelope.cookie, "answer", 6);
	check(write(server.fd, &frame, sizeof(frame)) == sizeof(frame),
	      "its handle was closed by exec, and the exchange goes on");
	waitpid(child, &status, 0);
	check(status == 0, "the other program maps, receives and releases, and may not write (%d)",
	      WIFEXITED(status) ? WEXITSTATUS(status) : -1);
	port_close(&server);
}

/* ---- Stopped and frozen -------------------------------------------------- */

enum wait { WAIT_CALL, WAIT_REPLY, WAIT_READ, WAITS };

static const char *const wait_names[WAITS] = { "CALL", "REPLY_WAIT", "read" };

/* In a while the kernel has work for this task, and interrupts what it waits in; signal_pending() is true, and no signal. */
static void ring_ends_something(void)
{
	static const struct __kernel_timespec while_it_waits = { .tv_nsec = 20000000 };
	struct io_uring_sqe *sqe;
	struct ring ring;

	ring_need(&ring, 1, 0);
	sqe = ring_sqe(&ring);
	sqe->opcode = IORING_OP_TIMEOUT;
	sqe->addr = address(&while_it_waits);
	sqe->len = 1;
	ring_submit(&ring);
}

/* In a child: waits as told. Nothing has a handler here, so no wait may end before its answer. */
static int wait_for_it(enum wait wait, const __u8 *name)
{
	struct mcp_frame frame = { .handle = -1 };
	struct port port;
	int error;

	ring_ends_something();
	port_need(&port, PAIR_ARENA);
	if (wait == WAIT_CALL) {
		frame = frame_request(open_handle(&port, name, ALL_RIGHTS, NULL), TOOL_READ, "x", 1);
		error = call(port.fd, MCP_IOC_CALL, &frame);
	} else {
		struct mcp_frame request = frame_request(open_handle(&port, name, ALL_RIGHTS, NULL),
							 TOOL_READ, "x", 1);

		if (write(port.fd, &request, sizeof(request)) < 0)
			return 40;
		error = 0;
		if (wait == WAIT_REPLY)
			error = call(port.fd, MCP_IOC_REPLY_WAIT, &frame);
		else if (read(port.fd, &frame, sizeof(frame)) != sizeof(frame))
			error = -errno;
	}
	if (error)
		return 41;
	if (!frame.slot || memcmp(port.arena + frame.slot + MCP_BODY_OFFSET, "answer", 6))
		return 42;
	return 0;
}

struct sleeper {
	struct port server;
	__u64 cookie;
	pid_t child;
};

static void sleeper_need(struct sleeper *sleeper, enum wait wait, const char *what)
{
	struct mcp_frame frame;
	__u8 name[MCP_NAME_SIZE];

	numbered_name(name, what, wait);
	port_need(&sleeper->server, PAIR_ARENA);
	serve_need(&sleeper->server, name);
	sleeper->child = fork();
	if (!sleeper->child)
		_exit(wait_for_it(wait, name));
	check(receive(&sleeper->server, MCP_REQUEST, &frame), "%s: a child waits in %s", what,
	      wait_names[wait]);
	sleeper->cookie = frame.envelope.cookie;
	sleep_ms(50);
}

static void sleeper_end(struct sleeper *sleeper, enum wait wait, const char *what)
{
	int status = -1;

	waitpid(sleeper->child, &status, 0);
	check(WIFEXITED(status) && !WEXITSTATUS(status), "%s: then it has its answer from the same %s",
	      what, wait_names[wait]);
	port_close(&sleeper->server);
}

static bool answer(struct sleeper *sleeper)
{
	struct mcp_frame frame = frame_response(sleeper->cookie, "answer", 6);

	return write(sleeper->server.fd, &frame, sizeof(frame)) == sizeof(frame);
}

static void test_stop(enum wait wait)
{
	struct sleeper sleeper;
	int status;

	sleeper_need(&sleeper, wait, "stop");
	kill(sleeper.child, SIGSTOP);
	check(waitpid(sleeper.child, &status, WUNTRACED) == sleeper.child && WIFSTOPPED(status),
	      "stop: it is stopped there");
	check(answer(&sleeper), "stop: its answer is sent meanwhile");
	kill(sleeper.child, SIGCONT);
	sleeper_end(&sleeper, wait, "stop");
}

static bool write_file(const char *folder, const char *file, const char *text)
{
	char path[128];
	bool good;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	good = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	close(fd);
	return good;
}

static bool is_frozen(const char *group)
{
	char path[128], text[64] = "";

	snprintf(path, sizeof(path), "%s/cgroup.events", group);
	for (int i = 0; i < 100; i++) {
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

		close(fd);
		if (got > 0 && strstr(text, "frozen 1"))
			return true;
		sleep_ms(20);
	}
	return false;
}

static void test_freeze(const char *group, enum wait wait)
{
	struct sleeper sleeper;
	char pid[16];

	sleeper_need(&sleeper, wait, "freeze");
	snprintf(pid, sizeof(pid), "%d", (int)sleeper.child);
	check(write_file(group, "cgroup.procs", pid) && write_file(group, "cgroup.freeze", "1") &&
	      is_frozen(group), "freeze: it is frozen there");
	check(answer(&sleeper), "freeze: its answer is sent meanwhile");
	check(write_file(group, "cgroup.freeze", "0"), "freeze: it thaws");
	sleeper_end(&sleeper, wait, "freeze");
}

static void test_freezer(void)
{
	char root[48], group[64];

	snprintf(root, sizeof(root), "/tmp/mcp-process.%d", (int)getpid());
	snprintf(group, sizeof(group), "%s/frozen", root);
	if (mkdir(root, 0700) || mount("none", root, "cgroup2", 0, NULL) || mkdir(group, 0700))
		bail_out("a cgroup");
	for (enum wait wait = 0; wait < WAITS; wait++)
		test_freeze(group, wait);
	rmdir(group);
	umount2(root, MNT_DETACH);
	rmdir(root);
}

/*
 * The machine goes to sleep and comes back, as far as a test level of the kernel
 * lets it: all other tasks frozen, and devices asleep; five seconds each.
 */
static void test_suspend(void)
{
	static const char *const levels[] = { "freezer", "devices" };
	struct sleeper sleepers[WAITS];

	for (size_t i = 0; i < ARRAY_SIZE(levels); i++) {
		if (!write_file("/sys/power", "pm_test", levels[i])) {
			printf("# this kernel cannot try to suspend\n");
			return;
		}
		for (enum wait wait = 0; wait < WAITS; wait++)
			sleeper_need(&sleepers[wait], wait, levels[i]);
		check(write_file("/sys/power", "state", "freeze"), "suspend: %s: it comes back", levels[i]);
		for (enum wait wait = 0; wait < WAITS; wait++) {
			check(answer(&sleepers[wait]), "suspend: %s: an answer after it", levels[i]);
			sleeper_end(&sleepers[wait], wait, levels[i]);
		}
	}
	write_file("/sys/power", "pm_test", "none");
}

/* ---- Two that wait for each other ---------------------------------------- */

/* Serves @own, calls @other with a deadline, and gives what came of it. */
static int serve_and_call(const __u8 *own, const __u8 *other, bool begins)
{
	struct mcp_frame frame;
	struct port port;
	int handle;

	port_need(&port, PAIR_ARENA);
	serve_need(&port, own);
	for (int i = 0; i < 300; i++) {
		handle = open_handle(&port, other, ALL_RIGHTS, NULL);
		if (handle != -ENOENT)
			break;
		sleep_ms(10);
	}
	frame = frame_request(handle, TOOL_READ, "x", 1);
	frame.envelope.deadline = now_ns() + (begins ? 300 : 400) * 1000000ull;
	return -call(port.fd, MCP_IOC_CALL, &frame);
}

static void test_each_other(void)
{
	__u8 one[MCP_NAME_SIZE], other[MCP_NAME_SIZE];
	int status = -1, result;
	pid_t child;

	test_name(one, "one");
	test_name(other, "other");
	child = fork();
	if (!child)
		_exit(serve_and_call(other, one, false));
	result = serve_and_call(one, other, true);
	waitpid(child, &status, 0);
	/* Who is told first has ended its port by then, perhaps. */
	check(result == ETIMEDOUT, "two that sit in CALL for each other: a deadline ends it (%s)",
	      strerror(result));
	check(WIFEXITED(status) && (WEXITSTATUS(status) == ETIMEDOUT || WEXITSTATUS(status) ==
				    EPIPE),
	      "for the other too (%s)", strerror(WEXITSTATUS(status)));
}

int main(int count, char **words)
{
	if (count == 4 && !strcmp(words[1], WORD_PORT))
		return use_port(atoi(words[2]), strtoull(words[3], NULL, 10));
	if (count > 1) {
		alarm(60);
		pause();
		return 0;
	}
	test_begin();
	for (enum how how = IN_CALL; how <= IN_THE_QUEUE; how++)
		test_exec(how);
	test_exec_inherited();
	for (enum wait wait = 0; wait < WAITS; wait++)
		test_stop(wait);
	test_freezer();
	test_suspend();
	test_each_other();
	return test_end();
}
